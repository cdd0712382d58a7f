//! Who sits at a page, what they may do, and how a page and a form are answered.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web::{Data, Payload},
};
use askama::Template;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{
    form::{Form, Problem},
    frame::{Frame, Nav, Said},
};
use crate::{
    error::{Error, Kind, Result},
    model::{Account, Action, Direction, LogEntry, Role, Time},
    site::Site,
    store::{log, sessions},
    web::app::{App, call},
};

/// The cookie that a session is kept in.
const COOKIE: &str = "entente_session";

/// The cookie that carries a sentence to the next page.
const SAID: &str = "entente_said";

/// Everything comes from here; nothing is written into the page itself.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// A person who is signed in.
#[derive(Debug, Clone)]
pub(in crate::web) struct Person {
    /// The account.
    pub(in crate::web) account: Account,
    /// The name of the session.
    pub(in crate::web) session: String,
    /// What forms of this session carry, so that no other site can send them.
    pub(in crate::web) csrf: String,
}

impl Person {
    /// Whether the role may do what `wanted` may. [`Kind::Forbidden`] if not.
    pub(in crate::web) fn may(&self, wanted: Role) -> Result<()> {
        let rank = |role| match role {
            Role::Admin => 3,
            Role::Operator => 2,
            Role::Viewer => 1,
            Role::Peer => 0,
        };
        if rank(self.account.role) >= rank(wanted) {
            return Ok(());
        }
        let (name, role) = (&self.account.name, self.account.role.word());
        Err(Error::forbidden(format!("{name} is {role} here; this takes the role {}", wanted.word()))
            .hint("Ask an administrator of this site."))
    }
}

/// The person whose session a request shows; `None` if it shows none that goes on.
pub(in crate::web) fn person(site: &Site, token: Option<&SecretString>) -> Result<Option<Person>> {
    let Some(token) = token else { return Ok(None) };
    let now = site.now();
    let Some((account, session, note)) = site.store.read(|c| sessions::find(c, token, now))? else { return Ok(None) };
    if account.role == Role::Peer {
        return Ok(None);
    }
    if note {
        site.store.write(|c| sessions::touch(c, token, now))?;
    }
    Ok(Some(Person { account, session, csrf: csrf(token) }))
}

/// What proves that a form comes from a page of this session.
fn csrf(token: &SecretString) -> String {
    let digest = Sha256::new().chain_update(b"entente form\0").chain_update(token.expose_secret().as_bytes()).finalize();
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The session's token of a request.
pub(in crate::web) fn token(request: &HttpRequest) -> Option<SecretString> {
    cookie(request, COOKIE).filter(|text| text.len() <= 100).map(SecretString::from)
}

fn cookie(request: &HttpRequest, name: &str) -> Option<String> {
    let headers = request.headers().get_all(header::COOKIE).filter_map(|value| value.to_str().ok());
    let mut pairs = headers.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
}

/// A header that sets a cookie which scripts do not see and other sites do not send along.
fn set_cookie(request: &HttpRequest, name: &str, value: &str, seconds: i64) -> String {
    let secure = if request.connection_info().scheme() == "https" { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}")
}

/// The header that begins a session in the browser.
pub(super) fn begin_cookie(request: &HttpRequest, token: &SecretString) -> String {
    set_cookie(request, COOKIE, token.expose_secret(), sessions::LONGEST)
}

/// The header that ends it.
pub(super) fn end_cookie(request: &HttpRequest) -> String {
    set_cookie(request, COOKIE, "", 0)
}

/// A page in the making: who wants it, and where.
pub(super) struct Desk {
    pub(super) app: Data<App>,
    pub(super) person: Person,
    /// The query of the address.
    pub(super) query: Form,
    /// The path of the address.
    pub(super) path: String,
    /// The parts of the path that a route names.
    parts: Vec<(String, String)>,
    said: Option<Said>,
    pub(super) now: Time,
    pub(super) address: String,
}

impl Desk {
    pub(super) fn site(&self) -> &Arc<Site> {
        &self.app.site
    }

    /// A part of the path by the name it has in the route.
    pub(super) fn part(&self, name: &str) -> &str {
        self.parts.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// What surrounds a page.
    pub(super) fn frame(&self, title: &str, nav: Nav) -> Result<Frame> {
        Frame::new(self, title, nav, self.said.clone())
    }

    /// Whether the person may change things that need this role.
    pub(super) fn may(&self, role: Role) -> bool {
        self.person.may(role).is_ok()
    }

    /// Writes into the log what a person changed.
    pub(super) fn changed(&self, what: &str) -> Result<()> {
        let message = format!("{} {what}", self.person.account.name);
        let entry = LogEntry { message, ..LogEntry::new(self.now, Action::Change, Direction::None) };
        self.site().store.write(|c| log::append(c, &entry)).map(|_| ())
    }
}

/// What follows after a form.
pub(super) enum Next {
    /// Another page, which says this first.
    Go(String, Option<Said>),
    /// The form again, with what is wrong.
    Again(String),
    /// The form again, with what was asked for.
    Shown(String),
    /// A document.
    Document(&'static str, String),
}

impl Next {
    /// Another page, which says that something is done.
    pub(super) fn done(to: impl Into<String>, sentence: impl Into<String>) -> Result<Next> {
        Ok(Next::Go(to.into(), Some(Said::well(sentence))))
    }

    /// Another page, which warns of something.
    pub(super) fn warned(to: impl Into<String>, sentence: impl Into<String>) -> Result<Next> {
        Ok(Next::Go(to.into(), Some(Said::warning(sentence))))
    }

    /// The form again, with what was asked for.
    pub(super) fn shown(page: &impl Template) -> Result<Next> {
        Ok(Next::Shown(rendered(page)?))
    }

    /// The form again, with what is wrong.
    pub(super) fn again(page: &impl Template) -> Result<Next> {
        Ok(Next::Again(rendered(page)?))
    }
}

/// Renders a page.
pub(super) fn rendered(page: &impl Template) -> Result<String> {
    page.render().map_err(|e| Error::internal("A page could not be written").because(e.to_string()))
}

/// Answers with a page for whoever has the role; others are sent to sign in, or told why not.
pub(super) async fn show<P: Template + 'static>(
    app: Data<App>,
    request: HttpRequest,
    role: Role,
    make: impl FnOnce(&Desk) -> Result<P> + Send + 'static,
) -> HttpResponse {
    let made = at_desk(app, &request, move |desk| {
        desk.person.may(role)?;
        rendered(&make(desk)?)
    });
    match made.await {
        Answered::Page(html) => forget_said(&request, page(StatusCode::OK, html)),
        other => other.into_response(&request),
    }
}

/// Answers with whatever `make` makes, for scripts and downloads.
pub(super) async fn give(
    app: Data<App>,
    request: HttpRequest,
    role: Role,
    make: impl FnOnce(&Desk) -> Result<Next> + Send + 'static,
) -> HttpResponse {
    match at_desk(app, &request, move |desk| {
        desk.person.may(role)?;
        make(desk)
    })
    .await
    {
        Answered::Page(next) => next.into_response(&request),
        Answered::SignIn => page(StatusCode::UNAUTHORIZED, String::new()),
        other => other.into_response(&request),
    }
}

/// Does what a form asks for, for whoever has the role and comes from a page of ours.
pub(super) async fn act(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
    role: Role,
    work: impl FnOnce(&Desk, &Form) -> Result<Next> + Send + 'static,
) -> HttpResponse {
    let form = match Form::read(&request, payload).await {
        Ok(form) => form,
        Err(error) => return bare(&error),
    };
    let foreign = comes_from_elsewhere(&request);
    let done = at_desk(app, &request, move |desk| {
        if foreign || !bool::from(desk.person.csrf.as_bytes().ct_eq(form.text("csrf").as_bytes())) {
            return Err(Error::forbidden("This form did not come from a page of your session, so nothing was changed")
                .hint("Go back, load the page again and send it once more."));
        }
        desk.person.may(role)?;
        work(desk, &form)
    });
    match done.await {
        Answered::Page(next) => next.into_response(&request),
        other => other.into_response(&request),
    }
}

/// Whether a browser says that a request was made by another site.
pub(super) fn comes_from_elsewhere(request: &HttpRequest) -> bool {
    let named = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    if named("sec-fetch-site").is_some_and(|from| from == "cross-site" || from == "same-site") {
        return true;
    }
    let host = named("host").unwrap_or_default();
    named("origin").is_some_and(|origin| origin.split_once("://").is_none_or(|(_, authority)| authority != host))
}

/// What came of a request at a desk.
enum Answered<T> {
    Page(T),
    SignIn,
    Refused(String, StatusCode),
    Failed(Error),
}

impl<T> Answered<T> {
    fn into_response(self, request: &HttpRequest) -> HttpResponse {
        match self {
            Answered::Page(_) => HttpResponse::InternalServerError().finish(),
            Answered::SignIn => {
                let back = if request.method() == actix_web::http::Method::GET { request.uri().to_string() } else { "/".into() };
                let to = if back == "/" { "/login".into() } else { format!("/login?{}", query(&[("next", &back)])) };
                redirect(&to)
            }
            Answered::Refused(html, status) => page(status, html),
            Answered::Failed(error) => bare(&error),
        }
    }
}

async fn at_desk<T: Send + 'static>(
    app: Data<App>,
    request: &HttpRequest,
    work: impl FnOnce(&Desk) -> Result<T> + Send + 'static,
) -> Answered<T> {
    let token = token(request);
    let parts = request.match_info().iter().map(|(name, value)| (name.to_owned(), decoded(value))).collect();
    let (query, path) = (request.query_string().to_owned(), request.path().to_owned());
    let said = cookie(request, SAID).and_then(|text| Said::read(&text));
    let address = request.peer_addr().map_or_else(String::new, |address| address.ip().to_string());
    let done = call(move || {
        let site = app.site.clone();
        let Some(person) = person(&site, token.as_ref())? else { return Ok(Answered::SignIn) };
        let desk = Desk { person, query: Form::parse(&query)?, path, parts, said, now: site.now(), address, app };
        Ok(match work(&desk) {
            Ok(done) => Answered::Page(done),
            Err(error) => {
                let status = StatusCode::from_u16(error.kind().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                Answered::Refused(trouble(&desk, &error)?, status)
            }
        })
    });
    done.await.unwrap_or_else(Answered::Failed)
}

/// A part of a path as it was before it was written into an address.
fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[derive(Template)]
#[template(path = "trouble.html")]
struct TroublePage {
    frame: Frame,
    problem: Problem,
}

fn trouble(desk: &Desk, error: &Error) -> Result<String> {
    if error.kind() == Kind::Internal {
        tracing::error!("{} failed: {}", desk.path, error.chain());
    }
    let title = match error.kind() {
        Kind::NotFound => "There is nothing here",
        Kind::Forbidden => "That is not allowed",
        _ => "That did not work",
    };
    rendered(&TroublePage { frame: desk.frame(title, Nav::None)?, problem: Problem::of(error) })
}

#[derive(Template)]
#[template(path = "bare.html")]
struct BarePage {
    problem: Problem,
}

/// A page without anything of the site, where not even that can be read.
pub(super) fn bare(error: &Error) -> HttpResponse {
    let status = StatusCode::from_u16(error.kind().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if error.kind() == Kind::Internal {
        tracing::error!("A page failed: {}", error.chain());
    }
    page(status, rendered(&BarePage { problem: Problem::of(error) }).unwrap_or_default())
}

impl Next {
    fn into_response(self, request: &HttpRequest) -> HttpResponse {
        match self {
            Next::Again(html) => page(StatusCode::UNPROCESSABLE_ENTITY, html),
            Next::Shown(html) => page(StatusCode::OK, html),
            Next::Document(media, body) => HttpResponse::Ok().content_type(media).body(body),
            Next::Go(to, said) => {
                let mut response = redirect(&to);
                if let Some(value) = said.map(|said| set_cookie(request, SAID, &said.write(), 60))
                    && let Ok(value) = header::HeaderValue::from_str(&value)
                {
                    response.headers_mut().append(header::SET_COOKIE, value);
                }
                response
            }
        }
    }
}

/// The page that follows a form.
pub(super) fn redirect(to: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, to)).finish()
}

/// A page with its policy.
pub(super) fn page(status: StatusCode, html: String) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::REFERRER_POLICY, "same-origin"))
        .body(html)
}

/// What was said is said once.
fn forget_said(request: &HttpRequest, mut response: HttpResponse) -> HttpResponse {
    if cookie(request, SAID).is_some_and(|text| !text.is_empty())
        && let Ok(value) = header::HeaderValue::from_str(&set_cookie(request, SAID, "", 0))
    {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

/// Pairs as the query of an address.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let one = |(name, value): &(&str, &str)| format!("{name}={}", encoded(value));
    pairs.iter().map(one).collect::<Vec<_>>().join("&")
}

/// A text as a part of an address.
pub(super) fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_form_from_another_site_is_told_by_its_origin() {
        let elsewhere = |headers: &[(&'static str, &str)]| {
            let request = headers.iter().fold(TestRequest::post().insert_header(("host", "a:1")), |r, h| r.insert_header(*h));
            comes_from_elsewhere(&request.to_http_request())
        };
        assert!(!elsewhere(&[]) && !elsewhere(&[("origin", "http://a:1")]));
        assert!(elsewhere(&[("origin", "http://b:1")]) && elsewhere(&[("origin", "null")]));
        assert!(elsewhere(&[("origin", "http://a:1"), ("sec-fetch-site", "cross-site")]));
    }

    #[test]
    fn cookies_are_kept_from_scripts_and_other_sites() {
        let request = TestRequest::get().insert_header(("cookie", "a=1; entente_session=tok; b=2")).to_http_request();
        assert_eq!(token(&request).unwrap().expose_secret(), "tok");
        let set = begin_cookie(&request, &"x".into());
        assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax") && !set.contains("Secure"));
    }

    #[test]
    fn a_path_with_a_name_in_it_is_read_back() {
        let name = "a/b ?ä";
        assert_eq!(decoded(&encoded(name)), name);
    }
}
