//! `/log`: what happened here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    operation::{Call, In, Method, Nothing, Operation},
    page::{Page, limit},
};
use crate::{
    error::{Error, Result},
    model::{Action, Counts, Direction, LogEntry, LogId, Outcome, Time},
    store::{
        log::{self, LogFilter},
        repositories,
    },
};

/// The most entries of an export.
const EXPORTED: u32 = 10_000;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::new(Method::Get, "/log", ("listLog", "What happened, newest first"), list),
        Operation::text(
            "/log/export.csv",
            "text/csv; charset=utf-8",
            ("exportLogAsCsv", "The log as a table, newest first: up to 10,000 entries"),
            csv,
        ),
        Operation::new(
            Method::Get,
            "/log/export.json",
            ("exportLogAsJson", "The log as one document, newest first: up to 10,000 entries"),
            json,
        ),
        Operation::new(Method::Get, "/log/{entry}", ("showLogEntry", "Show one entry in full, and for a run each of its parts"), show),
    ]
}

/// An entry of the log.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LogEntry")]
pub(super) struct Entry {
    /// Its number; later entries have greater numbers.
    id: LogId,
    /// The run it belongs to.
    run: Option<LogId>,
    /// When it began.
    time: Time,
    /// How long it took.
    milliseconds: i64,
    /// The repository, as it was called then.
    repository: Option<String>,
    /// The resource.
    resource: Option<String>,
    /// What was done.
    action: Action,
    /// Who asked.
    direction: Direction,
    /// How it went.
    result: Outcome,
    /// Whether it failed at the other side.
    remote: bool,
    /// A sentence that can be read alone.
    message: String,
    /// What became of the records.
    counts: Counts,
}

impl From<LogEntry> for Entry {
    fn from(entry: LogEntry) -> Entry {
        Entry {
            id: entry.id,
            run: entry.run,
            time: entry.time,
            milliseconds: entry.duration,
            repository: entry.repository_name,
            resource: entry.resource,
            action: entry.action,
            direction: entry.direction,
            result: entry.outcome,
            remote: entry.remote,
            message: entry.message,
            counts: entry.counts,
        }
    }
}

/// Which entries: those that meet everything that is named.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    /// Only with this repository.
    pub(super) repository: Option<String>,
    /// Only of this resource.
    resource: Option<String>,
    /// Only what went so.
    result: Option<Outcome>,
    /// Only where this was done.
    action: Option<Action>,
    /// Only what this side asked for.
    direction: Option<Direction>,
    /// Only of this run, its own entry included.
    run: Option<LogId>,
    /// Only with this text in the message, the resource or the repository's name.
    text: Option<String>,
    /// Begun at this time or later.
    from: Option<Time>,
    /// Begun before this time.
    to: Option<Time>,
    /// Older than this entry: `next` of the page before.
    before: Option<LogId>,
    /// How many at most [default: 50, of an export 10000; a page has 1000 at most].
    limit: Option<u32>,
}

impl Filter {
    /// The entries, one more than `limit` where there are more.
    pub(super) fn entries(self, call: &Call<'_>, action: Option<Action>, limit: u32) -> Result<Vec<Entry>> {
        let found = call.site.store.read(|c| {
            let repository = self.repository.as_deref().map(|name| repositories::get(c, call.site.store.key(), name)).transpose()?;
            let filter = LogFilter {
                repository: repository.map(|repository| repository.id),
                resource: self.resource,
                outcome: self.result,
                action: action.or(self.action),
                direction: self.direction,
                run: self.run,
                text: self.text,
                from: self.from,
                to: self.to,
                before: self.before,
                after: None,
                limit: limit + 1,
            };
            log::list(c, &filter)
        })?;
        Ok(found.into_iter().map(Entry::from).collect())
    }

    /// A page of them.
    pub(super) fn page(self, call: &Call<'_>, action: Option<Action>) -> Result<Page<Entry>> {
        let limit = limit(self.limit)?;
        Ok(Page::of(self.entries(call, action, limit)?, limit, |entry| entry.id.to_string()))
    }

    fn exported(self, call: &Call<'_>) -> Result<Vec<Entry>> {
        let limit = self.limit.unwrap_or(EXPORTED);
        if limit == 0 || limit > EXPORTED {
            return Err(Error::usage(format!("an export has 1 to {EXPORTED} entries, not {limit}"))
                .hint("Go on with `before`, the last entry's number."));
        }
        let mut entries = self.entries(call, None, limit)?;
        entries.truncate(limit as usize);
        Ok(entries)
    }
}

fn list(call: &Call<'_>, asked: In<Nothing, Filter>) -> Result<Page<Entry>> {
    asked.query.page(call, None)
}

fn json(call: &Call<'_>, asked: In<Nothing, Filter>) -> Result<Vec<Entry>> {
    asked.query.exported(call)
}

fn csv(call: &Call<'_>, asked: In<Nothing, Filter>) -> Result<String> {
    let mut text = "id,run,time,milliseconds,repository,resource,action,direction,result,remote,message,records,created,updated,deleted,unchanged,kept,\
                    conflicts,quarantined,parked,retracted,bytes\r\n"
        .to_owned();
    for entry in asked.query.exported(call)? {
        let words = [
            entry.id.to_string(),
            entry.run.map_or_else(String::new, |run| run.to_string()),
            entry.time.to_string(),
            entry.milliseconds.to_string(),
            cell(entry.repository.as_deref().unwrap_or_default()),
            cell(entry.resource.as_deref().unwrap_or_default()),
            entry.action.word().to_owned(),
            entry.direction.word().to_owned(),
            entry.result.word().to_owned(),
            entry.remote.to_string(),
            cell(&entry.message),
        ];
        let Counts { records, created, updated, deleted, unchanged, kept, conflicts, quarantined, parked, retracted, bytes } = entry.counts;
        let numbers =
            [records, created, updated, deleted, unchanged, kept, conflicts, quarantined, parked, retracted, bytes].map(|n| n.to_string());
        text.push_str(&words.into_iter().chain(numbers).collect::<Vec<_>>().join(","));
        text.push_str("\r\n");
    }
    Ok(text)
}

/// A text as a cell. What a spreadsheet would take for a formula is no formula: messages hold words of other sites.
fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    format!("\"{}{}\"", if formula { "'" } else { "" }, text.replace('"', "\"\""))
}

/// An entry by its number.
#[derive(Deserialize, JsonSchema)]
struct EntryPath {
    /// The entry's number.
    entry: LogId,
}

/// An entry of the log with its parts.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LogEntryDetail")]
pub(super) struct EntryDetail {
    #[serde(flatten)]
    entry: Entry,
    /// The parts of a run.
    parts: Vec<Entry>,
}

fn show(call: &Call<'_>, asked: In<EntryPath>) -> Result<EntryDetail> {
    detail(call, asked.path.entry)
}

/// An entry in full.
pub(super) fn detail(call: &Call<'_>, id: LogId) -> Result<EntryDetail> {
    let (entry, parts) = call.site.store.read(|c| {
        let parts = log::list(c, &LogFilter { run: Some(id), limit: EXPORTED, ..LogFilter::default() })?;
        Ok((log::get(c, id)?, parts))
    })?;
    Ok(EntryDetail { entry: entry.into(), parts: parts.into_iter().filter(|part| part.id != id).map(Entry::from).collect() })
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_another_site_says_is_no_formula_in_a_spreadsheet() {
        for (text, want) in [("a \"b\"", r#""a ""b""""#), ("=1+1", "\"'=1+1\""), ("@x", "\"'@x\""), ("", "\"\""), ("1-2", "\"1-2\"")] {
            assert_eq!(super::cell(text), want);
        }
    }
}
