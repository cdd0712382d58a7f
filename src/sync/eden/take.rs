//! Taking what an Eden shows: versions from what was agreed, then the same import as ever (docs/eden.md).

use std::collections::{HashMap, HashSet};

use super::{
    noted::Noted,
    shape::{Shaped, as_told, is_gone, shaped},
};
use crate::{
    connector::{Make, Table, Target, Waiting, Which, Whose},
    decide::{
        Source,
        eden::{Given, Shown, Stands, version},
    },
    error::Result,
    model::{
        Counts, Digest, Kind, Method, Page, RecordView, Relation, SiteId, Time, Value,
        eden::{Holding, Known, NOBODY, one_of_several, several},
    },
    site::Door,
    sync::{
        Bracket, Outcome, Terms,
        import::{Fields, adopt, import, references, targets_of},
    },
};

/// Records that are decided in one transaction.
const BATCH: usize = 5_000;

/// What is known of the exchange in which records came.
pub(in crate::sync) struct Exchange<'a> {
    /// Under which terms they are taken.
    pub(in crate::sync) terms: &'a Terms,
    /// The second that the Eden counts as the last exchange, where it says one.
    pub(in crate::sync) since: Option<i64>,
    /// Up to when what we gave is known to have arrived.
    pub(in crate::sync) arrived: Time,
}

/// Applies the records of a document's page, all that can be; `bracket` stands beside the last of its transactions. Records that refer to others which are
/// not here are stored without the reference, which is set when those arrive.
pub(in crate::sync) fn take(
    door: &mut Door<'_>,
    table: &Table,
    page: &Page,
    exchange: &Exchange<'_>,
    bracket: &mut dyn Bracket,
) -> Result<Outcome> {
    let mut all = Outcome::default();
    let made = shaped(table, page, exchange.terms.peer, exchange.terms.now, &mut all);
    // What became one record does so first: the survivor then comes as it is after that.
    let (merged, rest): (Vec<usize>, Vec<usize>) = (0..made.page.records.len()).partition(|at| made.page.records[*at].heir.is_some());
    if !merged.is_empty() {
        all.add(Batch::of(door, table, &made, &merged, exchange)?.apply(door, table, exchange, &mut crate::sync::Bare)?);
    }
    let count = rest.len();
    let mut first = 0;
    loop {
        let end = (first + BATCH).min(count);
        let batch = Batch::of(door, table, &made, &rest[first..end], exchange)?;
        let outcome = match end == count {
            true => batch.apply(door, table, exchange, bracket)?,
            false => batch.apply(door, table, exchange, &mut crate::sync::Bare)?,
        };
        all.add(outcome);
        if end == count {
            lead_on(door, table, page, exchange.terms.peer)?;
            return Ok(all);
        }
        first = end;
    }
}

/// So many waiting versions of one record are looked at.
const SEVERAL: usize = 100;

/// Where two records became the one with the greater uid, the other is just gone. What refers to it here, and holds that up, refers to the one that stayed.
fn lead_on(door: &mut Door<'_>, table: &Table, page: &Page, peer: SiteId) -> Result<()> {
    let merged: Vec<(&str, &str)> =
        page.views().filter_map(|view| view.heir().filter(|heir| *heir > view.uid()).map(|heir| (view.uid(), heir))).collect();
    if merged.is_empty() {
        return Ok(());
    }
    let mut tx = door.begin()?;
    for (gone, stayed) in merged {
        let waits =
            tx.waiters(Which::Of(table, gone), SEVERAL)?.iter().any(|waiter| waiter.kind == Waiting::Deletion && waiter.site == peer);
        let here = tx.locals(table, &[gone, stayed], peer)?;
        if let ([Some(gone), Some(stayed)], true) = (here.found.as_slice(), waits)
            && gone.living
            && stayed.living
        {
            tx.repoint(table, *gone, *stayed)?;
        }
    }
    tx.commit()
}

/// Records with the versions they stand for.
struct Batch {
    /// What has to be decided.
    page: Page,
    /// The same records whole, where `page` has them without references that lead nowhere yet.
    whole: Page,
    /// What the Eden holds of all of them.
    notes: Vec<(String, String)>,
    /// Those with nothing new.
    unchanged: u64,
    /// Whose the records are that are to be decided.
    accounts: Vec<Whose>,
    /// Those that may not go, and by which method they would.
    denied: Vec<(String, Method)>,
}

impl Batch {
    fn of(door: &mut Door<'_>, table: &Table, made: &Shaped, of: &[usize], exchange: &Exchange<'_>) -> Result<Batch> {
        let uids: Vec<String> = of.iter().map(|at| made.page.text(made.page.records[*at].uid).to_owned()).collect();
        let (peer, terms) = (exchange.terms.peer, exchange.terms);
        let notes = door.notes(table, peer, Some(&uids))?;
        let mut here = Page::new(&table.resource);
        door.lookup(table, &uids, &mut here)?;
        as_told_in_time(table, &mut here);
        let locals: HashMap<&str, RecordView<'_>> = here.views().map(|view| (view.uid(), view)).collect();
        let mut batch = Batch {
            page: Page::new(&table.resource),
            whole: Page::new(&table.resource),
            notes: Vec::with_capacity(uids.len()),
            unchanged: 0,
            accounts: Vec::new(),
            denied: Vec::new(),
        };
        let mut own: HashMap<&str, Vec<&Whose>> = HashMap::new();
        made.accounts.iter().for_each(|whose| own.entry(&whose.uid).or_default().push(whose));
        for (at, uid) in of.iter().zip(&uids) {
            let (view, second) = (made.page.view(&made.page.records[*at]), made.seconds[*at]);
            let held = notes.get(uid).and_then(|note| Holding::read(note));
            let given = match &held {
                Some(held) if held.known == Known::Given && held.at > exchange.arrived => Given::Unknown,
                _ => Given::Arrived,
            };
            let clock = second.unwrap_or_else(|| terms.now.0.div_euclid(1_000_000));
            let local = locals.get(uid.as_str()).copied();
            // Whose copy a record is, and since when, was settled when it came.
            let settled = local.filter(|local| !local.record.deleted).map(|_| {
                let mut page = Page::new(&table.resource);
                altered(view, &mut page, |name, _| if matches!(name, "mci" | "created_on") { Part::Leave } else { Part::Keep });
                page
            });
            let view = settled.as_ref().map_or(view, |page| page.view(&page.records[0]));
            let shown = Shown { view, second: clock, since: exchange.since, given };
            let stands = version(local, held.as_ref(), &shown, terms.rules, peer);
            // Of what was never here nothing is left to say that it is gone.
            let stands = match stands {
                Stands::Decide(version) if table.form.make == Make::Eden && local.is_none() && is_gone(view) => Stands::For(version),
                stands => stands,
            };
            let stands = match (stands, goes(table, view, local)) {
                (Stands::Decide(version), Some(method)) if !terms.rules.strategy.allows(method) => {
                    batch.denied.push((uid.clone(), method));
                    Stands::For(version)
                }
                (stands, _) => stands,
            };
            if let (Stands::Decide(_), Some(accounts)) = (&stands, own.get(uid.as_str())) {
                batch.accounts.extend(accounts.iter().map(|whose| (*whose).clone()));
            }
            batch.add(view, local, second, stands, terms);
        }
        batch.set_aside(door, table)?;
        Ok(batch)
    }

    fn add(&mut self, view: RecordView<'_>, local: Option<RecordView<'_>>, second: Option<i64>, stands: Stands, terms: &Terms) {
        let version = match &stands {
            Stands::For(version) | Stands::Decide(version) => version.clone(),
        };
        let fields = view.fields().filter(|(_, value)| value.kind != Kind::Null).map(|(name, _)| name.to_owned()).collect();
        let holding = Holding {
            known: Known::Shown,
            digest: view.digest(),
            modified: second,
            before: None,
            at: terms.now,
            version: version.clone(),
            fields,
            refused: None,
        };
        self.notes.push((view.uid().to_owned(), holding.write()));
        if matches!(stands, Stands::For(_)) {
            self.unchanged += 1;
            return;
        }
        self.page.copy(view);
        if let Some(record) = self.page.records.last_mut() {
            record.version = version;
            record.settled = Vec::new();
            // No version is older than one that it has seen, whatever the Eden's clock says.
            if let Some(local) = local.filter(|local| local.record.version.relation(&record.version) == Relation::Behind) {
                record.modified_on = record.modified_on.max(Time(local.record.modified_on.0.saturating_add(1)));
            }
            if record.origin == NOBODY {
                record.origin = local.map_or(NOBODY, |local| local.record.origin);
            }
        }
    }

    /// Takes references out that lead nowhere yet, and keeps the records whole beside, as a version more.
    fn set_aside(&mut self, door: &mut Door<'_>, table: &Table) -> Result<()> {
        let own = |field: &str| table.references.iter().chain(&table.form.lists).any(|reference| reference.field == field);
        let coming: HashSet<&str> = self.page.views().filter(|view| view.record.lives()).map(RecordView::uid).collect();
        let wanted: Vec<(&str, &str)> =
            self.page.views().flat_map(references).filter(|(resource, uid)| *resource != table.resource || !coming.contains(uid)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let mut tx = door.begin()?;
        let targets = tx.resolve(&wanted)?;
        drop(tx);
        let astray = |resource: &str, uid: &str| {
            let comes = resource == table.resource && coming.contains(uid);
            !(comes || matches!(targets.get(resource, uid), Target::Here(_)))
        };
        let mut page = Page::new(&table.resource);
        for view in self.page.views() {
            let lost: Vec<&str> = view
                .fields()
                .filter(|(name, value)| own(name) && targets_of(*value).any(|(resource, uid)| astray(resource, uid)))
                .map(|(name, _)| name)
                .collect();
            if lost.is_empty() || view.record.deleted {
                page.copy(view);
                continue;
            }
            self.whole.copy(view);
            altered(view, &mut page, |name, value| match several(value).filter(|_| lost.contains(&name)) {
                // Of several, those that lead somewhere.
                Some((resource, uids)) => {
                    let here: Vec<&str> = uids.into_iter().filter(|uid| !astray(resource, uid)).collect();
                    if here.is_empty() { Part::Leave } else { Part::Put(one_of_several(resource, &here)) }
                }
                None if lost.contains(&name) => Part::Leave,
                None => Part::Keep,
            });
            if let Some(record) = self.whole.records.last_mut() {
                let next: Vec<_> = record.version.iter().filter(|(actor, _)| actor.site == record.author).collect();
                next.into_iter().for_each(|(actor, counter)| record.version.set(actor, counter + 1));
                // Where the record won by its time against an edit of ours, it wins again.
                record.modified_on = Time(record.modified_on.0.saturating_add(1));
            }
        }
        // What the Eden holds is the whole record.
        let whole: HashMap<&str, &crate::model::Version> = self.whole.views().map(|view| (view.uid(), &view.record.version)).collect();
        for (uid, note) in &mut self.notes {
            if let (Some(version), Some(holding)) = (whole.get(uid.as_str()), Holding::read(note)) {
                *note = Holding { version: (*version).clone(), ..holding }.write();
            }
        }
        self.page = page;
        Ok(())
    }

    fn apply(self, door: &mut Door<'_>, table: &Table, exchange: &Exchange<'_>, bracket: &mut dyn Bracket) -> Result<Outcome> {
        let terms = Terms { source: Source::Fetched, fields: Fields::Some, ..exchange.terms.clone() };
        let mut noted = Noted { table, peer: terms.peer, notes: &self.notes, page: &self.page, accounts: &self.accounts, inner: bracket };
        let mut all = import(&mut **door, table, &self.page, &terms, &mut noted)?;
        if !self.whole.records.is_empty() {
            let mut outcome = import(&mut **door, table, &self.whole, &terms, &mut crate::sync::Bare)?;
            outcome.counts = Counts { parked: outcome.counts.parked, ..Counts::default() };
            outcome.missing.clear();
            all.add(outcome);
        }
        let twins = std::mem::take(&mut all.twins);
        if !twins.is_empty() {
            let notes = door.notes(table, terms.peer, Some(&twins))?;
            let lives =
                |uid: &String| notes.get(uid).and_then(|note| Holding::read(note)).is_some_and(|held| held.digest != Digest::DELETED);
            let alive: HashSet<String> = twins.into_iter().filter(lives).collect();
            all.add(adopt(&mut **door, table, &terms, &alive)?);
        }
        self.denied.iter().for_each(|(uid, method)| all.refuse(table, uid, *method));
        let denied = self.denied.len() as u64;
        all.counts.kept += denied;
        all.counts.records += self.unchanged;
        all.counts.unchanged += self.unchanged - denied;
        Ok(all)
    }
}

/// How a row of an Eden's own table goes that lives here: to the rules it is a deletion, though the row stays.
fn goes(table: &Table, view: RecordView<'_>, local: Option<RecordView<'_>>) -> Option<Method> {
    if table.form.make != Make::Eden || !is_gone(view) || local.is_none_or(is_gone) {
        return None;
    }
    let heir = table.form.heir.as_ref().and_then(|field| view.get(field));
    Some(if heir.is_some_and(|heir| heir.kind == Kind::Reference) { Method::Merge } else { Method::Delete })
}

/// The rows of an Eden's own table are of the time that their column says, from before they were attached.
fn as_told_in_time(table: &Table, page: &mut Page) {
    let before: Vec<_> = page.records.iter().map(|record| (record.deleted, record.heir)).collect();
    as_told(table, page);
    page.records.iter_mut().zip(before).for_each(|(record, before)| (record.deleted, record.heir) = before);
}

/// What becomes of a field of a record that is copied.
enum Part {
    Keep,
    /// It is not named: what is there stays.
    Leave,
    Put(String),
}

/// Appends a record with some fields changed.
fn altered<'v>(view: RecordView<'v>, page: &mut Page, change: impl Fn(&str, Value<'v>) -> Part) {
    let mark = page.mark();
    for (name, value) in view.fields() {
        let text = match change(name, value) {
            Part::Keep => page.put(value.text),
            Part::Leave => continue,
            Part::Put(text) => page.put(&text),
        };
        let (Some(field), resource) = (page.name(name), page.name_or_zero(value.resource)) else { continue };
        page.cell(crate::model::Cell { field, resource: if value.kind == Kind::Reference { resource } else { 0 }, kind: value.kind, text });
    }
    let mut record = view.record.clone();
    (record.uid, record.heir) = (page.put(view.uid()), view.heir().map(|heir| page.put(heir)));
    page.finish(record, mark);
}
