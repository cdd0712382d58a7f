//! Writing a row: its key, its columns, and whether they keep the values.

use std::collections::HashSet;

use super::{Transaction, together::Batch};
use crate::{
    connector::{
        Effect, Found, Key, KeyPart, Target, Targets, Write,
        eden::list_value,
        keys::key_of_content,
        links::Link,
        postgres::{
            args::{Arg, Columns},
            failure::{literal, quoted},
            form::Fit,
            layout::{Data, Layout},
            shape::Column,
        },
    },
    error::{Error, Kind as Fault, Result},
    model::{RecordView, Value},
};

/// What a record puts into the columns of its row.
pub(super) type Values<'a> = Vec<(&'a str, Arg<'a>)>;

impl Transaction<'_> {
    /// The key that the values of a record make.
    pub(super) fn key_of_content(&mut self, layout: &Layout, record: RecordView<'_>, targets: &Targets) -> Result<Key> {
        let data = |data: &Data| data_part(layout, data, record);
        key_of_content(layout, layout.key.iter().map(|column| &column.name), data, |link| self.link_values(link, record, targets))
    }

    /// The values that a record's reference puts into its columns; `None` where it is null.
    pub(super) fn link_values(&mut self, link: &Link, record: RecordView<'_>, targets: &Targets) -> Result<Option<Vec<KeyPart>>> {
        let Some(key) = targets.led_to(link, record)? else { return Ok(None) };
        if link.by_key() {
            return link.parts(key).map(Some);
        }
        let gone = || Error::new(Fault::Constraint, format!("its field {:?} refers to a row that is not here", link.field));
        let parent = self.db.layouts.iter().find(|layout| layout.table.id == link.parent_id).cloned().ok_or_else(gone)?;
        let columns: Vec<String> = link.to.iter().map(|column| format!("p.{}::text", quoted(column))).collect();
        let sql = format!("SELECT {} FROM {} p WHERE {}", columns.join(", "), link.parent, parent.where_key("p", 1));
        let args: Vec<Arg<'_>> = key.0.iter().map(Arg::of_key).collect();
        let row = self.db.link.maybe(&sql, &args, "follow a reference")?.ok_or_else(gone)?;
        let part = |at: usize| row.text(at).map(|text| text.map_or(KeyPart::Null, |text| KeyPart::Text(text.as_bytes().to_vec())));
        (0..link.to.len()).map(part).collect::<Result<_>>().map(Some)
    }

    pub(super) fn write_row(&mut self, layout: &Layout, write: &Write<'_>, targets: &Targets) -> Result<Option<Key>> {
        self.moved = false;
        let (record, only) = match write.effect {
            Effect::Keep => return Ok(None),
            Effect::Delete => {
                if let Some(key) = self.local_key(layout, write.local)? {
                    self.delete_row(layout, &key, write.local)?;
                }
                return Ok(None);
            }
            Effect::Put(record) => (record, None),
            Effect::Some(record, only) => (record, Some(only)),
        };
        let living = write.local.is_some_and(|found| found.living);
        let former = self.local_key(layout, write.local)?;
        let key = match (&former, living) {
            (Some(key), true) => key.clone(),
            _ => self.key_for(layout, record, former, targets)?,
        };
        let values = self.values(layout, record, only, targets, &key, None)?;
        let after = if living { moved(layout, &key, &values) } else { key.clone() };
        let changed = if living { self.update(layout, values, &key)? } else { self.insert(layout, record, values, &key)? };
        if changed == 1 {
            self.moved = after != key;
            return Ok(Some(after));
        }
        Err(Error::new(Fault::Constraint, "a trigger or rule of this database did not let the row be written"))
    }

    /// What a record puts into the columns, checked to be kept as it is; with a batch what only the database can tell is asked later.
    pub(super) fn values<'v>(
        &mut self,
        layout: &'v Layout,
        record: RecordView<'v>,
        only: Option<&[String]>,
        targets: &Targets,
        key: &Key,
        mut batch: Option<&mut Batch>,
    ) -> Result<Values<'v>> {
        let (mut values, mut held) = (Values::new(), HashSet::new());
        for (field, value) in record.fields().filter(|(field, _)| only.is_none_or(|only| only.iter().any(|name| name == field))) {
            if let Some(data) = layout.data.iter().find(|data| data.field == field) {
                let taken = match &data.list {
                    Some(list) => list_value(&data.field, &list.resource, value, targets)?.map_or(Arg::Null, Into::into),
                    None => self.take(data, value, batch.as_deref_mut())?,
                };
                values.push((data.column.as_str(), taken));
            } else if let Some(link) = layout.references.iter().find(|link| link.field == field) {
                let mut set = self.link_values(link, record, targets)?;
                if let Some(later) = set.take_if(|_| !link.deferrable && self.promised(link, value, targets)) {
                    // The row it refers to is still to come, and the constraint cannot wait: nothing for now, the value before the commit.
                    self.set_later(layout, link, &later, key);
                }
                for (at, column) in link.columns.iter().enumerate().filter(|(_, column)| held.insert(column.as_str())) {
                    let part = set.as_mut().and_then(|set| set.get_mut(at)).map(|part| std::mem::replace(part, KeyPart::Null));
                    values.push((column.as_str(), part.as_ref().map_or(Arg::Null, super::states::owned)));
                }
            }
        }
        Ok(values)
    }

    fn promised(&self, link: &Link, value: Value<'_>, targets: &Targets) -> bool {
        let Target::Here(key) = targets.get(value.resource, value.text) else { return false };
        self.promised.iter().any(|(table, promised)| *table == link.parent_id && promised == key)
    }

    fn set_later(&mut self, layout: &Layout, link: &Link, parts: &[KeyPart], key: &Key) {
        let set: Vec<String> = link.columns.iter().enumerate().map(|(at, column)| format!("{} = ${}", quoted(column), at + 1)).collect();
        let sql = format!("UPDATE {} t SET {} WHERE {}", layout.rel, set.join(", "), layout.where_key("t", link.columns.len() + 1));
        self.later.push((sql, parts.iter().chain(&key.0).map(super::states::owned).collect()));
    }

    fn update(&mut self, layout: &Layout, values: Values<'_>, key: &Key) -> Result<u64> {
        if values.is_empty() {
            return Ok(1);
        }
        let set = values.iter().enumerate().map(|(at, (column, _))| layout.set(column, &format!("${}", at + 1)));
        let set = set.collect::<Vec<_>>().join(", ");
        let sql = format!("UPDATE {} t SET {set} WHERE {}", layout.rel, layout.where_key("t", values.len() + 1));
        let args: Vec<Arg<'_>> = values.into_iter().map(|(_, value)| value).chain(key.0.iter().map(Arg::of_key)).collect();
        self.db.link.run(&sql, &args, "change the row")
    }

    fn insert(&mut self, layout: &Layout, record: RecordView<'_>, values: Values<'_>, key: &Key) -> Result<u64> {
        let (columns, args): (Vec<&str>, Vec<Arg<'_>>) = self.whole_row(layout, record, values, key)?.into_iter().unzip();
        let columns: Vec<String> = columns.into_iter().map(quoted).collect();
        let marks: Vec<String> = (1..=columns.len()).map(|at| format!("${at}")).collect();
        let sql = match columns.is_empty() {
            true => format!("INSERT INTO {} DEFAULT VALUES", layout.rel),
            false => format!("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})", layout.rel, columns.join(", "), marks.join(", ")),
        };
        self.db.link.run(&sql, &args, "add the row")
    }

    /// The columns of a new row and their values: with its identity and the key that we chose.
    pub(super) fn whole_row<'v>(
        &self,
        layout: &'v Layout,
        record: RecordView<'_>,
        mut values: Values<'v>,
        key: &'v Key,
    ) -> Result<Values<'v>> {
        if let Some(identity) = layout.identity.as_ref().filter(|identity| values.iter().all(|(column, _)| *column != identity.name)) {
            values.push((&identity.name, layout.identity_value(record.uid())?));
        }
        if layout.own_key {
            values.extend(key.0.first().map(|key| (layout.key[0].name.as_str(), Arg::of_key(key))));
        }
        Ok(values)
    }

    /// The key of a row that is to be added.
    pub(super) fn key_for(&mut self, layout: &Layout, record: RecordView<'_>, former: Option<Key>, targets: &Targets) -> Result<Key> {
        if let Some(key) = self.reserved.remove(&(layout.table.id, record.uid().to_owned())) {
            self.promised.retain(|(table, promised)| *table != layout.table.id || *promised != key);
            return Ok(key);
        }
        match former {
            _ if !layout.own_key => self.key_of_content(layout, record, targets),
            Some(key) => Ok(key),
            None => Ok(Key(vec![KeyPart::Integer(self.next_key(layout)?)])),
        }
    }

    pub(super) fn next_key(&mut self, layout: &Layout) -> Result<i64> {
        let (id, column) = (layout.table.id, &layout.key[0]);
        let Some(sequence) = &column.more.sequence else {
            let last = match self.next_keys.get(&id) {
                Some(last) => *last,
                None => self.greatest_key(layout)?,
            };
            let next = last.checked_add(1).ok_or_else(|| Error::new(Fault::Constraint, "the table has no keys left"))?;
            self.next_keys.insert(id, next);
            return Ok(next);
        };
        if !self.next_keys.contains_key(&id) {
            // Rows may have been given keys past the sequence: it goes on after them, for the application too.
            let (last, sequence) = (self.greatest_key(layout)?, literal(sequence));
            self.next_keys.insert(id, last);
            let spare = self.db.spare_keys.entry(id).or_default();
            spare.retain(|key| *key > last);
            if spare.is_empty() {
                let sql = format!(
                    "SELECT CASE WHEN n > {last} THEN n ELSE setval({sequence}::regclass, {last} + 1) END FROM nextval({sequence}::regclass) n"
                );
                let next = self.db.link.one(&sql, &[], "choose a key")?.int(0)?.unwrap_or(0);
                self.taken_keys = 1;
                return Ok(next);
            }
        }
        if let Some(key) = self.db.spare_keys.get_mut(&id).filter(|spare| !spare.is_empty()).map(|spare| spare.remove(0)) {
            return Ok(key);
        }
        // As many again as were needed so far; what is left over is used by the next page.
        let sql = format!("SELECT nextval({}::regclass) FROM generate_series(1, {})", literal(sequence), self.taken_keys.clamp(1, 1_000));
        let rows = self.db.link.query(&sql, &[], "choose a key")?;
        let mut keys: std::collections::VecDeque<i64> =
            rows.iter().map(|row| row.int(0).map(|key| key.unwrap_or(0))).collect::<Result<_>>()?;
        self.taken_keys += keys.len();
        let next = keys.pop_front().unwrap_or(0);
        self.db.spare_keys.insert(id, keys.into());
        Ok(next)
    }

    /// The greatest key of a table. Keys of tombstones are not given to others, so that a re-creation finds its own.
    fn greatest_key(&mut self, layout: &Layout) -> Result<i64> {
        let key = quoted(&layout.key[0].name);
        let sql = format!("SELECT GREATEST((SELECT MAX({key})::bigint FROM {}), (SELECT MAX(k1) FROM {}), 0)", layout.rel, layout.state());
        Ok(self.db.link.one(&sql, &[], "choose a key")?.int(0)?.unwrap_or(0))
    }

    pub(super) fn local_key(&mut self, layout: &Layout, local: Option<Found>) -> Result<Option<Key>> {
        let Some(found) = local else { return Ok(None) };
        let row = self.db.link.one(&layout.sql.key_of, &[found.arrival.into()], "read the journal")?;
        let parts = layout.key_from(&row, 0)?;
        Ok((!parts.contains(&KeyPart::Null)).then_some(Key(parts)))
    }

    pub(super) fn delete_row(&mut self, layout: &Layout, key: &Key, local: Option<Found>) -> Result<()> {
        let args: Vec<Arg<'_>> = key.0.iter().map(Arg::of_key).collect();
        let gone = self.db.link.run(&layout.sql.delete_row, &args, "delete the row")?;
        if gone == 0 && local.is_some_and(|found| found.living) {
            return Err(Error::new(Fault::Constraint, "a trigger or rule of this database did not let the row be deleted"));
        }
        Ok(())
    }

    /// A value as a column takes it, checked to be kept as it is.
    fn take<'v>(&mut self, data: &Data, value: Value<'v>, batch: Option<&mut Batch>) -> Result<Arg<'v>> {
        let taken = data.form.take(value).map_err(|error| error.within(&format!("column {:?}", data.column)))?;
        let fits = match (&taken, batch) {
            ((_, Fit::Yes), _) => true,
            ((_, Fit::No), _) => false,
            ((Arg::Text(text), Fit::Ask), Some(batch)) => {
                batch.ask(data, text);
                true
            }
            ((arg, Fit::Ask), _) => {
                let sql = format!("SELECT $1::text::{}::text = $1::text", data.declared);
                let doing = format!("put the value into column {:?}", data.column);
                self.db.link.one(&sql, std::slice::from_ref(arg), &doing)?.flag(0)?
            }
        };
        if fits { Ok(taken.0) } else { Err(would_change(data, value)) }
    }
}

/// The key of a row after these values are put into it.
pub(super) fn moved(layout: &Layout, key: &Key, values: &Values<'_>) -> Key {
    if layout.own_key {
        return key.clone();
    }
    let part = |(column, former): (&Column, &KeyPart)| {
        let put = values.iter().find(|(name, _)| *name == column.name);
        put.map_or_else(|| former.clone(), |(_, value)| value.clone().into_key())
    };
    Key(layout.key.iter().zip(&key.0).map(part).collect())
}

fn data_part(layout: &Layout, data: &Data, record: RecordView<'_>) -> Result<KeyPart> {
    match record.get(&data.field) {
        Some(value) => match data.form.take(value)? {
            (_, Fit::No) => Err(would_change(data, value)),
            (arg, _) => Ok(arg.into_key()),
        },
        None if data.is_identity => Ok(layout.identity_value(record.uid())?.into_key()),
        None => Ok(KeyPart::Null),
    }
}

fn would_change(data: &Data, value: Value<'_>) -> Error {
    let shown: String = value.text.chars().take(40).collect();
    let message = format!("column {:?} of type {} would change the {} {shown:?}", data.column, data.declared, value.kind.word());
    Error::new(Fault::Constraint, message).hint("docs/types.md says which types keep each other's values, and in which spelling.")
}
