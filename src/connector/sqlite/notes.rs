//! What peers without versions are known to hold, and which records are of which time.

use std::{collections::HashMap, rc::Rc};

use rusqlite::params;

use super::{
    Sqlite,
    failure::Told,
    layout::Layout,
    values::{push_uid, stored_uid},
};
use crate::{
    error::Result,
    model::{Page, SiteId, Time},
};

impl Sqlite {
    pub(super) fn read_notes(&mut self, table: i64, peer: SiteId, uids: Option<&[String]>) -> Result<HashMap<String, String>> {
        self.sites.learn(&self.conn)?;
        let Some(site) = self.sites.known(peer) else { return Ok(HashMap::new()) };
        let sql = match uids {
            Some(_) => "SELECT n.uid, n.note FROM rarray(?3) w CROSS JOIN entente_note n ON n.tab = ?1 AND n.site = ?2 AND n.uid = w.value",
            None => "SELECT n.uid, n.note FROM entente_note n WHERE n.tab = ?1 AND n.site = ?2 AND ?3 IS NULL",
        };
        let mut statement = self.conn.prepare_cached(sql).told("read the journal")?;
        let stored = uids.map(|uids| Rc::new(uids.iter().map(|uid| stored_uid(uid)).collect::<Vec<_>>()));
        let mut rows = match stored {
            Some(stored) => statement.query(params![table, site, stored]),
            None => statement.query(params![table, site, rusqlite::types::Null]),
        }
        .told("read the journal")?;
        let (mut notes, mut page) = (HashMap::new(), Page::default());
        while let Some(row) = rows.next().told("read the journal")? {
            page.clear();
            let uid = push_uid(row.get_ref(0).told("read the journal")?, &mut page);
            notes.insert(page.text(uid).to_owned(), row.get(1).told("read the journal")?);
        }
        Ok(notes)
    }

    pub(super) fn write_notes(&mut self, table: i64, peer: SiteId, notes: &[(String, String)]) -> Result<()> {
        let site = self.sites.id(&self.conn, peer)?;
        let sql =
            "INSERT INTO entente_note (tab, site, uid, note) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (tab, site, uid) DO UPDATE SET note = ?4";
        let mut statement = self.conn.prepare_cached(sql).told("write the journal")?;
        for (uid, note) in notes {
            statement.execute(params![table, site, stored_uid(uid), note]).told("write the journal")?;
        }
        Ok(())
    }

    pub(super) fn uids_since(&mut self, layout: &Layout, since: Time) -> Result<Vec<String>> {
        let sql = format!("SELECT uid FROM {} WHERE modified_on >= ?1 AND uid IS NOT NULL AND held IS NULL", layout.state());
        let mut statement = self.conn.prepare_cached(&sql).told("read the journal")?;
        let mut rows = statement.query([since.0]).told("read the journal")?;
        let (mut uids, mut page) = (Vec::new(), Page::default());
        while let Some(row) = rows.next().told("read the journal")? {
            page.clear();
            let uid = push_uid(row.get_ref(0).told("read the journal")?, &mut page);
            uids.push(page.text(uid).to_owned());
        }
        Ok(uids)
    }
}
