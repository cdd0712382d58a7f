//! What an Eden's own tables want beside their rows: entries in super-entities, and whose records they are.

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use rusqlite::types::Value as Native;

use super::Transaction;
use crate::{
    connector::{
        Key, Make, Whose,
        eden::{Glance, Ground, Super, accounts, supers},
        keys::key_to_enter,
        sqlite::{
            Sqlite,
            failure::{Told, quoted},
            layout::Layout,
            shape::Shape,
            values::{push_uid, stored_uid},
        },
    },
    error::{Kind as Fault, Result},
    model::Page,
};

/// Rows that were written, by table.
pub(super) type Entered = BTreeMap<i64, Vec<Native>>;

const KEYS: &str = "IN (SELECT value FROM rarray(?1))";

impl Transaction<'_> {
    /// Notes a row that may want entries.
    pub(super) fn entered(&mut self, layout: &Layout, key: Option<&Key>) {
        if let Some(key) = key_to_enter(layout, key) {
            self.entered.entry(layout.table.id).or_default().push(Native::Integer(key));
        }
    }

    /// Gives the rows that were written the entries that an Eden's own forms would give them. Where the database does not let it, the rows stay without.
    pub(super) fn enter_supers(&mut self) -> Result<()> {
        for (table, keys) in std::mem::take(&mut self.entered) {
            let Some(layout) = self.db.layouts.iter().find(|layout| layout.table.id == table).cloned() else { continue };
            let keys = Rc::new(keys);
            let travels = |column: &str| layout.references.iter().any(|link| link.columns.iter().any(|own| own == column));
            for entity in supers(self.db, &layout.table.name, &travels)? {
                self.db.conn.execute_batch("SAVEPOINT entente_super").told("write to the database")?;
                match self.enter(&layout, &entity, &keys) {
                    Err(error) if error.kind() == Fault::Constraint && !self.db.conn.is_autocommit() => {
                        tracing::warn!("{} cannot be entered into {}: {}", layout.table.name, entity.rel, error.chain());
                        self.marked = None;
                        self.db.conn.execute_batch("ROLLBACK TO entente_super; RELEASE entente_super").told("go on")?;
                    }
                    done => {
                        done?;
                        self.db.conn.execute_batch("RELEASE entente_super").told("write to the database")?;
                    }
                }
            }
        }
        Ok(())
    }

    fn enter(&mut self, layout: &Layout, entity: &Super, keys: &Rc<Vec<Native>>) -> Result<()> {
        let (rel, name, id) = (quoted(&layout.table.name), layout.table.name.as_str(), quoted(&layout.key[0]));
        self.mark_all(layout)?;
        let statements =
            [Some(entity.enter(&rel, name, &id, KEYS)), Some(entity.hold(&rel, name, &id, KEYS)), entity.follow(&rel, name, &id, KEYS)];
        for sql in statements.into_iter().flatten() {
            self.db.conn.prepare_cached(&sql).and_then(|mut statement| statement.execute([keys])).told("enter rows into a super-entity")?;
        }
        Ok(())
    }

    /// See [`crate::connector::Apply::set_accounts`].
    pub(super) fn name_accounts(&mut self, layout: &Layout, named: &[Whose]) -> Result<()> {
        if layout.table.form.make != Make::Eden || !layout.own_key {
            return Ok(());
        }
        for (column, account, uids) in accounts(self.db, &layout.table.name, named)? {
            self.mark_all(layout)?;
            let sql = format!(
                "UPDATE {} SET {column} = ?2 WHERE {} IN (SELECT s.k1 FROM rarray(?1) w CROSS JOIN {} s ON s.uid = w.value AND s.deleted = 0)",
                quoted(&layout.table.name),
                quoted(&layout.key[0]),
                layout.state()
            );
            let uids: Vec<Native> = uids.into_iter().map(stored_uid).collect();
            let values = rusqlite::params![Rc::new(uids), account];
            self.db.conn.prepare_cached(&sql).and_then(|mut statement| statement.execute(values)).told("name accounts")?;
        }
        Ok(())
    }

    /// Tells the triggers that all that is written to a table from here on is ours.
    fn mark_all(&mut self, layout: &Layout) -> Result<()> {
        if self.marked != Some(layout.table.id) {
            let sql = "INSERT INTO entente_applying (tab, everything) VALUES (?1, 1)";
            self.db.conn.prepare_cached("DELETE FROM entente_applying").and_then(|mut s| s.execute([])).told("write the journal")?;
            self.db.conn.prepare_cached(sql).and_then(|mut s| s.execute([layout.table.id])).told("write the journal")?;
        }
        // In a transaction whose rows are marked one by one, the next row is marked again.
        self.marked = (!self.spread).then_some(layout.table.id);
        Ok(())
    }
}

impl Ground for Sqlite {
    const AMONG: &'static str = "IN (SELECT value FROM rarray(?1))";

    fn glance(&mut self, table: &str) -> Result<Option<Glance>> {
        let shape = match Shape::read(&self.conn, table) {
            Err(error) if error.kind() == Fault::NotFound => return Ok(None),
            shape => shape?,
        };
        // A foreign key that names no column there leads to the key.
        let same = shape.foreign.iter().filter(|key| key.columns.len() == 1 && (key.to.is_empty() || key.to == key.columns));
        let foreign = same.map(|key| (key.columns[0].clone(), key.parent.clone())).collect();
        let columns = shape.columns.iter().map(|column| column.name.clone()).collect();
        Ok(Some(Glance { rel: quoted(&shape.name), columns, foreign }))
    }

    fn is(&mut self, sql: &str) -> Result<bool> {
        self.conn.query_row(sql, [], |row| row.get(0)).told("read a super-entity")
    }

    fn keys(&mut self, sql: &str, names: &[String]) -> Result<HashMap<String, i64>> {
        let names: Vec<Native> = names.iter().map(|name| Native::Text(name.clone())).collect();
        let mut statement = self.conn.prepare_cached(sql).told("look for accounts")?;
        let rows = statement.query_map([Rc::new(names)], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.and_then(Iterator::collect).told("look for accounts")
    }

    fn names(&mut self, sql: &str, uids: &[String]) -> Result<Vec<(String, String)>> {
        let uids: Vec<Native> = uids.iter().map(|uid| stored_uid(uid)).collect();
        let mut statement = self.conn.prepare_cached(sql).told("look for accounts")?;
        let mut rows = statement.query([Rc::new(uids)]).told("look for accounts")?;
        let (mut names, mut page) = (Vec::new(), Page::default());
        while let Some(row) = rows.next().told("look for accounts")? {
            page.clear();
            let uid = push_uid(row.get_ref(0).told("look for accounts")?, &mut page);
            names.push((page.text(uid).to_owned(), row.get(1).told("look for accounts")?));
        }
        Ok(names)
    }
}
