//! Where what either site believes of the other may be wrong: both compare before they exchange anything (SYNC.md 3 and 9).

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Leg, Progress, Run};
use crate::{
    connector::{Named, Overdue, Part, Place, Table},
    decide::Source,
    error::{Error, Kind, Result},
    model::{Absence, CompareRequest, Digest, Hello, ItemId, Method, Page, Version},
    peer::Peer,
    sync::{
        Bare, Outcome,
        compare::{Had, Items, NAMES, find, reached, waiting},
        edit::{Edit, Edited},
        epoch,
        import::{adopt, import},
        run::pull::alive_there,
    },
};

/// A peer that does not know comparisons would have to be given everything again, and deleted records would come back.
const FEATURE: &str = "compare";

/// The rule in the history of what was deleted at the other site so long ago that its tombstone is gone.
const PURGED: &str = "purged";

/// A comparison that was begun.
struct Begun {
    /// Where the peer stood before it, where its journal went back: an older cursor means nothing there. Else the feeds go on from where they
    /// were, and bring tombstones that are not compared.
    stood: Option<String>,
    /// What was deleted there so long ago that its tombstone is gone: uid, and its arrival here.
    gone: Vec<(String, i64)>,
}

impl<'r> Run<'r, '_> {
    /// Compares the resources for which that is due and exchanges what differs, parents first. What goes goes last, children first.
    pub(super) fn compare_all(&mut self, parts: &mut [Leg<'r>], hello: &Hello, peer: &dyn Peer) {
        let (mut missing, mut begun) = (Vec::new(), BTreeMap::new());
        for (at, part) in parts.iter_mut().enumerate() {
            if part.failed || !part.share.compare.due {
                continue;
            }
            if self.ask.dry_run {
                part.share.start_over();
                continue;
            }
            self.report(part, "compare", |run, part, all| {
                begun.insert(at, run.exchange_differences(part, hello, peer, all, &mut missing)?);
                Ok(())
            });
        }
        self.fetch_missing(parts, hello, peer, missing);
        for (at, begun) in begun.into_iter().rev() {
            if let Some(part) = parts.get_mut(at).filter(|part| !part.failed) {
                self.guard(part, hello, "compare", |run, part| run.end_comparison(part, hello, peer, begun));
            }
        }
    }

    fn exchange_differences(
        &mut self,
        part: &mut Leg<'r>,
        hello: &Hello,
        peer: &dyn Peer,
        all: &mut Outcome,
        missing: &mut Vec<(String, String)>,
    ) -> Result<Begun> {
        if !hello.features.iter().any(|feature| feature == FEATURE) {
            return Err(Error::new(Kind::Unsupported, format!("the version of Entente at {} cannot compare", hello.name))
                .hint("Install a newer version there."));
        }
        let (table, name) = (part.table.clone(), &self.repository.name);
        all.warn(match part.share.compare {
            Overdue { we_went_back: true, .. } => format!("{} was restored from a backup; it is compared with {name}", table.resource),
            Overdue { they_went_back: true, .. } => format!("{} of {name} was restored from a backup; both are compared", table.resource),
            _ => format!("{} was silent towards {name} for long; both are compared", table.resource),
        });
        // Interrupted from here on, it is done again.
        let share = part.share.clone();
        part.door.set_share(&table, hello.uuid, Part::Active, &share, 0)?;
        part.door.fold(&table)?;
        self.begin(part, hello)?;
        let ask = CompareRequest {
            went_back: share.compare.we_went_back,
            refused: share.refused || part.door.share(&table, hello.uuid, Part::Passive)?.refused,
            cursor: share.pull.clone(),
            filters: part.asks(),
            ..CompareRequest::default()
        };
        let items = Items::of(&mut *part.door, &table, &part.filter, self.site.now())?;
        let found = find(&items, peer, &table.resource, &ask, &|| self.stopped())?;
        let both = found.in_both();
        let ours: Vec<i64> = found.ours.iter().filter_map(|id| items.arrival(id)).collect();
        drop(items);
        let theirs: Vec<ItemId> = found.theirs.into_iter().filter(|id| !both.contains(&id.record())).collect();
        let silent = !share.compare.we_went_back && !share.compare.they_went_back;
        let mut exchange = Exchange { ask, silent, ..Exchange::new(self, part, hello, peer, all, missing) };
        for some in theirs.chunks(NAMES) {
            exchange.only_there(some)?;
        }
        for some in ours.chunks(NAMES) {
            exchange.here(some)?;
        }
        let gone = exchange.gone;
        Ok(Begun { stood: share.compare.they_went_back.then(|| part.there.head.clone()), gone })
    }

    /// Removes what was deleted there, and notes where both stand.
    fn end_comparison(&mut self, part: &mut Leg<'r>, hello: &Hello, peer: &dyn Peer, begun: Begun) -> Result<()> {
        let mut left = begun.gone;
        loop {
            let (mut kept, before) = (Vec::new(), left.len());
            for some in left.chunks(NAMES) {
                kept.append(&mut self.remove(part, some)?);
            }
            left = kept;
            // Of records that refer to each other the last goes first.
            if left.is_empty() || left.len() == before {
                break;
            }
        }
        self.keep(part, hello, peer, &left)?;
        if let Some(there) = begun.stood.filter(|_| self.ask.pull) {
            part.share.pull = there;
        }
        if self.ask.pull && self.ask.push {
            part.share.compare = part.share.compare.done();
            let done = CompareRequest { cursor: part.share.pull.clone(), filters: part.asks(), done: true, ..CompareRequest::default() };
            let (table, share) = (part.table.clone(), part.share.clone());
            part.door.set_share(&table, hello.uuid, Part::Active, &share, 0)?;
            peer.compare(&table.resource, &done)?;
        }
        Ok(())
    }

    /// Deletes records that were not written since they were compared. Returns those that others here still refer to.
    fn remove(&mut self, part: &mut Leg<'r>, gone: &[(String, i64)]) -> Result<Vec<(String, i64)>> {
        let mut kept = Vec::new();
        let (site, run) = (self.site, self.id.unsigned_abs());
        let table = part.table.clone();
        let mut tx = part.door.begin()?;
        tx.fold(&table)?;
        let uids: Vec<&str> = gone.iter().map(|(uid, _)| uid.as_str()).collect();
        let locals = tx.locals(&table, &uids, site.id)?;
        for ((uid, arrival), found) in gone.iter().zip(&locals.found) {
            let Some(found) = found.filter(|found| found.living && found.arrival == *arrival) else { continue };
            let mut grave = Page::tombstone_of(locals.page.view(&locals.page.records[found.at]));
            grave.records[0].deleted = true;
            let content = grave.view(&grave.records[0]);
            let edit = Edit { table: &table, uid, content, seen: &[], rule: PURGED, run, me: site.id, now: site.now() };
            match edit.make(tx.as_mut()) {
                Ok(Edited::Done | Edited::Same) => {}
                Err(error) if error.kind() == Kind::Constraint && !tx.broken() => {
                    kept.push((uid.clone(), *arrival));
                }
                Err(error) => return Err(error),
            }
        }
        tx.commit()?;
        Ok(kept)
    }

    /// What cannot go, because others here refer to it, goes back to the peer.
    fn keep(&mut self, part: &mut Leg<'r>, hello: &Hello, peer: &dyn Peer, kept: &[(String, i64)]) -> Result<()> {
        for some in kept.chunks(NAMES) {
            let uids: Vec<String> = some.iter().map(|(uid, _)| uid.clone()).collect();
            let told = format!(
                "{} {} was deleted at {} long ago but is still referred to here; it is kept",
                part.table.resource, uids[0], self.repository.name
            );
            self.warnings.push(told);
            if self.ask.push && part.resource.mode.pushes() && part.there.mode.pushes() {
                let mut page = Page::new(&part.table.resource);
                part.door.lookup(&part.table, &uids, &mut page)?;
                let upto = part.share.push;
                self.give(part, hello, peer, &page, upto, &mut Outcome::default())?;
            }
        }
        Ok(())
    }
}

/// The exchange of what differs in one resource.
pub(super) struct Exchange<'x, 'r, 'c> {
    run: &'x mut Run<'r, 'c>,
    part: &'x mut Leg<'r>,
    hello: &'x Hello,
    peer: &'x dyn Peer,
    table: Table,
    ask: CompareRequest,
    all: &'x mut Outcome,
    missing: &'x mut Vec<(String, String)>,
    gone: Vec<(String, i64)>,
    /// Nobody went back: what the feeds bring anyway is left to them.
    silent: bool,
}

impl<'x, 'r, 'c> Exchange<'x, 'r, 'c> {
    pub(super) fn new(
        run: &'x mut Run<'r, 'c>,
        part: &'x mut Leg<'r>,
        hello: &'x Hello,
        peer: &'x dyn Peer,
        all: &'x mut Outcome,
        missing: &'x mut Vec<(String, String)>,
    ) -> Exchange<'x, 'r, 'c> {
        let table = part.table.clone();
        Exchange { run, part, hello, peer, table, ask: CompareRequest::default(), all, missing, gone: Vec::new(), silent: false }
    }

    fn takes(&self) -> bool {
        self.run.ask.pull && self.part.resource.mode.pulls() && self.part.there.mode.pulls()
    }

    fn gives(&self) -> bool {
        self.run.ask.push && self.part.resource.mode.pushes() && self.part.there.mode.pushes()
    }

    fn told(&mut self) -> Result<()> {
        (self.run.control.progress)(&Progress {
            resource: &self.table.resource,
            direction: "compare",
            counts: self.all.counts,
            total: None,
        });
        self.run.stopped()
    }

    /// Records that live there and not here: taken, unless they were deleted here so long ago that their tombstones are gone.
    fn only_there(&mut self, ids: &[ItemId]) -> Result<()> {
        self.told()?;
        let answer = self.peer.compare(&self.table.resource, &CompareRequest { named: ids.to_vec(), ..self.ask.clone() })?;
        let uids: Vec<String> = answer.named.iter().map(|named| named.uid.clone()).collect();
        let standings = self.part.door.standings(&self.table, self.hello.uuid, Named::Uids(&uids))?;
        let mut here: HashSet<String> = standings.into_iter().map(|standing| standing.uid).collect();
        here.extend(waiting(&mut self.part.door, &self.table)?);
        let (buried, taken): (Vec<_>, Vec<_>) = answer.named.into_iter().partition(|named| named.known && !here.contains(&named.uid));
        let uids = |named: Vec<crate::model::NamedRecord>| named.into_iter().map(|named| named.uid).collect::<Vec<_>>();
        let taken: Vec<_> = taken.into_iter().filter(|named| !(self.silent && named.later)).collect();
        if !taken.is_empty() {
            let (taken, known) = (uids(taken), |uid: &String| here.contains(uid));
            let theirs = self.take(&taken)?;
            // What is deleted here may be unknown there.
            let ours: Vec<String> = taken.into_iter().filter(known).collect();
            if self.gives() && !self.silent && !ours.is_empty() {
                self.give(&ours, &theirs)?;
            }
        }
        if self.gives() && self.part.resource.strategy.allows(Method::Delete) && !buried.is_empty() {
            self.bury(&uids(buried))?;
        }
        Ok(())
    }

    /// Makes tombstones again of what was deleted here long ago.
    fn bury(&mut self, uids: &[String]) -> Result<()> {
        let theirs = self.peer.fetch(&self.table.resource, uids)?;
        let (site, run) = (self.run.site, self.run.id.unsigned_abs());
        let mut tx = self.part.door.begin()?;
        for view in theirs.views().filter(|view| view.record.lives()) {
            let mut grave = Page::tombstone_of(view);
            grave.records[0].deleted = true;
            let content = grave.view(&grave.records[0]);
            Edit { table: &self.table, uid: view.uid(), content, seen: &[], rule: PURGED, run, me: site.id, now: site.now() }
                .make(tx.as_mut())?;
        }
        tx.commit()
    }

    /// Records here of which the other site has another version, or none.
    fn here(&mut self, arrivals: &[i64]) -> Result<()> {
        self.told()?;
        let standings = self.part.door.standings(&self.table, self.hello.uuid, Named::Arrivals(arrivals))?;
        let living: Vec<_> = standings.into_iter().filter(|standing| standing.place == Place::Living).collect();
        let absent = living.iter().map(|standing| standing.uid.clone()).collect();
        let answer = self.peer.compare(&self.table.resource, &CompareRequest { absent, ..self.ask.clone() })?;
        let state: HashMap<&str, Absence> = answer.absent.iter().map(|absent| (absent.uid.as_str(), absent.state)).collect();
        let share = &self.part.share;
        let had = Had {
            given: if share.compare.they_went_back { None } else { Some(share.push) },
            refused: answer.refused,
            cursor: reached(&mut self.part.door, &self.table, &answer.cursor)?,
        };
        let pushed = share.push;
        let removes = self.takes() && self.part.resource.strategy.allows(Method::Delete);
        let (mut there, mut new) = (Vec::new(), Vec::new());
        for standing in living {
            match state.get(standing.uid.as_str()) {
                Some(Absence::Here | Absence::Deleted) if self.silent => {}
                Some(Absence::Here | Absence::Deleted) => there.push(standing.uid),
                Some(Absence::Unknown) if had.surely(&standing) => self.gone.extend(removes.then_some((standing.uid, standing.arrival))),
                Some(Absence::Unknown) if self.silent && standing.arrival > pushed => {}
                Some(Absence::Unknown) => new.push(standing.uid),
                Some(Absence::Waiting | Absence::Held | Absence::Filtered) | None => {}
            }
        }
        let theirs = if there.is_empty() { HashMap::new() } else { self.take(&there)? };
        if self.gives() {
            new.append(&mut there);
            self.give(&new, &theirs)?;
        }
        Ok(())
    }

    /// Takes named records as they are there, and returns what they are.
    pub(super) fn take(&mut self, uids: &[String]) -> Result<HashMap<String, (Version, Digest)>> {
        let page = self.peer.fetch(&self.table.resource, uids)?;
        if self.takes() {
            let terms = self.run.terms(self.part, self.hello, Source::Page)?;
            let done = import(&mut *self.part.door, &self.table, &page, &terms, &mut Bare);
            if matches!(&done, Err(error) if error.kind() == Kind::Epoch) {
                epoch::renew(self.run.site, &mut self.part.door, 0)?;
            }
            let mut outcome = done?;
            self.missing.append(&mut outcome.missing);
            let twins = std::mem::take(&mut outcome.twins);
            self.part.share.refused |= outcome.refused;
            self.all.add(outcome);
            if !twins.is_empty() {
                let alive = alive_there(self.peer, &self.table.resource, &twins)?;
                self.all.add(adopt(&mut *self.part.door, &self.table, &terms, &alive)?);
            }
        }
        Ok(versions(&page))
    }

    /// Gives named records as they are here, unless that is what they are there.
    fn give(&mut self, uids: &[String], theirs: &HashMap<String, (Version, Digest)>) -> Result<()> {
        let mut page = Page::new(&self.table.resource);
        self.part.door.lookup(&self.table, uids, &mut page)?;
        let same = |view: crate::model::RecordView<'_>| theirs.get(view.uid()) == Some(&(view.record.version.clone(), view.digest()));
        let same: Vec<usize> = (0..page.records.len()).filter(|at| same(page.view(&page.records[*at]))).collect();
        page.remove(&same);
        if page.records.is_empty() {
            return Ok(());
        }
        let upto = self.part.share.push;
        self.run.give(self.part, self.hello, self.peer, &page, upto, self.all)
    }
}

/// What each record of a page is.
pub(super) fn versions(page: &Page) -> HashMap<String, (Version, Digest)> {
    let living = page.views().filter(|view| !view.record.retracted);
    living.map(|view| (view.uid().to_owned(), (view.record.version.clone(), view.digest()))).collect()
}
