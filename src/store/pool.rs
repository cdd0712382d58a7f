//! Connections that are kept, and made anew where they were lost.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use diesel::r2d2::{HandleError, ManageConnection, Pool as Kept, PooledConnection, R2D2Connection};

use super::{
    ahead::Ahead,
    conn::{Conn, Use, begin, complete},
    pg, site, sqlite,
};
use crate::{
    error::{Error, Kind, Result},
    postgresql::Address,
};

/// How long a connection may be waited for; also while a server starts again.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How often a transaction is begun anew whose connection turns out to be lost.
const TRIES: usize = 4;

/// Where the store is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// In this file.
    File(String),
    /// On a server, whose clock is so far ahead.
    Server(Address, Ahead),
}

impl Place {
    /// A connection, set up. One to a store that has moved away is refused.
    pub(super) fn connect(&self, used: Use) -> Result<Conn> {
        Ok(match self {
            Place::File(file) => Conn::Sqlite(sqlite::connect(file, used)?),
            Place::Server(address, ahead) => {
                let mut conn = Conn::Postgres(pg::connect(address, used, pg::Presence::Shared)?);
                ahead.ask(&mut conn)?;
                conn
            }
        })
    }

    /// How many connections of a sort a process may have. A file has no limit of its own; of a server's few, others want some.
    fn most(&self, used: Use) -> u32 {
        match (self, used) {
            (Place::File(_), _) => 16,
            (Place::Server(..), Use::Read) => 6,
            // They wait for each other anyway.
            (Place::Server(..), Use::Write) => 3,
        }
    }
}

/// Connections of one sort.
pub(super) struct Pool {
    kept: Kept<Maker>,
    used: Use,
    /// Why the last attempt to connect failed.
    trouble: Trouble,
}

struct Maker {
    place: Place,
    used: Use,
}

#[derive(Debug, Clone, Default)]
struct Trouble(Arc<Mutex<Option<Error>>>);

impl Pool {
    pub(super) fn new(place: &Place, used: Use) -> Result<Pool> {
        let trouble = Trouble::default();
        let kept = Kept::builder()
            .max_size(place.most(used))
            .min_idle(Some(0))
            .connection_timeout(PATIENCE)
            .error_handler(Box::new(trouble.clone()))
            .build(Maker { place: place.clone(), used })
            .map_err(|error| Error::internal("The control store cannot be opened").because(error))?;
        Ok(Pool { kept, used, trouble })
    }

    /// Does what is wanted in one transaction.
    pub(super) fn within<T>(&self, work: impl FnOnce(&mut Conn) -> Result<T>) -> Result<T> {
        let mut conn = self.begun()?;
        complete(&mut conn, self.used, work)
    }

    // Nothing has been done yet, so a connection that was lost while it was idle is nothing that anybody has to hear of.
    fn begun(&self) -> Result<PooledConnection<Maker>> {
        let mut tries = 1;
        loop {
            let mut conn = self.get()?;
            match begin(&mut conn, self.used).map_err(Error::from) {
                Ok(()) => return Ok(conn),
                Err(error) if error.kind() == Kind::Unreachable && tries < TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn get(&self) -> Result<PooledConnection<Maker>> {
        self.kept.get().map_err(|error| {
            let known = self.trouble.0.lock().unwrap_or_else(PoisonError::into_inner).take();
            known.unwrap_or_else(|| Error::new(Kind::Busy, "No connection to the control store came free").because(error))
        })
    }
}

impl HandleError<Error> for Trouble {
    fn handle_error(&self, error: Error) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

impl ManageConnection for Maker {
    type Connection = Conn;
    type Error = Error;

    fn connect(&self) -> Result<Conn> {
        let mut conn = self.place.connect(self.used)?;
        site::refuse_moved(&mut conn)?;
        Ok(conn)
    }

    fn is_valid(&self, conn: &mut Conn) -> Result<()> {
        if self.has_broken(conn) { Err(Error::new(Kind::Unreachable, "The connection was lost")) } else { Ok(()) }
    }

    fn has_broken(&self, conn: &mut Conn) -> bool {
        std::thread::panicking() || conn.is_broken()
    }
}
