//! `/runs`: pulls and pushes. The worker makes them; here they are asked for and looked at.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    log::{Entry, EntryDetail, Filter, detail},
    operation::{Call, In, Method, Nothing, Operation},
    page::Page,
};
use crate::{
    error::{Error, Kind, Result},
    model::{Action, JobId, LogId, Scope, Time},
    store::{jobs, log, repositories, site as control},
    sync::history,
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::new(Method::Get, "/runs", ("listRuns", "Runs, newest first"), list),
        Operation::new(Method::Post, "/runs", ("run", "Sync now: ask the worker for a run with a repository"), ask)
            .needs(Scope::Write)
            .status(202),
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
}

/// A run that was asked for.
#[derive(Serialize, JsonSchema)]
struct Asked {
    /// The jobs that are due now.
    jobs: Vec<JobId>,
    /// Since when: GET /api/v1/runs with `from` this time and the repository finds the run, once the worker began it.
    asked_on: Time,
}

fn ask(call: &Call<'_>, asked: In<Nothing, Nothing, Wanted>) -> Result<Asked> {
    let (name, now) = (&asked.body.repository, call.site.now());
    let jobs = call.site.store.write(|c| {
        if control::paused(c)? {
            return Err(Error::new(Kind::Paused, "Everything is paused").hint("Go on with POST /api/v1/site/resume."));
        }
        let repository = repositories::get(c, call.site.store.key(), name)?;
        if !repository.enabled {
            return Err(Error::new(Kind::Exists, format!("{name} is disabled")).hint("Enable it first."));
        }
        let due: Vec<JobId> = jobs::list_of(c, repository.id)?.into_iter().filter(|job| job.enabled).map(|job| job.id).take(1).collect();
        if due.is_empty() {
            return Err(
                Error::new(Kind::Exists, format!("{name} has no enabled job that could be made due")).hint("Add one: POST /api/v1/jobs.")
            );
        }
        due.iter().try_for_each(|job| jobs::make_due(c, *job, now))?;
        Ok(due)
    })?;
    Ok(Asked { jobs, asked_on: now })
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
