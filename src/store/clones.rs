//! Sites in whose name two machines come, and sites that said who they were before.

use diesel::prelude::*;

use super::{
    Conn,
    schema::{clone, moved},
};
use crate::{
    error::Result,
    model::{SiteId, Time},
};

/// Since when two machines are known to come in the name of a site.
pub fn since(conn: &mut Conn, uuid: SiteId) -> Result<Option<Time>> {
    Ok(clone::table.find(uuid.to_string()).select(clone::since).first::<i64>(conn).optional()?.map(Time))
}

/// All sites in whose name two machines come, and since when that is known.
pub fn all(conn: &mut Conn) -> Result<std::collections::HashMap<SiteId, Time>> {
    let rows = clone::table.load::<(String, i64)>(conn)?;
    rows.into_iter().map(|(uuid, since)| Ok((super::stored::read(&uuid)?, Time(since)))).collect()
}

/// Notes that they do. Whether that was not known yet.
pub fn note(conn: &mut Conn, uuid: SiteId, now: Time) -> Result<bool> {
    if since(conn, uuid)?.is_some() {
        return Ok(false);
    }
    diesel::insert_into(clone::table).values((clone::uuid.eq(uuid.to_string()), clone::since.eq(now.0))).execute(conn)?;
    Ok(true)
}

/// Only one does from now on. Whether that is news.
pub fn settle(conn: &mut Conn, uuid: SiteId) -> Result<bool> {
    Ok(diesel::delete(clone::table.find(uuid.to_string())).execute(conn)? > 0)
}

/// Notes that the site `uuid` was `former` before. Whether that is news; later words of the same site change nothing.
pub fn moved(conn: &mut Conn, uuid: SiteId, former: SiteId) -> Result<bool> {
    if has_moved(conn, uuid)? {
        return Ok(false);
    }
    diesel::insert_into(moved::table).values((moved::uuid.eq(uuid.to_string()), moved::former.eq(former.to_string()))).execute(conn)?;
    Ok(true)
}

/// Whether a site said who it was before.
pub fn has_moved(conn: &mut Conn, uuid: SiteId) -> Result<bool> {
    Ok(moved::table.find(uuid.to_string()).count().get_result::<i64>(conn)? > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::test_store::TestStore;

    #[test]
    fn a_site_is_two_machines_from_the_first_word_of_it_until_that_is_settled() {
        TestStore::each(|new| {
            let (store, site, other) = (new(), SiteId::random(), SiteId::random());
            assert_eq!(store.read(|c| since(c, site)).unwrap(), None);
            assert!(store.write(|c| note(c, site, Time(5))).unwrap());
            assert!(!store.write(|c| note(c, site, Time(9))).unwrap());
            assert_eq!(store.read(|c| Ok((since(c, site)?, since(c, other)?))).unwrap(), (Some(Time(5)), None));
            assert!(store.write(|c| settle(c, site)).unwrap());
            assert!(!store.write(|c| settle(c, site)).unwrap());
            assert_eq!(store.read(|c| since(c, site)).unwrap(), None);
        });
    }

    #[test]
    fn what_a_site_says_of_its_past_is_news_once() {
        TestStore::each(|new| {
            let (store, site, former) = (new(), SiteId::random(), SiteId::random());
            let news = |former| store.write(|c| moved(c, site, former)).unwrap();
            assert!(!store.read(|c| has_moved(c, site)).unwrap());
            assert!(news(former) && !news(former) && !news(SiteId::random()));
            assert!(store.read(|c| has_moved(c, site)).unwrap());
        });
    }
}
