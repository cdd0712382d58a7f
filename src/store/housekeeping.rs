//! When this site last did its daily housekeeping, and which worker is at it: one at a time.

use diesel::prelude::*;

use super::{Conn, holder, schema::housekeeping};
use crate::{error::Result, model::Time};

/// When it was last done; `None` on a site that never did it.
pub fn last(conn: &mut Conn) -> Result<Option<Time>> {
    Ok(housekeeping::table.select(housekeeping::last).first::<Option<i64>>(conn)?.map(Time))
}

/// Takes the work for `holder` ([`holder::me`]) until `until`, unless somebody else has it or did it since `last`. The lease of a process of this
/// machine that is dead is taken at once. Whether it is ours.
pub fn take(conn: &mut Conn, holder: &str, last: Time, now: Time, until: Time) -> Result<bool> {
    let other = housekeeping::table.select(housekeeping::holder).first::<Option<String>>(conn)?;
    let dead = other.filter(|other| holder::is_dead_here(other));
    let free = housekeeping::holder.is_null().or(housekeeping::until.le(now.0)).or(housekeeping::holder.eq(dead));
    let taken = diesel::update(housekeeping::table.filter(housekeeping::last.eq(last.0)).filter(free))
        .set((housekeeping::holder.eq(holder), housekeeping::until.eq(until.0)))
        .execute(conn)?;
    Ok(taken == 1)
}

/// Holds the work until `until`. `false`: somebody else has it by now.
pub fn renew(conn: &mut Conn, holder: &str, until: Time) -> Result<bool> {
    let ours = housekeeping::table.filter(housekeeping::holder.eq(holder));
    Ok(diesel::update(ours).set(housekeeping::until.eq(until.0)).execute(conn)? == 1)
}

/// Notes that it was done at `at`, and that nobody is at it any longer.
pub fn done(conn: &mut Conn, at: Time) -> Result<()> {
    let nobody = (housekeeping::holder.eq(None::<String>), housekeeping::until.eq(None::<i64>));
    diesel::update(housekeeping::table).set((housekeeping::last.eq(at.0), nobody)).execute(conn)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::test_store::TestStore;

    #[test]
    fn of_two_workers_one_does_it_and_only_once() {
        TestStore::each(|new| {
            let store = new();
            let take = |holder: &str, last, now| store.write(|c| take(c, holder, Time(last), Time(now), Time(now + 30))).unwrap();
            assert_eq!(store.read(last).unwrap(), None);
            store.write(|c| done(c, Time(5))).unwrap();
            assert!(take("one:1:1", 5, 100));
            assert!(!take("two:1:1", 5, 129), "it is held");
            assert!(store.write(|c| renew(c, "one:1:1", Time(200))).unwrap());
            assert!(!take("two:1:1", 5, 199) && take("two:1:1", 5, 200), "until its time is over");
            assert!(!store.write(|c| renew(c, "one:1:1", Time(999))).unwrap());
            store.write(|c| done(c, Time(210))).unwrap();
            assert!(!take("one:1:1", 5, 220), "it was done since");
            assert_eq!(store.read(last).unwrap(), Some(Time(210)));
            assert!(take("one:1:1", 210, 300));
        });
    }
}
