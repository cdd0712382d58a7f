//! `/runs`: pulls and pushes. The worker makes them; here they are asked for and looked at.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    log::{Entry, EntryDetail, Filter, detail},
    operation::{Call, In, Method, Nothing, Operation},
    page::Page,
};
use crate::{
    error::{Error, Kind, Result},
    model::{Action, Advance, Ask, Job, JobId, LogId, RepositoryId, Scope, Time, Uid},
    store::{Conn, jobs, log, progress, repositories, site as control},
    sync::{history, overview::SILENT},
};

/// The most records that a run may be asked for by their uids.
const NAMED: usize = 1000;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::new(Method::Get, "/runs", ("listRuns", "Runs, newest first"), list),
        Operation::new(Method::Post, "/runs", ("run", "Sync now: ask the worker for a run with a repository"), ask)
            .needs(Scope::Write)
            .status(202),
        Operation::new(Method::Get, "/runs/asked", ("listAskedRuns", "Runs that were asked for and are not over"), asked),
        Operation::new(Method::Get, "/runs/running", ("listRunning", "How far the runs are that go on now"), running),
        Operation::new(Method::Get, "/runs/{run}", ("showRun", "Show a run with its parts"), show),
        Operation::new(
            Method::Post,
            "/runs/{run}/rollback",
            ("rollback", "Undo what one run did here, as new edits; what changed since is named and left as it is"),
            rollback,
        )
        .needs(Scope::Write),
    ]
}

fn list(call: &Call<'_>, asked: In<Nothing, Filter>) -> Result<Page<Entry>> {
    asked.query.page(call, Some(Action::Run))
}

/// A run by its number in the log.
#[derive(Deserialize, JsonSchema)]
struct RunPath {
    /// The run's number.
    run: LogId,
}

fn show(call: &Call<'_>, asked: In<RunPath>) -> Result<EntryDetail> {
    let run = asked.path.run;
    if call.site.store.read(|c| log::get(c, run))?.action != Action::Run {
        return Err(Error::not_found(format!("{run} is no run")).hint(format!("GET /api/v1/log/{run} shows what it is.")));
    }
    detail(call, run)
}

/// What is wanted of a run.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// The repository.
    repository: String,
    /// Only these resources [default: all that are shared].
    resources: Option<Vec<String>>,
    /// Take from them [default: true].
    pull: Option<bool>,
    /// Give to them [default: true].
    push: Option<bool>,
    /// From the start, as if nothing had been exchanged before; what is equal stays as it is [default: false].
    #[serde(default)]
    full: bool,
    /// Change nothing; count what would happen [default: false].
    #[serde(default)]
    dry_run: bool,
    /// Only these records, by their uids, and what they refer to: up to 1,000, of the one resource that is named.
    #[schemars(length(min = 1, max = 1000))]
    records: Option<Vec<String>>,
}

/// A run that was asked for and is not over.
#[derive(Serialize, JsonSchema)]
pub(super) struct AskedRun {
    /// The job that makes it; it is gone when the run is over.
    job: JobId,
    /// The repository.
    repository: String,
    /// Since when it is due. GET /api/v1/runs with `repository` and `from` this time finds the run, once the worker began it.
    asked_on: Option<Time>,
    /// Only these resources; null = all.
    resources: Option<Vec<String>>,
    /// Whether it takes from them.
    pull: bool,
    /// Whether it gives to them.
    push: bool,
    /// Whether it begins from the start.
    full: bool,
    /// Whether it changes nothing.
    dry_run: bool,
    /// Only these records; null = all.
    records: Option<Vec<String>>,
}

impl AskedRun {
    fn of(repository: &str, job: Job) -> AskedRun {
        let Ask { resources, pull, push, full, dry_run, named } = job.ask.unwrap_or_default();
        AskedRun {
            job: job.id,
            repository: repository.to_owned(),
            asked_on: job.next_run,
            resources,
            pull,
            push,
            full,
            dry_run,
            records: named,
        }
    }
}

fn ask(call: &Call<'_>, asked: In<Nothing, Nothing, Wanted>) -> Result<AskedRun> {
    let Wanted { repository, resources, pull, push, full, dry_run, records } = asked.body;
    let (pull, push) = (pull.unwrap_or(true), push.unwrap_or(true));
    if !pull && !push {
        return Err(Error::usage("a run that neither pulls nor pushes does nothing"));
    }
    if resources.as_ref().is_some_and(Vec::is_empty) {
        return Err(Error::usage("no resource is named").hint("Leave `resources` out for all that are shared."));
    }
    if let Some(uids) = &records {
        if resources.as_ref().is_none_or(|names| names.len() != 1) || uids.is_empty() || uids.len() > NAMED {
            return Err(Error::usage(format!("name 1 to {NAMED} records of one resource"))
                .hint("Say {\"resources\": [\"NAME\"], \"records\": [\"UID\"]}."));
        }
        uids.iter().try_for_each(|uid| Uid::check(uid).map(|_| ()))?;
    }
    enter(call, &repository, Ask { resources, pull, push, full, dry_run, named: records })
}

/// Asks the worker for a run.
pub(super) fn enter(call: &Call<'_>, name: &str, ask: Ask) -> Result<AskedRun> {
    let now = call.site.now();
    let job = call.site.store.write(|c| {
        if control::paused(c)? {
            return Err(Error::new(Kind::Paused, "Everything is paused").hint("Go on with POST /api/v1/site/resume."));
        }
        let repository = repositories::get(c, call.site.store.key(), name)?;
        if !repository.enabled {
            return Err(Error::new(Kind::Exists, format!("{name} is disabled")).hint("Enable it first."));
        }
        if repository.url.is_none() {
            return Err(Error::new(Kind::Exists, format!("{name} has no address; it calls us")).hint("Give it one, or wait for it."));
        }
        jobs::ask(c, repository.id, ask, now)
    })?;
    Ok(AskedRun::of(name, job))
}

fn asked(call: &Call<'_>, _: In) -> Result<Vec<AskedRun>> {
    call.site.store.read(|c| {
        let names = names(call, c)?;
        Ok(jobs::asked(c)?.into_iter().map(|job| AskedRun::of(names.get(&job.repository).map_or("", String::as_str), job)).collect())
    })
}

fn names(call: &Call<'_>, c: &mut Conn) -> Result<HashMap<RepositoryId, String>> {
    Ok(repositories::list(c, call.site.store.key())?.into_iter().map(|one| (one.id, one.name)).collect())
}

/// How far a run is that goes on now.
#[derive(Serialize, JsonSchema)]
pub(super) struct RunningNow {
    /// Its entry in the log.
    run: LogId,
    /// The repository.
    repository: String,
    /// The resource it is at.
    resource: String,
    /// `compare`, `pull` or `push`.
    direction: String,
    /// Records of that resource, that way, so far.
    records: u64,
    /// Of so many, where that is known.
    total: Option<u64>,
    /// When it came to that resource.
    begun: Time,
    /// When this was said.
    at: Time,
}

impl RunningNow {
    pub(super) fn of(repository: &str, advance: Advance) -> RunningNow {
        let Advance { run, resource, direction, records, total, begun, at, .. } = advance;
        RunningNow { run, repository: repository.to_owned(), resource, direction, records, total, begun, at }
    }
}

fn running(call: &Call<'_>, _: In) -> Result<Vec<RunningNow>> {
    let since = call.site.now().plus_seconds(-SILENT);
    call.site.store.read(|c| {
        let names = names(call, c)?;
        let all = progress::all(c, since)?;
        Ok(all.into_iter().filter_map(|one| Some(RunningNow::of(names.get(&one.repository)?, one))).collect())
    })
}

/// What undoing a run did.
#[derive(Serialize, JsonSchema)]
struct Undone {
    /// The run.
    run: LogId,
    /// Records that have their former content again, or are there again.
    restored: u64,
    /// Records that the run had made and that are gone.
    removed: u64,
    /// Records that were left as they are.
    refused: Vec<LeftAlone>,
}

/// A record that was left as it is.
#[derive(Serialize, JsonSchema)]
struct LeftAlone {
    /// The resource.
    resource: String,
    /// Its uid.
    uid: String,
    /// Why.
    reason: String,
}

fn rollback(call: &Call<'_>, asked: In<RunPath>) -> Result<Undone> {
    let run = asked.path.run;
    let undone = history::rollback(call.site, run)?;
    let refused = undone.refused.into_iter().map(|(resource, uid, reason)| LeftAlone { resource, uid, reason }).collect();
    Ok(Undone { run, restored: undone.restored, removed: undone.removed, refused })
}
