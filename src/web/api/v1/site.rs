//! `/site`: who we are, and the emergency stop.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    databases::{Database, databases},
    operation::{Call, In, Method, Nothing, Operation},
    repositories::named,
};
use crate::{
    error::{Error, Result},
    model::{Repository, Scope, SiteId},
    store::{repositories, setup_code, site as control, traffic as stored},
    sync::{
        attach,
        pause::{self, Everything},
    },
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::new(Method::Get, "/site", ("showSite", "Show this site"), show),
        Operation::new(
            Method::Patch,
            "/site",
            ("setSite", "Change this site's name, or the proxy by which it calls others; what is not named stays"),
            set,
        ),
        Operation::new(
            Method::Post,
            "/site/new-identity",
            ("newIdentity", "Give this site a new UUID: for the clone of a machine alone; restart its processes afterwards"),
            new_identity,
        ),
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
    /// The proxy by which others are called, without a password.
    proxy: Option<String>,
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
    let (row, proxy) = site.store.read(|c| Ok((control::find(c)?, control::proxy(c)?)))?;
    Ok(Site {
        uuid: site.id,
        // A name that was changed since this process began is the one that holds.
        name: row.map_or_else(|| site.name.clone(), |row| row.name),
        proxy: Repository { proxy: proxy.or_else(|| site.config.proxy.clone()), ..Repository::new("") }.bare_proxy(),
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

/// What to change of this site.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SiteChange {
    /// What it calls itself.
    name: Option<String>,
    /// The proxy by which other sites are called, where a repository has none of its own; null takes it away.
    #[serde(default, deserialize_with = "named")]
    #[schemars(with = "Option<String>")]
    proxy: Option<Option<String>>,
}

fn set(call: &Call<'_>, asked: In<Nothing, Nothing, SiteChange>) -> Result<Site> {
    let SiteChange { name, proxy } = asked.body;
    if name.is_none() && proxy.is_none() {
        return Err(Error::usage("nothing to change is named").hint("/api/docs#setSite lists what can be."));
    }
    if let Some(name) = &name {
        Repository::new(name).validate()?;
    }
    call.site.store.write(|c| {
        name.as_deref().map_or(Ok(()), |name| control::rename(c, name))?;
        proxy.map_or(Ok(()), |proxy| control::set_proxy(c, proxy.as_deref()))
    })?;
    show(call, In { path: Nothing {}, query: Nothing {}, body: Nothing {} })
}

/// A site with a new identity.
#[derive(Serialize, JsonSchema)]
struct Identified {
    /// Its UUID from now on.
    uuid: SiteId,
}

fn new_identity(call: &Call<'_>, _: In) -> Result<Identified> {
    attach::new_identity(call.site).map(|uuid| Identified { uuid })
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
