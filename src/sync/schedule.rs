//! When jobs run, as the worker knows schedules.

use entente_worker::{Invalid, Schedule, schedule};

use crate::{
    error::{Error, Result},
    model::{Job, Time, Timing},
};

/// A job's schedule, as the worker knows schedules.
pub fn schedule_of(job: &Job) -> Schedule {
    Schedule {
        enabled: job.enabled,
        timing: match &job.timing {
            Timing::Every(seconds) => schedule::Timing::Every(*seconds),
            Timing::Cron(text) => schedule::Timing::Cron(text.clone()),
        },
        zone: job.zone.clone(),
        start: job.start.map(Time::utc),
        end: job.end.map(Time::utc),
        repeat: job.repeat,
        retries: job.retries,
    }
}

/// A job that makes sense, with the time it is due first.
pub fn planned(mut job: Job, now: Time) -> Result<Job> {
    job.validate()?;
    let plan = schedule_of(&job);
    schedule::validate(&plan).map_err(|why: Invalid| Error::usage(why.to_string()))?;
    job.next_run = schedule::next_run(&plan, None, now.utc(), job.runs).map(Time::from_utc);
    Ok(job)
}

/// The next `count` regular times of a job.
pub fn preview(job: &Job, now: Time, count: usize) -> Vec<Time> {
    schedule::preview(&schedule_of(job), now.utc(), count).into_iter().map(Time::from_utc).collect()
}

/// A job as a person changed it, with the time it is due next. A change that has nothing to do with its times leaves them alone.
pub fn changed(known: &Job, wanted: Job, now: Time) -> Result<Job> {
    let job = planned(wanted, now)?;
    let next_run = if times(&job) == times(known) { known.next_run } else { job.next_run };
    Ok(Job { next_run, ..job })
}

fn times(job: &Job) -> (bool, &Timing, &str, Option<Time>, Option<Time>, u32) {
    (job.enabled, &job.timing, &job.zone, job.start, job.end, job.repeat)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_has_nothing_to_do_with_the_times_leaves_the_next_run_alone() {
        let known = Job { next_run: Some(Time(5)), ..Job::new(1, Timing::Every(60)) };
        let now = Time(0).plus_seconds(100);
        assert_eq!(changed(&known, Job { priority: 3, ..known.clone() }, now).unwrap().next_run, Some(Time(5)));
        assert_eq!(
            changed(&known, Job { timing: Timing::Every(30), ..known.clone() }, now).unwrap().next_run,
            planned(known, now).unwrap().next_run
        );
    }
}
