//! From a folder to a store that is ready: folder, migrations, key.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
};

use diesel::{
    QueryableByName, RunQueryDsl,
    backend::Backend,
    connection::SimpleConnection,
    migration::{Migration, MigrationSource},
    sql_query,
    sql_types::Bool,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{
    Keys,
    conn::{Conn, Use, begin, complete},
    key_check, pg,
    secret::Key,
    site, sqlite,
};
use crate::error::{Error, Kind, Result};

pub(super) const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/control/sqlite");
pub(super) const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/control/postgres");

#[derive(QueryableByName)]
struct There {
    #[diesel(sql_type = Bool)]
    there: bool,
}

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

pub(super) fn cannot(what: &str, path: &Path, error: io::Error) -> Error {
    let kind = if error.kind() == io::ErrorKind::StorageFull { Kind::Full } else { Kind::Internal };
    Error::new(kind, format!("Cannot {what} {}", path.display()))
        .because(error)
        .hint("Check that the data directory belongs to you and can be written, or choose another with --data.")
}

/// Brings the tables up to date and finds or makes the key, while no other process can do the same.
pub(super) fn prepare(conn: &mut Conn, dir: &Path, keys: Keys) -> Result<Key> {
    if let Conn::Sqlite(conn) = conn {
        sqlite::write_ahead(conn)?;
    } else if keys == Keys::Known && up_to_date(conn)? {
        // Whoever only looks does not have to wait for those who change something.
        site::refuse_moved(conn)?;
        if let Some(key) = key_check::known(conn, dir)? {
            return Ok(key);
        }
    }
    begin(conn, Use::Write)?;
    complete(conn, Use::Write, |conn| {
        make_schema(conn)?;
        migrate(conn)?;
        site::refuse_moved(conn)?;
        key_check::key(conn, dir, keys)
    })
}

/// Makes the schema of our tables where a server has none.
pub(super) fn make_schema(conn: &mut Conn) -> Result<()> {
    if matches!(conn, Conn::Postgres(_)) && !asked(conn, &format!("to_regnamespace('{}') IS NOT NULL", pg::SCHEMA))? {
        conn.batch_execute(&format!("CREATE SCHEMA {}", pg::SCHEMA))?;
    }
    Ok(())
}

/// Whether all migrations that we know were run, and no other. Needs no right to make anything.
pub(super) fn up_to_date(conn: &mut Conn) -> Result<bool> {
    if !has_table(conn, "__diesel_schema_migrations")? {
        return Ok(false);
    }
    match conn {
        Conn::Sqlite(conn) => missing(conn, &SQLITE),
        Conn::Postgres(conn) => missing(conn, &POSTGRES),
    }
    .map(|missing| missing == 0)
}

/// Whether there is a table of ours of that name.
pub(super) fn has_table(conn: &mut Conn, name: &str) -> Result<bool> {
    match conn {
        Conn::Sqlite(_) => asked(conn, &format!("EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '{name}')")),
        Conn::Postgres(_) => asked(conn, &format!("to_regclass('{}.{name}') IS NOT NULL", pg::SCHEMA)),
    }
}

pub(super) fn asked(conn: &mut Conn, what: &str) -> Result<bool> {
    Ok(sql_query(format!("SELECT {what} AS there")).get_result::<There>(conn)?.there)
}

/// Runs the migrations that are missing; refuses a store that knows one we do not.
pub(super) fn migrate(conn: &mut Conn) -> Result<()> {
    match conn {
        Conn::Sqlite(conn) => run_missing(conn, SQLITE),
        Conn::Postgres(conn) => run_missing(conn, POSTGRES),
    }
}

fn run_missing<DB: Backend>(conn: &mut impl MigrationHarness<DB>, all: EmbeddedMigrations) -> Result<()>
where
    EmbeddedMigrations: MigrationSource<DB>,
{
    if missing(conn, &all)? > 0 {
        conn.run_pending_migrations(all).map_err(failed)?;
    }
    Ok(())
}

fn missing<DB: Backend>(conn: &mut impl MigrationHarness<DB>, all: &EmbeddedMigrations) -> Result<usize>
where
    EmbeddedMigrations: MigrationSource<DB>,
{
    let known = MigrationSource::<DB>::migrations(all).map_err(failed)?;
    let known: HashSet<String> = known.iter().map(|migration| migration.name().version().to_string()).collect();
    let applied = conn.applied_migrations().map_err(failed)?;
    if applied.iter().any(|version| !known.contains(&version.to_string())) {
        return Err(Error::new(Kind::Newer, "The control store was made by a newer version of Entente")
            .hint("Use that version or a later one, or another data directory with --data."));
    }
    Ok(known.len() - applied.len())
}

fn failed(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    match error.downcast::<diesel::result::Error>() {
        Ok(error) => Error::from(*error),
        Err(error) => Error::internal("The tables of the control store could not be brought up to date").because(error),
    }
}
