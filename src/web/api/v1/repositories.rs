//! `/repositories`: the sites that this one runs with.

mod state;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};
use state::{Granted, Repository, RepositoryDetail, Settings};

use super::{
    jobs::Job,
    log::Entry,
    operation::{Call, In, Method, Nothing, Operation},
    page::{Page, limit},
    resources::Resource,
};
use crate::{
    error::{Error, Result},
    model::{ApiType, Repository as Known, Scope, SiteId, Time},
    store::{jobs, log, repositories, resources, verified},
    sync::{
        overview::{overview, state, waiting_here},
        register::{self, Added, Said},
    },
};

/// So many of the last runs are shown.
const RUNS: u32 = 10;

pub(super) fn operations() -> Vec<Operation> {
    let (all, one) = ("/repositories", "/repositories/{repository}");
    vec![
        Operation::new(Method::Get, all, ("listRepositories", "List the repositories and how they are"), list),
        Operation::new(Method::Post, all, ("addRepository", "Add another site here and register this one there"), add).status(201),
        Operation::new(Method::Get, one, ("showRepository", "Show a repository: settings, resources, jobs, last runs"), show),
        Operation::new(Method::Patch, one, ("setRepository", "Change a repository; what is not named stays"), set),
        Operation::new(
            Method::Delete,
            one,
            ("removeRepository", "Remove a repository with its resources and jobs; records and the log stay"),
            remove,
        ),
        Operation::new(
            Method::Post,
            "/repositories/{repository}/test",
            ("testRepository", "Call a repository: is it there, who is it, what does it grant, is its clock right"),
            test,
        )
        .needs(Scope::Write)
        .calls(),
        Operation::new(
            Method::Get,
            "/repositories/{repository}/verified",
            ("listVerified", "When each resource was last found equal at both sites"),
            verified,
        ),
    ]
}

/// A repository by its name.
#[derive(Deserialize, JsonSchema)]
pub(super) struct RepositoryPath {
    /// The repository's name.
    pub(super) repository: String,
}

/// Which repositories.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Listing {
    /// Those after this name: `next` of the page before.
    after: Option<String>,
    /// How many at most [default: 50; 1 to 1000].
    limit: Option<u32>,
}

fn list(call: &Call<'_>, asked: In<Nothing, Listing>) -> Result<Page<Repository>> {
    let limit = limit(asked.query.limit)?;
    let after = asked.query.after;
    let mut states = overview(call.site)?.states;
    states.retain(|state| after.as_ref().is_none_or(|after| state.repository.name > *after));
    states.sort_by(|one, other| one.repository.name.cmp(&other.repository.name));
    let more = states.len() > limit as usize;
    states.truncate(limit as usize);
    let waiting = waiting_here(call.site, &states)?;
    let items: Vec<Repository> = states.into_iter().zip(waiting).map(|(state, here)| Repository::of(state, here)).collect();
    let next = items.last().filter(|_| more).map(|last| last.settings.name.clone());
    Ok(Page { items, next })
}

fn show(call: &Call<'_>, asked: In<RepositoryPath>) -> Result<RepositoryDetail> {
    let (name, now) = (&asked.path.repository, call.site.now());
    let (known, schedule, runs, equal) = call.site.store.read(|c| {
        let known = repositories::get(c, call.site.store.key(), name)?;
        let (schedule, runs) = (jobs::list_of(c, known.id)?, log::runs_of(c, known.id, RUNS)?);
        Ok((known, schedule, runs, verified::all(c)?))
    })?;
    let state = state(call.site, known)?;
    let here = waiting_here(call.site, [&state])?.into_iter().next().unwrap_or_default();
    Ok(RepositoryDetail {
        offer: state.met.offer.as_ref().map(|(offer, _)| offer.iter().map(Granted::from).collect()),
        offer_said: state.met.offer.as_ref().map(|(_, said)| *said),
        resources: state.resources.iter().map(|resource| Resource::of(name, resource.clone(), &equal)).collect(),
        repository: Repository::of(state, here),
        jobs: schedule.into_iter().map(|job| Job::of(name, job, now)).collect(),
        runs: runs.into_iter().map(Entry::from).collect(),
    })
}

/// A new repository.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewRepository {
    /// What to call it here.
    name: String,
    /// Its address, https://… or http://…; without one it only calls us.
    url: Option<String>,
    /// This site's account there.
    user: Option<String>,
    /// The password there.
    #[schemars(with = "Option<String>")]
    password: Option<SecretString>,
    /// A proxy for this repository alone.
    proxy: Option<String>,
    /// Its UUID, where registration cannot tell.
    uuid: Option<SiteId>,
    /// The protocol it speaks [default: found out when this site registers there].
    r#type: Option<ApiType>,
    /// Whether it may push to us [default: true].
    accept_pushes: Option<bool>,
}

/// A repository that was added or changed.
#[derive(Serialize, JsonSchema)]
struct ChangedRepository {
    #[serde(flatten)]
    settings: Settings,
    /// Why this site is not registered there, and what to do by hand; or that its line can be read by others.
    warning: Option<String>,
}

fn told(added: Added) -> ChangedRepository {
    let repository = &added.repository;
    let exposed = repository
        .exposed()
        .then(|| format!("{} is called without encryption over a network that others may read; use https", repository.name));
    let warnings: Vec<String> = added.warning.into_iter().chain(exposed).collect();
    ChangedRepository { settings: Settings::from(repository), warning: Some(warnings.join(". ")).filter(|text| !text.is_empty()) }
}

fn add(call: &Call<'_>, asked: In<Nothing, Nothing, NewRepository>) -> Result<ChangedRepository> {
    let NewRepository { name, url, user, password, proxy, uuid, r#type, accept_pushes } = asked.body;
    let (kind, accept_pushes) = (r#type.unwrap_or_default(), accept_pushes.unwrap_or(true));
    let new = Known { url: url.map(trimmed), user, password, proxy, uuid, kind, accept_pushes, ..Known::new(&name) };
    register::add(call.site, &new).map(told)
}

fn trimmed(url: String) -> String {
    url.trim_end_matches('/').to_owned()
}

/// What to change of a repository.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RepositoryChange {
    /// Call it otherwise.
    name: Option<String>,
    /// Its address.
    url: Option<String>,
    /// This site's account there; wants the password, too.
    user: Option<String>,
    /// The password there.
    #[schemars(with = "Option<String>")]
    password: Option<SecretString>,
    /// A proxy for this repository alone; null takes it away.
    #[serde(default, deserialize_with = "named")]
    #[schemars(with = "Option<String>")]
    proxy: Option<Option<String>>,
    /// Its UUID.
    uuid: Option<SiteId>,
    /// The protocol it speaks.
    r#type: Option<ApiType>,
    /// Whether it may push to us.
    accept_pushes: Option<bool>,
    /// Whether there are runs with it; true also lets a site come again in whose name two machines came.
    enabled: Option<bool>,
}

/// What was named, null too.
pub(super) fn named<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

fn set(call: &Call<'_>, asked: In<RepositoryPath, Nothing, RepositoryChange>) -> Result<ChangedRepository> {
    let RepositoryChange { name, url, user, password, proxy, uuid, r#type, accept_pushes, enabled } = asked.body;
    let reached = url.is_some() || user.is_some() || password.is_some() || proxy.is_some();
    if !reached && name.is_none() && uuid.is_none() && r#type.is_none() && accept_pushes.is_none() && enabled.is_none() {
        return Err(Error::usage("nothing to change is named").hint("/api/docs#setRepository lists what can be."));
    }
    if user.is_some() && password.is_none() {
        return Err(Error::usage("another user needs a password").hint("Name both `user` and `password`."));
    }
    let known = call.site.store.read(|c| repositories::get(c, call.site.store.key(), &asked.path.repository))?;
    let changed = Known {
        name: name.unwrap_or(known.name),
        url: url.map(trimmed).or(known.url),
        user: user.or(known.user),
        password: password.or(known.password),
        proxy: proxy.unwrap_or(known.proxy),
        uuid: uuid.or(known.uuid),
        accept_pushes: accept_pushes.unwrap_or(known.accept_pushes),
        enabled: enabled.unwrap_or(known.enabled),
        id: known.id,
        kind: r#type.unwrap_or(known.kind),
        offered_name: known.offered_name,
    };
    register::set(call.site, changed, Said { reached, enabled: enabled == Some(true) }).map(told)
}

fn remove(call: &Call<'_>, asked: In<RepositoryPath>) -> Result<Nothing> {
    call.site.store.write(|c| repositories::remove(c, &asked.path.repository)).map(|()| Nothing {})
}

/// A repository that answered.
#[derive(Serialize, JsonSchema)]
struct Tested {
    /// What it is called here.
    name: String,
    /// Its UUID.
    uuid: SiteId,
    /// What it calls itself.
    site: String,
    /// Its version of Entente.
    version: String,
    /// How many milliseconds its clock is ahead of ours.
    skew_ms: i64,
    /// Whether it is paused.
    paused: bool,
    /// What it grants us.
    resources: Vec<Granted>,
}

fn test(call: &Call<'_>, asked: In<RepositoryPath>) -> Result<Tested> {
    let name = asked.path.repository;
    let repository = call.site.store.read(|c| repositories::get(c, call.site.store.key(), &name))?;
    let contact = register::test(call.site, &repository)?;
    let (hello, skew_ms) = (contact.hello, contact.skew);
    let resources = hello.resources.into_iter().map(|granted| Granted { name: granted.name, mode: granted.mode }).collect();
    Ok(Tested { name, uuid: hello.uuid, site: hello.name, version: hello.version, skew_ms, paused: hello.paused, resources })
}

/// When a resource was last found equal at both sites.
#[derive(Serialize, JsonSchema)]
struct VerifiedResource {
    /// The resource.
    resource: String,
    /// When; null = not yet.
    verified_at: Option<Time>,
}

fn verified(call: &Call<'_>, asked: In<RepositoryPath>) -> Result<Vec<VerifiedResource>> {
    let (shared, equal) = call.site.store.read(|c| {
        let repository = repositories::get(c, call.site.store.key(), &asked.path.repository)?;
        Ok((resources::list(c, repository.id)?, verified::all(c)?))
    })?;
    Ok(shared.into_iter().map(|one| VerifiedResource { verified_at: equal.get(&one.id).copied(), resource: one.name }).collect())
}
