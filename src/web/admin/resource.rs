//! What is shared with a repository: which way, what is allowed, who wins, which records.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use askama::Template;

use super::{
    desk::{Desk, Next, act, encoded, give, query, show as page},
    form::{Fields, Form, Problem},
    frame::{Frame, Nav},
    repository::{ConfirmPage, Head, state},
    words::{When, figure},
};
use crate::{
    error::{Error, Result},
    model::{Mode, Policy, Resource, Role, Strategy},
    store::{attached, resources, verified},
    sync::{filters, overview::State, register},
    web::app::App,
};

struct Row {
    name: String,
    address: String,
    mode: &'static str,
    strategy: String,
    update: String,
    conflict: String,
    merge_fields: bool,
    filters: String,
    verified: Option<When>,
}

struct Choice {
    name: String,
    note: String,
    query: String,
}

#[derive(Template)]
#[template(path = "repository_resources.html")]
struct ListPage {
    frame: Frame,
    head: Head,
    rows: Vec<Row>,
    choices: Vec<Choice>,
    /// When it said what it offers.
    offered: Option<When>,
    only_there: String,
}

fn way(mode: Mode) -> &'static str {
    match mode {
        Mode::Both => "pull and push",
        Mode::Pull => "pull",
        Mode::Push => "push",
        Mode::None => "rests",
    }
}

/// What is shared, and what could be.
pub(super) async fn list(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Viewer, |desk| {
        let state = state(desk)?;
        let (equal, attached) = desk.site().store.read(|c| Ok((verified::all(c)?, attached::list(c)?)))?;
        let row = |r: &Resource| Row {
            name: r.name.clone(),
            address: encoded(&r.name),
            mode: way(r.mode),
            strategy: r.strategy.to_string().replace(',', ", "),
            update: r.update.to_string(),
            conflict: r.conflict.to_string(),
            merge_fields: r.merge_fields,
            filters: r.filters.join(" and "),
            verified: When::maybe(equal.get(&r.id).copied(), desk.now),
        };
        let offer = state.met.offer.as_ref();
        let offered = offer.map(|(offered, _)| offered);
        let shared = |name: &str| state.resources.iter().any(|known| known.name == name);
        let choices = attached.iter().filter(|table| !shared(&table.resource)).map(|table| Choice {
            name: table.resource.clone(),
            note: match offered.map(|all| all.iter().find(|there| there.name == table.resource)) {
                Some(Some(there)) => format!("offered there: {}", way(there.mode)),
                Some(None) => format!("not offered by {} yet", state.repository.name),
                None => format!("table {} of {}", table.table, table.database),
            },
            query: query(&[("name", &table.resource)]),
        });
        let here = |name: &str| attached.iter().any(|table| table.resource == name);
        let only_there: Vec<&str> =
            offered.into_iter().flatten().map(|there| there.name.as_str()).filter(|name| !here(name)).take(30).collect();
        Ok(ListPage {
            frame: desk.frame(&format!("Shared with {}", state.repository.name), Nav::Repositories)?,
            head: Head::of(desk, &state, "/resources"),
            rows: state.resources.iter().map(row).collect(),
            choices: choices.collect(),
            offered: When::maybe(offer.map(|(_, said)| *said), desk.now),
            only_there: only_there.join(", "),
        })
    })
    .await
}

/// Asks the other site what it offers, and waits for its answer.
pub(super) async fn ask(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Operator, |desk, _| {
        let state = state(desk)?;
        let to = format!("/repositories/{}/resources", state.repository.id);
        match register::test(desk.site(), &state.repository) {
            Ok(contact) if contact.hello.paused => {
                Next::warned(to, format!("{} is paused and offers nothing for now.", state.repository.name))
            }
            Ok(_) => Next::done(to, format!("{} said what it offers.", state.repository.name)),
            Err(error) => Next::warned(to, format!("{} could not be asked. {}", state.repository.name, Problem::of(&error).told())),
        }
    })
    .await
}

/// A policy with what it does to the example.
struct Example {
    word: &'static str,
    meaning: &'static str,
    here: &'static str,
    there: &'static str,
    both: &'static str,
}

const POLICIES: [Example; 5] = [
    Example {
        word: "NEWER",
        meaning: "the later change",
        here: "117, at both sites",
        there: "125, at both sites",
        both: "125: it was changed later",
    },
    Example {
        word: "THIS",
        meaning: "this site",
        here: "117, at both sites",
        there: "100: what is here stays, and goes back there",
        both: "117: ours",
    },
    Example {
        word: "OTHER",
        meaning: "the other site",
        here: "100: what is there comes back here",
        there: "125, at both sites",
        both: "125: theirs",
    },
    Example {
        word: "MASTER",
        meaning: "the site where the record was made",
        here: "117 if it was made here, else 100",
        there: "125 if it was made there, else 100",
        both: "that of the site where it was made",
    },
    Example {
        word: "MANUAL",
        meaning: "you",
        here: "117, at both sites",
        there: "125, at both sites",
        both: "each site keeps its own until you decide",
    },
];

#[derive(Template)]
#[template(path = "resource.html")]
struct EditPage {
    frame: Frame,
    head: Head,
    problem: Option<Problem>,
    action: String,
    name: String,
    name_encoded: String,
    modes: [(&'static str, &'static str, &'static str); 4],
    methods: [(&'static str, &'static str); 4],
    policies: &'static [Example; 5],
    fields: Fields,
    columns: String,
    count: String,
    deed: &'static str,
    remove: Option<String>,
}

const MODES: [(&str, &str, &str); 4] = [
    ("both", "Both ways", "Changes of either site reach the other."),
    ("pull", "Pull only", "What changes there comes here; nothing goes there."),
    ("push", "Push only", "What changes here goes there; nothing comes here."),
    ("none", "Not for now", "The settings are kept, and nothing flows."),
];

const METHODS: [(&str, &str); 4] = [
    ("create", "Create: new records"),
    ("update", "Update: changed records"),
    ("delete", "Delete: records that were deleted"),
    ("merge", "Merge: two records that turned out to be one"),
];

fn fields_of(resource: &Resource) -> Fields {
    let strategy = resource.strategy.to_string();
    let fields = Fields::default()
        .with("mode", resource.mode.word())
        .with("update", resource.update)
        .with("conflict", resource.conflict)
        .ticked("merge_fields", resource.merge_fields)
        .ticked("accept_twins", resource.accept_twins);
    let fields = strategy.split(',').fold(fields, |fields, method| fields.with("strategy", method));
    resource.filters.iter().fold(fields, |fields, filter| fields.with("filters", filter))
}

fn typed(form: &Form, known: Resource) -> Result<Resource> {
    let strategy = form.all("strategy").join(",");
    if strategy.is_empty() {
        return Err(Error::usage("No method is allowed, so nothing could ever happen").hint("Tick at least one, or choose “Not for now”."));
    }
    let policy = |name: &str| -> Result<Policy> { form.text(name).parse() };
    let changed = Resource {
        mode: form.text("mode").parse::<Mode>()?,
        strategy: strategy.parse::<Strategy>()?,
        update: policy("update")?,
        conflict: policy("conflict")?,
        merge_fields: form.on("merge_fields"),
        accept_twins: form.on("accept_twins"),
        filters: lines(form),
        ..known
    };
    changed.validate()?;
    Ok(changed)
}

fn lines(form: &Form) -> Vec<String> {
    form.exact("filters").unwrap_or_default().lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// How a form for a resource is shown.
struct Shown<'a> {
    name: &'a str,
    fields: Fields,
    problem: Option<Problem>,
    count: String,
    known: bool,
}

fn edit_page(desk: &Desk, state: &State, shown: Shown<'_>) -> Result<EditPage> {
    let Shown { name, fields, problem, count, known } = shown;
    let base = format!("/repositories/{}", state.repository.id);
    let own = format!("{base}/resources/{}", encoded(name));
    Ok(EditPage {
        frame: desk.frame(&format!("{name} with {}", state.repository.name), Nav::Repositories)?,
        head: Head::of(desk, state, "/resources"),
        problem,
        action: if known { own.clone() } else { format!("{base}/share") },
        name: name.to_owned(),
        name_encoded: encoded(name),
        modes: MODES,
        methods: METHODS,
        policies: &POLICIES,
        fields,
        columns: filters::fields(desk.site(), name).map(|fields| fields.join(", ")).unwrap_or_default(),
        count,
        deed: if known { "Save" } else { "Share it" },
        remove: known.then(|| format!("{own}/remove")),
    })
}

/// The form for a new resource.
pub(super) async fn new(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Admin, |desk| {
        let (state, name) = (state(desk)?, desk.query.text("name").to_owned());
        let fields = fields_of(&Resource::new(state.repository.id, &name));
        edit_page(desk, &state, Shown { name: &name, fields, problem: None, count: String::new(), known: false })
    })
    .await
}

/// Shares a table.
pub(super) async fn add(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Admin, |desk, form| {
        let (state, name) = (state(desk)?, form.text("name").to_owned());
        let edited = |problem, count| edit_page(desk, &state, Shown { name: &name, fields: shown(form), problem, count, known: false });
        if form.on("count") {
            return Next::shown(&edited(None, counted(desk, &name, &lines(form)))?);
        }
        let added = typed(form, Resource::new(state.repository.id, &name)).and_then(|new| {
            filters::check(desk.site(), &name, &new.filters)?;
            desk.site().store.write(|c| resources::add(c, &new))
        });
        match added {
            Ok(_) => {
                desk.changed(&format!("shared {name} with {}", state.repository.name))?;
                let to = format!("/repositories/{}/resources", state.repository.id);
                Next::done(to, format!("{name} is shared. A dry run shows what the first run would do."))
            }
            Err(error) => Next::again(&edited(Some(Problem::of(&error)), String::new())?),
        }
    })
    .await
}

/// What was typed, the filters each on its line.
fn shown(form: &Form) -> Fields {
    Fields::typed(form)
}

fn known(desk: &Desk, state: &State) -> Result<Resource> {
    let name = desk.part("name");
    let found = state.resources.iter().find(|known| known.name == name).cloned();
    found.ok_or_else(|| Error::not_found(format!("{name} is not shared with {}", state.repository.name)))
}

/// The form for a resource.
pub(super) async fn edit(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Viewer, |desk| {
        let state = state(desk)?;
        let resource = known(desk, &state)?;
        let fields = fields_of(&resource);
        edit_page(desk, &state, Shown { name: &resource.name, fields, problem: None, count: String::new(), known: true })
    })
    .await
}

/// Changes how a table is shared.
pub(super) async fn save(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Admin, |desk, form| {
        let state = state(desk)?;
        let resource = known(desk, &state)?;
        let name = resource.name.clone();
        let edited = |problem, count| edit_page(desk, &state, Shown { name: &name, fields: shown(form), problem, count, known: true });
        if form.on("count") {
            return Next::shown(&edited(None, counted(desk, &name, &lines(form)))?);
        }
        let saved = typed(form, resource).and_then(|changed| {
            filters::check(desk.site(), &name, &changed.filters)?;
            desk.site().store.write(|c| resources::update(c, &changed))
        });
        match saved {
            Ok(()) => {
                desk.changed(&format!("changed how {name} is shared with {}", state.repository.name))?;
                Next::done(
                    format!("/repositories/{}/resources", state.repository.id),
                    format!("{name}: saved. It holds from the next run on."),
                )
            }
            Err(error) => Next::again(&edited(Some(Problem::of(&error)), String::new())?),
        }
    })
    .await
}

/// How many records filters let through, in words.
fn counted(desk: &Desk, name: &str, wanted: &[String]) -> String {
    match filters::count(desk.site(), name, wanted) {
        Ok(found) if found.complete => format!("{} of {} records match", figure(found.matching), figure(found.looked_at)),
        Ok(found) => format!("{} of the first {} records match", figure(found.matching), figure(found.looked_at)),
        Err(error) => Problem::of(&error).told(),
    }
}

/// How many records filters let through, for a script.
pub(super) async fn count(app: Data<App>, request: HttpRequest) -> HttpResponse {
    give(app, request, Role::Viewer, |desk| {
        let wanted: Vec<String> = desk.query.all("filter").into_iter().map(str::to_owned).collect();
        Ok(Next::Document("text/plain; charset=utf-8", counted(desk, desk.query.text("name"), &wanted)))
    })
    .await
}

/// Asks whether a table is to be shared no longer.
pub(super) async fn ask_remove(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Admin, |desk| {
        let state = state(desk)?;
        let resource = known(desk, &state)?;
        let own = format!("/repositories/{}/resources/{}", state.repository.id, encoded(&resource.name));
        Ok(ConfirmPage {
            frame: desk.frame(&format!("Share {} no longer?", resource.name), Nav::Repositories)?,
            problem: None,
            text: format!(
                "What was exchanged stays at both sites. From now on {} is neither pulled from nor pushed to {}.",
                resource.name, state.repository.name
            ),
            action: format!("{own}/remove"),
            hidden: Vec::new(),
            ticks: Vec::new(),
            deed: "Share it no longer",
            back: own,
        })
    })
    .await
}

/// Shares a table no longer.
pub(super) async fn remove(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Admin, |desk, _| {
        let state = state(desk)?;
        let resource = known(desk, &state)?;
        desk.site().store.write(|c| resources::remove(c, state.repository.id, &resource.name))?;
        desk.changed(&format!("stopped sharing {} with {}", resource.name, state.repository.name))?;
        Next::done(format!("/repositories/{}/resources", state.repository.id), format!("{} is shared no longer.", resource.name))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_form_shows_is_read_back_as_it_was() {
        let resource = Resource {
            mode: Mode::Pull,
            update: Policy::This,
            conflict: Policy::Manual,
            merge_fields: true,
            filters: vec!["~.a=1".into(), "~.b=2".into()],
            ..Resource::new(7, "team")
        };
        let fields = fields_of(&resource);
        let mut text =
            format!("mode={}&update={}&conflict={}&merge_fields=on", fields.text("mode"), fields.text("update"), fields.text("conflict"));
        for method in ["create", "update", "delete", "merge"].into_iter().filter(|method| fields.is("strategy", method)) {
            text.push_str(&format!("&strategy={method}"));
        }
        text.push_str(&format!("&filters={}", encoded(&fields.lines("filters"))));
        assert_eq!(typed(&Form::parse(&text).unwrap(), Resource::new(7, "team")).unwrap(), resource);
        assert!(typed(&Form::parse("mode=both&update=NEWER&conflict=NEWER").unwrap(), resource).is_err(), "no method at all");
    }
}
