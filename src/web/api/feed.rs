//! `GET /sync/sync.xml`: one page of a feed.

use actix_web::{HttpRequest, web::Data};

use super::who;
use crate::{
    sync::serve,
    web::{
        answer::{Answer, Packed, XML, wanted},
        app::{App, call, turn},
        eden,
    },
    wire::{self, query},
};

/// Gives the page after the cursor that the query names.
pub(in crate::web) async fn show(app: Data<App>, request: HttpRequest) -> Answer {
    if wire::eden::query::is_pull(&who::pairs(&request)?) {
        return eden::give(app, request, None).await;
    }
    let caller = who::caller(&app, &request).await?;
    let ((asked, _), wanted) = (query::parse_pull(&who::pairs(&request)?)?, wanted(&request));
    let turn = turn(&app).await?;
    let page = call(move || {
        let page = serve::feed(&app.site, &caller, &asked)?;
        let mut bytes = Vec::new();
        wire::write(&page, app.site.id, &mut bytes)?;
        drop(turn);
        Packed::new(wanted, bytes)
    });
    Ok(page.await?.answer(XML))
}
