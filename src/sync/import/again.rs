//! What waits, tried again: each time through decide against the state of that moment (SYNC.md 5).

use std::collections::HashSet;

use super::{BATCH, Import, Terms};
use crate::{
    connector::{Connector, Table, Waiting, Which},
    error::Result,
    sync::Outcome,
};

/// Tries once more what waits of a table and came from this peer.
pub(in crate::sync) fn retry(db: &mut dyn Connector, table: &Table, terms: &Terms) -> Result<Outcome> {
    again(db, table, terms, false)
}

/// As [`retry`], until that changes nothing; then the deletions that others here still refer to are decided, too: such a record stays.
/// Tables that refer to this one come first.
pub(in crate::sync) fn conclude(db: &mut dyn Connector, table: &Table, terms: &Terms) -> Result<Outcome> {
    let mut all = Outcome::default();
    loop {
        let outcome = again(db, table, terms, false)?;
        let moved = outcome.counts.created + outcome.counts.updated + outcome.counts.deleted > 0;
        all.add(outcome);
        if !moved {
            break;
        }
    }
    all.add(again(db, table, terms, true)?);
    Ok(all)
}

fn again(db: &mut dyn Connector, table: &Table, terms: &Terms, last: bool) -> Result<Outcome> {
    let kinds = [Waiting::Quarantined, Waiting::Parked, Waiting::Deletion];
    each_batch(db, table, terms, &kinds, |import| import.last = last)
}

/// Lets records that match local ones adopt these, now that the peer was asked which of the local uids it holds alive.
pub(in crate::sync) fn adopt(db: &mut dyn Connector, table: &Table, terms: &Terms, alive_there: &HashSet<String>) -> Result<Outcome> {
    each_batch(db, table, terms, &[Waiting::Twin], |import| import.alive_there = Some(alive_there.clone()))
}

/// Tries all records of these kinds that came from this peer, a bounded number in a transaction.
fn each_batch(db: &mut dyn Connector, table: &Table, terms: &Terms, kinds: &[Waiting], set: impl Fn(&mut Import<'_>)) -> Result<Outcome> {
    let mut all = Outcome::default();
    if !db.waits()? {
        return Ok(all);
    }
    let mut after = 0;
    loop {
        let mut tx = db.begin()?;
        let waiters = tx.waiters(Which::Kinds(kinds, after), BATCH)?;
        let Some(end) = waiters.last().map(|waiter| waiter.id) else { return Ok(all) };
        after = end;
        let mut import = Import::new(tx.as_mut(), terms, &HashSet::new())?;
        set(&mut import);
        import.waiters(waiters.into_iter().filter(|waiter| waiter.site == terms.peer && waiter.resource == table.resource).collect())?;
        let outcome = std::mem::take(&mut import.outcome);
        tx.commit()?;
        all.add(outcome);
    }
}
