//! Writing a row: its key, its columns, and whether they keep the values.

use std::collections::HashSet;

use rusqlite::{OptionalExtension, Statement, params_from_iter};

use super::{
    Transaction,
    plan::{Plan, Slot},
};
use crate::{
    connector::{
        Effect, Found, Key, KeyPart, Targets, Write,
        eden::list_value,
        keys::key_of_content,
        known::canonical_uuid,
        links::Link,
        sqlite::{
            failure::{Told, quoted},
            layout::{Data, Layout},
            sql::where_key,
            values::{Affinity, Bound, Fit, fit, key_part},
        },
    },
    error::{Error, Kind as Fault, Result},
    model::{Cell, RecordView, Value},
};

impl Transaction<'_> {
    /// The key that the values of a record make.
    pub(super) fn key_of_content(&self, layout: &Layout, record: RecordView<'_>, targets: &Targets) -> Result<Key> {
        let data = |data: &Data| self.data_part(layout, data, record);
        key_of_content(layout, layout.key.iter(), data, |link| self.link_values(link, record, targets))
    }

    pub(super) fn data_part(&self, layout: &Layout, data: &Data, record: RecordView<'_>) -> Result<KeyPart> {
        match record.get(&data.field) {
            Some(value) => Ok(Bound::of(value)?.into_key()),
            None if data.is_identity => Ok(identity_value(layout, record.uid()).into_key()),
            None => Ok(KeyPart::Null),
        }
    }

    /// The values that a record's reference puts into its columns; `None` where it is null.
    pub(super) fn link_values(&self, link: &Link, record: RecordView<'_>, targets: &Targets) -> Result<Option<Vec<KeyPart>>> {
        let Some(key) = targets.led_to(link, record)? else { return Ok(None) };
        if link.by_key() {
            return link.parts(key).map(Some);
        }
        let columns: Vec<String> = link.to.iter().map(|column| quoted(column)).collect();
        let sql = format!("SELECT {} FROM {} WHERE {}", columns.join(", "), link.parent, where_key(&link.parent_key, 1));
        let mut statement = self.db.conn.prepare_cached(&sql).told("follow a reference")?;
        let found = statement
            .query_row(params_from_iter(key.0.iter().map(Bound::of_key)), |row| {
                (0..link.to.len()).map(|at| row.get_ref(at).map(key_part)).collect::<rusqlite::Result<Vec<_>>>()
            })
            .optional()
            .told("follow a reference")?;
        found.map(Some).ok_or_else(|| Error::new(Fault::Constraint, format!("its field {:?} refers to a row that is not here", link.field)))
    }

    /// Readies [`Plan`] for a record; most records have the same fields as the one before.
    pub(super) fn plan(&mut self, layout: &Layout, record: RecordView<'_>, only: Option<&[String]>) -> Plan {
        let wanted = |cell: &Cell| only.is_none_or(|only| only.iter().any(|name| name == record.page.name_of(cell.field)));
        let fits = |plan: &Plan| {
            plan.table == layout.table.id
                && plan.fields.len() == record.cells().len()
                && record.cells().iter().zip(&plan.fields).all(|(cell, (field, taken))| record.page.name_of(cell.field) == field && *taken)
        };
        match self.plan.take() {
            Some(plan) if only.is_none() && fits(&plan) => plan,
            _ => Plan::make(layout, record, wanted),
        }
    }

    pub(super) fn write_row(&mut self, layout: &Layout, write: &Write<'_>, targets: &Targets) -> Result<Option<Key>> {
        self.moved = false;
        let (record, only) = match write.effect {
            Effect::Keep => return Ok(None),
            Effect::Delete => {
                if let Some(key) = self.local_key(layout, write.local)? {
                    self.delete_row(layout, &key)?;
                }
                return Ok(None);
            }
            Effect::Put(record) => (record, None),
            Effect::Some(record, only) => (record, Some(only)),
        };
        let plan = self.plan(layout, record, only);
        let done = self.put(layout, write, record, &plan, targets);
        self.plan = only.is_none().then_some(plan);
        done.map(Some)
    }

    pub(super) fn put(
        &mut self,
        layout: &Layout,
        write: &Write<'_>,
        record: RecordView<'_>,
        plan: &Plan,
        targets: &Targets,
    ) -> Result<Key> {
        let living = write.local.is_some_and(|found| found.living);
        let former = self.local_key(layout, write.local)?;
        let key = match (&former, living) {
            (Some(key), true) => key.clone(),
            _ => self.key_for(layout, record, former, targets)?,
        };
        self.mark(layout, &key)?;
        let mut values: Vec<Bound<'_>> = Vec::with_capacity(plan.columns.len() + key.0.len());
        let mut held: HashSet<&str> = HashSet::new();
        let mut parts: Vec<KeyPart> = Vec::new();
        let mut order: Vec<Option<usize>> = Vec::with_capacity(plan.columns.len());
        for (cell, slot) in record.cells().iter().zip(&plan.slots) {
            match slot {
                Slot::Unknown => {}
                Slot::Data(at) => {
                    let (data, value) = (&layout.data[*at], record.value(cell));
                    if let Some(list) = &data.list {
                        let text = list_value(&data.field, &list.resource, value, targets)?;
                        values.push(text.map_or(Bound::Null, |text| Bound::OwnedText(text.into_bytes())));
                        order.push(None);
                        continue;
                    }
                    self.check_fit(data, record.value(cell))?;
                    values.push(Bound::of(value)?);
                    order.push(None);
                }
                Slot::Link(at) => {
                    let link = &layout.references[*at];
                    let set = self.link_values(link, record, targets)?;
                    for (at, column) in link.columns.iter().enumerate() {
                        if held.insert(column) {
                            let part = set.as_ref().and_then(|set| set.get(at).cloned()).unwrap_or(KeyPart::Null);
                            order.push(Some(parts.len()));
                            parts.push(part);
                            values.push(Bound::Null);
                        }
                    }
                }
            }
        }
        for (value, part) in values.iter_mut().zip(&order) {
            if let Some(part) = part {
                *value = Bound::of_key(&parts[*part]);
            }
        }
        if plan.derive && !living {
            values.push(identity_value(layout, record.uid()));
        }
        if living && values.is_empty() {
            return Ok(key);
        }
        if living {
            let after = moved(layout, &key, plan, &values);
            if after != key {
                self.mark_too(layout, &after)?;
            }
            values.extend(key.0.iter().map(Bound::of_key));
            let mut statement = self.db.conn.prepare_cached(&plan.update).told("change the row")?;
            run(&mut statement, &values).told("change the row")?;
            self.moved = after != key;
            return Ok(after);
        } else {
            if layout.own_key {
                values.extend(key.0.iter().map(Bound::of_key));
            }
            let mut statement = self.db.conn.prepare_cached(&plan.insert).told("add the row")?;
            run(&mut statement, &values).told("add the row")?;
        }
        Ok(key)
    }

    /// The key of a row that is to be added.
    pub(super) fn key_for(&mut self, layout: &Layout, record: RecordView<'_>, former: Option<Key>, targets: &Targets) -> Result<Key> {
        if !self.reserved.is_empty()
            && let Some(key) = self.reserved.remove(&(layout.table.id, record.uid().to_owned()))
        {
            return Ok(key);
        }
        match former {
            _ if !layout.own_key => self.key_of_content(layout, record, targets),
            Some(key) => Ok(key),
            None => Ok(Key(vec![KeyPart::Integer(self.next_key(layout)?)])),
        }
    }

    pub(super) fn local_key(&self, layout: &Layout, local: Option<Found>) -> Result<Option<Key>> {
        let Some(found) = local else { return Ok(None) };
        let mut statement = self.db.conn.prepare_cached(&layout.sql.key_of).told("read the journal")?;
        let parts = statement
            .query_row([found.arrival], |row| {
                (0..layout.key.len()).map(|at| row.get_ref(at).map(key_part)).collect::<rusqlite::Result<Vec<_>>>()
            })
            .told("read the journal")?;
        Ok((!parts.contains(&KeyPart::Null)).then_some(Key(parts)))
    }

    pub(super) fn delete_row(&mut self, layout: &Layout, key: &Key) -> Result<()> {
        self.mark(layout, key)?;
        let mut statement = self.db.conn.prepare_cached(&layout.sql.delete_row).told("delete the row")?;
        statement.execute(params_from_iter(key.0.iter().map(Bound::of_key))).told("delete the row").map(|_| ())
    }

    pub(super) fn check_fit(&self, data: &Data, value: Value<'_>) -> Result<()> {
        let fits = match fit(data.form, value) {
            Fit::Yes => true,
            Fit::No => false,
            Fit::Ask => self.kept(data, value)?,
        };
        if fits {
            return Ok(());
        }
        let message = format!("column {:?} would change the {} {:?}", data.column, value.kind.word(), cut(value.text));
        Err(Error::new(Fault::Constraint, message).hint("docs/types.md says which types keep each other's values, and in which spelling."))
    }

    /// Asks SQLite whether a column of this affinity keeps a value.
    pub(super) fn kept(&self, data: &Data, value: Value<'_>) -> Result<bool> {
        self.db
            .conn
            .execute_batch("CREATE TEMP TABLE IF NOT EXISTS entente_probe (id INTEGER PRIMARY KEY, i INTEGER, n NUMERIC, r REAL)")
            .told("test a value")?;
        let column = match data.form {
            Affinity::Integer => "i",
            Affinity::Real => "r",
            _ => "n",
        };
        let bound = Bound::of(value)?;
        let write = format!("INSERT INTO temp.entente_probe (id, {column}) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET {column} = ?1");
        self.db.conn.prepare_cached(&write).and_then(|mut s| s.execute([&bound])).told("test a value")?;
        let read = format!("SELECT typeof({column}) = typeof(?1) FROM temp.entente_probe");
        self.db.conn.prepare_cached(&read).and_then(|mut s| s.query_row([&bound], |row| row.get(0))).told("test a value")
    }
}

/// The key of a row after a plan's values are put into it.
fn moved(layout: &Layout, key: &Key, plan: &Plan, values: &[Bound<'_>]) -> Key {
    if layout.own_key {
        return key.clone();
    }
    let part = |(column, former): (&String, &KeyPart)| {
        let at = plan.columns.iter().position(|name| name == column);
        at.and_then(|at| values.get(at)).map_or_else(|| former.clone(), |value| value.clone().into_key())
    };
    Key(layout.key.iter().zip(&key.0).map(part).collect())
}

/// Runs a statement with values bound in order.
fn run(statement: &mut Statement<'_>, values: &[Bound<'_>]) -> rusqlite::Result<usize> {
    for (at, value) in values.iter().enumerate() {
        statement.raw_bind_parameter(at + 1, value)?;
    }
    statement.raw_execute()
}

/// What an identity column holds for a uid: bytes where it is declared so, else the text of the UUID or the URN.
pub(super) fn identity_value(layout: &Layout, uid: &str) -> Bound<'static> {
    let declared = layout.identity.as_ref().map_or("", |column| column.declared.as_str()).to_ascii_uppercase();
    match uid.strip_prefix("urn:uuid:").and_then(canonical_uuid) {
        Some(uuid) if declared.contains("BLOB") || declared.contains("BINARY") => Bound::Bytes(uuid.as_bytes().to_vec()),
        Some(uuid) => Bound::OwnedText(uuid.to_string().into_bytes()),
        None => Bound::OwnedText(uid.as_bytes().to_vec()),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}
