//! Who calls: from a request's headers and query to a caller.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::{
    HttpRequest,
    http::header,
    web::{Data, Query},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::SecretString;

use crate::{
    error::{Error, Kind, Result},
    model::{Account, SiteId},
    sync::admit::{self, Caller},
    web::app::{App, call},
};

/// The decoded pairs of a query, in their order.
pub(in crate::web) type Pairs = Vec<(String, String)>;

/// What a request shows.
pub(super) enum Shown {
    Nobody,
    Basic(String, SecretString),
    Bearer(SecretString),
}

/// The pairs of the query. Brackets and the like may stand in it raw.
pub(in crate::web) fn pairs(request: &HttpRequest) -> Result<Pairs> {
    let pairs = Query::<Pairs>::from_query(request.query_string());
    pairs.map(Query::into_inner).map_err(|e| Error::malformed("The query cannot be read").because(e.to_string()))
}

/// The caller, who must be somebody. Refuses while the site is paused.
pub(in crate::web) async fn caller(app: &Data<App>, request: &HttpRequest) -> Result<Caller> {
    let app = app.clone();
    let known = known(&app, request).await?.ok_or_else(nobody)?;
    call(move || admit::refuse_while_paused(&app.site)).await?;
    Ok(known)
}

/// The caller; `None` if the request shows nothing.
pub(in crate::web) async fn known(app: &Data<App>, request: &HttpRequest) -> Result<Option<Caller>> {
    let claimed = claimed(request)?;
    let (app, address) = (app.clone(), address(request));
    let caller = match shown(request)? {
        Shown::Nobody => return Ok(None),
        Shown::Bearer(token) => call(move || admit::caller_by_token(&app.site, &token)).await?,
        Shown::Basic(name, password) => {
            call(move || {
                let account = admit::login(&app.site, &app.gate, address, &name, &password)?;
                let uuid = claimed.map_or_else(|| admit::bound(&account), Ok)?;
                admit::caller(&app.site, &account, uuid)
            })
            .await?
        }
    };
    if claimed.is_some_and(|uuid| uuid != caller.uuid) {
        return Err(Error::forbidden("The session belongs to another site than the one the request names"));
    }
    Ok(Some(caller))
}

/// The account of a request with name and password, and the site it says it comes from.
pub(in crate::web) async fn account(app: &Data<App>, request: &HttpRequest) -> Result<(Account, Option<SiteId>)> {
    let claimed = claimed(request)?;
    let Shown::Basic(name, password) = shown(request)? else { return Err(nobody()) };
    let (app, address) = (app.clone(), address(request));
    let account = call(move || admit::login(&app.site, &app.gate, address, &name, &password)).await?;
    Ok((account, claimed))
}

/// The token of a request.
pub(in crate::web) fn token(request: &HttpRequest) -> Result<SecretString> {
    match shown(request)? {
        Shown::Bearer(token) => Ok(token),
        _ => Err(nobody()),
    }
}

fn nobody() -> Error {
    Error::new(Kind::Unauthorized, "Log in with the name and password of an account")
}

pub(super) fn shown(request: &HttpRequest) -> Result<Shown> {
    let Some(header) = request.headers().get(header::AUTHORIZATION) else { return Ok(Shown::Nobody) };
    let unreadable = || Error::new(Kind::Unauthorized, "The Authorization header cannot be read");
    let (scheme, rest) = header.to_str().ok().and_then(|text| text.trim().split_once(' ')).ok_or_else(unreadable)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Shown::Bearer(rest.trim().into()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(unreadable());
    }
    let text = STANDARD.decode(rest.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(unreadable)?;
    let (name, password) = text.split_once(':').ok_or_else(unreadable)?;
    Ok(Shown::Basic(name.to_owned(), password.into()))
}

fn claimed(request: &HttpRequest) -> Result<Option<SiteId>> {
    site_named(request, "repository")
}

/// The site that the caller says it was before.
pub(in crate::web) fn formerly(request: &HttpRequest) -> Result<Option<SiteId>> {
    site_named(request, "formerly")
}

fn site_named(request: &HttpRequest, parameter: &str) -> Result<Option<SiteId>> {
    let pairs = pairs(request)?;
    pairs.iter().find(|(name, _)| name == parameter).map(|(_, uuid)| uuid.parse()).transpose()
}

pub(super) fn address(request: &HttpRequest) -> IpAddr {
    request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip().to_canonical())
}
