//! The entry in our log of the run that a repository makes with a resource, whichever of our servers it comes to.

use diesel::prelude::*;

use super::{
    Conn,
    schema::{log, visit},
    stored,
};
use crate::{
    error::Result,
    model::{LogId, RepositoryId, Time},
};

/// The entry of the run with this number; `None` where it is not begun here.
pub fn find(conn: &mut Conn, repository: RepositoryId, resource: &str, run: u64) -> Result<Option<LogId>> {
    let ours = visit::table.filter(visit::repository.eq(repository)).filter(visit::resource.eq(resource));
    Ok(ours.filter(visit::run.eq(stored::number(run))).select(visit::entry).first(conn).optional()?)
}

/// When each repository last gave us something.
pub fn last(conn: &mut Conn) -> Result<std::collections::HashMap<RepositoryId, Time>> {
    let rows = visit::table.inner_join(log::table).select((visit::repository, log::time)).load::<(RepositoryId, i64)>(conn)?;
    let mut last = std::collections::HashMap::new();
    for (repository, time) in rows {
        let known: &mut Time = last.entry(repository).or_insert(Time(time));
        *known = (*known).max(Time(time));
    }
    Ok(last)
}

/// Remembers the entry of a run in place of the one before.
pub fn set(conn: &mut Conn, repository: RepositoryId, resource: &str, run: u64, entry: LogId) -> Result<()> {
    diesel::delete(visit::table.filter(visit::repository.eq(repository)).filter(visit::resource.eq(resource))).execute(conn)?;
    let values =
        (visit::entry.eq(entry), visit::repository.eq(repository), visit::resource.eq(resource), visit::run.eq(stored::number(run)));
    diesel::insert_into(visit::table).values(values).execute(conn)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{repositories, test_store::TestStore};

    #[test]
    fn the_last_run_with_a_resource_has_one_entry() {
        TestStore::each(|new| {
            let store = new();
            let (a, b) = (store.repository("a"), store.repository("b"));
            let find = |repository, resource, run| store.read(|c| find(c, repository, resource, run)).unwrap();
            store.write(|c| set(c, a, "t", 1, 10)).unwrap();
            assert_eq!((find(a, "t", 1), find(a, "t", 2), find(a, "u", 1), find(b, "t", 1)), (Some(10), None, None, None));
            store.write(|c| set(c, a, "t", 2, 11)).unwrap();
            assert_eq!((find(a, "t", 1), find(a, "t", 2)), (None, Some(11)));
            store.write(|c| repositories::remove(c, "a")).unwrap();
            assert_eq!(find(a, "t", 2), None);
        });
    }
}
