//! The log: a page of it, an entry in full, exports, undoing a run.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use askama::Template;
use serde_json::json;

use super::{
    desk::{Desk, Next, act, give, query, show as page},
    form::{Fields, Form, Problem},
    frame::{Frame, Nav},
    repository::ConfirmPage,
    words::{When, class, deed, figure, lasted, size},
};
use crate::{
    error::{Error, Result},
    model::{Action, Direction, LogEntry, LogId, Outcome, Role, Time},
    store::{log, log::LogFilter, repositories},
    sync::history,
    web::app::App,
};

/// So many entries go into an export.
const EXPORTED: u32 = 100_000;

/// So many entries are searched for a text at once.
const SEARCHED: LogId = 20_000;

/// An entry in a list.
pub(super) struct Row {
    pub(super) id: LogId,
    pub(super) time: When,
    pub(super) deed: String,
    pub(super) message: String,
    pub(super) became: String,
    pub(super) class: &'static str,
    pub(super) outcome: &'static str,
}

impl Row {
    fn of(entry: &LogEntry, now: Time) -> Row {
        let mut message: String = entry.message.chars().take(280).collect();
        if message.len() < entry.message.len() {
            message.push('…');
        }
        Row {
            id: entry.id,
            time: When::new(entry.time, now),
            deed: deed(entry),
            message,
            became: entry.counts.told(),
            class: class(entry.outcome),
            outcome: entry.outcome.word(),
        }
    }
}

/// Entries as a list shows them.
pub(super) fn rows(entries: &[LogEntry], now: Time) -> Vec<Row> {
    entries.iter().map(|entry| Row::of(entry, now)).collect()
}

/// Where the entries before these are; `None` after the last page. The address ends where a query may begin or go on.
pub(super) fn earlier(found: &[LogEntry], filter: &LogFilter, address: &str) -> Option<String> {
    let last = found.last().filter(|_| found.len() == filter.limit as usize)?;
    Some(format!("{address}before={}", last.id))
}

/// As [`earlier`], but a search that found too little goes on where it stopped.
fn further(found: &[LogEntry], filter: &LogFilter, address: &str) -> Option<String> {
    earlier(found, filter, address).or_else(|| filter.after.map(|after| format!("{address}before={}", after + 1)))
}

const RESULTS: [&str; 6] = ["success", "warning", "error", "fatal", "interrupted", "running"];
const ACTIONS: [&str; 9] = ["run", "pull", "push", "register", "fetch", "login", "change", "sweep", "compare"];
const DIRECTIONS: [&str; 3] = ["outgoing", "incoming", "none"];

const NAMES: [&str; 8] = ["repository", "resource", "result", "action", "direction", "text", "from", "to"];

/// The filter that a query asks for.
fn filter(form: &Form) -> Result<LogFilter> {
    let word = |name: &str, what: &str| Error::usage(format!("{:?} is no {what}", form.text(name)));
    let time = |name: &str| form.given(name).map(time).transpose();
    Ok(LogFilter {
        repository: form.number("repository", "Repository")?,
        resource: form.given("resource").map(str::to_owned),
        outcome: form.given("result").map(|text| Outcome::from_word(text).ok_or_else(|| word("result", "result"))).transpose()?,
        action: form.given("action").map(|text| Action::from_word(text).ok_or_else(|| word("action", "action"))).transpose()?,
        direction: form
            .given("direction")
            .map(|text| Direction::from_word(text).ok_or_else(|| word("direction", "direction")))
            .transpose()?,
        text: form.given("text").map(str::to_owned),
        from: time("from")?,
        to: time("to")?,
        before: form.number("before", "Before")?,
        ..LogFilter::default()
    })
}

/// A time as a browser or a person types it; UTC where no zone is named.
pub(super) fn time(text: &str) -> Result<Time> {
    let whole = match text.len() {
        10 => format!("{text}T00:00:00"),
        16 => format!("{text}:00"),
        _ => text.to_owned(),
    };
    whole.parse()
}

fn kept(form: &Form) -> String {
    let pairs: Vec<(&str, &str)> = NAMES.iter().filter_map(|name| Some((*name, form.given(name)?))).collect();
    query(&pairs)
}

#[derive(Template)]
#[template(path = "log.html")]
struct ListPage {
    frame: Frame,
    problem: Option<Problem>,
    fields: Fields,
    repositories: Vec<(String, String)>,
    results: [&'static str; 6],
    actions: [&'static str; 9],
    directions: [&'static str; 3],
    rows: Vec<Row>,
    query: String,
    filtered: bool,
    first: bool,
    /// Older entries were not searched yet.
    searched: bool,
    next: Option<String>,
}

/// A page of the log.
pub(super) async fn list(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Viewer, |desk| {
        let (mut filter, problem) = match filter(&desk.query) {
            Ok(filter) => (filter, None),
            Err(error) => (LogFilter { limit: 0, ..LogFilter::default() }, Some(Problem::of(&error))),
        };
        if filter.text.is_some() {
            let newest = desk.site().store.read(|c| log::list(c, &LogFilter { limit: 1, ..LogFilter::default() }))?;
            let from = filter.before.or(newest.first().map(|entry| entry.id + 1)).unwrap_or(0);
            filter.after = Some(from - SEARCHED).filter(|after| *after > 0);
        }
        let (found, all) = desk.site().store.read(|c| Ok((log::list(c, &filter)?, repositories::names(c)?)))?;
        let kept = kept(&desk.query);
        let address = if kept.is_empty() { "/log?".to_owned() } else { format!("/log?{kept}&") };
        Ok(ListPage {
            frame: desk.frame("Log", Nav::Log)?,
            problem,
            fields: Fields::typed(&desk.query),
            repositories: all.into_iter().map(|(id, _, name)| (id.to_string(), name)).collect(),
            results: RESULTS,
            actions: ACTIONS,
            directions: DIRECTIONS,
            next: further(&found, &filter, &address),
            rows: rows(&found, desk.now),
            searched: filter.after.is_some() && found.len() < filter.limit as usize,
            filtered: !kept.is_empty(),
            query: kept,
            first: filter.before.is_none(),
        })
    })
    .await
}

fn exported(desk: &Desk) -> Result<Vec<LogEntry>> {
    let filter = LogFilter { limit: EXPORTED, ..filter(&desk.query)? };
    desk.site().store.read(|c| log::list(c, &filter))
}

/// The entries as a table for spreadsheets.
pub(super) async fn csv(app: Data<App>, request: HttpRequest) -> HttpResponse {
    give(app, request, Role::Viewer, |desk| {
        let mut text = String::from("entry,run,time,milliseconds,repository,resource,action,direction,result,records,created,updated,deleted,unchanged,kept,conflicts,quarantined,waiting,bytes,message\r\n");
        for entry in exported(desk)? {
            let c = &entry.counts;
            let numbers = [c.records, c.created, c.updated, c.deleted, c.unchanged, c.kept, c.conflicts, c.quarantined, c.parked, c.bytes];
            let run = entry.run.map_or_else(String::new, |run| run.to_string());
            let time = When::new(entry.time, entry.time).machine;
            let name = entry.repository_name.as_deref().unwrap_or_default();
            let resource = entry.resource.as_deref().unwrap_or_default();
            let words = [entry.action.word(), entry.direction.word(), entry.outcome.word()];
            let cells = [entry.id.to_string(), run, time, entry.duration.to_string(), cell(name), cell(resource)];
            let cells = cells.into_iter().chain(words.map(str::to_owned)).chain(numbers.map(|n| n.to_string())).chain([cell(&entry.message)]);
            text.push_str(&cells.collect::<Vec<_>>().join(","));
            text.push_str("\r\n");
        }
        Ok(Next::Document("text/csv; charset=utf-8", text))
    })
    .await
}

/// A text as a cell of CSV (RFC 4180). One that a spreadsheet would take for a formula is made a text.
fn cell(text: &str) -> String {
    let safe = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() };
    if safe.contains([',', '"', '\n', '\r']) { format!("\"{}\"", safe.replace('"', "\"\"")) } else { safe }
}

/// The entries for programs.
pub(super) async fn json(app: Data<App>, request: HttpRequest) -> HttpResponse {
    give(app, request, Role::Viewer, |desk| {
        let entries: Vec<_> = exported(desk)?
            .iter()
            .map(|entry| {
                json!({
                    "id": entry.id, "run": entry.run, "time": entry.time, "milliseconds": entry.duration, "repository": entry.repository_name,
                    "resource": entry.resource, "action": entry.action.word(), "direction": entry.direction.word(), "result": entry.outcome.word(),
                    "remote": entry.remote, "message": entry.message, "counts": entry.counts,
                })
            })
            .collect();
        Ok(Next::Document("application/json", serde_json::Value::from(entries).to_string()))
    })
    .await
}

#[derive(Template)]
#[template(path = "entry.html")]
struct EntryPage {
    frame: Frame,
    entry: Row,
    facts: Vec<(&'static str, String)>,
    repository: Option<i64>,
    repository_name: String,
    run: Option<LogId>,
    counts: Vec<(&'static str, String)>,
    parts: Vec<Row>,
    undo: bool,
}

fn named(desk: &Desk) -> Result<LogEntry> {
    let unknown = || Error::not_found("There is no such entry in the log").hint("Old entries are forgotten after a while.");
    let id = desk.part("entry").parse().map_err(|_| unknown())?;
    desk.site().store.read(|c| log::get(c, id)).map_err(|_| unknown())
}

/// An entry in full.
pub(super) async fn entry(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Viewer, |desk| {
        let entry = named(desk)?;
        let (parts, known) = desk.site().store.read(|c| {
            let parts = log::list(c, &LogFilter { run: Some(entry.id), limit: 1_000, ..LogFilter::default() })?;
            let known = entry.repository.and_then(|id| repositories::by_id(c, desk.site().store.key(), id).ok());
            Ok((parts, known))
        })?;
        let parts: Vec<LogEntry> = parts.into_iter().filter(|part| part.id != entry.id).collect();
        let c = &entry.counts;
        let counts = [
            ("in the pages", c.records),
            ("created", c.created),
            ("updated", c.updated),
            ("deleted", c.deleted),
            ("unchanged", c.unchanged),
            ("kept by a rule", c.kept),
            ("in conflict", c.conflicts),
            ("quarantined", c.quarantined),
            ("waiting", c.parked),
            ("let go", c.retracted),
        ];
        let mut facts =
            vec![("Took", lasted(entry.duration)), ("Action", entry.action.word().into()), ("Direction", entry.direction.word().into())];
        facts.extend(entry.resource.clone().map(|resource| ("Resource", resource)));
        facts.push(("Failed over there", if entry.remote { "yes" } else { "no" }.into()));
        if c.bytes > 0 {
            facts.push(("Bytes", size(c.bytes)));
        }
        if c.records > 0 && entry.duration > 0 {
            facts.push(("Rate", format!("{} records/s", figure(c.records * 1_000 / entry.duration.unsigned_abs()))));
        }
        let took_in = matches!(entry.action, Action::Run | Action::Pull) && c.created + c.updated + c.deleted + c.conflicts > 0;
        Ok(EntryPage {
            frame: desk.frame(&deed(&entry), Nav::Log)?,
            facts,
            repository: known.map(|known| known.id),
            repository_name: entry.repository_name.clone().unwrap_or_default(),
            run: entry.run.filter(|run| *run != entry.id),
            counts: counts.into_iter().filter(|(_, n)| *n > 0).map(|(name, n)| (name, figure(n))).collect(),
            parts: rows(&parts, desk.now),
            undo: took_in && entry.run.is_none_or(|run| run == entry.id),
            entry: Row { message: entry.message.clone(), ..Row::of(&entry, desk.now) },
        })
    })
    .await
}

/// Asks whether a run is to be undone.
pub(super) async fn ask_rollback(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Operator, |desk| {
        let entry = named(desk)?;
        Ok(ConfirmPage {
            frame: desk.frame(&format!("Undo run {}?", entry.id), Nav::Log)?,
            problem: None,
            text: "Every record that it created, changed or deleted here becomes what it was before, as a new edit of this site that travels to the others. What changed since stays as it is and is named.".into(),
            action: format!("/log/{}/rollback", entry.id),
            hidden: Vec::new(),
            ticks: Vec::new(),
            deed: "Undo the run",
            back: format!("/log/{}", entry.id),
        })
    })
    .await
}

/// Undoes a run.
pub(super) async fn rollback(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Operator, |desk, _| {
        let entry = named(desk)?;
        let undone = history::rollback(desk.site(), entry.id)?;
        desk.changed(&format!("undid run {}", entry.id))?;
        let to = format!("/log/{}", entry.id);
        let told = format!("{} put back, {} removed.", figure(undone.restored), figure(undone.removed));
        match undone.refused.first() {
            None => Next::done(to, format!("The run is undone: {told}")),
            Some((resource, uid, why)) => {
                Next::warned(to, format!("{told} {} left as they are; the first: {resource} {uid}: {why}", undone.refused.len()))
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_cannot_break_out_or_become_a_formula() {
        for (text, want) in
            [("a", "a"), ("a,b", "\"a,b\""), ("say \"x\"", "\"say \"\"x\"\"\""), ("=1+1", "'=1+1"), ("@SUM(A1),2", "\"'@SUM(A1),2\"")]
        {
            assert_eq!(cell(text), want);
        }
    }

    #[test]
    fn a_search_that_found_little_goes_on_where_it_stopped() {
        let filter = LogFilter { after: Some(500), limit: 2, ..LogFilter::default() };
        let entry = |id| LogEntry { id, ..LogEntry::new(Time(0), Action::Run, Direction::None) };
        assert_eq!(further(&[entry(900)], &filter, "/log?").as_deref(), Some("/log?before=501"));
        assert_eq!(further(&[entry(900), entry(800)], &filter, "/log?").as_deref(), Some("/log?before=800"));
        assert_eq!(further(&[entry(900)], &LogFilter { after: None, ..filter }, "/log?"), None, "all was searched");
    }

    #[test]
    fn a_filter_is_read_from_its_query_and_kept_for_the_next_page() {
        let form = Form::parse("repository=3&result=error&from=2026-01-02&to=2026-01-02T03%3A04&text=a%26b&before=9").unwrap();
        let read = filter(&form).unwrap();
        assert_eq!((read.repository, read.outcome, read.before), (Some(3), Some(Outcome::Error), Some(9)));
        assert_eq!(read.to.unwrap().0 - read.from.unwrap().0, 184 * 60 * 1_000_000);
        assert!(kept(&form).contains("text=a%26b") && !kept(&form).contains("before"));
        assert!(filter(&Form::parse("result=odd").unwrap()).is_err());
    }
}
