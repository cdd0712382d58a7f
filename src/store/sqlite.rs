//! The control store as a file: how a connection is made and set up.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use diesel::{Connection, connection::SimpleConnection, sqlite::SqliteConnection};

use super::{Store, conn::Use, open::cannot, pool::PATIENCE};
use crate::error::{Error, Kind, Result};

/// Held by every process that has the store open, shared; whoever moves the store away holds it alone.
const LOCK: &str = "entente.lock";

/// Held by the worker that follows changes.
const FOLLOWER: &str = "entente.follower";

/// Makes the database's file, for its owner alone, where it is missing: SQLite gives its side files the same mode.
pub(super) fn file(dir: &Path) -> Result<String> {
    let path = dir.join(Store::FILE);
    private(&path)?;
    path.into_os_string().into_string().map_err(|path| Error::usage(format!("The data directory's path {path:?} is not Unicode")))
}

fn private(path: &PathBuf) -> Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| cannot("open", path, error))
}

/// Says that we have the store open, until the file is dropped.
pub(super) fn present(dir: &Path) -> Result<fs::File> {
    let lock = private(&dir.join(LOCK))?;
    match lock.try_lock_shared() {
        Err(fs::TryLockError::WouldBlock) => {
            Err(Error::new(Kind::Busy, "The control store is being moved to another place at this moment")
                .hint("Try again when `entente move-store` is done; it says where the store is then."))
        }
        // A disk that knows no locks has to do without.
        _ => Ok(lock),
    }
}

/// The same as the only one.
pub(super) fn alone(dir: &Path) -> Result<fs::File> {
    let lock = private(&dir.join(LOCK))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => Err(Error::new(Kind::Busy, "Somebody has this control store open")
            .hint("Stop all processes of Entente that use it (serve, worker, up) and try again.")),
        Err(fs::TryLockError::Error(error)) => Err(cannot("lock", &dir.join(LOCK), error)),
    }
}

/// The lock of whoever follows changes, if nobody has it.
pub(super) fn follower(dir: &Path) -> Result<Result<fs::File, fs::TryLockError>> {
    let lock = private(&dir.join(FOLLOWER))?;
    Ok(lock.try_lock().map(|()| lock))
}

/// A connection, set up.
pub(super) fn connect(file: &str, used: Use) -> Result<SqliteConnection> {
    let mut conn = SqliteConnection::establish(file).map_err(|error| Error::internal(format!("Cannot open {file}")).because(error))?;
    // busy_timeout comes first: all that follows may meet a lock.
    conn.batch_execute(&format!("PRAGMA busy_timeout = {}; PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL;", PATIENCE.as_millis()))?;
    if used == Use::Read {
        conn.batch_execute("PRAGMA query_only = ON")?;
    }
    Ok(conn)
}

// Of several processes that switch a new file at the same moment, SQLite turns all but one away without waiting.
pub(super) fn write_ahead(conn: &mut SqliteConnection) -> Result<()> {
    let started = Instant::now();
    loop {
        match conn.batch_execute("PRAGMA journal_mode = WAL").map_err(Error::from) {
            Err(error) if error.kind() == Kind::Busy && started.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(5)),
            done => return done,
        }
    }
}
