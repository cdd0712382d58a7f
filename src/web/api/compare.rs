//! `POST /sync/compare`: one step of a comparison.

use actix_web::{
    HttpRequest,
    web::{Data, Payload},
};

use super::who;
use crate::{
    error::Error,
    model::CompareRequest,
    sync::compare,
    web::{
        answer::{Answer, JSON, Packed, wanted},
        app::{App, call, turn},
        body,
    },
    wire,
};

/// The most bytes of a question.
const LIMIT: usize = 4 << 20;

/// Answers what the caller wants to know.
pub(in crate::web) async fn show(app: Data<App>, request: HttpRequest, payload: Payload) -> Answer {
    let caller = who::caller(&app, &request).await?;
    let named = who::pairs(&request)?.into_iter().find(|(name, _)| name == "resource");
    let (_, resource) = named.ok_or_else(|| Error::malformed("The parameter `resource` is missing"))?;
    let body = body::read(&request, payload, LIMIT as u64).await?;
    let (wanted, turn) = (wanted(&request), turn(&app).await?);
    let answer = call(move || {
        let question: CompareRequest = wire::read_json(&body.plain(&app.limits)?, LIMIT)?;
        let answer = compare::answer(&app.site, &caller, &resource, &question)?;
        drop(turn);
        Packed::new(wanted, wire::write_json(&answer))
    });
    Ok(answer.await?.answer(JSON))
}
