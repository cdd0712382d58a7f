//! Attached databases: what is attached, more of it, letting go.

use std::collections::BTreeMap;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use askama::Template;
use secrecy::SecretString;

use super::{
    desk::{Desk, Next, act, encoded, query, show as page},
    form::{Fields, Form, Problem},
    frame::{Frame, Nav},
    repository::ConfirmPage,
    words::{counted, figure},
};
use crate::{
    error::{Error, Result},
    model::{Database, Identity, Role, TableSpec},
    store::databases,
    sync::{
        attach::{self as attaching, Journal},
        housekeeping::{self, SweptTable},
    },
    web::app::App,
};

struct Attached {
    name: String,
    url: String,
    query: String,
    address: String,
    trouble: Option<String>,
    journal: String,
    tables: Vec<AttachedTable>,
}

struct AttachedTable {
    resource: String,
    name: String,
    identity: String,
    matching: String,
    references: String,
    records: String,
    ready: bool,
}

#[derive(Template)]
#[template(path = "attach.html")]
struct ListPage {
    frame: Frame,
    databases: Vec<Attached>,
}

/// How records are known, in words.
fn known_by(identity: &Identity) -> String {
    match identity {
        Identity::Column { column } => format!("the UUID in {column}"),
        Identity::Key { columns } => format!("{}, which means the same everywhere", columns.join(" and ")),
        Identity::Assigned => "a UUID kept beside the table".into(),
    }
}

fn look_at(desk: &Desk, database: &Database) -> Attached {
    let mut found = Attached {
        name: database.name.clone(),
        url: database.url.clone(),
        query: query(&[("name", &database.name), ("url", &database.url)]),
        address: encoded(&database.name),
        trouble: None,
        journal: String::new(),
        tables: Vec::new(),
    };
    let looked = desk.site().door(&database.name).and_then(|mut door| {
        let mut records = 0;
        for table in door.tables()? {
            let count = door.count(&table)?;
            records += count;
            let references: Vec<&str> = table.references.iter().map(|reference| reference.resource.as_str()).collect();
            found.tables.push(AttachedTable {
                identity: known_by(&table.identity),
                matching: table.matching.join(", "),
                references: references.join(", "),
                records: figure(count),
                ready: table.ready,
                resource: table.resource.clone(),
                name: table.name,
            });
        }
        let told = format!("Its journal knows {}.", counted(records, "record"));
        Ok(told)
    });
    match looked {
        Ok(told) => found.journal = told,
        Err(error) => found.trouble = Some(Problem::of(&error).message),
    }
    found
}

/// What is attached.
pub(super) async fn list(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Viewer, |desk| {
        let all = desk.site().store.read(databases::list)?;
        Ok(ListPage {
            frame: desk.frame("Attached data", Nav::Attach)?,
            databases: all.iter().map(|database| look_at(desk, database)).collect(),
        })
    })
    .await
}

struct Surveyed {
    name: String,
    resource: String,
    references: String,
    open: bool,
    chosen: bool,
    identity: String,
    identities: Vec<(String, String)>,
    matching: String,
    omit: String,
    map: String,
    components: String,
    /// Something of the rarer fields is filled in.
    more: bool,
    why: String,
}

#[derive(Template)]
#[template(path = "attach_new.html")]
struct NewPage {
    frame: Frame,
    problem: Option<Problem>,
    fields: Fields,
    tables: Vec<Surveyed>,
}

/// The form for a database, its name and address filled in where more of one is to be attached.
pub(super) async fn new(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Admin, |desk| {
        let known = desk.query.given("name").is_some() && desk.query.given("url").is_some();
        let (tables, problem) = match known.then(|| survey(desk, &desk.query)) {
            Some(Ok(tables)) => (tables, None),
            Some(Err(error)) => (Vec::new(), Some(Problem::of(&error))),
            None => (Vec::new(), None),
        };
        Ok(NewPage { frame: desk.frame("Attach a database", Nav::Attach)?, problem, fields: Fields::typed(&desk.query), tables })
    })
    .await
}

/// The address with the password that belongs into it: the typed one, or the one that is kept.
fn whole(desk: &Desk, form: &Form) -> Result<String> {
    let url = form
        .given("url")
        .ok_or_else(|| Error::usage("Say where the database is").hint("Like sqlite:/path/to/file.db or postgres://user@host/database."))?;
    let kept = |name: &str| -> Result<Option<SecretString>> {
        let site = desk.site();
        let known = site.store.read(databases::list)?.into_iter().any(|known| known.name == name && known.url == url);
        if known { site.store.read(|c| databases::password(c, site.store.key(), name)) } else { Ok(None) }
    };
    let password = match form.secret("password") {
        Some(password) => Some(password),
        None => kept(form.text("name"))?,
    };
    attaching::with_password(url, password.as_ref())
}

fn survey(desk: &Desk, form: &Form) -> Result<Vec<Surveyed>> {
    let found = attaching::survey(desk.site(), &whole(desk, form)?)?;
    if found.is_empty() {
        return Err(Error::usage("This database has no tables yet").hint("Let its program make them first."));
    }
    let chosen = form.all("table");
    let tables = found.into_iter().map(|survey| {
        let field = |what: &str| form.given(&format!("{what}-{}", survey.table)).map(str::to_owned);
        let (proposed, mut why) = match (&survey.attached, &survey.identity) {
            (Some(resource), _) => (None, format!("attached already, as {resource}")),
            (None, Ok(identity)) => (Some(identity.clone()), reason(identity)),
            (None, Err(reason)) => (None, format!("cannot be attached: {reason}")),
        };
        let mut identities: Vec<(String, String)> = Vec::new();
        if let Some(identity) = &proposed {
            identities.push((identity.to_string(), known_by(identity)));
            if *identity != Identity::Assigned {
                identities.push((Identity::Assigned.to_string(), known_by(&Identity::Assigned)));
            }
        }
        if survey.attached.is_some() {
            why.push('.');
        }
        Surveyed {
            resource: field("resource").unwrap_or_else(|| survey.table.rsplit('.').next().unwrap_or(&survey.table).to_owned()),
            references: survey.references.join(", "),
            open: proposed.is_some(),
            chosen: if form.has("attach") || !chosen.is_empty() { chosen.contains(&survey.table.as_str()) } else { proposed.is_some() },
            identity: field("identity").or(proposed.as_ref().map(ToString::to_string)).unwrap_or_default(),
            identities,
            matching: field("match").unwrap_or_default(),
            more: ["omit", "map", "components"].iter().any(|what| field(what).is_some()),
            omit: field("omit").unwrap_or_default(),
            map: field("map").unwrap_or_default(),
            components: field("components").unwrap_or_default(),
            why,
            name: survey.table,
        }
    });
    Ok(tables.collect())
}

/// Why an identity is proposed.
fn reason(identity: &Identity) -> String {
    match identity {
        Identity::Column { .. } => "It has a unique column of UUIDs.".into(),
        Identity::Key { .. } => "Its key is made of words, or of other records, and means the same at every site.".into(),
        Identity::Assigned => "Its key is a number that each site counts for itself, so each record gets a UUID beside it.".into(),
    }
}

/// `OLD=NEW` pairs.
fn pairs(list: Vec<String>) -> Result<BTreeMap<String, String>> {
    let pair = |text: String| match text.split_once('=') {
        Some((old, new)) if !old.trim().is_empty() && !new.trim().is_empty() => Ok((old.trim().to_owned(), new.trim().to_owned())),
        _ => Err(Error::usage(format!("{text:?} is no pair of names")).hint("Write OLD=NEW, the column's name first.")),
    };
    list.into_iter().map(pair).collect()
}

fn specs(form: &Form) -> Result<Vec<TableSpec>> {
    let list = |text: Option<&str>| -> Vec<String> {
        text.unwrap_or_default().split(',').map(str::trim).filter(|column| !column.is_empty()).map(str::to_owned).collect()
    };
    let one = |table: &str| -> Result<TableSpec> {
        Ok(TableSpec {
            table: table.to_owned(),
            resource: form.given(&format!("resource-{table}")).unwrap_or(table).to_owned(),
            identity: form.given(&format!("identity-{table}")).map(Identity::parse).transpose()?,
            matching: list(form.given(&format!("match-{table}"))),
            omit: list(form.given(&format!("omit-{table}"))),
            map: pairs(list(form.given(&format!("map-{table}"))))?,
            components: list(form.given(&format!("components-{table}"))).iter().map(|text| text.parse()).collect::<Result<_>>()?,
        })
    };
    form.all("table").into_iter().map(one).collect()
}

/// Looks at a database, or attaches the tables that were chosen.
pub(super) async fn attach(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Admin, |desk, form| {
        let attached = if form.on("attach") { Some(attach_chosen(desk, form)) } else { None };
        let problem = match attached {
            Some(Ok(count)) => {
                let name = form.text("name");
                desk.changed(&format!("attached {} of {name}", counted(count, "table")))?;
                return Next::done(
                    "/attach",
                    format!("{} of {name} attached. Next, register the site to share with.", counted(count, "table")),
                );
            }
            Some(Err(error)) => Some(Problem::of(&error)),
            None => None,
        };
        let (tables, problem) = match survey(desk, form) {
            Ok(tables) => (tables, problem),
            Err(error) => (Vec::new(), problem.or_else(|| Some(Problem::of(&error)))),
        };
        let made = NewPage { frame: desk.frame("Attach a database", Nav::Attach)?, problem, fields: Fields::typed(form), tables };
        if made.problem.is_some() { Next::again(&made) } else { Next::shown(&made) }
    })
    .await
}

fn attach_chosen(desk: &Desk, form: &Form) -> Result<u64> {
    let specs = specs(form)?;
    let name = form.given("name").ok_or_else(|| Error::usage("The database needs a name"))?;
    if specs.is_empty() {
        return Err(Error::usage("No table was chosen").hint("Tick those that are to be shared."));
    }
    attaching::attach(desk.site(), name, &whole(desk, form)?, &specs, &mut |_, _, _| {})?;
    Ok(specs.len() as u64)
}

/// Looks for what programs wrote to a database without its triggers noticing.
pub(super) async fn sweep(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Operator, |desk, _| {
        let name = desk.part("name").to_owned();
        let database = desk.site().store.read(|c| databases::get(c, &name))?;
        let swept = housekeeping::sweep(desk.site(), &database, &mut |_, _, _| {})?;
        desk.changed(&format!("swept {name}"))?;
        let sum = |of: fn(&SweptTable) -> u64| swept.iter().map(of).sum::<u64>();
        let rows = counted(sum(|one| one.swept.rows), "row");
        match (sum(|one| one.swept.added), sum(|one| one.swept.changed), sum(|one| one.swept.removed)) {
            (0, 0, 0) => Next::done("/attach", format!("{rows} of {name} were looked at. Nothing had gone unnoticed.")),
            (added, changed, removed) => Next::warned(
                "/attach",
                format!(
                    "{rows} of {name} were looked at. {} had been added, {} changed and {} removed unnoticed; that travels at the next run.",
                    figure(added),
                    figure(changed),
                    figure(removed)
                ),
            ),
        }
    })
    .await
}

/// Asks whether a database is to be detached.
pub(super) async fn ask_detach(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Admin, |desk| {
        let name = desk.part("name").to_owned();
        let database = desk.site().store.read(|c| databases::get(c, &name))?;
        Ok(ConfirmPage {
            frame: desk.frame(&format!("Detach {name}?"), Nav::Attach)?,
            problem: None,
            text: format!("Nothing of {} is offered to other sites any longer, and changes are noted no more. Its tables and their rows stay as they are.", database.url),
            action: format!("/attach/{}/detach", encoded(&name)),
            hidden: Vec::new(),
            ticks: vec![("drop", "Remove the journal, too: attached again, what was exchanged is not known any more".into())],
            deed: "Detach",
            back: "/attach".into(),
        })
    })
    .await
}

/// Detaches a database.
pub(super) async fn detach(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Admin, |desk, form| {
        let name = desk.part("name").to_owned();
        let journal = if form.on("drop") { Journal::Drop } else { Journal::Keep };
        attaching::detach(desk.site(), &name, journal)?;
        desk.changed(&format!("detached {name}"))?;
        Next::done("/attach", format!("{name} is detached."))
    })
    .await
}
