//! How a table's columns become fields and references, and the SQL that follows from it.

use std::collections::BTreeSet;

use super::{
    failure::quoted,
    lists,
    shape::{Column, Shape},
    values::Affinity,
};
use crate::{
    connector::{Form, Make, Reference, Table, eden::Looks},
    error::{Error, Kind, Result},
    model::{Identity, TableSpec},
};

/// What stands in `held` of a record that was let go: no conflict holds it, it is offered to nobody and counts as unknown.
pub(super) const LET_GO: i64 = -1;

/// The most columns a local key may have.
pub(super) const MAX_KEY: usize = 16;

/// A table, ready to be read and written.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) table: Table,
    /// Columns of the local key.
    pub(super) key: Vec<String>,
    /// The key is one integer that means nothing elsewhere: we choose it for new rows and it does not travel.
    pub(super) own_key: bool,
    pub(super) data: Vec<Data>,
    pub(super) references: Vec<Link>,
    /// The column that holds the uid.
    pub(super) identity: Option<Column>,
    /// Fields whose values make the uid of a natural key.
    pub(super) natural: Vec<String>,
    /// Unique column sets beside the key: a replacing insert may remove another row by one of them.
    pub(super) unique: Vec<Vec<String>>,
    pub(super) sql: Statements,
}

/// The statements that are run for each record or page, written once.
#[derive(Debug, Clone, Default)]
pub(super) struct Statements {
    /// ?1 after, ?2 up to, ?3 not received from, ?4 limit.
    pub(super) feed: String,
    /// ?1 an array of uids.
    pub(super) named: String,
    pub(super) last_arrival: String,
    /// ?1 arrival.
    pub(super) key_of: String,
    /// ?1 … the key.
    pub(super) delete_row: String,
    /// ?1 arrival, uid, deleted, modified_on, version, origin, author, settled, received_from, heir, extra, ?12 digest, ?13 run, the key.
    pub(super) add_state: String,
    /// ?1 new arrival, ?2 old arrival, ?3 deleted … ?11 extra, ?12 digest, ?13 whether extra is replaced, ?14 run.
    pub(super) change_state: String,
}

/// A column that travels as a field.
#[derive(Debug, Clone)]
pub(super) struct Data {
    pub(super) column: String,
    pub(super) field: String,
    pub(super) affinity: Affinity,
    /// What its column is declared for.
    pub(super) declared: crate::model::Kind,
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
    /// Both sides' columns convert what is stored in the same way, so that values can be compared as they are.
    pub(super) alike: bool,
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
    /// Makes the layout of `entry` among all attached tables; says by name what stands in the way.
    pub(super) fn make(entry: &Entry, all: &[Entry]) -> Result<Layout> {
        let shape = &entry.shape;
        let refuse = |why: String| Error::new(Kind::Constraint, format!("table {:?} cannot be attached: {why}", shape.name));
        if let Some(why) = unfit(shape) {
            return Err(refuse(why));
        }
        let key = entry.key();
        if key.is_empty() {
            return Err(refuse("it has no primary key".into()).hint("Give it one, or name unique columns with --identity key:C,…"));
        }
        if key.len() > MAX_KEY {
            return Err(refuse(format!("its key has more than {MAX_KEY} columns")));
        }
        let omitted: BTreeSet<String> = entry.spec.omit.iter().map(|column| column.to_lowercase()).collect();
        let named = entry.spec.omit.iter().chain(&entry.spec.matching).chain(entry.spec.map.keys());
        if let Some(unknown) = named.clone().find(|name| shape.column(name).is_none()) {
            return Err(refuse(format!("it has no column {unknown:?}")));
        }
        let identity = entry.spec.identity.clone().unwrap_or_else(|| propose(shape));
        let references = links(entry, all, &omitted).map_err(refuse)?;
        let held: BTreeSet<String> = references.iter().flat_map(|link| link.columns.iter().map(|column| column.to_lowercase())).collect();
        let identity_column = match &identity {
            Identity::Column { column } => {
                Some(shape.column(column).cloned().ok_or_else(|| refuse(format!("it has no column {column:?}")))?)
            }
            _ => None,
        };
        let in_identity = |column: &str| match &identity {
            Identity::Column { column: own } => own.eq_ignore_ascii_case(column),
            Identity::Key { columns } => columns.iter().any(|own| own.eq_ignore_ascii_case(column)),
            Identity::Assigned => false,
        };
        let own_key = key.len() == 1
            && shape.column(&key[0]).is_some_and(|column| column.affinity == Affinity::Integer)
            && !held.contains(&key[0].to_lowercase())
            && !in_identity(&key[0]);
        let looks = looks(shape);
        let tables: Vec<String> = all.iter().map(|other| other.shape.name.clone()).collect();
        let list = |column: &Column| {
            let table = looks.listed(&column.name, &column.declared, &tables)?;
            let other = all.iter().find(|other| other.shape.name == *table && other.key().len() == 1)?;
            Some(Listed { id: other.id, resource: other.spec.resource.clone() })
        };
        let travels = |column: &&Column| {
            let name = column.name.to_lowercase();
            let stays = looks.stays(&column.name, &column.declared, &tables)
                || column.generated
                || omitted.contains(&name)
                || own_key && column.name.eq_ignore_ascii_case(&key[0]);
            !stays && !held.contains(&name)
        };
        let data: Vec<Data> = shape
            .columns
            .iter()
            .filter(travels)
            .map(|column| Data {
                column: column.name.clone(),
                field: field_name(&entry.spec, &column.name),
                affinity: column.affinity,
                declared: declared_for(&column.declared, column.affinity),
                default: column.default.clone(),
                is_identity: identity_column.as_ref().is_some_and(|own| own.name == column.name),
                list: list(column),
            })
            .collect();
        let natural = natural_fields(&identity, &data, &references).map_err(refuse)?;
        check_unique(shape, &identity, &entry.spec.matching, &key).map_err(refuse)?;
        let required = shape
            .columns
            .iter()
            .filter(|column| column.not_null && column.default.is_none() && travels(column))
            .filter(|column| identity_column.as_ref().is_none_or(|own| own.name != column.name))
            .map(|column| field_name(&entry.spec, &column.name))
            .collect();
        let fields: Vec<String> = data.iter().filter(|data| !data.is_identity).map(|data| data.field.clone()).collect();
        let public: Vec<Reference> =
            references.iter().map(|link| Reference { field: link.field.clone(), resource: link.parent_resource.clone() }).collect();
        let mut names = BTreeSet::new();
        if let Some(twice) =
            fields.iter().chain(public.iter().map(|reference| &reference.field)).find(|name| !names.insert((*name).clone()))
        {
            return Err(refuse(format!("two of its columns would travel as {twice:?}")));
        }
        let fingerprint = fingerprint(&data, &references);
        let single = |data: &&Data| shape.is_unique(std::slice::from_ref(&data.column));
        let flag = |data: &Data| looks.flags().contains(&data.column.as_str());
        let kind = |data: &Data| if flag(data) { crate::model::Kind::Boolean } else { data.declared };
        let form = Form {
            make: if looks.is_eden() { Make::Eden } else { Make::Plain },
            flags: data.iter().filter(|data| flag(data)).map(|data| data.field.clone()).collect(),
            kinds: data.iter().map(|data| (data.field.clone(), kind(data))).collect(),
            unique: data.iter().filter(|data| !data.is_identity).filter(single).map(|data| data.field.clone()).collect(),
            components: entry.spec.components.clone(),
            lists: data
                .iter()
                .filter_map(|data| Some(Reference { field: data.field.clone(), resource: data.list.as_ref()?.resource.clone() }))
                .collect(),
            supers: references.iter().filter(|link| looks.is_eden() && link.columns == link.to).map(|link| link.field.clone()).collect(),
            heir: references.iter().find(|link| link.loose).map(|link| link.field.clone()),
        };
        let table = Table {
            id: entry.id,
            name: shape.name.clone(),
            resource: entry.spec.resource.clone(),
            identity,
            matching: entry.spec.matching.iter().map(|column| field_name(&entry.spec, column)).collect(),
            fields,
            references: public,
            required,
            fingerprint,
            ready: entry.ready,
            bases: entry.bases,
            form,
        };
        let unique = shape.unique.iter().filter(|columns| **columns != key).cloned().collect();
        let sql = Statements::default();
        let mut layout = Layout { table, key, own_key, data, references, identity: identity_column, natural, unique, sql };
        layout.sql = layout.statements();
        Ok(layout)
    }

    fn statements(&self) -> Statements {
        let state = self.state();
        let table = quoted(&self.table.name);
        let numbers = 1..=self.key.len();
        let keys: Vec<String> = numbers.clone().map(|at| format!("k{at}")).collect();
        let names: String = numbers.clone().map(|at| format!(", k{at}")).collect();
        let marks: String = numbers.map(|at| format!(", ?{}", at + 13)).collect();
        let named = format!(
            "rarray(?1) w CROSS JOIN {state} s ON s.uid = w.value LEFT JOIN {table} t ON {} AND s.deleted = 0",
            self.on_key("t", "s")
        );
        Statements {
            feed: format!(
                "{} WHERE s.arrival > ?1 AND s.arrival <= ?2 AND s.held IS NULL AND (s.received_from IS NULL OR s.received_from <> ?3)
                 ORDER BY s.arrival LIMIT ?4",
                self.select(&self.state_and_row())
            ),
            named: self.select(&named),
            last_arrival: format!("SELECT COALESCE(MAX(arrival), 0) FROM {state}"),
            key_of: format!("SELECT {} FROM {state} WHERE arrival = ?1", keys.join(", ")),
            delete_row: format!("DELETE FROM {table} WHERE {}", where_key(&self.key, 1)),
            add_state: format!(
                "INSERT INTO {state} (arrival, uid, deleted, modified_on, version, origin, author, settled, received_from, heir, extra, digest, run, made{names})
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13{marks})"
            ),
            change_state: format!(
                "UPDATE {state} SET arrival = ?1, deleted = ?3, modified_on = ?4, version = ?5, origin = ?6, author = ?7, settled = ?8,
                 received_from = ?9, heir = ?10, extra = CASE WHEN ?13 THEN ?11 ELSE extra END, digest = ?12, own = NULL, run = ?14,
                 held = CASE WHEN held = {LET_GO} THEN NULL ELSE held END WHERE arrival = ?2"
            ),
        }
    }

    /// The fields and their types, one a line.
    pub(super) fn described(&self) -> String {
        described(&self.data, &self.references)
    }

    /// The field that a line of [`Layout::described`] is about.
    pub(super) fn field_described(line: &str) -> Option<&str> {
        line.split_once(" -> ").or_else(|| line.rsplit_once(' ')).map(|(field, _)| field)
    }

    /// The name of the table's state table.
    pub(super) fn state(&self) -> String {
        state_of(self.table.id)
    }

    /// How the state of a row is found: see [`by_key`].
    pub(super) fn by_key(&self, row: &str, state: &str) -> String {
        by_key(&self.key, row, state)
    }

    /// `alias.column = s.k1 AND …`: how a row of the table meets its state.
    pub(super) fn on_key(&self, row: &str, state: &str) -> String {
        on_key(&self.key, row, state)
    }

    /// What is read of a record: its state, whether its row is there, its fields, and for each reference whether it is set and its uid.
    pub(super) fn select(&self, from: &str) -> String {
        let mut columns = String::from(STATE_COLUMNS);
        columns.push_str(&format!(", t.{} IS NOT NULL", quoted(&self.key[0])));
        for data in &self.data {
            columns.push_str(&match &data.list {
                Some(list) => format!(", {}", lists::read(list, &format!("t.{}", quoted(&data.column)))),
                None => format!(", t.{}", quoted(&data.column)),
            });
        }
        let mut joins = String::new();
        for (at, link) in self.references.iter().enumerate() {
            let mut set: Vec<String> = link.columns.iter().map(|column| format!("t.{} IS NOT NULL", quoted(column))).collect();
            if link.loose {
                let there = link.columns.iter().zip(&link.to).map(|(column, to)| format!("x.{} = t.{}", quoted(to), quoted(column)));
                let there: Vec<String> = there.collect();
                set.push(format!("EXISTS (SELECT 1 FROM {} x WHERE {})", quoted(&link.parent), there.join(" AND ")));
            }
            columns.push_str(&format!(", ({}), p{at}.uid", set.join(" AND ")));
            let pairs = link.columns.iter().zip(&link.to);
            if link.by_key() {
                let on: Vec<String> = pairs
                    .map(|(column, to)| {
                        let position = link.parent_key.iter().position(|key| key == to).unwrap_or(0) + 1;
                        // A column's affinity would make the index on the key useless, and every row would look through all states.
                        format!("p{at}.k{position} = {}t.{}", if link.alike { "+" } else { "" }, quoted(column))
                    })
                    .collect();
                joins.push_str(&format!(" LEFT JOIN {} p{at} ON {} AND p{at}.deleted = 0", state_of(link.parent_id), on.join(" AND ")));
            } else {
                let on: Vec<String> = pairs.map(|(column, to)| format!("q{at}.{} = t.{}", quoted(to), quoted(column))).collect();
                joins.push_str(&format!(
                    " LEFT JOIN {} q{at} ON {} LEFT JOIN {} p{at} ON {} AND p{at}.deleted = 0",
                    quoted(&link.parent),
                    on.join(" AND "),
                    state_of(link.parent_id),
                    by_key(&link.parent_key, &format!("q{at}"), &format!("p{at}")),
                ));
            }
        }
        for key in &self.key {
            columns.push_str(&format!(", t.{}", quoted(key)));
        }
        format!("SELECT {columns} FROM {from}{joins}")
    }

    /// `entente_state_N s LEFT JOIN table t`.
    pub(super) fn state_and_row(&self) -> String {
        format!("{} s LEFT JOIN {} t ON {} AND s.deleted = 0", self.state(), quoted(&self.table.name), self.on_key("t", "s"))
    }
}

const STATE_COLUMNS: &str = "s.arrival, s.uid, s.deleted, s.modified_on, s.own, s.version, s.origin, s.author, s.settled, s.received_from, s.held, \
                             s.heir, s.extra, s.digest";

/// The name of a state table.
pub(super) fn state_of(id: i64) -> String {
    format!("entente_state_{id}")
}

/// `row.column = state.k1 AND …`
pub(super) fn on_key(key: &[String], row: &str, state: &str) -> String {
    let pairs: Vec<String> = key.iter().enumerate().map(|(at, column)| format!("{row}.{} = {state}.k{}", quoted(column), at + 1)).collect();
    pairs.join(" AND ")
}

/// `s.k1 = +row.column AND …`: how the state of a row is found by its key. A column's affinity would make the index on the key useless, and every row
/// would look through all states.
fn by_key(key: &[String], row: &str, state: &str) -> String {
    let pairs = key.iter().enumerate().map(|(at, column)| format!("{state}.k{} = +{row}.{}", at + 1, quoted(column)));
    pairs.collect::<Vec<_>>().join(" AND ")
}

/// `key = ?n AND …`
pub(super) fn where_key(key: &[String], first: usize) -> String {
    let pairs: Vec<String> = key.iter().enumerate().map(|(at, column)| format!("{} = ?{}", quoted(column), first + at)).collect();
    pairs.join(" AND ")
}

/// Why a table of this shape can never be attached.
pub(super) fn unfit(shape: &Shape) -> Option<String> {
    match shape.kind.as_str() {
        "table" => None,
        "view" => Some("it is a view; attach the tables behind it".into()),
        "virtual" => Some("it is a virtual table".into()),
        other => Some(format!("it is a {other} table")),
    }
}

/// The identity a table gets where nobody says otherwise (SYNC.md 1).
pub(super) fn propose(shape: &Shape) -> Identity {
    let key = shape.key();
    let is_uuid = |column: &Column| {
        let name = column.name.to_lowercase();
        matches!(name.as_str(), "uuid" | "guid" | "urn") || column.declared.to_uppercase().contains("UUID")
    };
    let unique = |column: &&Column| is_uuid(column) && shape.is_unique(std::slice::from_ref(&column.name));
    if let Some(column) = shape.columns.iter().find(unique) {
        return Identity::Column { column: column.name.clone() };
    }
    let single_integer = key.len() == 1 && shape.column(&key[0]).is_some_and(|column| column.affinity == Affinity::Integer);
    let is_foreign = key.len() == 1 && shape.foreign.iter().any(|foreign| foreign.columns == key);
    if single_integer && !is_foreign { Identity::Assigned } else { Identity::Key { columns: key } }
}

/// What tells whose table it is.
pub(super) fn looks(shape: &Shape) -> Looks<'_> {
    Looks {
        name: &shape.name,
        key: shape.key(),
        columns: shape.columns.iter().map(|column| (column.name.as_str(), column.declared.as_str())).collect(),
        foreign: shape.foreign.iter().map(|key| (key.columns.as_slice(), key.parent.as_str(), key.to.as_slice())).collect(),
    }
}

/// The kind of value that a declared type means.
fn declared_for(declared: &str, affinity: Affinity) -> crate::model::Kind {
    use crate::model::Kind as Value;
    let declared = declared.to_uppercase();
    let word = declared.split(['(', ' ']).next().unwrap_or_default();
    match (word, affinity) {
        ("DATE", _) => Value::Date,
        ("DATETIME" | "TIMESTAMP", _) => Value::Local,
        ("TIME", _) => Value::Clock,
        ("BOOLEAN" | "BOOL", _) => Value::Boolean,
        ("JSON" | "JSONB", _) => Value::Json,
        ("DECIMAL" | "NUMERIC", _) => Value::Decimal,
        (_, Affinity::Integer) => Value::Integer,
        (_, Affinity::Real) => Value::Real,
        ("BLOB", _) => Value::Bytes,
        (_, Affinity::Text) => Value::Text,
        // A column that takes anything says nothing.
        _ => Value::Null,
    }
}

fn field_name(spec: &TableSpec, column: &str) -> String {
    spec.map.iter().find(|(from, _)| from.eq_ignore_ascii_case(column)).map_or_else(|| column.to_owned(), |(_, to)| to.clone())
}

/// The foreign keys as references; one to a table that is not attached is named, unless its columns are left out.
fn links(entry: &Entry, all: &[Entry], omitted: &BTreeSet<String>) -> std::result::Result<Vec<Link>, String> {
    let mut links: Vec<Link> = Vec::new();
    for foreign in &entry.shape.foreign {
        if foreign.columns.iter().any(|column| omitted.contains(&column.to_lowercase())) {
            continue;
        }
        let parent = all.iter().find(|other| other.shape.name.eq_ignore_ascii_case(&foreign.parent)).ok_or_else(|| {
            let columns = foreign.columns.join(", ");
            format!(
                "its column {columns} refers to table {:?}, which is not attached; attach that too, or leave the column out with --omit",
                foreign.parent
            )
        })?;
        let to = if foreign.to.is_empty() { parent.shape.key() } else { foreign.to.clone() };
        let exact = |name: &String| parent.shape.column(name).map_or_else(|| name.clone(), |column| column.name.clone());
        let kinds = foreign.columns.iter().zip(&to).map(|(own, other)| (entry.shape.column(own), parent.shape.column(other)));
        let alike = kinds.into_iter().all(|(own, other)| own.zip(other).is_some_and(|(own, other)| own.affinity == other.affinity));
        let link = Link {
            alike,
            loose: false,
            field: foreign.columns.iter().map(|column| field_name(&entry.spec, column)).collect::<Vec<_>>().join("+"),
            columns: foreign.columns.clone(),
            parent: parent.shape.name.clone(),
            parent_id: parent.id,
            parent_resource: parent.spec.resource.clone(),
            to: to.iter().map(exact).collect(),
            parent_key: parent.key(),
        };
        if link.to.len() != link.columns.len() {
            return Err(format!("its foreign key to {:?} does not name as many columns as that table's key has", link.parent));
        }
        // Two constraints on the same columns say the same thing to us.
        if !links.iter().any(|known| known.field == link.field) {
            links.push(link);
        }
    }
    if let Some(column) = looks(&entry.shape).heirs().filter(|column| !omitted.contains(*column)) {
        let (shape, key) = (&entry.shape, entry.key());
        let affinity = |name: &str| shape.column(name).map(|column| column.affinity);
        links.push(Link {
            alike: affinity(column) == affinity("id"),
            loose: true,
            field: field_name(&entry.spec, column),
            columns: vec![column.to_owned()],
            parent: shape.name.clone(),
            parent_id: entry.id,
            parent_resource: entry.spec.resource.clone(),
            to: key.clone(),
            parent_key: key,
        });
    }
    Ok(links)
}

fn natural_fields(identity: &Identity, data: &[Data], references: &[Link]) -> std::result::Result<Vec<String>, String> {
    let Identity::Key { columns } = identity else { return Ok(Vec::new()) };
    let mut fields = Vec::new();
    for column in columns {
        let own = data.iter().find(|data| data.column.eq_ignore_ascii_case(column)).map(|data| data.field.clone());
        let held = || {
            references.iter().find(|link| link.columns.iter().any(|held| held.eq_ignore_ascii_case(column))).map(|link| link.field.clone())
        };
        let field = own.or_else(held).ok_or_else(|| format!("its key column {column:?} does not travel"))?;
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    Ok(fields)
}

fn check_unique(shape: &Shape, identity: &Identity, matching: &[String], key: &[String]) -> std::result::Result<(), String> {
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

fn fingerprint(data: &[Data], references: &[Link]) -> String {
    let hash = blake3::hash(described(data, references).as_bytes()).to_hex();
    hash[..16].to_owned()
}

fn described(data: &[Data], references: &[Link]) -> String {
    let mut words: Vec<String> = data.iter().map(|data| format!("{} {:?}", data.field, data.affinity)).collect();
    words.extend(references.iter().map(|link| format!("{} -> {}", link.field, link.parent_resource)));
    words.sort();
    words.join("\n")
}
