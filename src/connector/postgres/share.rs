//! What is agreed with peers, and whether anything changed.

use super::{
    Postgres,
    args::{Arg, Columns},
    layout::Layout,
};
use crate::{
    connector::{Overdue, Part, Share},
    error::Result,
    model::{Lives, SiteId},
};

impl Postgres {
    pub(super) fn read_share(&mut self, table: i64, peer: SiteId, part: Part) -> Result<Share> {
        let Some(site) = self.sites.known(peer) else { return Ok(Share::default()) };
        let sql = "SELECT told, heard, epoch, pull, push, asked, given, former, former_upto, compare, refused, lives FROM entente.share
                   WHERE site = $1::bigint AND tab = $2::bigint AND role = $3::smallint";
        let Some(row) = self.link.maybe(sql, &[site.into(), table.into(), part.number().into()], "read the journal")? else {
            return Ok(Share::default());
        };
        let unsigned = |at: usize| row.int(at).map(|value| value.and_then(|value| u64::try_from(value).ok()).unwrap_or(0));
        let maybe = |at: usize| row.text(at).map(|text| text.map(str::to_owned));
        Ok(Share {
            told: unsigned(0)?,
            heard: unsigned(1)?,
            epoch: maybe(2)?,
            pull: row.owned(3)?,
            push: row.int(4)?.unwrap_or(0),
            asked: row.owned(5)?,
            given: row.owned(6)?,
            former: maybe(7)?,
            former_upto: row.int(8)?.unwrap_or(0),
            compare: Overdue::from_bits(row.int(9)?.unwrap_or(0)),
            refused: row.flag(10)?,
            lives: Lives::read(&row.owned(11)?),
        })
    }

    pub(super) fn write_share(&mut self, table: i64, peer: SiteId, part: Part, share: &Share) -> Result<()> {
        let site = self.sites.id(&mut self.link, peer)?;
        let sql = "INSERT INTO entente.share AS share (site, tab, role, told, heard, epoch, pull, push, asked, given, former, former_upto, compare, refused, lives)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
                   ON CONFLICT (site, tab, role) DO UPDATE SET told = excluded.told, heard = excluded.heard, epoch = excluded.epoch,
                   pull = excluded.pull, push = excluded.push, asked = excluded.asked, given = excluded.given, former = excluded.former,
                   former_upto = excluded.former_upto,
                   compare = CASE WHEN share.compare >> 3 = excluded.compare >> 3 THEN excluded.compare ELSE share.compare END,
                   refused = share.refused OR excluded.refused, lives = excluded.lives";
        let signed = |value: u64| Arg::Int(i64::try_from(value).unwrap_or(i64::MAX));
        let args = [
            site.into(),
            table.into(),
            part.number().into(),
            signed(share.told),
            signed(share.heard),
            share.epoch.as_ref().into(),
            Arg::text(&share.pull),
            share.push.into(),
            Arg::text(&share.asked),
            Arg::text(&share.given),
            share.former.as_ref().into(),
            share.former_upto.into(),
            share.compare.bits().into(),
            share.refused.into(),
            share.lives.to_string().into(),
        ];
        self.link.run(sql, &args, "write the journal").map(drop)
    }

    /// Forgets, in short transactions, what a peer is believed to hold.
    pub(super) fn forget_senders(&mut self, layout: &Layout, site: i64) -> Result<()> {
        const WINDOW: i64 = 20_000;
        let sql = format!(
            "UPDATE {} SET received_from = NULL
             WHERE arrival BETWEEN $1::bigint AND $2::bigint AND received_from = $3::bigint",
            layout.state()
        );
        let mut first = 0;
        while first <= self.max_arrival(layout)? {
            let args = [first.into(), (first + WINDOW - 1).into(), site.into()];
            self.transaction(|db| db.link.run(&sql, &args, "write the journal"))?;
            first += WINDOW;
        }
        Ok(())
    }

    /// See [`crate::connector::Connector::pulse`]: one number for what is attached, for the last arrivals and for what is noted and not taken over.
    /// Asked many times a second: one query, for the tables that were attached when the connection was last used.
    pub(super) fn read_pulse(&mut self) -> Result<i64> {
        if self.schema.is_none() {
            self.refresh()?;
        }
        let mut sql = "SELECT (SELECT COALESCE(string_agg(id || ':' || xmin, ' ' ORDER BY id), '') FROM entente.tab)".to_owned();
        for layout in &self.layouts {
            let last = format!("(SELECT ' ' || COALESCE(MAX(arrival), 0) FROM {})", layout.state());
            let noted =
                format!("(SELECT ' ' || count(*) || ' ' || COALESCE(sum(n.at), 0) FROM {} n WHERE {})", layout.note(), layout.ungathered());
            sql.extend([" || ", &last, " || ", &noted]);
        }
        let pulse = self.link.one(&sql, &[], "look for changes")?.owned(0)?;
        Ok(i64::from_le_bytes(*blake3::hash(pulse.as_bytes()).as_bytes().first_chunk().unwrap_or(&[0; 8])))
    }
}
