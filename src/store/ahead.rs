//! The clock of the server that a store is on. Processes on several machines share such a store, and its leases and schedules want one clock.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use diesel::{QueryableByName, RunQueryDsl, sql_query, sql_types::BigInt};

use super::Conn;
use crate::{error::Result, model::Time};

/// The server's clock, as it is known here.
#[derive(Debug, Clone)]
pub(super) struct Ahead {
    machine: fn() -> Time,
    /// By how many microseconds the server's clock was ahead of this machine's when it was asked last.
    micros: Arc<AtomicI64>,
}

/// Clocks that are less than this apart, in microseconds, are taken for the same.
const SAME: u64 = 1_000_000;

/// From here on, in microseconds, somebody should set the clock.
const WRONG: u64 = 5_000_000;

#[derive(QueryableByName)]
struct Moment {
    #[diesel(sql_type = BigInt)]
    now: i64,
}

impl Ahead {
    /// Beside this machine's clock.
    pub(super) fn of(machine: fn() -> Time) -> Ahead {
        Ahead { machine, micros: Arc::default() }
    }

    /// What time it is at the server.
    pub(super) fn now(&self) -> Time {
        Time((self.machine)().0.saturating_add(self.micros.load(Ordering::Relaxed)))
    }

    /// Asks the server at the other end of a connection.
    pub(super) fn ask(&self, conn: &mut Conn) -> Result<()> {
        let before = (self.machine)();
        let there = sql_query("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now").get_result::<Moment>(conn)?;
        self.note(before, Time(there.now), (self.machine)());
        Ok(())
    }

    /// The server read its clock some time between two looks at ours.
    fn note(&self, before: Time, there: Time, after: Time) {
        let ahead = match there.0 {
            there if there < before.0 => there - before.0,
            there if there > after.0 => there - after.0,
            _ => 0,
        };
        let ahead = if ahead.unsigned_abs() < SAME { 0 } else { ahead };
        let known = self.micros.swap(ahead, Ordering::Relaxed);
        if ahead.unsigned_abs() >= WRONG && ahead.abs_diff(known) >= WRONG {
            let (seconds, way) = (ahead.unsigned_abs() / 1_000_000, if ahead > 0 { "behind" } else { "ahead of" });
            tracing::warn!(
                "The clock of this machine is {seconds} s {way} that of the control store's server, which is the one that counts; set it."
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_slow_answer_explains_or_less_than_a_second_is_no_difference() {
        let ahead = Ahead::of(|| Time(0));
        let told = |before, there, after| {
            ahead.note(Time(before), Time(there), Time(after));
            ahead.now().0
        };
        assert_eq!(told(10_000_000, 310_000_000, 10_000_400), 299_999_600);
        assert_eq!(told(310_000_000, 10_000_000, 310_000_400), -300_000_000);
        assert_eq!(told(10_000_000, 10_900_000, 10_000_400), 0, "less than a second");
        assert_eq!(told(10_000_000, 19_000_000, 20_000_000), 0, "the answer took ten seconds");
    }
}
