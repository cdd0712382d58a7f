//! `POST /sync/sync.xml`: one page to apply.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};

use super::who;
use crate::{
    error::Error,
    sync::serve,
    web::{
        answer::{Answer, JSON},
        app::{App, call, turn},
        body, eden,
    },
    wire::{self, query},
};

/// Takes a page. The answer is given when the page is durable; of a page that is refused nothing is applied.
pub(in crate::web) async fn take(app: Data<App>, request: HttpRequest, payload: Payload) -> Answer {
    if wire::eden::query::is_push(&who::pairs(&request)?) {
        return eden::take(app, request, payload, None).await;
    }
    let caller = who::caller(&app, &request).await?;
    let (resource, push, _) = query::parse_push(&who::pairs(&request)?)?;
    let body = body::read(&request, payload, app.limits.body).await?;
    let turn = turn(&app).await?;
    let receipt = call(move || {
        let page = wire::read(&body.plain(&app.limits)?, &app.limits)?;
        if page.resource != resource {
            return Err(Error::malformed(format!("The page is of {:?}, the request of {resource:?}", page.resource)));
        }
        let receipt = serve::receive(&app.site, &caller, &push, &page)?;
        drop(turn);
        Ok(wire::write_receipt(&receipt))
    });
    Ok(HttpResponse::Ok().content_type(JSON).body(receipt.await?))
}
