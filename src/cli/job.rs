//! `entente job`: schedules.

use clap::{Args, Subcommand};
use entente::{
    error::{Error, Result},
    model::{Job, JobId, RepositoryId, Time, Timing},
    site::Site,
    store::{jobs, repositories},
    sync::schedule::{changed, planned, preview},
};
use serde_json::{Value, json};

use super::{
    Context, Ending,
    output::{table, when, when_or},
    words::{self, YesNo},
};

/// So many of the next runs are told.
const NEXT: usize = 3;

/// Schedules: when the worker runs with a repository
#[derive(Subcommand)]
pub(super) enum Verb {
    /// Add a schedule
    ///
    /// A worker must run for anything to happen: entente worker, or entente up.
    Add {
        /// The repository
        repository: String,
        #[command(flatten)]
        plan: Plan,
        /// Add it, but let it rest
        #[arg(long)]
        disabled: bool,
    },
    /// List the schedules
    List,
    /// Change a schedule; what is not named stays
    Set {
        /// The job's number
        id: JobId,
        #[command(flatten)]
        plan: Plan,
        /// Whether it runs
        #[arg(long, value_enum)]
        enabled: Option<YesNo>,
    },
    /// Remove a schedule
    Remove {
        /// The job's number
        id: JobId,
    },
    /// Make a job due now; the worker runs it
    Now {
        /// The job's number
        id: JobId,
    },
}

#[derive(Args)]
pub(super) struct Plan {
    /// Run so often: 30s, 5m, 2h, 1d; 10 seconds at least
    #[arg(long, value_parser = words::seconds, value_name = "SPAN", conflicts_with = "cron")]
    every: Option<u32>,
    /// Run at the times of a cron expression of five fields, or six with seconds first, like "0 3 * * *"
    #[arg(long, value_name = "EXPRESSION")]
    cron: Option<String>,
    /// The time zone of the cron expression, like Europe/Berlin [default: UTC]
    #[arg(long)]
    zone: Option<String>,
    /// Besides, run within a second of a change on either side
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "yes", value_name = "yes|no")]
    on_change: Option<YesNo>,
    /// Not before this time, like 2026-01-02T03:04:05+01:00; UTC without an offset
    #[arg(long, value_parser = words::time, value_name = "TIME")]
    start: Option<Time>,
    /// Not after this time
    #[arg(long, value_parser = words::time, value_name = "TIME")]
    end: Option<Time>,
    /// How many runs in all; 0 = no limit [default: 0]
    #[arg(long, value_name = "N")]
    repeat: Option<u32>,
    /// Stop a run after so many seconds [default: 600]
    #[arg(long, value_parser = words::seconds, value_name = "SECONDS")]
    timeout: Option<u32>,
    /// How often a failed run is tried again before the next regular time [default: 3]
    #[arg(long, value_name = "N")]
    retries: Option<u32>,
    /// Of several due jobs the one with the greater number goes first [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    priority: Option<i32>,
}

impl Plan {
    fn timing(&self) -> Option<Timing> {
        self.every.map(Timing::Every).or_else(|| self.cron.clone().map(Timing::Cron))
    }

    fn over(&self, job: Job) -> Job {
        Job {
            timing: self.timing().unwrap_or(job.timing),
            zone: self.zone.clone().unwrap_or(job.zone),
            on_change: self.on_change.map_or(job.on_change, bool::from),
            start: self.start.or(job.start),
            end: self.end.or(job.end),
            repeat: self.repeat.unwrap_or(job.repeat),
            timeout: self.timeout.unwrap_or(job.timeout),
            retries: self.retries.unwrap_or(job.retries),
            priority: self.priority.unwrap_or(job.priority),
            ..job
        }
    }
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        let site = context.site()?;
        match self {
            Verb::Add { repository, plan, disabled } => add(context, &site, &repository, &plan, !disabled),
            Verb::List => list(context, &site),
            Verb::Set { id, plan, enabled } => set(context, &site, id, &plan, enabled),
            Verb::Remove { id } => {
                site.store.write(|c| jobs::remove(c, id))?;
                context.format().print(|| format!("The job {id} is removed."), || json!({"id": id}))?;
                Ok(Ending::Done)
            }
            Verb::Now { id } => {
                site.store.write(|c| jobs::make_due(c, id, site.now()))?;
                let text = || format!("The job {id} is due. The worker runs it now; where none runs: entente worker --once");
                context.format().print(text, || json!({"id": id}))?;
                Ok(Ending::Done)
            }
        }
    }
}

fn add(context: &Context, site: &Site, repository: &str, plan: &Plan, enabled: bool) -> Result<Ending> {
    let timing = plan.timing().ok_or_else(|| Error::usage("a job needs its times").hint("Say --every 5m, or --cron \"0 3 * * *\"."))?;
    let found = site.store.read(|c| repositories::get(c, site.store.key(), repository))?;
    let job = planned(Job { enabled, ..plan.over(Job::new(found.id, timing)) }, site.now())?;
    let job = site.store.write(|c| jobs::add(c, &job))?;
    told(context, repository, &job, site.now())
}

fn set(context: &Context, site: &Site, id: JobId, plan: &Plan, enabled: Option<YesNo>) -> Result<Ending> {
    let (known, repository) = site.store.read(|c| {
        let job = jobs::get(c, id)?;
        let repository = repositories::by_id(c, site.store.key(), job.repository)?;
        Ok((job, repository))
    })?;
    let wanted = Job { enabled: enabled.map_or(known.enabled, bool::from), ..plan.over(known.clone()) };
    let job = changed(&known, wanted, site.now())?;
    site.store.write(|c| jobs::update(c, &job))?;
    told(context, &repository.name, &job, site.now())
}

fn told(context: &Context, repository: &str, job: &Job, now: Time) -> Result<Ending> {
    let next = preview(job, now, NEXT);
    let text = || {
        let mut text = format!("Job {}: a run with {repository} {}.\n", job.id, timing(job));
        text.push_str(&match next.as_slice() {
            [] if !job.enabled => format!("It is disabled. Enable it: entente job set {} --enabled yes\n", job.id),
            [] => "It never runs again.\n".to_owned(),
            some => format!(
                "Next runs: {}{}.\n",
                some.iter().map(|time| in_words(*time, now)).collect::<Vec<_>>().join(", "),
                ending(job, some.len())
            ),
        });
        if !next.is_empty() {
            text.push_str("A worker must be running: entente worker, or entente up.\n");
        }
        text
    };
    let document = || {
        let mut document = document(repository, job);
        document["next_runs"] = json!(next);
        document
    };
    context.format().print(text, document)?;
    Ok(Ending::Done)
}

fn ending(job: &Job, told: usize) -> &'static str {
    let last = job.repeat > 0 && told >= job.repeat.saturating_sub(job.runs) as usize;
    if told < NEXT || last { ", and then never again" } else { ", and so on" }
}

fn in_words(time: Time, now: Time) -> String {
    match (time.0 - now.0) / 1_000_000 {
        ..=1 => "at once".into(),
        seconds @ 2..=3_600 => format!("in {}", words::span(u32::try_from(seconds).unwrap_or(u32::MAX))),
        _ => when(time),
    }
}

fn list(context: &Context, site: &Site) -> Result<Ending> {
    let all: Vec<(String, Job)> = site.store.read(|c| {
        let repositories = repositories::list(c, site.store.key())?;
        let name = |id: RepositoryId| repositories.iter().find(|r| r.id == id).map_or_else(String::new, |r| r.name.clone());
        Ok(jobs::list(c)?.into_iter().map(|job| (name(job.repository), job)).collect())
    })?;
    let text = || match all.as_slice() {
        [] => "No jobs yet. Add one: entente job add REPOSITORY --every 5m".to_owned(),
        some => rows(some),
    };
    context.format().print(text, || all.iter().map(|(repository, job)| document(repository, job)).collect())?;
    Ok(Ending::Done)
}

/// Jobs as a table: repository and job.
pub(super) fn rows(jobs: &[(String, Job)]) -> String {
    let heading = ["job", "repository", "runs", "next run", "had", "failed in a row"];
    table(
        &heading,
        &["job", "had", "failed in a row"],
        jobs.iter().map(|(repository, job)| {
            let next = if job.enabled { when_or(job.next_run, "never again") } else { "disabled".into() };
            [job.id.to_string(), repository.clone(), timing(job), next, job.runs.to_string(), job.failures.to_string()]
        }),
    )
}

fn timing(job: &Job) -> String {
    let mut text = match &job.timing {
        Timing::Every(seconds) => format!("every {}", words::span(*seconds)),
        Timing::Cron(expression) => format!("at {expression:?} in {}", job.zone),
    };
    if job.on_change {
        text.push_str(", and at once after a change");
    }
    text
}

/// A job for programs.
pub(super) fn document(repository: &str, job: &Job) -> Value {
    let (every, cron) = match &job.timing {
        Timing::Every(seconds) => (Some(seconds), None),
        Timing::Cron(expression) => (None, Some(expression)),
    };
    json!({
        "id": job.id, "repository": repository, "enabled": job.enabled, "every": every, "cron": cron, "zone": job.zone, "on_change": job.on_change,
        "start": job.start, "end": job.end, "repeat": job.repeat, "timeout": job.timeout, "retries": job.retries, "priority": job.priority,
        "next_run": job.next_run, "runs": job.runs, "failures": job.failures,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_runs_are_told_as_a_person_would_say_them() {
        let now = Time(0);
        assert_eq!(in_words(now, now), "at once");
        assert_eq!(in_words(now.plus_seconds(300), now), "in 5 minutes");
        assert_eq!(timing(&Job::new(1, Timing::Every(5400))), "every 1 hour 30 minutes");
        let cron = Job { zone: "Europe/Berlin".into(), on_change: true, ..Job::new(1, Timing::Cron("0 3 * * *".into())) };
        assert_eq!(timing(&cron), "at \"0 3 * * *\" in Europe/Berlin, and at once after a change");
    }

    #[test]
    fn a_job_that_ends_says_so() {
        let job = |repeat| Job { repeat, ..Job::new(1, Timing::Every(60)) };
        assert_eq!((ending(&job(0), 3), ending(&job(3), 3)), (", and so on", ", and then never again"));
    }
}
