//! Time that moves only when the simulation says so. Each site has its own idea of it.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use entente::model::Time;

/// 2026-01-01T00:00:00Z.
const BEGIN: i64 = 1_767_225_600_000_000;

/// The world's time and what one site makes of it.
#[derive(Clone)]
pub(crate) struct Clock {
    world: Arc<AtomicI64>,
    skew: Arc<AtomicI64>,
}

impl Clock {
    /// The clock of a world's first site.
    pub(crate) fn new() -> Clock {
        Clock { world: Arc::new(AtomicI64::new(BEGIN)), skew: Arc::default() }
    }

    /// Another site's clock in the same world.
    pub(crate) fn another(&self) -> Clock {
        Clock { world: self.world.clone(), skew: Arc::default() }
    }

    pub(crate) fn now(&self) -> Time {
        Time(self.world.load(Ordering::Relaxed) + self.skew.load(Ordering::Relaxed))
    }

    /// Lets time pass everywhere, in milliseconds.
    pub(crate) fn pass(&self, millis: i64) {
        self.world.fetch_add(millis * 1_000, Ordering::Relaxed);
    }

    /// Sets this site's clock right or wrong, by milliseconds.
    pub(crate) fn set_skew(&self, millis: i64) {
        self.skew.store(millis * 1_000, Ordering::Relaxed);
    }
}
