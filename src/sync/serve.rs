//! What other sites ask of us: the same import and export as in a run of our own.

use std::collections::BTreeMap;

use super::{
    Bracket, Outcome, Terms,
    admit::Caller,
    clones::{self, Seen},
    epoch,
    filters::{self, Met, Sieve},
    import::{conclude, import, retry},
    keep_bases,
    order::by_reference,
    pending,
};
use crate::{
    connector::{Apply, Extent, Part, Share, Table},
    decide::{Source, filter::Filter},
    error::{Error, Kind, Result},
    model::{
        Action, Direction, FEATURES, Greeting, Hello, HelloResource, Identity, Limits, LogEntry, LogId, Mode, Outcome as Went, PROTOCOL,
        Page, Policy, PullRequest, PushRequest, Receipt, Rules, Traffic, Want,
    },
    site::{Door, Site},
    store::{self, attached},
};

/// How many pages in a row are read for one that has something in it, where a filter holds everything back.
const EMPTY: usize = 16;

/// Who we are, and for a caller what it is granted and where everything stands. A hello begins a run: what the caller's last one left waiting is
/// decided before the answer. What it says of itself is kept, to be shown.
pub fn hello(site: &Site, caller: Option<&Caller>, greeting: &Greeting) -> Result<Hello> {
    site.forget_compared();
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
        unavailable: Vec::new(),
    };
    let Some(caller) = caller.filter(|_| !hello.paused) else { return Ok(hello) };
    clones::refuse(site, caller.uuid, &caller.repository.name)?;
    let mut open = Vec::new();
    for attached in site.store.read(attached::list)?.into_iter().filter(|attached| caller.grant.covers(&attached.resource)) {
        match epoch::door(site, &attached.resource) {
            Ok((door, table)) => open.push((door, table)),
            // One database that cannot be opened does not hide the others.
            Err(error) => skip(&attached.resource, &error, &mut hello),
        }
    }
    let order = by_reference(open.iter().map(|(_, table)| table.clone()).collect());
    for table in order.iter().rev() {
        if let Some((door, _)) = open.iter_mut().find(|(_, other)| other.resource == table.resource) {
            let (rules, _) = rules_for(site, caller, table, None)?;
            match conclude(&mut **door, table, &terms(site, caller, table, rules, 0)?) {
                // What stays waiting is told where it is offered.
                Err(error) if spares_the_others(&error) => {
                    tracing::warn!(resource = %table.resource, "{} waits on: {}", table.resource, error.chain())
                }
                outcome => tell(site, caller, table, &outcome?),
            }
        }
    }
    let mut taken = BTreeMap::new();
    for (door, table) in &mut open {
        match offer(site, caller, door, table, greeting) {
            // A table that was changed beyond use, or a server that went away, does not hide the others either.
            Err(error) if spares_the_others(&error) => skip(&table.resource, &error, &mut hello),
            offered => {
                let (resource, upto) = offered?;
                taken.extend(upto.map(|arrival| (resource.name.clone(), arrival)));
                hello.resources.push(resource);
            }
        }
    }
    pending::remember(site, caller.repository.id, greeting, taken);
    Ok(hello)
}

/// Whether an error is that of one database.
fn spares_the_others(error: &Error) -> bool {
    matches!(
        error.kind(),
        Kind::Constraint | Kind::Usage | Kind::Unreachable | Kind::Unauthorized | Kind::Forbidden | Kind::Busy | Kind::Timeout | Kind::Full
    )
}

fn skip(resource: &str, error: &Error, hello: &mut Hello) {
    tracing::warn!(resource, "{resource} cannot be offered: {}", error.chain());
    hello.unavailable.push(resource.to_owned());
}

/// A resource that another site offers, or why it does not.
pub(super) fn offered(hello: &Hello, by: &str, resource: &str) -> Result<HelloResource> {
    if hello.unavailable.iter().any(|name| name == resource) {
        let error = Error::new(Kind::Unreachable, format!("{by} cannot use its database of {resource} at the moment"));
        return Err(error.hint(format!("The log of the process that serves {by} says why. The next run tries again.")));
    }
    hello.resources.iter().find(|there| there.name == resource).cloned().ok_or_else(|| {
        Error::forbidden(format!("{by} does not offer {resource}")).hint("Is it attached there, and may our account use it?")
    })
}

/// What a caller is granted of a table, and up to which arrival it has it, where it says so.
fn offer(site: &Site, caller: &Caller, door: &mut Door<'_>, table: &Table, greeting: &Greeting) -> Result<(HelloResource, Option<i64>)> {
    door.recheck(table)?;
    let share = door.share(table, caller.uuid, Part::Passive)?;
    let own = site.store.read(|c| store::resources::get(c, caller.repository.id, &table.resource))?;
    let given = filters::for_caller(table, own.as_ref(), &Filter::known(&share.asked)?)?;
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
    let ahead = if pull { pending::ahead(&mut **door, table, caller.uuid, greeting)? } else { None };
    let resource = HelloResource {
        name: table.resource.clone(),
        kind: "table".into(),
        mode,
        fingerprint: table.fingerprint.clone(),
        head: epoch::cursor(&epoch, head, &given.name()),
        records: if share.heard == 0 { Some(door.count(table)?) } else { None },
        assigned: table.identity == Identity::Assigned,
        epoch,
        told: share.told,
        heard: share.heard,
        digest,
        apart,
        compare: share.compare.due,
        waiting: ahead.and_then(|(_, records)| records),
    };
    Ok((resource, ahead.map(|(arrival, _)| arrival)))
}

/// One page of the feed of a resource.
pub fn feed(site: &Site, caller: &Caller, request: &PullRequest) -> Result<Page> {
    if request.want == Want::Verdict {
        return Err(verdict(site, caller, request)?);
    }
    let (mut door, table) = granted(site, caller, &request.resource, Mode::Pull)?;
    let mut share = door.share(&table, caller.uuid, Part::Passive)?;
    went_back(site, caller, &mut door, &table, &share, request.heard)?;
    if request.run < share.heard {
        return Err(stale(&caller.repository.name));
    }
    let own = site.store.read(|c| store::resources::get(c, caller.repository.id, &table.resource))?;
    let asked = filters::read(&table, &request.filters)?;
    let filter = filters::for_caller(&table, own.as_ref(), &asked)?;
    let cursor = epoch::arrival(&mut *door, &table, &request.cursor)?;
    let head = door.head(&table)?;
    if cursor.is_some_and(|(arrival, _)| arrival > head) {
        epoch::renew(site, &mut door, 0)?;
        return Err(Error::new(
            Kind::Epoch,
            format!("the cursor for {} is ahead of everything here: this database was restored", table.resource),
        ));
    }
    let active = door.share(&table, caller.uuid, Part::Active)?;
    let met = if share.told + share.heard + active.told == 0 { Met::Never } else { Met::Perhaps };
    let before = share.clone();
    let mut after = filters::serve(&mut share, &filter, cursor, met, head)?;
    share.asked = asked.to_string();
    if request.run > share.heard {
        if request.cursor.is_empty() && share.heard > 0 {
            // It begins anew: what it gave us once it may no longer have.
            door.forget_shared(&table, caller.uuid)?;
        }
        heard(&mut share, &request.life, request.run);
        if cursor.is_some_and(|(_, under)| under == filter.name()) {
            share.push = after;
        }
        epoch::begin(site, &mut door, &table, caller.uuid, Part::Passive, &mut share)?;
        try_again(site, caller, &mut door, &table)?;
    } else if share != before {
        door.set_share(&table, caller.uuid, Part::Passive, &share, 0)?;
    }
    let extent = Extent {
        records: (request.records.clamp(1, site.config.page_records)) as usize,
        bytes: usize::try_from(request.bytes.clamp(1, site.config.page_bytes)).unwrap_or(usize::MAX),
    };
    let sieve = Sieve::of(&share, caller.uuid)?;
    let mut page = Page::new(&table.resource);
    for _ in 0..EMPTY {
        (after, page.more) = door.export(&table, after, caller.uuid, extent, site.now(), &mut page)?;
        sieve.sift(&mut page, after);
        if !page.more || !page.records.is_empty() {
            break;
        }
        page.clear();
    }
    if table.bases && !page.records.is_empty() {
        let mut tx = door.begin()?;
        tx.set_bases(&table, &page)?;
        tx.commit()?;
    }
    page.cursor = epoch::cursor(&door.journal()?.epoch, after, &filter.name());
    page.run = Some(share.told);
    Ok(page)
}

/// The word to a caller whose journal stands before what we heard in its name.
fn verdict(site: &Site, caller: &Caller, request: &PullRequest) -> Result<Error> {
    let either = granted(site, caller, &request.resource, Mode::Pull).or_else(|_| granted(site, caller, &request.resource, Mode::Push));
    let (mut door, table) = either?;
    let seen = Seen { peer: caller.uuid, part: Part::Passive, life: &request.life, number: request.run, told: None };
    clones::judge(site, &caller.repository, &mut door, &table, &seen)?;
    Ok(Error::new(Kind::Epoch, "your database was restored from a backup; begin a new incarnation"))
}

fn heard(share: &mut Share, life: &str, run: u64) {
    share.epoch = Some(life.to_owned()).filter(|life| !life.is_empty());
    share.hear(run);
}

/// Applies a page that was pushed. The receipt means that it is durable here.
pub fn receive(site: &Site, caller: &Caller, request: &PushRequest, page: &Page) -> Result<Receipt> {
    let (mut door, mut table) = granted(site, caller, &page.resource, Mode::Push)?;
    let share = door.share(&table, caller.uuid, Part::Passive)?;
    went_back(site, caller, &mut door, &table, &share, request.heard)?;
    let (rules, strict) = rules_for(site, caller, &table, Some(request))?;
    keep_bases(&mut *door, &mut table, rules.merge_fields)?;
    if request.run > share.heard {
        try_again(site, caller, &mut door, &table)?;
    }
    let (run, mut entry) = visit(site, caller, &table, request.run)?;
    let terms = terms(site, caller, &table, rules, run.unsigned_abs())?;
    let mut given = Given { caller, table: &table, request, now: site.now(), share: Share::default(), stored: None };
    let done = import(&mut *door, &table, page, &terms, &mut given);
    if let Some(receipt) = given.stored {
        note(site, &LogEntry { message: "A page came again; it changed nothing".into(), ..entry });
        return Ok(receipt);
    }
    let outcome = match done {
        Ok(outcome) => outcome,
        Err(error) => {
            entry.outcome = Went::Error;
            entry.message = error.chain();
            note(site, &entry);
            if error.kind() == Kind::Epoch {
                epoch::renew(site, &mut door, 0)?;
            }
            return Err(error);
        }
    };
    epoch::remember(site, &mut door)?;
    entry.counts = outcome.counts;
    entry.message = match strict {
        true => format!("Took {}, by our own rules", super::run::told(outcome.counts.records)),
        false => format!("Took {}", super::run::told(outcome.counts.records)),
    };
    entry.duration = (site.now().0 - entry.time.0) / 1_000;
    super::run::colour(&mut entry, &outcome);
    note(site, &entry);
    Ok(receipt(&outcome, given.share.told))
}

/// The entry in the log for a page, and that of the caller's run with the table, under which the journal notes what the run did:
/// the entry of its first page, which is there from the beginning.
fn visit(site: &Site, caller: &Caller, table: &Table, run: u64) -> Result<(LogId, LogEntry)> {
    let mut entry = LogEntry::new(site.now(), Action::Pull, Direction::Incoming);
    entry.repository = Some(caller.repository.id);
    entry.repository_name = Some(caller.repository.name.clone());
    entry.resource = Some(table.resource.clone());
    let begun =
        LogEntry { outcome: Went::Running, message: format!("Taking {} from {}", table.resource, caller.repository.name), ..entry.clone() };
    let known = |c: &mut store::Conn| store::visits::find(c, caller.repository.id, &table.resource, run);
    // Another of our servers may have taken the pages before.
    if let Some(first) = site.store.read(known)? {
        return Ok((first, LogEntry { run: Some(first), ..entry }));
    }
    let (first, new) = site.store.write(|c| match known(c)? {
        Some(first) => Ok((first, false)),
        None => {
            let first = store::log::append(c, &begun)?;
            store::visits::set(c, caller.repository.id, &table.resource, run, first)?;
            Ok((first, true))
        }
    })?;
    Ok((first, if new { LogEntry { id: first, outcome: Went::Success, ..begun } } else { LogEntry { run: Some(first), ..entry } }))
}

/// Writes an entry, or what became of one that is there. The page is applied; a log that cannot be written does not undo it.
fn note(site: &Site, entry: &LogEntry) {
    let done = site.store.write(|c| {
        if entry.counts.records > 0 {
            let came = Traffic { received: entry.counts.records, sent: 0, bytes: entry.counts.bytes };
            store::traffic::add(c, site.now(), came)?;
        }
        if entry.id == 0 { store::log::append(c, entry).map(|_| ()) } else { store::log::update(c, entry) }
    });
    if let Err(error) = done {
        tracing::error!("The log could not be written: {}", error.chain());
    }
}

/// What waited for something that may be here by now is tried again whenever a run of theirs begins: this site may never run itself.
fn try_again(site: &Site, caller: &Caller, door: &mut Door<'_>, table: &Table) -> Result<()> {
    let (rules, _) = rules_for(site, caller, table, None)?;
    let outcome = retry(&mut **door, table, &terms(site, caller, table, rules, 0)?)?;
    tell(site, caller, table, &outcome);
    Ok(())
}

/// Named records as they are now.
pub fn fetch(site: &Site, caller: &Caller, resource: &str, uids: &[String]) -> Result<Page> {
    let (mut door, table) = granted(site, caller, resource, Mode::Pull)?;
    let mut page = Page::new(resource);
    door.lookup(&table, uids, &mut page)?;
    // What a filter holds back is there nevertheless: whoever asks which of two records lives has to know.
    let own = site.store.read(|c| store::resources::get(c, caller.repository.id, resource))?;
    let share = door.share(&table, caller.uuid, Part::Passive)?;
    let filter = filters::for_caller(&table, own.as_ref(), &Filter::known(&share.asked)?)?;
    let held_back: Vec<usize> = (0..page.records.len()).filter(|at| !filter.matches(page.view(&page.records[*at]))).collect();
    held_back.into_iter().for_each(|at| page.retract(at));
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
            heard(&mut self.share, &self.request.life, self.request.run);
            self.share.told += 1;
        }
        tx.set_share(self.table, self.caller.uuid, Part::Passive, &self.share)?;
        Ok(None)
    }

    fn after(&mut self, tx: &mut dyn Apply, outcome: &Outcome) -> Result<()> {
        if outcome.refused && !self.share.refused {
            self.share.refused = true;
            tx.set_share(self.table, self.caller.uuid, Part::Passive, &self.share)?;
        }
        let receipt = receipt(outcome, self.share.told);
        let answer = serde_json::to_string(&receipt).map_err(|e| Error::internal("an answer could not be stored").because(e))?;
        tx.set_answer(self.request.batch, self.caller.uuid, self.now, &answer)
    }
}

fn receipt(outcome: &Outcome, run: u64) -> Receipt {
    Receipt { counts: outcome.counts, quarantine: outcome.quarantined.clone(), deletions: outcome.deletions, run }
}

fn terms(site: &Site, caller: &Caller, table: &Table, rules: Rules, run: u64) -> Result<Terms> {
    let elsewhere = filters::elsewhere(site, Some(caller.repository.id), &table.resource)?;
    Ok(Terms {
        peer: caller.uuid,
        rules,
        source: Source::Page,
        run,
        me: site.id,
        now: site.now(),
        decider: site.decider(),
        elsewhere,
        fields: super::Fields::default(),
    })
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

pub(super) fn granted<'s>(site: &'s Site, caller: &Caller, resource: &str, want: Mode) -> Result<(Door<'s>, Table)> {
    if site.store.read(store::site::paused)? {
        return Err(Error::new(Kind::Paused, "this site is paused").hint("Try again later."));
    }
    clones::refuse(site, caller.uuid, &caller.repository.name)?;
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
    let share = Share { told: heard_there, ..door.share(table, caller.uuid, Part::Passive)? };
    door.set_share(table, caller.uuid, Part::Passive, &share, 0)?;
    Err(Error::new(Kind::Epoch, "this database was restored from a backup; a new incarnation begins")
        .hint("Compare before anything is exchanged."))
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
    note(site, &entry);
}
