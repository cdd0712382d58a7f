//! The control store: configuration, schedules and the log of this site. The only home of diesel.
//!
//! One file a table, one function a question; each takes the connection first and is called inside [`Store::read`] or
//! [`Store::write`]. The store never decides whether a user's data was applied: that is in the journals.

mod ahead;
mod conn;
mod failure;
mod key_check;
mod opaque;
mod open;
mod pg;
mod pool;
mod schema;
mod sqlite;
mod stored;

pub mod accounts;
pub mod api_tokens;
pub mod attached;
pub mod clones;
pub mod conditions;
pub mod databases;
pub mod guesses;
pub mod holder;
pub mod housekeeping;
pub mod jobs;
pub mod leases;
pub mod log;
pub mod met;
pub mod moving;
pub mod password;
pub mod progress;
pub mod repositories;
pub mod resources;
pub mod secret;
pub mod sessions;
pub mod setup_code;
pub mod site;
pub mod sole;
pub mod tokens;
pub mod traffic;
pub mod verified;
pub mod visits;

#[cfg(test)]
mod test_store;
#[cfg(test)]
mod tests;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use chrono::Utc;
use diesel::{QueryableByName, RunQueryDsl, sql_query, sql_types::BigInt};

use crate::{
    error::{Error, Result},
    model::Time,
    postgresql::Address,
};
use ahead::Ahead;
use conn::Use;
use pool::{Place, Pool};
use secret::Key;

pub use conn::Conn;

/// The control store, opened. Clones share their connections.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    machine: fn() -> Time,
    dir: PathBuf,
    place: Place,
    pool: Pool,
    /// These cannot write. To forbid and allow it from question to question would make SQLite forget every prepared statement.
    readers: Pool,
    watch: Watch,
    key: Key,
    /// Says that we are here, where the store is a file.
    _present: Option<fs::File>,
}

/// How changes are noticed.
enum Watch {
    File(Box<Mutex<Conn>>),
    /// Begun when it is first asked.
    Server(OnceLock<pg::Watch>),
}

/// Which key a store is opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// The one that its secrets were sealed with.
    Known,
    /// That one is lost: from now on it is the one in the data directory, which is made where there is none.
    Renewed,
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
    ///
    /// [`Kind::Newer`]: crate::error::Kind::Newer
    /// [`Kind::Busy`]: crate::error::Kind::Busy
    /// [`Kind::Full`]: crate::error::Kind::Full
    /// [`Kind::Internal`]: crate::error::Kind::Internal
    pub fn open(dir: &Path) -> Result<Store> {
        Store::open_at(dir, None, Keys::Known)
    }

    /// As [`Store::open`], but on a PostgreSQL server where one is named; the data directory then holds the key alone. Any number of
    /// processes on any number of machines may open one store at the same time; all need the same key file.
    pub fn open_at(dir: &Path, database: Option<&Address>, keys: Keys) -> Result<Store> {
        Store::open_by(dir, database, keys, machine)
    }

    /// As [`Store::open_at`], on a machine with such a clock.
    pub(crate) fn open_by(dir: &Path, database: Option<&Address>, keys: Keys, machine: fn() -> Time) -> Result<Store> {
        let dir = open::folder(dir)?;
        let (place, present) = match database {
            None => (Place::File(sqlite::file(&dir)?), Some(sqlite::present(&dir)?)),
            Some(address) => (Place::Server(address.clone(), Ahead::of(machine)), None),
        };
        let key = open::prepare(&mut place.connect(Use::Write)?, &dir, keys)?;
        let watch = match &place {
            Place::File(_) => Watch::File(Box::new(Mutex::new(place.connect(Use::Write)?))),
            Place::Server(..) => Watch::Server(OnceLock::new()),
        };
        let (pool, readers) = (Pool::new(&place, Use::Write)?, Pool::new(&place, Use::Read)?);
        Ok(Store { inner: Arc::new(Inner { machine, dir, place, pool, readers, watch, key, _present: present }) })
    }

    /// The site whose store is there, without making or changing anything; `None` where there is none.
    pub fn peek(dir: &Path, database: Option<&Address>) -> Result<Option<site::SiteRow>> {
        let place = match database {
            None if !dir.join(Store::FILE).exists() => return Ok(None),
            None => Place::File(sqlite::file(dir)?),
            Some(address) => Place::Server(address.clone(), Ahead::of(machine)),
        };
        let conn = &mut place.connect(Use::Read)?;
        if open::has_table(conn, "site")? { site::find(conn) } else { Ok(None) }
    }

    /// The data directory, as an absolute path.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// The server that the store is on; `None` where it is in the data directory.
    pub fn database(&self) -> Option<&Address> {
        match &self.inner.place {
            Place::File(_) => None,
            Place::Server(address, _) => Some(address),
        }
    }

    /// What time it is: by the clock of the server that the store is on, so that processes on several machines agree on what is due and whose lease is
    /// over; for a store in a file, and where the two are less than a second apart, by this machine's.
    pub fn now(&self) -> Time {
        match &self.inner.place {
            Place::File(_) => (self.inner.machine)(),
            Place::Server(_, clock) => clock.now(),
        }
    }

    /// What seals and unseals the secrets in this store.
    pub fn key(&self) -> &Key {
        &self.inner.key
    }

    /// Asks, on one unchanging state of the store. A question that writes fails. It must not use the store from inside.
    pub fn read<T>(&self, ask: impl FnOnce(&mut Conn) -> Result<T>) -> Result<T> {
        // A question that wrote would work until another process writes at the same moment, so it is refused always.
        self.inner.readers.within(ask)
    }

    /// Changes the store: all of what `change` does, durably, or, if it fails, nothing. Changes come one after the other, over all
    /// processes on all machines, so `change` does nothing that takes time (no network, no password hash), nor does it use the store from inside.
    pub fn write<T>(&self, change: impl FnOnce(&mut Conn) -> Result<T>) -> Result<T> {
        self.inner.pool.within(change)
    }

    /// Whether the tables are those that this version knows; [`Kind::Newer`](crate::error::Kind::Newer) where a newer one changed them meanwhile.
    pub fn is_current(&self) -> Result<()> {
        if self.read(open::up_to_date)? {
            return Ok(());
        }
        Err(Error::internal("The tables of the control store are not up to date").hint("Start this process again."))
    }

    /// A number that stays the same until somebody, in this process or another, changes the store: `None` while it is still `last`,
    /// else the number to ask with next time. It belongs to this opened store
    /// and its clones alone. Costs microseconds. The first time, ask with 0.
    pub fn changed_since(&self, last: i64) -> Result<Option<i64>> {
        let now = match &self.inner.watch {
            Watch::File(conn) => {
                let mut conn = conn.lock().unwrap_or_else(PoisonError::into_inner);
                sql_query("PRAGMA data_version").get_result::<DataVersion>(&mut *conn)?.data_version
            }
            Watch::Server(watch) => match (watch.get(), self.database()) {
                (None, Some(address)) => {
                    let begun = pg::Watch::start(address.clone())?;
                    watch.get_or_init(|| begun).count()
                }
                (watch, _) => watch.map_or(0, pg::Watch::count),
            },
        };
        Ok((now != last).then_some(now))
    }
}

/// The time by this machine's clock.
fn machine() -> Time {
    Time::from_utc(Utc::now())
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("dir", &self.inner.dir).finish_non_exhaustive()
    }
}
