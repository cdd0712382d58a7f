//! How far runs are at this moment: one row a repository, while it runs.

use diesel::prelude::*;

use super::{
    Conn,
    schema::progress,
    stored::{count, number},
};
use crate::{
    error::Result,
    model::{Advance, RepositoryId, Time},
};

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = progress, treat_none_as_null = true)]
struct Row {
    repository: i64,
    run: i64,
    resource: String,
    direction: String,
    records: i64,
    total: Option<i64>,
    begun: i64,
    at: i64,
}

impl From<Row> for Advance {
    fn from(row: Row) -> Advance {
        Advance {
            repository: row.repository,
            run: row.run,
            resource: row.resource,
            direction: row.direction,
            records: count(row.records),
            total: row.total.map(count),
            begun: Time(row.begun),
            at: Time(row.at),
        }
    }
}

/// Notes how far a run is.
pub fn set(conn: &mut Conn, advance: &Advance) -> Result<()> {
    let row = Row {
        repository: advance.repository,
        run: advance.run,
        resource: advance.resource.clone(),
        direction: advance.direction.clone(),
        records: number(advance.records),
        total: advance.total.map(number),
        begun: advance.begun.0,
        at: advance.at.0,
    };
    if diesel::update(progress::table.find(advance.repository)).set(&row).execute(conn)? == 0 {
        diesel::insert_into(progress::table).values(&row).execute(conn)?;
    }
    Ok(())
}

/// The run with a repository is over.
pub fn end(conn: &mut Conn, repository: RepositoryId) -> Result<()> {
    diesel::delete(progress::table.find(repository)).execute(conn)?;
    Ok(())
}

/// How far all runs are, those that still say so: what was noted since `since`.
pub fn all(conn: &mut Conn, since: Time) -> Result<Vec<Advance>> {
    let rows = progress::table.filter(progress::at.ge(since.0)).order(progress::repository).select(Row::as_select()).load(conn)?;
    Ok(rows.into_iter().map(Advance::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::test_store::TestStore;

    #[test]
    fn progress_is_the_last_that_was_said_until_the_run_is_over_or_silent() {
        TestStore::each(|new| {
            let store = new();
            let repository = store.repository("hub");
            let advance = |records, at| Advance {
                repository,
                run: 7,
                resource: "team".into(),
                direction: "pull".into(),
                records,
                total: Some(9),
                begun: Time(1),
                at: Time(at),
            };
            for at in [2_u64, 3] {
                store.write(|c| set(c, &advance(at, i64::try_from(at).unwrap_or_default()))).unwrap();
            }
            assert_eq!(store.read(|c| all(c, Time(3))).unwrap(), [advance(3, 3)]);
            assert!(store.read(|c| all(c, Time(4))).unwrap().is_empty());
            store.write(|c| end(c, repository)).unwrap();
            assert!(store.read(|c| all(c, Time(0))).unwrap().is_empty());
        });
    }
}
