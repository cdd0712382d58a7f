//! Where the database of a site is: a file, or a database of a PostgreSQL server.

use std::{
    fs,
    path::{Path, PathBuf},
};

use entente::{
    connector::{Connector, Postgres, Sqlite},
    error::Result,
    model::{Time, Uuids},
};
use rusqlite::Connection;

use crate::{
    clock::Clock,
    file::File,
    hosted::{self, Hosted},
    oracle::Fields,
    planted::Planted,
    raw::Source,
    shape::Shape,
};

/// What a database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// What the databases of a world are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ground {
    Sqlite,
    Postgres,
    /// Some sites are on the one, some on the other.
    Mixed,
}

/// Where the database of a site is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    File(PathBuf),
    /// By its name.
    Server(String),
}

/// The application of a site, as it sees its database.
pub(crate) trait Application {
    /// Runs statements; where one is refused, the reason, and what was begun is undone.
    fn run(&self, sql: &str) -> std::result::Result<(), String>;
    /// The rows of a table by key.
    fn rows(&self, table: &str, key: &str) -> std::collections::BTreeMap<String, Fields>;
    /// The columns of a table that were not there from the beginning.
    fn extras(&self, table: &str) -> Vec<String>;
    /// Tables and journal, as SQLite has them.
    fn source(&self) -> Source<'_>;
    /// The last arrival of each table.
    fn heads(&self) -> Vec<i64>;
    /// How the constraints of the tables are broken.
    fn unsound(&self) -> Vec<String>;
    /// Tells triggers what time it is.
    fn tell_time(&self, now: Time);
    /// The application as one that does several things at once, where its database lets it.
    fn hosted(&self) -> Option<&Hosted> {
        None
    }
}

impl Place {
    /// A new database with empty, attached tables, in a folder where it is a file.
    pub(crate) fn make(kind: Kind, folder: &Path, shape: Shape, template: &Path) -> Place {
        match kind {
            Kind::Sqlite => {
                fs::copy(template.join("app.db"), folder.join("app.db")).unwrap();
                Place::File(folder.join("app.db"))
            }
            Kind::Postgres => Place::Server(hosted::copy(&hosted::template(shape))),
        }
    }

    /// Makes the journal a wrong one, where the fault is one of PostgreSQL's.
    pub(crate) fn plant(&self, shape: Shape, planted: Planted) {
        if let Place::Server(name) = self {
            hosted::plant(name, shape, planted);
        }
    }

    /// Copies the database, which nobody is connected to where it is on a server. In a folder where it is a file.
    pub(crate) fn copy(&self, folder: &Path) -> Place {
        match self {
            Place::File(file) => {
                fs::copy(file, folder.join("app.db")).unwrap();
                Place::File(folder.join("app.db"))
            }
            Place::Server(name) => Place::Server(hosted::copy(name)),
        }
    }

    /// Puts a copy in the place of this one, which nobody is connected to.
    pub(crate) fn replace_by(&self, copy: &Place) {
        match (self, copy) {
            (Place::File(file), Place::File(copy)) => {
                let new = file.with_extension("new");
                fs::copy(copy, &new).unwrap();
                fs::rename(new, file).unwrap();
            }
            (Place::Server(name), Place::Server(copy)) => hosted::replace(name, copy),
            _ => unreachable!("a copy is where the original is"),
        }
    }

    /// Removes what does not go with the world's folder.
    pub(crate) fn remove(&self) {
        if let Place::Server(name) = self {
            hosted::remove(name);
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Place::File(_) => Kind::Sqlite,
            Place::Server(_) => Kind::Postgres,
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Place::File(file) => format!("sqlite:{}", file.display()),
            Place::Server(name) => hosted::engine_url(name),
        }
    }

    /// Opens a database by its URL as a site does, with a clock of our own.
    pub(crate) fn connect(url: &str, uuids: Uuids, clock: &Clock) -> Result<Box<dyn Connector>> {
        let Some(file) = url.strip_prefix("sqlite:") else { return Ok(Box::new(Postgres::open(url, uuids)?)) };
        let (db, clock) = (Sqlite::open(Path::new(file), uuids)?, clock.clone());
        db.keep_time(move || clock.now())?;
        Ok(Box::new(db))
    }

    /// The application starts.
    pub(crate) fn application(&self, shape: Shape, clock: Clock) -> Box<dyn Application> {
        match self {
            Place::File(file) => Box::new(File::open(file, shape, clock)),
            Place::Server(name) => Box::new(Hosted::open(name, shape)),
        }
    }

    /// Removes rows that others refer to, constraints switched off.
    pub(crate) fn make_room(&self) {
        match self {
            Place::File(file) => {
                Connection::open(file).unwrap().execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM org;").unwrap();
            }
            Place::Server(name) => hosted::admin_of(name).batch_execute("SET session_replication_role = replica; DELETE FROM org").unwrap(),
        }
    }
}
