//! `/history`: every version of a record that was replaced or deleted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    operation::{Call, In, Method, Nothing, Operation},
    version::Version,
};
use crate::{
    error::Result,
    model::{Scope, SiteId, Time},
    sync::{Edited, Number, history, versions::Names},
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::new(
            Method::Get,
            "/history",
            ("showHistory", "Every version of a record that was replaced or deleted here, newest first"),
            show,
        ),
        Operation::new(
            Method::Post,
            "/history/{version}/restore",
            ("restoreVersion", "Put a version back: a new edit here, which flows"),
            restore,
        )
        .needs(Scope::Write),
    ]
}

/// Which record.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// The resource.
    resource: String,
    /// The record's uid.
    uid: String,
}

/// A record's past.
#[derive(Serialize, JsonSchema)]
struct History {
    /// The resource.
    resource: String,
    /// The record's uid.
    uid: String,
    /// The database it is in.
    database: String,
    /// What is here now; null = the record is unknown here.
    now: Option<Version>,
    /// What was lost.
    entries: Vec<Past>,
}

/// A version that was replaced, deleted or refused.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PastVersion")]
struct Past {
    /// By which it is named: DATABASE:NUMBER.
    number: String,
    /// The number in its database.
    id: i64,
    /// When it was replaced.
    at: Time,
    /// The run.
    run: u64,
    /// The rule that decided.
    rule: String,
    /// `local`: it was here; `incoming`: it came and was not taken.
    side: String,
    /// The site whose version replaced it, or that was refused.
    site: SiteId,
    /// What that site is called here.
    repository: String,
    /// The version.
    version: Option<Version>,
}

fn show(call: &Call<'_>, asked: In<Nothing, Which>) -> Result<History> {
    let Which { resource, uid } = asked.query;
    let past = history::of(call.site, &resource, &uid)?;
    let names = Names::of(call.site)?;
    let entries = past.entries.iter().map(|entry| Past {
        number: Number { database: past.database.clone(), id: entry.id }.to_string(),
        id: entry.id,
        at: entry.at,
        run: entry.run,
        rule: entry.rule.clone(),
        side: entry.side.clone(),
        site: entry.site,
        repository: names.name(entry.site),
        version: Version::of(&entry.page),
    });
    Ok(History { entries: entries.collect(), now: past.now.as_ref().and_then(Version::of), database: past.database, resource, uid })
}

/// A version by its number.
#[derive(Deserialize, JsonSchema)]
struct VersionPath {
    /// The number: DATABASE:NUMBER, or the number alone where one database is attached.
    version: String,
}

/// A version that was put back.
#[derive(Serialize, JsonSchema)]
struct Restored {
    /// The version's number.
    number: String,
    /// The resource.
    resource: String,
    /// The record's uid.
    uid: String,
    /// Whether the record was changed by it; false = it was that already.
    changed: bool,
}

fn restore(call: &Call<'_>, asked: In<VersionPath>) -> Result<Restored> {
    let number = Number::read(call.site, &asked.path.version)?;
    let (entry, done) = history::restore(call.site, &number)?;
    Ok(Restored { number: number.to_string(), resource: entry.resource, uid: entry.uid, changed: done == Edited::Done })
}
