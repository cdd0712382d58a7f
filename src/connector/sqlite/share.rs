//! What is agreed with peers.

use rusqlite::{OptionalExtension, params};

use super::{Sqlite, failure::Told, layout::Layout};
use crate::{
    connector::{Overdue, Part, Share},
    error::Result,
    model::{Lives, SiteId},
};

impl Sqlite {
    pub(super) fn read_share(&self, table: i64, peer: SiteId, part: Part) -> Result<Share> {
        let Some(site) = self.sites.known(peer) else { return Ok(Share::default()) };
        let sql = "SELECT told, heard, epoch, pull, push, asked, given, former, former_upto, compare, refused, lives FROM entente_share WHERE site = ?1 AND tab = ?2 AND role = ?3";
        let mut statement = self.conn.prepare_cached(sql).told("read the journal")?;
        let unsigned = |value: i64| u64::try_from(value).unwrap_or(0);
        let share = statement.query_row(params![site, table, part.number()], |row| {
            Ok(Share {
                told: unsigned(row.get(0)?),
                heard: unsigned(row.get(1)?),
                epoch: row.get(2)?,
                pull: row.get(3)?,
                push: row.get(4)?,
                asked: row.get(5)?,
                given: row.get(6)?,
                former: row.get(7)?,
                former_upto: row.get(8)?,
                compare: Overdue::from_bits(row.get(9)?),
                refused: row.get(10)?,
                lives: Lives::read(&row.get::<_, String>(11)?),
            })
        });
        Ok(share.optional().told("read the journal")?.unwrap_or_default())
    }

    pub(super) fn write_share(&mut self, table: i64, peer: SiteId, part: Part, share: &Share) -> Result<()> {
        let site = self.sites.id(&self.conn, peer)?;
        let sql = "INSERT INTO entente_share (site, tab, role, told, heard, epoch, pull, push, asked, given, former, former_upto, compare, refused, lives)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
                   ON CONFLICT (site, tab, role) DO UPDATE SET told = ?4, heard = ?5, epoch = ?6, pull = ?7, push = ?8, asked = ?9, given = ?10,
                   former = ?11, former_upto = ?12, compare = CASE WHEN compare >> 3 = ?13 >> 3 THEN ?13 ELSE compare END,
                   refused = MAX(refused, ?14), lives = ?15";
        let mut statement = self.conn.prepare_cached(sql).told("write the journal")?;
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let (told, heard) = (signed(share.told), signed(share.heard));
        let Share { epoch, pull, push, asked, given, former, former_upto, .. } = share;
        let values = params![
            site,
            table,
            part.number(),
            told,
            heard,
            epoch,
            pull,
            push,
            asked,
            given,
            former,
            former_upto,
            share.compare.bits(),
            share.refused,
            share.lives.to_string()
        ];
        statement.execute(values).told("write the journal").map(|_| ())
    }

    /// Forgets, in short transactions, what one peer or any is believed to hold.
    pub(super) fn forget_senders(&mut self, layout: &Layout, site: i64) -> Result<()> {
        const WINDOW: i64 = 2_000;
        let sql = format!("UPDATE {} SET received_from = NULL WHERE arrival BETWEEN ?1 AND ?2 AND received_from = ?3", layout.state());
        let mut first = 0;
        while first <= self.max_arrival(layout)? {
            self.transaction(|db| db.conn.execute(&sql, params![first, first + WINDOW - 1, site]).told("write the journal"))?;
            first += WINDOW;
            self.breathe();
        }
        Ok(())
    }
}
