//! The user's schema changed: columns came that records have values for already, and columns with values of their own.
//!
//! Nothing of a table is read or written before what changed is settled, in short transactions; interrupted, it goes on.

use std::{collections::HashSet, sync::Arc};

use super::{Postgres, apply::Transaction, args::Arg, args::Columns, layout::Layout, triggers};
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
pub(super) const BATCH: usize = 500;

impl Postgres {
    /// Settles what changed in the schema of all attached tables since they were last looked at. A table that cannot be settled is refused to
    /// whoever asks for it, until it can.
    pub(super) fn settle_all(&mut self) -> Result<()> {
        self.unsettled.clear();
        for layout in self.layouts.clone() {
            self.watch_partitions(&layout)?;
            let known =
                self.link.one("SELECT fields FROM entente.tab WHERE id = $1::bigint", &[layout.table.id.into()], "read the journal")?;
            let known = known.owned(0)?;
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

    /// Partitions that came since get their triggers.
    fn watch_partitions(&mut self, layout: &Arc<Layout>) -> Result<()> {
        let name = format!("entente_{}_insert", layout.table.id);
        let sql = "SELECT EXISTS (SELECT 1 FROM unnest($1::text[]) p(name)
                   WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_trigger g WHERE g.tgrelid = p.name::regclass AND g.tgname = $2))
                   AND EXISTS (SELECT 1 FROM pg_catalog.pg_trigger g WHERE g.tgrelid = $3::text::regclass AND g.tgname = $2)";
        let args = [Arg::texts(&layout.parts), Arg::text(&name), Arg::text(&layout.rel)];
        if !layout.parts.is_empty() && self.link.one(sql, &args, "read the schema")?.flag(0)? {
            self.transaction(|db| db.link.batch(&triggers::install(layout), "install the triggers of new partitions"))?;
        }
        Ok(())
    }

    fn settle(&mut self, layout: &Arc<Layout>, known: &str) -> Result<()> {
        let mut after = 0;
        while let Some(last) = self.transaction_of(|tx| tx.take_in(layout, after))? {
            after = last;
        }
        // What is journalled at this moment, or was before anybody looked, is journalled with these columns.
        if layout.table.ready && !known.is_empty() {
            self.note_changes(layout, known)?;
        }
        let args = [layout.table.id.into(), layout.described().into()];
        let sql = "UPDATE entente.tab SET fields = $2 WHERE id = $1::bigint";
        self.transaction(|db| db.link.run(sql, &args, "write the journal").map(drop))
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
        }
        Ok(())
    }

    fn note_some(&mut self, layout: &Layout, before: &HashSet<&str>, after: i64, head: i64) -> Result<Option<i64>> {
        let sql = format!(
            "{} WHERE s.arrival > $1::bigint AND s.arrival <= $2::bigint AND NOT s.deleted AND s.own IS NULL ORDER BY s.arrival LIMIT {BATCH}",
            layout.select(&layout.state_and_row())
        );
        let mut page = Page::default();
        let seen = self.read_rows(layout, &sql, &[after.into(), head.into()], &mut page)?;
        let (mut edited, mut same, mut digests) = (Vec::new(), Vec::new(), Vec::new());
        for (seen, record) in seen.iter().zip(page.views()) {
            match drifted(layout, seen, record, before) {
                Drift::Nothing => {}
                Drift::Gained => edited.push(seen.arrival),
                Drift::Same(digest) => {
                    same.push(seen.arrival);
                    digests.push(Arg::Bytes(digest.0.to_vec().into()));
                }
            }
        }
        let state = layout.state();
        let sql = format!(
            "UPDATE {state} s SET arrival = w.next, own = 0
             FROM (SELECT arrival, (SELECT MAX(arrival) FROM {state}) + row_number() OVER (ORDER BY arrival) AS next FROM {state}
                   WHERE arrival = ANY($1::bigint[])) w WHERE s.arrival = w.arrival"
        );
        self.link.run(&sql, &[Arg::ints(&edited)], "write the journal")?;
        let from = "SELECT * FROM unnest($1::bigint[], $2::bytea[]) n(arrival, digest)";
        self.change(layout, &layout.change("digest = w.digest", from), &[Arg::ints(&same), Arg::List(digests)])?;
        Ok(seen.last().map(|seen| seen.arrival))
    }
}
