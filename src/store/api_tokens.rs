//! Tokens by which programs call the REST API. The store keeps their SHA-256 alone.

use diesel::prelude::*;
use secrecy::{ExposeSecret, SecretString};

use super::{
    Conn, accounts,
    conn::MultiBackend,
    opaque,
    schema::{account, api_token},
    stored,
};
use crate::{
    error::{Error, Kind, Result},
    model::{Account, ApiToken, Time},
};

/// What every token begins with, so that one that was published by mistake is found.
pub const PREFIX: &str = "entente_";

#[derive(Queryable, Selectable)]
#[diesel(table_name = api_token)]
struct Row {
    name: String,
    account: Option<String>,
    scope: String,
    created_on: i64,
    expires_on: Option<i64>,
}

impl TryFrom<Row> for ApiToken {
    type Error = Error;

    fn try_from(row: Row) -> Result<ApiToken> {
        Ok(ApiToken {
            name: row.name,
            account: row.account,
            scope: stored::read(&row.scope)?,
            created_on: Time(row.created_on),
            expires_on: row.expires_on.map(Time),
        })
    }
}

/// Makes a token and returns its text, which is shown now or never. [`Kind::Exists`] if there is one of that name.
pub fn add(conn: &mut Conn, new: &ApiToken) -> Result<SecretString> {
    if new.name.is_empty() || new.name.chars().count() > 128 || new.name.chars().any(char::is_control) {
        return Err(Error::usage("a token's name has 1 to 128 characters and no control characters"));
    }
    if new.expires_on.is_some_and(|end| end <= new.created_on) {
        return Err(Error::usage("a token ends after it was made"));
    }
    if let Some(account) = &new.account {
        accounts::get(conn, account)?;
    }
    if api_token::table.filter(api_token::name.eq(&new.name)).count().get_result::<i64>(conn)? > 0 {
        return Err(
            Error::new(Kind::Exists, format!("There is a token {:?} already", new.name)).hint("Choose another name, or remove it first.")
        );
    }
    let text = SecretString::from(format!("{PREFIX}{}", opaque::token().expose_secret()));
    diesel::insert_into(api_token::table)
        .values((
            api_token::digest.eq(opaque::digest(text.expose_secret())),
            api_token::name.eq(&new.name),
            api_token::account.eq(&new.account),
            api_token::scope.eq(new.scope.word()),
            api_token::created_on.eq(new.created_on.0),
            api_token::expires_on.eq(new.expires_on.map(|time| time.0)),
        ))
        .execute(conn)?;
    Ok(text)
}

/// All tokens, by name; also those that have ended.
pub fn list(conn: &mut Conn) -> Result<Vec<ApiToken>> {
    let rows = api_token::table.order(api_token::name).select(Row::as_select()).load(conn)?;
    rows.into_iter().map(ApiToken::try_from).collect()
}

/// The tokens of an account, or of the site itself, with names after `after`, `limit` at most.
pub fn page(conn: &mut Conn, of: Option<&str>, after: &str, limit: i64) -> Result<Vec<ApiToken>> {
    let wanted = api_token::table.filter(api_token::name.gt(after)).into_boxed::<MultiBackend>();
    let wanted = match of {
        Some(account) => wanted.filter(api_token::account.eq(account.to_owned())),
        None => wanted.filter(api_token::account.is_null()),
    };
    let rows = wanted.order(api_token::name).limit(limit).select(Row::as_select()).load(conn)?;
    rows.into_iter().map(ApiToken::try_from).collect()
}

/// The token that is shown and its account; `None` if it was never made, is removed or has ended. Tokens are looked for by their hash, so how
/// long it takes tells nothing of them.
pub fn find(conn: &mut Conn, shown: &SecretString, now: Time) -> Result<Option<(ApiToken, Option<Account>)>> {
    let found = api_token::table
        .left_join(account::table)
        .filter(api_token::digest.eq(opaque::digest(shown.expose_secret())))
        .filter(api_token::expires_on.is_null().or(api_token::expires_on.gt(now.0)))
        .select((Row::as_select(), Option::<accounts::Row>::as_select()))
        .first::<(Row, Option<accounts::Row>)>(conn)
        .optional()?;
    found.map(|(token, account)| Ok((token.try_into()?, account.map(Account::try_from).transpose()?))).transpose()
}

/// Removes a token: it ends at once.
pub fn remove(conn: &mut Conn, name: &str) -> Result<()> {
    if diesel::delete(api_token::table.filter(api_token::name.eq(name))).execute(conn)? > 0 {
        return Ok(());
    }
    let names: Vec<String> = list(conn)?.into_iter().map(|token| token.name).collect();
    let known = if names.is_empty() { "there is none at all".to_owned() } else { format!("known are {}", stored::listed(&names)) };
    Err(Error::not_found(format!("There is no token {name:?}; {known}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Grant, Role, Scope},
        store::{password::Hashed, test_store::TestStore},
    };

    fn token(name: &str, account: Option<&str>, expires_on: Option<i64>) -> ApiToken {
        ApiToken {
            name: name.into(),
            account: account.map(str::to_owned),
            scope: Scope::Write,
            created_on: Time(10),
            expires_on: expires_on.map(Time),
        }
    }

    fn account(store: &TestStore, name: &str) {
        let grant = Grant { pull: false, push: false, resources: None };
        let account = Account { name: name.into(), role: Role::Viewer, grant, bound: None };
        store.write(|c| accounts::add(c, &account, &Hashed::stored("x".into()))).unwrap();
    }

    #[test]
    fn a_token_is_known_until_it_ends_or_is_removed_or_its_account_is() {
        TestStore::each(|new| {
            let store = new();
            account(&store, "anna");
            let add = |token: &ApiToken| store.write(|c| add(c, token)).unwrap();
            let (ours, site) = (add(&token("ours", Some("anna"), Some(100))), add(&token("site", None, None)));
            let find = |text: &SecretString, now| store.read(|c| find(c, text, Time(now))).unwrap();
            assert!(ours.expose_secret().starts_with(PREFIX) && ours.expose_secret().len() > 50);
            let (known, whose) = find(&ours, 99).unwrap();
            assert_eq!((known, whose.unwrap().name), (token("ours", Some("anna"), Some(100)), "anna".to_owned()));
            assert!(find(&ours, 100).is_none() && find(&"entente_x".into(), 0).is_none());
            assert_eq!(find(&site, i64::MAX).unwrap(), (token("site", None, None), None));
            store.write(|c| accounts::remove(c, "anna")).unwrap();
            assert!(find(&ours, 20).is_none());
            store.write(|c| remove(c, "site")).unwrap();
            assert!(find(&site, 20).is_none());
            assert_eq!(store.write(|c| remove(c, "site")).unwrap_err().kind(), Kind::NotFound);
        });
    }

    #[test]
    fn a_token_needs_a_name_of_its_own_a_known_account_and_an_end_in_the_future() {
        TestStore::each(|new| {
            let store = new();
            let add = |token: &ApiToken| store.write(|c| add(c, token)).map_err(|error| error.kind()).map(|_| ());
            assert_eq!(add(&token("a", None, None)), Ok(()));
            assert_eq!(add(&token("a", None, None)), Err(Kind::Exists));
            assert_eq!(add(&token("b", Some("nobody"), None)), Err(Kind::NotFound));
            assert_eq!((add(&token("c", None, Some(10))), add(&token("", None, None))), (Err(Kind::Usage), Err(Kind::Usage)));
            assert_eq!(store.read(list).unwrap(), [token("a", None, None)]);
        });
    }
}
