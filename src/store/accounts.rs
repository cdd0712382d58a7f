//! Who may log in.

use diesel::prelude::*;
use secrecy::SecretString;

use super::{Conn, Store, password::Hashed, schema::account, sessions, stored, tokens};
use crate::{
    error::{Error, Kind, Result},
    model::{Account, Grant, SiteId},
};

/// What became of binding an account to a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// It is bound from now on.
    Now,
    /// It was bound to that site already.
    Already,
    /// It is bound to this other site.
    ToAnother(SiteId),
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = account)]
pub(super) struct Row {
    name: String,
    role: String,
    may_pull: bool,
    may_push: bool,
    resources: Option<String>,
    bound: Option<String>,
}

impl TryFrom<Row> for Account {
    type Error = Error;

    fn try_from(row: Row) -> Result<Account> {
        let resources = row.resources.map(|list| stored::known(&list, serde_json::from_str(&list).ok())).transpose()?;
        Ok(Account {
            name: row.name,
            role: stored::read(&row.role)?,
            grant: Grant { pull: row.may_pull, push: row.may_push, resources },
            bound: row.bound.map(|uuid| stored::read(&uuid)).transpose()?,
        })
    }
}

/// Adds an account. [`Kind::Exists`] if there is one of that name.
pub fn add(conn: &mut Conn, new: &Account, password: &Hashed) -> Result<()> {
    check_name(&new.name)?;
    if find(conn, &new.name)?.is_some() {
        return Err(Error::new(Kind::Exists, format!("There is an account {:?} already", new.name)));
    }
    let resources = new.grant.resources.as_ref().map(|list| serde_json::Value::from(list.as_slice()).to_string());
    diesel::insert_into(account::table)
        .values((
            account::name.eq(&new.name),
            account::role.eq(new.role.word()),
            account::may_pull.eq(new.grant.pull),
            account::may_push.eq(new.grant.push),
            account::resources.eq(resources),
            account::bound.eq(new.bound.map(|uuid| uuid.to_string())),
            account::password.eq(password.text()),
        ))
        .execute(conn)?;
    Ok(())
}

// A colon would end the name in HTTP Basic.
fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.chars().count() > 128 || name.chars().any(|c| c.is_control() || c == ':') {
        return Err(Error::usage("an account's name has 1 to 128 characters, no colon and no control characters"));
    }
    Ok(())
}

/// All accounts, by name.
pub fn list(conn: &mut Conn) -> Result<Vec<Account>> {
    account::table.order(account::name).select(Row::as_select()).load(conn)?.into_iter().map(Account::try_from).collect()
}

/// The accounts with names after `after`, `limit` at most.
pub fn page(conn: &mut Conn, after: &str, limit: i64) -> Result<Vec<Account>> {
    let wanted = account::table.filter(account::name.gt(after)).order(account::name).limit(limit);
    wanted.select(Row::as_select()).load(conn)?.into_iter().map(Account::try_from).collect()
}

/// The account of that name. The error for an unknown one names those there are.
pub fn get(conn: &mut Conn, name: &str) -> Result<Account> {
    match find(conn, name)? {
        Some(found) => Ok(found),
        None => Err(unknown(conn, name)),
    }
}

fn find(conn: &mut Conn, name: &str) -> Result<Option<Account>> {
    account::table.find(name).select(Row::as_select()).get_result(conn).optional()?.map(Account::try_from).transpose()
}

fn unknown(conn: &mut Conn, name: &str) -> Error {
    match account::table.select(account::name).order(account::name).load::<String>(conn) {
        Err(error) => error.into(),
        Ok(names) if names.is_empty() => {
            Error::not_found(format!("There is no account {name:?}; there is none at all")).hint("Add one with `entente user add`.")
        }
        Ok(names) => Error::not_found(format!("There is no account {name:?}; known are {}", stored::listed(&names))),
    }
}

/// Removes an account with its sessions.
pub fn remove(conn: &mut Conn, name: &str) -> Result<()> {
    if diesel::delete(account::table.find(name)).execute(conn)? == 0 { Err(unknown(conn, name)) } else { Ok(()) }
}

/// Gives an account another password and ends its sessions: those of a site, and those in browsers but the one named `keep`.
pub fn set_password(conn: &mut Conn, name: &str, password: &Hashed, keep: Option<&str>) -> Result<()> {
    if diesel::update(account::table.find(name)).set(account::password.eq(password.text())).execute(conn)? == 0 {
        return Err(unknown(conn, name));
    }
    tokens::revoke_account(conn, name)?;
    sessions::revoke_account(conn, name, keep)
}

/// The account of that name, if this is its password. An unknown name takes as long as a wrong password: a good part of a tenth of a second,
/// in which the store is not held.
pub fn authenticate(store: &Store, name: &str, password: &SecretString) -> Result<Option<Account>> {
    let found = store.read(|conn| {
        let row = account::table.find(name).select((Row::as_select(), account::password)).first::<(Row, String)>(conn).optional()?;
        row.map(|(row, hash)| Ok((Account::try_from(row)?, Hashed::stored(hash)))).transpose()
    })?;
    let (account, hash) = found.map_or_else(|| (None, Hashed::decoy()), |(account, hash)| (Some(account), hash));
    Ok(if hash.verify(password) { account } else { None })
}

/// Binds an account to the first site that uses it.
pub fn bind(conn: &mut Conn, name: &str, site: SiteId) -> Result<Bound> {
    let free = account::table.filter(account::name.eq(name)).filter(account::bound.is_null());
    if diesel::update(free).set(account::bound.eq(site.to_string())).execute(conn)? == 1 {
        return Ok(Bound::Now);
    }
    match get(conn, name)?.bound {
        Some(other) if other != site => Ok(Bound::ToAnother(other)),
        _ => Ok(Bound::Already),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Role, Time},
        store::test_store::TestStore,
    };

    fn account(name: &str) -> Account {
        Account { name: name.into(), role: Role::Peer, grant: Grant { pull: true, push: false, resources: None }, bound: None }
    }

    // Cheap, for tests that ask nothing of it.
    fn some_hash() -> Hashed {
        Hashed::decoy()
    }

    #[test]
    fn an_account_is_read_as_it_was_written() {
        TestStore::each(|new| {
            let store = new();
            let mut some = account("b");
            some.grant.resources = Some(vec!["a, \"b\"".into(), "ö".into()]);
            some.bound = Some(SiteId::random());
            store
                .write(|c| {
                    add(c, &some, &some_hash())?;
                    add(c, &account("a"), &some_hash())
                })
                .unwrap();
            assert_eq!(store.read(list).unwrap(), [account("a"), some.clone()]);
            assert_eq!(store.read(|c| get(c, "b")).unwrap(), some);
            assert_eq!(store.write(|c| add(c, &account("a"), &some_hash())).unwrap_err().kind(), Kind::Exists);
            assert!(store.write(|c| add(c, &account("a:b"), &some_hash())).is_err(), "a colon ends a name in HTTP");
            store.write(|c| remove(c, "b")).unwrap();
            assert_eq!(store.write(|c| remove(c, "b")).unwrap_err().to_string(), "There is no account \"b\"; known are a");
        });
    }

    #[test]
    fn only_the_password_opens_an_account_and_a_new_one_replaces_the_old_and_ends_sessions() {
        TestStore::each(|new| {
            let store = new();
            let repository = store.repository("hub");
            let (old, new) = (SecretString::from("old pass"), SecretString::from("new pass"));
            let hash = Hashed::of(&old).unwrap();
            let token = store
                .write(|c| {
                    add(c, &account("a"), &hash)?;
                    tokens::issue(c, "a", repository, Time(0), 60)
                })
                .unwrap();
            assert_eq!(authenticate(&store, "a", &old).unwrap(), Some(account("a")));
            assert_eq!(authenticate(&store, "a", &new).unwrap(), None);
            assert_eq!(authenticate(&store, "nobody", &old).unwrap(), None);
            let hash = Hashed::of(&new).unwrap();
            store.write(|c| set_password(c, "a", &hash, None)).unwrap();
            assert_eq!(authenticate(&store, "a", &old).unwrap(), None);
            assert_eq!(authenticate(&store, "a", &new).unwrap(), Some(account("a")));
            assert!(store.read(|c| tokens::find(c, &token, Time(1))).unwrap().is_none());
        });
    }

    #[test]
    fn an_account_belongs_to_the_first_site_that_uses_it() {
        TestStore::each(|new| {
            let store = new();
            let (first, second) = (SiteId::random(), SiteId::random());
            store.write(|c| add(c, &account("a"), &some_hash())).unwrap();
            let bind = |site| store.write(|c| bind(c, "a", site)).unwrap();
            assert_eq!([bind(first), bind(first), bind(second)], [Bound::Now, Bound::Already, Bound::ToAnother(first)]);
            assert_eq!(store.write(|c| super::bind(c, "b", first)).unwrap_err().kind(), Kind::NotFound);
        });
    }
}
