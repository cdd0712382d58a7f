//! How a table's columns become fields and references, whatever kind of database has it.

use std::collections::BTreeSet;

use super::{
    Form, Make, Reference, Table,
    eden::Looks,
    links::{Link, links},
    shape::{ColumnOf, Filled, Shape},
};
use crate::{
    error::{Error, Kind, Result},
    model::{Identity, Kind as ValueKind, TableSpec},
};

/// What stands in `held` of a record that was let go: no conflict holds it, it is offered to nobody and counts as unknown.
pub(super) const LET_GO: i64 = -1;

/// The most columns a local key may have.
const MAX_KEY: usize = 16;

/// Why a table cannot be attached.
pub(super) type Refused<T> = std::result::Result<T, String>;

/// What a table's layout has in every kind of database.
#[derive(Debug)]
pub(super) struct Outline<S: Shape> {
    pub(super) table: Table,
    /// The key is one integer that means nothing elsewhere: we choose it for new rows and it does not travel.
    pub(super) own_key: bool,
    pub(super) data: Vec<Data<S::Form>>,
    pub(super) references: Vec<Link>,
    /// The column that holds the uid.
    pub(super) identity: Option<ColumnOf<S>>,
    /// Fields whose values make the uid of a natural key.
    pub(super) natural: Vec<String>,
}

/// A column that travels as a field.
#[derive(Debug, Clone)]
pub(super) struct Data<F> {
    pub(super) column: String,
    pub(super) field: String,
    pub(super) form: F,
    /// The type as SQL writes it.
    pub(super) declared: String,
    /// As an SQL expression.
    pub(super) default: Option<String>,
    /// It holds the uid; it travels only where it cannot be told from the uid.
    pub(super) is_identity: bool,
    /// It holds keys of another table, `|1|2|`, and travels as what they stand for.
    pub(super) list: Option<Listed>,
}

/// Whose keys a list holds.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) id: i64,
    pub(super) resource: String,
}

/// What is known of an attached table before its layout is made.
#[derive(Debug, Clone)]
pub(super) struct Entry<S> {
    pub(super) id: i64,
    pub(super) ready: bool,
    pub(super) bases: bool,
    pub(super) spec: TableSpec,
    pub(super) shape: S,
}

impl<S: Shape> Entry<S> {
    /// The local key: the primary key, or else the unique columns that were given as identity.
    pub(super) fn key(&self) -> Vec<String> {
        let key = self.shape.key();
        match (&self.spec.identity, key.is_empty()) {
            (Some(Identity::Key { columns }), true) => columns.clone(),
            (Some(Identity::Column { column }), true) => vec![column.clone()],
            _ => key,
        }
    }

    /// The identity that its records have.
    pub(super) fn identity(&self) -> Identity {
        self.spec.identity.clone().unwrap_or_else(|| self.shape.propose())
    }

    pub(super) fn omits(&self, column: &str) -> bool {
        self.spec.omit.iter().any(|omitted| S::same(omitted, column))
    }

    /// The column with the uids, where one has them.
    fn uids(&self, identity: &Identity) -> Refused<Option<ColumnOf<S>>> {
        match identity {
            Identity::Column { column } => self.column(column).map(Some),
            Identity::Key { .. } | Identity::Assigned => Ok(None),
        }
    }

    fn column(&self, name: &str) -> Refused<ColumnOf<S>> {
        self.shape.column(name).cloned().ok_or_else(|| format!("it has no column {name:?}"))
    }
}

impl<S: Shape> Outline<S> {
    /// Makes the outline of `entry` among all attached tables; says by name what stands in the way.
    pub(super) fn make(entry: &Entry<S>, all: &[Entry<S>]) -> Result<Outline<S>> {
        let refuse = |why: String| Error::new(Kind::Constraint, format!("table {:?} cannot be attached: {why}", entry.shape.name()));
        if let Some(why) = entry.shape.unfit() {
            return Err(refuse(why));
        }
        if entry.key().is_empty() {
            return Err(refuse("it has no primary key".into()).hint("Give it one, or name unique columns with --identity key:C,…"));
        }
        Outline::draw(entry, all).map_err(refuse)
    }

    fn draw(entry: &Entry<S>, all: &[Entry<S>]) -> Refused<Outline<S>> {
        let (shape, spec, key) = (&entry.shape, &entry.spec, entry.key());
        if key.len() > MAX_KEY {
            return Err(format!("its key has more than {MAX_KEY} columns"));
        }
        let mut named = key.iter().chain(&spec.omit).chain(&spec.matching).chain(spec.map.keys());
        named.try_for_each(|name| entry.column(name).map(drop))?;
        let identity = entry.identity();
        let references = links(entry, all)?;
        let uids = entry.uids(&identity)?;
        let held = |name: &str| references.iter().any(|link| link.columns.iter().any(|column| S::same(column, name)));
        let in_identity = |name: &str| match &identity {
            Identity::Column { column } => S::same(column, name),
            Identity::Key { columns } => columns.iter().any(|column| S::same(column, name)),
            Identity::Assigned => false,
        };
        let integer = |name: &str| shape.column(name).is_some_and(|column| S::is_integer(&column.form));
        let own_key = key.len() == 1 && integer(&key[0]) && !held(&key[0]) && !in_identity(&key[0]);
        let looks = shape.looks();
        let tables: Vec<String> = all.iter().map(|other| other.shape.name().to_owned()).collect();
        let travels = |column: &&ColumnOf<S>| {
            let in_key = key.iter().any(|key| S::same(key, &column.name));
            let own = if in_key { own_key } else { column.filled == Filled::Always };
            let stays = looks.stays(&column.name, &column.declared, &tables);
            !(own || stays || column.generated || entry.omits(&column.name) || held(&column.name))
        };
        let is_identity = |column: &ColumnOf<S>| uids.as_ref().is_some_and(|own| own.name == column.name);
        let data: Vec<Data<S::Form>> = shape
            .columns()
            .iter()
            .filter(travels)
            .map(|column| Data {
                column: column.name.clone(),
                field: field_name::<S>(spec, &column.name),
                form: column.form.clone(),
                declared: column.declared.clone(),
                default: column.default.clone(),
                is_identity: is_identity(column),
                list: listed(&looks, column, &tables, all),
            })
            .collect();
        let natural = natural_fields::<S>(&identity, &data, &references)?;
        check_unique(shape, &identity, &spec.matching, &key)?;
        let required =
            shape.columns().iter().filter(|column| column.not_null && column.default.is_none() && column.filled == Filled::Never);
        let required = required.filter(|column| travels(column) && !is_identity(column));
        let public = |link: &Link| Reference { field: link.field.clone(), resource: link.parent_resource.clone() };
        let table = Table {
            id: entry.id,
            name: shape.name().to_owned(),
            resource: spec.resource.clone(),
            identity,
            matching: spec.matching.iter().map(|column| field_name::<S>(spec, column)).collect(),
            fields: data.iter().filter(|data| !data.is_identity).map(|data| data.field.clone()).collect(),
            references: references.iter().map(public).collect(),
            required: required.map(|column| field_name::<S>(spec, &column.name)).collect(),
            fingerprint: blake3::hash(described::<S>(&data, &references).as_bytes()).to_hex()[..16].to_owned(),
            ready: entry.ready,
            bases: entry.bases,
            form: form(entry, &looks, &data, &references),
        };
        refuse_twins(&table)?;
        Ok(Outline { table, own_key, data, references, identity: uids, natural })
    }

    /// The fields and their types, one a line.
    pub(super) fn described(&self) -> String {
        described::<S>(&self.data, &self.references)
    }

    /// Whether the table has a column or reference for a field.
    pub(super) fn knows(&self, field: &str) -> bool {
        self.data.iter().any(|data| data.field == field) || self.references.iter().any(|link| link.field == field)
    }

    /// The tables whose keys its columns hold.
    pub(super) fn parents(&self) -> impl Iterator<Item = i64> {
        let lists = self.data.iter().filter_map(|data| data.list.as_ref()).map(|list| list.id);
        self.references.iter().map(|link| link.parent_id).chain(lists)
    }
}

/// The name under which a column travels.
pub(super) fn field_name<S: Shape>(spec: &TableSpec, column: &str) -> String {
    spec.map.iter().find(|(from, _)| S::same(from, column)).map_or_else(|| column.to_owned(), |(_, to)| to.clone())
}

/// Whose keys a column holds, where it holds a list of them.
fn listed<S: Shape>(looks: &Looks<'_>, column: &ColumnOf<S>, tables: &[String], all: &[Entry<S>]) -> Option<Listed> {
    let table = looks.listed(&column.name, &column.declared, tables)?;
    let other = all.iter().find(|other| other.shape.name() == table && other.key().len() == 1)?;
    Some(Listed { id: other.id, resource: other.spec.resource.clone() })
}

fn natural_fields<S: Shape>(identity: &Identity, data: &[Data<S::Form>], references: &[Link]) -> Refused<Vec<String>> {
    let Identity::Key { columns } = identity else { return Ok(Vec::new()) };
    let mut fields = Vec::new();
    for column in columns {
        let own = data.iter().find(|data| S::same(&data.column, column)).map(|data| data.field.clone());
        let held = || references.iter().find(|link| link.columns.iter().any(|held| S::same(held, column))).map(|link| link.field.clone());
        let field = own.or_else(held).ok_or_else(|| format!("its key column {column:?} does not travel"))?;
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    Ok(fields)
}

fn check_unique<S: Shape>(shape: &S, identity: &Identity, matching: &[String], key: &[String]) -> Refused<()> {
    let wanted = match identity {
        Identity::Column { column } => Some(vec![column.clone()]),
        Identity::Key { columns } => Some(columns.clone()),
        Identity::Assigned => None,
    };
    for columns in wanted.into_iter().chain((!matching.is_empty()).then(|| matching.to_vec())) {
        if columns != key && !shape.is_unique(&columns) {
            return Err(format!("nothing makes {} unique; add a unique index on exactly these columns", columns.join(", ")));
        }
    }
    let nullable = shape.key().is_empty() && key.iter().any(|name| shape.column(name).is_none_or(|column| !column.not_null));
    if nullable { Err("it has no primary key, and the columns given may be null".into()) } else { Ok(()) }
}

/// What peers of another make have to know.
fn form<S: Shape>(entry: &Entry<S>, looks: &Looks<'_>, data: &[Data<S::Form>], references: &[Link]) -> Form {
    let flag = |data: &&Data<S::Form>| looks.flags().contains(&data.column.as_str());
    let kind = |data: &Data<S::Form>| if flag(&data) { ValueKind::Boolean } else { S::kind(&data.form, &data.declared) };
    let single = |data: &&Data<S::Form>| !data.is_identity && entry.shape.is_unique(std::slice::from_ref(&data.column));
    let list = |data: &Data<S::Form>| Some(Reference { field: data.field.clone(), resource: data.list.as_ref()?.resource.clone() });
    Form {
        make: if looks.is_eden() { Make::Eden } else { Make::Plain },
        flags: data.iter().filter(flag).map(|data| data.field.clone()).collect(),
        kinds: data.iter().map(|data| (data.field.clone(), kind(data))).collect(),
        unique: data.iter().filter(single).map(|data| data.field.clone()).collect(),
        components: entry.spec.components.clone(),
        lists: data.iter().filter_map(list).collect(),
        supers: references.iter().filter(|link| looks.is_eden() && link.columns == link.to).map(|link| link.field.clone()).collect(),
        heir: references.iter().find(|link| link.loose).map(|link| link.field.clone()),
    }
}

/// No two columns may travel under one name.
fn refuse_twins(table: &Table) -> Refused<()> {
    let mut names = BTreeSet::new();
    let mut all = table.fields.iter().chain(table.references.iter().map(|reference| &reference.field));
    all.find(|name| !names.insert(*name)).map_or(Ok(()), |twice| Err(format!("two of its columns would travel as {twice:?}")))
}

fn described<S: Shape>(data: &[Data<S::Form>], references: &[Link]) -> String {
    let mut words: Vec<String> = data.iter().map(|data| S::line(&data.field, &data.form)).collect();
    words.extend(references.iter().map(|link| format!("{} -> {}", link.field, link.parent_resource)));
    words.sort();
    words.join("\n")
}
