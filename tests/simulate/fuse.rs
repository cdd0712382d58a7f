//! What happens to a site in the middle of something: it is killed, its disk is full, or others go on meanwhile.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use entente::error::{Error, Kind, Result};

/// When a site's process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Harm {
    #[default]
    None,
    /// Before so many more steps in its databases are taken.
    Before(u32),
    /// When so many more steps are done, before anybody hears of it.
    After(u32),
    /// The disk is full at this commit from now.
    Full(u32),
}

/// What somebody else does meanwhile.
pub(crate) type Event = Box<dyn FnOnce() + Send>;

/// When that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Before the step after so many more.
    Step(u32),
    /// When the site finds that somebody else holds what it needs.
    Busy,
}

/// Shared by all connections of a site.
#[derive(Clone, Default)]
pub(crate) struct Fuse {
    events: Arc<Mutex<Vec<(When, Event)>>>,
    harm: Arc<Mutex<Harm>>,
    blown: Arc<AtomicBool>,
}

impl Fuse {
    pub(crate) fn set(&self, harm: Harm) {
        *self.harm.lock().unwrap_or_else(PoisonError::into_inner) = harm;
    }

    /// Lets something happen. Until [`Fuse::forget_events`].
    pub(crate) fn add(&self, when: When, event: Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push((when, event));
    }

    /// Nothing else happens any longer.
    pub(crate) fn forget_events(&self) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The process starts again. Whether it had been killed.
    pub(crate) fn reset(&self) -> bool {
        self.set(Harm::None);
        self.forget_events();
        self.blown.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn blown(&self) -> bool {
        self.blown.load(Ordering::Relaxed)
    }

    /// A step: all that a dead process tries fails.
    pub(crate) fn step<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.blown() {
            return Err(dead());
        }
        self.happen(When::Step(0));
        let done = self.harmed(work);
        if done.as_ref().is_err_and(|error| error.kind() == Kind::Busy) {
            self.happen(When::Busy);
        }
        done
    }

    /// Does what is due, and lets a step pass.
    fn happen(&self, now: When) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let due: Vec<(When, Event)> = events.extract_if(.., |(when, _)| *when == now).collect();
        for (when, _) in events.iter_mut().filter(|_| now == When::Step(0)) {
            if let When::Step(left) = when {
                *left -= 1;
            }
        }
        drop(events);
        due.into_iter().for_each(|(_, event)| event());
    }

    fn harmed<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let after = {
            let mut harm = self.harm.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut *harm {
                Harm::Before(0) | Harm::After(0) => {
                    self.blown.store(true, Ordering::Relaxed);
                    matches!(std::mem::take(&mut *harm), Harm::After(_))
                }
                Harm::Before(left) | Harm::After(left) => {
                    *left -= 1;
                    false
                }
                Harm::None | Harm::Full(_) => false,
            }
        };
        match (self.blown(), after) {
            (true, false) => Err(dead()),
            (true, true) => work().and_then(|_| Err(dead())),
            _ => work(),
        }
    }

    /// Whether this commit finds no room.
    pub(crate) fn full(&self) -> Result<()> {
        let mut harm = self.harm.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *harm {
            Harm::Full(0) => {
                *harm = Harm::None;
                Err(Error::new(Kind::Full, "the disk is full (simulated)"))
            }
            Harm::Full(left) => {
                *left -= 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn dead() -> Error {
    Error::internal("the process was killed (simulated)")
}
