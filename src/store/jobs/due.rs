//! Which job is due, and the lease under which a worker runs it.

use diesel::{
    prelude::*,
    sql_query,
    sql_types::{BigInt, Nullable, Text},
};

use super::{Conn, get, job, unknown};
use crate::{
    error::{Error, Result},
    model::{Job, JobId, Time},
    store::leases,
};

/// A job that a worker holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leased {
    /// The job, as it was when it was leased.
    pub job: Job,
    /// What proves the lease.
    pub fence: i64,
}

/// Whether a lease ended with a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran {
    /// It did: the run counts.
    Yes,
    /// It did not, for example because the repository was in use.
    No,
}

#[derive(QueryableByName)]
struct LeasedRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    fence: i64,
}

#[derive(QueryableByName)]
struct DueRow {
    #[diesel(sql_type = Nullable<BigInt>)]
    due: Option<i64>,
}

// In SQLite `$n` is a name and takes its number from where it first appears, so they first appear in order.
const LEASE_DUE: &str = "
    UPDATE job SET lease_holder = $1, lease_since = $2, lease_until = $3, fence = fence + 1
    WHERE id = (
        SELECT job.id FROM job
        JOIN repository ON repository.id = job.repository
        LEFT JOIN lease ON lease.repository = job.repository
        WHERE job.enabled AND job.next_run <= $2 AND repository.enabled
            AND (job.lease_holder IS NULL OR job.lease_until <= $2)
            AND (lease.holder IS NULL OR lease.until <= $2)
            AND NOT EXISTS (SELECT 1 FROM job AS other WHERE other.repository = job.repository AND other.lease_until > $2)
            AND NOT EXISTS (SELECT 1 FROM site WHERE site.paused)
        ORDER BY job.priority DESC, job.next_run, job.id LIMIT 1{lock})
    RETURNING id, fence";
/// A row that somebody holds who does not take turns with us is passed over.
const SKIP: &str = " FOR UPDATE OF job SKIP LOCKED";

const NEXT_DUE: &str = "
    SELECT MIN(CASE WHEN taken > job_run AND taken > next_run THEN taken WHEN job_run > next_run THEN job_run ELSE next_run END) AS due
    FROM (
        SELECT job.next_run, COALESCE(lease.until, 0) AS taken,
            COALESCE((SELECT MAX(other.lease_until) FROM job AS other WHERE other.repository = job.repository), 0) AS job_run
        FROM job
        JOIN repository ON repository.id = job.repository
        LEFT JOIN lease ON lease.repository = job.repository
        WHERE job.enabled AND job.next_run IS NOT NULL AND repository.enabled AND NOT EXISTS (SELECT 1 FROM site WHERE site.paused)
    ) AS waiting";

/// Makes a job due now; whoever runs jobs then does. If it runs already, it runs once more after that.
pub fn make_due(conn: &mut Conn, id: JobId, now: Time) -> Result<()> {
    let enabled = job::table.find(id).select(job::enabled).first::<bool>(conn).optional()?.ok_or_else(|| unknown(id))?;
    if !enabled {
        return Err(Error::usage(format!("The job {id} is disabled")).hint("Enable it first, or run `entente sync`."));
    }
    diesel::update(job::table.find(id)).set(job::next_run.eq(now.0)).execute(conn)?;
    Ok(())
}

/// Leases, until `until`, the most urgent job that is due and free: enabled like its repository, held by nobody, its repository neither
/// held ([`leases`]) nor run by another job at this moment. `None` if there is none, or the site is paused. Of two workers that ask at
/// the same time each gets another job.
pub fn lease_due(conn: &mut Conn, worker: &str, now: Time, until: Time) -> Result<Option<Leased>> {
    let lock = if matches!(conn, Conn::Postgres(_)) { SKIP } else { "" };
    let query = sql_query(LEASE_DUE.replace("{lock}", lock)).bind::<Text, _>(worker).bind::<BigInt, _>(now.0).bind::<BigInt, _>(until.0);
    let Some(row) = query.get_result::<LeasedRow>(conn).optional()? else { return Ok(None) };
    Ok(Some(Leased { job: get(conn, row.id)?, fence: row.fence }))
}

/// Holds a job until `until`. `false`: the lease was lost, or the job removed.
pub fn renew(conn: &mut Conn, id: JobId, fence: i64, until: Time) -> Result<bool> {
    let ours = job::table.filter(job::id.eq(id)).filter(job::fence.eq(fence)).filter(job::lease_holder.is_not_null());
    Ok(diesel::update(ours).set(job::lease_until.eq(until.0)).execute(conn)? == 1)
}

/// Gives a job back: when it is due next (`None` = never again) and how many runs in a row failed. If somebody made it due or changed
/// when it is due while it was held, that stays; a run that was asked for and is over is removed. `false`: the lease was lost, or the job removed,
/// and nothing is changed.
pub fn finish(conn: &mut Conn, id: JobId, fence: i64, next_run: Option<Time>, failures: u32, ran: Ran) -> Result<bool> {
    let columns = (job::next_run, job::lease_since, job::runs, job::ask.is_not_null());
    let ours = job::table.filter(job::id.eq(id)).filter(job::fence.eq(fence)).filter(job::lease_holder.is_not_null());
    let held = ours.select(columns).first::<(Option<i64>, Option<i64>, i64, bool)>(conn).optional()?;
    let Some((due, since, runs, asked)) = held else { return Ok(false) };
    if asked && next_run.is_none() {
        diesel::delete(job::table.find(id)).execute(conn)?;
        return Ok(true);
    }
    // A leased job was due when its lease began, so a later time, or none, was set by somebody meanwhile.
    let untouched = due.is_some_and(|due| since.is_none_or(|since| due <= since));
    diesel::update(job::table.find(id))
        .set((
            job::next_run.eq(if untouched { next_run.map(|time| time.0) } else { due }),
            job::failures.eq(i64::from(failures)),
            job::runs.eq(runs + i64::from(ran == Ran::Yes)),
            job::lease_holder.eq(None::<String>),
            job::lease_since.eq(None::<i64>),
            job::lease_until.eq(None::<i64>),
        ))
        .execute(conn)?;
    Ok(true)
}

/// When the next job can be leased, as far as is known now: a time that has passed means at once. `None` if none ever will.
pub fn next_due(conn: &mut Conn) -> Result<Option<Time>> {
    Ok(sql_query(NEXT_DUE).get_result::<DueRow>(conn)?.due.map(Time))
}

/// All who hold a job or a repository.
pub fn holders(conn: &mut Conn) -> Result<Vec<String>> {
    let mut holders = leases::holders(conn)?;
    let of_jobs = job::table.filter(job::lease_holder.is_not_null()).select(job::lease_holder.assume_not_null()).distinct();
    holders.extend(of_jobs.load::<String>(conn)?);
    Ok(holders)
}

/// Frees every job and repository whose holder is no longer alive, so that nobody has to wait for the end of its lease. Returns how many.
pub fn release_dead(conn: &mut Conn, alive: &dyn Fn(&str) -> bool) -> Result<usize> {
    let holders = job::table.filter(job::lease_holder.is_not_null()).select(job::lease_holder.assume_not_null()).distinct();
    let dead: Vec<String> = holders.load::<String>(conn)?.into_iter().filter(|holder| !alive(holder)).collect();
    let theirs = job::table.filter(job::lease_holder.eq_any(dead));
    let nobody = (job::lease_holder.eq(None::<String>), job::lease_since.eq(None::<i64>), job::lease_until.eq(None::<i64>));
    let jobs = diesel::update(theirs).set(nobody).execute(conn)?;
    Ok(jobs + leases::release_dead(conn, alive)?)
}

#[cfg(test)]
mod tests;
