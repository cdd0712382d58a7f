//! `/quarantine`: records that could not be stored, or wait for another.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    operation::{Call, In, Method, Nothing, Operation},
    page::limit,
    version::{Unread, Version},
};
use crate::{
    error::{Error, Result},
    model::{Kind, Page, Scope, SiteId, Time},
    sync::{
        Number,
        quarantine::{self, Mend, Tried, Waits},
        versions::{Names, record},
    },
    wire::value,
};

/// The most records that are handled at once.
const AT_ONCE: usize = 1000;

pub(super) fn operations() -> Vec<Operation> {
    let one = |path, names, run| Operation::new(Method::Post, path, names, run).needs(Scope::Write);
    vec![
        Operation::new(
            Method::Get,
            "/quarantine",
            ("listQuarantine", "Records that wait: refused by the database, or for a record they refer to"),
            list,
        ),
        Operation::new(Method::Post, "/quarantine", ("handleQuarantine", "Retry or dismiss several"), several).needs(Scope::Write),
        Operation::new(Method::Get, "/quarantine/{waiting}", ("showWaiting", "Show one with its content"), show),
        one("/quarantine/{waiting}/retry", ("retryWaiting", "Try one again now"), retry),
        Operation::new(
            Method::Post,
            "/quarantine/{waiting}/edit",
            ("editWaiting", "Give one other values and try it: it is then this site's own version, and flows"),
            edit,
        )
        .needs(Scope::Write),
        one("/quarantine/{waiting}/dismiss", ("dismissWaiting", "Let one go: it is kept in the history and not applied"), dismiss),
    ]
}

/// A record that waits.
#[derive(Serialize, JsonSchema)]
struct Waiting {
    /// By which it is named: DATABASE:NUMBER.
    number: String,
    /// The number in its database.
    id: i64,
    /// The database.
    database: String,
    /// Since when.
    since: Time,
    /// The resource.
    resource: String,
    /// Its uid.
    uid: String,
    /// The site it came from.
    site: SiteId,
    /// What that site is called here.
    repository: String,
    /// Why it waits, in a word.
    state: String,
    /// Why it waits, in a sentence.
    reason: String,
}

impl Waiting {
    fn of(waits: Waits, names: &Names) -> Waiting {
        let Waits { number, entry } = waits;
        Waiting {
            number: number.to_string(),
            id: entry.id,
            database: number.database,
            since: entry.at,
            resource: entry.resource,
            uid: entry.uid,
            site: entry.site,
            repository: names.name(entry.site),
            state: entry.kind,
            reason: entry.reason,
        }
    }
}

/// Which records.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WaitingListing {
    /// Those after this number: `next` of the page before.
    after: Option<String>,
    /// How many at most [default: 50; 1 to 1000].
    limit: Option<u32>,
}

/// Records that wait, newest first.
#[derive(Serialize, JsonSchema)]
struct WaitingPage {
    /// What is on the page.
    items: Vec<Waiting>,
    /// Where the next page begins: the value for `after`. Null on the last page.
    next: Option<String>,
    /// Databases that could not be read.
    unread: Vec<Unread>,
}

fn list(call: &Call<'_>, asked: In<Nothing, WaitingListing>) -> Result<WaitingPage> {
    let limit = limit(asked.query.limit)? as usize;
    let (waiting, unread) = quarantine::list(call.site)?;
    let begin = match asked.query.after {
        None => 0,
        Some(after) => {
            let number = Number::read(call.site, &after)?;
            waiting.iter().position(|one| one.number == number).map_or_else(
                || {
                    Err(Error::not_found(format!("nothing waits under the number {number} any more"))
                        .hint("Begin with the first page again."))
                },
                |at| Ok(at + 1),
            )?
        }
    };
    let more = waiting.len() > begin + limit;
    let names = Names::of(call.site)?;
    let items: Vec<Waiting> = waiting.into_iter().skip(begin).take(limit).map(|one| Waiting::of(one, &names)).collect();
    let next = items.last().filter(|_| more).map(|last| last.number.clone());
    let unread = unread.into_iter().map(|(database, error)| Unread { database, error: error.chain() }).collect();
    Ok(WaitingPage { items, next, unread })
}

/// A record that waits, by its number.
#[derive(Deserialize, JsonSchema)]
struct WaitingPath {
    /// The number: DATABASE:NUMBER, or the number alone where one database is attached.
    waiting: String,
}

/// A record that waits, with its content.
#[derive(Serialize, JsonSchema)]
struct WaitingDetail {
    #[serde(flatten)]
    waiting: Waiting,
    /// Its content; null for a record of this site's that cannot be sent.
    version: Option<Version>,
}

fn show(call: &Call<'_>, asked: In<WaitingPath>) -> Result<WaitingDetail> {
    let number = Number::read(call.site, &asked.path.waiting)?;
    let shown = quarantine::show(call.site, &number)?;
    let version = Version::of(&shown.page);
    Ok(WaitingDetail { waiting: Waiting::of(Waits { number, entry: shown.entry }, &Names::of(call.site)?), version })
}

/// What came of it.
#[derive(Serialize, JsonSchema)]
struct Settled {
    /// The record's number.
    number: String,
    /// Whether it waits no longer.
    settled: bool,
    /// Why it waits on, or why nothing could be done.
    reason: Option<String>,
}

impl Settled {
    fn of(number: &Number, tried: Tried) -> Settled {
        let reason = match tried {
            Tried::Settled(_) => None,
            Tried::Waits(reason) => Some(reason),
        };
        Settled { number: number.to_string(), settled: reason.is_none(), reason }
    }
}

fn retry(call: &Call<'_>, asked: In<WaitingPath>) -> Result<Settled> {
    let number = Number::read(call.site, &asked.path.waiting)?;
    quarantine::retry(call.site, &number).map(|tried| Settled::of(&number, tried))
}

fn dismiss(call: &Call<'_>, asked: In<WaitingPath>) -> Result<Settled> {
    let number = Number::read(call.site, &asked.path.waiting)?;
    quarantine::dismiss(call.site, &number).map(|_| Settled { number: number.to_string(), settled: true, reason: None })
}

/// Other values.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Values {
    /// Field and value; a reference's value is the uid it refers to, null is no value.
    values: BTreeMap<String, Option<String>>,
}

fn edit(call: &Call<'_>, asked: In<WaitingPath, Nothing, Values>) -> Result<Settled> {
    let number = Number::read(call.site, &asked.path.waiting)?;
    if asked.body.values.is_empty() {
        return Err(Error::usage("no value is named"));
    }
    let mends = mends(&quarantine::show(call.site, &number)?.page, asked.body.values)?;
    quarantine::edit(call.site, &number, &mends).map(|tried| Settled::of(&number, tried))
}

fn mends(page: &Page, values: BTreeMap<String, Option<String>>) -> Result<Vec<Mend>> {
    let known = |field: &str| record(page).and_then(|record| record.get(field)).map(|known| known.kind);
    let mend = |(field, value): (String, Option<String>)| {
        let (kind, text) = match value {
            Some(value) => value::typed(&field, known(&field), &value)?,
            None => (Kind::Null, String::new()),
        };
        Ok(Mend { field, kind, text })
    };
    values.into_iter().map(mend).collect()
}

/// What to do with several records.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Several {
    /// What to do with each.
    action: Handling,
    /// Their numbers, up to 1,000.
    #[schemars(length(min = 1, max = 1000))]
    numbers: Vec<String>,
}

/// What to do with a record that waits.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Handling {
    /// Try it again.
    Retry,
    /// Let it go.
    Dismiss,
}

fn several(call: &Call<'_>, asked: In<Nothing, Nothing, Several>) -> Result<Vec<Settled>> {
    let Several { action, numbers } = asked.body;
    if numbers.is_empty() || numbers.len() > AT_ONCE {
        return Err(Error::usage(format!("name 1 to {AT_ONCE} records at once, not {}", numbers.len())));
    }
    let numbers = numbers.iter().map(|number| Number::read(call.site, number)).collect::<Result<Vec<_>>>()?;
    let handle = |number: Number| {
        let done = match action {
            Handling::Retry => quarantine::retry(call.site, &number).map(|tried| Settled::of(&number, tried)),
            Handling::Dismiss => {
                quarantine::dismiss(call.site, &number).map(|_| Settled { number: number.to_string(), settled: true, reason: None })
            }
        };
        // One that cannot be handled does not stop the others.
        done.unwrap_or_else(|error| Settled { number: number.to_string(), settled: false, reason: Some(error.chain()) })
    };
    Ok(numbers.into_iter().map(handle).collect())
}
