//! Repositories: the list, and one with its tabs.

mod log;
mod run;
mod settings;

use actix_web::{HttpRequest, HttpResponse, web::Data};
use askama::Template;

use super::{
    desk::{Desk, query, show as page},
    form::Problem,
    frame::{Frame, Nav},
    home::{Line, Running, class},
    words::{When, figure},
};
use crate::{
    error::{Error, Result},
    model::{Health, Repository, Role},
    store::repositories,
    sync::overview::{self, State},
    web::app::App,
};

pub(super) use log::log;
pub(super) use run::{dry_run, run, run_form, sync};
pub(super) use settings::{add, ask_remove, enable, new, remove, save, settings, test};

/// So many repositories stand on one page.
const PAGE: usize = 100;

#[derive(Template)]
#[template(path = "repositories.html")]
struct ListPage {
    frame: Frame,
    search: String,
    states: Vec<Line>,
    next: Option<String>,
}

/// All repositories, those in trouble first.
pub(super) async fn list(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Viewer, |desk| {
        let search = desk.query.text("q").to_lowercase();
        let seen = overview::overview(desk.site())?;
        let matches = |state: &&State| {
            let url = state.repository.url.as_deref().unwrap_or_default();
            search.is_empty() || state.repository.name.to_lowercase().contains(&search) || url.to_lowercase().contains(&search)
        };
        let first = desk.query.number::<usize>("from", "From")?.unwrap_or(0);
        let found: Vec<&State> = seen.states.iter().filter(matches).skip(first).take(PAGE + 1).collect();
        let next = (found.len() > PAGE)
            .then(|| format!("/repositories?{}", query(&[("q", desk.query.text("q")), ("from", &(first + PAGE).to_string())])));
        Ok(ListPage {
            frame: desk.frame("Repositories", Nav::Repositories)?,
            search: desk.query.text("q").to_owned(),
            states: found.into_iter().take(PAGE).map(|state| Line::of(state, desk.now)).collect(),
            next,
        })
    })
    .await
}

/// A tab of a repository.
pub(super) struct Tab {
    pub(super) to: &'static str,
    pub(super) label: &'static str,
    pub(super) here: bool,
    pub(super) count: String,
}

/// What stands above each tab of a repository.
pub(super) struct Head {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) address: String,
    pub(super) class: &'static str,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) success: Option<When>,
    pub(super) next: Option<When>,
    pub(super) verified: Option<When>,
    pub(super) running: Option<Running>,
    /// It has an address and is enabled.
    pub(super) callable: bool,
    pub(super) tabs: Vec<Tab>,
}

impl Head {
    pub(super) fn of(desk: &Desk, state: &State, here: &str) -> Head {
        let repository = &state.repository;
        let line = Line::of(state, desk.now);
        let count = |number: u64| if number > 0 { figure(number) } else { String::new() };
        let tab = |to: &'static str, label, number| Tab { to, label, here: here == to, count: count(number) };
        let trouble = &state.trouble;
        Head {
            id: repository.id,
            name: repository.name.clone(),
            address: line.address,
            class: class(state.health),
            reason: state.reason.clone(),
            message: match (&state.condition, state.health) {
                (Some(last), Health::Yellow | Health::Red) => last.message.clone(),
                _ => String::new(),
            },
            success: line.success,
            next: line.next,
            verified: line.verified,
            running: line.running,
            callable: repository.url.is_some() && repository.enabled,
            tabs: vec![
                tab("", "Settings", 0),
                tab("/resources", "Resources", 0),
                tab("/schedule", "Schedule", 0),
                tab("/compare", "Compare", 0),
                tab("/log", "Log", 0),
                tab("/conflicts", "Conflicts", trouble.conflicts),
                tab("/quarantine", "Quarantine", trouble.quarantined + trouble.parked),
            ],
        }
    }
}

/// The repository that the address names.
pub(super) fn repository(desk: &Desk) -> Result<Repository> {
    let unknown = || Error::not_found("There is no such repository").hint("It may have been removed.");
    let id = desk.part("id").parse().map_err(|_| unknown())?;
    desk.site().store.read(|c| repositories::by_id(c, desk.site().store.key(), id)).map_err(|_| unknown())
}

/// The repository that the address names, and how it is.
pub(super) fn state(desk: &Desk) -> Result<State> {
    overview::state(desk.site(), repository(desk)?)
}

#[derive(Template)]
#[template(path = "confirm.html")]
pub(super) struct ConfirmPage {
    pub(super) frame: Frame,
    pub(super) problem: Option<Problem>,
    pub(super) text: String,
    pub(super) action: String,
    pub(super) hidden: Vec<(String, String)>,
    pub(super) ticks: Vec<(&'static str, String)>,
    pub(super) deed: &'static str,
    pub(super) back: String,
}
