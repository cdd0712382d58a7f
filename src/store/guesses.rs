//! Who failed to log in. It counts for all servers on one store, so that nobody guesses at each of them in turn.

use diesel::prelude::*;
use sha2::{Digest, Sha256};

use super::{Conn, schema::guess, stored};
use crate::{error::Result, model::Time};

/// The most that is remembered, so that many names cost no room.
const MOST: i64 = 10_000;

/// How often, and when last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failures {
    /// How often.
    pub count: u32,
    /// When last.
    pub last: Time,
}

fn digest(who: &str) -> Vec<u8> {
    Sha256::digest(who).to_vec()
}

/// The failures of somebody; `None` where there are none.
pub fn find(conn: &mut Conn, who: &str) -> Result<Option<Failures>> {
    let row = guess::table.find(digest(who)).select((guess::count, guess::last)).first::<(i64, i64)>(conn).optional()?;
    Ok(row.map(|(count, last)| Failures { count: stored::count(count), last: Time(last) }))
}

/// Remembers the failures of somebody. Where too many are remembered, the oldest are forgotten.
pub fn set(conn: &mut Conn, who: &str, failures: Failures) -> Result<()> {
    let values = (guess::count.eq(i64::from(failures.count)), guess::last.eq(failures.last.0));
    if diesel::update(guess::table.find(digest(who))).set(values).execute(conn)? > 0 {
        return Ok(());
    }
    let over = guess::table.count().get_result::<i64>(conn)? + 1 - MOST;
    if over > 0 {
        let oldest = guess::table.order(guess::last).limit(over).select(guess::digest).load::<Vec<u8>>(conn)?;
        diesel::delete(guess::table.filter(guess::digest.eq_any(oldest))).execute(conn)?;
    }
    diesel::insert_into(guess::table).values((guess::digest.eq(digest(who)), values)).execute(conn)?;
    Ok(())
}

/// Forgets the failures of somebody.
pub fn forget(conn: &mut Conn, who: &str) -> Result<()> {
    diesel::delete(guess::table.find(digest(who))).execute(conn)?;
    Ok(())
}

/// Forgets what was last before `before`.
pub fn purge(conn: &mut Conn, before: Time) -> Result<usize> {
    Ok(diesel::delete(guess::table.filter(guess::last.lt(before.0))).execute(conn)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::test_store::TestStore;

    #[test]
    fn failures_are_remembered_by_whom_until_they_are_forgotten() {
        TestStore::each(|new| {
            let store = new();
            let find = |who| store.read(|c| find(c, who)).unwrap();
            let some = |count, last| Failures { count, last: Time(last) };
            assert_eq!(find("a"), None);
            for failures in [some(1, 5), some(2, 6)] {
                store.write(|c| set(c, "a", failures)).unwrap();
                assert_eq!((find("a"), find("b")), (Some(failures), None));
            }
            store.write(|c| set(c, "b", some(1, 9))).unwrap();
            assert_eq!(store.write(|c| purge(c, Time(7))).unwrap(), 1);
            assert_eq!((find("a"), find("b")), (None, Some(some(1, 9))));
            store.write(|c| forget(c, "b")).unwrap();
            assert_eq!(find("b"), None);
        });
    }

    #[test]
    fn many_names_cost_no_room() {
        TestStore::each(|new| {
            let store = new();
            store.write(|c| (0..MOST + 20).try_for_each(|n| set(c, &n.to_string(), Failures { count: 1, last: Time(n) }))).unwrap();
            let left = store.read(|c| Ok((guess::table.count().get_result::<i64>(c)?, find(c, "19")?, find(c, "20")?.is_some()))).unwrap();
            assert_eq!(left, (MOST, None, true));
        });
    }
}
