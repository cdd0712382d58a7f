//! What happened here.

mod filter;
mod totals;

use diesel::prelude::*;

use super::{Conn, holder, schema::log, stored};
use crate::{
    error::{Error, Result},
    model::{Action, Counts, Direction, LogEntry, LogId, Outcome, RepositoryId, Time},
};

pub use filter::{LogFilter, list};
pub use totals::{Total, durations, last, running, totals, totals_of};

/// How long a process of another machine may seem to hold no lease before its running entries count as interrupted, seconds.
const GRACE: i64 = 60;

/// How long what such a process takes in from others may run, seconds: it holds no lease, and is done after a page.
const INCOMING: i64 = 3_600;

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = log, treat_none_as_null = true)]
struct Row {
    run: Option<i64>,
    time: i64,
    duration: i64,
    repository: Option<i64>,
    repository_name: Option<String>,
    resource: Option<String>,
    action: String,
    direction: String,
    outcome: String,
    remote: bool,
    message: String,
    #[diesel(embed)]
    counts: CountsRow,
    holder: Option<String>,
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = log)]
struct CountsRow {
    records: i64,
    created: i64,
    updated: i64,
    deleted: i64,
    unchanged: i64,
    kept: i64,
    conflicts: i64,
    quarantined: i64,
    parked: i64,
    retracted: i64,
    bytes: i64,
}

impl From<&Counts> for CountsRow {
    fn from(from: &Counts) -> CountsRow {
        CountsRow {
            records: stored::number(from.records),
            created: stored::number(from.created),
            updated: stored::number(from.updated),
            deleted: stored::number(from.deleted),
            unchanged: stored::number(from.unchanged),
            kept: stored::number(from.kept),
            conflicts: stored::number(from.conflicts),
            quarantined: stored::number(from.quarantined),
            parked: stored::number(from.parked),
            retracted: stored::number(from.retracted),
            bytes: stored::number(from.bytes),
        }
    }
}

impl From<CountsRow> for Counts {
    fn from(row: CountsRow) -> Counts {
        Counts {
            records: stored::count(row.records),
            created: stored::count(row.created),
            updated: stored::count(row.updated),
            deleted: stored::count(row.deleted),
            unchanged: stored::count(row.unchanged),
            kept: stored::count(row.kept),
            conflicts: stored::count(row.conflicts),
            quarantined: stored::count(row.quarantined),
            parked: stored::count(row.parked),
            retracted: stored::count(row.retracted),
            bytes: stored::count(row.bytes),
        }
    }
}

impl From<&LogEntry> for Row {
    fn from(from: &LogEntry) -> Row {
        Row {
            run: from.run,
            time: from.time.0,
            duration: from.duration,
            repository: from.repository,
            repository_name: from.repository_name.clone(),
            resource: from.resource.clone(),
            action: from.action.word().to_owned(),
            direction: from.direction.word().to_owned(),
            outcome: from.outcome.word().to_owned(),
            remote: from.remote,
            // A server refuses this one character.
            message: from.message.replace('\0', "\u{FFFD}"),
            counts: CountsRow::from(&from.counts),
            holder: (from.outcome == Outcome::Running).then(|| holder::me().to_owned()),
        }
    }
}

fn entry((id, row): (LogId, Row)) -> Result<LogEntry> {
    Ok(LogEntry {
        id,
        run: row.run,
        time: Time(row.time),
        duration: row.duration,
        repository: row.repository,
        repository_name: row.repository_name,
        resource: row.resource,
        action: stored::known(&row.action, Action::from_word(&row.action))?,
        direction: stored::known(&row.direction, Direction::from_word(&row.direction))?,
        outcome: stored::known(&row.outcome, Outcome::from_word(&row.outcome))?,
        remote: row.remote,
        message: row.message,
        counts: row.counts.into(),
    })
}

/// Adds an entry and returns its number, greater than all before. One that is still running is remembered as this process's.
pub fn append(conn: &mut Conn, new: &LogEntry) -> Result<LogId> {
    Ok(diesel::insert_into(log::table).values(Row::from(new)).returning(log::id).get_result(conn)?)
}

/// Replaces an entry, for example when what it tells of has ended.
pub fn update(conn: &mut Conn, changed: &LogEntry) -> Result<()> {
    let count = diesel::update(log::table.find(changed.id)).set(Row::from(changed)).execute(conn)?;
    if count == 0 { Err(unknown(changed.id)) } else { Ok(()) }
}

/// The entry of that number.
pub fn get(conn: &mut Conn, id: LogId) -> Result<LogEntry> {
    let found = log::table.find(id).select((log::id, Row::as_select())).first(conn).optional()?;
    found.map_or_else(|| Err(unknown(id)), entry)
}

fn unknown(id: LogId) -> Error {
    Error::not_found(format!("There is no log entry {id}"))
}

/// The last runs with a repository that have ended, newest first.
pub fn runs_of(conn: &mut Conn, repository: RepositoryId, limit: u32) -> Result<Vec<LogEntry>> {
    let runs = log::table
        .filter(log::repository.eq(repository))
        .filter(log::action.eq(Action::Run.word()))
        .filter(log::outcome.ne(Outcome::Running.word()))
        .order(log::id.desc())
        .limit(i64::from(limit));
    runs.select((log::id, Row::as_select())).load(conn)?.into_iter().map(entry).collect()
}

/// Marks what was running in processes that are gone as interrupted. Gone is whoever is not `alive`; of processes that cannot be seen from here
/// (another machine, a container that was replaced) also who called a repository for a minute without holding it under [`holder::me`], or has taken in a page for an hour.
/// Returns how many.
pub fn interrupt_running(conn: &mut Conn, alive: &dyn Fn(&str) -> bool, now: Time) -> Result<usize> {
    let running = log::table.filter(log::outcome.eq(Outcome::Running.word()));
    let entries = running.select((log::id, Row::as_select())).load::<(LogId, Row)>(conn)?;
    let mut interrupted = 0;
    for (id, row) in entries {
        let holder = row.holder.as_deref().unwrap_or_default();
        if !alive(holder) || has_let_go(conn, &row, holder, now)? {
            interrupted += interrupt(conn, id, &row, now)?;
        }
    }
    Ok(interrupted)
}

fn has_let_go(conn: &mut Conn, row: &Row, holder: &str, now: Time) -> Result<bool> {
    if holder::is_seen_from_here(holder) {
        return Ok(false);
    }
    let longer_than = |seconds| Time(row.time).plus_seconds(seconds) < now;
    match row.repository {
        Some(repository) if row.direction == Direction::Outgoing.word() && longer_than(GRACE) => {
            Ok(!super::leases::holds(conn, repository, holder, now)?)
        }
        _ => Ok(row.direction == Direction::Incoming.word() && longer_than(INCOMING)),
    }
}

fn interrupt(conn: &mut Conn, id: LogId, row: &Row, now: Time) -> Result<usize> {
    let message = match row.message.as_str() {
        "" => "Its process ended in the middle of it".to_owned(),
        told => format!("{told}; its process ended in the middle of it"),
    };
    let ended = (
        log::outcome.eq(Outcome::Interrupted.word()),
        log::duration.eq((now.0 - row.time).max(0) / 1000),
        log::message.eq(message),
        log::holder.eq(None::<String>),
    );
    Ok(diesel::update(log::table.find(id)).set(ended).execute(conn)?)
}

/// Removes entries that began before `before`, the oldest first and at most `most` of them, so that others can write in between: call it
/// again until it removes none. What still runs stays. Returns how many.
pub fn purge(conn: &mut Conn, before: Time, most: u32) -> Result<usize> {
    let old = log::table
        .filter(log::time.lt(before.0))
        .filter(log::outcome.ne(Outcome::Running.word()))
        .order(log::time)
        .limit(i64::from(most))
        .select(log::id)
        .load::<i64>(conn)?;
    let mut removed = 0;
    for some in old.chunks(500) {
        removed += diesel::delete(log::table.filter(log::id.eq_any(some))).execute(conn)?;
    }
    Ok(removed)
}

#[cfg(test)]
mod tests;
