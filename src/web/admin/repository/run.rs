//! Runs that somebody asks for.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use askama::Template;

use super::{Head, repository, state};
use crate::{
    error::{Error, Result},
    model::{Ask, Role},
    store::jobs,
    web::{
        admin::{
            desk::{Desk, Next, act, show as page},
            form::Problem,
            frame::{Frame, Nav},
        },
        app::App,
    },
};

fn asked(desk: &Desk, ask: Ask, sentence: &str) -> Result<Next> {
    let known = repository(desk)?;
    if known.url.is_none() || !known.enabled {
        return Err(Error::usage(format!("{} cannot be called: it is disabled, or has no address", known.name)));
    }
    desk.site().store.write(|c| jobs::ask(c, known.id, ask, desk.now))?;
    Next::done(format!("/repositories/{}/log", known.id), format!("{sentence} The worker begins at once."))
}

/// Asks for a run now.
pub(in crate::web::admin) async fn sync(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Operator, |desk, _| asked(desk, Ask::default(), "A run was asked for.")).await
}

/// Asks for a dry run.
pub(in crate::web::admin) async fn dry_run(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let ask = Ask { dry_run: true, ..Ask::default() };
    act(app, request, payload, Role::Operator, |desk, _| {
        asked(desk, ask, "A dry run was asked for: it changes nothing, and says here what would happen.")
    })
    .await
}

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    frame: Frame,
    head: Head,
    problem: Option<Problem>,
    resources: Vec<String>,
}

fn run_page(desk: &Desk, problem: Option<Problem>) -> Result<RunPage> {
    let state = state(desk)?;
    Ok(RunPage {
        frame: desk.frame(&format!("Run in part with {}", state.repository.name), Nav::Repositories)?,
        head: Head::of(desk, &state, "/run"),
        problem,
        resources: state.resources.iter().map(|resource| resource.name.clone()).collect(),
    })
}

/// The form for a run in part.
pub(in crate::web::admin) async fn run_form(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Operator, |desk| run_page(desk, None)).await
}

/// Asks for a run in part.
pub(in crate::web::admin) async fn run(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Operator, |desk, form| {
        let chosen: Vec<String> = form.all("resource").into_iter().map(str::to_owned).collect();
        if chosen.is_empty() {
            let problem = Problem::of(&Error::usage("No resource was chosen").hint("Tick at least one."));
            return Next::again(&run_page(desk, Some(problem))?);
        }
        let state = state(desk)?;
        let all = state.resources.len() == chosen.len();
        let ask = Ask {
            resources: (!all).then_some(chosen),
            pull: form.text("way") != "push",
            push: form.text("way") != "pull",
            full: form.on("full"),
            dry_run: form.on("dry_run"),
            named: None,
        };
        asked(desk, ask, "The run was asked for.")
    })
    .await
}
