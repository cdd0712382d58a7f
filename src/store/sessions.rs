//! Who is signed in with a browser: tokens that stand for an account until they expire or are not used for a while. The store keeps their
//! SHA-256 alone.

use diesel::prelude::*;
use secrecy::{ExposeSecret, SecretString};

use super::{
    Conn, accounts, opaque,
    schema::{account, browser_session},
};
use crate::{
    error::{Error, Result},
    model::{Account, Time},
};

/// A session ends when it was not used for so many seconds.
pub const IDLE: i64 = 12 * 3_600;

/// It ends after so many seconds in any case.
pub const LONGEST: i64 = 30 * 86_400;

/// When it was last used is noted so often, in seconds.
const NOTED: i64 = 60;

/// A browser that is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Names it; tells nothing of its token.
    pub name: String,
    /// The account.
    pub account: String,
    /// Since when.
    pub created: Time,
    /// When it was last used, within a minute.
    pub seen: Time,
    /// The address it was begun from.
    pub address: String,
    /// What the browser says it is.
    pub agent: String,
}

/// Begins a session of an account and returns what proves it.
pub fn begin(conn: &mut Conn, account: &str, address: &str, agent: &str, now: Time) -> Result<SecretString> {
    let token = opaque::token();
    diesel::insert_into(browser_session::table)
        .values((
            browser_session::digest.eq(opaque::digest(token.expose_secret())),
            browser_session::account.eq(account),
            browser_session::created_on.eq(now.0),
            browser_session::seen_on.eq(now.0),
            browser_session::expires_on.eq(now.plus_seconds(LONGEST).0),
            browser_session::address.eq(address),
            browser_session::agent.eq(agent.chars().filter(|c| !c.is_control()).take(200).collect::<String>()),
        ))
        .execute(conn)?;
    Ok(token)
}

/// Whose session it is, its name, and whether its use should be noted by [`touch`]; `None` if it has ended or never was.
pub fn find(conn: &mut Conn, token: &SecretString, now: Time) -> Result<Option<(Account, String, bool)>> {
    let digest = opaque::digest(token.expose_secret());
    let found = browser_session::table
        .inner_join(account::table)
        .filter(browser_session::digest.eq(&digest))
        .filter(browser_session::expires_on.gt(now.0))
        .filter(browser_session::seen_on.gt(now.plus_seconds(-IDLE).0))
        .select((accounts::Row::as_select(), browser_session::seen_on))
        .first::<(accounts::Row, i64)>(conn)
        .optional()?;
    found.map(|(row, seen)| Ok((row.try_into()?, name(&digest), seen < now.plus_seconds(-NOTED).0))).transpose()
}

/// Notes that a session is used.
pub fn touch(conn: &mut Conn, token: &SecretString, now: Time) -> Result<()> {
    let session = browser_session::table.find(opaque::digest(token.expose_secret()));
    diesel::update(session).set(browser_session::seen_on.eq(now.0)).execute(conn)?;
    Ok(())
}

/// The sessions that go on, those last used first; of one account or of all.
pub fn list(conn: &mut Conn, account: Option<&str>, now: Time) -> Result<Vec<Session>> {
    let mut query = browser_session::table
        .filter(browser_session::expires_on.gt(now.0))
        .filter(browser_session::seen_on.gt(now.plus_seconds(-IDLE).0))
        .order(browser_session::seen_on.desc())
        .into_boxed();
    if let Some(account) = account {
        query = query.filter(browser_session::account.eq(account.to_owned()));
    }
    let rows = query.load::<(Vec<u8>, String, i64, i64, i64, String, String)>(conn)?;
    let session = |(digest, account, created, seen, _, address, agent): (Vec<u8>, String, i64, i64, i64, String, String)| Session {
        name: name(&digest),
        account,
        created: Time(created),
        seen: Time(seen),
        address,
        agent,
    };
    Ok(rows.into_iter().map(session).collect())
}

/// A part of the hash is enough to name it.
fn name(digest: &[u8]) -> String {
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Ends the session that a token stands for.
pub fn end(conn: &mut Conn, token: &SecretString) -> Result<()> {
    diesel::delete(browser_session::table.find(opaque::digest(token.expose_secret()))).execute(conn)?;
    Ok(())
}

/// Ends the session of that name; of one account, or of any. The error for an unknown one says that it has ended.
pub fn revoke(conn: &mut Conn, account: Option<&str>, wanted: &str) -> Result<()> {
    let rows = browser_session::table.select((browser_session::digest, browser_session::account)).load::<(Vec<u8>, String)>(conn)?;
    let found = rows.into_iter().find(|(digest, owner)| name(digest) == wanted && account.is_none_or(|account| account == owner));
    let (digest, _) = found.ok_or_else(|| Error::not_found("That session has ended already"))?;
    diesel::delete(browser_session::table.find(digest)).execute(conn)?;
    Ok(())
}

/// Ends all sessions of an account but the one named `keep`.
pub fn revoke_account(conn: &mut Conn, account: &str, keep: Option<&str>) -> Result<()> {
    let of_account = browser_session::table.filter(browser_session::account.eq(account));
    let digests = of_account.select(browser_session::digest).load::<Vec<u8>>(conn)?;
    for digest in digests.into_iter().filter(|digest| keep != Some(name(digest).as_str())) {
        diesel::delete(browser_session::table.find(digest)).execute(conn)?;
    }
    Ok(())
}

/// Forgets the sessions that have ended. Returns how many.
pub fn purge(conn: &mut Conn, now: Time) -> Result<usize> {
    let ended = browser_session::expires_on.le(now.0).or(browser_session::seen_on.le(now.plus_seconds(-IDLE).0));
    Ok(diesel::delete(browser_session::table.filter(ended)).execute(conn)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        error::Kind,
        model::{Grant, Role},
        store::{password::Hashed, test_store::TestStore},
    };

    fn account(name: &str) -> Account {
        Account { name: name.into(), role: Role::Admin, grant: Grant { pull: false, push: false, resources: None }, bound: None }
    }

    #[test]
    fn a_session_ends_when_it_is_idle_when_it_is_old_and_when_somebody_ends_it() {
        TestStore::each(|new| {
            let store = new();
            store.write(|c| accounts::add(c, &account("ana"), &Hashed::decoy())).unwrap();
            let begin = |now| store.write(|c| begin(c, "ana", "127.0.0.1", "Fire\u{7}fox", Time(now))).unwrap();
            let known = |token: &SecretString, now: Time| store.read(|c| find(c, token, now)).unwrap().map(|found| (found.0.name, found.2));
            let token = begin(0);
            assert_eq!(known(&token, Time(0)), Some(("ana".into(), false)));
            assert_eq!(known(&token, Time(0).plus_seconds(61)), Some(("ana".into(), true)));
            assert_eq!(known(&token, Time(0).plus_seconds(IDLE)), None);
            store.write(|c| touch(c, &token, Time(0).plus_seconds(IDLE - 1))).unwrap();
            assert!(known(&token, Time(0).plus_seconds(IDLE)).is_some());
            store.write(|c| touch(c, &token, Time(0).plus_seconds(LONGEST))).unwrap();
            assert_eq!(known(&token, Time(0).plus_seconds(LONGEST)), None, "used to the end");
            let (one, two) = (begin(0), begin(0));
            store.write(|c| end(c, &one)).unwrap();
            assert!(known(&one, Time(1)).is_none() && known(&two, Time(1)).is_some());
            store.write(|c| revoke_account(c, "ana", None)).unwrap();
            assert_eq!(known(&two, Time(1)), None);
            // Whoever took a session along loses it when the password changes; the one in which it is changed may go on.
            let (mine, stolen) = (begin(0), begin(0));
            let name = store.read(|c| find(c, &mine, Time(1))).unwrap().unwrap().1;
            store.write(|c| accounts::set_password(c, "ana", &Hashed::decoy(), Some(&name))).unwrap();
            assert!(known(&mine, Time(1)).is_some() && known(&stolen, Time(1)).is_none());
            store.write(|c| accounts::set_password(c, "ana", &Hashed::decoy(), None)).unwrap();
            assert_eq!(known(&mine, Time(1)), None);
        });
    }

    #[test]
    fn sessions_are_listed_by_their_last_use_and_ended_by_name_by_their_owner() {
        TestStore::each(|new| {
            let store = new();
            store.write(|c| accounts::add(c, &account("ana"), &Hashed::decoy())).unwrap();
            store.write(|c| accounts::add(c, &account("bo"), &Hashed::decoy())).unwrap();
            let token = store.write(|c| begin(c, "ana", "10.0.0.1", "Fire\u{7}fox", Time(1))).unwrap();
            store.write(|c| begin(c, "bo", "10.0.0.2", "Safari", Time(2))).unwrap();
            let all = store.read(|c| list(c, None, Time(3))).unwrap();
            assert_eq!(
                all.iter().map(|s| (s.account.as_str(), s.agent.as_str())).collect::<Vec<_>>(),
                [("bo", "Safari"), ("ana", "Firefox")]
            );
            let of_ana = store.read(|c| list(c, Some("ana"), Time(3))).unwrap();
            let name = store.read(|c| find(c, &token, Time(3))).unwrap().unwrap().1;
            assert_eq!((of_ana.len(), of_ana[0].name == name), (1, true));
            let error = store.write(|c| revoke(c, Some("bo"), &name)).unwrap_err();
            assert_eq!(error.kind(), Kind::NotFound, "it is not hers");
            store.write(|c| revoke(c, Some("ana"), &name)).unwrap();
            assert!(store.read(|c| find(c, &token, Time(3))).unwrap().is_none());
            assert_eq!(store.write(|c| purge(c, Time(2).plus_seconds(IDLE))).unwrap(), 1);
        });
    }
}
