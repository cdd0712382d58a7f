//! The kinds of database that the battery is run for.

use std::fmt::Write;

use super::world::{Bench, Put};
use crate::{
    connector::{
        Connector, Postgres, Sqlite, TestDatabase,
        memory::{Held, Memory, Schema},
    },
    model::Kind,
};

pub(super) struct InMemory(Memory);

impl InMemory {
    pub(super) fn new() -> InMemory {
        InMemory(Memory::new(&[
            Schema { name: "place", columns: &["name", "size"], unique: &[&["name"]], required: &["name"], references: &[] },
            Schema {
                name: "person",
                columns: &["name", "home", "friend"],
                unique: &[&["name"]],
                required: &[],
                references: &[("home", "place"), ("friend", "person")],
            },
            Schema { name: "code", columns: &["name", "label"], unique: &[&["name"]], required: &["name"], references: &[] },
        ]))
    }
}

impl Bench for InMemory {
    fn db(&mut self) -> &mut dyn Connector {
        &mut self.0
    }

    fn try_put(&mut self, table: &str, key: i64, columns: &[(&str, Put<'_>)]) -> bool {
        let held = |put: &Put<'_>| match put {
            Put::Null => None,
            Put::Text(text) => Some(Held::Value(Kind::Text, (*text).to_owned())),
            Put::Row(key) => Some(Held::Row(*key)),
        };
        let columns: Vec<(&str, Option<Held>)> = columns.iter().map(|(column, put)| (*column, held(put))).collect();
        self.0.put(table, key, &columns).is_ok()
    }

    fn try_delete(&mut self, table: &str, key: i64) -> bool {
        self.0.delete(table, key).is_ok()
    }

    fn be_careless(&mut self) {
        self.0.be_careless();
    }

    fn close_eyes(&mut self) {
        self.0.watch(false);
    }

    fn open_eyes(&mut self) {
        self.0.watch(true);
    }

    fn column(&mut self, table: &str, column: &str) -> String {
        let shown = self.0.column(table, column).into_iter().map(|(key, held)| match held {
            None => format!("{key}=-"),
            Some(Held::Value(_, text)) => format!("{key}={text}"),
            Some(Held::Row(to)) => format!("{key}={to}"),
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    fn history(&mut self) -> String {
        self.0.lost().map(|(uid, side, rule)| format!("{uid} {side} {rule}")).collect::<Vec<_>>().join(", ")
    }
}

/// The statement that adds a row, or changes one that is there.
fn putting(table: &str, key: i64, columns: &[(&str, Put<'_>)], there: bool) -> String {
    let (mut names, mut values, mut set) = (String::new(), String::new(), String::new());
    for (column, put) in columns {
        let value = match put {
            Put::Null => "NULL".to_owned(),
            Put::Text(text) => format!("'{text}'"),
            Put::Row(key) => key.to_string(),
        };
        write!(names, ", {column}").unwrap();
        write!(values, ", {value}").unwrap();
        write!(set, ", {column} = {value}").unwrap();
    }
    match there {
        false => format!("INSERT INTO {table} (id{names}) VALUES ({key}{values})"),
        true => format!("UPDATE {table} SET {} WHERE id = {key}", set.trim_start_matches(", ")),
    }
}

/// A file, and a connection of the application's own.
pub(super) struct InSqlite {
    db: Sqlite,
    app: rusqlite::Connection,
    _folder: tempfile::TempDir,
}

impl InSqlite {
    pub(super) fn new() -> InSqlite {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("app.db");
        let app = rusqlite::Connection::open(&file).unwrap();
        app.execute_batch(
            "PRAGMA foreign_keys = ON;
             CREATE TABLE place (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, size TEXT);
             CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT UNIQUE, home INTEGER REFERENCES place, friend INTEGER REFERENCES person);
             CREATE TABLE code (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, label TEXT);",
        )
        .unwrap();
        InSqlite { db: Sqlite::open(&file, crate::model::Uuids::default()).unwrap(), app, _folder: folder }
    }
}

impl Bench for InSqlite {
    fn db(&mut self) -> &mut dyn Connector {
        &mut self.db
    }

    fn try_put(&mut self, table: &str, key: i64, columns: &[(&str, Put<'_>)]) -> bool {
        let there: i64 = self.app.query_row(&format!("SELECT count(*) FROM {table} WHERE id = {key}"), [], |row| row.get(0)).unwrap();
        self.app.execute(&putting(table, key, columns, there > 0), []).is_ok()
    }

    fn try_delete(&mut self, table: &str, key: i64) -> bool {
        self.app.execute(&format!("DELETE FROM {table} WHERE id = ?1"), [key]).is_ok()
    }

    fn be_careless(&mut self) {
        self.app.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    }

    fn close_eyes(&mut self) {
        self.app.execute_batch("INSERT INTO entente_applying (tab, everything) SELECT id, 1 FROM entente_table").unwrap();
    }

    fn open_eyes(&mut self) {
        self.app.execute_batch("DELETE FROM entente_applying").unwrap();
    }

    fn column(&mut self, table: &str, column: &str) -> String {
        let sql = format!("SELECT id || '=' || COALESCE({column}, '-') FROM {table} ORDER BY id");
        let mut statement = self.app.prepare(&sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<rusqlite::Result<Vec<String>>>().unwrap().join(" ")
    }

    fn history(&mut self) -> String {
        let sql = "SELECT uid || ' ' || side || ' ' || rule FROM entente_history ORDER BY id";
        let mut statement = self.app.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<rusqlite::Result<Vec<String>>>().unwrap().join(", ")
    }
}

/// A database of a server's, and a connection of the application's own.
pub(super) struct InPostgres {
    db: Postgres,
    app: TestDatabase,
}

impl InPostgres {
    pub(super) fn new() -> InPostgres {
        let mut app = TestDatabase::new();
        app.sql(
            "CREATE TABLE place (id integer PRIMARY KEY, name text NOT NULL UNIQUE, size text);
             CREATE TABLE person (id integer PRIMARY KEY, name text UNIQUE, home integer REFERENCES place, friend integer REFERENCES person);
             CREATE TABLE code (id integer PRIMARY KEY, name text NOT NULL UNIQUE, label text);",
        );
        InPostgres { db: Postgres::open(&app.url(), crate::model::Uuids::default()).unwrap(), app }
    }
}

impl Bench for InPostgres {
    fn db(&mut self) -> &mut dyn Connector {
        &mut self.db
    }

    fn try_put(&mut self, table: &str, key: i64, columns: &[(&str, Put<'_>)]) -> bool {
        let there = !self.app.rows(&format!("SELECT 1 FROM {table} WHERE id = {key}")).is_empty();
        self.app.app.execute(&putting(table, key, columns, there), &[]).is_ok()
    }

    fn try_delete(&mut self, table: &str, key: i64) -> bool {
        self.app.app.execute(&format!("DELETE FROM {table} WHERE id = {key}"), &[]).is_ok()
    }

    fn be_careless(&mut self) {
        self.app.sql("SET session_replication_role = replica");
    }

    fn close_eyes(&mut self) {
        self.app.sql("SET entente.applying = 'on'");
    }

    fn open_eyes(&mut self) {
        self.app.sql("SET entente.applying = 'off'");
    }

    fn column(&mut self, table: &str, column: &str) -> String {
        self.app.rows(&format!("SELECT id || '=' || COALESCE({column}::text, '-') FROM {table} ORDER BY id"))
    }

    fn history(&mut self) -> String {
        self.app.rows("SELECT string_agg(uid || ' ' || side || ' ' || rule, ', ' ORDER BY id) FROM entente.history")
    }
}
