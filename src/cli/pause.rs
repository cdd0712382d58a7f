//! `entente pause` and `entente resume`: the emergency stop.

use clap::Args;
use entente::{
    error::Result,
    sync::pause::{self, Everything},
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
        set(context, Everything::Stops, "Everything is paused. Go on with `entente resume`.")
    }
}

impl Resume {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        set(context, Everything::GoesOn, "Everything goes on.")
    }
}

fn set(context: &Context, wanted: Everything, text: &str) -> Result<Ending> {
    pause::set(&*context.site()?, wanted)?;
    context.format().print(|| text.to_owned(), || json!({"paused": wanted == Everything::Stops}))?;
    Ok(Ending::Done)
}
