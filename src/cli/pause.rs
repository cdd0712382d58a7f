//! `entente pause` and `entente resume`: the emergency stop.

use clap::Args;
use entente::{
    error::Result,
    model::{Action, Direction, LogEntry},
    store::{log, site as control},
};
use serde_json::json;

use super::{Context, Ending};

/// Stop everything: no run begins, and those that run stop after their page
#[derive(Args)]
pub(super) struct Pause;

/// Let everything go on after a pause
#[derive(Args)]
pub(super) struct Resume;

impl Pause {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        set(context, true, "Everything is paused", "Everything is paused. Go on with `entente resume`.")
    }
}

impl Resume {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        set(context, false, "Everything goes on", "Everything goes on.")
    }
}

fn set(context: &Context, paused: bool, message: &str, text: &str) -> Result<Ending> {
    let site = context.site()?;
    let entry = LogEntry { message: message.to_owned(), ..LogEntry::new(site.now(), Action::Change, Direction::None) };
    site.store.write(|c| {
        if control::paused(c)? != paused {
            control::set_paused(c, paused)?;
            log::append(c, &entry)?;
        }
        Ok(())
    })?;
    context.format().print(|| text.to_owned(), || json!({"paused": paused}))?;
    Ok(Ending::Done)
}
