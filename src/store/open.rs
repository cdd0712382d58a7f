//! From a folder to a store that is ready: folder, file, pragmas, migrations, key.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use diesel::{
    Connection,
    connection::SimpleConnection,
    migration::{Migration, MigrationSource},
    r2d2::{ConnectionManager, CustomizeConnection, Pool},
    sqlite::Sqlite,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{Conn, Store, secret::Key};
use crate::error::{Error, Kind, Result};

pub(super) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/control/sqlite");

/// How long a connection waits for another one that writes.
const PATIENCE: Duration = Duration::from_secs(10);
const CONNECTIONS: u32 = 16;

/// Makes the data directory, for its owner alone, where it is missing. Returns it as an absolute path.
pub(super) fn folder(dir: &Path) -> Result<PathBuf> {
    let dir = std::path::absolute(dir).map_err(|error| cannot("use", dir, error))?;
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&dir).map_err(|error| cannot("make", &dir, error))?;
    Ok(dir)
}

/// Makes the database's file, for its owner alone, where it is missing: SQLite gives its side files the same mode.
pub(super) fn file(dir: &Path) -> Result<String> {
    let path = dir.join(Store::FILE);
    let mut options = fs::OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&path).map_err(|error| cannot("open", &path, error))?;
    path.into_os_string().into_string().map_err(|path| Error::usage(format!("The data directory's path {path:?} is not Unicode")))
}

fn cannot(what: &str, path: &Path, error: io::Error) -> Error {
    let kind = if error.kind() == io::ErrorKind::StorageFull { Kind::Full } else { Kind::Internal };
    Error::new(kind, format!("Cannot {what} {}", path.display()))
        .because(error)
        .hint("Check that the data directory belongs to you and can be written, or choose another with --data.")
}

/// A connection, set up.
pub(super) fn connect(file: &str) -> Result<Conn> {
    let mut conn = Conn::establish(file).map_err(|error| Error::internal(format!("Cannot open {file}")).because(error))?;
    set_up(&mut conn)?;
    Ok(conn)
}

// busy_timeout comes first: all that follows may meet a lock.
fn set_up(conn: &mut Conn) -> diesel::QueryResult<()> {
    conn.batch_execute(&format!("PRAGMA busy_timeout = {}; PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL;", PATIENCE.as_millis()))
}

/// What a pool's connections are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Read,
    Write,
}

impl CustomizeConnection<Conn, diesel::r2d2::Error> for Use {
    fn on_acquire(&self, conn: &mut Conn) -> Result<(), diesel::r2d2::Error> {
        let done = set_up(conn).and_then(|()| if *self == Use::Read { conn.batch_execute("PRAGMA query_only = ON") } else { Ok(()) });
        done.map_err(diesel::r2d2::Error::QueryError)
    }
}

pub(super) fn pool(file: &str, used: Use) -> Result<Pool<ConnectionManager<Conn>>> {
    Pool::builder()
        .max_size(CONNECTIONS)
        .min_idle(Some(0))
        .connection_timeout(PATIENCE)
        .test_on_check_out(false)
        .connection_customizer(Box::new(used))
        .build(ConnectionManager::new(file))
        .map_err(|error| Error::internal(format!("Cannot open {file}")).because(error))
}

/// Brings the tables up to date and finds or makes the key, while no other process can do the same.
pub(super) fn prepare(file: &str, dir: &Path) -> Result<Key> {
    let mut conn = connect(file)?;
    write_ahead(&mut conn)?;
    conn.immediate_transaction(|conn| {
        migrate(conn)?;
        Key::find_or_make(dir)
    })
}

// Of several processes that switch a new file at the same moment, SQLite turns all but one away without waiting.
fn write_ahead(conn: &mut Conn) -> Result<()> {
    let started = std::time::Instant::now();
    loop {
        match conn.batch_execute("PRAGMA journal_mode = WAL").map_err(Error::from) {
            Err(error) if error.kind() == Kind::Busy && started.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(5)),
            done => return done,
        }
    }
}

/// Runs the migrations that are missing; refuses a store that knows one we do not.
pub(super) fn migrate(conn: &mut Conn) -> Result<()> {
    let known = MigrationSource::<Sqlite>::migrations(&MIGRATIONS).map_err(failed)?;
    let known: HashSet<String> = known.iter().map(|migration| migration.name().version().to_string()).collect();
    let applied = conn.applied_migrations().map_err(failed)?;
    if applied.iter().any(|version| !known.contains(&version.to_string())) {
        return Err(Error::new(Kind::Newer, "The control store was made by a newer version of Entente")
            .hint("Use that version or a later one, or another data directory with --data."));
    }
    conn.run_pending_migrations(MIGRATIONS).map_err(failed)?;
    Ok(())
}

fn failed(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    match error.downcast::<diesel::result::Error>() {
        Ok(error) => Error::from(*error),
        Err(error) => Error::internal("The tables of the control store could not be brought up to date").because(error),
    }
}
