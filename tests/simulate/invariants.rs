//! What has to hold (SYNC.md 10), each as a function that says what is broken.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    deeds,
    filters::ends_agree,
    house::House,
    oracle::Deletions,
    plan::{Link, groups},
    raw::{Entry, Journal},
    world::World,
};

/// What holds after each step.
pub(crate) fn always(world: &World, journals: &[Journal]) -> Vec<String> {
    let mut broken = constraints_hold(world);
    broken.extend(nothing_is_lost(world, journals));
    broken.extend(nobody_invents(world, journals));
    broken.extend(cursors_pass_nothing(world, journals));
    broken.extend(journals_are_bounded(world, journals));
    broken
}

/// What holds when all is quiet.
pub(crate) fn at_last(world: &World, journals: &[Journal]) -> Vec<String> {
    let mut broken = always(world, journals);
    broken.extend(all_agree(world, journals));
    broken.extend(every_row_is_known(journals));
    broken.extend(nothing_rises(world, journals));
    broken.extend(nobody_deletes(world, journals));
    broken
}

/// I1: quiet sites agree on what they share, unless a rule holds it apart: an open conflict, a record that waits, and what may not flow both ways.
fn all_agree(world: &World, journals: &[Journal]) -> Vec<String> {
    let groups = groups(world.plan.shape, &world.plan.links, journals.len());
    let apart = apart(world, journals);
    let mut broken = Vec::new();
    for table in world.plan.shape.tables.iter().copied() {
        let group = &groups[table];
        for at in (0..journals.len()).filter(|at| group[*at] != *at) {
            let (first, other) = (&journals[group[at]].tables[table], &journals[at].tables[table]);
            let uids: BTreeSet<&String> = first.keys().chain(other.keys()).collect();
            for uid in uids.into_iter().filter(|uid| !apart.contains(&(table, uid.as_str()))) {
                let (a, b) = (first.get(uid).map(agreed), other.get(uid).map(agreed));
                let forgotten = world.purged.contains(&(table.to_owned(), uid.clone())) || passed_over(world, a.is_some() && b.is_some());
                let dead = |records: &BTreeMap<String, Entry>| records.get(uid).is_none_or(|entry| entry.deleted);
                if a != b && !(forgotten && dead(first) && dead(other)) {
                    let tell = |state: Option<_>| state.map_or("nothing".to_owned(), |state| format!("{state:?}"));
                    broken.push(format!("I1: {table} {uid}: s{} has {}, s{at} has {}", group[at], tell(a), tell(b)));
                }
            }
        }
    }
    broken.extend(ends_agree(world, journals, &|table, uid| apart.contains(&(table, uid))));
    broken
}

/// I1: a site that did not notice what became of its rows cannot agree with others on them.
fn every_row_is_known(journals: &[Journal]) -> Vec<String> {
    let mut broken = Vec::new();
    for (at, journal) in journals.iter().enumerate() {
        let present: usize = rows(journal).count();
        let all: usize = journal.rows.values().sum();
        // Of the new rows some may be gone again before anybody looked.
        if all > present + journal.nameless {
            broken.push(format!("I1: s{at}: {all} rows, but only {present} records and {} new rows", journal.nameless));
        }
        for (table, records) in &journal.tables {
            let gone = records.iter().filter(|(_, entry)| !entry.deleted && !entry.present && !entry.own);
            broken.extend(gone.map(|(uid, _)| format!("I1: s{at}: nobody noticed that the row of {table} {uid} went")));
        }
    }
    broken
}

/// What a site that went back deleted since is compared with others, who compare what lives: its tombstone does not reach who never had the record.
fn passed_over(world: &World, known: bool) -> bool {
    world.restored && !known
}

/// The fields that every site has from the beginning to the end.
pub(crate) fn common(entry: &Entry) -> Vec<(&String, &String)> {
    entry.fields.iter().filter(|(name, _)| !deeds::EXTRAS.contains(&name.as_str())).collect()
}

/// What two sites have to agree on.
fn agreed(entry: &Entry) -> impl PartialEq + std::fmt::Debug + '_ {
    let lasting = (entry.deleted, entry.version.to_string(), common(entry), &entry.heir);
    (lasting, entry.modified_on, entry.author, entry.origin, &entry.settled)
}

/// The records that a rule or a person holds apart: open conflicts, what waits, what was dismissed.
fn apart<'w>(world: &'w World, journals: &'w [Journal]) -> BTreeSet<(&'w str, &'w str)> {
    let dismissed = world.dismissed.iter().map(|(resource, uid)| (resource.as_str(), uid.as_str()));
    journals.iter().flat_map(held_apart).chain(dismissed).collect()
}

fn held_apart(journal: &Journal) -> impl Iterator<Item = (&str, &str)> {
    let held = journal
        .tables
        .iter()
        .flat_map(|(table, records)| records.iter().filter(|(_, entry)| entry.held).map(|(uid, _)| (*table, uid.as_str())));
    let aside = journal.waiting.iter().chain(&journal.conflicts).map(|aside| (aside.resource.as_str(), aside.uid.as_str()));
    held.chain(aside)
}

/// I2: each accepted write is present, replaced by one that had seen it, or in a history, a conflict, or among what waits.
fn nothing_is_lost(world: &World, journals: &[Journal]) -> Vec<String> {
    let nowhere = world.oracle.nowhere(journals, Deletions::MayBeKnown);
    let told = nowhere.iter().map(|at| {
        let write = &world.oracle.writes[*at];
        format!("I2: the write {:?} of {} by {} is nowhere", write.note.as_deref().unwrap_or("(deletion)"), write.table, write.site)
    });
    told.collect()
}

/// I3: every row is what somebody wrote.
fn nobody_invents(world: &World, journals: &[Journal]) -> Vec<String> {
    let mut broken = Vec::new();
    for (at, journal) in journals.iter().enumerate() {
        for (table, uid, entry) in rows(journal) {
            let note = &entry.fields["note"];
            let Some(write) = world.oracle.write(note) else {
                broken.push(format!("I3: s{at}: nobody wrote {note:?}, which {table} {uid} says"));
                continue;
            };
            let plain = |(name, _): &(&String, &String)| !matches!(name.as_str(), "org" | "chief" | "id" | "uuid" | "x1" | "x2");
            let same = entry.fields.iter().filter(plain).eq(write.fields.iter().filter(plain));
            let leads = write.references.iter().all(|(column, _, _, target)| {
                let here = entry.fields.get(*column);
                let freed = here.is_none() && *column == "chief" && world.plan.shape.cascade;
                freed || world.plan.shape.matching || target.is_none() || here == target.as_ref()
            });
            let extras = entry.fields.iter().filter(|(name, _)| deeds::EXTRAS.contains(&name.as_str()));
            let extras = extras.into_iter().all(|(_, value)| world.oracle.write(value).is_some());
            let whole = same && leads && extras;
            let parts = (world.plan.merges || world.oracle.pieced.contains(note)) && world.oracle.wrote_each(table, &entry.fields);
            if !whole && !parts {
                broken.push(format!(
                    "I3: s{at}: {table} {uid} is {:?}, but {note} wrote {:?} {:?}",
                    entry.fields, write.fields, write.references
                ));
            }
        }
    }
    broken
}

/// I3: no comparison takes a record for deleted that nobody deleted.
fn nobody_deletes(world: &World, journals: &[Journal]) -> Vec<String> {
    let taken = journals.iter().enumerate().flat_map(|(at, journal)| journal.purged.iter().map(move |note| (at, note)));
    let wrong = taken.filter(|(_, note)| !world.oracle.was_deleted(note));
    wrong.map(|(at, note)| format!("I3: s{at} removed {note}, and nobody deleted that")).collect()
}

/// I4: what was replaced or deleted by somebody who saw it does not come back. Other policies than NEWER may bring it back on purpose, and a
/// deletion of something that others refer to is not done.
fn nothing_rises(world: &World, journals: &[Journal]) -> Vec<String> {
    if !world.plan.plain {
        return Vec::new();
    }
    let apart = apart(world, journals);
    let mut broken = Vec::new();
    for (at, journal) in journals.iter().enumerate() {
        for (table, uid, entry) in rows(journal).filter(|(table, uid, _)| !world.filters(table) && !apart.contains(&(*table, *uid))) {
            let note = &entry.fields["note"];
            let mut later = world.oracle.replaced_by(note);
            // Who deleted one of two records that became one meanwhile did not mean the other.
            later.retain(|write| write.note.is_some() || !(world.plan.shape.matching && table == "org"));
            if !later.is_empty()
                && !world.rumoured.contains(uid)
                && !world.oracle.asserted.contains(uid)
                && !world.oracle.raised.contains(note)
            {
                let what: Vec<&str> = later.iter().map(|write| write.note.as_deref().unwrap_or("a deletion")).collect();
                broken.push(format!("I4: s{at}: {table} {uid} is {note} again, which was replaced by {}", what.join(", ")));
            }
        }
    }
    broken
}

fn rows(journal: &Journal) -> impl Iterator<Item = (&'static str, &str, &Entry)> {
    let all = journal.tables.iter().flat_map(|(table, records)| records.iter().map(|(uid, entry)| (*table, uid.as_str(), entry)));
    all.filter(|(_, _, entry)| entry.present)
}

/// I5: the constraints of the tables hold.
fn constraints_hold(world: &World) -> Vec<String> {
    let mut broken = Vec::new();
    for (at, house) in world.houses.iter().enumerate() {
        broken.extend(house.app().unsound().into_iter().map(|what| format!("I5: s{at}: {what}")));
    }
    broken
}

/// I7: what stands before a cursor is applied, waits, or is in a conflict.
fn cursors_pass_nothing(world: &World, journals: &[Journal]) -> Vec<String> {
    if world.restored {
        // Until both notice, a cursor is what it was before.
        return Vec::new();
    }
    let mut broken = Vec::new();
    for link in &world.plan.links {
        for (from, to) in [(link.from, link.to), (link.to, link.from)] {
            let (here, there) = (&journals[from], &journals[to]);
            for reached in here.reached.iter().filter(|reached| reached.active && reached.peer == world.houses[to].id()) {
                let Some(table) = world.plan.shape.tables.iter().copied().find(|table| *table == reached.resource) else { continue };
                if !world.calm && !link.shares_all(table) {
                    // After a change a cursor is what it was before until the next run.
                    continue;
                }
                let (back, forth) = (link.flows(table, from == link.from), link.flows(table, from != link.from));
                let pulled = reached.pull.split_once(':').filter(|(epoch, _)| *epoch == there.epoch);
                if let Some((_, arrival)) = pulled.filter(|_| back) {
                    broken.extend(passed(
                        world,
                        link,
                        table,
                        there,
                        here,
                        arrival.split(':').next().unwrap().parse().unwrap(),
                        &format!("s{from} pulled from s{to}"),
                    ));
                }
                if forth {
                    broken.extend(passed(world, link, table, here, there, reached.push, &format!("s{from} pushed to s{to}")));
                }
            }
        }
    }
    broken
}

fn passed(world: &World, link: &Link, table: &'static str, giver: &Journal, taker: &Journal, upto: i64, what: &str) -> Vec<String> {
    let missed = giver.tables[table].iter().filter(|(uid, entry)| {
        let offered = entry.arrival <= upto && !entry.held && !entry.own;
        let aside = giver.waiting.iter().chain(&taker.waiting).chain(&taker.conflicts);
        let seen = taker.tables[table].get(*uid).is_some_and(|there| there.version.join(&entry.version) == there.version);
        let dismissed = || world.dismissed.contains(&(table.to_owned(), (*uid).clone()));
        let shared = link.shares_all(table) || !entry.deleted && link.shares(table, &entry.fields);
        let purged = || world.purged.contains(&(table.to_owned(), (*uid).clone()));
        // A record whose tombstone went is found by the comparison that comes first in the next run.
        let forgotten =
            purged() && (entry.deleted || !world.calm) || entry.deleted && passed_over(world, taker.tables[table].contains_key(*uid));
        offered
            && shared
            && !seen
            && !forgotten
            && !dismissed()
            && !aside.into_iter().any(|aside| aside.resource == table && aside.uid == **uid)
    });
    missed.map(|(uid, entry)| format!("I7: {what} up to {upto}, but {table} {uid} {} never came", entry.version)).collect()
}

/// I8: journals grow with the data alone.
fn journals_are_bounded(world: &World, journals: &[Journal]) -> Vec<String> {
    let mut broken = Vec::new();
    for (at, journal) in journals.iter().enumerate() {
        let mut say = |what: String| broken.push(format!("I8: s{at}: {what}"));
        for (name, most) in [("applying", 0), ("orphans", 0), ("old batches", 0), ("sites", 20)] {
            if journal.counts[name] > most {
                say(format!("{} {name}", journal.counts[name]));
            }
        }
        let states: usize = journal.tables.values().map(|records| records.len()).sum();
        let most = world.oracle.writes.len() + 2;
        if states + journal.nameless > most {
            say(format!("{states} records, but only {most} writes"));
        }
        let waits: BTreeSet<(&str, &str, &str)> =
            journal.waiting.iter().map(|aside| (aside.resource.as_str(), aside.uid.as_str(), aside.record.as_str())).collect();
        if waits.len() < journal.waiting.len() {
            say(format!("{} records wait, only {} of them different", journal.waiting.len(), waits.len()));
        }
    }
    broken
}

/// A site's records, line by line.
pub(crate) fn shown(house: &House, journal: &Journal) -> Vec<String> {
    let mut lines = vec![format!("{} is {} in epoch {}", house.name, journal.site, journal.epoch)];
    for (table, records) in &journal.tables {
        for (uid, entry) in records {
            let flags = [(entry.deleted, " deleted"), (entry.held, " held"), (entry.own, " unfolded")];
            let flags: String = flags.into_iter().filter(|(set, _)| *set).map(|(_, word)| word).collect();
            lines.push(format!(
                "   {table} {uid} @{}{flags} {:?} V={} t={} by={} heir={:?}",
                entry.arrival,
                entry.fields,
                entry.version,
                entry.modified_on,
                entry.author.map_or_else(String::new, |author| author.0.to_string()),
                entry.heir
            ));
        }
    }
    let aside =
        |kind: &str, aside: &crate::raw::Aside| format!("   {kind} {} {} {} {}", aside.kind, aside.resource, aside.uid, aside.record);
    lines.extend(journal.waiting.iter().map(|waits| aside("waits", waits)));
    lines.extend(journal.conflicts.iter().map(|open| aside("conflict", open)));
    lines
}
