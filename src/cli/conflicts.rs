//! `entente conflicts`: records that two sites changed, and who won.

use clap::{Args, Subcommand};
use entente::{
    error::{Error, Result},
    site::Site,
    store::repositories,
    sync::{
        Edited, Number,
        conflicts::{self, Choice, Conflict, Wanted},
    },
};
use serde_json::{Value, json};

use super::{
    Context, Ending,
    output::{table, warn, when},
    versions::{Names, compare, document as version, field_document, shown, written},
};

/// Records that were changed at two sites: both versions, the rule that decided, and another choice
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Conflicts {
    /// Only with this repository
    #[arg(long, value_name = "REPOSITORY")]
    repository: Option<String>,
    /// Only those that wait for a person to decide
    #[arg(long)]
    open: bool,
    /// How many at most [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// Decide a conflict, or decide otherwise than a rule did: a new edit here, which flows
    Resolve {
        /// The conflict's number
        id: String,
        /// What is kept: `ours`, `theirs`, or a list like name=theirs,town=ours; fields that are not named stay ours
        choice: String,
    },
    /// Take a decision back: the record is again what it was here before
    Undo {
        /// The conflict's number
        id: String,
    },
}

impl Conflicts {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        let site = context.site()?;
        match self.verb {
            Some(Verb::Resolve { id, choice }) => {
                let (number, choice) = (Number::read(&site, &id)?, read(&choice)?);
                let done = conflicts::resolve(&site, &number, &choice)?;
                told(context, &site, &number, done, "is decided")
            }
            Some(Verb::Undo { id }) => {
                let number = Number::read(&site, &id)?;
                let done = conflicts::undo(&site, &number)?;
                told(context, &site, &number, done, "is undone")
            }
            None => self.list(context, &site),
        }
    }

    fn list(self, context: &Context, site: &Site) -> Result<Ending> {
        let with = match &self.repository {
            None => None,
            Some(name) => {
                let repository = site.store.read(|c| repositories::get(c, site.store.key(), name))?;
                let unknown = || Error::not_found(format!("{name} has not told its UUID yet")).hint("Run with it once: entente sync");
                Some(repository.uuid.ok_or_else(unknown)?)
            }
        };
        let conflicts::Listed { conflicts: found, unread: failed } =
            conflicts::list(site, Wanted { site: with, open: self.open, limit: self.limit, before: None })?;
        for (database, error) in &failed {
            warn(&format!("{database} cannot be read: {}", error.chain()));
        }
        let names = Names::of(site)?;
        context.format().print(|| text(&found, &names, self.open), || found.iter().map(|found| document(found, &names)).collect())?;
        Ok(if failed.is_empty() { Ending::Done } else { Ending::Failed })
    }
}

/// `ours`, `theirs`, or `FIELD=ours|theirs,…`.
fn read(text: &str) -> Result<Choice> {
    let off = || Error::usage(format!("{text:?} is no choice")).hint("Say ours, theirs, or a list like name=theirs,town=ours.");
    match text {
        "ours" => return Ok(Choice::Ours),
        "theirs" => return Ok(Choice::Theirs),
        _ => {}
    }
    let mut fields = Vec::new();
    for pair in text.split(',') {
        match pair.rsplit_once('=') {
            Some((field, "theirs")) if !field.is_empty() => fields.push(field.to_owned()),
            Some((field, "ours")) if !field.is_empty() => {}
            _ => return Err(off()),
        }
    }
    Ok(if fields.is_empty() { Choice::Ours } else { Choice::Fields(fields) })
}

fn told(context: &Context, site: &Site, number: &Number, done: Edited, what: &str) -> Result<Ending> {
    let conflict = conflicts::show(site, number)?;
    let entry = &conflict.entry;
    let flows = match done {
        Edited::Done => "It is a new edit, which flows at the next run.",
        Edited::Same => "The record was that already.",
    };
    let text =
        || format!("Conflict {number} of {} {} {what}. {flows}\nTake it back: entente conflicts undo {number}", entry.resource, entry.uid);
    let names = Names::of(site)?;
    context.format().print(text, || document(&conflict, &names))?;
    Ok(Ending::Done)
}

fn text(found: &[Conflict], names: &Names, open: bool) -> String {
    if found.is_empty() && open {
        return "Nothing waits for you to decide.".into();
    }
    if found.is_empty() {
        return "No record was changed at two sites so far.".into();
    }
    let mut text = String::new();
    for conflict in found {
        let entry = &conflict.entry;
        let state = match (entry.open, &entry.choice) {
            (true, _) => "open: a person decides".to_owned(),
            (false, Some(choice)) => format!("decided by a person: {choice}"),
            (false, None) => format!("decided by {}", entry.rule),
        };
        text += &format!(
            "{}  {} {}  with {}, {}  {state}\n",
            conflict.number,
            entry.resource,
            entry.uid,
            names.name(entry.site),
            when(entry.at)
        );
        let fields = compare(&entry.ours, &entry.theirs);
        let equal = fields.iter().filter(|field| !field.differs()).count();
        let rows = fields
            .iter()
            .filter(|field| field.differs())
            .map(|field| [field.field.to_owned(), shown(field.ours), shown(field.theirs)])
            .chain([["".into(), written(&entry.ours, names), written(&entry.theirs, names)]]);
        text += &table(&["field", "ours", "theirs"], &[], rows);
        text += &match equal {
            0 => "\n\n".to_owned(),
            1 => "\n1 field is equal.\n\n".to_owned(),
            more => format!("\n{more} fields are equal.\n\n"),
        };
    }
    text + "Decide: entente conflicts resolve NUMBER ours|theirs|FIELD=theirs,…\n"
}

fn document(conflict: &Conflict, names: &Names) -> Value {
    let entry = &conflict.entry;
    let fields: Vec<Value> = compare(&entry.ours, &entry.theirs).iter().map(field_document).collect();
    json!({
        "id": entry.id, "number": conflict.number.to_string(), "database": conflict.number.database, "resource": entry.resource, "uid": entry.uid,
        "repository": names.name(entry.site), "site": entry.site, "at": entry.at, "run": entry.run, "rule": entry.rule, "open": entry.open,
        "choice": entry.choice, "decided": entry.decided, "ours": version(&entry.ours), "theirs": version(&entry.theirs), "fields": fields,
    })
}
