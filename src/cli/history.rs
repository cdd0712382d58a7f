//! `entente history`: every version of a record that was replaced or deleted. `entente rollback`: a whole run undone.

use clap::{Args, Subcommand};
use entente::{
    error::{Error, Result},
    model::LogId,
    sync::{
        Edited, Number,
        history::{self, Past},
    },
};
use serde_json::{Value, json};

use super::{
    Context, Ending,
    output::{table, warn, when},
    versions::{Names, document as version, line, written},
};

/// Every version of a record that was replaced or deleted here, and which rule decided
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(super) struct History {
    /// The resource
    resource: Option<String>,
    /// The record's uid
    uid: Option<String>,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// Put a version back: a new edit here, which flows
    Restore {
        /// The version's number
        id: String,
    },
}

impl History {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        let site = context.site()?;
        if let Some(Verb::Restore { id }) = self.verb {
            let number = Number::read(&site, &id)?;
            let (entry, done) = history::restore(&site, &number)?;
            let text = || match done {
                Edited::Done => format!("{} {} is again as version {number} was. It flows at the next run.", entry.resource, entry.uid),
                Edited::Same => format!("{} {} is already as version {number} was.", entry.resource, entry.uid),
            };
            let document =
                || json!({"number": number.to_string(), "resource": entry.resource, "uid": entry.uid, "changed": done == Edited::Done});
            context.format().print(text, document)?;
            return Ok(Ending::Done);
        }
        let (Some(resource), Some(uid)) = (self.resource, self.uid) else {
            return Err(
                Error::usage("which record?").hint("entente history RESOURCE UID; `entente conflicts` and `entente log` name uids.")
            );
        };
        let past = history::of(&site, &resource, &uid)?;
        let names = Names::of(&site)?;
        context.format().print(|| text(&past, &names), || document(&past, &names, &resource, &uid))?;
        Ok(Ending::Done)
    }
}

fn text(past: &Past, names: &Names) -> String {
    let now = match &past.now {
        Some(page) => format!("Now: {} ({})\n", line(page), written(page, names)),
        None => "It is not here now.\n".into(),
    };
    if past.entries.is_empty() {
        return now + "Nothing of it was ever replaced by another site's version.";
    }
    let rows = past.entries.iter().map(|entry| {
        let what = if entry.side == "local" { "was here" } else { "came, was not taken" };
        let number = Number { database: past.database.clone(), id: entry.id };
        [
            number.to_string(),
            when(entry.at),
            entry.run.to_string(),
            entry.rule.clone(),
            what.into(),
            written(&entry.page, names),
            line(&entry.page),
        ]
    });
    now + &table(&["number", "lost at", "run", "rule", "version", "written", "content"], &[], rows)
        + "\nPut one back: entente history restore NUMBER\n"
}

fn document(past: &Past, names: &Names, resource: &str, uid: &str) -> Value {
    let entries: Vec<Value> = past
        .entries
        .iter()
        .map(|entry| {
            let number = Number { database: past.database.clone(), id: entry.id };
            json!({
                "id": entry.id, "number": number.to_string(), "at": entry.at, "run": entry.run, "rule": entry.rule, "side": entry.side,
                "site": entry.site, "repository": names.name(entry.site), "version": version(&entry.page),
            })
        })
        .collect();
    json!({"resource": resource, "uid": uid, "database": past.database, "now": past.now.as_ref().map(version), "entries": entries})
}

/// Undo what one run did here, as new edits; what changed since is named and left as it is
#[derive(Args)]
pub(super) struct Rollback {
    /// The run's number in the log
    run: LogId,
}

impl Rollback {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        let site = context.site()?;
        let undone = history::rollback(&site, self.run)?;
        for (resource, uid, why) in &undone.refused {
            warn(&format!("{resource} {uid} is left as it is: {why}"));
        }
        let text = || match undone.restored + undone.removed {
            0 if undone.refused.is_empty() => format!("Run {} changed nothing here.", self.run),
            _ => format!(
                "Run {} is undone: {} put back, {} removed, {} left as they are. It flows at the next run.",
                self.run,
                undone.restored,
                undone.removed,
                undone.refused.len()
            ),
        };
        let refused =
            || undone.refused.iter().map(|(resource, uid, why)| json!({"resource": resource, "uid": uid, "reason": why})).collect();
        let document = || {
            let refused: Vec<Value> = refused();
            json!({"run": self.run, "restored": undone.restored, "removed": undone.removed, "refused": refused})
        };
        context.format().print(text, document)?;
        Ok(if undone.refused.is_empty() { Ending::Done } else { Ending::Failed })
    }
}
