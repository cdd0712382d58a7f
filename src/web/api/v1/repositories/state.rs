//! Repositories and how they are, as programs see them.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    model::{ApiType, Health, Mode, Offer, Pending, Repository as Known, SiteId, Time},
    sync::overview::State,
    web::api::v1::{jobs::Job, log::Entry, resources::Resource, runs::RunningNow},
};

/// A repository. Its password stays where it is.
#[derive(Serialize, JsonSchema)]
pub(in crate::web::api::v1) struct Settings {
    /// What it is called here.
    pub(super) name: String,
    /// Its UUID, once it is known.
    uuid: Option<SiteId>,
    /// The protocol it speaks: that of our own kind, or that of a Sahana Eden.
    r#type: ApiType,
    /// Its address; null = it only calls us.
    url: Option<String>,
    /// Our account there.
    user: Option<String>,
    /// Its own proxy, without a password.
    proxy: Option<String>,
    /// Whether it may push to us.
    accept_pushes: bool,
    /// Whether there are runs with it.
    enabled: bool,
}

impl From<&Known> for Settings {
    fn from(known: &Known) -> Settings {
        Settings {
            name: known.name.clone(),
            uuid: known.uuid,
            r#type: known.kind,
            url: known.url.clone(),
            user: known.user.clone(),
            proxy: known.bare_proxy(),
            accept_pushes: known.accept_pushes,
            enabled: known.enabled,
        }
    }
}

/// A repository and how it is.
#[derive(Serialize, JsonSchema)]
pub(in crate::web::api::v1) struct Repository {
    #[serde(flatten)]
    pub(super) settings: Settings,
    /// How it is; `unknown` where nothing can be said yet, or it is disabled.
    health: Colour,
    /// Why, in a few words.
    reason: String,
    /// When the last run ended.
    last_run: Option<Time>,
    /// When a run last went well.
    last_success: Option<Time>,
    /// What the last run ended with.
    last_message: Option<String>,
    /// How many runs in a row failed.
    failures: u32,
    /// When it last called us by itself.
    called: Option<Time>,
    /// When the next run is due.
    next_run: Option<Time>,
    /// How far the run is that goes on now.
    running: Option<RunningNow>,
    /// How many milliseconds its clock was ahead of ours when it was last reached.
    skew_ms: Option<i64>,
    /// The version of Entente that it said it runs.
    version: Option<String>,
    /// When everything that is shared was last found equal; null where some never was.
    verified_at: Option<Time>,
    /// Conflicts with it that a person has to decide.
    conflicts: u64,
    /// Records that could not be stored or sent.
    quarantined: u64,
    /// Records that wait for another one.
    parked: u64,
    /// How many records wait here for it, at most; null = they were not counted.
    waiting_here: Option<u64>,
    /// Whether more wait here than were counted.
    waiting_here_more: bool,
    /// How many records waited there for us when it last met us, at most; 1000000 = that many or more. Null = it did not say.
    waiting_there: Option<u64>,
    /// When it said so.
    waiting_there_said: Option<Time>,
}

/// How a repository is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::web::api::v1) enum Colour {
    /// Well.
    Green,
    /// An administrator should look.
    Yellow,
    /// It does not work.
    Red,
    /// Nothing can be said.
    Unknown,
}

impl From<Health> for Colour {
    fn from(health: Health) -> Colour {
        match health {
            Health::Green => Colour::Green,
            Health::Yellow => Colour::Yellow,
            Health::Red => Colour::Red,
            Health::Unknown => Colour::Unknown,
        }
    }
}

impl Repository {
    /// A repository, how it is, and what waits here for it.
    pub(super) fn of(state: State, here: Pending) -> Repository {
        let State { repository, health, reason, condition, called, next_run, running, verified, trouble, met, .. } = state;
        let last = condition.as_ref();
        Repository {
            health: health.into(),
            reason,
            last_run: last.map(|last| last.time),
            last_success: last.and_then(|last| last.last_success),
            last_message: last.map(|last| last.message.clone()),
            failures: last.map_or(0, |last| last.failures),
            called,
            next_run,
            running: running.map(|running| RunningNow::of(&repository.name, running)),
            skew_ms: last.and_then(|last| last.skew),
            version: last.and_then(|last| last.version.clone()),
            verified_at: verified,
            conflicts: trouble.conflicts,
            quarantined: trouble.quarantined,
            parked: trouble.parked,
            waiting_here: (here.records > 0 || !here.more).then_some(here.records),
            waiting_here_more: here.more,
            waiting_there: met.waiting.map(|(records, _)| records),
            waiting_there_said: met.waiting.map(|(_, said)| said),
            settings: Settings::from(&repository),
        }
    }
}

/// A repository in full.
#[derive(Serialize, JsonSchema)]
pub(in crate::web::api::v1) struct RepositoryDetail {
    #[serde(flatten)]
    pub(super) repository: Repository,
    /// What is shared with it.
    pub(super) resources: Vec<Resource>,
    /// Its schedule.
    pub(super) jobs: Vec<Job>,
    /// Its last runs, newest first.
    pub(super) runs: Vec<Entry>,
    /// What it offers us, as it last said; null = it did not say. POST …/test asks it.
    pub(super) offer: Option<Vec<Granted>>,
    /// When it said so.
    pub(super) offer_said: Option<Time>,
}

/// A resource that is granted to us.
#[derive(Serialize, JsonSchema)]
pub(in crate::web::api::v1) struct Granted {
    /// Its name.
    pub(super) name: String,
    /// What we may do.
    pub(super) mode: Mode,
}

impl From<&Offer> for Granted {
    fn from(offer: &Offer) -> Granted {
        Granted { name: offer.name.clone(), mode: offer.mode }
    }
}
