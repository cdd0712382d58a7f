//! The running sum of each table, kept in step with its records: every statement that changes what counts tells what was and what is.

use super::{
    Postgres,
    args::{Arg, Columns},
    layout::Layout,
    sql::MARK,
};
use crate::{
    error::Result,
    model::{Digest, Sum},
};

impl Postgres {
    /// Runs a statement that returns [`MARK`] as it was and as it is of each state it changed.
    pub(super) fn change(&mut self, layout: &Layout, sql: &str, args: &[Arg<'_>]) -> Result<()> {
        let rows = self.link.query(sql, args, "write the journal")?;
        let (mut went, mut came) = (Sum::default(), Sum::default());
        for row in &rows {
            went += self.weight(row, 0)?;
            came += self.weight(row, MARK.len())?;
        }
        self.count(layout.table.id, went, came);
        Ok(())
    }

    /// Adds and subtracts what records were and are, at the commit.
    pub(super) fn count(&mut self, table: i64, went: Sum, came: Sum) {
        if went != came {
            let sum = self.tally.entry(table).or_default();
            *sum -= went;
            *sum += came;
        }
    }

    /// What a state adds whose [`MARK`] stands here.
    fn weight(&self, row: &postgres::Row, first: usize) -> Result<Sum> {
        let digest = row.raw(first + 2)?.and_then(|raw| raw.try_into().ok()).map(Digest);
        let (Some(uid), Some(digest)) = (row.text(first)?, digest.filter(|digest| *digest != Digest::DELETED)) else {
            return Ok(Sum::default());
        };
        Ok(Sum::of(uid, &self.sites.read_version(row.text(first + 1)?.unwrap_or_default())?, digest))
    }

    /// Stores the sums of what the transaction changed.
    pub(super) fn store_tally(&mut self) -> Result<()> {
        for (table, changed) in std::mem::take(&mut self.tally) {
            if let Some(mut sum) = self.stored_sum(table)? {
                sum += changed;
                self.store_sum(table, sum)?;
            }
        }
        Ok(())
    }

    pub(super) fn stored_sum(&mut self, table: i64) -> Result<Option<Sum>> {
        let row = self.link.maybe("SELECT sum FROM entente.mark WHERE tab = $1::bigint", &[table.into()], "read the journal")?;
        let Some(row) = row else { return Ok(None) };
        Ok(row.raw(0)?.and_then(|raw| raw.try_into().ok()).map(Sum::from_bytes))
    }

    pub(super) fn store_sum(&mut self, table: i64, sum: Sum) -> Result<()> {
        let sql = "UPDATE entente.mark SET sum = $2::bytea WHERE tab = $1::bigint";
        self.link.run(sql, &[table.into(), sum.to_bytes().as_slice().into()], "write the journal").map(drop)
    }

    /// See [`crate::connector::Connector::sum`]. The sum before the notes: what is written in between counts as an edit.
    pub(super) fn folded_sum(&mut self, layout: &Layout) -> Result<Option<Sum>> {
        let sum = self.stored_sum(layout.table.id)?;
        Ok(if self.unfolded(layout)? { None } else { sum })
    }

    /// The sum over the records of a table within these arrivals, added up anew.
    pub(super) fn added_up(&mut self, layout: &Layout, first: i64, last: i64) -> Result<Sum> {
        let sql = format!(
            "SELECT {} FROM {} WHERE arrival BETWEEN $1::bigint AND $2::bigint AND digest IS NOT NULL",
            MARK.join(", "),
            layout.state()
        );
        let rows = self.link.query(&sql, &[first.into(), last.into()], "read the journal")?;
        let mut sum = Sum::default();
        for row in &rows {
            sum += self.weight(row, 0)?;
        }
        Ok(sum)
    }
}

#[cfg(test)]
impl Postgres {
    /// Whether each table's sum is that of its records.
    pub(crate) fn sums_hold(&mut self) -> Result<bool> {
        self.refresh()?;
        let mut hold = true;
        for layout in self.layouts.clone() {
            hold &= self.stored_sum(layout.table.id)? == Some(self.added_up(&layout, 0, i64::MAX)?);
        }
        Ok(hold)
    }
}
