//! What sites say to each other beside pages (WIRE.md): plain data with its JSON form.

use serde::{Deserialize, Serialize};

use super::{Mode, Policy, SiteId, Strategy, Sum, Time};

/// The version of the protocol that these messages speak.
pub const PROTOCOL: u32 = 1;

/// What this version can do beside a stock Eden.
pub const FEATURES: [&str; 5] = ["zstd", "gzip", "events", "filters", "compare"];

/// The limits a site sets to what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of a body, once decompressed.
    pub body: u64,
    /// Records in a page.
    pub records: u32,
    /// How many times larger a body may become by decompression.
    pub ratio: u32,
    /// Bytes of one text or attribute.
    pub text: u64,
    /// Nested elements.
    pub depth: u32,
    /// Attributes of one element.
    pub attributes: u32,
}

impl Default for Limits {
    /// Pages of 5,000 records and 4 MiB are what we send; we take up to 64 MiB, so that one large record fits.
    fn default() -> Limits {
        Limits { body: 64 << 20, records: 20_000, ratio: 200, text: 32 << 20, depth: 16, attributes: 32 }
    }
}

/// More records that wait than this are not counted in a [`Greeting`] or its answer: the number stands for itself and everything above.
pub const MANY: u32 = 1_000_000;

/// What a caller says with `GET /sync/hello`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Greeting {
    /// How many records wait at the caller to be given to the other side, [`MANY`] at most; `None` = it does not say.
    pub waiting: Option<u64>,
    /// How far the caller is with the resources that it pulls: name and cursor, which is empty where it has not begun.
    pub at: Vec<(String, String)>,
}

/// The answer to `GET /sync/hello`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// Who answers.
    pub uuid: SiteId,
    /// Its name.
    pub name: String,
    /// Its software's version.
    pub version: String,
    /// The protocol it speaks.
    pub protocol: u32,
    /// Its clock.
    pub time: Time,
    /// What it can do, see [`FEATURES`].
    pub features: Vec<String>,
    /// What it takes.
    pub limits: Limits,
    /// Whether it takes nothing and gives nothing for now.
    #[serde(default)]
    pub paused: bool,
    /// With credentials: what is granted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<HelloResource>,
    /// What is granted, too, but cannot be offered at the moment: its database cannot be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unavailable: Vec<String>,
}

/// A granted resource in a hello.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HelloResource {
    /// Its name.
    pub name: String,
    /// `table`.
    pub kind: String,
    /// What the caller may do with it, from the caller's point of view.
    pub mode: Mode,
    /// Changes whenever its columns do.
    pub fingerprint: String,
    /// The cursor after everything that is there now.
    pub head: String,
    /// How many living records there are, where both sides hold rows under assigned identity and have not met yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// Whether its uids are random ones kept in the journal.
    #[serde(default)]
    pub assigned: bool,
    /// The epoch of its journal.
    pub epoch: String,
    /// The last run number that its journal told the caller.
    pub told: u64,
    /// The last run number that its journal heard from the caller.
    pub heard: u64,
    /// The sum over its living records, unless edits wait to be folded or the caller sees only part of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Sum>,
    /// Whether its records may rightly differ from the caller's: some wait or are held there, or rules of its own hold them apart.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub apart: bool,
    /// Whether both sites have to compare before they exchange anything of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compare: bool,
    /// How many records wait for the caller after the cursor that it named, those among them that its filter holds back: at most [`MANY`].
    /// Only where it named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<u64>,
}

/// The body of a registration, in the form that Sahana Eden sends, with our addition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Who registers.
    pub uuid: String,
    /// Its name.
    #[serde(default)]
    pub name: Option<String>,
    /// `eden`.
    #[serde(default)]
    pub apitype: Option<String>,
    /// The address it can be called at, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// That it speaks our protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entente: Option<Spoken>,
}

/// The member by which our sites know each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spoken {
    /// The protocol's version.
    pub protocol: u32,
}

/// The answer to a registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// `success` or `failed`.
    pub status: String,
    /// The HTTP status, as text.
    pub statuscode: String,
    /// A sentence.
    pub message: String,
    /// Who answers.
    pub sender: String,
    /// That it speaks our protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entente: Option<Spoken>,
}

/// The answer to `POST /sync/session`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The bearer token.
    pub token: String,
    /// Seconds until it expires.
    pub expires: u64,
}

/// A page that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// The resource.
    pub resource: String,
    /// Everything after this; empty = from the start.
    pub cursor: String,
    /// The most records wanted.
    pub records: u32,
    /// The most bytes of text wanted.
    pub bytes: u64,
    /// The number of this run, which the caller's journal told.
    pub run: u64,
    /// The last number the caller's journal heard from the other side.
    pub heard: u64,
    /// Only records that match all of these, and word of those that do so no longer.
    pub filters: Vec<String>,
    /// The life of the caller's journal; empty = it does not say.
    pub life: String,
    /// What for.
    pub want: Want,
}

/// What is asked for with a [`PullRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Want {
    /// A page.
    #[default]
    Page,
    /// Leave to begin a new life: the caller's journal stands before what the other side heard in its name. It was restored, or another machine
    /// presents itself as the same site. The answer is always a refusal: [`crate::error::Kind::Epoch`] is leave.
    Verdict,
}

/// What goes with a page that is pushed. Policies are the sender's own; the receiver swaps THIS and OTHER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushRequest {
    /// The page's name: sent again, the stored answer comes back.
    pub batch: uuid::Uuid,
    /// The number of this run, which the sender's journal told; also the fence.
    pub run: u64,
    /// The last number the sender's journal heard from the other side.
    pub heard: u64,
    /// The methods the sender allows.
    pub strategy: Strategy,
    /// The sender's update policy.
    pub update: Policy,
    /// The sender's conflict policy.
    pub conflict: Policy,
    /// Whether conflicts are first merged field by field.
    pub merge_fields: bool,
    /// The life of the sender's journal; empty = it does not say.
    pub life: String,
}

/// What became of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Counts {
    /// Records in the pages.
    pub records: u64,
    /// New here.
    pub created: u64,
    /// Changed here.
    pub updated: u64,
    /// Removed here.
    pub deleted: u64,
    /// Already the same.
    pub unchanged: u64,
    /// Ours was kept by a policy, or the method is not allowed.
    pub kept: u64,
    /// Both sides had changed.
    pub conflicts: u64,
    /// Could not be stored.
    pub quarantined: u64,
    /// Wait for a record they refer to.
    pub parked: u64,
    /// Let go here, because they no longer match what is shared.
    pub retracted: u64,
    /// Bytes on the wire.
    pub bytes: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, more: Counts) {
        self.records += more.records;
        self.created += more.created;
        self.updated += more.updated;
        self.deleted += more.deleted;
        self.unchanged += more.unchanged;
        self.kept += more.kept;
        self.conflicts += more.conflicts;
        self.quarantined += more.quarantined;
        self.parked += more.parked;
        self.retracted += more.retracted;
        self.bytes += more.bytes;
    }
}

/// A record that could not be stored, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Its uid.
    pub uuid: String,
    /// Why, in a sentence.
    pub reason: String,
}

/// The answer to a pushed page. It is given only when the page is durable.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Receipt {
    /// What became of the records.
    #[serde(flatten)]
    pub counts: Counts,
    /// Those that could not be stored.
    #[serde(default)]
    pub quarantine: Vec<Quarantined>,
    /// Deletions that wait because others at the receiver still refer to the record; the next hello decides them.
    #[serde(default)]
    pub deletions: u64,
    /// The run number that the receiver's journal tells the sender.
    pub run: u64,
}

/// The body of a refusal under `/sync`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// `failed`.
    pub status: String,
    /// The HTTP status, as text.
    pub statuscode: String,
    /// A sentence.
    pub message: String,
    /// The kind of failure, see [`crate::error::Kind::word`].
    #[serde(default)]
    pub kind: String,
}
