//! The wish that a run ends.

use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Why a run should end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The worker is shutting down.
    Drain,
    /// The run took longer than it may.
    Timeout,
    /// Somebody else may hold the job by now: nothing more may be written.
    LostLease,
    /// Everything is paused.
    Paused,
}

/// A flag that asks a run to end at its next good moment. Clones are the same flag; asking is one atomic load.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    flag: AtomicBool,
    reason: Mutex<Option<Reason>>,
    changed: Condvar,
}

impl Stop {
    /// A flag that is not set.
    pub fn new() -> Stop {
        Stop::default()
    }

    /// Sets the flag. The first reason stays, but a lost lease outweighs every other.
    pub fn request(&self, reason: Reason) {
        let mut given = self.0.reason.lock().unwrap_or_else(PoisonError::into_inner);
        if given.is_none() || reason == Reason::LostLease {
            *given = Some(reason);
        }
        drop(given);
        self.0.flag.store(true, Ordering::Release);
        self.0.changed.notify_all();
    }

    /// Whether and why the run should end.
    pub fn requested(&self) -> Option<Reason> {
        if !self.0.flag.load(Ordering::Acquire) {
            return None;
        }
        *self.0.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bare flag, for code that should not know of reasons.
    pub fn flag(&self) -> &AtomicBool {
        &self.0.flag
    }

    /// Blocks until the flag is set, at most for `pause`: a pause between two tries that ends early when it should.
    pub fn wait(&self, pause: Duration) -> Option<Reason> {
        let reason = self.0.reason.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.changed.wait_timeout_while(reason, pause, |reason| reason.is_none());
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays_unless_the_lease_is_lost_and_every_clone_sees_it() {
        let stop = Stop::new();
        let clone = stop.clone();
        assert_eq!((clone.requested(), clone.flag().load(Ordering::Relaxed)), (None, false));
        stop.request(Reason::Timeout);
        stop.request(Reason::Drain);
        assert_eq!((clone.requested(), clone.flag().load(Ordering::Relaxed)), (Some(Reason::Timeout), true));
        stop.request(Reason::LostLease);
        stop.request(Reason::Paused);
        assert_eq!(clone.requested(), Some(Reason::LostLease));
    }

    #[test]
    fn a_wait_ends_when_the_flag_is_set_and_after_its_time() {
        let stop = Stop::new();
        assert_eq!(stop.wait(Duration::ZERO), None);
        let other = stop.clone();
        let waiting = std::thread::spawn(move || other.wait(Duration::from_secs(3600)));
        stop.request(Reason::Drain);
        assert_eq!(waiting.join().unwrap(), Some(Reason::Drain));
    }
}
