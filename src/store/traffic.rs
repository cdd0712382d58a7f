//! What travelled, hour by hour.

use diesel::prelude::*;

use super::{
    Conn,
    schema::traffic,
    stored::{count, number},
};
use crate::{
    error::Result,
    model::{Time, Traffic},
};

const HOUR: i64 = 3_600_000_000;

/// So many hours are kept: five weeks.
const KEPT: i64 = 35 * 24;

/// Adds what travelled to the hour of `now`.
pub fn add(conn: &mut Conn, now: Time, more: Traffic) -> Result<()> {
    let hour = now.0.div_euclid(HOUR);
    let (received, sent, bytes) = (number(more.received), number(more.sent), number(more.bytes));
    let added = (
        traffic::received.eq(traffic::received + received),
        traffic::sent.eq(traffic::sent + sent),
        traffic::bytes.eq(traffic::bytes + bytes),
    );
    if diesel::update(traffic::table.find(hour)).set(added).execute(conn)? == 0 {
        diesel::delete(traffic::table.filter(traffic::hour.lt(hour - KEPT))).execute(conn)?;
        let first = (traffic::hour.eq(hour), traffic::received.eq(received), traffic::sent.eq(sent), traffic::bytes.eq(bytes));
        diesel::insert_into(traffic::table).values(first).execute(conn)?;
    }
    Ok(())
}

/// What travelled in each of the last `hours` hours, that of `now` last.
pub fn last(conn: &mut Conn, now: Time, hours: u32) -> Result<Vec<Traffic>> {
    let hour = now.0.div_euclid(HOUR);
    let first = hour - i64::from(hours) + 1;
    let rows = traffic::table.filter(traffic::hour.between(first, hour)).load::<(i64, i64, i64, i64)>(conn)?;
    let mut all = vec![Traffic::default(); hours as usize];
    for (at, received, sent, bytes) in rows {
        if let Some(one) = usize::try_from(at - first).ok().and_then(|at| all.get_mut(at)) {
            *one = Traffic { received: count(received), sent: count(sent), bytes: count(bytes) };
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::test_store::TestStore;

    #[test]
    fn what_travelled_is_summed_by_the_hour_and_old_hours_go() {
        TestStore::each(|new| {
            let store = new();
            let add = |at, received| store.write(|c| add(c, Time(at), Traffic { received, sent: 1, bytes: 10 })).unwrap();
            add(0, 1);
            add(HOUR - 1, 2);
            add(2 * HOUR, 4);
            let last =
                |at, hours| -> Vec<u64> { store.read(|c| last(c, Time(at), hours)).unwrap().iter().map(|one| one.received).collect() };
            assert_eq!(last(2 * HOUR, 3), [3, 0, 4]);
            assert_eq!(last(3 * HOUR, 2), [4, 0]);
            add((KEPT + 1) * HOUR, 9);
            assert_eq!(last(HOUR, 2), [0, 0], "the first hour is forgotten");
        });
    }
}
