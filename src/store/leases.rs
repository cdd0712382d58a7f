//! Who runs with a repository now: one holder at a time, whether a job or a person began it.

use diesel::prelude::*;

use super::{Conn, holder, schema::lease};
use crate::{
    error::{Error, Result},
    model::{RepositoryId, Time},
};

/// What became of an attempt to take a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is ours; the number proves it, and is greater than that of every lease before.
    Yes(i64),
    /// Somebody else has it.
    HeldBy {
        /// Who ([`holder::me`]).
        holder: String,
        /// Since when.
        since: Time,
        /// Until when, unless it is renewed.
        until: Time,
    },
}

/// Takes a repository for `holder` ([`holder::me`]) until `until`. What is held stays so until its time is over, also for the same holder; but the lease of
/// a process of this machine that is dead is taken at once.
pub fn take(conn: &mut Conn, repository: RepositoryId, holder: &str, now: Time, until: Time) -> Result<Taken> {
    let columns = (lease::holder, lease::since, lease::until);
    let row = lease::table.find(repository).select(columns).first::<(Option<String>, Option<i64>, Option<i64>)>(conn).optional()?;
    let (other, since, end) = row.ok_or_else(|| Error::not_found(format!("There is no repository number {repository}")))?;
    let dead = other.clone().filter(|other| holder::is_dead_here(other));
    // One statement decides, so that it is right also where another process can come in between.
    let free = lease::holder.is_null().or(lease::until.le(now.0)).or(lease::holder.eq(dead));
    let taken = diesel::update(lease::table.filter(lease::repository.eq(repository)).filter(free))
        .set((lease::holder.eq(holder), lease::since.eq(now.0), lease::until.eq(until.0), lease::fence.eq(lease::fence + 1)))
        .returning(lease::fence)
        .get_result::<i64>(conn)
        .optional()?;
    Ok(match taken {
        Some(fence) => Taken::Yes(fence),
        None => Taken::HeldBy {
            holder: other.unwrap_or_default(),
            since: Time(since.unwrap_or_default()),
            until: Time(end.unwrap_or_default()),
        },
    })
}

/// Holds a repository until `until`. `false`: the lease was lost, or the repository removed.
pub fn renew(conn: &mut Conn, repository: RepositoryId, fence: i64, until: Time) -> Result<bool> {
    let ours = lease::table.filter(lease::repository.eq(repository)).filter(lease::fence.eq(fence)).filter(lease::holder.is_not_null());
    Ok(diesel::update(ours).set(lease::until.eq(until.0)).execute(conn)? == 1)
}

/// Gives a repository back. `false`: the lease had been lost before.
pub fn release(conn: &mut Conn, repository: RepositoryId, fence: i64) -> Result<bool> {
    let ours = lease::table.filter(lease::repository.eq(repository)).filter(lease::fence.eq(fence)).filter(lease::holder.is_not_null());
    let nobody = (lease::holder.eq(None::<String>), lease::since.eq(None::<i64>), lease::until.eq(None::<i64>));
    Ok(diesel::update(ours).set(nobody).execute(conn)? == 1)
}

/// Whether `holder` has the repository at this moment.
pub(super) fn holds(conn: &mut Conn, repository: RepositoryId, holder: &str, now: Time) -> Result<bool> {
    let held = lease::table.filter(lease::repository.eq(repository)).filter(lease::holder.eq(holder)).filter(lease::until.gt(now.0));
    Ok(held.count().get_result::<i64>(conn)? > 0)
}

/// All who hold a repository.
pub(super) fn holders(conn: &mut Conn) -> Result<Vec<String>> {
    let held = lease::table.filter(lease::holder.is_not_null());
    Ok(held.select(lease::holder.assume_not_null()).distinct().load(conn)?)
}

/// Frees every repository whose holder is no longer alive. Returns how many.
pub(super) fn release_dead(conn: &mut Conn, alive: &dyn Fn(&str) -> bool) -> Result<usize> {
    let dead: Vec<String> = holders(conn)?.into_iter().filter(|holder| !alive(holder)).collect();
    let nobody = (lease::holder.eq(None::<String>), lease::since.eq(None::<i64>), lease::until.eq(None::<i64>));
    Ok(diesel::update(lease::table.filter(lease::holder.eq_any(dead))).set(nobody).execute(conn)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::Kind, store::test_store::TestStore};

    #[test]
    fn one_holds_a_repository_until_it_is_given_back_or_its_time_is_over() {
        TestStore::each(|new| {
            let store = new();
            let id = store.repository("a");
            let take = |holder: &str, now| store.write(|c| take(c, id, holder, Time(now), Time(now + 30))).unwrap();
            assert_eq!(take("one:1:1", 100), Taken::Yes(1));
            let held = Taken::HeldBy { holder: "one:1:1".into(), since: Time(100), until: Time(130) };
            assert_eq!((take("two:1:1", 129), take("one:1:1", 129)), (held.clone(), held));
            assert_eq!(take("two:1:1", 130), Taken::Yes(2));
            assert!(!store.write(|c| renew(c, id, 1, Time(999))).unwrap() && !store.write(|c| release(c, id, 1)).unwrap());
            assert!(store.write(|c| renew(c, id, 2, Time(500))).unwrap());
            assert!(matches!(take("one:1:1", 499), Taken::HeldBy { .. }));
            assert!(store.write(|c| release(c, id, 2)).unwrap());
            assert!(!store.write(|c| renew(c, id, 2, Time(999))).unwrap(), "what was given back is not held on to");
            assert_eq!(take("one:1:1", 140), Taken::Yes(3));
            assert_eq!(store.write(|c| super::take(c, 99, "x", Time(0), Time(1))).unwrap_err().kind(), Kind::NotFound);
        });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_lease_of_a_dead_process_of_this_machine_is_taken_at_once() {
        TestStore::each(|new| {
            let store = new();
            let (id, forever) = (store.repository("a"), Time(i64::MAX));
            let dead = holder::me().rsplit_once(':').map(|(process, _)| format!("{process}:1")).unwrap();
            assert_eq!(store.write(|c| take(c, id, &dead, Time(1), forever)).unwrap(), Taken::Yes(1));
            assert_eq!(store.write(|c| take(c, id, holder::me(), Time(2), forever)).unwrap(), Taken::Yes(2));
            assert!(matches!(store.write(|c| take(c, id, "x", Time(3), forever)).unwrap(), Taken::HeldBy { .. }), "we are alive");
        });
    }
}
