//! What a table looks like, as SQLite tells it.

use rusqlite::{Connection, OptionalExtension};

use super::{failure::Told, values::Affinity};
use crate::error::{Error, Result};

/// A table of the user's database.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) columns: Vec<Column>,
    pub(super) foreign: Vec<Foreign>,
    /// Column sets that are unique for all rows, the primary key among them.
    pub(super) unique: Vec<Vec<String>>,
}

#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) declared: String,
    pub(super) affinity: Affinity,
    pub(super) not_null: bool,
    /// As an SQL expression.
    pub(super) default: Option<String>,
    /// Position in the primary key from 1; 0 = not part of it.
    pub(super) key: i64,
    pub(super) generated: bool,
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
        let columns = columns(conn, &name).told("read the schema")?;
        let foreign = foreign(conn, &name).told("read the schema")?;
        let mut unique = unique(conn, &name).told("read the schema")?;
        let mut key: Vec<&Column> = columns.iter().filter(|column| column.key > 0).collect();
        key.sort_by_key(|column| column.key);
        let key: Vec<String> = key.iter().map(|column| column.name.clone()).collect();
        if !key.is_empty() && !unique.contains(&key) {
            unique.push(key);
        }
        Ok(Shape { name, kind, columns, foreign, unique })
    }

    /// The primary key's columns in order; empty where there is none.
    pub(super) fn key(&self) -> Vec<String> {
        let mut key: Vec<&Column> = self.columns.iter().filter(|column| column.key > 0).collect();
        key.sort_by_key(|column| column.key);
        key.iter().map(|column| column.name.clone()).collect()
    }

    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// Whether no two rows can have the same values in exactly these columns.
    pub(super) fn is_unique(&self, columns: &[String]) -> bool {
        let sorted = |columns: &[String]| {
            let mut columns: Vec<String> = columns.iter().map(|column| column.to_ascii_lowercase()).collect();
            columns.sort();
            columns
        };
        let wanted = sorted(columns);
        self.unique.iter().any(|unique| sorted(unique) == wanted)
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

fn columns(conn: &Connection, table: &str) -> rusqlite::Result<Vec<Column>> {
    let sql = "SELECT c.name, c.type, c.\"notnull\", c.dflt_value, c.pk, c.hidden, l.strict FROM pragma_table_xinfo(?1) c
               JOIN pragma_table_list l ON l.schema = 'main' AND l.name = ?1 ORDER BY c.cid";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([table], |row| {
        let (declared, strict): (String, bool) = (row.get(1)?, row.get(6)?);
        // Only in a strict table does ANY take values as they are.
        let as_it_is = strict && declared.eq_ignore_ascii_case("ANY");
        Ok(Column {
            name: row.get(0)?,
            affinity: if as_it_is { Affinity::Blob } else { Affinity::of(&declared) },
            declared,
            not_null: row.get(2)?,
            default: row.get(3)?,
            key: row.get(4)?,
            generated: row.get::<_, i64>(5)? >= 2,
        })
    })?;
    rows.collect()
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
