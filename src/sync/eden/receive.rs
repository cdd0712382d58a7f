//! What an Eden pushes.

use super::{
    feed::may,
    ledger::Ledger,
    take::{Exchange, take},
};
use crate::{
    connector::{Part, Table},
    decide::Source,
    error::{Error, Result},
    model::{
        Action, Direction, LogEntry, Mode, Outcome as Went, Policy, Rules, Time,
        eden::{Document, EdenAnswer, EdenPush, Refused},
    },
    site::{Door, Site},
    store::{self, log},
    sync::{
        Bare, Fields, Outcome, Terms,
        admit::Caller,
        filters,
        import::{conclude, retry},
        order::by_reference,
        serve::granted,
    },
};

/// Applies a document. The answer means that all of it that can be is durable here; what cannot is in quarantine, and named in the answer.
pub fn receive(site: &Site, caller: &Caller, push: &EdenPush, document: &Document) -> Result<EdenAnswer> {
    if !may(site, caller, &push.resource)? {
        return Err(Error::forbidden(format!("this account may not use {}", push.resource)));
    }
    // The resource itself has to be open to the caller; of what comes with it, what is not is passed over.
    let mut open = vec![granted(site, caller, &push.resource, Mode::Push)?];
    for page in document.pages.iter().filter(|page| page.resource != push.resource) {
        if may(site, caller, &page.resource)? {
            open.extend(granted(site, caller, &page.resource, Mode::Push).ok());
        }
    }
    let entry = begun(site, caller, push)?;
    let mut answer = EdenAnswer::default();
    let done = apply(site, caller, push, document, &mut open, &entry, &mut answer);
    let of_ours = |refused: &&Refused| open.iter().any(|(_, table)| table.resource == refused.resource);
    answer.refused.extend(document.refused.iter().filter(of_ours).cloned());
    finish(site, entry, &done);
    done.map(|_| answer)
}

fn begun(site: &Site, caller: &Caller, push: &EdenPush) -> Result<LogEntry> {
    let mut entry = LogEntry::new(site.now(), Action::Pull, Direction::Incoming);
    entry.repository = Some(caller.repository.id);
    entry.repository_name = Some(caller.repository.name.clone());
    entry.resource = Some(push.resource.clone());
    entry.outcome = Went::Running;
    entry.message = format!("Taking {} from {}", push.resource, caller.repository.name);
    entry.id = site.store.write(|c| log::append(c, &entry))?;
    Ok(entry)
}

fn finish(site: &Site, mut entry: LogEntry, done: &Result<Outcome>) {
    entry.duration = (site.now().0 - entry.time.0) / 1_000;
    match done {
        Ok(outcome) => {
            (entry.outcome, entry.counts) = (Went::Success, outcome.counts);
            entry.message = format!("Took {}", crate::sync::run::told(outcome.counts.records));
            crate::sync::run::colour(&mut entry, outcome);
        }
        Err(error) => (entry.outcome, entry.message) = (Went::Error, error.chain()),
    }
    if let Err(error) = site.store.write(|c| log::update(c, &entry)) {
        tracing::error!("The log could not be written: {}", error.chain());
    }
}

fn apply(
    site: &Site,
    caller: &Caller,
    push: &EdenPush,
    document: &Document,
    open: &mut [(Door<'_>, Table)],
    entry: &LogEntry,
    answer: &mut EdenAnswer,
) -> Result<Outcome> {
    let order = by_reference(open.iter().map(|(_, table)| table.clone()).collect());
    let mut all = Outcome::default();
    for table in &order {
        let Some((door, _)) = open.iter_mut().find(|(_, other)| other.resource == table.resource) else { continue };
        let share = door.share(table, caller.uuid, Part::Passive)?;
        let terms = terms(site, caller, table, push, entry.id.unsigned_abs())?;
        let mut outcome = retry(&mut **door, table, &terms)?;
        if let Some(page) = document.page(&table.resource) {
            let since = push.since.map(|since| since.0.div_euclid(1_000_000));
            let exchange = Exchange { terms: &terms, since, arrived: Ledger::read(&share.pull).arrived };
            outcome.add(take(door, table, page, &exchange, &mut Bare)?);
        }
        if table.resource == push.resource {
            let counts = outcome.counts;
            answer.records = Some(counts.records.saturating_sub(counts.quarantined + outcome.denied.len() as u64));
            (answer.created, answer.updated, answer.deleted) = (counts.created, counts.updated, counts.deleted);
        }
        let name = |one: &crate::model::Quarantined| Refused {
            resource: table.resource.clone(),
            uid: one.uuid.clone(),
            reason: one.reason.clone(),
        };
        answer.refused.extend(outcome.quarantined.iter().map(name));
        let denied =
            |uid: &String| Refused { resource: table.resource.clone(), uid: uid.clone(), reason: "Operation not permitted".into() };
        answer.refused.extend(outcome.denied.iter().map(denied));
        all.add(outcome);
    }
    all.add(try_again(site, caller, push, entry)?);
    Ok(all)
}

/// What waits of any table may go on now that this came. Deletions that others refer to stay undecided: an Eden pushes one resource after the other,
/// and those of what refers to them may be on their way.
fn try_again(site: &Site, caller: &Caller, push: &EdenPush, entry: &LogEntry) -> Result<Outcome> {
    let mut all = Outcome::default();
    let attached = site.store.read(store::attached::list)?;
    for resource in attached.into_iter().map(|attached| attached.resource) {
        if !may(site, caller, &resource)? {
            continue;
        }
        let Ok((mut door, table)) = granted(site, caller, &resource, Mode::Push) else { continue };
        if door.waits()? {
            all.add(retry(&mut *door, &table, &terms(site, caller, &table, push, entry.id.unsigned_abs())?)?);
        }
    }
    all.counts = crate::model::Counts::default();
    Ok(all)
}

/// Decides the deletions that still wait, when the Eden comes again: whatever still refers to such a record keeps it.
pub(super) fn decide_deletions(site: &Site, caller: &Caller, door: &mut Door<'_>, table: &Table) -> Result<()> {
    if !door.waits()? {
        return Ok(());
    }
    let push = EdenPush { resource: table.resource.clone(), ..EdenPush::default() };
    conclude(&mut **door, table, &terms(site, caller, table, &push, 0)?).map(drop)
}

/// Our own rules where a person entered the resource for this Eden, else its own with THIS and OTHER swapped.
fn terms(site: &Site, caller: &Caller, table: &Table, push: &EdenPush, run: u64) -> Result<Terms> {
    let own = site.store.read(|c| store::resources::get(c, caller.repository.id, &table.resource))?;
    let elsewhere = filters::elsewhere(site, Some(caller.repository.id), &table.resource)?;
    let rules = match own {
        Some(own) => own.rules(),
        None => {
            let update = Some(push.update.swapped()).filter(|policy| *policy != Policy::Manual).unwrap_or_default();
            Rules { strategy: push.strategy, update, conflict: push.conflict.swapped(), merge_fields: false }
        }
    };
    let now: Time = site.now();
    Ok(Terms {
        peer: caller.uuid,
        rules,
        source: Source::Fetched,
        run,
        me: site.id,
        now,
        decider: site.decider(),
        elsewhere,
        fields: Fields::Some,
    })
}
