//! What repositories said when they last met us: one row a repository, written at the end of a run of ours and when one of theirs begins or ends.

use std::collections::{BTreeMap, HashMap};

use diesel::prelude::*;

use super::{Conn, schema::met, stored};
use crate::{
    error::{Error, Result},
    model::{Met, RepositoryId, Time},
};

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = met, treat_none_as_null = true)]
struct Row {
    repository: i64,
    waiting: Option<i64>,
    waiting_on: Option<i64>,
    taken: String,
    offer: Option<String>,
    offer_on: Option<i64>,
}

impl From<Row> for Met {
    fn from(row: Row) -> Met {
        // What cannot be read any more was never said: nothing is decided by it.
        let offer = row.offer.and_then(|text| serde_json::from_str(&text).ok());
        Met {
            waiting: row.waiting.map(stored::count).zip(row.waiting_on.map(Time)),
            taken: serde_json::from_str(&row.taken).unwrap_or_default(),
            offer: offer.zip(row.offer_on.map(Time)),
        }
    }
}

/// What a repository said; nothing before it met us.
pub fn of(conn: &mut Conn, repository: RepositoryId) -> Result<Met> {
    Ok(met::table.find(repository).select(Row::as_select()).first(conn).optional()?.map(Met::from).unwrap_or_default())
}

/// What each repository said, without its offer, which may be long; one that never met us is left out.
pub fn all(conn: &mut Conn) -> Result<HashMap<RepositoryId, Met>> {
    let columns = (met::repository, met::waiting, met::waiting_on, met::taken);
    let rows: Vec<(i64, Option<i64>, Option<i64>, String)> = met::table.select(columns).load(conn)?;
    let read = |(repository, waiting, waiting_on, taken)| {
        let row = Row { repository, waiting, waiting_on, taken, offer: None, offer_on: None };
        (repository, row.into())
    };
    Ok(rows.into_iter().map(read).collect())
}

/// Keeps what a repository said in place of what it said before.
pub fn set(conn: &mut Conn, repository: RepositoryId, said: &Met) -> Result<()> {
    let unwritten = |e| Error::internal("what another site said could not be written").because(e);
    let offer = said.offer.as_ref().map(|(offer, _)| serde_json::to_string(offer)).transpose().map_err(unwritten)?;
    let row = Row {
        repository,
        waiting: said.waiting.map(|(records, _)| stored::number(records)),
        waiting_on: said.waiting.map(|(_, on)| on.0),
        taken: serde_json::to_string::<BTreeMap<String, i64>>(&said.taken).map_err(unwritten)?,
        offer,
        offer_on: said.offer.as_ref().map(|(_, on)| on.0),
    };
    if diesel::update(met::table.find(repository)).set(&row).execute(conn)? == 0 {
        diesel::insert_into(met::table).values(&row).execute(conn)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Mode, Offer},
        store::{repositories, test_store::TestStore},
    };

    #[test]
    fn what_a_repository_said_is_kept_until_it_says_something_else_or_goes() {
        TestStore::each(|new| {
            let store = new();
            let repository = store.repository("hub");
            assert_eq!(store.read(|c| of(c, repository)).unwrap(), Met::default());
            let offer = vec![Offer { name: "team".into(), mode: Mode::Pull }];
            let first = Met { waiting: Some((u64::MAX, Time(2))), taken: [("team".to_owned(), 9)].into(), offer: Some((offer, Time(3))) };
            store.write(|c| set(c, repository, &first)).unwrap();
            let kept = store.read(|c| of(c, repository)).unwrap();
            assert_eq!((kept.taken, kept.offer), (first.taken, first.offer));
            assert_eq!(kept.waiting.map(|(_, on)| on), Some(Time(2)), "a number beyond all bounds is kept within them");
            let second = Met { waiting: Some((0, Time(4))), ..Met::default() };
            store.write(|c| set(c, repository, &second)).unwrap();
            assert_eq!(store.read(all).unwrap().remove(&repository), Some(second));
            store.write(|c| repositories::remove(c, "hub")).unwrap();
            assert!(store.read(all).unwrap().is_empty());
        });
    }
}
