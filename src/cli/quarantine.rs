//! `entente quarantine`: records that could not be stored.

use clap::{Args, Subcommand};
use entente::{
    connector::WaitingEntry,
    error::{Error, Result},
    model::{Kind, Page, Repository},
    site::Site,
    store::repositories,
    sync::{
        Number,
        quarantine::{self, Mend, Tried, Waits},
    },
};
use serde_json::{Value, json};

use super::{
    Context, Ending,
    output::{facts, table, warn, when},
    versions::{document as version, line, record},
};

/// Records that wait: refused by the database, or for a record they refer to
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Quarantine {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// Show one with its content
    Show {
        /// Its number
        id: String,
    },
    /// Try one again now
    Retry {
        /// Its number
        id: String,
    },
    /// Give one other values and try it: it is then this site's own version, and flows
    Edit {
        /// Its number
        id: String,
        /// FIELD=VALUE; a reference's value is the uid it refers to
        #[arg(required_unless_present = "null", value_name = "FIELD=VALUE")]
        values: Vec<String>,
        /// A field that gets no value
        #[arg(long, value_name = "FIELD")]
        null: Vec<String>,
    },
    /// Let one go: it is kept in the history and not applied
    Dismiss {
        /// Its number
        id: String,
    },
}

impl Quarantine {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        let site = context.site()?;
        match self.verb {
            None => list(context, &site),
            Some(Verb::Show { id }) => {
                let number = Number::read(&site, &id)?;
                let shown = quarantine::show(&site, &number)?;
                let text = || {
                    facts(&[
                        ("record", format!("{} {}", shown.entry.resource, shown.entry.uid)),
                        ("state", shown.entry.kind.clone()),
                        ("reason", shown.entry.reason.clone()),
                        ("content", line(&shown.page)),
                    ])
                };
                let document = || {
                    let mut document = self::document(&number.database, &shown.entry, &[]);
                    document["version"] = version(&shown.page);
                    document
                };
                context.format().print(text, document)?;
                Ok(Ending::Done)
            }
            Some(Verb::Retry { id }) => {
                let number = Number::read(&site, &id)?;
                told(context, &number, &quarantine::retry(&site, &number)?)
            }
            Some(Verb::Edit { id, values, null }) => {
                let number = Number::read(&site, &id)?;
                let mends = mends(&quarantine::show(&site, &number)?.page, &values, &null)?;
                told(context, &number, &quarantine::edit(&site, &number, &mends)?)
            }
            Some(Verb::Dismiss { id }) => {
                let number = Number::read(&site, &id)?;
                let entry = quarantine::dismiss(&site, &number)?;
                let text = || {
                    format!(
                        "{} {} waits no longer and was not applied. The version is in its history: entente history {} {}",
                        entry.resource, entry.uid, entry.resource, entry.uid
                    )
                };
                context
                    .format()
                    .print(text, || json!({"number": number.to_string(), "resource": entry.resource, "uid": entry.uid, "settled": true}))?;
                Ok(Ending::Done)
            }
        }
    }
}

fn told(context: &Context, number: &Number, tried: &Tried) -> Result<Ending> {
    let text = || match tried {
        Tried::Settled(counts) if counts.kept > 0 => format!("{number} is settled: ours was kept by a rule."),
        Tried::Settled(_) => format!("{number} is stored."),
        Tried::Waits(reason) => format!("{number} waits on: {reason}"),
    };
    let document = || match tried {
        Tried::Settled(_) => json!({"number": number.to_string(), "settled": true}),
        Tried::Waits(reason) => json!({"number": number.to_string(), "settled": false, "reason": reason}),
    };
    context.format().print(text, document)?;
    Ok(if matches!(tried, Tried::Settled(_)) { Ending::Done } else { Ending::Failed })
}

/// The values that were typed, as what the record has in these fields, else as what they look like.
fn mends(page: &Page, values: &[String], null: &[String]) -> Result<Vec<Mend>> {
    let mut mends = Vec::new();
    for text in values {
        let (field, value) = text
            .split_once('=')
            .filter(|(field, _)| !field.is_empty())
            .ok_or_else(|| Error::usage(format!("{text:?} is no FIELD=VALUE")).hint("For no value at all: --null FIELD."))?;
        let known = record(page).and_then(|record| record.get(field)).map(|known| known.kind);
        let (kind, text) = entente::wire::value::typed(field, known, value)?;
        mends.push(Mend { field: field.to_owned(), kind, text });
    }
    mends.extend(null.iter().map(|field| Mend { field: field.clone(), kind: Kind::Null, text: String::new() }));
    Ok(mends)
}

fn list(context: &Context, site: &Site) -> Result<Ending> {
    let repositories = site.store.read(|c| repositories::list(c, site.store.key()))?;
    let (waiting, failed) = quarantine::list(site)?;
    for (database, error) in &failed {
        warn(&format!("{database} cannot be read: {}", error.chain()));
    }
    context.format().print(
        || text(&waiting, &repositories),
        || waiting.iter().map(|Waits { number, entry }| document(&number.database, entry, &repositories)).collect(),
    )?;
    Ok(if failed.is_empty() { Ending::Done } else { Ending::Failed })
}

fn text(waiting: &[Waits], repositories: &[Repository]) -> String {
    if waiting.is_empty() {
        return "Nothing waits: every record that came is stored.".into();
    }
    let rows = waiting.iter().map(|Waits { number, entry }| {
        let from = from(entry, repositories);
        [number.to_string(), when(entry.at), entry.resource.clone(), entry.uid.clone(), from, entry.kind.clone(), entry.reason.clone()]
    });
    let text = table(&["number", "since", "resource", "record", "from", "state", "reason"], &[], rows);
    text + "\nEach is tried again at every run, and when what it waits for arrives.\n\
                   By hand: entente quarantine show|retry|edit|dismiss NUMBER\n"
}

fn from(entry: &WaitingEntry, repositories: &[Repository]) -> String {
    let known = repositories.iter().find(|repository| repository.uuid == Some(entry.site));
    known.map_or_else(|| entry.site.to_string(), |repository| repository.name.clone())
}

fn document(database: &str, entry: &WaitingEntry, repositories: &[Repository]) -> Value {
    json!({
        "database": database, "id": entry.id, "number": format!("{database}:{}", entry.id), "since": entry.at, "resource": entry.resource, "uid": entry.uid, "site": entry.site,
        "repository": from(entry, repositories), "state": entry.kind, "reason": entry.reason,
    })
}
