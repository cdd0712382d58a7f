//! The user's schema changed: columns came that records have values for already, and columns with values of their own.
//!
//! Nothing of a table is read or written before what changed is settled, in short transactions; interrupted, it goes on.

use std::{collections::HashSet, sync::Arc};

use rusqlite::params;

use super::{Sqlite, apply::Transaction, failure::Told, layout::Layout};
use crate::{
    connector::{
        Apply,
        aside::TakeIn,
        drift::{Drift, drifted},
    },
    error::{Kind as Fault, Result},
    model::Page,
};

/// Records settled in one transaction.
pub(super) const BATCH: usize = 200;

impl Sqlite {
    /// Settles what changed in the schema of all attached tables since they were last looked at. A table that cannot be settled is refused to
    /// whoever asks for it, until it can.
    pub(super) fn settle_all(&mut self) -> Result<()> {
        self.unsettled.clear();
        for layout in self.layouts.clone() {
            let known: String = {
                let mut statement = self.conn.prepare_cached("SELECT fields FROM entente_table WHERE id = ?1").told("read the journal")?;
                statement.query_row([layout.table.id], |row| row.get(0)).told("read the journal")?
            };
            if known == layout.described() {
                continue;
            }
            match self.settle(&layout, &known) {
                Err(error) if error.kind() == Fault::Constraint => drop(self.unsettled.insert(layout.table.id, error.to_string())),
                done => done?,
            }
        }
        Ok(())
    }

    fn settle(&mut self, layout: &Arc<Layout>, known: &str) -> Result<()> {
        let mut after = 0;
        while let Some(last) = self.transaction_of(|tx| tx.take_in(layout, after))? {
            after = last;
            self.breathe();
        }
        // What is journalled at this moment, or was before anybody looked, is journalled with these columns.
        if layout.table.ready && !known.is_empty() {
            self.note_changes(layout, known)?;
        }
        let values = params![layout.table.id, layout.described()];
        self.transaction(|db| {
            db.conn.execute("UPDATE entente_table SET fields = ?2 WHERE id = ?1", values).told("write the journal").map(|_| ())
        })
    }

    fn transaction_of<T>(&mut self, work: impl FnOnce(&mut Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut tx = Transaction::begin(self)?;
        let done = work(&mut tx)?;
        Box::new(tx).commit()?;
        Ok(done)
    }

    /// A column with a default changed what every record holds, although nobody wrote: such records become local edits, older than any
    /// that a person makes. That a column went is no edit, and the others keep theirs.
    fn note_changes(&mut self, layout: &Layout, known: &str) -> Result<()> {
        let before: HashSet<&str> = known.lines().filter_map(Layout::field_described).collect();
        let (mut after, head) = (0, self.max_arrival(layout)?);
        while let Some(last) = self.transaction(|db| db.note_some(layout, &before, after, head))? {
            after = last;
            self.breathe();
        }
        Ok(())
    }

    fn note_some(&mut self, layout: &Layout, before: &HashSet<&str>, after: i64, head: i64) -> Result<Option<i64>> {
        let sql = format!(
            "{} WHERE s.arrival > ?1 AND s.arrival <= ?2 AND s.deleted = 0 AND s.own IS NULL ORDER BY s.arrival LIMIT {BATCH}",
            layout.select(&layout.state_and_row())
        );
        let state = layout.state();
        let edited = format!("UPDATE {state} SET arrival = (SELECT MAX(arrival) + 1 FROM {state}), own = 0 WHERE arrival = ?1");
        let same = format!("UPDATE {state} SET digest = ?2 WHERE arrival = ?1");
        let (mut page, me) = (Page::default(), self.me()?.site);
        let names = layout.prepare(&mut page)?;
        let mut seen = Vec::new();
        {
            let mut statement = self.conn.prepare_cached(&sql).told("read the table")?;
            let mut rows = statement.query([after, head]).told("read the table")?;
            while let Some(row) = rows.next().told("read the table")? {
                seen.push(layout.read(row, &names, &self.sites, me, &mut page)?);
            }
        }
        for (seen, record) in seen.iter().zip(page.views()) {
            let done = match drifted(layout, seen, record, before) {
                Drift::Nothing => continue,
                Drift::Gained => self.conn.prepare_cached(&edited).and_then(|mut statement| statement.execute([seen.arrival])),
                Drift::Same(digest) => {
                    self.conn.prepare_cached(&same).and_then(|mut s| s.execute(params![seen.arrival, digest.0.as_slice()]))
                }
            };
            done.told("write the journal")?;
        }
        Ok(seen.last().map(|seen| seen.arrival))
    }
}
