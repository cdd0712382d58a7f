//! What other sites ask of us: the same import and export as in a run of our own.

use super::{
    Bracket, Outcome, Terms,
    admit::Caller,
    epoch,
    import::{conclude, import},
    order::by_reference,
};
use crate::{
    connector::{Apply, Extent, Part, Share, Table},
    decide::Source,
    error::{Error, Kind, Result},
    model::{
        Action, Direction, FEATURES, Hello, HelloResource, Identity, Limits, LogEntry, Mode, PROTOCOL, Page, Policy, PullRequest,
        PushRequest, Receipt, Rules,
    },
    site::{Door, Site},
    store::{self, attached},
};

/// Who we are, and for a caller what it is granted and where everything stands. A hello begins a run: what the caller's last one left waiting is
/// decided before the answer.
pub fn hello(site: &Site, caller: Option<&Caller>) -> Result<Hello> {
    let mut hello = Hello {
        uuid: site.id,
        name: site.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol: PROTOCOL,
        time: site.now(),
        features: FEATURES.iter().map(|feature| (*feature).to_owned()).collect(),
        limits: Limits::default(),
        paused: site.store.read(store::site::paused)?,
        resources: Vec::new(),
    };
    let Some(caller) = caller.filter(|_| !hello.paused) else { return Ok(hello) };
    let mut open = Vec::new();
    for attached in site.store.read(attached::list)?.into_iter().filter(|attached| caller.grant.covers(&attached.resource)) {
        match epoch::door(site, &attached.resource) {
            Ok((door, table)) => open.push((door, table)),
            // One database that cannot be opened does not hide the others.
            Err(error) => tracing::warn!(resource = %attached.resource, "{} cannot be offered: {}", attached.resource, error.chain()),
        }
    }
    let order = by_reference(open.iter().map(|(_, table)| table.clone()).collect());
    for table in order.iter().rev() {
        if let Some((door, _)) = open.iter_mut().find(|(_, other)| other.resource == table.resource) {
            let (rules, _) = rules_for(site, caller, table, None)?;
            let outcome = conclude(&mut **door, table, &terms(site, caller, rules, 0))?;
            tell(site, caller, table, &outcome);
        }
    }
    for (door, table) in &mut open {
        hello.resources.push(offer(site, caller, door, table)?);
    }
    Ok(hello)
}

fn offer(site: &Site, caller: &Caller, door: &mut Door<'_>, table: &Table) -> Result<HelloResource> {
    door.recheck(table)?;
    let share = door.share(table, caller.uuid, Part::Passive)?;
    let own = site.store.read(|c| store::resources::get(c, caller.repository.id, &table.resource))?;
    let ours = own.as_ref().map_or(Mode::Both, |own| own.mode);
    let (pull, push) = (caller.grant.pull && ours.pushes(), caller.grant.push && caller.repository.accept_pushes && ours.pulls());
    let mode = match (pull, push) {
        (true, true) => Mode::Both,
        (true, false) => Mode::Pull,
        (false, true) => Mode::Push,
        (false, false) => Mode::None,
    };
    // The sum before the head: what is written in between shows as a head that moved.
    let digest = door.sum(table)?;
    let apart = own.is_some_and(|own| own.may_hold_apart()) || door.unsettled(table)?;
    let head = door.head(table)?;
    let epoch = door.journal()?.epoch;
    Ok(HelloResource {
        name: table.resource.clone(),
        kind: "table".into(),
        mode,
        fingerprint: table.fingerprint.clone(),
        head: epoch::cursor(&epoch, head),
        records: if share.heard == 0 { Some(door.count(table)?) } else { None },
        assigned: table.identity == Identity::Assigned,
        epoch,
        told: share.told,
        heard: share.heard,
        digest,
        apart,
    })
}

/// One page of the feed of a resource.
pub fn feed(site: &Site, caller: &Caller, request: &PullRequest) -> Result<Page> {
    let (mut door, table) = granted(site, caller, &request.resource, Mode::Pull)?;
    let mut share = door.share(&table, caller.uuid, Part::Passive)?;
    went_back(site, caller, &mut door, &table, &share, request.heard)?;
    if request.run < share.heard {
        return Err(stale(&caller.repository.name));
    }
    if request.run > share.heard {
        share.heard = request.run;
        epoch::begin(site, &mut door, &table, caller.uuid, Part::Passive, &mut share)?;
    }
    let after = epoch::arrival(&mut *door, &table, &request.cursor)?;
    if after > door.head(&table)? {
        epoch::renew(site, &mut door, 0)?;
        return Err(Error::new(
            Kind::Epoch,
            format!("the cursor for {} is ahead of everything here: this database was restored", table.resource),
        ));
    }
    let extent = Extent {
        records: (request.records.clamp(1, site.config.page_records)) as usize,
        bytes: usize::try_from(request.bytes.clamp(1, site.config.page_bytes)).unwrap_or(usize::MAX),
    };
    let mut page = Page::new(&table.resource);
    let (upto, more) = door.export(&table, after, caller.uuid, extent, site.now(), &mut page)?;
    page.cursor = epoch::cursor(&door.journal()?.epoch, upto);
    page.more = more;
    page.run = Some(share.told);
    Ok(page)
}

/// Applies a page that was pushed. The receipt means that it is durable here.
pub fn receive(site: &Site, caller: &Caller, request: &PushRequest, page: &Page) -> Result<Receipt> {
    let (mut door, table) = granted(site, caller, &page.resource, Mode::Push)?;
    let share = door.share(&table, caller.uuid, Part::Passive)?;
    went_back(site, caller, &mut door, &table, &share, request.heard)?;
    let (rules, strict) = rules_for(site, caller, &table, Some(request))?;
    let terms = terms(site, caller, rules, request.run);
    let mut given = Given { caller, table: &table, request, now: site.now(), share: Share::default(), stored: None };
    let begun = site.now();
    let outcome = match import(&mut *door, &table, page, &terms, &mut given) {
        Err(error) if error.kind() == Kind::Epoch => {
            epoch::renew(site, &mut door, 0)?;
            return Err(error);
        }
        done => done?,
    };
    if let Some(receipt) = given.stored {
        return Ok(receipt);
    }
    epoch::remember(site, &mut door)?;
    let mut entry = LogEntry::new(begun, Action::Pull, Direction::Incoming);
    entry.counts = outcome.counts;
    entry.message = match strict {
        true => format!("Took {}, by our own rules", super::run::told(outcome.counts.records)),
        false => format!("Took {}", super::run::told(outcome.counts.records)),
    };
    log(site, caller, &table, entry, &outcome);
    Ok(receipt(&outcome, given.share.told))
}

/// Named records as they are now.
pub fn fetch(site: &Site, caller: &Caller, resource: &str, uids: &[String]) -> Result<Page> {
    let (mut door, table) = granted(site, caller, resource, Mode::Pull)?;
    let mut page = Page::new(resource);
    door.lookup(&table, uids, &mut page)?;
    Ok(page)
}

/// What stands beside a pushed page: fence, batch and run number, in the page's transaction.
struct Given<'a> {
    caller: &'a Caller,
    table: &'a Table,
    request: &'a PushRequest,
    now: crate::model::Time,
    share: Share,
    stored: Option<Receipt>,
}

impl Bracket for Given<'_> {
    fn before(&mut self, tx: &mut dyn Apply) -> Result<Option<Outcome>> {
        if let Some(answer) = tx.answer(self.request.batch)? {
            let receipt = serde_json::from_str(&answer).map_err(|e| Error::internal("a stored answer cannot be read").because(e))?;
            self.stored = Some(receipt);
            return Ok(Some(Outcome::default()));
        }
        self.share = tx.share(self.table, self.caller.uuid, Part::Passive)?;
        if self.request.run < self.share.heard {
            return Err(stale(&self.caller.repository.name));
        }
        if self.request.run > self.share.heard {
            self.share.heard = self.request.run;
            self.share.told += 1;
        }
        tx.set_share(self.table, self.caller.uuid, Part::Passive, &self.share)?;
        Ok(None)
    }

    fn after(&mut self, tx: &mut dyn Apply, outcome: &Outcome) -> Result<()> {
        let receipt = receipt(outcome, self.share.told);
        let answer = serde_json::to_string(&receipt).map_err(|e| Error::internal("an answer could not be stored").because(e))?;
        tx.set_answer(self.request.batch, self.caller.uuid, self.now, &answer)
    }
}

fn receipt(outcome: &Outcome, run: u64) -> Receipt {
    Receipt { counts: outcome.counts, quarantine: outcome.quarantined.clone(), deletions: outcome.deletions, run }
}

fn terms(site: &Site, caller: &Caller, rules: Rules, run: u64) -> Terms {
    Terms { peer: caller.uuid, rules, source: Source::Page, run, me: site.id, now: site.now(), decider: site.decider() }
}

/// Our own rules where we configured the resource for this caller, else the sender's with THIS and OTHER swapped (SYNC.md 4).
fn rules_for(site: &Site, caller: &Caller, table: &Table, request: Option<&PushRequest>) -> Result<(Rules, bool)> {
    let own = site.store.read(|c| store::resources::get(c, caller.repository.id, &table.resource))?;
    Ok(match (own, request) {
        (Some(own), _) => (own.rules(), true),
        (None, Some(request)) => {
            let conflict = request.conflict.swapped();
            let update = Some(request.update.swapped()).filter(|policy| *policy != Policy::Manual).unwrap_or_default();
            (Rules { strategy: request.strategy, update, conflict, merge_fields: request.merge_fields }, false)
        }
        (None, None) => (Rules::default(), false),
    })
}

fn granted<'s>(site: &'s Site, caller: &Caller, resource: &str, want: Mode) -> Result<(Door<'s>, Table)> {
    if site.store.read(store::site::paused)? {
        return Err(Error::new(Kind::Paused, "this site is paused").hint("Try again later."));
    }
    if !caller.grant.covers(resource) {
        return Err(Error::forbidden(format!("this account may not use {resource}")));
    }
    let ours = site.store.read(|c| store::resources::get(c, caller.repository.id, resource))?.map_or(Mode::Both, |own| own.mode);
    let allowed = match want {
        Mode::Pull => caller.grant.pull && ours.pushes(),
        _ => caller.grant.push && caller.repository.accept_pushes && ours.pulls(),
    };
    if !allowed {
        return Err(Error::forbidden(format!("this account may not {} {resource}", want.word())));
    }
    epoch::door(site, resource)
}

/// A peer that remembers a greater run number than we told it proves that this journal went back.
fn went_back(site: &Site, caller: &Caller, door: &mut Door<'_>, table: &Table, share: &Share, heard_there: u64) -> Result<()> {
    if heard_there <= share.told {
        return Ok(());
    }
    epoch::renew(site, door, 0)?;
    // From here on we tell greater numbers again than any that was heard.
    let share = Share { told: heard_there, pull: String::new(), push: 0, ..share.clone() };
    door.set_share(table, caller.uuid, Part::Passive, &share, 0)?;
    Err(Error::new(Kind::Epoch, "this database was restored from a backup; a new incarnation begins").hint("Start from the beginning."))
}

fn stale(name: &str) -> Error {
    Error::new(Kind::Fence, format!("a newer run with {name} has begun")).hint("Let that one finish.")
}

fn tell(site: &Site, caller: &Caller, table: &Table, outcome: &Outcome) {
    let counts = outcome.counts;
    if counts.created + counts.updated + counts.deleted + counts.conflicts > 0 || !outcome.warnings.is_empty() {
        let mut entry = LogEntry::new(site.now(), Action::Pull, Direction::Incoming);
        entry.message = "Decided records that were waiting".into();
        entry.counts = counts;
        log(site, caller, table, entry, outcome);
    }
}

fn log(site: &Site, caller: &Caller, table: &Table, mut entry: LogEntry, outcome: &Outcome) {
    entry.repository = Some(caller.repository.id);
    entry.repository_name = Some(caller.repository.name.clone());
    entry.resource = Some(table.resource.clone());
    entry.duration = (site.now().0 - entry.time.0) / 1_000;
    super::run::colour(&mut entry, outcome);
    // The page is applied; a log that cannot be written does not undo it.
    if let Err(error) = site.store.write(|c| store::log::append(c, &entry)) {
        tracing::error!("The log could not be written: {}", error.chain());
    }
}
