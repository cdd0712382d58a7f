//! What an Eden's own tables want beside their rows: entries in super-entities, and whose records they are.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
};

use rusqlite::types::Value as Native;

use super::Transaction;
use crate::{
    connector::{
        Key, KeyPart, Make,
        eden::{Foreign, Super, is_instance, named_in},
        sqlite::{
            failure::{Told, quoted},
            layout::Layout,
            shape::Shape,
            values::stored_uid,
        },
    },
    error::{Kind as Fault, Result},
};

/// Rows that were written, by table.
pub(super) type Entered = BTreeMap<i64, Vec<Native>>;

const KEYS: &str = "IN (SELECT value FROM rarray(?1))";

impl Transaction<'_> {
    /// Notes a row that may want entries.
    pub(super) fn entered(&mut self, layout: &Layout, key: Option<&Key>) {
        if let (Make::Eden, true, Some([KeyPart::Integer(key)])) = (layout.table.form.make, layout.own_key, key.map(|key| key.0.as_slice()))
        {
            self.entered.entry(layout.table.id).or_default().push(Native::Integer(*key));
        }
    }

    /// Gives the rows that were written the entries that an Eden's own forms would give them. Where the database does not let it, the rows stay without.
    pub(super) fn enter_supers(&mut self) -> Result<()> {
        for (table, keys) in std::mem::take(&mut self.entered) {
            let Some(layout) = self.db.layouts.iter().find(|layout| layout.table.id == table).cloned() else { continue };
            let keys = Rc::new(keys);
            for entity in self.supers(&layout)? {
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

    /// The super-entities that rows of a table have entries in.
    fn supers(&self, layout: &Layout) -> Result<Vec<Super>> {
        let own = Shape::read(&self.db.conn, &layout.table.name)?;
        let names: Vec<&str> = own.columns.iter().map(|column| column.name.as_str()).collect();
        let mut found = Vec::new();
        for key in &own.foreign {
            let [column] = key.columns.as_slice() else { continue };
            let travels = layout.references.iter().any(|link| link.columns.contains(column));
            if travels || key.to.first().is_some_and(|to| to != column) {
                continue;
            }
            let parent = match Shape::read(&self.db.conn, &key.parent) {
                Err(error) if error.kind() == Fault::NotFound => continue,
                parent => parent?,
            };
            let columns = parent.columns.iter().map(|column| column.name.as_str()).collect();
            let Some(entity) = Super::of(Foreign { column, rel: quoted(&parent.name), columns }, &names) else { continue };
            let used = || self.db.conn.query_row(&entity.is_used(&layout.table.name), [], |row| row.get(0)).told("read a super-entity");
            if is_instance(&layout.table.name, column) || used()? {
                found.push(entity);
            }
        }
        Ok(found)
    }

    /// See [`crate::connector::Apply::set_accounts`].
    pub(super) fn name_accounts(&mut self, layout: &Layout, named: &[(String, String, String)]) -> Result<()> {
        if layout.table.form.make != Make::Eden || !layout.own_key {
            return Ok(());
        }
        let own = Shape::read(&self.db.conn, &layout.table.name)?;
        let mut by_name: BTreeMap<(&str, &str), Vec<Native>> = BTreeMap::new();
        for (uid, column, name) in named.iter().filter(|(_, column, _)| own.column(column).is_some()) {
            by_name.entry((column, name)).or_default().push(stored_uid(uid));
        }
        let mut known: HashMap<&str, HashMap<String, i64>> = HashMap::new();
        for ((column, name), uids) in &by_name {
            let Some((table, called)) = named_in(column) else { continue };
            if !known.contains_key(table) {
                known.insert(table, self.accounts(table, called, by_name.keys().map(|(_, name)| *name).collect())?);
            }
            let Some(account) = known.get(table).and_then(|known| known.get(&name.to_lowercase())) else { continue };
            self.mark_all(layout)?;
            let sql = format!(
                "UPDATE {} SET {} = ?2 WHERE {} IN (SELECT s.k1 FROM rarray(?1) w CROSS JOIN {} s ON s.uid = w.value AND s.deleted = 0)",
                quoted(&layout.table.name),
                quoted(column),
                quoted(&layout.key[0]),
                layout.state()
            );
            let values = rusqlite::params![Rc::new(uids.clone()), account];
            self.db.conn.prepare_cached(&sql).and_then(|mut statement| statement.execute(values)).told("name accounts")?;
        }
        Ok(())
    }

    /// The keys of those of these accounts that are here.
    fn accounts(&self, table: &str, called: &str, names: BTreeSet<&str>) -> Result<HashMap<String, i64>> {
        let there = match Shape::read(&self.db.conn, table) {
            Err(error) if error.kind() == Fault::NotFound => return Ok(HashMap::new()),
            there => there?,
        };
        if there.column("id").is_none() || there.column(called).is_none() {
            return Ok(HashMap::new());
        }
        let names: Vec<Native> = names.into_iter().map(|name| Native::Text(name.to_lowercase())).collect();
        let sql = format!(
            "SELECT lower({0}), min(id) FROM {1} WHERE lower({0}) IN (SELECT value FROM rarray(?1)) GROUP BY 1",
            quoted(called),
            quoted(table)
        );
        let mut statement = self.db.conn.prepare_cached(&sql).told("look for accounts")?;
        let rows = statement.query_map([Rc::new(names)], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.and_then(Iterator::collect).told("look for accounts")
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
