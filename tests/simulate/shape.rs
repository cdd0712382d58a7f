//! The tables of a world: companies, people who refer to them and to each other, and codes that mean the same everywhere.
//!
//! Each row carries `note`, a text that no other write ever used: by it the oracle knows which write a version is.

use entente::model::{Identity, TableSpec};

use crate::dice::Dice;

/// The tables of a world.
type Tables = &'static [&'static str];
const TABLES: (Tables, Tables, Tables) = (&["org", "person"], &["org", "code"], &["org", "person", "code"]);

/// From this seed on, worlds are about adoption: `--match`.
pub(crate) const ADOPTION: u64 = 1 << 40;

/// What is special about the tables of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Shape {
    /// Companies are known by a UUID in a column; else their uids are assigned.
    pub(crate) column: bool,
    /// Names of companies are unique.
    pub(crate) unique: bool,
    /// Companies of one name are the same company.
    pub(crate) matching: bool,
    /// People go with their company.
    pub(crate) cascade: bool,
    /// The application's file has a write-ahead log, which is faster. Copies of files are made of others alone.
    pub(crate) ahead: bool,
    /// The resources, parents first.
    pub(crate) tables: Tables,
}

impl Shape {
    /// Companies of one name are the same company in the worlds of the seeds that say so.
    pub(crate) fn draw(dice: &mut Dice, seed: u64) -> Shape {
        let (column, unique, cascade) = (dice.percent(25), dice.percent(30), dice.percent(40));
        let matching = seed >= ADOPTION;
        let tables = dice.weighted(&[(45, TABLES.0), (15, TABLES.1), (40, TABLES.2)]);
        Shape { column: column && !matching, unique: unique || matching, matching, cascade, ahead: false, tables }
    }

    pub(crate) fn schema(self) -> String {
        let (key, refers) = if self.column { ("uuid TEXT PRIMARY KEY", "uuid") } else { ("id INTEGER PRIMARY KEY", "id") };
        let kind = if self.column { "TEXT" } else { "INTEGER" };
        let unique = match (self.matching, self.unique) {
            (true, _) => "NOT NULL UNIQUE",
            (_, true) => "UNIQUE",
            _ => "",
        };
        let (gone, left) = if self.cascade { ("ON DELETE CASCADE", "ON DELETE SET NULL") } else { ("", "") };
        let mode = if self.ahead { "PRAGMA journal_mode = WAL;" } else { "" };
        let all = format!(
            "CREATE TABLE org ({key}, born TEXT NOT NULL, name TEXT {unique}, note TEXT NOT NULL);
             CREATE TABLE person (id INTEGER PRIMARY KEY, born TEXT NOT NULL, org {kind} NOT NULL REFERENCES org({refers}) {gone},
               chief INTEGER REFERENCES person(id) {left}, note TEXT NOT NULL);
             CREATE TABLE code (code TEXT PRIMARY KEY, label TEXT, note TEXT NOT NULL);"
        );
        let wanted = |statement: &&str| self.tables.iter().any(|table| statement.contains(&format!("CREATE TABLE {table} ")));
        mode.to_owned() + &all.split_inclusive(';').filter(wanted).collect::<String>()
    }

    pub(crate) fn specs(self) -> Vec<TableSpec> {
        let spec = |table: &str| TableSpec { table: table.into(), resource: table.into(), ..TableSpec::default() };
        let key = |column: &str| Some(Identity::Key { columns: vec![column.to_owned()] });
        let matching = if self.matching { vec!["name".to_owned()] } else { Vec::new() };
        let of = |table: &&str| match *table {
            "org" => TableSpec { matching: matching.clone(), ..spec("org") },
            "code" => TableSpec { identity: key("code"), ..spec("code") },
            other => spec(other),
        };
        self.tables.iter().map(of).collect()
    }

    /// The key column of a table.
    pub(crate) fn key(self, table: &str) -> &'static str {
        match table {
            "org" if self.column => "uuid",
            "code" => "code",
            _ => "id",
        }
    }
}
