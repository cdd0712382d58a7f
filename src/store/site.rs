//! Who we are, and what holds for the whole site.

use diesel::prelude::*;

use super::{Conn, schema::site, stored};
use crate::{
    error::{Error, Result},
    model::{SiteId, Time},
};

/// The one row there is.
const ROW: i64 = 1;

/// This installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteRow {
    /// Its identity.
    pub uuid: SiteId,
    /// Its name.
    pub name: String,
    /// When it began.
    pub created_on: Time,
}

/// This site. The first time ever it is made, with the UUID and the name given here; after that both stay. Needs [`super::Store::write`]
/// the first time only.
pub fn identity(conn: &mut Conn, uuid_if_new: SiteId, name_if_new: &str, now: Time) -> Result<SiteRow> {
    if let Some(row) = find(conn)? {
        return Ok(row);
    }
    let new = SiteRow { uuid: uuid_if_new, name: name_if_new.to_owned(), created_on: now };
    let values = (
        site::id.eq(ROW),
        site::uuid.eq(new.uuid.to_string()),
        site::name.eq(&new.name),
        site::created_on.eq(now.0),
        site::paused.eq(false),
    );
    diesel::insert_into(site::table).values(values).execute(conn)?;
    Ok(new)
}

/// This site; `None` before it was first used.
pub fn find(conn: &mut Conn) -> Result<Option<SiteRow>> {
    let row = site::table.select((site::uuid, site::name, site::created_on)).first::<(String, String, i64)>(conn).optional()?;
    row.map(|(uuid, name, time)| Ok(SiteRow { uuid: stored::read(&uuid)?, name, created_on: Time(time) })).transpose()
}

/// Gives the site another name.
pub fn rename(conn: &mut Conn, name: &str) -> Result<()> {
    let changed = diesel::update(site::table).set(site::name.eq(name)).execute(conn)?;
    there(changed)
}

/// Makes this site a new one, for the clone of a machine: this UUID, begun now. Returns it.
pub fn new_identity(conn: &mut Conn, uuid: SiteId, now: Time) -> Result<SiteRow> {
    let former = find(conn)?.ok_or_else(nobody)?.uuid.to_string();
    let values = (site::uuid.eq(uuid.to_string()), site::created_on.eq(now.0), site::formerly.eq(former));
    there(diesel::update(site::table).set(values).execute(conn)?)?;
    find(conn)?.ok_or_else(nobody)
}

/// Who this site was before it took a new identity.
pub fn formerly(conn: &mut Conn) -> Result<Option<SiteId>> {
    let former = site::table.select(site::formerly).first::<Option<String>>(conn).optional()?.flatten();
    former.map(|uuid| stored::read(&uuid)).transpose()
}

/// Whether an administrator stopped everything.
pub fn paused(conn: &mut Conn) -> Result<bool> {
    Ok(site::table.select(site::paused).get_result(conn).optional()?.unwrap_or(false))
}

/// Stops everything, or lets it go on. No job is leased while it is stopped.
pub fn set_paused(conn: &mut Conn, paused: bool) -> Result<()> {
    let changed = diesel::update(site::table).set(site::paused.eq(paused)).execute(conn)?;
    there(changed)
}

/// The proxy for repositories that have none of their own.
pub fn proxy(conn: &mut Conn) -> Result<Option<String>> {
    Ok(site::table.select(site::proxy).get_result(conn).optional()?.flatten())
}

/// Sets or clears that proxy.
pub fn set_proxy(conn: &mut Conn, proxy: Option<&str>) -> Result<()> {
    let changed = diesel::update(site::table).set(site::proxy.eq(proxy)).execute(conn)?;
    there(changed)
}

fn there(changed: usize) -> Result<()> {
    if changed == 0 { Err(nobody()) } else { Ok(()) }
}

fn nobody() -> Error {
    Error::not_found("This site has no identity yet").hint("Run `entente init`.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::test_store::TestStore;

    #[test]
    fn an_identity_is_made_once_and_a_name_may_change() {
        let store = TestStore::new();
        assert_eq!(store.read(find).unwrap(), None);
        let first = store.write(|c| identity(c, SiteId::random(), "hall", Time(5))).unwrap();
        assert_eq!(store.read(|c| identity(c, SiteId::random(), "other", Time(9))).unwrap(), first);
        store.write(|c| rename(c, "stage")).unwrap();
        assert_eq!(store.read(find).unwrap().unwrap(), SiteRow { name: "stage".into(), ..first });
    }

    #[test]
    fn a_clone_takes_a_new_identity_and_keeps_its_name() {
        let store = TestStore::new();
        assert!(store.write(|c| new_identity(c, SiteId::random(), Time(1))).is_err());
        let first = store.write(|c| identity(c, SiteId::random(), "hall", Time(5))).unwrap();
        let second = store.write(|c| new_identity(c, SiteId::random(), Time(7))).unwrap();
        assert_ne!(second.uuid, first.uuid);
        assert_eq!(store.read(formerly).unwrap(), Some(first.uuid));
        assert_eq!((second.name.as_str(), second.created_on), ("hall", Time(7)));
        assert_eq!(store.read(find).unwrap().unwrap(), second);
    }

    #[test]
    fn pause_and_proxy_are_kept() {
        let store = TestStore::new();
        assert_eq!(store.read(|c| Ok((paused(c)?, proxy(c)?))).unwrap(), (false, None));
        store.write(|c| identity(c, SiteId::random(), "hall", Time(5))).unwrap();
        store
            .write(|c| {
                set_paused(c, true)?;
                set_proxy(c, Some("http://proxy:3128"))
            })
            .unwrap();
        assert_eq!(store.read(|c| Ok((paused(c)?, proxy(c)?))).unwrap(), (true, Some("http://proxy:3128".into())));
        store
            .write(|c| {
                set_paused(c, false)?;
                set_proxy(c, None)
            })
            .unwrap();
        assert_eq!(store.read(|c| Ok((paused(c)?, proxy(c)?))).unwrap(), (false, None));
    }
}
