//! This site's settings, and one's own password and sessions.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use askama::Template;
use secrecy::SecretString;

use super::{
    desk::{Desk, Next, act, show as page},
    door::new_password,
    form::{Fields, Problem},
    frame::{Frame, Nav},
    repository::ConfirmPage,
    users::{PasswordPage, SessionRow, set_password, signed_in},
};
use crate::{
    error::{Error, Result},
    model::{Repository, Role},
    store::{accounts, password::Hashed, sessions, site as control},
    sync::attach,
    web::app::App,
};

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    frame: Frame,
    problem: Option<Problem>,
    fields: Fields,
    uuid: String,
    version: &'static str,
    data: String,
    store: String,
    sessions: Vec<SessionRow>,
}

fn settings_page(desk: &Desk, fields: Fields, problem: Option<Problem>) -> Result<SettingsPage> {
    let site = desk.site();
    Ok(SettingsPage {
        frame: desk.frame("Settings", Nav::Settings)?,
        problem,
        fields,
        uuid: site.id.to_string(),
        version: env!("CARGO_PKG_VERSION"),
        data: site.store.dir().display().to_string(),
        store: site.store.database().map_or_else(|| "in the data directory".into(), ToString::to_string),
        sessions: signed_in(desk, Some(&desk.person.account.name))?,
    })
}

/// What is set.
pub(super) async fn show(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Viewer, |desk| {
        let (row, proxy) = desk.site().store.read(|c| Ok((control::find(c)?, control::proxy(c)?)))?;
        let shown = Repository { proxy, ..Repository::new("") }.bare_proxy();
        let fields = Fields::default().maybe("name", row.map(|row| row.name)).maybe("proxy", shown);
        settings_page(desk, fields, None)
    })
    .await
}

/// Sets the site's name and the proxy for all sites.
pub(super) async fn save(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Admin, |desk, form| {
        let (name, proxy) = (form.text("name"), form.given("proxy"));
        let valid = Repository::new(name).validate();
        if let Err(error) = valid {
            return Next::again(&settings_page(desk, Fields::typed(form), Some(Problem::of(&error)))?);
        }
        desk.site().store.write(|c| {
            control::rename(c, name)?;
            let kept = control::proxy(c)?;
            let shown = Repository { proxy: kept, ..Repository::new("") }.bare_proxy();
            // A proxy's password is not shown, so what is shown stands for what is stored.
            if proxy == shown.as_deref() { Ok(()) } else { control::set_proxy(c, proxy) }
        })?;
        desk.changed("changed the settings of this site")?;
        Next::done("/settings", "Saved.")
    })
    .await
}

fn password_page(desk: &Desk, problem: Option<Problem>) -> Result<PasswordPage> {
    let frame = desk.frame("Change your password", Nav::Settings)?;
    Ok(PasswordPage {
        frame,
        problem,
        action: "/settings/password".into(),
        back: "/settings",
        own: true,
        who: desk.person.account.name.clone(),
    })
}

/// The form for one's own password.
pub(super) async fn ask_password(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Viewer, |desk| password_page(desk, None)).await
}

/// Changes one's own password.
pub(super) async fn password(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Viewer, |desk, form| {
        let name = &desk.person.account.name;
        let old = form.secret("old").unwrap_or_else(|| SecretString::from(""));
        let address = desk.address.parse().map_err(|_| Error::internal("A request came from nowhere"))?;
        let checked =
            desk.app.gate.pass(&desk.site().store, address, name, desk.now, || accounts::authenticate(&desk.site().store, name, &old));
        let set = checked
            .and_then(|known| known.ok_or_else(|| Error::usage("That is not your password now").hint("Type the one you signed in with.")))
            .and_then(|_| new_password(form))
            .and_then(|password| set_password(desk, name, &Hashed::of(&password)?));
        match set {
            Ok(()) => Next::done("/settings", "Your password is changed; your other sessions have ended."),
            Err(error) => Next::again(&password_page(desk, Some(Problem::of(&error)))?),
        }
    })
    .await
}

/// Ends a session: one's own, or, for administrators, anybody's.
pub(super) async fn end_session(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Viewer, |desk, form| {
        let own = desk.person.account.name.clone();
        let whose = if desk.may(Role::Admin) { None } else { Some(own.as_str()) };
        desk.site().store.write(|c| sessions::revoke(c, whose, form.text("session")))?;
        let back = if form.text("back") == "/users" { "/users" } else { "/settings" };
        Next::done(back, "The session has ended.")
    })
    .await
}

/// Asks whether this site is to have a new identity.
pub(super) async fn ask_identity(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Admin, |desk| {
        Ok(ConfirmPage {
            frame: desk.frame("A new identity for this site?", Nav::Settings)?,
            problem: None,
            text: "Only for the clone of a machine, so that it is not taken for the original: this site gets a new UUID, and other sites see it as a new one. Restart its processes afterwards.".into(),
            action: "/settings/identity".into(),
            hidden: Vec::new(),
            ticks: Vec::new(),
            deed: "Give it a new identity",
            back: "/settings".into(),
        })
    })
    .await
}

/// Gives this site a new identity.
pub(super) async fn identity(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Admin, |desk, _| {
        let uuid = attach::new_identity(desk.site())?;
        desk.changed("gave this site a new identity")?;
        Next::warned("/settings", format!("This site is {uuid} from now on. Restart its processes so that all of them know."))
    })
    .await
}
