//! The log of a repository.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use askama::Template;

use super::{Head, state};
use crate::{
    model::Role,
    store::log::{self, LogFilter},
    web::{
        admin::{
            desk::show as page,
            frame::{Frame, Nav},
            log::{Row, earlier, rows},
        },
        app::App,
    },
};

#[derive(Template)]
#[template(path = "repository_log.html")]
struct LogPage {
    frame: Frame,
    head: Head,
    rows: Vec<Row>,
    next: Option<String>,
}

/// The log of a repository.
pub(in crate::web::admin) async fn log(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Viewer, |desk| {
        let state = state(desk)?;
        let before = desk.query.number("before", "Before")?;
        let filter = LogFilter { repository: Some(state.repository.id), before, ..LogFilter::default() };
        let found = desk.site().store.read(|c| log::list(c, &filter))?;
        Ok(LogPage {
            frame: desk.frame(&format!("Log of {}", state.repository.name), Nav::Repositories)?,
            head: Head::of(desk, &state, "/log"),
            next: earlier(&found, &filter, &format!("/repositories/{}/log?", state.repository.id)),
            rows: rows(&found, desk.now),
        })
    })
    .await
}
