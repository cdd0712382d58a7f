//! The words: plain data that knows its own validity, and nothing of SQL, XML or HTTP.

mod account;
mod ask;
mod compare;
mod condition;
pub mod eden;
mod identity;
mod job;
mod lives;
mod log;
mod message;
mod page;
mod plain;
mod policy;
mod repository;
mod resource;
mod state;
mod sum;
mod time;
mod version;
mod words;

pub use account::{Account, ApiToken, Grant, Role, Scope};
pub use ask::Ask;
pub use compare::{Absence, Absent, CompareAnswer, CompareRequest, ItemId, NamedRecord};
pub use condition::{Advance, Condition, Met, Offer, Pending, Traffic};
pub use identity::{SiteId, Uid, Uuids};
pub use job::{Job, JobId, Timing};
pub use lives::{Back, Lives};
pub use log::{Action, Direction, LogEntry, LogId, Outcome};
pub use message::{
    Counts, FEATURES, Greeting, Hello, HelloResource, Limits, MANY, PROTOCOL, PullRequest, PushRequest, Quarantined, Receipt, Refusal,
    Registered, Registration, Session, Spoken, Want,
};
pub use page::{Cell, Digest, Kind, Page, Record, RecordView, Span, Value};
pub use plain::Plain;
pub use policy::{Method, Mode, Policy, Rules, Strategy};
pub use repository::{ApiType, Health, Repository, RepositoryId};
pub use resource::{AttachedTable, Component, Database, Identity, Resource, ResourceId, TableSpec};
pub use state::NewState;
pub use sum::Sum;
pub use time::{Clock, Time};
pub use version::{Actor, Relation, Version};
pub use words::{counted, figure};
