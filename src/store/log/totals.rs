//! The log added up.

use std::collections::HashMap;

use diesel::{
    prelude::*,
    sql_query,
    sql_types::{BigInt, Nullable, Text},
};

use super::{Conn, log, stored};
use crate::{
    error::Result,
    model::{Action, Counts, Direction, LogId, Outcome, RepositoryId},
};

/// Entries of one kind, added up.
#[derive(Debug, Clone, PartialEq)]
pub struct Total {
    /// The repository.
    pub repository: Option<RepositoryId>,
    /// What was done.
    pub action: Action,
    /// Who asked.
    pub direction: Direction,
    /// How it went.
    pub outcome: Outcome,
    /// How many entries.
    pub entries: u64,
    /// What became of the records.
    pub counts: Counts,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Nullable<BigInt>)]
    repository: Option<i64>,
    #[diesel(sql_type = Text)]
    action: String,
    #[diesel(sql_type = Text)]
    direction: String,
    #[diesel(sql_type = Text)]
    outcome: String,
    #[diesel(sql_type = BigInt)]
    entries: i64,
    #[diesel(sql_type = BigInt)]
    records: i64,
    #[diesel(sql_type = BigInt)]
    created: i64,
    #[diesel(sql_type = BigInt)]
    updated: i64,
    #[diesel(sql_type = BigInt)]
    deleted: i64,
    #[diesel(sql_type = BigInt)]
    unchanged: i64,
    #[diesel(sql_type = BigInt)]
    kept: i64,
    #[diesel(sql_type = BigInt)]
    conflicts: i64,
    #[diesel(sql_type = BigInt)]
    quarantined: i64,
    #[diesel(sql_type = BigInt)]
    parked: i64,
    #[diesel(sql_type = BigInt)]
    retracted: i64,
    #[diesel(sql_type = BigInt)]
    bytes: i64,
}

impl TryFrom<Row> for Total {
    type Error = crate::error::Error;

    fn try_from(row: Row) -> Result<Total> {
        let counts = Counts {
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
        };
        Ok(Total {
            repository: row.repository,
            action: stored::known(&row.action, Action::from_word(&row.action))?,
            direction: stored::known(&row.direction, Direction::from_word(&row.direction))?,
            outcome: stored::known(&row.outcome, Outcome::from_word(&row.outcome))?,
            entries: stored::count(row.entries),
            counts,
        })
    }
}

const SUMMED: [&str; 11] =
    ["records", "created", "updated", "deleted", "unchanged", "kept", "conflicts", "quarantined", "parked", "retracted", "bytes"];

/// The runs and their parts with numbers after `after` and up to `upto` that have ended, added up by repository, action, direction and outcome.
pub fn totals(conn: &mut Conn, after: LogId, upto: LogId) -> Result<Vec<Total>> {
    added_up(conn, &format!("id > {after} AND id <= {upto}"))
}

/// The same for entries that are named.
pub fn totals_of(conn: &mut Conn, ids: &[LogId]) -> Result<Vec<Total>> {
    let mut found = Vec::new();
    for some in ids.chunks(500) {
        let ids: Vec<String> = some.iter().map(LogId::to_string).collect();
        found.extend(added_up(conn, &format!("id IN ({})", ids.join(", ")))?);
    }
    Ok(found)
}

fn added_up(conn: &mut Conn, wanted: &str) -> Result<Vec<Total>> {
    // A sum of whole numbers is a NUMERIC on a server.
    let sums = SUMMED.map(|column| format!("CAST(SUM({column}) AS BIGINT) AS {column}")).join(", ");
    let query = format!(
        "SELECT repository, action, direction, outcome, COUNT(*) AS entries, {sums} FROM log
         WHERE {wanted} AND action IN ('run', 'pull', 'push') AND outcome <> 'running' GROUP BY repository, action, direction, outcome"
    );
    sql_query(query).load::<Row>(conn)?.into_iter().map(Total::try_from).collect()
}

/// The last number.
pub fn last(conn: &mut Conn) -> Result<LogId> {
    Ok(log::table.select(log::id).order(log::id.desc()).first::<i64>(conn).optional()?.unwrap_or(0))
}

/// The entries that have not ended.
pub fn running(conn: &mut Conn) -> Result<Vec<LogId>> {
    Ok(log::table.filter(log::outcome.eq(Outcome::Running.word())).select(log::id).order(log::id).load(conn)?)
}

/// How long entries took, in milliseconds.
pub fn durations(conn: &mut Conn, ids: &[LogId]) -> Result<HashMap<LogId, i64>> {
    let mut found = HashMap::new();
    for some in ids.chunks(500) {
        found.extend(log::table.filter(log::id.eq_any(some)).select((log::id, log::duration)).load::<(i64, i64)>(conn)?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{LogEntry, Time},
        store::{log::append, test_store::TestStore},
    };

    #[test]
    fn what_has_ended_is_added_up_by_kind_and_what_runs_is_left_for_later() {
        TestStore::each(|new| {
            let store = new();
            let add = |outcome, records, time| {
                let counts = Counts { records, bytes: 10 * records, ..Counts::default() };
                let entry = LogEntry {
                    outcome,
                    counts,
                    repository: Some(7),
                    duration: 2,
                    ..LogEntry::new(Time(time), Action::Pull, Direction::Outgoing)
                };
                store.write(|c| append(c, &entry)).unwrap()
            };
            let ids = [add(Outcome::Success, 3, 100), add(Outcome::Success, 4, 90), add(Outcome::Error, 1, 5)];
            let running_now = add(Outcome::Running, 9, 200);
            assert_eq!((store.read(last).unwrap(), store.read(running).unwrap()), (running_now, vec![running_now]));
            let mut all = store.read(|c| totals(c, 0, running_now)).unwrap();
            all.sort_by_key(|total| total.entries);
            assert_eq!((all.len(), all[1].entries, all[1].counts.records, all[1].counts.bytes), (2, 2, 7, 70));
            assert_eq!(all[1].repository, Some(7));
            let named = store.read(|c| totals_of(c, &[ids[1], running_now])).unwrap();
            assert_eq!((named.len(), named[0].counts.records), (1, 4), "what runs is not counted");
            assert_eq!((all[0].outcome, store.read(|c| totals(c, ids[0], ids[1])).unwrap()[0].counts.records), (Outcome::Error, 4));
            assert_eq!(store.read(|c| durations(c, &[ids[0], 99])).unwrap(), HashMap::from([(ids[0], 2)]));
        });
    }
}
