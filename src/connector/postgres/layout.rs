//! How a table's columns become fields and references.

use std::collections::BTreeSet;

use super::{
    form::Form,
    shape::{Column, Shape},
    sql::Statements,
};
use crate::{
    connector::{Form as Public, Make, Reference, Table, eden::Looks},
    error::{Error, Kind, Result},
    model::{Identity, TableSpec},
};

/// What stands in `held` of a record that was let go: no conflict holds it, it is offered to nobody and counts as unknown.
pub(super) const LET_GO: i64 = -1;

/// The most columns a local key may have.
const MAX_KEY: usize = 16;

/// A table, ready to be read and written.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) table: Table,
    /// The table as SQL writes it, and its partitions.
    pub(super) rel: String,
    pub(super) parts: Vec<String>,
    /// Columns of the local key.
    pub(super) key: Vec<Column>,
    /// No statement can write two rows with one key.
    pub(super) once: bool,
    /// The key is one integer that means nothing elsewhere: we choose it for new rows and it does not travel.
    pub(super) own_key: bool,
    pub(super) data: Vec<Data>,
    pub(super) references: Vec<Link>,
    /// The column that holds the uid.
    pub(super) identity: Option<Column>,
    /// Fields whose values make the uid of a natural key.
    pub(super) natural: Vec<String>,
    /// All columns and their types.
    types: Vec<(String, String)>,
    pub(super) sql: Statements,
}

/// A column that travels as a field.
#[derive(Debug, Clone)]
pub(super) struct Data {
    pub(super) column: String,
    pub(super) field: String,
    pub(super) form: Form,
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

/// A foreign key that travels as a reference.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) field: String,
    pub(super) columns: Vec<String>,
    pub(super) parent: String,
    pub(super) parent_id: i64,
    pub(super) parent_resource: String,
    /// The parent's columns that ours hold, in our order.
    pub(super) to: Vec<String>,
    /// The parent's key columns.
    pub(super) parent_key: Vec<String>,
    /// It can wait for the commit.
    pub(super) deferrable: bool,
    /// It is no foreign key: the row that it names may be gone, and nothing is held up by it.
    pub(super) loose: bool,
}

impl Link {
    /// Whether our columns hold just the parent's key.
    pub(super) fn by_key(&self) -> bool {
        self.to.len() == self.parent_key.len() && self.to.iter().all(|column| self.parent_key.contains(column))
    }
}

/// What is known of an attached table before its layout is made.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) id: i64,
    pub(super) ready: bool,
    pub(super) bases: bool,
    pub(super) spec: TableSpec,
    pub(super) shape: Shape,
}

impl Entry {
    /// The local key: the primary key, or else the unique columns that were given as identity.
    fn key(&self) -> Vec<String> {
        let key = self.shape.key();
        match (&self.spec.identity, key.is_empty()) {
            (Some(Identity::Key { columns }), true) => columns.clone(),
            (Some(Identity::Column { column }), true) => vec![column.clone()],
            _ => key,
        }
    }
}

impl Layout {
    /// Whether the column that holds the uid is the whole local key.
    pub(super) fn key_is_uid(&self) -> bool {
        matches!((&self.key[..], &self.identity), ([key], Some(uid)) if key.name == uid.name)
    }

    /// Makes the layout of `entry` among all attached tables; says by name what stands in the way.
    pub(super) fn make(entry: &Entry, all: &[Entry]) -> Result<Layout> {
        let (shape, spec) = (&entry.shape, &entry.spec);
        let refuse = |why: String| Error::new(Kind::Constraint, format!("table {:?} cannot be attached: {why}", shape.name));
        let column = |name: &String| shape.column(name).cloned().ok_or_else(|| refuse(format!("it has no column {name:?}")));
        if let Some(why) = unfit(shape) {
            return Err(refuse(why));
        }
        let key: Vec<Column> = entry.key().iter().map(column).collect::<Result<_>>()?;
        if key.is_empty() {
            return Err(refuse("it has no primary key".into()).hint("Give it one, or name unique columns with --identity key:C,…"));
        }
        if key.len() > MAX_KEY {
            return Err(refuse(format!("its key has more than {MAX_KEY} columns")));
        }
        spec.omit.iter().chain(&spec.matching).chain(spec.map.keys()).try_for_each(|name| column(name).map(drop))?;
        let identity = spec.identity.clone().unwrap_or_else(|| propose(shape));
        let references = links(entry, all).map_err(refuse)?;
        let held: BTreeSet<&String> = references.iter().flat_map(|link| &link.columns).collect();
        let identity_column = match &identity {
            Identity::Column { column: name } => Some(column(name)?),
            _ => None,
        };
        let in_identity = |name: &String| match &identity {
            Identity::Column { column: own } => own == name,
            Identity::Key { columns } => columns.contains(name),
            Identity::Assigned => false,
        };
        let own_key = key.len() == 1 && key[0].form == Form::Integer && !held.contains(&key[0].name) && !in_identity(&key[0].name);
        let in_key = |column: &Column| key.iter().any(|key| key.name == column.name);
        let looks = looks(shape);
        let tables: Vec<String> = all.iter().map(|other| other.shape.name.clone()).collect();
        let list = |column: &Column| {
            let table = looks.listed(&column.name, &column.declared, &tables)?;
            let other = all.iter().find(|other| other.shape.name == *table && other.key().len() == 1)?;
            Some(Listed { id: other.id, resource: other.spec.resource.clone() })
        };
        let travels = |column: &&Column| {
            let own = if in_key(column) { own_key } else { column.identity == "a" };
            let stays = looks.stays(&column.name, &column.declared, &tables);
            !(own || stays || column.generated || spec.omit.contains(&column.name) || held.contains(&column.name))
        };
        let data: Vec<Data> = shape
            .columns
            .iter()
            .filter(travels)
            .map(|column| Data { list: list(column), ..field(spec, column, identity_column.as_ref()) })
            .collect();
        let natural = natural_fields(&identity, &data, &references).map_err(refuse)?;
        check_unique(shape, &identity, &spec.matching, &key).map_err(refuse)?;
        let required = shape.columns.iter().filter(|column| column.not_null && column.default.is_none() && column.identity.is_empty());
        let required = required.filter(|column| travels(column) && identity_column.as_ref().is_none_or(|own| own.name != column.name));
        let required = required.map(|column| field_name(spec, &column.name)).collect();
        let fields: Vec<String> = data.iter().filter(|data| !data.is_identity).map(|data| data.field.clone()).collect();
        let public: Vec<Reference> =
            references.iter().map(|link| Reference { field: link.field.clone(), resource: link.parent_resource.clone() }).collect();
        let mut names = BTreeSet::new();
        if let Some(twice) = fields.iter().chain(public.iter().map(|reference| &reference.field)).find(|name| !names.insert(*name)) {
            return Err(refuse(format!("two of its columns would travel as {twice:?}")));
        }
        let hash = blake3::hash(described(&data, &references).as_bytes()).to_hex();
        let flag = |data: &Data| looks.flags().contains(&data.column.as_str());
        let kind = |data: &Data| if flag(data) { crate::model::Kind::Boolean } else { data.form.kind() };
        let kinds = data.iter().map(|data| (data.field.clone(), kind(data))).collect();
        let flags = data.iter().filter(|data| flag(data)).map(|data| data.field.clone()).collect();
        let make = if looks.is_eden() { Make::Eden } else { Make::Plain };
        let single = |data: &&Data| !data.is_identity && shape.is_unique(std::slice::from_ref(&data.column));
        let unique = data.iter().filter(single).map(|data| data.field.clone()).collect();
        let listed = |data: &Data| Some(Reference { field: data.field.clone(), resource: data.list.as_ref()?.resource.clone() });
        let lists = data.iter().filter_map(listed).collect();
        let supers =
            references.iter().filter(|link| make == Make::Eden && link.columns == link.to).map(|link| link.field.clone()).collect();
        let heir = references.iter().find(|link| link.loose).map(|link| link.field.clone());
        let table = Table {
            id: entry.id,
            name: shape.name.clone(),
            resource: spec.resource.clone(),
            identity,
            matching: spec.matching.iter().map(|column| field_name(spec, column)).collect(),
            fields,
            references: public,
            required,
            fingerprint: hash[..16].to_owned(),
            ready: entry.ready,
            bases: entry.bases,
            form: Public { kinds, unique, components: spec.components.clone(), make, flags, lists, supers, heir },
        };
        let (rel, parts, sql) = (shape.sql(), shape.parts.clone(), Statements::default());
        let once = shape.immediate.iter().any(|unique| unique.iter().all(|column| key.iter().any(|key| key.name == *column)));
        let types = shape.columns.iter().map(|column| (column.name.clone(), column.declared.clone())).collect();
        let mut layout = Layout { table, rel, parts, key, once, own_key, data, references, identity: identity_column, natural, types, sql };
        layout.sql = layout.statements();
        Ok(layout)
    }

    /// The type of a column.
    pub(super) fn declared(&self, column: &str) -> &str {
        self.types.iter().find(|(known, _)| known == column).map_or("text", |(_, declared)| declared)
    }

    /// The fields and their types, one a line.
    pub(super) fn described(&self) -> String {
        described(&self.data, &self.references)
    }

    /// The field that a line of [`Layout::described`] is about.
    pub(super) fn field_described(line: &str) -> Option<&str> {
        line.split_once(" -> ").or_else(|| line.split_once(" : ")).map(|(field, _)| field)
    }

    /// Whether the table has a column or reference for a field.
    pub(super) fn knows(&self, field: &str) -> bool {
        self.data.iter().any(|data| data.field == field) || self.references.iter().any(|link| link.field == field)
    }
}

fn field(spec: &TableSpec, column: &Column, identity: Option<&Column>) -> Data {
    Data {
        column: column.name.clone(),
        field: field_name(spec, &column.name),
        form: column.form.clone(),
        declared: column.declared.clone(),
        default: column.default.clone(),
        is_identity: identity.is_some_and(|own| own.name == column.name),
        list: None,
    }
}

/// What tells whose table it is.
pub(super) fn looks(shape: &Shape) -> Looks<'_> {
    Looks {
        name: &shape.name,
        key: shape.key(),
        columns: shape.columns.iter().map(|column| (column.name.as_str(), column.declared.as_str())).collect(),
        foreign: shape.foreign.iter().map(|key| (key.columns.as_slice(), key.parent_name.as_str(), key.to.as_slice())).collect(),
    }
}

/// Why a table of this shape can never be attached.
pub(super) fn unfit(shape: &Shape) -> Option<String> {
    match shape.kind.as_str() {
        "r" | "p" => None,
        "v" | "m" => Some("it is a view; attach the tables behind it".into()),
        "f" => Some("it is a foreign table; attach it where it is".into()),
        "unlogged" => Some("it is unlogged: a crash of the server empties it, which would be taken for deletions".into()),
        "hidden" => Some("row level security hides rows of it from this role; let the role act as the owner, or give it BYPASSRLS".into()),
        _ => Some("other tables inherit from it, so that no key is unique".into()),
    }
}

/// The identity a table gets where nobody says otherwise (SYNC.md 1).
pub(super) fn propose(shape: &Shape) -> Identity {
    let key = shape.key();
    let is_uuid = |column: &Column| column.form == Form::Uuid || matches!(column.name.to_lowercase().as_str(), "uuid" | "guid" | "urn");
    let unique = |column: &&Column| is_uuid(column) && shape.is_unique(std::slice::from_ref(&column.name)) && is_own(shape, &column.name);
    if let Some(column) = shape.columns.iter().find(unique) {
        return Identity::Column { column: column.name.clone() };
    }
    let single_integer = key.len() == 1 && shape.column(&key[0]).is_some_and(|column| column.form == Form::Integer);
    if single_integer && is_own(shape, &key[0]) { Identity::Assigned } else { Identity::Key { columns: key } }
}

/// Whether a column is no reference.
fn is_own(shape: &Shape, column: &str) -> bool {
    !shape.foreign.iter().any(|foreign| foreign.columns == [column])
}

fn field_name(spec: &TableSpec, column: &str) -> String {
    spec.map.get(column).map_or_else(|| column.to_owned(), Clone::clone)
}

/// The foreign keys as references; one to a table that is not attached is named, unless its columns are left out.
fn links(entry: &Entry, all: &[Entry]) -> std::result::Result<Vec<Link>, String> {
    let mut links: Vec<Link> = Vec::new();
    for foreign in &entry.shape.foreign {
        if foreign.columns.iter().any(|column| entry.spec.omit.contains(column)) {
            continue;
        }
        let parent = all.iter().find(|other| other.shape.oid == foreign.parent).ok_or_else(|| {
            let (columns, parent) = (foreign.columns.join(", "), &foreign.parent_name);
            format!("its column {columns} refers to table {parent:?}, which is not attached; attach that too, or leave the column out with --omit")
        })?;
        let link = Link {
            field: foreign.columns.iter().map(|column| field_name(&entry.spec, column)).collect::<Vec<_>>().join("+"),
            columns: foreign.columns.clone(),
            parent: parent.shape.sql(),
            parent_id: parent.id,
            parent_resource: parent.spec.resource.clone(),
            to: foreign.to.clone(),
            parent_key: parent.key(),
            deferrable: foreign.deferrable,
            loose: false,
        };
        // Two constraints on the same columns say the same thing to us.
        if !links.iter().any(|known| known.field == link.field) {
            links.push(link);
        }
    }
    if let Some(column) = looks(&entry.shape).heirs().filter(|column| !entry.spec.omit.iter().any(|omitted| omitted == column)) {
        links.push(Link {
            field: field_name(&entry.spec, column),
            columns: vec![column.to_owned()],
            parent: entry.shape.sql(),
            parent_id: entry.id,
            parent_resource: entry.spec.resource.clone(),
            to: entry.key(),
            parent_key: entry.key(),
            deferrable: true,
            loose: true,
        });
    }
    Ok(links)
}

fn natural_fields(identity: &Identity, data: &[Data], references: &[Link]) -> std::result::Result<Vec<String>, String> {
    let Identity::Key { columns } = identity else { return Ok(Vec::new()) };
    let mut fields = Vec::new();
    for column in columns {
        let own = data.iter().find(|data| data.column == *column).map(|data| data.field.clone());
        let held = || references.iter().find(|link| link.columns.contains(column)).map(|link| link.field.clone());
        let field = own.or_else(held).ok_or_else(|| format!("its key column {column:?} does not travel"))?;
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    Ok(fields)
}

fn check_unique(shape: &Shape, identity: &Identity, matching: &[String], key: &[Column]) -> std::result::Result<(), String> {
    let wanted = match identity {
        Identity::Column { column } => Some(vec![column.clone()]),
        Identity::Key { columns } => Some(columns.clone()),
        Identity::Assigned => None,
    };
    for columns in wanted.into_iter().chain((!matching.is_empty()).then(|| matching.to_vec())) {
        if !key.iter().map(|column| &column.name).eq(&columns) && !shape.is_unique(&columns) {
            return Err(format!("nothing makes {} unique; add a unique index on exactly these columns", columns.join(", ")));
        }
    }
    let nullable = shape.key().is_empty() && key.iter().any(|column| !column.not_null);
    if nullable { Err("it has no primary key, and the columns given may be null".into()) } else { Ok(()) }
}

fn described(data: &[Data], references: &[Link]) -> String {
    let mut words: Vec<String> = data.iter().map(|data| format!("{} : {}", data.field, data.form.word())).collect();
    words.extend(references.iter().map(|link| format!("{} -> {}", link.field, link.parent_resource)));
    words.sort();
    words.join("\n")
}
