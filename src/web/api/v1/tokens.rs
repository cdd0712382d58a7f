//! `/tokens`: the caller's own tokens.

use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::{
    operation::{Call, In, Method, Nothing, Operation},
    page::{Page, Paging, limit},
};
use crate::{
    error::{Error, Result},
    model::{ApiToken, Scope, Time},
    store::api_tokens,
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::new(Method::Get, "/tokens", ("listTokens", "List the caller's own tokens"), list),
        Operation::new(Method::Post, "/tokens", ("addToken", "Make a token; it is shown this once"), add).needs(Scope::Write).status(201),
        Operation::new(
            Method::Delete,
            "/tokens/{token}",
            ("removeToken", "Remove one of the caller's own tokens; it ends at once"),
            remove,
        )
        .needs(Scope::Write),
    ]
}

/// A token, without its text.
#[derive(Serialize, JsonSchema)]
struct Token {
    /// What it is for.
    name: String,
    /// How much it may do.
    scope: Scope,
    /// When it was made.
    created_on: Time,
    /// When it ends; null = when it is removed.
    expires_on: Option<Time>,
}

impl From<ApiToken> for Token {
    fn from(token: ApiToken) -> Token {
        Token { name: token.name, scope: token.scope, created_on: token.created_on, expires_on: token.expires_on }
    }
}

fn list(call: &Call<'_>, asked: In<Nothing, Paging>) -> Result<Page<Token>> {
    let limit = limit(asked.query.limit)?;
    let found = call.site.store.read(|c| api_tokens::page(c, call.person.name(), asked.query.name(), i64::from(limit) + 1))?;
    Ok(Page::of(found.into_iter().map(Token::from).collect(), limit, |one| one.name.clone()))
}

/// A new token.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewToken {
    /// What it is for, unique at this site.
    name: String,
    /// How much it may do: no more than the caller.
    scope: Scope,
    /// When it ends [default: when it is removed].
    expires_on: Option<Time>,
}

/// A token that was just made.
#[derive(Serialize, JsonSchema)]
struct MadeToken {
    /// What it is for.
    name: String,
    /// How much it may do.
    scope: Scope,
    /// When it ends.
    expires_on: Option<Time>,
    /// The token. It is shown this once.
    token: String,
}

fn add(call: &Call<'_>, asked: In<Nothing, Nothing, NewToken>) -> Result<MadeToken> {
    let NewToken { name, scope, expires_on } = asked.body;
    if call.person.token.is_some() {
        // Else one that was stolen for an hour would live on in those it made.
        return Err(Error::forbidden("A token cannot make tokens").hint("Log in with the account's name and password."));
    }
    call.person.must(scope)?;
    let new = ApiToken { name, account: call.person.name().map(str::to_owned), scope, created_on: call.site.now(), expires_on };
    let text = call.site.store.write(|c| api_tokens::add(c, &new))?;
    Ok(MadeToken { name: new.name, scope, expires_on, token: text.expose_secret().to_owned() })
}

/// A token by its name.
#[derive(Deserialize, JsonSchema)]
struct TokenPath {
    /// The token's name.
    token: String,
}

fn remove(call: &Call<'_>, asked: In<TokenPath>) -> Result<Nothing> {
    let name = &asked.path.token;
    let all = call.site.store.read(api_tokens::list)?;
    if !all.iter().any(|token| token.name == *name && token.account.as_deref() == call.person.name()) {
        return Err(Error::not_found(format!("You have no token {name:?}")).hint("GET /api/v1/tokens lists yours."));
    }
    call.site.store.write(|c| api_tokens::remove(c, name)).map(|()| Nothing {})
}
