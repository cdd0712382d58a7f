//! `POST /sync/repository/register.json`: a site makes itself known.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};

use super::who;
use crate::{
    sync::admit,
    web::{
        answer::{Answer, JSON},
        app::{App, call},
        body,
    },
    wire,
};

/// The most bytes of a registration.
const LIMIT: usize = 64 << 10;

/// Takes JSON whatever its media type says: Eden sends another.
pub(in crate::web) async fn enter(app: Data<App>, request: HttpRequest, payload: Payload) -> Answer {
    let (account, _) = who::account(&app, &request).await?;
    let body = body::read(&request, payload, LIMIT as u64).await?;
    let registered = call(move || {
        admit::refuse_while_paused(&app.site)?;
        admit::register(&app.site, &account, &wire::read_json(&body.plain(&app.limits)?, LIMIT)?)
    });
    Ok(HttpResponse::Ok().content_type(JSON).body(wire::write_json(&registered.await?)))
}
