//! Looking at repositories.

use entente::{
    error::Result,
    model::{Job, Repository, Resource},
    site::Site,
    store::{jobs, repositories, resources, verified},
    sync::health::Seen,
};
use serde_json::{Value, json};

use super::document;
use crate::cli::{
    Context, Ending, job,
    log::{document as entry_document, rows as entry_rows},
    output::{facts, short, table, when_or, yes},
    resource,
};

/// A repository and how it is, for programs.
fn seen_document(seen: &Seen) -> Value {
    let mut document = document(&seen.repository);
    document["health"] = json!(seen.health());
    document["cloned_since"] = json!(seen.cloned);
    document["last_run"] = json!(seen.runs.first().map(|run| run.time));
    document["last_success"] = json!(seen.last_success().map(|run| run.time));
    document["last_message"] = json!(seen.runs.first().map(|run| &run.message));
    document
}

pub(super) fn list(context: &Context, site: &Site) -> Result<Ending> {
    let seen: Vec<Seen> = site.store.read(|c| {
        let all = repositories::list(c, site.store.key())?;
        all.into_iter().map(|repository| Seen::read(c, repository)).collect()
    })?;
    let text = || match seen.as_slice() {
        [] => "No repositories yet. Add one: entente repository add NAME --url URL --user USER --password-file FILE".to_owned(),
        some => table(&["name", "address", "health", "last run", "message"], &[], some.iter().map(row)),
    };
    context.format().print(text, || seen.iter().map(seen_document).collect())?;
    Ok(Ending::Done)
}

fn row(seen: &Seen) -> [String; 5] {
    let last = seen.runs.first();
    let url = seen.repository.url.clone().unwrap_or_else(|| "(calls us)".into());
    let message = last.map_or_else(String::new, |run| short(&run.message));
    [seen.repository.name.clone(), url, seen.health().to_owned(), when_or(last.map(|run| run.time), "never"), message]
}

pub(super) fn one(context: &Context, site: &Site, name: &str) -> Result<Ending> {
    let (seen, shared, schedule, equal) = site.store.read(|c| {
        let repository = repositories::get(c, site.store.key(), name)?;
        let shared = resources::list(c, repository.id)?;
        let schedule = jobs::list_of(c, repository.id)?;
        Ok((Seen::read(c, repository)?, shared, schedule, verified::all(c)?))
    })?;
    let in_json = || {
        let mut document = seen_document(&seen);
        document["resources"] = shared.iter().map(|r| resource::document(name, r, &equal)).collect();
        document["jobs"] = schedule.iter().map(|j| job::document(name, j)).collect();
        document["runs"] = seen.runs.iter().map(entry_document).collect();
        document
    };
    context.format().print(|| text(&seen, &shared, &schedule, &equal), in_json)?;
    Ok(Ending::Done)
}

fn text(seen: &Seen, shared: &[Resource], schedule: &[Job], equal: &resource::Verified) -> String {
    let Repository { name, uuid, url, user, accept_pushes, .. } = &seen.repository;
    let or_none = |text: &Option<String>, none: &str| text.clone().unwrap_or_else(|| none.to_owned());
    let mut text = facts(&[
        ("name", name.clone()),
        ("UUID", uuid.map_or_else(|| "not known yet".into(), |uuid| uuid.to_string())),
        ("type", seen.repository.kind.word().to_owned()),
        ("address", or_none(url, "none; it calls us")),
        ("our account there", or_none(user, "none")),
        ("proxy", seen.repository.bare_proxy().unwrap_or_else(|| "the site's".into())),
        ("may push to us", yes(*accept_pushes)),
        ("health", seen.health().to_owned()),
        ("last success", when_or(seen.last_success().map(|run| run.time), "never")),
    ]);
    if seen.cloned.is_some() {
        text.push_str(&format!(
            "Two machines present themselves as {name}, and both are refused. Give one of them a new identity there: entente site --new-identity. Where only one is left: \
             entente repository set {name} --enabled yes\n"
        ));
    }
    text.push_str(&match shared {
        [] => format!("Nothing is shared with it from here. Share a table: entente resource add {name} NAME\n"),
        some => resource::rows(&some.iter().map(|r| (name.clone(), r.clone())).collect::<Vec<_>>(), equal) + "\n",
    });
    text.push_str(&match schedule {
        [] => format!("It has no schedule. Make one: entente job add {name} --every 5m\n"),
        some => job::rows(&some.iter().map(|j| (name.clone(), j.clone())).collect::<Vec<_>>()) + "\n",
    });
    if !seen.runs.is_empty() {
        text.push_str(&entry_rows(&seen.runs));
    }
    text
}
