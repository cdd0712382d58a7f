//! `/site`: who we are, and the emergency stop.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    databases::{Database, databases},
    operation::{Call, In, Method, Nothing, Operation},
};
use crate::{
    error::{Error, Result},
    model::{Scope, SiteId},
    store::{repositories, setup_code, site as control, traffic as stored},
    sync::pause::{self, Everything},
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::new(Method::Get, "/site", ("showSite", "Show this site"), show),
        Operation::new(Method::Get, "/site/traffic", ("showTraffic", "What travelled in each of the last hours, this hour last"), traffic),
        Operation::new(
            Method::Post,
            "/site/pause",
            ("pause", "Stop everything: no run begins, and those that run stop after their page"),
            stop,
        )
        .needs(Scope::Write),
        Operation::new(Method::Post, "/site/resume", ("resume", "Let everything go on after a pause"), go_on).needs(Scope::Write),
    ]
}

/// This site.
#[derive(Serialize, JsonSchema)]
struct Site {
    /// Its UUID.
    uuid: SiteId,
    /// Its name.
    name: String,
    /// The version of Entente.
    version: String,
    /// The data directory.
    data: String,
    /// The server that the control store is on; null where it is in the data directory.
    database: Option<String>,
    /// The address that is told to other sites.
    url: Option<String>,
    /// Whether everything is stopped.
    paused: bool,
    /// Whether the one-time code for the first administrator was not used yet.
    setup_code_open: bool,
    /// How many repositories there are.
    repositories: usize,
    /// What is attached.
    databases: Vec<Database>,
}

fn show(call: &Call<'_>, _: In) -> Result<Site> {
    let site = call.site;
    let (paused, databases, repositories, code) = site
        .store
        .read(|c| Ok((control::paused(c)?, databases(c)?, repositories::list(c, site.store.key())?.len(), setup_code::exists(c)?)))?;
    Ok(Site {
        uuid: site.id,
        name: site.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        data: site.config.data.display().to_string(),
        database: site.store.database().map(ToString::to_string),
        url: site.config.url.clone(),
        paused,
        setup_code_open: code,
        repositories,
        databases,
    })
}

/// How far back.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Back {
    /// So many hours [default: 24; 1 to 840].
    hours: Option<u32>,
}

/// What travelled in an hour.
#[derive(Serialize, JsonSchema)]
struct Traffic {
    /// Records that came.
    received: u64,
    /// Records that went.
    sent: u64,
    /// Bytes on the wire, both ways.
    bytes: u64,
}

fn traffic(call: &Call<'_>, asked: In<Nothing, Back>) -> Result<Vec<Traffic>> {
    let hours = asked.query.hours.unwrap_or(24);
    if !(1..=840).contains(&hours) {
        return Err(Error::usage("`hours` is 1 to 840"));
    }
    let found = call.site.store.read(|c| stored::last(c, call.site.now(), hours))?;
    Ok(found.into_iter().map(|one| Traffic { received: one.received, sent: one.sent, bytes: one.bytes }).collect())
}

/// Whether everything is stopped.
#[derive(Serialize, JsonSchema)]
struct Paused {
    /// Whether it is.
    paused: bool,
}

fn stop(call: &Call<'_>, _: In) -> Result<Paused> {
    pause::set(call.site, Everything::Stops).map(|()| Paused { paused: true })
}

fn go_on(call: &Call<'_>, _: In) -> Result<Paused> {
    pause::set(call.site, Everything::GoesOn).map(|()| Paused { paused: false })
}
