//! Peer sites that an administrator registered.

use diesel::prelude::*;
use secrecy::SecretString;

use super::{
    Conn,
    schema::{lease, repository},
    secret::Key,
    stored, tokens,
};
use crate::{
    error::{Error, Kind, Result},
    model::{Repository, RepositoryId, SiteId},
};

#[derive(Queryable)]
struct Row {
    id: i64,
    uuid: Option<String>,
    name: String,
    url: Option<String>,
    username: Option<String>,
    password: Option<Vec<u8>>,
    proxy: Option<String>,
    accept_pushes: bool,
    enabled: bool,
    kind: String,
    offered_name: Option<String>,
}

#[derive(Insertable, AsChangeset)]
#[diesel(table_name = repository, treat_none_as_null = true)]
struct Values<'a> {
    uuid: Option<String>,
    name: &'a str,
    url: Option<&'a str>,
    username: Option<&'a str>,
    password: Option<Vec<u8>>,
    proxy: Option<&'a str>,
    accept_pushes: bool,
    enabled: bool,
    kind: &'a str,
    offered_name: Option<&'a str>,
}

impl Row {
    // A password that does not open is left out: what has a user and no password is no valid repository, and says so when it is used.
    fn open(self, key: &Key) -> Result<Repository> {
        let password = self.password.and_then(|sealed| key.unseal(&sealed, &purpose(&self.name)));
        Ok(Repository {
            id: self.id,
            uuid: self.uuid.map(|uuid| stored::read(&uuid)).transpose()?,
            name: self.name,
            url: self.url,
            user: self.username,
            password,
            proxy: self.proxy,
            accept_pushes: self.accept_pushes,
            enabled: self.enabled,
            kind: self.kind.parse()?,
            offered_name: self.offered_name,
        })
    }
}

impl<'a> Values<'a> {
    fn seal(from: &'a Repository, key: &Key) -> Result<Values<'a>> {
        let seal = |password: &SecretString| key.seal(password, &purpose(&from.name));
        Ok(Values {
            uuid: from.uuid.map(|uuid| uuid.to_string()),
            name: &from.name,
            url: from.url.as_deref(),
            username: from.user.as_deref(),
            password: from.password.as_ref().map(seal).transpose()?,
            proxy: from.proxy.as_deref(),
            accept_pushes: from.accept_pushes,
            enabled: from.enabled,
            kind: from.kind.word(),
            offered_name: from.offered_name.as_deref(),
        })
    }
}

fn purpose(name: &str) -> String {
    format!("password at the repository {name}")
}

/// All repositories, by name. A password that the key does not open (the key file was lost) is `None` beside a user, which
/// [`Repository::validate`] refuses; everything else still works.
pub fn list(conn: &mut Conn, key: &Key) -> Result<Vec<Repository>> {
    repository::table.order(repository::name).load::<Row>(conn)?.into_iter().map(|row| row.open(key)).collect()
}

/// Number, UUID and name of all repositories, by name; nothing is unsealed.
pub fn names(conn: &mut Conn) -> Result<Vec<(RepositoryId, Option<SiteId>, String)>> {
    let columns = (repository::id, repository::uuid, repository::name);
    let rows = repository::table.order(repository::name).select(columns).load::<(i64, Option<String>, String)>(conn)?;
    rows.into_iter().map(|(id, uuid, name)| Ok((id, uuid.map(|uuid| stored::read(&uuid)).transpose()?, name))).collect()
}

/// The repository of that name. The error for an unknown one names those there are.
pub fn get(conn: &mut Conn, key: &Key, name: &str) -> Result<Repository> {
    match repository::table.filter(repository::name.eq(name)).get_result::<Row>(conn).optional()? {
        Some(row) => row.open(key),
        None => Err(unknown(conn, &format!("There is no repository {name:?}"))),
    }
}

/// The repository of that number.
pub fn by_id(conn: &mut Conn, key: &Key, id: RepositoryId) -> Result<Repository> {
    match repository::table.find(id).get_result::<Row>(conn).optional()? {
        Some(row) => row.open(key),
        None => Err(unknown(conn, &format!("There is no repository number {id}"))),
    }
}

/// The repository that is this site.
pub fn by_uuid(conn: &mut Conn, key: &Key, uuid: SiteId) -> Result<Option<Repository>> {
    let row = repository::table.filter(repository::uuid.eq(uuid.to_string())).get_result::<Row>(conn).optional()?;
    row.map(|row| row.open(key)).transpose()
}

fn unknown(conn: &mut Conn, what: &str) -> Error {
    match repository::table.select(repository::name).order(repository::name).load::<String>(conn) {
        Err(error) => error.into(),
        Ok(names) if names.is_empty() => Error::not_found(format!("{what}; none is known")).hint("Add one with `entente repository add`."),
        Ok(names) => Error::not_found(format!("{what}; known are {}", stored::listed(&names))),
    }
}

/// Adds a repository and returns it with its number. [`Kind::Exists`] if its name or UUID is another's.
pub fn add(conn: &mut Conn, key: &Key, new: &Repository) -> Result<Repository> {
    new.validate()?;
    refuse_taken(conn, new)?;
    let values = Values::seal(new, key)?;
    let id = diesel::insert_into(repository::table).values(values).returning(repository::id).get_result(conn)?;
    diesel::insert_into(lease::table).values((lease::repository.eq(id), lease::fence.eq(0))).execute(conn)?;
    Ok(Repository { id, ..new.clone() })
}

/// Changes a repository to what is given. One that is disabled by it loses its sessions. [`Kind::Exists`] if its new name or UUID is another's.
pub fn update(conn: &mut Conn, key: &Key, changed: &Repository) -> Result<()> {
    changed.validate()?;
    refuse_taken(conn, changed)?;
    if diesel::update(repository::table.find(changed.id)).set(Values::seal(changed, key)?).execute(conn)? == 0 {
        return Err(unknown(conn, &format!("There is no repository number {}", changed.id)));
    }
    if !changed.enabled {
        tokens::revoke_repository(conn, changed.id)?;
    }
    Ok(())
}

fn refuse_taken(conn: &mut Conn, wanted: &Repository) -> Result<()> {
    let others = repository::table.filter(repository::id.ne(wanted.id));
    let uuid = wanted.uuid.map_or_else(String::new, |uuid| uuid.to_string());
    let clash = others.filter(repository::name.eq(&wanted.name).or(repository::uuid.eq(&uuid)));
    let Some((name, _)) = clash.select((repository::name, repository::uuid)).first::<(String, Option<String>)>(conn).optional()? else {
        return Ok(());
    };
    let what = if name == wanted.name {
        format!("There is a repository {name:?} already")
    } else {
        format!("The repository {name:?} has the UUID {uuid} already")
    };
    Err(Error::new(Kind::Exists, what))
}

/// Removes a repository with its resources, jobs, lease and sessions. Its log entries stay.
pub fn remove(conn: &mut Conn, name: &str) -> Result<()> {
    if diesel::delete(repository::table.filter(repository::name.eq(name))).execute(conn)? == 0 {
        return Err(unknown(conn, &format!("There is no repository {name:?}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::{
        model::{Job, Resource, Timing},
        store::{jobs, resources, test_store::TestStore},
    };

    fn full(name: &str) -> Repository {
        Repository {
            uuid: Some(SiteId::random()),
            url: Some("https://hub.example.org".into()),
            user: Some("laptop".into()),
            password: Some(SecretString::from("tops3cret")),
            proxy: Some("http://proxy:3128".into()),
            accept_pushes: false,
            enabled: false,
            kind: crate::model::ApiType::Eden,
            offered_name: Some("hub.example.org".into()),
            ..Repository::new(name)
        }
    }

    fn told(repository: &Repository) -> String {
        format!("{repository:?} {:?}", repository.password.as_ref().map(ExposeSecret::expose_secret))
    }

    #[test]
    fn a_repository_is_read_as_it_was_written() {
        TestStore::each(|new| {
            let store = new();
            let added = store.write(|c| add(c, store.key(), &full("hub"))).unwrap();
            assert!(added.id > 0);
            let (by_name, by_number) = store.read(|c| Ok((get(c, store.key(), "hub")?, by_id(c, store.key(), added.id)?))).unwrap();
            assert_eq!((told(&by_name), told(&by_number)), (told(&added), told(&added)));
            assert_eq!(told(&store.read(|c| by_uuid(c, store.key(), added.uuid.unwrap())).unwrap().unwrap()), told(&added));
            assert!(store.read(|c| by_uuid(c, store.key(), SiteId::random())).unwrap().is_none());
            assert!(!format!("{added:?}").contains("tops3cret"));
        });
    }

    #[test]
    fn an_update_clears_what_it_leaves_out_and_a_renamed_one_keeps_its_password() {
        TestStore::each(|new| {
            let store = new();
            let added = store.write(|c| add(c, store.key(), &full("hub"))).unwrap();
            let renamed = Repository { name: "centre".into(), proxy: None, ..added };
            store.write(|c| update(c, store.key(), &renamed)).unwrap();
            assert_eq!(told(&store.read(|c| get(c, store.key(), "centre")).unwrap()), told(&renamed));
            let bare = Repository { id: renamed.id, ..Repository::new("centre") };
            store.write(|c| update(c, store.key(), &bare)).unwrap();
            assert_eq!(told(&store.read(|c| get(c, store.key(), "centre")).unwrap()), told(&bare));
            let gone = Repository { id: 99, ..Repository::new("x") };
            assert_eq!(store.write(|c| update(c, store.key(), &gone)).unwrap_err().kind(), Kind::NotFound);
        });
    }

    #[test]
    fn names_and_uuids_are_unique_and_an_unknown_name_is_told_the_known_ones() {
        TestStore::each(|new| {
            let store = new();
            let first = store.write(|c| add(c, store.key(), &full("b"))).unwrap();
            store.repository("a");
            let named: Vec<_> = store.read(names).unwrap().into_iter().map(|(_, uuid, name)| (uuid, name)).collect();
            assert_eq!(named, [(None, "a".to_owned()), (first.uuid, "b".to_owned())]);
            let same_uuid = Repository { uuid: first.uuid, ..Repository::new("c") };
            for (clash, part) in [(Repository::new("a"), "a repository \"a\""), (same_uuid, "The repository \"b\" has the UUID urn:uuid:")]
            {
                let error = store.write(|c| add(c, store.key(), &clash)).unwrap_err();
                assert!(error.kind() == Kind::Exists && error.to_string().contains(part), "{error}");
            }
            let error = store.read(|c| get(c, store.key(), "x")).unwrap_err();
            assert_eq!(error.to_string(), "There is no repository \"x\"; known are a, b");
            assert!(store.write(|c| add(c, store.key(), &Repository::new(""))).is_err(), "validity is checked");
        });
    }

    #[test]
    fn a_repository_takes_all_that_is_its_own_with_it_and_its_number_is_never_given_again() {
        TestStore::each(|new| {
            let store = new();
            let id = store.repository("a");
            store
                .write(|c| {
                    resources::add(c, &Resource::new(id, "t"))?;
                    jobs::add(c, &Job::new(id, Timing::Every(60)))
                })
                .unwrap();
            store.write(|c| remove(c, "a")).unwrap();
            assert!(store.read(|c| Ok(jobs::list(c)?.is_empty() && resources::list(c, id)?.is_empty())).unwrap());
            assert_ne!(store.repository("a"), id);
            assert_eq!(store.write(|c| remove(c, "b")).unwrap_err().kind(), Kind::NotFound);
        });
    }

    #[test]
    fn without_the_key_a_repository_is_there_but_not_valid() {
        TestStore::each(|new| {
            let (store, other) = (new(), new());
            store.write(|c| add(c, store.key(), &full("hub"))).unwrap();
            let found = store.read(|c| get(c, other.key(), "hub")).unwrap();
            assert!(found.password.is_none() && found.validate().is_err());
        });
    }
}
