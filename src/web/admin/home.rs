//! Home: how everything is; the emergency stop; sync all.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use askama::Template;

use super::{
    desk::{Desk, Next, act, show as page},
    frame::{Frame, Nav},
    log::{Row, rows},
    picture::{Bar, Picture, bars},
    whose::unread,
    words::{When, counted, figure, size},
};
use crate::{
    error::Result,
    model::{Advance, Ask, Health, MANY, Pending, Role, Time, Traffic},
    store::{attached, jobs, log, log::LogFilter, repositories, traffic},
    sync::{
        overview::{self, State},
        pause::{self, Everything},
    },
    web::app::App,
};

/// So many repositories stand on the page; those in trouble first.
const SHOWN: usize = 50;

/// So many entries of the log.
const LATEST: u32 = 8;

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    frame: Frame,
    uuid: String,
    unread: Vec<(String, String)>,
    steps: Option<Steps>,
    received: String,
    sent: String,
    bytes: String,
    conflicts: String,
    quarantined: String,
    states: Vec<Line>,
    more: usize,
    total: usize,
    picture: Picture,
    bars: Vec<Bar>,
    chart_label: String,
    latest: Vec<Row>,
}

/// What is to be done before data flows.
struct Steps {
    attached: bool,
    registered: bool,
    scheduled: bool,
    /// Where a schedule is made.
    schedule: Option<String>,
}

/// A repository in a list.
pub(super) struct Line {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) address: String,
    pub(super) shares: String,
    pub(super) class: &'static str,
    pub(super) reason: String,
    pub(super) verified: Option<When>,
    pub(super) success: Option<When>,
    pub(super) next: Option<When>,
    pub(super) running: Option<Running>,
    /// Records that wait here for it; empty where they were not counted.
    pub(super) here: String,
    /// Records that wait there for us, as it last said, and when.
    pub(super) there: Option<(String, When)>,
    /// Records that came and wait here.
    pub(super) parked: String,
}

/// How far a run is.
pub(super) struct Running {
    pub(super) what: String,
    pub(super) told: String,
    pub(super) value: u64,
    pub(super) max: u64,
}

impl Running {
    fn of(advance: &Advance) -> Running {
        let verb = match advance.direction.as_str() {
            "pull" => "receiving",
            "push" => "sending",
            _ => "comparing",
        };
        let mut told = match advance.total.filter(|total| *total >= advance.records) {
            Some(total) => format!("{} of about {}", figure(advance.records), figure(total)),
            None => counted(advance.records, "record"),
        };
        if let Some(rate) = advance.rate() {
            told.push_str(&format!(", {}/s", figure(rate)));
        }
        if let Some(left) = advance.left() {
            told.push_str(&format!(", {left} s left"));
        }
        // Without an end the bar stands half full.
        let total = advance.total.unwrap_or(0).max(advance.records);
        let (value, max) = if advance.total.is_some() { (advance.records, total.max(1)) } else { (1, 2) };
        Running { what: format!("{verb} {}", advance.resource), told, value, max }
    }
}

/// The class of a health.
pub(super) fn class(health: Health) -> &'static str {
    match health {
        Health::Green => "good",
        Health::Yellow => "warn",
        Health::Red => "bad",
        Health::Unknown => "none",
    }
}

impl Line {
    pub(super) fn of(state: &State, now: Time) -> Line {
        let names: Vec<&str> = state.resources.iter().map(|resource| resource.name.as_str()).collect();
        let shares = match names.len() {
            0 => "nothing is shared from here".into(),
            1..=4 => names.join(", "),
            more => format!("{} and {} more", names[..3].join(", "), more - 3),
        };
        let waiting = state.trouble.parked;
        Line {
            id: state.repository.id,
            name: state.repository.name.clone(),
            address: state.repository.url.clone().unwrap_or_else(|| "It calls us".into()),
            shares,
            class: class(state.health),
            reason: state.reason.clone(),
            verified: When::maybe(state.verified, now),
            success: When::maybe(state.condition.as_ref().and_then(|c| c.last_success).or(state.called), now),
            next: When::maybe(state.next_run.filter(|_| state.repository.enabled), now),
            running: state.running.as_ref().map(Running::of),
            here: String::new(),
            there: there(state, now),
            parked: if waiting > 0 { figure(waiting) } else { String::new() },
        }
    }
}

/// What waits here, in words.
pub(super) fn here(found: Pending) -> String {
    match found {
        Pending { records, more: false } => figure(records),
        Pending { records: 0, more: true } => "not counted".into(),
        Pending { records, more: true } => format!("over {}", figure(records)),
    }
}

/// What waits there for us, as it last said, and when.
pub(super) fn there(state: &State, now: Time) -> Option<(String, When)> {
    let (records, said) = state.met.waiting?;
    let over = if records >= u64::from(MANY) { "over " } else { "" };
    Some((format!("{over}{}", figure(records)), When::new(said, now)))
}

/// How everything is.
pub(super) async fn show(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Viewer, |desk| {
        let (site, now) = (desk.site(), desk.now);
        let seen = overview::overview(site)?;
        let (hours, latest, attached) = site.store.read(|c| {
            let latest = log::list(c, &LogFilter { limit: LATEST, ..LogFilter::default() })?;
            Ok((traffic::last(c, now, 24)?, latest, !attached::list(c)?.is_empty()))
        })?;
        let shown = || seen.states.iter().take(SHOWN);
        let waiting = overview::waiting_here(site, shown())?;
        let lines: Vec<Line> = shown().zip(waiting).map(|(state, found)| Line { here: here(found), ..Line::of(state, now) }).collect();
        let sites = seen
            .states
            .iter()
            .map(|state| (state.repository.id, state.repository.name.as_str(), class(state.health), state.reason.as_str()));
        let sum = |of: fn(&Traffic) -> u64| hours.iter().map(of).sum::<u64>();
        let (received, sent) = (sum(|hour| hour.received), sum(|hour| hour.sent));
        Ok(HomePage {
            frame: desk.frame("Home", Nav::Home)?,
            uuid: site.id.to_string(),
            unread: unread(&seen.unread),
            steps: steps(desk, attached, &seen.states)?,
            received: figure(received),
            sent: figure(sent),
            bytes: size(sum(|hour| hour.bytes)),
            conflicts: figure(seen.trouble.conflicts),
            quarantined: figure(seen.trouble.quarantined),
            picture: Picture::of(sites),
            bars: bars(&hours),
            chart_label: format!("In the last 24 hours {} were received and {} sent", counted(received, "record"), figure(sent)),
            more: seen.states.len().saturating_sub(lines.len()),
            total: seen.states.len(),
            states: lines,
            latest: rows(&latest, now),
        })
    })
    .await
}

fn steps(desk: &Desk, attached: bool, states: &[State]) -> Result<Option<Steps>> {
    let called = states.iter().find(|state| state.repository.url.is_some());
    let scheduled = desk.site().store.read(jobs::list)?.iter().any(|job| job.enabled);
    let registered = !states.is_empty();
    // A site that is only called needs no schedule of its own.
    if !desk.may(Role::Admin) || (attached && registered && (scheduled || called.is_none())) {
        return Ok(None);
    }
    let schedule = called.filter(|_| !scheduled).map(|state| format!("/repositories/{}/schedule/new", state.repository.id));
    Ok(Some(Steps { attached, registered, scheduled, schedule }))
}

#[derive(Template)]
#[template(path = "pause.html")]
struct PausePage {
    frame: Frame,
}

/// Asks whether everything is to stop.
pub(super) async fn ask_pause(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Admin, |desk| Ok(PausePage { frame: desk.frame("Pause everything", Nav::Home)? })).await
}

/// Stops everything.
pub(super) async fn pause(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Admin, |desk, _| {
        pause::set(desk.site(), Everything::Stops)?;
        desk.changed("paused everything")?;
        Next::warned("/", "Everything is paused. Runs that were under way stop after their page.")
    })
    .await
}

/// Lets everything go on.
pub(super) async fn resume(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Admin, |desk, _| {
        pause::set(desk.site(), Everything::GoesOn)?;
        desk.changed("let everything go on")?;
        Next::done("/", "Everything goes on.")
    })
    .await
}

/// Asks for a run with every repository.
pub(super) async fn sync_all(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Operator, |desk, _| {
        let site = desk.site();
        let asked = site.store.write(|c| {
            let all = repositories::list(c, site.store.key())?;
            let callable: Vec<_> = all.iter().filter(|one| one.enabled && one.url.is_some()).collect();
            callable.iter().try_for_each(|one| jobs::ask(c, one.id, Ask::default(), desk.now).map(|_| ()))?;
            Ok(callable.len())
        })?;
        match asked {
            0 => Next::warned("/", "There is no site to call: each is disabled or only calls us."),
            some => Next::done("/", format!("A run with {} was asked for; the worker begins at once.", counted(some as u64, "site"))),
        }
    })
    .await
}
