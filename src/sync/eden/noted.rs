//! What stands beside records of an Eden's in their transaction: what it holds, and whose they are.

use std::collections::HashSet;

use crate::{
    connector::{Apply, Table, Whose},
    error::Result,
    model::{Page, RecordView, SiteId},
    sync::{Bracket, Outcome},
};

/// What the Eden is known to hold is noted in the transaction that takes it.
pub(super) struct Noted<'a> {
    pub(super) table: &'a Table,
    pub(super) peer: SiteId,
    pub(super) notes: &'a [(String, String)],
    pub(super) page: &'a Page,
    pub(super) accounts: &'a [Whose],
    pub(super) inner: &'a mut dyn Bracket,
}

impl Noted<'_> {
    /// Names the accounts of those records whose content is what the Eden showed.
    fn name_accounts(&self, tx: &mut dyn Apply) -> Result<()> {
        if self.accounts.is_empty() {
            return Ok(());
        }
        let uids: Vec<&str> = self.page.views().map(RecordView::uid).collect();
        let here = tx.locals(self.table, &uids, self.peer)?;
        let mut taken: HashSet<&str> = HashSet::new();
        for (view, found) in self.page.views().zip(&here.found) {
            let local = found.and_then(|found| here.page.records.get(found.at));
            if local.is_some_and(|local| (local.author, local.modified_on) == (self.peer, view.record.modified_on)) {
                taken.insert(view.uid());
            }
        }
        let named: Vec<_> = self.accounts.iter().filter(|whose| taken.contains(whose.uid.as_str())).cloned().collect();
        if named.is_empty() { Ok(()) } else { tx.set_accounts(self.table, &named) }
    }
}

impl Bracket for Noted<'_> {
    fn before(&mut self, tx: &mut dyn Apply) -> Result<Option<Outcome>> {
        self.inner.before(tx)
    }

    fn after(&mut self, tx: &mut dyn Apply, outcome: &Outcome) -> Result<()> {
        tx.set_notes(self.table, self.peer, self.notes)?;
        self.name_accounts(tx)?;
        self.inner.after(tx, outcome)
    }
}
