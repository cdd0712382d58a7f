//! What kills a site in the middle of something, and what fills its disk.

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

/// Shared by all connections of a site.
#[derive(Clone, Default)]
pub(crate) struct Fuse {
    harm: Arc<Mutex<Harm>>,
    blown: Arc<AtomicBool>,
}

impl Fuse {
    pub(crate) fn set(&self, harm: Harm) {
        *self.harm.lock().unwrap_or_else(PoisonError::into_inner) = harm;
    }

    /// The process starts again. Whether it had been killed.
    pub(crate) fn reset(&self) -> bool {
        self.set(Harm::None);
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
