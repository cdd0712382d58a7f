//! `POST /sync/fetch`: named records as they are now.

use actix_web::{
    HttpRequest,
    web::{Data, Payload},
};

use super::who;
use crate::{
    error::Error,
    sync::serve,
    web::{
        answer::{Answer, Packed, XML, wanted},
        app::{App, call, turn},
        body,
    },
    wire,
};

/// The most bytes of a list of uids: a thousand of the longest.
const LIMIT: u64 = 1 << 20;

/// Gives the records whose uids stand in the body, one a line.
pub(in crate::web) async fn show(app: Data<App>, request: HttpRequest, payload: Payload) -> Answer {
    let caller = who::caller(&app, &request).await?;
    let named = who::pairs(&request)?.into_iter().find(|(name, _)| name == "resource");
    let (_, resource) = named.ok_or_else(|| Error::malformed("The parameter `resource` is missing"))?;
    let body = body::read(&request, payload, LIMIT).await?;
    let (wanted, turn) = (wanted(&request), turn(&app).await?);
    let page = call(move || {
        let uids = wire::read_uids(&body.plain(&app.limits)?)?;
        let page = serve::fetch(&app.site, &caller, &resource, &uids)?;
        let mut bytes = Vec::new();
        wire::write(&page, app.site.id, &mut bytes)?;
        drop(turn);
        Packed::new(wanted, bytes)
    });
    Ok(page.await?.answer(XML))
}
