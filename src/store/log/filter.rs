//! Which entries are wanted.

use diesel::{prelude::*, sql_types::Text};

use super::{Conn, Row, entry, log};
use crate::{
    error::Result,
    model::{Action, Direction, LogEntry, LogId, Outcome, RepositoryId, Time},
};

/// Which entries are wanted: those that meet everything that is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter {
    /// Of this repository.
    pub repository: Option<RepositoryId>,
    /// Of this resource.
    pub resource: Option<String>,
    /// Which went so.
    pub outcome: Option<Outcome>,
    /// In which this was done.
    pub action: Option<Action>,
    /// Asked for by this side.
    pub direction: Option<Direction>,
    /// Of this run, its own entry included.
    pub run: Option<LogId>,
    /// With this text in the message, the resource or the repository's name; capitals do not matter.
    pub text: Option<String>,
    /// Begun at this time or later.
    pub from: Option<Time>,
    /// Begun before this time.
    pub to: Option<Time>,
    /// Older than this entry: the last one of the page before.
    pub before: Option<LogId>,
    /// Newer than this entry.
    pub after: Option<LogId>,
    /// How many at most.
    pub limit: u32,
}

impl Default for LogFilter {
    /// The last 50 entries.
    fn default() -> LogFilter {
        LogFilter {
            repository: None,
            resource: None,
            outcome: None,
            action: None,
            direction: None,
            run: None,
            text: None,
            from: None,
            to: None,
            before: None,
            after: None,
            limit: 50,
        }
    }
}

#[diesel::declare_sql_function]
extern "SQL" {
    fn lower(text: Text) -> Text;
    #[sql_name = "coalesce"]
    fn or_else(text: diesel::sql_types::Nullable<Text>, other: Text) -> Text;
}

/// The entries that a filter wants, newest first. The next page is `before` the last one's number.
pub fn list(conn: &mut Conn, filter: &LogFilter) -> Result<Vec<LogEntry>> {
    let mut query = log::table.select((log::id, Row::as_select())).order(log::id.desc()).limit(i64::from(filter.limit)).into_boxed();
    if let Some(repository) = filter.repository {
        query = query.filter(log::repository.eq(repository));
    }
    if let Some(resource) = &filter.resource {
        query = query.filter(log::resource.eq(resource));
    }
    if let Some(outcome) = filter.outcome {
        query = query.filter(log::outcome.eq(outcome.word()));
    }
    if let Some(action) = filter.action {
        query = query.filter(log::action.eq(action.word()));
    }
    if let Some(direction) = filter.direction {
        query = query.filter(log::direction.eq(direction.word()));
    }
    if let Some(run) = filter.run {
        query = query.filter(log::run.eq(run).or(log::id.eq(run)));
    }
    if let Some(text) = &filter.text {
        let wanted = containing(text);
        let in_message = lower(log::message).like(lower(wanted.clone())).escape('\\');
        let in_resource = lower(or_else(log::resource, "")).like(lower(wanted.clone())).escape('\\');
        let in_name = lower(or_else(log::repository_name, "")).like(lower(wanted)).escape('\\');
        query = query.filter(in_message.or(in_resource).or(in_name));
    }
    if let Some(from) = filter.from {
        query = query.filter(log::time.ge(from.0));
    }
    if let Some(to) = filter.to {
        query = query.filter(log::time.lt(to.0));
    }
    if let Some(before) = filter.before {
        query = query.filter(log::id.lt(before));
    }
    if let Some(after) = filter.after {
        query = query.filter(log::id.gt(after));
    }
    query.load(conn)?.into_iter().map(entry).collect()
}

/// A LIKE pattern for a text anywhere, with `\` before what LIKE reads as a sign.
fn containing(text: &str) -> String {
    let mut pattern = String::from("%");
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}
