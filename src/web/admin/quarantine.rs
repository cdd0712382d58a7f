//! Records that wait: the list, one with its values, trying again, mending, letting go.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use askama::Template;

use super::{
    conflicts::title,
    desk::{Desk, Next, act, encoded, show as page},
    form::{Form, Problem},
    frame::{Frame, Nav},
    repository::Head,
    whose::{Whose, unread},
    words::{When, counted},
};
use crate::{
    error::{Error, Result},
    model::{Kind, Role},
    sync::{
        Number,
        quarantine::{self, Mend, Shown, Tried},
        versions::{Names, record},
    },
    web::app::App,
    wire::value::canonical,
};

/// So many records stand on the page.
const SHOWN: usize = 200;

struct Row {
    number: String,
    address: String,
    resource: String,
    uid: String,
    kind: &'static str,
    class: &'static str,
    reason: String,
    site: String,
    at: When,
}

#[derive(Template)]
#[template(path = "quarantine.html")]
struct ListPage {
    frame: Frame,
    head: Option<Head>,
    unread: Vec<(String, String)>,
    rows: Vec<Row>,
    more: usize,
}

/// Why a record waits, for people, and the class of its state.
fn kind(word: &str) -> (&'static str, &'static str) {
    match word {
        "quarantined" => ("could not be stored", "bad"),
        "outgoing" => ("cannot be sent", "bad"),
        "deletion" => ("its deletion waits", "warn"),
        "twin" => ("may be one that is here", "warn"),
        _ => ("waits for another record", "warn"),
    }
}

fn listed(desk: &Desk, whose: Whose) -> Result<ListPage> {
    let (all, unreadable) = quarantine::list(desk.site())?;
    let names = Names::of(desk.site())?;
    let wanted: Vec<_> = all.iter().filter(|waits| whose.site.is_none_or(|site| waits.entry.site == site)).collect();
    let rows = wanted.iter().take(SHOWN).map(|waits| {
        let (kind, class) = kind(&waits.entry.kind);
        Row {
            number: waits.number.to_string(),
            address: encoded(&waits.number.to_string()),
            resource: waits.entry.resource.clone(),
            uid: waits.entry.uid.clone(),
            kind,
            class,
            reason: waits.entry.reason.clone(),
            site: names.name(waits.entry.site),
            at: When::new(waits.entry.at, desk.now),
        }
    });
    Ok(ListPage {
        frame: desk.frame(&whose.title, Nav::Quarantine)?,
        head: whose.head,
        unread: unread(&unreadable),
        rows: rows.collect(),
        more: wanted.len().saturating_sub(SHOWN),
    })
}

/// What waits, from all sites.
pub(super) async fn list(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Viewer, |desk| listed(desk, Whose::all("Quarantine"))).await
}

/// What waits of a repository.
pub(super) async fn of_repository(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Viewer, |desk| listed(desk, Whose::of(desk, "Quarantine of", "/quarantine")?)).await
}

struct Field {
    name: String,
    kind: &'static str,
    text: String,
    long: bool,
    /// It cannot be typed.
    fixed: bool,
}

#[derive(Template)]
#[template(path = "waiting.html")]
struct OnePage {
    frame: Frame,
    problem: Option<Problem>,
    address: String,
    resource: String,
    uid: String,
    kind: &'static str,
    class: &'static str,
    reason: String,
    site: String,
    at: When,
    fields: Vec<Field>,
    incoming: bool,
    gone: bool,
}

fn one_page(desk: &Desk, number: &Number, shown: &Shown, form: Option<&Form>, problem: Option<Problem>) -> Result<OnePage> {
    let entry = &shown.entry;
    let (word, class) = kind(&entry.kind);
    let view = record(&shown.page);
    let deleted = view.is_some_and(|view| view.record.deleted);
    let fields = view.into_iter().flat_map(|view| view.fields()).map(|(name, value)| {
        let typed = form.and_then(|form| form.exact(&format!("field-{name}")));
        let text = typed.unwrap_or(value.text).to_owned();
        Field {
            name: name.to_owned(),
            kind: value.kind.word(),
            long: text.len() > 80 || text.contains('\n'),
            fixed: matches!(value.kind, Kind::Bytes | Kind::Opaque),
            text,
        }
    });
    Ok(OnePage {
        frame: desk.frame(&title(&shown.page, &entry.uid), Nav::Quarantine)?,
        problem,
        address: encoded(&number.to_string()),
        resource: entry.resource.clone(),
        uid: entry.uid.clone(),
        kind: word,
        class,
        reason: entry.reason.clone(),
        site: Names::of(desk.site())?.name(entry.site),
        at: When::new(entry.at, desk.now),
        fields: if deleted { Vec::new() } else { fields.collect() },
        incoming: entry.kind != "outgoing",
        gone: deleted,
    })
}

/// A waiting record with its values.
pub(super) async fn one(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Viewer, |desk| {
        let number = Number::read(desk.site(), desk.part("number"))?;
        one_page(desk, &number, &quarantine::show(desk.site(), &number)?, None, None)
    })
    .await
}

/// The values that were typed otherwise than they came.
fn mends(form: &Form, shown: &Shown) -> Result<Vec<Mend>> {
    let Some(view) = record(&shown.page) else { return Ok(Vec::new()) };
    let mut mends = Vec::new();
    for (name, value) in view.fields().filter(|(_, value)| !matches!(value.kind, Kind::Bytes | Kind::Opaque)) {
        let Some(typed) = form.exact(&format!("field-{name}")).map(|text| text.replace("\r\n", "\n")) else { continue };
        if typed == value.text {
            continue;
        }
        let known = if value.kind == Kind::Null { Kind::Text } else { value.kind };
        let nothing = typed.is_empty() && known != Kind::Text;
        let kind = if nothing { Kind::Null } else { known };
        let mut text = String::new();
        match kind {
            Kind::Null => {}
            Kind::Text | Kind::Reference => text.push_str(&typed),
            kind => canonical(kind, &typed, &mut text)
                .map_err(|error| Error::usage(format!("{name}: {typed:?} is no {}", kind.word())).because(error))?,
        }
        mends.push(Mend { field: name.to_owned(), kind, text });
    }
    Ok(mends)
}

/// Tries a record again, as it came or mended, or lets it go.
pub(super) async fn treat(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Operator, |desk, form| {
        let number = Number::read(desk.site(), desk.part("number"))?;
        let shown = quarantine::show(desk.site(), &number)?;
        let site = desk.site();
        let tried = match form.text("deed") {
            "retry" => quarantine::retry(site, &number),
            "edit" => mends(form, &shown).and_then(|mends| {
                if mends.is_empty() { quarantine::retry(site, &number) } else { quarantine::edit(site, &number, &mends) }
            }),
            "dismiss" => {
                quarantine::dismiss(site, &number)?;
                desk.app.counts.forget();
                desk.changed(&format!("dismissed {number}"))?;
                return Next::done("/quarantine", "The record is let go; its version is in the history.");
            }
            other => Err(Error::usage(format!("{other:?} cannot be done"))),
        };
        desk.app.counts.forget();
        match tried {
            Ok(Tried::Settled(counts)) => {
                desk.changed(&format!("settled {number}"))?;
                Next::done("/quarantine", if counts.kept > 0 { "It is settled: ours was kept by a rule." } else { "The record is stored." })
            }
            Ok(Tried::Waits(reason)) => {
                let problem = Problem { message: format!("It waits on: {reason}"), hint: String::new() };
                Next::again(&one_page(desk, &number, &shown, Some(form), Some(problem))?)
            }
            Err(error) => Next::again(&one_page(desk, &number, &shown, Some(form), Some(Problem::of(&error)))?),
        }
    })
    .await
}

/// Tries the chosen records again, or lets them go.
pub(super) async fn bulk(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Operator, |desk, form| {
        let (mut done, mut waits, mut failed) = (0, 0, Vec::new());
        let dismiss = form.text("deed") == "dismiss";
        for text in form.all("number") {
            let tried = Number::read(desk.site(), text).and_then(|number| {
                if dismiss {
                    quarantine::dismiss(desk.site(), &number).map(|_| true)
                } else {
                    quarantine::retry(desk.site(), &number).map(|tried| matches!(tried, Tried::Settled(_)))
                }
            });
            match tried {
                Ok(true) => done += 1,
                Ok(false) => waits += 1,
                Err(error) => failed.push(format!("{text}: {}", Problem::of(&error).message)),
            }
        }
        desk.app.counts.forget();
        let word = if dismiss { "let go" } else { "stored" };
        if done > 0 {
            desk.changed(&format!("had {} of the quarantine {word}", counted(done, "record")))?;
        }
        match (done, waits, failed.first()) {
            (0, 0, None) => Next::warned("/quarantine", "None was chosen. Tick those that are meant."),
            (some, 0, None) => Next::done("/quarantine", format!("{} {word}.", counted(some, "record"))),
            (some, waits, None) => Next::warned("/quarantine", format!("{} {word}; {waits} wait on.", counted(some, "record"))),
            (some, _, Some(first)) => Next::warned("/quarantine", format!("{} {word}; not all could be: {first}", counted(some, "record"))),
        }
    })
    .await
}
