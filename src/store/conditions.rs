//! How repositories are: how the last run went, and what was seen of them when they were last called. One row a repository, written at the end of
//! a run, so that a page of a thousand repositories is one question.

use std::collections::HashMap;

use diesel::prelude::*;

use super::{Conn, schema::condition, stored};
use crate::{
    error::Result,
    model::{Condition, LogId, Outcome, RepositoryId, Time},
};

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = condition, treat_none_as_null = true)]
struct Row {
    repository: i64,
    run: i64,
    time: i64,
    outcome: String,
    message: String,
    failures: i64,
    last_success: Option<i64>,
    skew: Option<i64>,
    version: Option<String>,
}

impl TryFrom<Row> for Condition {
    type Error = crate::error::Error;

    fn try_from(row: Row) -> Result<Condition> {
        Ok(Condition {
            run: row.run,
            time: Time(row.time),
            outcome: stored::known(&row.outcome, Outcome::from_word(&row.outcome))?,
            message: row.message,
            failures: stored::count(row.failures),
            last_success: row.last_success.map(Time),
            skew: row.skew,
            version: row.version,
        })
    }
}

/// How a repository is; `None` before its first run.
pub fn of(conn: &mut Conn, repository: RepositoryId) -> Result<Option<Condition>> {
    condition::table.find(repository).select(Row::as_select()).first(conn).optional()?.map(Condition::try_from).transpose()
}

/// How each repository is; one that had no run is left out.
pub fn all(conn: &mut Conn) -> Result<HashMap<RepositoryId, Condition>> {
    let rows = condition::table.select(Row::as_select()).load(conn)?;
    rows.into_iter().map(|row| Ok((row.repository, row.try_into()?))).collect()
}

/// Notes how a run went that ended at `time`, and what was seen of the peer, where it was reached: how many milliseconds its clock is ahead, and
/// its version. What was seen before stays where it was not.
pub fn note(
    conn: &mut Conn,
    repository: RepositoryId,
    run: LogId,
    time: Time,
    outcome: Outcome,
    message: &str,
    seen: Option<(i64, &str)>,
) -> Result<()> {
    let before = of(conn, repository)?;
    let failures = before.as_ref().map_or(0, |before| before.failures);
    let failed = outcome.failed();
    let row = Row {
        repository,
        run,
        time: time.0,
        outcome: outcome.word().to_owned(),
        message: message.to_owned(),
        failures: if failed { i64::from(failures) + 1 } else { 0 },
        last_success: if failed { before.as_ref().and_then(|before| before.last_success).map(|at| at.0) } else { Some(time.0) },
        skew: seen.map(|(skew, _)| skew).or(before.as_ref().and_then(|before| before.skew)),
        version: seen.map(|(_, version)| version.to_owned()).or(before.as_ref().and_then(|before| before.version.clone())),
    };
    if before.is_some() {
        diesel::update(condition::table.find(repository)).set(&row).execute(conn)?;
    } else {
        diesel::insert_into(condition::table).values(&row).execute(conn)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{repositories, test_store::TestStore};

    #[test]
    fn failures_are_counted_until_one_goes_well_and_what_was_seen_stays() {
        TestStore::each(|new| {
            let store = new();
            let repository = store.repository("hub");
            assert_eq!(store.read(|c| of(c, repository)).unwrap(), None);
            let note = |run, outcome, seen| store.write(|c| note(c, repository, run, Time(run), outcome, "said", seen)).unwrap();
            note(1, Outcome::Warning, Some((41_000, "0.1.0")));
            note(2, Outcome::Error, None);
            note(3, Outcome::Interrupted, None);
            let found = store.read(|c| of(c, repository)).unwrap().unwrap();
            assert_eq!((found.failures, found.last_success, found.skew), (2, Some(Time(1)), Some(41_000)));
            assert_eq!((found.run, found.outcome, found.version.as_deref()), (3, Outcome::Interrupted, Some("0.1.0")));
            note(4, Outcome::Success, Some((5, "0.2.0")));
            let found = store.read(all).unwrap().remove(&repository).unwrap();
            assert_eq!((found.failures, found.last_success, found.skew), (0, Some(Time(4)), Some(5)));
            store.write(|c| repositories::remove(c, "hub")).unwrap();
            assert!(store.read(all).unwrap().is_empty());
        });
    }
}
