//! Schedules, and who runs which now ([`lease_due`]).

mod due;

use diesel::prelude::*;

use super::{Conn, conn::MultiBackend, schema::job, stored};
use crate::{
    error::{Error, Result},
    model::{Ask, Job, JobId, RepositoryId, Time, Timing},
};

pub use due::{Leased, Ran, finish, holders, lease_due, make_due, next_due, release_dead, renew};

#[derive(Queryable, Selectable)]
#[diesel(table_name = job)]
struct Row {
    id: i64,
    repository: i64,
    enabled: bool,
    every: Option<i64>,
    cron: Option<String>,
    on_change: bool,
    zone: String,
    start_on: Option<i64>,
    end_on: Option<i64>,
    times: i64,
    timeout: i64,
    priority: i32,
    retries: i64,
    next_run: Option<i64>,
    runs: i64,
    failures: i64,
    ask: Option<String>,
}

// What an administrator decides. What a worker counts (runs, failures) is not here, so that neither overwrites the other's.
#[derive(Insertable, AsChangeset)]
#[diesel(table_name = job, treat_none_as_null = true)]
struct Values<'a> {
    repository: i64,
    enabled: bool,
    every: Option<i64>,
    cron: Option<&'a str>,
    on_change: bool,
    zone: &'a str,
    start_on: Option<i64>,
    end_on: Option<i64>,
    times: i64,
    timeout: i64,
    priority: i32,
    retries: i64,
    next_run: Option<i64>,
    ask: Option<String>,
}

impl TryFrom<Row> for Job {
    type Error = Error;

    fn try_from(row: Row) -> Result<Job> {
        let timing = match (row.every, row.cron) {
            (Some(seconds), None) => Timing::Every(stored::count(seconds)),
            (None, Some(expression)) => Timing::Cron(expression),
            _ => return Err(Error::internal(format!("The job {} in the control store has no timing", row.id))),
        };
        Ok(Job {
            id: row.id,
            repository: row.repository,
            enabled: row.enabled,
            timing,
            on_change: row.on_change,
            zone: row.zone,
            start: row.start_on.map(Time),
            end: row.end_on.map(Time),
            repeat: stored::count(row.times),
            timeout: stored::count(row.timeout),
            priority: row.priority,
            retries: stored::count(row.retries),
            next_run: row.next_run.map(Time),
            runs: stored::count(row.runs),
            failures: stored::count(row.failures),
            ask: row.ask.map(|ask| stored::known(&ask, serde_json::from_str(&ask).ok())).transpose()?,
        })
    }
}

impl<'a> From<&'a Job> for Values<'a> {
    fn from(from: &'a Job) -> Values<'a> {
        let (every, cron) = match &from.timing {
            Timing::Every(seconds) => (Some(i64::from(*seconds)), None),
            Timing::Cron(expression) => (None, Some(expression.as_str())),
        };
        Values {
            repository: from.repository,
            enabled: from.enabled,
            every,
            cron,
            on_change: from.on_change,
            zone: &from.zone,
            start_on: from.start.map(|time| time.0),
            end_on: from.end.map(|time| time.0),
            times: i64::from(from.repeat),
            timeout: i64::from(from.timeout),
            priority: from.priority,
            retries: i64::from(from.retries),
            next_run: from.next_run.map(|time| time.0),
            ask: from.ask.as_ref().and_then(|ask| serde_json::to_string(ask).ok()),
        }
    }
}

/// All jobs on a schedule, by number.
pub fn list(conn: &mut Conn) -> Result<Vec<Job>> {
    job::table.filter(job::ask.is_null()).order(job::id).select(Row::as_select()).load(conn)?.into_iter().map(Job::try_from).collect()
}

/// The enabled jobs that also run when something changes, by number.
pub fn on_change(conn: &mut Conn) -> Result<Vec<Job>> {
    let wanted = job::table.filter(job::enabled.eq(true)).filter(job::on_change.eq(true));
    wanted.order(job::id).select(Row::as_select()).load(conn)?.into_iter().map(Job::try_from).collect()
}

/// The jobs of a repository on a schedule, by number.
pub fn list_of(conn: &mut Conn, repository: RepositoryId) -> Result<Vec<Job>> {
    let wanted = job::table.filter(job::repository.eq(repository)).filter(job::ask.is_null());
    wanted.order(job::id).select(Row::as_select()).load(conn)?.into_iter().map(Job::try_from).collect()
}

/// The schedules with numbers after `after`, of one repository or of all, `limit` at most.
pub fn page(conn: &mut Conn, repository: Option<RepositoryId>, after: JobId, limit: i64) -> Result<Vec<Job>> {
    let mut wanted = job::table.filter(job::ask.is_null()).filter(job::id.gt(after)).into_boxed::<MultiBackend>();
    if let Some(only) = repository {
        wanted = wanted.filter(job::repository.eq(only));
    }
    wanted.order(job::id).limit(limit).select(Row::as_select()).load(conn)?.into_iter().map(Job::try_from).collect()
}

/// The runs that somebody asked for and that are not over, by number.
pub fn asked(conn: &mut Conn) -> Result<Vec<Job>> {
    job::table.filter(job::ask.is_not_null()).order(job::id).select(Row::as_select()).load(conn)?.into_iter().map(Job::try_from).collect()
}

/// Asks for a run now; whoever runs jobs then does. Where the same run is asked for already and has not begun, that one is enough.
pub fn ask(conn: &mut Conn, repository: RepositoryId, ask: Ask, now: Time) -> Result<Job> {
    let waiting = job::table.filter(job::repository.eq(repository)).filter(job::ask.is_not_null()).filter(job::lease_holder.is_null());
    let waiting: Vec<Row> = waiting.order(job::id).select(Row::as_select()).load(conn)?;
    for row in waiting {
        let job = Job::try_from(row)?;
        if job.ask.as_ref() == Some(&ask) {
            return Ok(job);
        }
    }
    add(conn, &Job::asked(repository, ask, now))
}

/// The job of that number.
pub fn get(conn: &mut Conn, id: JobId) -> Result<Job> {
    job::table.find(id).select(Row::as_select()).first(conn).optional()?.map_or_else(|| Err(unknown(id)), Job::try_from)
}

fn unknown(id: JobId) -> Error {
    Error::not_found(format!("There is no job {id}")).hint("`entente job list` shows the jobs.")
}

/// Adds a job, with no runs and failures yet, and returns it with its number. It is due at its `next_run`.
pub fn add(conn: &mut Conn, new: &Job) -> Result<Job> {
    new.validate()?;
    let counted = (job::runs.eq(0), job::failures.eq(0), job::fence.eq(0));
    let id = diesel::insert_into(job::table).values((Values::from(new), counted)).returning(job::id).get_result(conn)?;
    Ok(Job { id, runs: 0, failures: 0, ..new.clone() })
}

/// Changes a job to what is given, when it is due next included; its runs and failures stay as they were counted. If it runs at this
/// moment it runs to its end.
pub fn update(conn: &mut Conn, changed: &Job) -> Result<()> {
    changed.validate()?;
    let count = diesel::update(job::table.find(changed.id)).set(Values::from(changed)).execute(conn)?;
    if count == 0 { Err(unknown(changed.id)) } else { Ok(()) }
}

/// Removes a job. If it runs at this moment it runs to its end.
pub fn remove(conn: &mut Conn, id: JobId) -> Result<()> {
    if diesel::delete(job::table.find(id)).execute(conn)? == 0 { Err(unknown(id)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::Kind, store::test_store::TestStore};

    #[test]
    fn a_run_that_is_asked_for_is_due_at_once_asked_for_once_and_gone_when_it_is_over() {
        TestStore::each(|new| {
            let store = new();
            let repository = store.repository("a");
            let wish = Ask { full: true, ..Ask::default() };
            let ask = |wish: &Ask| store.write(|c| ask(c, repository, wish.clone(), Time(5))).unwrap().id;
            let first = ask(&wish);
            assert_eq!(ask(&wish), first, "it has not begun yet");
            assert_ne!(ask(&Ask::default()), first);
            assert!(store.read(list).unwrap().is_empty() && store.read(|c| list_of(c, repository)).unwrap().is_empty(), "no schedule");
            let leased = store.write(|c| lease_due(c, "w", Time(6), Time(60))).unwrap().unwrap();
            assert_eq!((leased.job.id, leased.job.ask.as_ref()), (first, Some(&wish)));
            assert_ne!(ask(&wish), first, "that one runs already");
            assert!(store.write(|c| finish(c, first, leased.fence, None, 0, Ran::Yes)).unwrap());
            assert!(store.read(|c| get(c, first)).is_err());
            assert_eq!(store.read(asked).unwrap().len(), 2);
        });
    }

    #[test]
    fn a_job_is_read_as_it_was_written_and_changed() {
        TestStore::each(|new| {
            let store = new();
            let repository = store.repository("a");
            let full = Job {
                enabled: false,
                on_change: true,
                zone: "Europe/Stockholm".into(),
                start: Some(Time(1)),
                end: Some(Time(2)),
                repeat: 3,
                timeout: 4,
                priority: -5,
                retries: u32::MAX,
                next_run: Some(Time(7)),
                ..Job::new(repository, Timing::Cron("0 3 * * *".into()))
            };
            let full = store.write(|c| add(c, &full)).unwrap();
            assert_eq!(store.read(|c| get(c, full.id)).unwrap(), full);
            let plain = Job { id: full.id, ..Job::new(repository, Timing::Every(60)) };
            store.write(|c| update(c, &plain)).unwrap();
            assert_eq!(store.read(list).unwrap(), [plain]);
        });
    }

    #[test]
    fn jobs_are_listed_for_all_and_for_one_repository_and_unknown_ones_are_not_found() {
        TestStore::each(|new| {
            let store = new();
            let (a, b) = (store.repository("a"), store.repository("b"));
            let ids: Vec<JobId> = [a, b, a].map(|of| store.write(|c| add(c, &Job::new(of, Timing::Every(60)))).unwrap().id).into();
            let of_a: Vec<JobId> = store.read(|c| list_of(c, a)).unwrap().iter().map(|job| job.id).collect();
            assert_eq!((store.read(list).unwrap().len(), of_a), (3, vec![ids[0], ids[2]]));
            let change = |id, enabled| Job { id, on_change: true, enabled, ..Job::new(a, Timing::Every(60)) };
            store.write(|c| update(c, &change(ids[0], false)).and_then(|()| update(c, &change(ids[2], true)))).unwrap();
            assert_eq!(store.read(on_change).unwrap().iter().map(|job| job.id).collect::<Vec<_>>(), [ids[2]]);
            store.write(|c| remove(c, ids[0])).unwrap();
            for error in [
                store.read(|c| get(c, ids[0])).unwrap_err(),
                store.write(|c| remove(c, ids[0])).unwrap_err(),
                store.write(|c| update(c, &Job { id: ids[0], ..Job::new(a, Timing::Every(60)) })).unwrap_err(),
                store.write(|c| add(c, &Job::new(99, Timing::Every(60)))).unwrap_err(),
            ] {
                assert_eq!(error.kind(), Kind::NotFound, "{error}");
            }
        });
    }
}
