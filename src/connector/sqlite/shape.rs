//! What a table looks like, as SQLite tells it.

use std::borrow::Cow;

use rusqlite::{Connection, OptionalExtension};

use super::{
    failure::{Told, quoted},
    values::Affinity,
};
use crate::{
    connector::shape::{self, Filled, Lead},
    error::{Error, Result},
    model::Kind as ValueKind,
};

pub(super) type Column = shape::Column<Affinity, ()>;

/// A table of the user's database.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) columns: Vec<Column>,
    pub(super) foreign: Vec<Foreign>,
    /// Column sets that are unique for all rows, the primary key among them.
    pub(super) unique: Vec<Vec<String>>,
    key: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Foreign {
    pub(super) columns: Vec<String>,
    pub(super) parent: String,
    /// The parent's columns; empty = its primary key.
    pub(super) to: Vec<String>,
    /// Whether a change of the parent may change rows that refer to it.
    pub(super) acts: bool,
}

impl Shape {
    /// The names of the user's tables and views, in the order of their names.
    pub(super) fn names(conn: &Connection) -> Result<Vec<String>> {
        let sql = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
                   AND name NOT LIKE 'entente\\_%' ESCAPE '\\' AND type <> 'shadow' ORDER BY name";
        let mut statement = conn.prepare_cached(sql).told("list the tables")?;
        let names = statement.query_map([], |row| row.get(0)).told("list the tables")?;
        names.collect::<rusqlite::Result<_>>().told("list the tables")
    }

    pub(super) fn read(conn: &Connection, table: &str) -> Result<Shape> {
        let known: Option<(String, String)> = conn
            .query_row("SELECT name, type FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE", [table], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()
            .told("read the schema")?;
        let (name, kind) = known.ok_or_else(|| {
            Error::not_found(format!("there is no table {table:?} in this database"))
                .hint("Run `entente attach NAME URL` without --table to list its tables.")
        })?;
        let (columns, key) = columns(conn, &name).told("read the schema")?;
        let foreign = foreign(conn, &name).told("read the schema")?;
        let mut unique = unique(conn, &name).told("read the schema")?;
        if !key.is_empty() && !unique.contains(&key) {
            unique.push(key.clone());
        }
        Ok(Shape { name, kind, columns, foreign, unique, key })
    }
}

impl shape::Shape for Shape {
    type Form = Affinity;
    type More = ();

    fn name(&self) -> &str {
        &self.name
    }

    fn sql(&self) -> String {
        quoted(&self.name)
    }

    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn key(&self) -> Vec<String> {
        self.key.clone()
    }

    fn unique(&self) -> &[Vec<String>] {
        &self.unique
    }

    fn foreign(&self) -> Vec<(&[String], &str, &[String])> {
        self.foreign.iter().map(|key| (key.columns.as_slice(), key.parent.as_str(), key.to.as_slice())).collect()
    }

    fn unfit(&self) -> Option<String> {
        match self.kind.as_str() {
            "table" => None,
            "view" => Some("it is a view; attach the tables behind it".into()),
            "virtual" => Some("it is a virtual table".into()),
            other => Some(format!("it is a {other} table")),
        }
    }

    fn is_for_uids(&self, column: &Column) -> bool {
        let name = column.name.to_lowercase();
        matches!(name.as_str(), "uuid" | "guid" | "urn") || column.declared.to_uppercase().contains("UUID")
    }

    fn lead(&self, at: usize, parent: &Shape) -> Option<Lead> {
        let foreign = self.foreign.get(at).filter(|foreign| Self::same(&foreign.parent, &parent.name))?;
        let to = if foreign.to.is_empty() { parent.key.clone() } else { foreign.to.clone() };
        let exact = |name: &String| parent.column(name).map_or_else(|| name.clone(), |column| column.name.clone());
        let mut kinds = foreign.columns.iter().zip(&to).map(|(own, other)| (self.column(own), parent.column(other)));
        let alike = kinds.all(|(own, other)| own.zip(other).is_some_and(|(own, other)| own.form == other.form));
        // All of a connection's foreign keys can be told to wait.
        Some(Lead { to: to.iter().map(exact).collect(), alike, deferrable: true })
    }

    fn plain(name: &str) -> Cow<'_, str> {
        name.to_ascii_lowercase().into()
    }

    fn is_integer(form: &Affinity) -> bool {
        *form == Affinity::Integer
    }

    fn kind(form: &Affinity, declared: &str) -> ValueKind {
        let declared = declared.to_uppercase();
        let word = declared.split(['(', ' ']).next().unwrap_or_default();
        match (word, form) {
            ("DATE", _) => ValueKind::Date,
            ("DATETIME" | "TIMESTAMP", _) => ValueKind::Local,
            ("TIME", _) => ValueKind::Clock,
            ("BOOLEAN" | "BOOL", _) => ValueKind::Boolean,
            ("JSON" | "JSONB", _) => ValueKind::Json,
            ("DECIMAL" | "NUMERIC", _) => ValueKind::Decimal,
            (_, Affinity::Integer) => ValueKind::Integer,
            (_, Affinity::Real) => ValueKind::Real,
            ("BLOB", _) => ValueKind::Bytes,
            (_, Affinity::Text) => ValueKind::Text,
            // A column that takes anything says nothing.
            _ => ValueKind::Null,
        }
    }

    fn line(field: &str, form: &Affinity) -> String {
        format!("{field} {form:?}")
    }
}

/// Whether writing one attached row may change others: by actions of foreign keys or by the user's own triggers.
pub(super) fn writes_spread(conn: &Connection) -> Result<bool> {
    let triggers: i64 = conn
        .query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND name NOT LIKE 'entente\\_%' ESCAPE '\\'", [], |row| {
            row.get(0)
        })
        .told("read the schema")?;
    if triggers > 0 {
        return Ok(true);
    }
    for name in Shape::names(conn)? {
        if foreign(conn, &name).told("read the schema")?.iter().any(|key| key.acts) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The columns, and the names of those that make the primary key, in its order.
fn columns(conn: &Connection, table: &str) -> rusqlite::Result<(Vec<Column>, Vec<String>)> {
    let sql = "SELECT c.name, c.type, c.\"notnull\", c.dflt_value, c.pk, c.hidden, l.strict FROM pragma_table_xinfo(?1) c
               JOIN pragma_table_list l ON l.schema = 'main' AND l.name = ?1 ORDER BY c.cid";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([table], |row| {
        let (declared, strict): (String, bool) = (row.get(1)?, row.get(6)?);
        // Only in a strict table does ANY take values as they are.
        let as_it_is = strict && declared.eq_ignore_ascii_case("ANY");
        let column = Column {
            name: row.get(0)?,
            form: if as_it_is { Affinity::Blob } else { Affinity::of(&declared) },
            declared,
            not_null: row.get(2)?,
            default: row.get(3)?,
            generated: row.get::<_, i64>(5)? >= 2,
            filled: Filled::Never,
            more: (),
        };
        // Its place in the primary key from 1; 0 = it is no part of it.
        Ok((column, row.get::<_, i64>(4)?))
    })?;
    let columns: Vec<(Column, i64)> = rows.collect::<rusqlite::Result<_>>()?;
    let mut key: Vec<&(Column, i64)> = columns.iter().filter(|(_, place)| *place > 0).collect();
    key.sort_by_key(|(_, place)| *place);
    let key = key.iter().map(|(column, _)| column.name.clone()).collect();
    Ok((columns.into_iter().map(|(column, _)| column).collect(), key))
}

fn foreign(conn: &Connection, table: &str) -> rusqlite::Result<Vec<Foreign>> {
    let mut statement = conn
        .prepare_cached("SELECT id, \"table\", \"from\", \"to\", on_update, on_delete FROM pragma_foreign_key_list(?1) ORDER BY id, seq")?;
    let mut rows = statement.query([table])?;
    let mut keys: Vec<(i64, Foreign)> = Vec::new();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        if keys.last().is_none_or(|(last, _)| *last != id) {
            let acts = |column| row.get::<_, String>(column).map(|action| !matches!(action.as_str(), "NO ACTION" | "RESTRICT"));
            let acts = acts(4)? || acts(5)?;
            keys.push((id, Foreign { columns: Vec::new(), parent: row.get(1)?, to: Vec::new(), acts }));
        }
        if let Some((_, key)) = keys.last_mut() {
            key.columns.push(row.get(2)?);
            key.to.extend(row.get::<_, Option<String>>(3)?);
        }
    }
    Ok(keys.into_iter().map(|(_, key)| key).collect())
}

fn unique(conn: &Connection, table: &str) -> rusqlite::Result<Vec<Vec<String>>> {
    let mut statement = conn.prepare_cached("SELECT name FROM pragma_index_list(?1) WHERE \"unique\" = 1 AND partial = 0")?;
    let names: Vec<String> = statement.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut sets = Vec::new();
    for index in names {
        let mut statement = conn.prepare_cached("SELECT name FROM pragma_index_info(?1) ORDER BY seqno")?;
        let columns: Vec<Option<String>> = statement.query_map([&index], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        // An index on an expression has no column name.
        sets.extend(columns.into_iter().collect::<Option<Vec<String>>>());
    }
    Ok(sets)
}
