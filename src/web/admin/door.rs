//! Coming in: the first account, signing in, signing out.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web::{Data, Payload},
};
use askama::Template;
use secrecy::{ExposeSecret, SecretString};

use super::{
    assets,
    desk::{begin_cookie, comes_from_elsewhere, end_cookie, page, person, redirect, rendered, token},
    form::{Form, Problem},
};
use crate::{
    error::{Error, Kind, Result},
    model::{Account, Action, Direction, Grant, LogEntry, Role},
    site::Site,
    store::{accounts, log, password::Hashed, sessions, setup_code},
    sync::admit,
    web::app::{App, call},
};

/// The fewest characters of a new password.
const SHORTEST: usize = 10;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    title: &'static str,
    site: String,
    assets: &'static str,
    csrf: String,
    next: String,
    name: String,
    problem: Option<Problem>,
    setup: bool,
}

#[derive(Template)]
#[template(path = "setup.html")]
struct SetupPage {
    title: &'static str,
    site: String,
    assets: &'static str,
    csrf: String,
    name: String,
    problem: Option<Problem>,
}

/// Whether nobody can sign in yet.
fn nobody_yet(site: &Site) -> Result<bool> {
    let all = site.store.read(accounts::list)?;
    Ok(!all.iter().any(|account| account.role == Role::Admin))
}

/// A new password that was typed twice. [`Kind::Usage`] where it is too short or the two differ.
pub(super) fn new_password(form: &Form) -> Result<SecretString> {
    let first = form.secret("password").unwrap_or_else(|| SecretString::from(""));
    let again = form.secret("again").unwrap_or_else(|| SecretString::from(""));
    if first.expose_secret().chars().count() < SHORTEST {
        return Err(Error::usage(format!("The password has fewer than {SHORTEST} characters")).hint("A sentence is easy to keep in mind."));
    }
    if first.expose_secret() != again.expose_secret() {
        return Err(Error::usage("The two passwords differ").hint("Type the same one twice."));
    }
    Ok(first)
}

/// Where a person wanted to go: an address of this site alone.
fn inside(next: &str) -> String {
    // Browsers leave tabs and line ends out of an address: /<tab>/evil is //evil.
    let fine = next.starts_with('/') && !next.starts_with("//") && !next.contains(|c: char| c == '\\' || c.is_ascii_control());
    if fine { next.to_owned() } else { "/".to_owned() }
}

fn address(request: &HttpRequest) -> IpAddr {
    request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip().to_canonical())
}

fn agent(request: &HttpRequest) -> String {
    let agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    agent.unwrap_or("an unknown browser").to_owned()
}

fn answered(made: Result<(StatusCode, String)>) -> HttpResponse {
    match made {
        Ok((status, html)) => page(status, html),
        Err(error) => super::desk::bare(&error),
    }
}

/// The page to sign in.
pub(super) async fn login(app: Data<App>, request: HttpRequest) -> HttpResponse {
    let (query, shown) = (request.query_string().to_owned(), token(&request));
    let known = {
        let app = app.clone();
        call(move || Ok((person(&app.site, shown.as_ref())?.is_some(), nobody_yet(&app.site)?))).await
    };
    match known {
        Ok((true, _)) => redirect("/"),
        Ok((_, true)) if !query.contains("name") => redirect("/setup"),
        Ok((_, setup)) => {
            let next = Form::parse(&query).map(|form| form.text("next").to_owned()).unwrap_or_default();
            answered(login_page(&app.site, &next, "", None, setup).map(|html| (StatusCode::OK, html)))
        }
        Err(error) => super::desk::bare(&error),
    }
}

fn login_page(site: &Site, next: &str, name: &str, problem: Option<Problem>, setup: bool) -> Result<String> {
    rendered(&LoginPage {
        title: "Sign in",
        site: site.name.clone(),
        assets: assets::version(),
        csrf: String::new(),
        next: inside(next),
        name: name.to_owned(),
        problem,
        setup,
    })
}

/// Signs in.
pub(super) async fn log_in(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let form = match Form::read(&request, payload).await {
        Ok(form) => form,
        Err(error) => return super::desk::bare(&error),
    };
    if comes_from_elsewhere(&request) {
        return super::desk::bare(&Error::forbidden("This form did not come from a page of this site"));
    }
    let (address, agent, old) = (address(&request), agent(&request), token(&request));
    let next = inside(form.text("next"));
    let (at, typed) = (app.clone(), form.clone());
    let done = call(move || {
        let site = &at.site;
        let password = typed.secret("password").unwrap_or_else(|| SecretString::from(""));
        let account = admit::login(site, &at.gate, address, typed.text("name"), &password)?;
        if account.role == Role::Peer {
            return Err(Error::forbidden("This account is for another site; people cannot sign in with it"));
        }
        enter(site, &account, address, &agent, old.as_ref())
    });
    match done.await {
        Ok(token) => entered(&request, &token, &next),
        Err(error) => {
            let status = StatusCode::from_u16(error.kind().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            // A browser would ask for a password itself.
            let status = if status == StatusCode::UNAUTHORIZED { StatusCode::UNPROCESSABLE_ENTITY } else { status };
            let problem = match error.kind() {
                Kind::Limited => {
                    Problem { message: "Too many wrong tries.".into(), hint: format!("Try again in {} s.", error.wait().unwrap_or(60)) }
                }
                _ => Problem::of(&error),
            };
            let mut answer = answered(login_page(&app.site, &next, form.text("name"), Some(problem), false).map(|html| (status, html)));
            if let Some(wait) = error.wait() {
                answer.headers_mut().insert(header::RETRY_AFTER, wait.into());
            }
            answer
        }
    }
}

/// Begins a session; one that the browser had before ends.
fn enter(site: &Site, account: &Account, address: IpAddr, agent: &str, old: Option<&SecretString>) -> Result<SecretString> {
    let now = site.now();
    let entry = LogEntry {
        message: format!("{} signed in from {address}", account.name),
        ..LogEntry::new(now, Action::Login, Direction::Incoming)
    };
    site.store.write(|c| {
        if let Some(old) = old {
            sessions::end(c, old)?;
        }
        log::append(c, &entry)?;
        sessions::begin(c, &account.name, &address.to_string(), agent, now)
    })
}

fn entered(request: &HttpRequest, token: &SecretString, next: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, next))
        .insert_header((header::SET_COOKIE, begin_cookie(request, token)))
        .finish()
}

/// Signs out.
pub(super) async fn log_out(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let form = Form::read(&request, payload).await.unwrap_or_default();
    let (shown, foreign) = (token(&request), comes_from_elsewhere(&request));
    let done = call(move || {
        let Some(person) = person(&app.site, shown.as_ref())? else { return Ok(()) };
        if foreign || person.csrf != form.text("csrf") {
            return Err(Error::forbidden("This form did not come from a page of your session"));
        }
        shown.map_or(Ok(()), |token| app.site.store.write(|c| sessions::end(c, &token)))
    });
    match done.await {
        Ok(()) => HttpResponse::SeeOther()
            .insert_header((header::LOCATION, "/login"))
            .insert_header((header::SET_COOKIE, end_cookie(&request)))
            .finish(),
        Err(error) => super::desk::bare(&error),
    }
}

/// The page that makes the first account.
pub(super) async fn setup(app: Data<App>) -> HttpResponse {
    let site = app.site.clone();
    match call(move || nobody_yet(&site)).await {
        Ok(true) => answered(setup_page(&app.site, "", None).map(|html| (StatusCode::OK, html))),
        Ok(false) => redirect("/login"),
        Err(error) => super::desk::bare(&error),
    }
}

fn setup_page(site: &Site, name: &str, problem: Option<Problem>) -> Result<String> {
    rendered(&SetupPage {
        title: "Welcome",
        site: site.name.clone(),
        assets: assets::version(),
        csrf: String::new(),
        name: name.to_owned(),
        problem,
    })
}

/// Makes the first account, for whoever has the code from the terminal.
pub(super) async fn set_up(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let form = match Form::read(&request, payload).await {
        Ok(form) => form,
        Err(error) => return super::desk::bare(&error),
    };
    if comes_from_elsewhere(&request) {
        return super::desk::bare(&Error::forbidden("This form did not come from a page of this site"));
    }
    let (address, agent, old) = (address(&request), agent(&request), token(&request));
    let (at, typed) = (app.clone(), form.clone());
    let done = call(move || {
        let site = &at.site;
        if !nobody_yet(site)? {
            return Err(Error::new(Kind::Exists, "This site is set up already").hint("Sign in with an account it has."));
        }
        let password = new_password(&typed)?;
        let grant = Grant { pull: false, push: false, resources: None };
        let account = Account { name: typed.text("name").to_owned(), role: Role::Admin, grant, bound: None };
        let hash = Hashed::of(&password)?;
        // Guesses are slowed down like those of passwords.
        let spent = at.gate.pass(&site.store, address, "\u{0}setup", site.now(), || {
            site.store.write(|c| {
                if !setup_code::spend(c, typed.text("code"))? {
                    return Ok(None);
                }
                accounts::add(c, &account, &hash)?;
                Ok(Some(()))
            })
        })?;
        spent.ok_or_else(|| {
            Error::forbidden("That code is not right").hint("Use the one that was printed last where this site was started.")
        })?;
        enter(site, &account, address, &agent, old.as_ref())
    });
    match done.await {
        Ok(token) => entered(&request, &token, "/"),
        Err(error) => {
            let made = setup_page(&app.site, form.text("name"), Some(Problem::of(&error)));
            answered(made.map(|html| (StatusCode::UNPROCESSABLE_ENTITY, html)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_site_after_signing_in() {
        for (next, to) in [
            ("/log?x=1", "/log?x=1"),
            ("//evil", "/"),
            ("https://evil", "/"),
            ("/\\evil", "/"),
            ("", "/"),
            ("/a\r\nb", "/"),
            ("/\t/evil", "/"),
        ] {
            assert_eq!(inside(next), to, "{next}");
        }
    }

    #[test]
    fn a_new_password_is_long_enough_and_typed_twice() {
        let check = |text| new_password(&Form::parse(text).unwrap());
        assert!(check("password=short&again=short").is_err());
        assert!(check("password=long+enough+1&again=long+enough+2").unwrap_err().to_string().contains("differ"));
        assert_eq!(check("password=long+enough+1&again=long+enough+1").unwrap().expose_secret(), "long enough 1");
    }
}
