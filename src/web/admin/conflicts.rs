//! Conflicts: the list, both versions side by side, deciding.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use askama::Template;

use super::{
    desk::{Desk, Next, act, encoded, query, show as page},
    form::Problem,
    frame::{Frame, Nav},
    repository::Head,
    whose::{Whose, unread},
    words::{When, counted},
};
use crate::{
    error::{Error, Result},
    model::{Kind, Page, Role, Time},
    sync::{
        Edited, Number,
        conflicts::{self, Choice, Conflict, Wanted},
        versions::{Compared, Names, compare, record},
    },
    web::app::App,
};

/// So many conflicts stand on the page.
const SHOWN: usize = 200;

/// The fields that name a record, first come first taken.
const NAMING: [&str; 8] = ["name", "title", "label", "subject", "code", "number", "email", "first_name"];

struct Row {
    number: String,
    address: String,
    title: String,
    resource: String,
    differs: String,
    site: String,
    at: When,
    open: bool,
    decided: String,
}

#[derive(Template)]
#[template(path = "conflicts.html")]
struct ListPage {
    frame: Frame,
    head: Option<Head>,
    here: String,
    all: bool,
    open: bool,
    unread: Vec<(String, String)>,
    rows: Vec<Row>,
    more: bool,
}

/// What a record is called: a field that names it, else its uid.
pub(super) fn title(page: &Page, uid: &str) -> String {
    let named = record(page).and_then(|view| {
        let found = NAMING.iter().find_map(|field| view.get(field).filter(|value| value.kind != Kind::Null && !value.text.is_empty()));
        found.map(|value| value.text.chars().take(80).collect::<String>())
    });
    named.unwrap_or_else(|| uid.to_owned())
}

fn decided(conflict: &Conflict) -> String {
    match (&conflict.entry.choice, conflict.entry.rule.as_str()) {
        (Some(choice), _) if choice == "undone" => "taken back".into(),
        (Some(choice), _) => format!("by a person: {choice}"),
        (None, rule) => format!("by {rule}"),
    }
}

fn listed(desk: &Desk, whose: Whose) -> Result<ListPage> {
    let all = desk.query.on("all");
    let found = conflicts::list(desk.site(), Wanted { site: whose.site, open: !all, limit: Some(SHOWN + 1), before: None })?;
    let names = Names::of(desk.site())?;
    let row = |conflict: &Conflict| {
        let entry = &conflict.entry;
        let compared = compare(&entry.ours, &entry.theirs);
        let differs: Vec<&str> = compared.iter().filter(|field| field.differs()).map(|field| field.field).take(6).collect();
        Row {
            number: conflict.number.to_string(),
            address: encoded(&conflict.number.to_string()),
            title: title(&entry.ours, &entry.uid),
            resource: entry.resource.clone(),
            differs: differs.join(", "),
            site: names.name(entry.site),
            at: When::new(entry.at, desk.now),
            open: entry.open,
            decided: decided(conflict),
        }
    };
    let rows: Vec<Row> = found.conflicts.iter().take(SHOWN).map(row).collect();
    Ok(ListPage {
        frame: desk.frame(&whose.title, Nav::Conflicts)?,
        head: whose.head,
        here: desk.path.clone(),
        all,
        open: rows.iter().any(|row| row.open),
        unread: unread(&found.unread),
        more: found.conflicts.len() > SHOWN,
        rows,
    })
}

/// The conflicts with all sites.
pub(super) async fn list(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Viewer, |desk| listed(desk, Whose::all("Conflicts"))).await
}

/// The conflicts of a repository.
pub(super) async fn of_repository(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Viewer, |desk| listed(desk, Whose::of(desk, "Conflicts with", "/conflicts")?)).await
}

/// A part of a value; what the other side does not have is marked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) text: String,
    pub(super) marked: bool,
}

/// A field in two versions.
pub(super) struct Field {
    pub(super) name: String,
    differs: bool,
    pub(super) ours: Vec<Part>,
    pub(super) theirs: Vec<Part>,
}

/// A value with what differs from the other one marked: all but the beginning and the end that both have.
fn marked(value: Option<&str>, other: Option<&str>, differs: bool) -> Vec<Part> {
    let part = |text: &str, marked| Part { text: text.to_owned(), marked };
    let Some(text) = value else { return vec![part("–", false)] };
    if !differs {
        return vec![part(text, false)];
    }
    let (mine, theirs): (Vec<char>, Vec<char>) = (text.chars().collect(), other.unwrap_or_default().chars().collect());
    let begin = mine.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
    let most = mine.len().min(theirs.len()) - begin;
    let end = mine.iter().rev().zip(theirs.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    // A few equal letters in the middle of other words say nothing.
    let (begin, end) = if (begin + end) * 2 < mine.len() { (0, 0) } else { (begin, end) };
    let cut = |from: usize, to: usize| mine.get(from..to).map(|part| part.iter().collect::<String>()).unwrap_or_default();
    let parts = [(cut(0, begin), false), (cut(begin, mine.len() - end), true), (cut(mine.len() - end, mine.len()), false)];
    parts.into_iter().filter(|(text, _)| !text.is_empty()).map(|(text, marked)| Part { text, marked }).collect()
}

/// A field as it is shown.
pub(super) fn field(compared: &Compared<'_>) -> Field {
    let text = |value: Option<(Kind, &'_ str)>| value.filter(|(kind, _)| *kind != Kind::Null).map(|(_, text)| text.to_owned());
    let (ours, theirs, differs) = (text(compared.ours), text(compared.theirs), compared.differs());
    Field {
        name: compared.field.to_owned(),
        differs,
        ours: marked(ours.as_deref(), theirs.as_deref(), differs),
        theirs: marked(theirs.as_deref(), ours.as_deref(), differs),
    }
}

#[derive(Template)]
#[template(path = "conflict.html")]
struct OnePage {
    frame: Frame,
    problem: Option<Problem>,
    resource: String,
    uid: String,
    address: String,
    history: String,
    story: String,
    site: String,
    here: String,
    there: String,
    fields: Vec<Field>,
    open: bool,
    undone: bool,
    /// One side deleted the record.
    gone: bool,
}

/// Who wrote a version and when.
pub(super) fn written(page: &Page, names: &Names, now: Time) -> String {
    match record(page) {
        Some(view) => {
            let verb = if view.record.deleted { "deleted" } else { "changed" };
            let who = match names.name(view.record.author) {
                name if name == "here" => "here".to_owned(),
                name => format!("at {name}"),
            };
            let at = When::new(view.record.modified_on, now);
            format!("{verb} {who}, {} ({})", at.near, at.exact)
        }
        None => "not there".into(),
    }
}

fn one_page(desk: &Desk, conflict: &Conflict, problem: Option<Problem>) -> Result<OnePage> {
    let entry = &conflict.entry;
    let names = Names::of(desk.site())?;
    let site = names.name(entry.site);
    let deleted = |page: &Page| record(page).is_none_or(|view| view.record.deleted);
    let fields: Vec<Field> = compare(&entry.ours, &entry.theirs).iter().map(field).collect();
    let differing = fields.iter().filter(|field| field.differs).count();
    let what = match (deleted(&entry.ours), deleted(&entry.theirs)) {
        (true, _) => format!("It was deleted here while it was changed at {site}."),
        (_, true) => format!("It was deleted at {site} while it was changed here."),
        _ => format!(
            "Both sides changed it since they last agreed; {} different.",
            match differing {
                1 => "1 field is".to_owned(),
                some => format!("{} are", counted(some as u64, "field")),
            }
        ),
    };
    let how = match (entry.open, entry.choice.as_deref()) {
        (true, _) => " It waits for your decision; until then each site keeps its own.".to_owned(),
        (false, Some("undone")) => " The decision was taken back.".to_owned(),
        (false, Some(choice)) => format!(" A person decided: {choice}."),
        (false, None) => format!(" The rule {} decided; what lost is kept in the history.", entry.rule),
    };
    Ok(OnePage {
        frame: desk.frame(&title(if deleted(&entry.ours) { &entry.theirs } else { &entry.ours }, &entry.uid), Nav::Conflicts)?,
        problem,
        resource: entry.resource.clone(),
        uid: entry.uid.clone(),
        address: encoded(&conflict.number.to_string()),
        history: format!("/history?{}", query(&[("resource", &entry.resource), ("uid", &entry.uid)])),
        story: format!("{what}{how}"),
        here: written(&entry.ours, &names, desk.now),
        there: written(&entry.theirs, &names, desk.now),
        site,
        fields,
        open: entry.open,
        undone: entry.choice.as_deref() == Some("undone"),
        gone: deleted(&entry.ours) || deleted(&entry.theirs),
    })
}

fn named(desk: &Desk) -> Result<Conflict> {
    conflicts::show(desk.site(), &Number::read(desk.site(), desk.part("number"))?)
}

/// A conflict with both versions.
pub(super) async fn one(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Viewer, |desk| one_page(desk, &named(desk)?, None)).await
}

/// Decides a conflict, or takes a decision back.
pub(super) async fn decide(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Operator, |desk, form| {
        let conflict = named(desk)?;
        let (site, number) = (desk.site(), &conflict.number);
        let theirs =
            || form.beginning("field-").filter(|(_, side)| *side == "theirs").map(|(field, _)| field.to_owned()).collect::<Vec<_>>();
        let (done, sentence) = match form.text("choice") {
            "ours" => (conflicts::resolve(site, number, &Choice::Ours), "Ours is kept."),
            "theirs" => (conflicts::resolve(site, number, &Choice::Theirs), "Theirs is taken."),
            "fields" if theirs().is_empty() => (conflicts::resolve(site, number, &Choice::Ours), "Ours is kept."),
            "fields" => (conflicts::resolve(site, number, &Choice::Fields(theirs())), "The two are merged."),
            "undo" => (conflicts::undo(site, number), "The decision is taken back."),
            other => (Err(Error::usage(format!("{other:?} is no choice"))), ""),
        };
        desk.app.counts.forget();
        match done {
            Ok(edited) => {
                desk.changed(&format!("decided conflict {number}: {}", form.text("choice")))?;
                let flows = if edited == Edited::Done { " It travels with the next run." } else { "" };
                let open = conflicts::list(site, Wanted { site: None, open: true, limit: Some(1), before: None })?.conflicts;
                // The next one that waits, so that a heap of them is worked through.
                match open.first() {
                    Some(next) if form.text("choice") != "undo" => Next::done(
                        format!("/conflicts/{}", encoded(&next.number.to_string())),
                        format!("{sentence}{flows} Here is the next one."),
                    ),
                    _ => Next::done(format!("/conflicts/{}", encoded(&number.to_string())), format!("{sentence}{flows}")),
                }
            }
            Err(error) => Next::again(&one_page(desk, &conflict, Some(Problem::of(&error)))?),
        }
    })
    .await
}

/// Decides the chosen conflicts all in the same way.
pub(super) async fn bulk(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Operator, |desk, form| {
        let choice = match form.text("choice") {
            "ours" => Choice::Ours,
            "theirs" => Choice::Theirs,
            other => return Err(Error::usage(format!("{other:?} is no choice"))),
        };
        let (mut done, mut failed) = (0, Vec::new());
        for number in form.all("number") {
            match Number::read(desk.site(), number).and_then(|number| conflicts::resolve(desk.site(), &number, &choice)) {
                Ok(_) => done += 1,
                Err(error) => failed.push(format!("{number}: {}", Problem::of(&error).message)),
            }
        }
        desk.app.counts.forget();
        if done > 0 {
            desk.changed(&format!("decided {}: {}", counted(done, "conflict"), form.text("choice")))?;
        }
        match (done, failed.first()) {
            (0, None) => Next::warned("/conflicts", "None was chosen. Tick those that are meant."),
            (some, None) => Next::done("/conflicts", format!("{} decided.", counted(some, "conflict"))),
            (some, Some(first)) => {
                Next::warned("/conflicts", format!("{} decided, {} not: {first}", counted(some, "conflict"), failed.len()))
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(value: &str, other: &str) -> String {
        let parts = marked(Some(value), Some(other), value != other);
        parts.iter().map(|part| if part.marked { format!("[{}]", part.text) } else { part.text.clone() }).collect()
    }

    #[test]
    fn what_differs_is_marked_and_the_rest_is_not() {
        assert_eq!(show("Generator broken", "Generator broken, fuel arrives Tuesday"), "Generator broken");
        assert_eq!(show("Generator broken, fuel arrives Tuesday", "Generator broken"), "[Generator broken, fuel arrives Tuesday]");
        assert_eq!(show("+63 64 429 0117", "+63 64 429 0100"), "+63 64 429 01[17]");
        assert_eq!(show("24", "30"), "[24]");
        assert_eq!(show("aaa", "aaaa"), "aaa");
        assert_eq!(marked(None, Some("x"), true), [Part { text: "–".into(), marked: false }]);
    }
}
