//! `POST /sync/repository/register.json`: a site makes itself known.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};

use serde_json::json;

use super::who;
use crate::{
    error::{Error, Kind, Result},
    model::Registration,
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

/// Takes JSON whatever its media type says: Eden sends another. Whoever does not say who it is is told who we are all the same.
pub(in crate::web) async fn enter(app: Data<App>, request: HttpRequest, payload: Payload) -> Answer {
    let (account, _) = who::account(&app, &request).await?;
    let body = body::read(&request, payload, LIMIT as u64).await?;
    let sender = app.site.id;
    let registered = call(move || {
        admit::refuse_while_paused(&app.site)?;
        admit::register(&app.site, &account, &registration(&body.plain(&app.limits)?)?)
    });
    match registered.await {
        Ok(registered) => Ok(HttpResponse::Ok().content_type(JSON).body(wire::write_json(&registered))),
        Err(error) if error.kind() == Kind::Malformed => {
            let (sender, kind) = (sender.to_string(), error.kind().word());
            let refusal = json!({"status": "failed", "statuscode": "400", "message": error.to_string(), "sender": sender, "kind": kind});
            Ok(HttpResponse::BadRequest().content_type(JSON).body(refusal.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

fn registration(body: &[u8]) -> Result<Registration> {
    let mut told: serde_json::Value = wire::read_json(body, LIMIT)?;
    let Some(members) = told.as_object_mut() else { return Err(Error::malformed("A registration is a JSON object")) };
    if members.get("uuid").and_then(|uuid| uuid.as_str()).is_none_or(|uuid| uuid.trim().is_empty()) {
        return Err(Error::malformed("No repository identifier specified"));
    }
    serde_json::from_value(told).map_err(|error| Error::malformed("A member of the registration is not of its kind").because(error))
}
