//! Looking at repositories.

use entente::{
    error::Result,
    model::{Job, LogEntry, Pending, Repository, Resource, figure},
    site::Site,
    store::{jobs, log, repositories, verified},
    sync::overview::{self, State},
};
use serde_json::{Value, json};

use super::document;
use crate::cli::{
    Context, Ending, job,
    log::{document as entry_document, rows as entry_rows},
    output::{facts, short, table, when, when_or, yes},
    resource,
};

/// So many of the last runs are shown.
const RUNS: u32 = 10;

/// A repository and how it is, for programs.
fn seen_document(state: &State, waiting: Pending) -> Value {
    let mut document = document(&state.repository);
    let last = state.condition.as_ref();
    document["health"] = json!(state.health.word());
    document["reason"] = json!(state.reason);
    document["cloned_since"] = json!(state.cloned);
    document["last_run"] = json!(last.map(|last| last.time));
    document["last_success"] = json!(last.and_then(|last| last.last_success));
    document["last_message"] = json!(last.map(|last| &last.message));
    document["waiting_here"] = json!(waiting.records);
    document["waiting_there"] = json!(state.met.waiting.map(|(records, _)| records));
    document["waiting_there_said"] = json!(state.met.waiting.map(|(_, said)| said));
    document
}

pub(super) fn list(context: &Context, site: &Site) -> Result<Ending> {
    let mut states = overview::overview(site)?.states;
    states.sort_by(|one, other| one.repository.name.cmp(&other.repository.name));
    let waiting = overview::waiting_here(site, &states)?;
    let text = || match states.as_slice() {
        [] => "No repositories yet. Add one: entente repository add NAME --url URL --user USER --password-file FILE".to_owned(),
        some => table(&["name", "address", "health", "last run", "message"], &[], some.iter().map(row)),
    };
    context.format().print(text, || states.iter().zip(waiting).map(|(state, waiting)| seen_document(state, waiting)).collect())?;
    Ok(Ending::Done)
}

fn row(state: &State) -> [String; 5] {
    let last = state.condition.as_ref();
    let url = state.repository.url.clone().unwrap_or_else(|| "(calls us)".into());
    let message = last.map_or_else(String::new, |last| short(&last.message));
    [state.repository.name.clone(), url, health(state), when_or(last.map(|last| last.time), "never"), message]
}

fn health(state: &State) -> String {
    format!("{}: {}", state.health.word(), state.reason)
}

pub(super) fn one(context: &Context, site: &Site, name: &str) -> Result<Ending> {
    let (repository, schedule, runs, equal) = site.store.read(|c| {
        let repository = repositories::get(c, site.store.key(), name)?;
        let (schedule, runs) = (jobs::list_of(c, repository.id)?, log::runs_of(c, repository.id, RUNS)?);
        Ok((repository, schedule, runs, verified::all(c)?))
    })?;
    let state = overview::state(site, repository)?;
    let waiting = overview::waiting_here(site, [&state])?.into_iter().next().unwrap_or_default();
    let in_json = || {
        let mut document = seen_document(&state, waiting);
        document["resources"] = state.resources.iter().map(|r| resource::document(name, r, &equal)).collect();
        document["jobs"] = schedule.iter().map(|j| job::document(name, j)).collect();
        document["runs"] = runs.iter().map(entry_document).collect();
        document
    };
    context.format().print(|| text(&state, waiting, &schedule, &runs, &equal), in_json)?;
    Ok(Ending::Done)
}

/// What waits at the other site, as it last said.
fn there(state: &State) -> String {
    match state.met.waiting {
        Some((records, said)) => format!("{}, it said {}", figure(records), when(said)),
        None => "not known yet".into(),
    }
}

fn text(state: &State, waiting: Pending, schedule: &[Job], runs: &[LogEntry], equal: &resource::Verified) -> String {
    let Repository { name, uuid, url, user, accept_pushes, .. } = &state.repository;
    let or_none = |text: &Option<String>, none: &str| text.clone().unwrap_or_else(|| none.to_owned());
    let last = state.condition.as_ref();
    let mut text = facts(&[
        ("name", name.clone()),
        ("UUID", uuid.map_or_else(|| "not known yet".into(), |uuid| uuid.to_string())),
        ("type", state.repository.kind.word().to_owned()),
        ("address", or_none(url, "none; it calls us")),
        ("our account there", or_none(user, "none")),
        ("proxy", state.repository.bare_proxy().unwrap_or_else(|| "the site's".into())),
        ("may push to us", yes(*accept_pushes)),
        ("health", health(state)),
        ("last success", when_or(last.and_then(|last| last.last_success), "never")),
        ("waiting here for it", format!("{}{}", if waiting.more { "over " } else { "" }, figure(waiting.records))),
        ("waiting there for us", there(state)),
    ]);
    if state.cloned.is_some() {
        text.push_str(&format!(
            "Two machines present themselves as {name}, and both are refused. Give one of them a new identity there: entente site --new-identity. Where only one is left: \
             entente repository set {name} --enabled yes\n"
        ));
    }
    let shared: &[Resource] = &state.resources;
    text.push_str(&match shared {
        [] => format!("Nothing is shared with it from here. Share a table: entente resource add {name} NAME\n"),
        some => resource::rows(&some.iter().map(|r| (name.clone(), r.clone())).collect::<Vec<_>>(), equal) + "\n",
    });
    text.push_str(&match schedule {
        [] => format!("It has no schedule. Make one: entente job add {name} --every 5m\n"),
        some => job::rows(&some.iter().map(|j| (name.clone(), j.clone())).collect::<Vec<_>>()) + "\n",
    });
    if !runs.is_empty() {
        text.push_str(&entry_rows(runs));
    }
    text
}
