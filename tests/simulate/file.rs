//! An application whose database is a file.

use std::{collections::BTreeMap, path::Path};

use entente::model::Time;
use rusqlite::{Connection, functions::FunctionFlags};

use crate::{
    clock::Clock,
    oracle::Fields,
    place::Application,
    raw::{self, Source},
    shape::Shape,
};

pub(crate) struct File(Connection, Shape);

impl File {
    pub(crate) fn open(file: &Path, shape: Shape, clock: Clock) -> File {
        let app = Connection::open(file).unwrap();
        app.execute_batch("PRAGMA foreign_keys = ON; PRAGMA synchronous = OFF;").unwrap();
        app.set_prepared_statement_cache_capacity(64);
        let day = move |_: &rusqlite::functions::Context<'_>| Ok(clock.now().0 as f64 / 86_400e6 + 2_440_587.5);
        app.create_scalar_function("julianday", 1, FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS, day).unwrap();
        File(app, shape)
    }
}

impl Application for File {
    fn run(&self, sql: &str) -> Result<(), String> {
        let done = self.0.execute_batch(sql);
        if done.is_err() && !self.0.is_autocommit() {
            self.0.execute_batch("ROLLBACK").unwrap();
        }
        done.map_err(|error| error.to_string())
    }

    fn rows(&self, table: &str, key: &str) -> BTreeMap<String, Fields> {
        raw::rows(&self.0, table, key)
    }

    fn extras(&self, table: &str) -> Vec<String> {
        let mut statement = self.0.prepare("SELECT name FROM pragma_table_info(?1) WHERE name LIKE 'x%'").unwrap();
        let rows = statement.query_map([table], |row| row.get(0)).unwrap();
        rows.map(|row| row.unwrap()).collect()
    }

    fn source(&self) -> Source<'_> {
        Source::Itself(&self.0)
    }

    fn heads(&self) -> Vec<i64> {
        let head = |id| format!("SELECT COALESCE(MAX(arrival), 0) FROM entente_state_{id}");
        let tables = 1..=self.1.tables.len();
        tables.map(|id| self.0.prepare_cached(&head(id)).unwrap().query_row([], |row| row.get(0)).unwrap()).collect()
    }

    fn unsound(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let dangling: i64 = self.0.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0)).unwrap();
        if dangling > 0 {
            broken.push(format!("{dangling} rows refer to nothing"));
        }
        let sound: String = self.0.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        if sound != "ok" {
            broken.push(sound);
        }
        broken
    }

    fn tell_time(&self, _: Time) {}
}
