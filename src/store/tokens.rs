//! Sessions of peers: tokens that stand for an account and a repository until they expire. The store keeps their SHA-256 alone.

use diesel::prelude::*;
use secrecy::{ExposeSecret, SecretString};

use super::{
    Conn, accounts, opaque,
    schema::{account, token},
};
use crate::{
    error::Result,
    model::{Account, RepositoryId, Time},
};

/// Who shows a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// The account, with what it may do now.
    pub account: Account,
    /// The repository.
    pub repository: RepositoryId,
}

/// A new token that stands for an account and a repository for so many seconds from now.
pub fn issue(conn: &mut Conn, account: &str, repository: RepositoryId, now: Time, seconds: u32) -> Result<SecretString> {
    let text = opaque::token();
    diesel::insert_into(token::table)
        .values((
            token::digest.eq(opaque::digest(text.expose_secret())),
            token::account.eq(account),
            token::repository.eq(repository),
            token::expires_on.eq(now.plus_seconds(i64::from(seconds)).0),
        ))
        .execute(conn)?;
    Ok(text)
}

/// Who shows this token; `None` if it was never issued, is revoked or has expired. Tokens are looked for by their hash, so how long it takes
/// tells nothing of them.
pub fn find(conn: &mut Conn, shown: &SecretString, now: Time) -> Result<Option<Bearer>> {
    let found = token::table
        .inner_join(account::table)
        .filter(token::digest.eq(opaque::digest(shown.expose_secret())))
        .filter(token::expires_on.gt(now.0))
        .select((accounts::Row::as_select(), token::repository))
        .first::<(accounts::Row, RepositoryId)>(conn)
        .optional()?;
    found.map(|(row, repository)| Ok(Bearer { account: row.try_into()?, repository })).transpose()
}

/// Ends a session.
pub fn revoke(conn: &mut Conn, shown: &SecretString) -> Result<()> {
    diesel::delete(token::table.find(opaque::digest(shown.expose_secret()))).execute(conn)?;
    Ok(())
}

/// Ends all sessions of an account.
pub fn revoke_account(conn: &mut Conn, account: &str) -> Result<()> {
    diesel::delete(token::table.filter(token::account.eq(account))).execute(conn)?;
    Ok(())
}

/// Ends all sessions with a repository.
pub fn revoke_repository(conn: &mut Conn, repository: RepositoryId) -> Result<()> {
    diesel::delete(token::table.filter(token::repository.eq(repository))).execute(conn)?;
    Ok(())
}

/// Forgets the tokens that have expired. Returns how many.
pub fn purge(conn: &mut Conn, now: Time) -> Result<usize> {
    Ok(diesel::delete(token::table.filter(token::expires_on.le(now.0))).execute(conn)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Grant, Repository, Role},
        store::{
            Store,
            password::Hashed,
            repositories,
            test_store::{Make, TestStore},
        },
    };

    fn store(new: Make<'_>) -> (TestStore, RepositoryId) {
        let store = new();
        let grant = Grant { pull: true, push: true, resources: Some(vec!["t".into()]) };
        let account = Account { name: "a".into(), role: Role::Peer, grant, bound: None };
        store.write(|c| accounts::add(c, &account, &Hashed::decoy())).unwrap();
        let repository = store.repository("hub");
        (store, repository)
    }

    fn known(store: &Store, token: &SecretString, now: i64) -> bool {
        store.read(|c| find(c, token, Time(now))).unwrap().is_some()
    }

    #[test]
    fn a_token_stands_for_its_account_and_repository_until_it_expires() {
        TestStore::each(|new| {
            let (store, repository) = store(new);
            let token = store.write(|c| issue(c, "a", repository, Time(0), 2)).unwrap();
            let bearer = store.read(|c| find(c, &token, Time(1_999_999))).unwrap().unwrap();
            assert_eq!((bearer.account.name.as_str(), bearer.account.grant.covers("t"), bearer.repository), ("a", true, repository));
            assert!(!known(&store, &token, 2_000_000) && !known(&store, &SecretString::from("guess"), 0));
            assert_eq!(store.write(|c| purge(c, Time(1_999_999))).unwrap(), 0);
            assert_eq!(store.write(|c| purge(c, Time(2_000_000))).unwrap(), 1);
            let error = store.write(|c| issue(c, "nobody", repository, Time(0), 2)).unwrap_err();
            assert_eq!(error.kind(), crate::error::Kind::NotFound);
        });
    }

    #[test]
    fn a_token_ends_by_itself_with_its_account_and_with_its_repository() {
        TestStore::each(|new| {
            let (store, repository) = store(new);
            let issue = || store.write(|c| issue(c, "a", repository, Time(0), 60)).unwrap();
            let (one, two) = (issue(), issue());
            store.write(|c| revoke(c, &one)).unwrap();
            assert!(!known(&store, &one, 1) && known(&store, &two, 1));
            store.write(|c| revoke_account(c, "a")).unwrap();
            assert!(!known(&store, &two, 1));
            let three = issue();
            let disabled = Repository { id: repository, enabled: false, ..Repository::new("hub") };
            store.write(|c| repositories::update(c, store.key(), &disabled)).unwrap();
            assert!(!known(&store, &three, 1));
            let four = issue();
            store.write(|c| repositories::remove(c, "hub")).unwrap();
            assert!(!known(&store, &four, 1));
        });
    }
}
