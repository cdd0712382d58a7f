//! What one process on a store does and no other, for as long as it lives: no lease to renew, and nothing is harmed where two should do it for a moment.

use std::{
    fs::{File, TryLockError},
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use diesel::r2d2::R2D2Connection;

use super::{Conn, Store, conn::Use, open, pg, pool::Place, sqlite};
use crate::error::Result;

/// The turn to follow changes. It is kept until it is dropped, or this process ends in whatever way.
pub struct Sole {
    dir: PathBuf,
    place: Place,
    hold: Mutex<Hold>,
}

enum Hold {
    Nothing,
    File {
        _lock: File,
    },
    /// A connection, and whether the lock is ours.
    Server(Box<Conn>, bool),
}

impl Store {
    /// The turn to follow changes, which nobody has asked for yet.
    pub fn sole(&self) -> Sole {
        Sole { dir: self.inner.dir.clone(), place: self.inner.place.clone(), hold: Mutex::new(Hold::Nothing) }
    }
}

impl Sole {
    /// Whether it is ours. It becomes ours where nobody else has it. `false` also where that cannot be known.
    pub fn is_ours(&self) -> bool {
        let mut hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = self.ask(&mut hold);
        asked.unwrap_or_else(|error| {
            tracing::debug!("Who follows changes cannot be known: {}", error.chain());
            *hold = Hold::Nothing;
            false
        })
    }

    fn ask(&self, hold: &mut Hold) -> Result<bool> {
        if let Hold::Server(conn, _) = hold
            && conn.is_broken()
        {
            *hold = Hold::Nothing;
        }
        if matches!(hold, Hold::Nothing) {
            *hold = match &self.place {
                Place::File(_) => match sqlite::follower(&self.dir)? {
                    Ok(lock) => Hold::File { _lock: lock },
                    Err(TryLockError::WouldBlock) => return Ok(false),
                    // A disk that knows no locks: everybody follows.
                    Err(TryLockError::Error(_)) => return Ok(true),
                },
                Place::Server(..) => Hold::Server(Box::new(self.place.connect(Use::Read)?), false),
            };
        }
        if let Hold::Server(conn, ours @ false) = hold {
            *ours = open::asked(conn, pg::FOLLOWER)?;
        }
        Ok(!matches!(hold, Hold::Server(_, false)))
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use crate::store::test_store::TestStore;

    #[test]
    fn one_has_the_turn_until_it_goes_and_then_another() {
        TestStore::each(|new| {
            let first = new();
            let second = first.again().unwrap();
            let (one, two) = (first.sole(), second.sole());
            assert!(one.is_ours() && !two.is_ours() && one.is_ours() && !two.is_ours());
            drop(one);
            let taken = (0..100).any(|_| {
                thread::sleep(Duration::from_millis(20));
                two.is_ours()
            });
            assert!(taken && !first.sole().is_ours());
        });
    }

    #[test]
    fn a_turn_whose_connection_was_lost_is_asked_for_again() {
        let mut store = TestStore::on_a_server();
        let (one, two) = (store.sole(), store.sole());
        assert!(one.is_ours() && !two.is_ours());
        let end =
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        store.server.as_mut().unwrap().sql(end);
        thread::sleep(Duration::from_millis(200));
        assert!(two.is_ours() && !one.is_ours());
    }
}
