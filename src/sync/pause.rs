//! The emergency stop.

use crate::{
    error::Result,
    model::{Action, Direction, LogEntry},
    site::Site,
    store::{log, site as control},
};

/// What is to happen from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Everything {
    /// No run begins, and those that run stop after their page.
    Stops,
    /// As usual.
    GoesOn,
}

/// Stops everything or lets it go on; the log tells of a change.
pub fn set(site: &Site, wanted: Everything) -> Result<()> {
    let paused = wanted == Everything::Stops;
    let message = if paused { "Everything is paused" } else { "Everything goes on" }.to_owned();
    let entry = LogEntry { message, ..LogEntry::new(site.now(), Action::Change, Direction::None) };
    site.store.write(|c| {
        if control::paused(c)? != paused {
            control::set_paused(c, paused)?;
            log::append(c, &entry)?;
        }
        Ok(())
    })
}
