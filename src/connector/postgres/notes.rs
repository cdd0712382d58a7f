//! What peers without versions are known to hold, and which records are of which time.

use std::collections::HashMap;

use super::{
    Postgres,
    args::{Arg, Columns},
    failure::quoted,
    layout::Layout,
    sql::{on_key, state_of},
};
use crate::{
    error::Result,
    model::{SiteId, Time},
};

impl Postgres {
    pub(super) fn read_notes(&mut self, table: i64, peer: SiteId, uids: Option<&[String]>) -> Result<HashMap<String, String>> {
        self.sites.load(&mut self.link)?;
        let Some(site) = self.sites.known(peer) else { return Ok(HashMap::new()) };
        let sql = "SELECT uid, note FROM entente.held WHERE tab = $1::bigint AND site = $2::bigint";
        let rows = match uids {
            Some(uids) => {
                let sql = format!("{sql} AND uid = ANY($3::text[])");
                self.link.query(&sql, &[table.into(), site.into(), Arg::texts(uids)], "read the journal")?
            }
            None => self.link.query(sql, &[table.into(), site.into()], "read the journal")?,
        };
        rows.iter().map(|row| Ok((row.owned(0)?, row.owned(1)?))).collect()
    }

    pub(super) fn write_notes(&mut self, table: i64, peer: SiteId, notes: &[(String, String)]) -> Result<()> {
        if notes.is_empty() {
            return Ok(());
        }
        let site = self.sites.id(&mut self.link, peer)?;
        // One uid once: the same row cannot be written twice by one statement. The last note counts.
        let notes: HashMap<&str, &str> = notes.iter().map(|(uid, note)| (uid.as_str(), note.as_str())).collect();
        let (uids, notes): (Vec<&str>, Vec<&str>) = notes.into_iter().unzip();
        let sql = "INSERT INTO entente.held (tab, site, uid, note) SELECT $1::bigint, $2::bigint, * FROM unnest($3::text[], $4::text[])
                   ON CONFLICT (tab, site, uid) DO UPDATE SET note = excluded.note";
        self.link.run(sql, &[table.into(), site.into(), Arg::texts(&uids), Arg::texts(&notes)], "write the journal").map(drop)
    }

    pub(super) fn uids_since(&mut self, layout: &Layout, since: Time) -> Result<Vec<String>> {
        let sql = format!("SELECT uid FROM {} WHERE modified_on >= $1::bigint AND uid IS NOT NULL AND held IS NULL", layout.state());
        self.link.query(&sql, &[since.0.into()], "read the journal")?.iter().map(|row| row.owned(0)).collect()
    }

    pub(super) fn uids_belonging(&mut self, layout: &Layout, field: &str, uids: &[String]) -> Result<Vec<String>> {
        let Some(link) = layout.references.iter().find(|link| link.field == field) else { return Ok(Vec::new()) };
        let (mut through, mut row) = (String::new(), link.to.clone());
        if link.by_key() {
            let part = |to: &String| format!("q.k{}", link.parent_key.iter().position(|key| key == to).unwrap_or(0) + 1);
            row = row.iter().map(part).collect();
        } else {
            through = format!(" JOIN {} r ON {}", link.parent, on_key(&link.parent_key, "r", "q"));
            row = row.iter().map(|to| format!("r.{}", quoted(to))).collect();
        }
        let on: Vec<String> = link.columns.iter().zip(&row).map(|(column, to)| format!("t.{} = {to}", quoted(column))).collect();
        let sql = format!(
            "SELECT s.uid FROM {} q{through} JOIN {} t ON {} JOIN {} s ON {} AND NOT s.deleted AND s.uid IS NOT NULL AND s.held IS NULL
             WHERE q.uid = ANY($1::text[]) AND NOT q.deleted",
            state_of(link.parent_id),
            layout.rel,
            on.join(" AND "),
            layout.state(),
            layout.on_key("t", "s")
        );
        self.link.query(&sql, &[Arg::texts(uids)], "read the records")?.iter().map(|row| row.owned(0)).collect()
    }
}
