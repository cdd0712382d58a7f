//! Every version of a record that was replaced or deleted.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use askama::Template;

use super::{
    conflicts::{title, written},
    desk::{Next, act, encoded, query, show as page},
    form::Problem,
    frame::{Frame, Nav},
    words::When,
};
use crate::{
    model::{Kind, Page, Role},
    store::attached,
    sync::{
        Edited, Number, history,
        versions::{Names, record},
    },
    web::app::App,
};

struct Entry {
    number: String,
    address: String,
    heading: String,
    at: When,
    why: String,
    fields: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "history.html")]
struct HistoryPage {
    frame: Frame,
    problem: Option<Problem>,
    resources: Vec<String>,
    resource: String,
    uid: String,
    now: Option<Vec<(String, String)>>,
    entries: Vec<Entry>,
}

fn fields(page: &Page) -> Vec<(String, String)> {
    let view = record(page).filter(|view| !view.record.deleted);
    let set = view.into_iter().flat_map(|view| view.fields()).filter(|(_, value)| value.kind != Kind::Null);
    set.map(|(name, value)| (name.to_owned(), value.text.chars().take(2_000).collect())).collect()
}

/// The history of the record that the query names.
pub(super) async fn show(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Viewer, |desk| {
        let (resource, uid) = (desk.query.text("resource").to_owned(), desk.query.text("uid").to_owned());
        let names = Names::of(desk.site())?;
        let resources = desk.site().store.read(attached::list)?.into_iter().map(|table| table.resource).collect();
        let past = (!uid.is_empty()).then(|| history::of(desk.site(), &resource, &uid)).transpose();
        let (past, problem) = match past {
            Ok(past) => (past, None),
            Err(error) => (None, Some(Problem::of(&error))),
        };
        let entries = past.iter().flat_map(|past| {
            past.entries.iter().map(|entry| {
                let number = Number { database: past.database.clone(), id: entry.id }.to_string();
                let what = if entry.side == "local" { "was here" } else { "came, and was not taken" };
                Entry {
                    address: encoded(&number),
                    heading: written(&entry.page, &names, desk.now),
                    at: When::new(entry.at, desk.now),
                    why: format!("{what}; rule {}, with {}", entry.rule, names.name(entry.site)),
                    fields: fields(&entry.page),
                    number,
                }
            })
        });
        let heading =
            past.as_ref().and_then(|past| past.now.as_ref()).map_or_else(|| "History of a record".to_owned(), |now| title(now, &uid));
        Ok(HistoryPage {
            frame: desk.frame(&heading, Nav::None)?,
            problem,
            resources,
            now: past.as_ref().map(|past| {
                past.now
                    .as_ref()
                    .map(fields)
                    .filter(|some| !some.is_empty())
                    .unwrap_or_else(|| vec![("State".into(), "not here now".into())])
            }),
            entries: entries.collect(),
            resource,
            uid,
        })
    })
    .await
}

/// Puts a version back.
pub(super) async fn restore(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Operator, |desk, _| {
        let number = Number::read(desk.site(), desk.part("number"))?;
        let (entry, done) = history::restore(desk.site(), &number)?;
        desk.changed(&format!("put {} {} back to version {number}", entry.resource, entry.uid))?;
        let to = format!("/history?{}", query(&[("resource", &entry.resource), ("uid", &entry.uid)]));
        match done {
            Edited::Done => Next::done(to, "The version is back. It travels with the next run."),
            Edited::Same => Next::done(to, "The record was that already."),
        }
    })
    .await
}
