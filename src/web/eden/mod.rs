//! What a stock Sahana Eden calls (docs/eden.md). A handler parses, makes one call, and answers in the words that an Eden depends on.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path, Payload},
};

use crate::{
    error::{Error, Kind, Result},
    model::{Limits, Registration, SiteId},
    sync::{
        admit::{self, Caller},
        eden as engine,
    },
    web::{
        answer::{Answer, JSON, Packed, XML, wanted},
        api::who,
        app::{App, call, turn},
        body,
    },
    wire::{
        self,
        eden::{self, Sender, query},
    },
};

/// An Eden sends whole tables in one document.
const LARGEST: u64 = 256 << 20;

/// `GET /sync/sync.xml` without a cursor, or the address of a controller: everything that the caller was not given yet.
pub(super) async fn give(app: Data<App>, request: HttpRequest, named: Option<String>) -> Answer {
    let caller = match who::caller(&app, &request).await {
        Err(error) if error.kind() == Kind::Malformed => {
            return Err(Error::forbidden("The caller says no UUID of its own").because(error).into());
        }
        known => known?,
    };
    let (pull, wanted) = (query::parse_pull(&who::pairs(&request)?, named.as_deref())?, wanted(&request));
    let sender = sender(&app, &request);
    let turn = turn(&app).await?;
    let packed = call(move || {
        let caller = admit::is_eden(&app.site, caller)?;
        let feed = engine::feed(&app.site, &caller, &pull).map_err(|error| unknown(error, &pull.resource))?;
        let mut text = String::new();
        let lossy = eden::write(&feed, &sender, &mut text)?;
        tell(&caller, &pull.resource, &lossy);
        drop(turn);
        Packed::new(wanted, text.into_bytes())
    });
    Ok(packed.await?.answer(XML))
}

/// As [`give`], where the address names the resource.
pub(super) async fn give_named(app: Data<App>, request: HttpRequest, path: Path<(String, String)>) -> Answer {
    let named = resource(path);
    give(app, request, Some(named)).await
}

/// `POST /sync/sync.xml` without a batch, or the address of a controller: a document to apply.
pub(super) async fn take(app: Data<App>, request: HttpRequest, payload: Payload, named: Option<String>) -> Answer {
    let caller = registered(&app, &request).await?;
    let push = query::parse_push(&who::pairs(&request)?, named.as_deref())?;
    let media = request.headers().get("content-type").and_then(|media| media.to_str().ok()).unwrap_or_default().to_owned();
    let body = body::read(&request, payload, LARGEST).await?;
    let own = [app.site.domain(), host(&request)];
    let turn = turn(&app).await?;
    let answer = call(move || {
        let own = [own[0].as_str(), own[1].as_str()];
        let limits = Limits { body: LARGEST, ..app.limits };
        let bytes = body.plain(&limits)?;
        let documents: Vec<_> =
            eden::document_of(&media, &bytes)?.into_iter().map(|body| eden::read(body, &own, &limits)).collect::<Result<_>>()?;
        let mut all = crate::model::eden::EdenAnswer::default();
        for document in documents {
            let done = engine::receive(&app.site, &caller, &push, &document).map_err(|error| unknown(error, &push.resource))?;
            all.records = Some(all.records.unwrap_or(0) + done.records.unwrap_or(0));
            all.created += done.created;
            all.updated += done.updated;
            all.deleted += done.deleted;
            all.refused.extend(done.refused);
        }
        drop(turn);
        Ok(eden::write_answer(&all))
    });
    Ok(HttpResponse::Ok().content_type(JSON).body(answer.await?))
}

/// As [`take`], where the address names the resource.
pub(super) async fn take_named(app: Data<App>, request: HttpRequest, payload: Payload, path: Path<(String, String)>) -> Answer {
    let named = resource(path);
    take(app, request, payload, Some(named)).await
}

/// `GET /sync/repository/register.xml`: how an Eden of before 2016 makes itself known.
pub(super) async fn classic(app: Data<App>, request: HttpRequest) -> Answer {
    let pairs = who::pairs(&request)?;
    let (account, _) = who::account(&app, &request).await?;
    let of = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let (uuid, name) = (of("repository").unwrap_or_default(), of("name"));
    let registration = Registration { uuid, name, apitype: Some("eden".into()), url: None, entente: None };
    let registered = call(move || {
        admit::refuse_while_paused(&app.site)?;
        admit::register(&app.site, &account, &registration)
    });
    Ok(HttpResponse::Ok().content_type(JSON).body(wire::write_json(&registered.await?)))
}

fn resource(path: Path<(String, String)>) -> String {
    let (prefix, name) = path.into_inner();
    format!("{prefix}_{name}")
}

/// The caller of a push, who has to have registered or pulled before.
async fn registered(app: &Data<App>, request: &HttpRequest) -> Result<Caller> {
    if who::token(request).is_ok() {
        return who::caller(app, request).await;
    }
    let required = || Error::forbidden("Registration required").hint("Register at /sync/repository/register.json first.");
    let (account, claimed) = match who::account(app, request).await {
        // What is no UUID never registered.
        Err(error) if error.kind() == Kind::Malformed => return Err(required()),
        known => known?,
    };
    let app = app.clone();
    call(move || {
        admit::refuse_while_paused(&app.site)?;
        let bound = account.bound.ok_or_else(required)?;
        if claimed.is_some_and(|claimed: SiteId| claimed != bound) {
            return Err(required());
        }
        let caller = admit::caller(&app.site, &account, bound)?;
        admit::is_eden(&app.site, caller)
    })
    .await
}

/// An Eden expects 400 where a table is unknown.
fn unknown(error: Error, resource: &str) -> Error {
    match error.kind() {
        Kind::NotFound => Error::malformed(format!("Unknown resource: {resource}")).because(error),
        _ => error,
    }
}

fn tell(caller: &Caller, resource: &str, lossy: &eden::Lossy) {
    if lossy.replaced > 0 {
        tracing::warn!(
            repository = caller.repository.id,
            "{resource}: characters that XML cannot carry were replaced in {} texts",
            lossy.replaced
        );
    }
    if !lossy.unsent.is_empty() {
        let fields: Vec<&str> = lossy.unsent.iter().map(String::as_str).collect();
        tracing::warn!(repository = caller.repository.id, "{resource}: Eden cannot be given the values of {}", fields.join(", "));
    }
}

fn host(request: &HttpRequest) -> String {
    let host = request.connection_info().host().to_owned();
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name.to_owned(),
        _ => host,
    }
}

fn sender(app: &Data<App>, request: &HttpRequest) -> Sender {
    let info = request.connection_info().clone();
    let url = format!("{}://{}", info.scheme(), info.host());
    Sender { site: app.site.id, domain: host(request), prefix: app.site.domain(), url }
}
