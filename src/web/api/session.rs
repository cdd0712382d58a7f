//! `POST /sync/session` and `DELETE`: a token instead of a password for each request.

use actix_web::{HttpRequest, HttpResponse, web::Data};

use super::who;
use crate::{
    sync::{admit, clones},
    web::{
        answer::{Answer, JSON},
        app::{App, call},
    },
    wire,
};

/// Opens a session for an account and a site. It opens while the site is paused, too: hello is answered then.
pub(in crate::web) async fn open(app: Data<App>, request: HttpRequest) -> Answer {
    let (account, claimed) = who::account(&app, &request).await?;
    let formerly = who::formerly(&request)?;
    let session = call(move || {
        let uuid = claimed.map_or_else(|| admit::bound(&account), Ok)?;
        if let Some(former) = formerly {
            clones::moved(&app.site, &account, uuid, former)?;
        }
        admit::session(&app.site, &account, uuid)
    });
    Ok(HttpResponse::Ok().content_type(JSON).body(wire::write_json(&session.await?)))
}

/// Ends the session that the request shows.
pub(in crate::web) async fn close(app: Data<App>, request: HttpRequest) -> Answer {
    let token = who::token(&request)?;
    call(move || admit::end_session(&app.site, &token)).await?;
    Ok(HttpResponse::NoContent().finish())
}
