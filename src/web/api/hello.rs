//! `GET /sync/hello`: who is here; with credentials also what is granted.

use actix_web::{HttpRequest, web::Data};

use super::who;
use crate::{
    sync::serve,
    web::{
        answer::{Answer, JSON, Packed, wanted},
        app::{App, call},
    },
    wire,
};

/// Answers anyone, also while the site is paused.
pub(in crate::web) async fn show(app: Data<App>, request: HttpRequest) -> Answer {
    let (caller, wanted) = (who::known(&app, &request).await?, wanted(&request));
    let greeting = wire::query::parse_greeting(&who::pairs(&request)?)?;
    let hello = call(move || Packed::new(wanted, wire::write_json(&serve::hello(&app.site, caller.as_ref(), &greeting)?))).await?;
    Ok(hello.answer(JSON))
}
