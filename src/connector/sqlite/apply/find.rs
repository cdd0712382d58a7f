//! Looking for records: where they and what they refer to are here, and which of them match.

use std::rc::Rc;

use rusqlite::{params_from_iter, types::Value as Native};

use super::Transaction;
use crate::{
    connector::{
        Found, Key, KeyPart, Locals, Table, Target, Targets,
        aliases::{Heirs, in_order},
        seen::place,
        sqlite::{
            failure::{Told, quoted},
            layout::Layout,
            values::{Bound, key_part, push_uid, stored_uid},
        },
    },
    error::Result,
    model::{Page, RecordView, SiteId, Time},
};

impl Transaction<'_> {
    /// The uids that `uids` lead to by aliases.
    fn heirs(&self, layout: &Layout, uids: &[&str]) -> Result<Heirs> {
        let state = layout.state();
        let sql = format!(
            "SELECT w.value, s.heir FROM rarray(?1) w CROSS JOIN {state} s ON s.uid = w.value WHERE s.heir IS NOT NULL AND s.deleted = 1"
        );
        let any = format!("SELECT EXISTS (SELECT 1 FROM {state} WHERE heir IS NOT NULL)");
        // Aliases are rare: most tables have none, and one look spares the query.
        if !self.has_aliases(&any)? {
            return Ok(Heirs::default());
        }
        Heirs::follow(uids, |asked| {
            let stored: Vec<Native> = asked.iter().map(|uid| stored_uid(uid)).collect();
            let mut statement = self.db.conn.prepare_cached(&sql).told("read the journal")?;
            let mut rows = statement.query([Rc::new(stored)]).told("read the journal")?;
            let (mut page, mut next) = (Page::default(), Vec::new());
            while let Some(row) = rows.next().told("read the journal")? {
                let from = push_uid(row.get_ref(0).told("read the journal")?, &mut page);
                let to = push_uid(row.get_ref(1).told("read the journal")?, &mut page);
                next.push((page.text(from).to_owned(), page.text(to).to_owned()));
            }
            Ok(next)
        })
    }

    fn has_aliases(&self, sql: &str) -> Result<bool> {
        self.db.conn.prepare_cached(sql).and_then(|mut statement| statement.query_row([], |row| row.get(0))).told("read the journal")
    }

    pub(super) fn find_locals(&mut self, table: &Table, uids: &[&str], peer: SiteId) -> Result<Locals> {
        let layout = self.layout(table)?;
        self.last_arrival = None;
        let heirs = self.heirs(&layout, uids)?;
        let wanted: Vec<&str> = uids.iter().map(|uid| heirs.last(uid)).collect();
        let stored: Vec<Native> = wanted.iter().map(|uid| stored_uid(uid)).collect();
        let mut locals = Locals { found: vec![None; uids.len()], ..Locals::default() };
        let mut seen = self.db.read_each(&layout, stored.clone(), &mut locals.page)?;
        let vanished: Vec<i64> = seen.iter().filter(|seen| seen.vanished).map(|seen| seen.arrival).collect();
        if !vanished.is_empty() {
            self.db.bury(&layout, &vanished, Time(0))?;
            self.db.fold_all(&layout)?;
            locals.page = Page::default();
            seen = self.db.read_each(&layout, stored, &mut locals.page)?;
        }
        if seen.is_empty() {
            return Ok(locals);
        }
        if layout.table.bases {
            let known: Vec<Native> = locals.page.views().map(|view| stored_uid(view.uid())).collect();
            self.db.read_bases(&layout, &known, &mut locals.bases)?;
        }
        place(&mut locals, &seen, &wanted, self.db.sites.known(peer));
        Ok(locals)
    }

    pub(super) fn find_targets(&mut self, wanted: &[(&str, &str)]) -> Result<Targets> {
        let mut targets = Targets::default();
        self.last_arrival = None;
        for (resource, uids) in in_order(wanted) {
            let Some(layout) = self.db.layouts.iter().find(|layout| layout.table.resource == resource).cloned() else { continue };
            self.db.fold_all(&layout)?;
            let uids: Vec<&str> = uids.into_iter().collect();
            let heirs = self.heirs(&layout, &uids)?;
            let followers = heirs.followers(&uids);
            let stored: Vec<Native> = followers.keys().map(|uid| stored_uid(uid)).collect();
            let keys: String = (1..=layout.key.len()).map(|at| format!(", s.k{at}")).collect();
            let sql = format!("SELECT s.uid, s.deleted{keys} FROM rarray(?1) w CROSS JOIN {} s ON s.uid = w.value", layout.state());
            let mut statement = self.db.conn.prepare_cached(&sql).told("follow references")?;
            let mut rows = statement.query([Rc::new(stored)]).told("follow references")?;
            let mut page = Page::default();
            while let Some(row) = rows.next().told("follow references")? {
                let span = push_uid(row.get_ref(0).told("follow references")?, &mut page);
                let deleted: bool = row.get(1).told("follow references")?;
                let parts = (0..layout.key.len()).map(|at| row.get_ref(at + 2).map(key_part)).collect::<rusqlite::Result<Vec<_>>>();
                let target = if deleted { Target::Deleted } else { Target::Here(Key(parts.told("follow references")?)) };
                let found = page.text(span);
                targets.set_all(resource, followers.get(found).map_or(&[], Vec::as_slice), found, &target);
            }
        }
        Ok(targets)
    }

    pub(super) fn find_twin(&mut self, table: &Table, record: RecordView<'_>, targets: &Targets) -> Result<Option<String>> {
        let layout = self.layout(table)?;
        let (mut conditions, mut values) = (Vec::new(), Vec::new());
        for field in &table.matching {
            if let Some(data) = layout.data.iter().find(|data| data.field == *field) {
                conditions.push(format!("t.{} = ?{}", quoted(&data.column), conditions.len() + 1));
                values.push(self.data_part(&layout, data, record)?);
            } else if let Some(link) = layout.references.iter().find(|link| link.field == *field) {
                let set = self.link_values(link, record, targets).unwrap_or(None).unwrap_or_default();
                for (column, part) in link.columns.iter().zip(set) {
                    conditions.push(format!("t.{} = ?{}", quoted(column), conditions.len() + 1));
                    values.push(part);
                }
            }
        }
        if conditions.is_empty() || values.contains(&KeyPart::Null) {
            return Ok(None);
        }
        let sql = format!(
            "SELECT s.uid FROM {} t JOIN {} s ON {} WHERE s.deleted = 0 AND {}",
            quoted(&table.name),
            layout.state(),
            layout.by_key("t", "s"),
            conditions.join(" AND ")
        );
        let mut statement = self.db.conn.prepare_cached(&sql).told("look for a match")?;
        let mut rows = statement.query(params_from_iter(values.iter().map(Bound::of_key))).told("look for a match")?;
        let mut page = Page::default();
        let Some(row) = rows.next().told("look for a match")? else { return Ok(None) };
        let span = push_uid(row.get_ref(0).told("look for a match")?, &mut page);
        Ok(Some(page.text(span).to_owned()))
    }

    pub(super) fn is_referred(&mut self, table: &Table, found: Found) -> Result<bool> {
        let layout = self.layout(table)?;
        let Some(key) = self.local_key(&layout, Some(found))? else { return Ok(false) };
        for child in self.db.layouts.clone() {
            for link in child.references.iter().filter(|link| link.parent_id == table.id && !link.loose) {
                let pairs: Vec<String> =
                    link.columns.iter().zip(&link.to).map(|(column, to)| format!("c.{} = p.{}", quoted(column), quoted(to))).collect();
                let itself = if child.table.id == table.id {
                    let same: Vec<String> = layout.key.iter().map(|key| format!("c.{0} = p.{0}", quoted(key))).collect();
                    format!(" AND NOT ({})", same.join(" AND "))
                } else {
                    String::new()
                };
                let keys: Vec<String> = layout.key.iter().enumerate().map(|(at, key)| format!("p.{} = ?{}", quoted(key), at + 1)).collect();
                let sql = format!(
                    "SELECT EXISTS (SELECT 1 FROM {} p JOIN {} c ON {} WHERE {}{itself})",
                    quoted(&table.name),
                    quoted(&child.table.name),
                    pairs.join(" AND "),
                    keys.join(" AND ")
                );
                let mut statement = self.db.conn.prepare_cached(&sql).told("look for references")?;
                if statement.query_row(params_from_iter(key.0.iter().map(Bound::of_key)), |row| row.get(0)).told("look for references")? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}
