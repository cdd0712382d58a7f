//! What differs between this site and another, side by side, and what of it is to move.

use std::collections::BTreeMap;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use askama::Template;

use super::{
    conflicts::{Field, field, title, written},
    desk::{Desk, Next, act, encoded, show as page},
    form::Problem,
    frame::{Frame, Nav},
    repository::{Head, state},
    words::{counted, figure},
};
use crate::{
    error::{Error, Result},
    model::{Ask, Page, Role},
    store::jobs,
    sync::{
        compare::{Difference, Looked, look},
        overview::State,
        versions::{Names, compare},
    },
    web::app::App,
};

/// So many differences of a resource are shown.
const SHOWN: usize = 50;

struct Row {
    uid: String,
    title: String,
    how: &'static str,
    class: &'static str,
    reason: String,
    here: String,
    there: String,
    fields: Vec<Field>,
}

struct Found {
    resource: String,
    address: String,
    told: String,
    class: &'static str,
    reasons: Vec<String>,
    rows: Vec<Row>,
    more: String,
    trouble: String,
}

#[derive(Template)]
#[template(path = "compare.html")]
struct ComparePage {
    frame: Frame,
    head: Head,
    problem: Option<Problem>,
    resources: Vec<String>,
    found: Vec<Found>,
}

fn compare_page(desk: &Desk, state: &State, found: Vec<Found>, problem: Option<Problem>) -> Result<ComparePage> {
    Ok(ComparePage {
        frame: desk.frame(&format!("Compare with {}", state.repository.name), Nav::Repositories)?,
        head: Head::of(desk, state, "/compare"),
        problem,
        resources: state.resources.iter().map(|resource| resource.name.clone()).collect(),
        found,
    })
}

/// The page before anything is compared.
pub(super) async fn ask(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Viewer, |desk| compare_page(desk, &state(desk)?, Vec::new(), None)).await
}

/// Compares with the other site; nothing is exchanged.
pub(super) async fn run(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Operator, |desk, form| {
        let state = state(desk)?;
        let wanted: Vec<String> = form.all("resource").into_iter().map(str::to_owned).collect();
        let site = desk.site();
        let looked = site.peer(&state.repository).and_then(|peer| look(site, &state.repository, peer.as_ref(), &wanted, SHOWN));
        let names = Names::of(site)?;
        match looked {
            Ok(looked) => {
                let found = looked.into_iter().map(|(name, looked)| found(desk, &state, name, looked, &names)).collect();
                Next::shown(&compare_page(desk, &state, found, None)?)
            }
            Err(error) => Next::again(&compare_page(desk, &state, Vec::new(), Some(Problem::of(&error)))?),
        }
    })
    .await
}

fn found(desk: &Desk, state: &State, resource: String, looked: Result<Looked>, names: &Names) -> Found {
    let address = encoded(&resource);
    let nothing = |trouble: String| Found {
        address: address.clone(),
        told: String::new(),
        class: "bad",
        reasons: Vec::new(),
        rows: Vec::new(),
        more: String::new(),
        resource: resource.clone(),
        trouble,
    };
    let looked = match looked {
        Ok(looked) => looked,
        Err(error) => return nothing(Problem::of(&error).message),
    };
    let unexplained = looked.differing - looked.explained;
    let (class, told) = match (looked.differing, unexplained) {
        (0, _) => ("good", format!("{} equal at both sites", counted(looked.equal, "record"))),
        (some, 0) => ("warn", format!("{} equal, {} held apart by rules or on their way", figure(looked.equal), figure(some))),
        (some, more) => {
            ("bad", format!("{} equal, {} differ, {} of them without a reason", figure(looked.equal), figure(some), figure(more)))
        }
    };
    let reason = |(why, count): &(String, u64)| {
        format!("{}: {}", counted(*count, "record"), if why.is_empty() { "nothing explains it" } else { why })
    };
    let hidden = looked.differing - looked.shown.len() as u64;
    Found {
        told,
        class,
        reasons: looked.reasons.iter().map(reason).collect(),
        rows: looked.shown.iter().map(|difference| row(desk, state, difference, names)).collect(),
        more: if hidden > 0 { format!("and {} more", figure(hidden)) } else { String::new() },
        ..nothing(String::new())
    }
}

fn row(desk: &Desk, state: &State, difference: &Difference, names: &Names) -> Row {
    let nothing = Page::default();
    let (ours, theirs) = (difference.ours.as_ref().unwrap_or(&nothing), difference.theirs.as_ref().unwrap_or(&nothing));
    let how = difference.how.word();
    Row {
        title: title(if difference.ours.is_some() { ours } else { theirs }, &difference.uid),
        how,
        class: if how == "conflict" { "bad" } else { "warn" },
        reason: difference.reason.clone().unwrap_or_default(),
        here: difference.ours.as_ref().map_or_else(|| "not here".into(), |page| written(page, names, desk.now)),
        there: difference
            .theirs
            .as_ref()
            .map_or_else(|| format!("not at {}", state.repository.name), |page| written(page, names, desk.now)),
        fields: compare(ours, theirs).iter().filter(|one| one.differs()).map(field).collect(),
        uid: difference.uid.clone(),
    }
}

/// Asks for a run that moves the chosen records alone.
pub(super) async fn transfer(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Operator, |desk, form| {
        let state = state(desk)?;
        let mut chosen: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for text in form.all("record") {
            let (resource, uid) = text.split_once(' ').ok_or_else(|| Error::usage("A choice cannot be read"))?;
            chosen.entry(resource.to_owned()).or_default().push(uid.to_owned());
        }
        let to = format!("/repositories/{}", state.repository.id);
        if chosen.is_empty() {
            return Next::warned(format!("{to}/compare"), "None was chosen. Tick those that are to move.");
        }
        let way = form.text("way");
        let count: usize = chosen.values().map(Vec::len).sum();
        desk.site().store.write(|c| {
            chosen.into_iter().try_for_each(|(resource, uids)| {
                let resource = percent_encoding::percent_decode_str(&resource).decode_utf8_lossy().into_owned();
                let ask =
                    Ask { resources: Some(vec![resource]), pull: way != "give", push: way != "take", named: Some(uids), ..Ask::default() };
                jobs::ask(c, state.repository.id, ask, desk.now).map(|_| ())
            })
        })?;
        desk.changed(&format!("asked for {} to move with {}", counted(count as u64, "record"), state.repository.name))?;
        Next::done(
            format!("{to}/log"),
            format!("{} are moved by the rules of their resources; the worker begins at once.", counted(count as u64, "record")),
        )
    })
    .await
}
