//! `/conflicts`: records that two sites changed, and who won.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    operation::{Call, In, Method, Nothing, Operation},
    page::limit,
    version::{ComparedField, Unread, Version},
};
use crate::{
    error::{Error, Result},
    model::{Scope, SiteId, Time},
    store::repositories,
    sync::{
        Edited, Number,
        conflicts::{self, Before, Choice, Conflict as Known, Wanted},
        versions::{Names, compare},
    },
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::new(Method::Get, "/conflicts", ("listConflicts", "Records that were changed at two sites, newest first"), list),
        Operation::new(Method::Get, "/conflicts/{conflict}", ("showConflict", "Show a conflict with both versions"), show),
        Operation::new(
            Method::Post,
            "/conflicts/{conflict}/resolve",
            ("resolveConflict", "Decide a conflict, or decide otherwise than a rule did: a new edit here, which flows"),
            resolve,
        )
        .needs(Scope::Write),
        Operation::new(
            Method::Post,
            "/conflicts/{conflict}/undo",
            ("undoConflict", "Take a decision back: the record is again what it was here before"),
            undo,
        )
        .needs(Scope::Write),
    ]
}

/// A conflict.
#[derive(Serialize, JsonSchema)]
struct Conflict {
    /// By which it is named: DATABASE:NUMBER.
    number: String,
    /// The number in its database.
    id: i64,
    /// The database.
    database: String,
    /// The resource.
    resource: String,
    /// The record's uid.
    uid: String,
    /// What the other site is called here.
    repository: String,
    /// The other site.
    site: SiteId,
    /// When it arose.
    at: Time,
    /// The run in which it came.
    run: u64,
    /// The rule that decided, or MANUAL.
    rule: String,
    /// Whether a person has yet to decide.
    open: bool,
    /// What a person chose.
    choice: Option<String>,
    /// When.
    decided: Option<Time>,
    /// What is here, or was.
    ours: Option<Version>,
    /// What came.
    theirs: Option<Version>,
    /// Both side by side.
    fields: Vec<ComparedField>,
}

impl Conflict {
    fn of(known: &Known, names: &Names) -> Conflict {
        let entry = &known.entry;
        Conflict {
            number: known.number.to_string(),
            id: entry.id,
            database: known.number.database.clone(),
            resource: entry.resource.clone(),
            uid: entry.uid.clone(),
            repository: names.name(entry.site),
            site: entry.site,
            at: entry.at,
            run: entry.run,
            rule: entry.rule.clone(),
            open: entry.open,
            choice: entry.choice.clone(),
            decided: entry.decided,
            ours: Version::of(&entry.ours),
            theirs: Version::of(&entry.theirs),
            fields: compare(&entry.ours, &entry.theirs).iter().map(ComparedField::from).collect(),
        }
    }
}

/// Which conflicts.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConflictListing {
    /// Only with this repository.
    repository: Option<String>,
    /// Only those that wait for a person to decide [default: false].
    #[serde(default)]
    open: bool,
    /// Older than this one: `next` of the page before.
    before: Option<String>,
    /// How many at most [default: 50; 1 to 1000].
    limit: Option<u32>,
}

/// Conflicts, newest first.
#[derive(Serialize, JsonSchema)]
struct ConflictPage {
    /// What is on the page.
    items: Vec<Conflict>,
    /// Where the next page begins: the value for `before`. Null on the last page.
    next: Option<String>,
    /// Databases that could not be read.
    unread: Vec<Unread>,
}

fn list(call: &Call<'_>, asked: In<Nothing, ConflictListing>) -> Result<ConflictPage> {
    let ConflictListing { repository, open, before, limit: wanted } = asked.query;
    let (limit, site) = (limit(wanted)? as usize, call.site);
    let with = match repository {
        None => None,
        Some(name) => {
            let known = site.store.read(|c| repositories::get(c, site.store.key(), &name))?;
            let unknown = || Error::not_found(format!("{name} has not told its UUID yet")).hint("Run with it once.");
            Some(known.uuid.ok_or_else(unknown)?)
        }
    };
    let before = before.as_deref().map(str::parse::<Before>).transpose()?;
    let begin = before.clone().unwrap_or_default();
    let conflicts::Listed { conflicts: mut found, unread } =
        conflicts::list(site, Wanted { site: with, open, limit: Some(limit + 1), before })?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = more.then(|| begin.and(&found).to_string());
    let names = Names::of(site)?;
    let unread = unread.into_iter().map(|(database, error)| Unread { database, error: error.chain() }).collect();
    Ok(ConflictPage { items: found.iter().map(|one| Conflict::of(one, &names)).collect(), next, unread })
}

/// A conflict by its number.
#[derive(Deserialize, JsonSchema)]
struct ConflictPath {
    /// The number: DATABASE:NUMBER, or the number alone where one database is attached.
    conflict: String,
}

fn show(call: &Call<'_>, asked: In<ConflictPath>) -> Result<Conflict> {
    one(call, &Number::read(call.site, &asked.path.conflict)?)
}

fn one(call: &Call<'_>, number: &Number) -> Result<Conflict> {
    Ok(Conflict::of(&conflicts::show(call.site, number)?, &Names::of(call.site)?))
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Side {
    /// What is here.
    Ours,
    /// What came.
    Theirs,
}

/// What is kept: the whole of one side, or field by field.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Decision {
    /// The side that is kept as a whole.
    keep: Option<Side>,
    /// The side that is kept of each field; those that are not named stay ours.
    fields: Option<BTreeMap<String, Side>>,
}

impl Decision {
    fn choice(self) -> Result<Choice> {
        match (self.keep, self.fields) {
            (Some(Side::Ours), None) => Ok(Choice::Ours),
            (Some(Side::Theirs), None) => Ok(Choice::Theirs),
            (None, Some(fields)) if !fields.is_empty() => {
                let theirs: Vec<String> = fields.into_iter().filter(|(_, side)| *side == Side::Theirs).map(|(field, _)| field).collect();
                Ok(if theirs.is_empty() { Choice::Ours } else { Choice::Fields(theirs) })
            }
            _ => Err(Error::usage("no choice is named")
                .hint("Say {\"keep\": \"ours\"}, {\"keep\": \"theirs\"} or {\"fields\": {\"name\": \"theirs\"}}.")),
        }
    }
}

/// A conflict that was decided.
#[derive(Serialize, JsonSchema)]
struct Decided {
    /// Whether the record was changed by it; false = it was that already.
    changed: bool,
    /// The conflict as it is now.
    conflict: Conflict,
}

fn resolve(call: &Call<'_>, asked: In<ConflictPath, Nothing, Decision>) -> Result<Decided> {
    let (number, choice) = (Number::read(call.site, &asked.path.conflict)?, asked.body.choice()?);
    let done = conflicts::resolve(call.site, &number, &choice)?;
    Ok(Decided { changed: done == Edited::Done, conflict: one(call, &number)? })
}

fn undo(call: &Call<'_>, asked: In<ConflictPath>) -> Result<Decided> {
    let number = Number::read(call.site, &asked.path.conflict)?;
    let done = conflicts::undo(call.site, &number)?;
    Ok(Decided { changed: done == Edited::Done, conflict: one(call, &number)? })
}
