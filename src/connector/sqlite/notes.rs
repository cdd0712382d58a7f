//! What peers without versions are known to hold, and which records are of which time.

use std::{collections::HashMap, rc::Rc};

use rusqlite::{Rows, params};

use super::{
    Sqlite,
    failure::{Told, quoted},
    layout::Layout,
    sql::{on_key, state_of},
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
        let rows = statement.query([since.0]).told("read the journal")?;
        uids_in(rows)
    }

    pub(super) fn uids_belonging(&mut self, layout: &Layout, field: &str, uids: &[String]) -> Result<Vec<String>> {
        let Some(link) = layout.references.iter().find(|link| link.field == field) else { return Ok(Vec::new()) };
        let (state, table, parent) = (layout.state(), quoted(&layout.table.name), state_of(link.parent_id));
        let (mut through, mut row) = (String::new(), link.to.clone());
        if link.by_key() {
            let part = |to: &String| format!("q.k{}", link.parent_key.iter().position(|key| key == to).unwrap_or(0) + 1);
            row = row.iter().map(part).collect();
        } else {
            through = format!(" CROSS JOIN {} r ON {}", link.parent, on_key(&link.parent_key, "r", "q"));
            row = row.iter().map(|to| format!("r.{}", quoted(to))).collect();
        }
        let on: Vec<String> = link.columns.iter().zip(&row).map(|(column, to)| format!("t.{} = {to}", quoted(column))).collect();
        let sql = format!(
            "SELECT s.uid FROM rarray(?1) w CROSS JOIN {parent} q ON q.uid = w.value AND q.deleted = 0{through} CROSS JOIN {table} t ON {}
             CROSS JOIN {state} s ON {} WHERE s.deleted = 0 AND s.uid IS NOT NULL AND s.held IS NULL",
            on.join(" AND "),
            layout.by_key("t", "s")
        );
        let mut statement = self.conn.prepare_cached(&sql).told("read the records")?;
        let wanted: Vec<_> = uids.iter().map(|uid| stored_uid(uid)).collect();
        let rows = statement.query([Rc::new(wanted)]).told("read the records")?;
        uids_in(rows)
    }
}

fn uids_in(mut rows: Rows<'_>) -> Result<Vec<String>> {
    let (mut uids, mut page) = (Vec::new(), Page::default());
    while let Some(row) = rows.next().told("read the journal")? {
        page.clear();
        let uid = push_uid(row.get_ref(0).told("read the journal")?, &mut page);
        uids.push(page.text(uid).to_owned());
    }
    Ok(uids)
}
