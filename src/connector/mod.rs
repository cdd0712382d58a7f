//! The users' data and its journal: one door to each kind of database. The only home of their drivers.
//!
//! A [`Connector`] is one connection to one attached database. Reading is page by page and holds no lock between two calls;
//! writing is one [`Apply`] transaction a page, in which rows, journal and cursor are committed together.

mod aliases;
mod apply;
mod aside;
mod attach;
mod attached;
#[cfg(test)]
mod battery;
mod connection;
mod drift;
mod eden;
mod feed;
mod kept;
mod keys;
mod known;
mod links;
mod local;
#[cfg(test)]
mod memory;
mod outline;
mod postgres;
mod seen;
mod shape;
mod share;
mod sqlite;
mod standing;
mod stored;
mod table;
mod upkeep;
mod waiting;

pub use self::postgres::Postgres;
#[cfg(test)]
pub(crate) use crate::postgresql::server::{TestDatabase, TestServer};
pub use apply::{Apply, Attempt, Effect, Write};
pub use connection::{Connector, Extent, Progress, Whose};
pub use kept::{Clash, ConflictEntry, Conflicts, Effected, Effects, HistoryEntry, Lost, Verdict};
pub use local::{Found, Key, KeyPart, Locals, Target, Targets};
pub use share::{Journal, Part, Share};
pub use sqlite::Sqlite;
pub use standing::{Living, Named, Overdue, Place, Purged, Standing};
pub use table::{Form, Make, Reference, Survey, Table};
pub use upkeep::{Forgotten, Retention, Swept};
pub use waiting::{Trouble, Wait, Waiter, Waiting, WaitingEntry, Which};
