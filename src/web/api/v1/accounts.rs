//! `/accounts`: who may log in.

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{
    operation::{Call, In, Method, Nothing, Operation},
    page::{Page, Paging, limit},
};
use crate::{
    error::{Error, Result},
    model::{Account as Known, Grant, Role, Scope, SiteId},
    store::{accounts, password::Hashed},
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::new(Method::Get, "/accounts", ("listAccounts", "List the accounts"), list).needs(Scope::Admin),
        Operation::new(Method::Post, "/accounts", ("addAccount", "Add an account"), add).status(201),
        Operation::new(Method::Delete, "/accounts/{account}", ("removeAccount", "Remove an account; its sessions and tokens end"), remove),
        Operation::new(
            Method::Put,
            "/accounts/{account}/password",
            ("setPassword", "Give an account another password; its sessions end, its tokens stay"),
            password,
        ),
    ]
}

/// An account.
#[derive(Serialize, JsonSchema)]
struct Account {
    /// The name to log in with.
    name: String,
    /// What it is for.
    role: Role,
    /// Whether the site that logs in with it may pull from here.
    pull: bool,
    /// Whether that site may push to here.
    push: bool,
    /// The resources granted to that site; null = every attached table.
    resources: Option<Vec<String>>,
    /// The site that uses it.
    bound: Option<SiteId>,
}

impl From<Known> for Account {
    fn from(Known { name, role, grant, bound }: Known) -> Account {
        Account { name, role, pull: grant.pull, push: grant.push, resources: grant.resources, bound }
    }
}

fn list(call: &Call<'_>, asked: In<Nothing, Paging>) -> Result<Page<Account>> {
    let limit = limit(asked.query.limit)?;
    let found = call.site.store.read(|c| accounts::page(c, asked.query.name(), i64::from(limit) + 1))?;
    Ok(Page::of(found.into_iter().map(Account::from).collect(), limit, |one| one.name.clone()))
}

/// A new account.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewAccount {
    /// The name to log in with.
    name: String,
    /// What it is for; peer = another site.
    role: Role,
    /// Its password.
    #[schemars(with = "String")]
    password: SecretString,
    /// Whether that site may pull from here [default: true]. For peers only.
    pull: Option<bool>,
    /// Whether that site may push to here [default: true]. For peers only.
    push: Option<bool>,
    /// The resources granted to that site [default: every attached table]. For peers only.
    resources: Option<Vec<String>>,
}

fn add(call: &Call<'_>, asked: In<Nothing, Nothing, NewAccount>) -> Result<Account> {
    let NewAccount { name, role, password, pull, push, resources } = asked.body;
    let peer = role == Role::Peer;
    if !peer && (pull.is_some() || push.is_some() || resources.is_some()) {
        return Err(Error::usage("`pull`, `push` and `resources` are for accounts of the role peer")
            .hint("Leave them out, or say \"role\": \"peer\"."));
    }
    let grant = Grant { pull: peer && pull.unwrap_or(true), push: peer && push.unwrap_or(true), resources };
    let account = Known { name, role, grant, bound: None };
    let hash = Hashed::of(&password)?;
    call.site.store.write(|c| accounts::add(c, &account, &hash))?;
    Ok(account.into())
}

/// An account by its name.
#[derive(Deserialize, JsonSchema)]
struct AccountPath {
    /// The account's name.
    account: String,
}

fn remove(call: &Call<'_>, asked: In<AccountPath>) -> Result<Nothing> {
    call.site.store.write(|c| accounts::remove(c, &asked.path.account)).map(|()| Nothing {})
}

/// Another password.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    /// The password.
    #[schemars(with = "String")]
    password: SecretString,
}

fn password(call: &Call<'_>, asked: In<AccountPath, Nothing, NewPassword>) -> Result<Nothing> {
    call.site.store.read(|c| accounts::get(c, &asked.path.account))?;
    let hash = Hashed::of(&asked.body.password)?;
    call.site.store.write(|c| accounts::set_password(c, &asked.path.account, &hash, None)).map(|_| Nothing {})
}
