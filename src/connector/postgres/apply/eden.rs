//! What an Eden's own tables want beside their rows: entries in super-entities, and whose records they are.

use std::collections::{BTreeMap, HashMap};

use super::Transaction;
use crate::{
    connector::{
        Apply, Key, Make, Whose,
        eden::{Glance, Ground, Super, accounts, supers},
        keys::key_to_enter,
        postgres::{
            Postgres,
            args::{Arg, Columns},
            failure::quoted,
            layout::Layout,
            shape::Shape,
            triggers::APPLYING,
        },
        shape::Shape as _,
    },
    error::{Kind as Fault, Result},
};

/// Rows that were written, by table.
pub(super) type Entered = BTreeMap<i64, Vec<i64>>;

const KEYS: &str = "= ANY($1::bigint[])";

impl Transaction<'_> {
    /// Notes a row that may want entries.
    pub(super) fn entered(&mut self, layout: &Layout, key: Option<&Key>) {
        if let Some(key) = key_to_enter(layout, key) {
            self.entered.entry(layout.table.id).or_default().push(key);
        }
    }

    /// Gives the rows that were written the entries that an Eden's own forms would give them. Where the database does not let it, the rows stay without.
    pub(super) fn enter_supers(&mut self) -> Result<()> {
        for (table, keys) in std::mem::take(&mut self.entered) {
            let Some(layout) = self.db.layouts.iter().find(|layout| layout.table.id == table).cloned() else { continue };
            let travels = |column: &str| layout.references.iter().any(|link| link.columns.iter().any(|own| own == column));
            for entity in supers(self.db, &layout.table.name, &travels)? {
                match self.within_savepoint(|tx| tx.enter(&layout, &entity, &keys)) {
                    Err(error) if error.kind() == Fault::Constraint && !Apply::broken(self) => {
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

    /// See [`crate::connector::Apply::set_accounts`].
    pub(super) fn name_accounts(&mut self, layout: &Layout, named: &[Whose]) -> Result<()> {
        if layout.table.form.make != Make::Eden || !layout.own_key {
            return Ok(());
        }
        for (column, account, uids) in accounts(self.db, &layout.table.name, named)? {
            let sql = format!(
                "UPDATE {} t SET {column} = $2::bigint FROM {} s WHERE {} AND s.uid = ANY($1::text[]) AND NOT s.deleted",
                layout.rel,
                layout.state(),
                layout.on_key("t", "s")
            );
            self.db.link.run(&sql, &[Arg::texts(&uids), account.into()], "name accounts")?;
        }
        Ok(())
    }
}

impl Ground for Postgres {
    const AMONG: &'static str = "= ANY($1::text[])";

    fn glance(&mut self, table: &str) -> Result<Option<Glance>> {
        let shape = match Shape::named(&mut self.link, table) {
            Err(error) if error.kind() == Fault::NotFound => return Ok(None),
            shape => shape?,
        };
        let same = shape.foreign.iter().filter(|key| key.columns.len() == 1 && key.to == key.columns);
        let foreign = same.map(|key| (key.columns[0].clone(), key.parent_name.clone())).collect();
        let columns = shape.columns.iter().map(|column| column.name.clone()).collect();
        Ok(Some(Glance { rel: shape.sql(), columns, foreign }))
    }

    fn is(&mut self, sql: &str) -> Result<bool> {
        self.link.one(sql, &[], "read a super-entity")?.flag(0)
    }

    fn keys(&mut self, sql: &str, names: &[String]) -> Result<HashMap<String, i64>> {
        let rows = self.link.query(sql, &[Arg::texts(names)], "look for accounts")?;
        rows.iter().map(|row| Ok((row.owned(0)?, row.int(1)?.unwrap_or(0)))).collect()
    }

    fn names(&mut self, sql: &str, uids: &[String]) -> Result<Vec<(String, String)>> {
        let rows = self.link.query(sql, &[Arg::texts(uids)], "look for accounts")?;
        rows.iter().map(|row| Ok((row.owned(0)?, row.owned(1)?))).collect()
    }
}
