//! What is compared with another site, and the tombstones that nobody needs any longer (SYNC.md 9).

use super::{
    Postgres,
    args::{Arg, Columns},
    layout::Layout,
};
use crate::{
    connector::{Living, Named, Overdue, Place, Purged, Standing, known::broken},
    error::Result,
    model::{Digest, SiteId, Time},
};

/// Arrivals looked at in one query.
const WINDOW: i64 = 10_000;

/// Arrivals purged in one transaction.
const PURGE: i64 = 5_000;

impl Postgres {
    /// See [`crate::connector::Connector::living`].
    pub(super) fn read_living(&mut self, layout: &Layout, take: &mut dyn FnMut(Living<'_>) -> Result<()>) -> Result<()> {
        self.fold_gently(layout)?;
        self.sites.load(&mut self.link)?;
        let sql = format!(
            "SELECT arrival, uid, version, digest FROM {} WHERE arrival BETWEEN $1::bigint AND $2::bigint
             AND NOT deleted AND uid IS NOT NULL AND digest IS NOT NULL ORDER BY arrival",
            layout.state()
        );
        let (mut first, last) = (0, self.max_arrival(layout)?);
        while first <= last {
            for row in self.link.query(&sql, &[first.into(), (first + WINDOW - 1).into()], "read the journal")? {
                let version = self.sites.read_version(row.text(2)?.unwrap_or_default())?;
                let digest = row.raw(3)?.and_then(|raw| raw.try_into().ok()).map(Digest).ok_or_else(broken)?;
                let arrival = row.int(0)?.unwrap_or(0);
                take(Living { arrival, uid: row.text(1)?.unwrap_or_default(), version: &version, digest })?;
            }
            first += WINDOW;
        }
        Ok(())
    }

    /// See [`crate::connector::Connector::standings`].
    pub(super) fn read_standings(&mut self, layout: &Layout, peer: SiteId, named: Named<'_>) -> Result<Vec<Standing>> {
        self.fold_gently(layout)?;
        self.sites.load(&mut self.link)?;
        let peer = self.sites.known(peer);
        let (wanted, values) = match named {
            Named::Uids(uids) => ("uid = ANY ($1::text[])", Arg::texts(uids)),
            Named::Arrivals(arrivals) => ("arrival = ANY ($1::bigint[])", Arg::ints(arrivals)),
        };
        let sql = format!(
            "SELECT uid, arrival, deleted, held::bigint, received_from FROM {} WHERE {wanted} AND uid IS NOT NULL ORDER BY arrival",
            layout.state()
        );
        let rows = self.link.query(&sql, &[values], "read the journal")?;
        let standing = |row: &postgres::Row| {
            let place = Place::of(row.int(3)?, row.flag(2)?);
            let from = row.int(4)?;
            let given = from.is_some() && from == peer;
            Ok(Standing { uid: row.owned(0)?, arrival: row.int(1)?.unwrap_or(0), place, given })
        };
        rows.iter().map(standing).collect()
    }

    /// See [`crate::connector::Connector::purge`].
    pub(super) fn purge_tombstones(&mut self, layout: &Layout, now: Time, before: Time) -> Result<Purged> {
        // What was written again under a tombstone's key is known by then.
        self.gather_gently(layout)?;
        let (id, head) = (layout.table.id, self.max_arrival(layout)?);
        let reached = "SELECT MAX(arrival) FROM entente.reached WHERE tab = $1::bigint AND at <= $2::bigint";
        let aged = self.link.one(reached, &[id.into(), before.0.into()], "read the journal")?.int(0)?;
        // The last arrival stays: peers' cursors stand there, and the next one is counted from it.
        let upto = aged.unwrap_or(0).min(head - 1);
        let (mut purged, mut last, mut first) = (Purged::default(), 0, 0);
        while first <= upto {
            let end = (first + PURGE - 1).min(upto);
            let (some, latest) = self.transaction(|db| db.purge_some(layout, first, end))?;
            purged.tombstones += some;
            last = last.max(latest);
            first = end + 1;
        }
        purged.behind = self.transaction(|db| {
            let behind = if last > 0 { db.leave_behind(id, last)? } else { Vec::new() };
            let used = "DELETE FROM entente.reached WHERE tab = $1::bigint
                        AND at < (SELECT MAX(at) FROM entente.reached WHERE tab = $1::bigint AND at <= $2::bigint)";
            db.link.run(used, &[id.into(), before.0.into()], "write the journal")?;
            let reached = "INSERT INTO entente.reached (tab, at, arrival) VALUES ($1, $2, $3) ON CONFLICT (tab, at) DO UPDATE SET arrival = excluded.arrival";
            db.link.run(reached, &[id.into(), now.0.into(), head.into()], "write the journal")?;
            Ok(behind)
        })?;
        Ok(purged)
    }

    /// How many tombstones went, and the last arrival of one.
    fn purge_some(&mut self, layout: &Layout, first: i64, last: i64) -> Result<(u64, i64)> {
        let dead =
            "arrival BETWEEN $1::bigint AND $2::bigint AND deleted AND held IS NULL AND heir IS NULL AND own IS NULL AND uid IS NOT NULL";
        let gone = format!("DELETE FROM {} WHERE {dead} RETURNING arrival, uid", layout.state());
        let gone = self.link.query(&gone, &[first.into(), last.into()], "write the journal")?;
        if layout.table.bases && !gone.is_empty() {
            let uids: Vec<String> = gone.iter().map(|row| row.owned(1)).collect::<Result<_>>()?;
            let sql = format!("DELETE FROM entente.base_{} WHERE uid = ANY ($1::text[])", layout.table.id);
            self.link.run(&sql, &[Arg::texts(&uids)], "write the journal")?;
        }
        let latest =
            gone.iter().map(|row| row.int(0)).try_fold(0, |latest, at| Ok::<_, crate::error::Error>(latest.max(at?.unwrap_or(0))))?;
        Ok((gone.len() as u64, latest))
    }

    /// The peers that had not acknowledged everything up to an arrival have to compare.
    fn leave_behind(&mut self, table: i64, upto: i64) -> Result<Vec<SiteId>> {
        self.sites.load(&mut self.link)?;
        let due = Overdue { due: true, ..Overdue::default() };
        let sql = "UPDATE entente.share SET compare = (compare | $3::bigint) + 8 WHERE tab = $1::bigint AND site IN
                     (SELECT site FROM entente.share WHERE tab = $1::bigint
                      GROUP BY site HAVING MAX(push) < $2::bigint AND MAX(told) + MAX(heard) > 0)
                   RETURNING site";
        let rows = self.link.query(sql, &[table.into(), upto.into(), due.bits().into()], "write the journal")?;
        let mut sites: Vec<SiteId> = rows
            .iter()
            .map(|row| Ok(row.int(0)?.and_then(|id| self.sites.site(id))))
            .filter_map(Result::transpose)
            .collect::<Result<_>>()?;
        sites.sort_unstable();
        sites.dedup();
        Ok(sites)
    }
}
