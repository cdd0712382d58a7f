//! Once a day: what no trigger noticed is found, and what need not be kept for ever goes.

use std::cell::Cell;

use chrono::{DateTime, Days, NaiveTime, TimeZone};

use super::epoch;
use crate::{
    connector::{Forgotten, Progress, Retention, Swept},
    error::Result,
    model::{Action, Counts, Database, Direction, LogEntry, Outcome as Went, Time},
    site::Site,
    store::{self, databases, holder, log},
};

/// The hour of the night at which it is done, or as soon after it as a worker is there.
const HOUR: u32 = 3;

/// Sites do it at moments of their own within so many seconds: they may share a machine.
const SPREAD: u128 = 3_600;

/// How long a worker's hold lasts without being renewed, and how often it is, in seconds.
const LEASE: i64 = 30;
const HEARTBEAT: i64 = 8;

/// How long the answer to a batch is kept, seconds: a sender that lost it asks again within minutes.
const ANSWERS: i64 = 86_400;

/// A table that was swept.
#[derive(Debug)]
pub struct SweptTable {
    /// Its database.
    pub database: String,
    /// The resource it is.
    pub resource: String,
    /// What was found.
    pub swept: Swept,
}

/// Sweeps a database: what is found there becomes local edits, which travel at the next run, and stands in the log.
pub fn sweep(site: &Site, database: &Database, progress: Progress<'_>) -> Result<Vec<SweptTable>> {
    let mut door = site.door(&database.name)?;
    epoch::check(site, &mut door)?;
    let mut all = Vec::new();
    for table in door.tables()?.into_iter().filter(|table| table.ready) {
        let begun = site.now();
        let swept = door.sweep(&table, begun, progress)?;
        if swept.any() {
            tell(site, &database.name, &table.resource, begun, &swept);
        }
        all.push(SweptTable { database: database.name.clone(), resource: table.resource, swept });
    }
    Ok(all)
}

fn tell(site: &Site, database: &str, resource: &str, begun: Time, swept: &Swept) {
    let mut entry = LogEntry::new(begun, Action::Sweep, Direction::None);
    let Swept { added, changed, removed, .. } = *swept;
    entry.resource = Some(resource.to_owned());
    entry.outcome = Went::Warning;
    entry.duration = (site.now().0 - begun.0) / 1_000;
    entry.counts = Counts { created: added, updated: changed, deleted: removed, ..Counts::default() };
    entry.message = match added + changed + removed {
        0 => format!("The journal of {database} had been written to by another program; its sum is right again"),
        _ => format!(
            "A program wrote to {database} without its triggers: {added} rows added, {changed} changed, {removed} removed. They travel at the next run"
        ),
    };
    tracing::warn!(database, resource, "{}", entry.message);
    if let Err(error) = site.store.write(|c| log::append(c, &entry)) {
        tracing::error!("The log could not be written: {}", error.chain());
    }
}

/// Does all of it now. What fails for one database is told in the process's own log and does not stop the rest.
pub fn run(site: &Site, now: Time) -> Result<()> {
    run_telling(site, now, &mut |_, _, _| {})
}

fn run_telling(site: &Site, now: Time, progress: Progress<'_>) -> Result<()> {
    for database in site.store.read(databases::list)? {
        let done = sweep(site, &database, progress).and_then(|_| forget(site, &database, now)).and_then(|forgotten| {
            purge(site, &database, now)?;
            Ok(forgotten)
        });
        match done {
            Ok(forgotten) => tracing::info!(database = database.name, ?forgotten, "{} was looked through", database.name),
            Err(error) => tracing::warn!(database = database.name, "{} could not be looked through: {}", database.name, error.chain()),
        }
    }
    forget_log(site, now)
}

/// Forgets what is too old in a database's journal.
fn forget(site: &Site, database: &Database, now: Time) -> Result<Forgotten> {
    let keep = Retention {
        before: days_before(now, site.config.history_days),
        versions: site.config.history_versions,
        answers: now.plus_seconds(-ANSWERS),
    };
    site.door(&database.name)?.forget(keep)
}

/// Forgets old tombstones of a database. Peers that do not know all of them compare before they exchange anything again.
pub fn purge(site: &Site, database: &Database, now: Time) -> Result<u64> {
    let mut door = site.door(&database.name)?;
    let mut tombstones = 0;
    for table in door.tables()?.into_iter().filter(|table| table.ready) {
        let purged = door.purge(&table, now, days_before(now, site.config.tombstone_days))?;
        tombstones += purged.tombstones;
        if !purged.behind.is_empty() {
            tracing::info!(
                resource = table.resource,
                behind = purged.behind.len(),
                "Sites that were silent for long compare {} first",
                table.resource
            );
        }
    }
    Ok(tombstones)
}

/// Forgets what is too old in the log.
pub fn forget_log(site: &Site, now: Time) -> Result<()> {
    let before = days_before(now, site.config.log_days);
    while site.store.write(|c| log::purge(c, before, 1_000))? > 0 {}
    Ok(())
}

fn days_before(now: Time, days: u32) -> Time {
    now.plus_seconds(-86_400 * i64::from(days))
}

/// Does it if it is due by the clock in `zone` and no other worker is at it. Whether it was done here.
pub fn run_when_due<Z: TimeZone>(site: &Site, zone: &Z) -> Result<bool> {
    let now = site.now();
    let Some(last) = site.store.read(store::housekeeping::last)? else {
        // A site that has just begun has nothing to tidy up.
        return site.store.write(|c| store::housekeeping::done(c, now)).map(|()| false);
    };
    let paused = site.store.read(store::site::paused)?;
    if paused || now < next(last, zone, moment(site)) {
        return Ok(false);
    }
    let me = holder::me();
    if !site.store.write(|c| store::housekeeping::take(c, me, last, now, now.plus_seconds(LEASE)))? {
        return Ok(false);
    }
    let renewed = Cell::new(now);
    run_telling(site, now, &mut |_, _, _| {
        let now = site.now();
        if now >= renewed.get().plus_seconds(HEARTBEAT) {
            renewed.set(now);
            if let Err(error) = site.store.write(|c| store::housekeeping::renew(c, me, now.plus_seconds(LEASE))) {
                tracing::warn!("The housekeeping's lease could not be renewed: {}", error.chain());
            }
        }
    })?;
    site.store.write(|c| store::housekeeping::done(c, site.now())).map(|()| true)
}

/// This site's own moment after the hour, seconds.
fn moment(site: &Site) -> i64 {
    i64::try_from(site.id.0.as_u128() % SPREAD).unwrap_or(0)
}

/// When it is due after it was last done: the next night.
fn next<Z: TimeZone>(last: Time, zone: &Z, moment: i64) -> Time {
    let begun: DateTime<Z> = last.utc().with_timezone(zone);
    let at = |days: u64| {
        let date = begun.date_naive().checked_add_days(Days::new(days))?;
        // An hour that a change of the clock leaves out is taken as the one after it.
        let times = [HOUR, HOUR + 1].into_iter().filter_map(|hour| NaiveTime::from_hms_opt(hour, 0, 0));
        let local = times.filter_map(|time| zone.from_local_datetime(&date.and_time(time)).earliest()).next()?;
        Some(Time::from_utc(local.to_utc()).plus_seconds(moment))
    };
    let later = (0..3).filter_map(at).find(|time| *time > last);
    later.unwrap_or(last.plus_seconds(86_400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_each_night_at_three_by_the_local_clock() {
        for (zone, last, moment, want) in [
            ("UTC", "2026-05-01T02:00:00Z", 0, "2026-05-01T03:00:00Z"),
            ("UTC", "2026-05-01T03:00:00Z", 0, "2026-05-02T03:00:00Z"),
            ("UTC", "2026-05-01T03:10:00Z", 900, "2026-05-01T03:15:00Z"),
            ("UTC", "2026-05-01T22:00:00Z", 900, "2026-05-02T03:15:00Z"),
            ("Asia/Kathmandu", "2026-05-01T12:00:00Z", 0, "2026-05-01T21:15:00Z"),
            ("America/Los_Angeles", "2026-05-01T12:00:00Z", 0, "2026-05-02T10:00:00Z"),
            // At three in the morning the clock jumps to four there.
            ("Asia/Beirut", "2026-03-28T12:00:00Z", 0, "2026-03-29T00:00:00Z"),
            ("Europe/Helsinki", "2026-03-28T12:00:00Z", 0, "2026-03-29T01:00:00Z"),
        ] {
            let zone: chrono_tz::Tz = zone.parse().unwrap();
            let (last, want): (Time, Time) = (last.parse().unwrap(), want.parse().unwrap());
            assert_eq!(next(last, &zone, moment), want, "{zone} {last}");
        }
    }
}
