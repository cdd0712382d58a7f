//! The control store: configuration, schedules and the log of this site. The only home of diesel.
//!
//! One file a table, one function a question; each takes the connection first and is called inside [`Store::read`] or
//! [`Store::write`]. The store never decides whether a user's data was applied: that is in the journals.

mod failure;
mod opaque;
mod open;
mod schema;
mod stored;

pub mod accounts;
pub mod attached;
pub mod clones;
pub mod databases;
pub mod holder;
pub mod housekeeping;
pub mod jobs;
pub mod leases;
pub mod log;
pub mod password;
pub mod repositories;
pub mod resources;
pub mod secret;
pub mod setup_code;
pub mod site;
pub mod tokens;
pub mod verified;

#[cfg(test)]
mod test_store;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use diesel::{
    Connection, QueryableByName, RunQueryDsl,
    r2d2::{ConnectionManager, Pool, PooledConnection},
    sql_query,
    sql_types::BigInt,
};

use crate::error::{Error, Kind, Result};
use secret::Key;

/// A connection to the control store.
pub type Conn = diesel::sqlite::SqliteConnection;

/// The control store, opened. Clones share one pool of connections.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    pool: Pool<ConnectionManager<Conn>>,
    /// These cannot write. To forbid and allow it from question to question would make SQLite forget every prepared statement.
    readers: Pool<ConnectionManager<Conn>>,
    watch: Mutex<Conn>,
    key: Key,
}

#[derive(QueryableByName)]
struct DataVersion {
    #[diesel(sql_type = BigInt)]
    data_version: i64,
}

impl Store {
    /// The database's name in the data directory.
    pub const FILE: &'static str = "entente.db";

    /// Opens the store in the data directory `dir`, which is made (for its owner alone) where it is missing, and brings its tables
    /// up to date. Any number of processes may open one directory at the same time.
    ///
    /// Errors: [`Kind::Newer`] if a newer version of Entente made or changed it; its tables are left as they are. [`Kind::Busy`] if another
    /// process held it for too long; [`Kind::Full`]; [`Kind::Internal`] if it is damaged, is no control store or cannot be read and written.
    pub fn open(dir: &Path) -> Result<Store> {
        let dir = open::folder(dir)?;
        let file = open::file(&dir)?;
        let key = open::prepare(&file, &dir)?;
        let (pool, readers) = (open::pool(&file, open::Use::Write)?, open::pool(&file, open::Use::Read)?);
        let inner = Inner { pool, readers, watch: Mutex::new(open::connect(&file)?), key, dir };
        Ok(Store { inner: Arc::new(inner) })
    }

    /// The data directory, as an absolute path.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// What seals and unseals the secrets in this store.
    pub fn key(&self) -> &Key {
        &self.inner.key
    }

    /// Asks, on one unchanging state of the store. A question that writes fails. It must not use the store from inside.
    pub fn read<T>(&self, ask: impl FnOnce(&mut Conn) -> Result<T>) -> Result<T> {
        // A question that wrote would work until another process writes at the same moment, so it is refused always.
        let conn: &mut Conn = &mut *connection(&self.inner.readers)?;
        conn.transaction(ask)
    }

    /// Changes the store: all of what `change` does, durably, or, if it fails, nothing. Changes come one after the other, over all
    /// processes, so `change` does nothing that takes time (no network, no password hash), nor does it use the store from inside.
    pub fn write<T>(&self, change: impl FnOnce(&mut Conn) -> Result<T>) -> Result<T> {
        connection(&self.inner.pool)?.immediate_transaction(change)
    }

    /// A number that stays the same until somebody, in this process or another, changes the store: `None` while it is still `last`,
    /// else the number to ask with next time. It belongs to this opened store
    /// and its clones alone. Costs microseconds. The first time, ask with 0.
    pub fn changed_since(&self, last: i64) -> Result<Option<i64>> {
        let mut watch = self.inner.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let now = sql_query("PRAGMA data_version").get_result::<DataVersion>(&mut *watch)?.data_version;
        Ok((now != last).then_some(now))
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("dir", &self.inner.dir).finish_non_exhaustive()
    }
}

fn connection(pool: &Pool<ConnectionManager<Conn>>) -> Result<PooledConnection<ConnectionManager<Conn>>> {
    pool.get().map_err(|error| Error::new(Kind::Busy, "No connection to the control store came free").because(error))
}
