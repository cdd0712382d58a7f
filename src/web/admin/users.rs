//! Accounts: people and other sites, and who is signed in.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use askama::Template;
use secrecy::ExposeSecret;

use super::{
    desk::{Desk, Next, act, encoded, show as page},
    door::new_password,
    form::{Fields, Form, Problem},
    frame::{Frame, Nav},
    repository::ConfirmPage,
    words::When,
};
use crate::{
    error::{Error, Result},
    model::{Account, ApiToken, Grant, Job, Role},
    store::{accounts, api_tokens, attached, password::Hashed, sessions},
    sync::versions::Names,
    web::app::App,
};

struct Row {
    name: String,
    address: String,
    role: &'static str,
    may: String,
    site: String,
    you: bool,
}

/// A session in a list.
pub(super) struct SessionRow {
    pub(super) name: String,
    pub(super) account: String,
    pub(super) address: String,
    pub(super) agent: String,
    pub(super) created: When,
    pub(super) seen: When,
    pub(super) this: bool,
}

/// The sessions that go on, of one account or of all.
pub(super) fn signed_in(desk: &Desk, account: Option<&str>) -> Result<Vec<SessionRow>> {
    let all = desk.site().store.read(|c| sessions::list(c, account, desk.now))?;
    let row = |session: sessions::Session| SessionRow {
        this: session.name == desk.person.session,
        created: When::new(session.created, desk.now),
        seen: When::new(session.seen, desk.now),
        name: session.name,
        account: session.account,
        address: session.address,
        agent: session.agent,
    };
    Ok(all.into_iter().map(row).collect())
}

#[derive(Template)]
#[template(path = "users.html")]
struct ListPage {
    frame: Frame,
    rows: Vec<Row>,
    sessions: Vec<SessionRow>,
    tokens: Vec<TokenRow>,
}

/// A program's token in a list.
struct TokenRow {
    name: String,
    scope: &'static str,
    account: String,
    ends: Option<When>,
}

fn may(account: &Account) -> String {
    match account.role {
        Role::Admin => "change everything".into(),
        Role::Operator => "run, decide, retry".into(),
        Role::Viewer => "look".into(),
        Role::Peer => {
            let ways: Vec<&str> =
                [(account.grant.pull, "pull"), (account.grant.push, "push")].iter().filter(|(on, _)| *on).map(|(_, word)| *word).collect();
            let what = account.grant.resources.as_ref().map_or_else(|| "every attached table".into(), |names| names.join(", "));
            if ways.is_empty() { "nothing".into() } else { format!("{} {what}", ways.join(" and ")) }
        }
    }
}

/// All accounts.
pub(super) async fn list(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Admin, |desk| {
        let names = Names::of(desk.site())?;
        let row = |account: Account| Row {
            address: encoded(&account.name),
            role: account.role.word(),
            may: may(&account),
            site: account.bound.map_or_else(String::new, |site| names.name(site)),
            you: account.name == desk.person.account.name,
            name: account.name,
        };
        let rows = desk.site().store.read(accounts::list)?.into_iter().map(row).collect();
        let tokens = desk.site().store.read(api_tokens::list)?.into_iter().map(|token| TokenRow {
            scope: token.scope.word(),
            account: token.account.unwrap_or_else(|| "this site".into()),
            ends: When::maybe(token.expires_on, desk.now),
            name: token.name,
        });
        let (frame, tokens) = (desk.frame("Users", Nav::Users)?, tokens.collect());
        Ok(ListPage { frame, rows, sessions: signed_in(desk, None)?, tokens })
    })
    .await
}

/// Makes a token for a program; it is shown once.
pub(super) async fn add_token(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Admin, |desk, form| {
        let seconds = form.given("expires").map(Job::seconds).transpose()?;
        let new = ApiToken {
            name: form.text("name").to_owned(),
            account: Some(desk.person.account.name.clone()),
            scope: form.text("scope").parse()?,
            created_on: desk.now,
            expires_on: seconds.map(|seconds| desk.now.plus_seconds(i64::from(seconds))),
        };
        let text = desk.site().store.write(|c| api_tokens::add(c, &new))?;
        desk.changed(&format!("made the token {}", new.name))?;
        let frame = desk.frame(&format!("The token {}", new.name), Nav::Users)?;
        Next::shown(&TokenPage { frame, text: text.expose_secret().to_owned() })
    })
    .await
}

#[derive(Template)]
#[template(path = "token.html")]
struct TokenPage {
    frame: Frame,
    text: String,
}

/// Removes a token.
pub(super) async fn remove_token(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Admin, |desk, form| {
        desk.site().store.write(|c| api_tokens::remove(c, form.text("name")))?;
        desk.changed(&format!("removed the token {}", form.text("name")))?;
        Next::done("/users", "The token is removed and ends at once.")
    })
    .await
}

const ROLES: [(&str, &str, &str); 4] = [
    ("admin", "Administrator", "Changes everything."),
    ("operator", "Operator", "Runs, decides conflicts, retries; changes no settings."),
    ("viewer", "Viewer", "Looks, and changes nothing."),
    ("peer", "Another site", "That site logs in with it to pull and push; people cannot."),
];

#[derive(Template)]
#[template(path = "user_new.html")]
struct NewPage {
    frame: Frame,
    problem: Option<Problem>,
    fields: Fields,
    roles: [(&'static str, &'static str, &'static str); 4],
    resources: String,
}

fn new_page(desk: &Desk, fields: Fields, problem: Option<Problem>) -> Result<NewPage> {
    let resources: Vec<String> = desk.site().store.read(attached::list)?.into_iter().map(|table| table.resource).collect();
    let title = if fields.is("role", "peer") { "Add an account for a site" } else { "Add a person" };
    Ok(NewPage { frame: desk.frame(title, Nav::Users)?, problem, fields, roles: ROLES, resources: resources.join(", ") })
}

/// The form for a new account.
pub(super) async fn new(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Admin, |desk| {
        let role = desk.query.given("role").unwrap_or("operator");
        new_page(desk, Fields::default().with("role", role).ticked("pull", true).ticked("push", true), None)
    })
    .await
}

fn typed(form: &Form) -> Result<Account> {
    let role: Role = form.text("role").parse()?;
    let peer = role == Role::Peer;
    let resources: Vec<String> =
        form.text("resources").split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let grant = Grant {
        pull: peer && form.on("pull"),
        push: peer && form.on("push"),
        resources: Some(resources).filter(|list| peer && !list.is_empty()),
    };
    Ok(Account { name: form.text("name").to_owned(), role, grant, bound: None })
}

/// Adds an account.
pub(super) async fn add(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Admin, |desk, form| {
        let added = typed(form).and_then(|account| {
            let hash = Hashed::of(&new_password(form)?)?;
            desk.site().store.write(|c| accounts::add(c, &account, &hash))?;
            Ok(account)
        });
        match added {
            Ok(account) => {
                desk.changed(&format!("added the account {}, {}", account.name, account.role.word()))?;
                let next = match account.role {
                    Role::Peer => " Give its name and password to the administrator of that site.",
                    _ => "",
                };
                Next::done("/users", format!("The account {} is added.{next}", account.name))
            }
            Err(error) => Next::again(&new_page(desk, Fields::typed(form), Some(Problem::of(&error)))?),
        }
    })
    .await
}

#[derive(Template)]
#[template(path = "password.html")]
pub(super) struct PasswordPage {
    pub(super) frame: Frame,
    pub(super) problem: Option<Problem>,
    pub(super) action: String,
    pub(super) back: &'static str,
    /// The old one is asked for.
    pub(super) own: bool,
    /// Whose it is, for those who keep passwords.
    pub(super) who: String,
}

fn named(desk: &Desk) -> Result<Account> {
    desk.site().store.read(|c| accounts::get(c, desk.part("name")))
}

fn password_page(desk: &Desk, account: &Account, problem: Option<Problem>) -> Result<PasswordPage> {
    let frame = desk.frame(&format!("A new password for {}", account.name), Nav::Users)?;
    Ok(PasswordPage {
        frame,
        problem,
        action: format!("/users/{}/password", encoded(&account.name)),
        back: "/users",
        own: false,
        who: account.name.clone(),
    })
}

/// The form for another password of an account.
pub(super) async fn ask_password(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Admin, |desk| password_page(desk, &named(desk)?, None)).await
}

/// Gives an account another password.
pub(super) async fn password(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Admin, |desk, form| {
        let account = named(desk)?;
        let set = new_password(form).and_then(|password| set_password(desk, &account.name, &Hashed::of(&password)?));
        match set {
            Ok(()) => Next::done("/users", format!("{} has a new password.", account.name)),
            Err(error) => Next::again(&password_page(desk, &account, Some(Problem::of(&error)))?),
        }
    })
    .await
}

/// Sets a password and ends the account's sessions, this one excepted.
pub(super) fn set_password(desk: &Desk, name: &str, hash: &Hashed) -> Result<()> {
    desk.site().store.write(|c| accounts::set_password(c, name, hash, Some(&desk.person.session)))?;
    desk.changed(&format!("gave {name} a new password"))
}

/// Asks whether an account is to be removed.
pub(super) async fn ask_remove(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Admin, |desk| {
        let account = named(desk)?;
        let used = if account.bound.is_some() { " The site that logs in with it can do so no longer." } else { "" };
        Ok(ConfirmPage {
            frame: desk.frame(&format!("Remove {}?", account.name), Nav::Users)?,
            problem: None,
            text: format!("Its sessions end at once.{used}"),
            action: format!("/users/{}/remove", encoded(&account.name)),
            hidden: Vec::new(),
            ticks: Vec::new(),
            deed: "Remove",
            back: "/users".into(),
        })
    })
    .await
}

/// Removes an account.
pub(super) async fn remove(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Admin, |desk, _| {
        let account = named(desk)?;
        if account.name == desk.person.account.name {
            return Err(Error::usage("You cannot remove your own account").hint("Another administrator can."));
        }
        desk.site().store.write(|c| accounts::remove(c, &account.name))?;
        desk.changed(&format!("removed the account {}", account.name))?;
        Next::done("/users", format!("The account {} is removed.", account.name))
    })
    .await
}
