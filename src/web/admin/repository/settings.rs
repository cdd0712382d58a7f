//! A repository's settings: adding, changing, testing, switching, removing.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use askama::Template;

use super::{ConfirmPage, Head, repository, state};
use crate::{
    error::{Error, Result},
    model::{Mode, Repository, Role},
    store::repositories,
    sync::{
        clones,
        overview::{self, State},
        register,
    },
    web::{
        admin::{
            desk::{Desk, Next, act, show as page},
            form::{Fields, Form, Problem},
            frame::{Frame, Nav},
            home::{here, there},
            words::When,
        },
        app::App,
    },
};

/// A clock that is off by less is right, milliseconds.
const RIGHT: i64 = 2_000;

fn fields_of(repository: &Repository) -> Fields {
    Fields::default()
        .with("name", &repository.name)
        .maybe("url", repository.url.as_ref())
        .maybe("user", repository.user.as_ref())
        .maybe("proxy", repository.bare_proxy())
        .maybe("uuid", repository.uuid)
        .with("type", repository.kind.word())
        .ticked("accept_pushes", repository.accept_pushes)
}

/// What was typed, over what is known.
fn typed(form: &Form, known: &Repository) -> Result<Repository> {
    let user = form.given("user").map(str::to_owned);
    let password = match (form.secret("password"), &user) {
        (Some(password), Some(_)) => Some(password),
        (None, Some(user)) if known.user.as_ref() == Some(user) => known.password.clone(),
        (None, Some(_)) => return Err(Error::usage("The account there needs its password")),
        (_, None) => None,
    };
    let proxy = form.given("proxy").map(str::to_owned);
    // A proxy's password is not shown, so what is shown stands for what is stored.
    let proxy = if proxy == known.bare_proxy() { known.proxy.clone() } else { proxy };
    Ok(Repository {
        name: form.text("name").to_owned(),
        url: form.given("url").map(|url| url.trim_end_matches('/').to_owned()),
        user,
        password,
        proxy,
        uuid: form.given("uuid").map(str::parse).transpose()?.or(known.uuid),
        accept_pushes: form.on("accept_pushes"),
        kind: form.given("type").map(str::parse).transpose()?.unwrap_or(known.kind),
        ..known.clone()
    })
}

#[derive(Template)]
#[template(path = "repository_new.html")]
struct NewPage {
    frame: Frame,
    problem: Option<Problem>,
    fields: Fields,
    password_help: &'static str,
}

const NEW_PASSWORD: &str = "It is kept sealed and never shown again.";

/// The form for a new repository.
pub(in crate::web::admin) async fn new(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Admin, |desk| {
        let fields = fields_of(&Repository::new(""));
        let frame = desk.frame("Register a site", Nav::Repositories)?;
        Ok(NewPage { frame, problem: None, fields, password_help: NEW_PASSWORD })
    })
    .await
}

/// Adds a repository and registers there.
pub(in crate::web::admin) async fn add(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Admin, |desk, form| {
        let done = typed(form, &Repository::new("")).and_then(|new| register::add(desk.site(), &new));
        let added = match done {
            Ok(added) => added,
            Err(error) => {
                let frame = desk.frame("Register a site", Nav::Repositories)?;
                let problem = Some(Problem::of(&error));
                return Next::again(&NewPage { frame, problem, fields: Fields::typed(form), password_help: NEW_PASSWORD });
            }
        };
        let repository = &added.repository;
        if repository.url.is_some() && added.warning.is_none() && repository.uuid.is_some() {
            // What it offers is known when one chooses what to share. That it does not say so now matters to nobody.
            if let Err(error) = register::test(desk.site(), repository) {
                tracing::debug!("{} did not say what it offers: {}", repository.name, error.chain());
            }
        }
        desk.changed(&format!("added the repository {}", repository.name))?;
        let to = format!("/repositories/{}/resources", repository.id);
        match (&added.warning, repository.exposed()) {
            (Some(warning), _) => Next::warned(format!("/repositories/{}", repository.id), warning.clone()),
            (None, true) => Next::warned(
                to,
                format!(
                    "{} is registered. It is called without encryption over a network that others may read: use https.",
                    repository.name
                ),
            ),
            (None, false) if repository.url.is_some() => {
                Next::done(to, format!("{} is added, and this site is registered there. Choose what to share with it.", repository.name))
            }
            (None, false) => Next::done(to, format!("{} is added. It will be known when it calls.", repository.name)),
        }
    })
    .await
}

#[derive(Template)]
#[template(path = "repository_settings.html")]
struct SettingsPage {
    frame: Frame,
    head: Head,
    problem: Option<Problem>,
    fields: Fields,
    password_help: &'static str,
    uuid: String,
    version: String,
    clock: String,
    failures: u32,
    here: String,
    there: Option<(String, When)>,
    enabled: bool,
    cloned: bool,
    test: Option<Tested>,
}

/// What a connection test found.
struct Tested {
    class: &'static str,
    heading: String,
    text: String,
    grants: Vec<String>,
}

fn settings_page(desk: &Desk, state: &State, problem: Option<Problem>, fields: Fields, test: Option<Tested>) -> Result<SettingsPage> {
    let repository = &state.repository;
    let last = state.condition.as_ref();
    Ok(SettingsPage {
        frame: desk.frame(&repository.name, Nav::Repositories)?,
        head: Head::of(desk, state, ""),
        problem,
        fields,
        password_help: if repository.password.is_some() { "One is kept, sealed. Leave this empty to keep it." } else { NEW_PASSWORD },
        uuid: repository.uuid.map_or_else(|| "not known yet".into(), |uuid| uuid.to_string()),
        version: last.and_then(|last| last.version.clone()).unwrap_or_else(|| "not known yet".into()),
        clock: last.and_then(|last| last.skew).map_or_else(|| "not seen yet".into(), clock),
        failures: last.map_or(0, |last| last.failures),
        here: overview::waiting_here(desk.site(), [state])?.into_iter().next().map_or_else(String::new, here),
        there: there(state, desk.now),
        enabled: repository.enabled,
        cloned: state.cloned.is_some(),
        test,
    })
}

fn clock(skew: i64) -> String {
    match skew {
        right if right.abs() <= RIGHT => "right".into(),
        ahead if ahead > 0 => format!("{} s ahead of ours", ahead / 1_000),
        behind => format!("{} s behind ours", -behind / 1_000),
    }
}

/// A repository's settings.
pub(in crate::web::admin) async fn settings(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Viewer, |desk| {
        let state = state(desk)?;
        let fields = fields_of(&state.repository);
        settings_page(desk, &state, None, fields, None)
    })
    .await
}

/// Stores a repository's settings, and registers there again where they matter to that.
pub(in crate::web::admin) async fn save(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Admin, |desk, form| {
        let state = state(desk)?;
        let known = &state.repository;
        let saved = typed(form, known).and_then(|changed| {
            let reach = |r: &Repository| (r.url.clone(), r.user.clone(), r.proxy.clone());
            if (reach(&changed) != reach(known) || form.secret("password").is_some()) && changed.enabled {
                return register::change(desk.site(), &changed);
            }
            changed.validate()?;
            desk.site().store.write(|c| repositories::update(c, desk.site().store.key(), &changed))?;
            Ok(register::Added { repository: changed, warning: None })
        });
        match saved {
            Ok(added) => {
                desk.changed(&format!("changed the repository {}", added.repository.name))?;
                let to = format!("/repositories/{}", known.id);
                match added.warning {
                    Some(warning) => Next::warned(to, warning),
                    None => Next::done(to, "Saved."),
                }
            }
            Err(error) => Next::again(&settings_page(desk, &state, Some(Problem::of(&error)), Fields::typed(form), None)?),
        }
    })
    .await
}

/// Calls a repository: is it there, what does it grant, is its clock right.
pub(in crate::web::admin) async fn test(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Operator, |desk, _| {
        let state = state(desk)?;
        let found = match register::test(desk.site(), &state.repository) {
            Ok(contact) => {
                let way = |mode: Mode| match mode {
                    Mode::Both => "pull and push",
                    Mode::Pull => "pull",
                    Mode::Push => "push",
                    Mode::None => "nothing",
                };
                let hello = &contact.hello;
                let grants: Vec<String> = hello.resources.iter().map(|r| format!("{}: we may {}", r.name, way(r.mode))).collect();
                let paused = if hello.paused { " It is paused by its administrator." } else { "" };
                let nothing = if grants.is_empty() && !hello.paused { " It grants nothing to our account yet." } else { "" };
                Tested {
                    class: if paused.is_empty() && nothing.is_empty() { "good" } else { "warn" },
                    heading: format!("{} answers.", hello.name),
                    text: format!("Entente {}, its clock is {}.{paused}{nothing}", hello.version, clock(contact.skew)),
                    grants,
                }
            }
            Err(error) => {
                let text = Problem::of(&error).told();
                Tested { class: "bad", heading: "It cannot be reached.".into(), text, grants: Vec::new() }
            }
        };
        let fields = fields_of(&state.repository);
        Next::shown(&settings_page(desk, &state, None, fields, Some(found))?)
    })
    .await
}

/// Enables or disables a repository.
pub(in crate::web::admin) async fn enable(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Admin, |desk, form| {
        let known = repository(desk)?;
        let enabled = form.text("enabled") == "yes";
        if let (true, Some(uuid)) = (enabled, known.uuid) {
            clones::settle(desk.site(), uuid)?;
        }
        let changed = Repository { enabled, ..known };
        desk.site().store.write(|c| repositories::update(c, desk.site().store.key(), &changed))?;
        let word = if enabled { "enabled" } else { "disabled" };
        desk.changed(&format!("{word} the repository {}", changed.name))?;
        Next::done(format!("/repositories/{}", changed.id), format!("{} is {word}.", changed.name))
    })
    .await
}

/// Asks whether a repository is to be removed.
pub(in crate::web::admin) async fn ask_remove(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Admin, |desk| {
        let known = repository(desk)?;
        Ok(ConfirmPage {
            frame: desk.frame(&format!("Remove {}?", known.name), Nav::Repositories)?,
            problem: None,
            text: format!("What is shared with {} and its schedules are removed here. Records and the log stay, here and there. The other site keeps its own entry of this one.", known.name),
            action: format!("/repositories/{}/remove", known.id),
            hidden: Vec::new(),
            ticks: Vec::new(),
            deed: "Remove",
            back: format!("/repositories/{}", known.id),
        })
    })
    .await
}

/// Removes a repository.
pub(in crate::web::admin) async fn remove(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Admin, |desk, _| {
        let known = repository(desk)?;
        desk.site().store.write(|c| repositories::remove(c, &known.name))?;
        desk.changed(&format!("removed the repository {}", known.name))?;
        Next::done("/repositories", format!("{} is removed.", known.name))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_is_not_typed_again_stays_with_its_account_and_no_other() {
        let known = Repository { user: Some("hall".into()), password: Some("kept".into()), ..Repository::new("hub") };
        let read = |text| typed(&Form::parse(text).unwrap(), &known);
        assert!(read("name=hub&user=hall").unwrap().password.is_some());
        assert!(read("name=hub&user=other").is_err());
        assert!(read("name=hub").unwrap().password.is_none());
    }

    #[test]
    fn a_clock_is_right_or_off_by_seconds() {
        for (skew, want) in [(0, "right"), (-2_000, "right"), (41_200, "41 s ahead of ours"), (-3_000, "3 s behind ours")] {
            assert_eq!(clock(skew), want);
        }
    }
}
