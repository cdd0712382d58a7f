//! `entente log`: what happened here.

use clap::{Args, Subcommand};
use entente::{
    error::Result,
    model::{LogEntry, LogId, Outcome},
    site::Site,
    store::{
        log::{self, LogFilter},
        repositories,
    },
};
use serde_json::{Value, json};

use super::{
    Context, Ending,
    output::{facts, lasted, short, size, table, when, yes},
    words,
};

/// What happened, newest first
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Log {
    /// Only with this repository
    #[arg(long, value_name = "REPOSITORY")]
    repository: Option<String>,
    /// How many entries at most
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: u32,
    /// Only what went so: running, success, warning, error, fatal or interrupted
    #[arg(long, value_parser = words::outcome)]
    result: Option<Outcome>,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// Show one entry in full, and for a run each of its parts
    Show {
        /// The entry's number
        id: LogId,
    },
}

impl Log {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        let site = context.site()?;
        match self.verb {
            Some(Verb::Show { id }) => show(context, &site, id),
            None => self.list(context, &site),
        }
    }

    fn list(self, context: &Context, site: &Site) -> Result<Ending> {
        let entries = site.store.read(|c| {
            let repository = self.repository.as_deref().map(|name| repositories::get(c, site.store.key(), name)).transpose()?;
            let filter =
                LogFilter { repository: repository.map(|r| r.id), outcome: self.result, limit: self.limit, ..LogFilter::default() };
            log::list(c, &filter)
        })?;
        let text = || match entries.as_slice() {
            [] => "Nothing of the kind has happened yet. Run with a repository: entente sync REPOSITORY".to_owned(),
            some => rows(some),
        };
        context.format().print(text, || entries.iter().map(document).collect())?;
        Ok(Ending::Done)
    }
}

fn show(context: &Context, site: &Site, id: LogId) -> Result<Ending> {
    let (entry, parts) = site.store.read(|c| {
        let parts = log::list(c, &LogFilter { run: Some(id), limit: 10_000, ..LogFilter::default() })?;
        Ok((log::get(c, id)?, parts.into_iter().filter(|part| part.id != id).collect::<Vec<_>>()))
    })?;
    let in_json = || {
        let mut document = document(&entry);
        document["parts"] = parts.iter().map(self::document).collect();
        document
    };
    let text = || {
        let mut text = in_full(&entry);
        if !parts.is_empty() {
            text.push_str(&rows(&parts));
        }
        text
    };
    context.format().print(text, in_json)?;
    Ok(Ending::Done)
}

fn in_full(entry: &LogEntry) -> String {
    let mut all = vec![
        ("entry", entry.id.to_string()),
        ("time", when(entry.time)),
        ("took", lasted(entry.duration as f64 / 1_000.0)),
        ("repository", entry.repository_name.clone().unwrap_or_else(|| "none".into())),
    ];
    if let Some(resource) = &entry.resource {
        all.push(("resource", resource.clone()));
    }
    if let Some(run) = entry.run {
        all.push(("part of run", run.to_string()));
    }
    all.extend([
        ("done", format!("{}, {}", entry.action.word(), entry.direction.word())),
        ("result", entry.outcome.word().to_owned()),
        ("failed over there", yes(entry.remote)),
        ("records", entry.counts.told()),
        ("bytes", size(entry.counts.bytes)),
        ("message", entry.message.clone()),
    ]);
    facts(&all)
}

/// Log entries as a table.
pub(super) fn rows(entries: &[LogEntry]) -> String {
    let heading = ["entry", "time", "repository", "resource", "done", "result", "records", "message"];
    table(
        &heading,
        &["entry"],
        entries.iter().map(|entry| {
            let done = match entry.direction.word() {
                "none" => entry.action.word().to_owned(),
                direction => format!("{} {direction}", entry.action.word()),
            };
            [
                entry.id.to_string(),
                when(entry.time),
                entry.repository_name.clone().unwrap_or_default(),
                entry.resource.clone().unwrap_or_default(),
                done,
                entry.outcome.word().to_owned(),
                entry.counts.told(),
                short(&entry.message),
            ]
        }),
    )
}

/// A log entry for programs.
pub(super) fn document(entry: &LogEntry) -> Value {
    json!({
        "id": entry.id, "run": entry.run, "time": entry.time, "milliseconds": entry.duration, "repository": entry.repository_name,
        "resource": entry.resource, "action": entry.action.word(), "direction": entry.direction.word(), "result": entry.outcome.word(),
        "remote": entry.remote, "message": entry.message, "counts": entry.counts,
    })
}
