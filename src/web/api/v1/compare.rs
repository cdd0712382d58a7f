//! `/repositories/{repository}/verify` and `…/resources/{resource}/compare`: what differs from another site, and why. Nothing is exchanged.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    operation::{Call, In, Method, Nothing, Operation},
    page::MOST,
    repositories::RepositoryPath,
    version::{ComparedField, Version},
};
use crate::{
    error::{Error, Result},
    model::{Page, Scope},
    store::repositories,
    sync::{
        compare::{Difference, How, Looked, look},
        versions::compare as side_by_side,
    },
};

/// So many differences are told where nobody says.
const SHOWN: u32 = 100;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::new(
            Method::Post,
            "/repositories/{repository}/verify",
            ("verify", "Compare what both sites hold: what is equal, what differs, and what a rule holds apart"),
            verify,
        )
        .needs(Scope::Write)
        .calls(),
        Operation::new(
            Method::Post,
            "/repositories/{repository}/resources/{resource}/compare",
            ("compare", "Show the records of a resource that differ from those of the other site, field by field"),
            compare,
        )
        .needs(Scope::Write)
        .calls(),
    ]
}

/// What to compare.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Only these resources [default: all that are shared].
    #[serde(default)]
    resources: Vec<String>,
    /// How many differences of each are told [default: 100; 0 to 1000].
    limit: Option<u32>,
}

/// How both sites stand to each other in one resource.
#[derive(Serialize, JsonSchema)]
struct Verified {
    /// The resource.
    resource: String,
    /// Why it could not be compared; the rest is 0 then.
    error: Option<String>,
    /// Records that are the same at both.
    equal: u64,
    /// Records that are not.
    differing: u64,
    /// Of these: those that a rule holds apart, or that are on their way.
    explained: u64,
    /// How many differ for which reason.
    reasons: Vec<ReasonCount>,
    /// The first of them.
    differences: Vec<DifferingUid>,
    /// Round trips that it took.
    rounds: usize,
    /// Bytes that travelled.
    bytes: u64,
}

/// How many records differ for a reason.
#[derive(Serialize, JsonSchema)]
struct ReasonCount {
    /// The reason; null = nothing explains it.
    reason: Option<String>,
    /// So many.
    records: u64,
}

/// A record that is not the same at both sites.
#[derive(Serialize, JsonSchema)]
struct DifferingUid {
    /// Its uid.
    uid: String,
    /// How it differs.
    how: Manner,
    /// The rule that holds it apart, or where it is on its way; null = nothing explains it.
    reason: Option<String>,
}

/// How a record differs.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Manner {
    /// One version has seen the other.
    Different,
    /// Neither has.
    Conflict,
    /// It lives there and not here.
    MissingHere,
    /// It lives here and not there.
    MissingThere,
}

impl From<How> for Manner {
    fn from(how: How) -> Manner {
        match how {
            How::Different => Manner::Different,
            How::Conflict => Manner::Conflict,
            How::MissingHere => Manner::MissingHere,
            How::MissingThere => Manner::MissingThere,
        }
    }
}

fn looked(call: &Call<'_>, repository: &str, resources: &[String], limit: Option<u32>) -> Result<Vec<(String, Result<Looked>)>> {
    let show = limit.unwrap_or(SHOWN);
    if show > MOST {
        return Err(Error::usage(format!("`limit` is 0 to {MOST}")));
    }
    let repository = call.site.store.read(|c| repositories::get(c, call.site.store.key(), repository))?;
    let peer = call.site.peer(&repository)?;
    look(call.site, &repository, peer.as_ref(), resources, show as usize)
}

fn verify(call: &Call<'_>, asked: In<RepositoryPath, Nothing, Which>) -> Result<Vec<Verified>> {
    let Which { resources, limit } = asked.body;
    Ok(looked(call, &asked.path.repository, &resources, limit)?.into_iter().map(told).collect())
}

fn told((resource, looked): (String, Result<Looked>)) -> Verified {
    let none = Verified {
        resource,
        error: None,
        equal: 0,
        differing: 0,
        explained: 0,
        reasons: Vec::new(),
        differences: Vec::new(),
        rounds: 0,
        bytes: 0,
    };
    let Looked { equal, differing, explained, shown, reasons, rounds, bytes, .. } = match looked {
        Ok(looked) => looked,
        Err(error) => return Verified { error: Some(error.chain()), ..none },
    };
    let reason = |(reason, records): (String, u64)| ReasonCount { reason: Some(reason).filter(|text| !text.is_empty()), records };
    let one = |differing: Difference| DifferingUid { uid: differing.uid, how: differing.how.into(), reason: differing.reason };
    Verified {
        equal,
        differing,
        explained,
        reasons: reasons.into_iter().map(reason).collect(),
        differences: shown.into_iter().map(one).collect(),
        rounds,
        bytes,
        ..none
    }
}

/// A resource of a repository.
#[derive(Deserialize, JsonSchema)]
struct SharedPath {
    /// The repository's name.
    repository: String,
    /// The resource's name.
    resource: String,
}

/// How much to tell.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Much {
    /// How many differences are told [default: 100; 0 to 1000].
    limit: Option<u32>,
}

/// A resource compared record by record.
#[derive(Serialize, JsonSchema)]
struct ComparedResource {
    /// The resource.
    resource: String,
    /// Records that are the same at both.
    equal: u64,
    /// Records that are not.
    differing: u64,
    /// The first of them.
    differences: Vec<DifferingRecord>,
}

/// A record that is not the same at both sites, with both versions.
#[derive(Serialize, JsonSchema)]
struct DifferingRecord {
    /// Its uid.
    uid: String,
    /// How it differs.
    how: Manner,
    /// The rule that holds it apart, or where it is on its way; null = nothing explains it.
    reason: Option<String>,
    /// What is here.
    ours: Option<Version>,
    /// What is there.
    theirs: Option<Version>,
    /// Both side by side.
    fields: Vec<ComparedField>,
}

fn compare(call: &Call<'_>, asked: In<SharedPath, Nothing, Much>) -> Result<ComparedResource> {
    let SharedPath { repository, resource } = asked.path;
    let found = looked(call, &repository, &[resource], asked.body.limit)?.into_iter().next();
    let (_, looked) = found.ok_or_else(|| Error::not_found("nothing was compared"))?;
    let Looked { resource, equal, differing, shown, .. } = looked?;
    Ok(ComparedResource { resource, equal, differing, differences: shown.into_iter().map(record).collect() })
}

fn record(difference: Difference) -> DifferingRecord {
    let nothing = Page::default();
    let (ours, theirs) = (difference.ours.as_ref(), difference.theirs.as_ref());
    let fields = side_by_side(ours.unwrap_or(&nothing), theirs.unwrap_or(&nothing)).iter().map(ComparedField::from).collect();
    DifferingRecord {
        uid: difference.uid,
        how: difference.how.into(),
        reason: difference.reason,
        ours: ours.and_then(Version::of),
        theirs: theirs.and_then(Version::of),
        fields,
    }
}
