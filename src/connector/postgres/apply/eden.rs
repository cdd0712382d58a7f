//! What an Eden's own tables want beside their rows: entries in super-entities, and whose records they are.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Transaction;
use crate::{
    connector::{
        Key, KeyPart, Make,
        eden::{Foreign, Super, is_instance, named_in},
        postgres::{
            args::{Arg, Columns},
            failure::quoted,
            layout::Layout,
            shape::Shape,
            triggers::APPLYING,
        },
    },
    error::{Kind as Fault, Result},
};

/// Rows that were written, by table.
pub(super) type Entered = BTreeMap<i64, Vec<i64>>;

const KEYS: &str = "= ANY($1::bigint[])";

impl Transaction<'_> {
    /// Notes a row that may want entries.
    pub(super) fn entered(&mut self, layout: &Layout, key: Option<&Key>) {
        if let (Make::Eden, true, Some([KeyPart::Integer(key)])) = (layout.table.form.make, layout.own_key, key.map(|key| key.0.as_slice()))
        {
            self.entered.entry(layout.table.id).or_default().push(*key);
        }
    }

    /// Gives the rows that were written the entries that an Eden's own forms would give them. Where the database does not let it, the rows stay without.
    pub(super) fn enter_supers(&mut self) -> Result<()> {
        for (table, keys) in std::mem::take(&mut self.entered) {
            let Some(layout) = self.db.layouts.iter().find(|layout| layout.table.id == table).cloned() else { continue };
            for entity in self.supers(&layout)? {
                match self.within_savepoint(|tx| tx.enter(&layout, &entity, &keys)) {
                    Err(error) if error.kind() == Fault::Constraint && !self.broken => {
                        tracing::warn!("{} cannot be entered into {}: {}", layout.table.name, entity.rel, error.chain());
                    }
                    done => done?,
                }
            }
        }
        Ok(())
    }

    fn enter(&mut self, layout: &Layout, entity: &Super, keys: &[i64]) -> Result<()> {
        let (name, id) = (layout.table.name.rsplit('.').next().unwrap_or_default(), quoted(&layout.key[0].name));
        let run = |tx: &mut Self, sql: &str| tx.db.link.run(sql, &[Arg::ints(keys)], "enter rows into a super-entity").map(drop);
        // What becomes of a super-entity that is attached itself is an edit like any other.
        self.db.link.batch(&format!("SET LOCAL {APPLYING} = 'off'"), "write to the database")?;
        run(self, &entity.enter(&layout.rel, name, &id, KEYS))?;
        self.db.link.batch(&format!("SET LOCAL {APPLYING} = 'on'"), "write to the database")?;
        run(self, &entity.hold(&layout.rel, name, &id, KEYS))?;
        if let Some(sql) = entity.follow(&layout.rel, name, &id, KEYS) {
            self.db.link.batch(&format!("SET LOCAL {APPLYING} = 'off'"), "write to the database")?;
            run(self, &sql)?;
            self.db.link.batch(&format!("SET LOCAL {APPLYING} = 'on'"), "write to the database")?;
        }
        Ok(())
    }

    /// The super-entities that rows of a table have entries in.
    fn supers(&mut self, layout: &Layout) -> Result<Vec<Super>> {
        let own = Shape::named(&mut self.db.link, &layout.table.name)?;
        let names: Vec<&str> = own.columns.iter().map(|column| column.name.as_str()).collect();
        let mut found = Vec::new();
        for key in &own.foreign {
            let [column] = key.columns.as_slice() else { continue };
            if key.to != key.columns || layout.references.iter().any(|link| link.columns.contains(column)) {
                continue;
            }
            let parent = Shape::named(&mut self.db.link, &key.parent_name)?;
            let columns = parent.columns.iter().map(|column| column.name.as_str()).collect();
            let Some(entity) = Super::of(Foreign { column, rel: parent.sql(), columns }, &names) else { continue };
            if is_instance(&layout.table.name, column)
                || self.db.link.one(&entity.is_used(&own.rel), &[], "read a super-entity")?.flag(0)?
            {
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
        let own = Shape::named(&mut self.db.link, &layout.table.name)?;
        let mut by_name: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for (uid, column, name) in named.iter().filter(|(_, column, _)| own.column(column).is_some()) {
            by_name.entry((column, name)).or_default().push(uid);
        }
        let mut known: HashMap<&str, HashMap<String, i64>> = HashMap::new();
        for ((column, name), uids) in &by_name {
            let Some((table, called)) = named_in(column) else { continue };
            if !known.contains_key(table) {
                known.insert(table, self.accounts(table, called, by_name.keys().map(|(_, name)| *name).collect())?);
            }
            let Some(account) = known.get(table).and_then(|known| known.get(&name.to_lowercase())) else { continue };
            let sql = format!(
                "UPDATE {} t SET {} = $2::bigint FROM {} s WHERE {} AND s.uid = ANY($1::text[]) AND NOT s.deleted",
                layout.rel,
                quoted(column),
                layout.state(),
                layout.on_key("t", "s")
            );
            self.db.link.run(&sql, &[Arg::texts(uids), (*account).into()], "name accounts")?;
        }
        Ok(())
    }

    /// The keys of those of these accounts that are here.
    fn accounts(&mut self, table: &str, called: &str, names: BTreeSet<&str>) -> Result<HashMap<String, i64>> {
        let there = match Shape::named(&mut self.db.link, table) {
            Err(error) if error.kind() == Fault::NotFound => return Ok(HashMap::new()),
            there => there?,
        };
        if there.column("id").is_none() || there.column(called).is_none() {
            return Ok(HashMap::new());
        }
        let names: Vec<String> = names.into_iter().map(str::to_lowercase).collect();
        let sql = format!(
            "SELECT lower({0}::text), min(id)::bigint FROM {1} WHERE lower({0}::text) = ANY($1::text[]) GROUP BY 1",
            quoted(called),
            there.sql()
        );
        let rows = self.db.link.query(&sql, &[Arg::texts(&names)], "look for accounts")?;
        rows.iter().map(|row| Ok((row.owned(0)?, row.int(1)?.unwrap_or(0)))).collect()
    }
}
