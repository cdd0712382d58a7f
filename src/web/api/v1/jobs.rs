//! `/jobs`: schedules.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    operation::{Call, In, Method, Nothing, Operation},
    page::{Page, limit, number},
    repositories::named,
};
use crate::{
    error::{Error, Result},
    model::{Job as Known, JobId, Scope, Time, Timing},
    store::{jobs, repositories},
    sync::schedule::{changed, planned, preview},
};

/// So many of the next runs are told.
const NEXT: usize = 5;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::new(Method::Get, "/jobs", ("listJobs", "List the schedules"), list),
        Operation::new(Method::Post, "/jobs", ("addJob", "Add a schedule; a worker must run for anything to happen"), add).status(201),
        Operation::new(Method::Get, "/jobs/preview", ("previewJob", "When a schedule would run, without storing it"), look_ahead),
        Operation::new(Method::Get, "/jobs/{job}", ("showJob", "Show a schedule"), show),
        Operation::new(Method::Patch, "/jobs/{job}", ("setJob", "Change a schedule; what is not named stays"), set),
        Operation::new(Method::Delete, "/jobs/{job}", ("removeJob", "Remove a schedule"), remove),
        Operation::new(Method::Post, "/jobs/{job}/now", ("runJobNow", "Make a job due now; the worker runs it"), now)
            .needs(Scope::Write)
            .status(202),
    ]
}

/// A schedule of runs with a repository.
#[derive(Serialize, JsonSchema)]
pub(super) struct Job {
    /// Its number.
    id: JobId,
    /// The repository.
    repository: String,
    /// Whether it runs.
    enabled: bool,
    /// It runs every so many seconds; null = by `cron`.
    every: Option<u32>,
    /// It runs at the times of this expression; null = by `every`.
    cron: Option<String>,
    /// The time zone of the expression.
    zone: String,
    /// Besides, within a second of a change on either side.
    on_change: bool,
    /// Not before.
    start: Option<Time>,
    /// Not after.
    end: Option<Time>,
    /// How many runs in all; 0 = no limit.
    repeat: u32,
    /// Seconds after which a run is stopped.
    timeout: u32,
    /// How often a failed run is tried again before the next regular time.
    retries: u32,
    /// Of several due jobs the one with the greater number goes first.
    priority: i32,
    /// When it is due; null = never again.
    next_run: Option<Time>,
    /// How many runs it has had.
    runs: u32,
    /// How many runs in a row failed.
    failures: u32,
    /// Its next regular times.
    next_runs: Vec<Time>,
}

impl Job {
    pub(super) fn of(repository: &str, known: Known, now: Time) -> Job {
        let next_runs = preview(&known, now, NEXT);
        let (every, cron) = match known.timing {
            Timing::Every(seconds) => (Some(seconds), None),
            Timing::Cron(expression) => (None, Some(expression)),
        };
        Job {
            id: known.id,
            repository: repository.to_owned(),
            enabled: known.enabled,
            every,
            cron,
            zone: known.zone,
            on_change: known.on_change,
            start: known.start,
            end: known.end,
            repeat: known.repeat,
            timeout: known.timeout,
            retries: known.retries,
            priority: known.priority,
            next_run: known.next_run,
            runs: known.runs,
            failures: known.failures,
            next_runs,
        }
    }
}

/// Which jobs.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct JobListing {
    /// Only with this repository.
    repository: Option<String>,
    /// Those after this one: `next` of the page before.
    after: Option<String>,
    /// How many at most [default: 50; 1 to 1000].
    limit: Option<u32>,
}

fn list(call: &Call<'_>, asked: In<Nothing, JobListing>) -> Result<Page<Job>> {
    let JobListing { repository, after, limit: wanted } = asked.query;
    let (now, limit, after) = (call.site.now(), limit(wanted)?, number(after.as_deref())?);
    let (names, jobs) = call.site.store.read(|c| {
        let only = repository.map(|name| repositories::get(c, call.site.store.key(), &name)).transpose()?.map(|one| one.id);
        Ok((repositories::names(c)?, jobs::page(c, only, after, i64::from(limit) + 1)?))
    })?;
    let names: HashMap<_, _> = names.iter().map(|(id, _, name)| (*id, name.as_str())).collect();
    let name = |job: &Known| names.get(&job.repository).copied().unwrap_or_default();
    Ok(Page::of(jobs.into_iter().map(|job| Job::of(name(&job), job, now)).collect(), limit, |job| job.id.to_string()))
}

/// When a job runs. `every` or `cron`, not both.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Plan {
    /// Run every so many seconds; 10 at least.
    every: Option<u32>,
    /// Run at the times of a cron expression of five fields, or six with seconds first.
    cron: Option<String>,
    /// The time zone of the expression, like Europe/Berlin [default: UTC].
    zone: Option<String>,
    /// Besides, run within a second of a change on either side [default: false].
    on_change: Option<bool>,
    /// Not before this time; null = at once.
    #[serde(default, deserialize_with = "named")]
    #[schemars(with = "Option<Time>")]
    start: Option<Option<Time>>,
    /// Not after this time; null = without end.
    #[serde(default, deserialize_with = "named")]
    #[schemars(with = "Option<Time>")]
    end: Option<Option<Time>>,
    /// How many runs in all; 0 = no limit [default: 0].
    repeat: Option<u32>,
    /// Stop a run after so many seconds [default: 600].
    timeout: Option<u32>,
    /// How often a failed run is tried again before the next regular time [default: 3].
    retries: Option<u32>,
    /// Of several due jobs the one with the greater number goes first [default: 0].
    priority: Option<i32>,
    /// Whether it runs [default: true].
    enabled: Option<bool>,
}

impl Plan {
    fn timing(&self) -> Result<Option<Timing>> {
        match (self.every, &self.cron) {
            (Some(_), Some(_)) => Err(Error::usage("a job has either `every` or `cron`, not both")),
            (every, cron) => Ok(every.map(Timing::Every).or_else(|| cron.clone().map(Timing::Cron))),
        }
    }

    fn over(self, job: Known) -> Result<Known> {
        Ok(Known {
            timing: self.timing()?.unwrap_or(job.timing),
            zone: self.zone.unwrap_or(job.zone),
            on_change: self.on_change.unwrap_or(job.on_change),
            start: self.start.unwrap_or(job.start),
            end: self.end.unwrap_or(job.end),
            repeat: self.repeat.unwrap_or(job.repeat),
            timeout: self.timeout.unwrap_or(job.timeout),
            retries: self.retries.unwrap_or(job.retries),
            priority: self.priority.unwrap_or(job.priority),
            enabled: self.enabled.unwrap_or(job.enabled),
            ..job
        })
    }
}

fn needs_times() -> Error {
    Error::usage("a job needs its times").hint("Say `every`, in seconds, or `cron`.")
}

/// A new schedule.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewJob {
    /// The repository.
    repository: String,
    /// When.
    plan: Plan,
}

fn add(call: &Call<'_>, asked: In<Nothing, Nothing, NewJob>) -> Result<Job> {
    let (NewJob { repository, plan }, now) = (asked.body, call.site.now());
    let timing = plan.timing()?.ok_or_else(needs_times)?;
    let found = call.site.store.read(|c| repositories::get(c, call.site.store.key(), &repository))?;
    let job = planned(plan.over(Known::new(found.id, timing))?, now)?;
    Ok(Job::of(&repository, call.site.store.write(|c| jobs::add(c, &job))?, now))
}

/// A job by its number.
#[derive(Deserialize, JsonSchema)]
struct JobPath {
    /// The job's number.
    job: JobId,
}

fn show(call: &Call<'_>, asked: In<JobPath>) -> Result<Job> {
    let (repository, job) = find(call, asked.path.job)?;
    Ok(Job::of(&repository, job, call.site.now()))
}

fn find(call: &Call<'_>, id: JobId) -> Result<(String, Known)> {
    call.site.store.read(|c| {
        let job = jobs::get(c, id)?;
        if job.ask.is_some() {
            return Err(
                Error::not_found(format!("{id} is no schedule, but a run that was asked for")).hint("GET /api/v1/runs/asked shows it.")
            );
        }
        Ok((repositories::by_id(c, call.site.store.key(), job.repository)?.name, job))
    })
}

fn set(call: &Call<'_>, asked: In<JobPath, Nothing, Plan>) -> Result<Job> {
    let (repository, known) = find(call, asked.path.job)?;
    let job = changed(&known, asked.body.over(known.clone())?, call.site.now())?;
    call.site.store.write(|c| jobs::update(c, &job))?;
    Ok(Job::of(&repository, job, call.site.now()))
}

fn remove(call: &Call<'_>, asked: In<JobPath>) -> Result<Nothing> {
    call.site.store.write(|c| jobs::remove(c, asked.path.job)).map(|()| Nothing {})
}

fn now(call: &Call<'_>, asked: In<JobPath>) -> Result<Job> {
    call.site.store.write(|c| jobs::make_due(c, asked.path.job, call.site.now()))?;
    let (repository, job) = find(call, asked.path.job)?;
    Ok(Job::of(&repository, job, call.site.now()))
}

/// A schedule to look ahead of. `every` or `cron`, not both.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LookAhead {
    /// Run every so many seconds.
    every: Option<u32>,
    /// Run at the times of a cron expression.
    cron: Option<String>,
    /// The time zone of the expression [default: UTC].
    zone: Option<String>,
    /// Not before this time.
    start: Option<Time>,
    /// Not after this time.
    end: Option<Time>,
    /// How many runs in all.
    repeat: Option<u32>,
    /// How many times to tell [default: 5; 1 to 100].
    count: Option<usize>,
}

fn look_ahead(call: &Call<'_>, asked: In<Nothing, LookAhead>) -> Result<Vec<Time>> {
    let LookAhead { every, cron, zone, start, end, repeat, count } = asked.query;
    let count = count.unwrap_or(NEXT);
    if !(1..=100).contains(&count) {
        return Err(Error::usage("`count` is 1 to 100"));
    }
    let plan = Plan {
        every,
        cron,
        zone,
        on_change: None,
        start: Some(start),
        end: Some(end),
        repeat,
        timeout: None,
        retries: None,
        priority: None,
        enabled: None,
    };
    let timing = plan.timing()?.ok_or_else(needs_times)?;
    let job = planned(plan.over(Known::new(0, timing))?, call.site.now())?;
    Ok(preview(&job, call.site.now(), count))
}
