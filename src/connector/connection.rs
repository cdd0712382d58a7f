//! One connection to an attached database: what is asked of it outside the transaction of a page.

use std::collections::HashMap;

use super::{
    Apply, ConflictEntry, Conflicts, Forgotten, HistoryEntry, Journal, Living, Named, Part, Purged, Retention, Share, Standing, Survey,
    Swept, Table, Trouble, WaitingEntry,
};
use crate::{
    error::Result,
    model::{Page, Pending, SiteId, Sum, TableSpec, Time},
};

/// One connection to an attached database.
pub trait Connector: Send {
    /// Whether this connection is of no use any more: the server ended it, or the database at its address is another one by now, because its
    /// file was replaced, for example by a backup. What is written through it would be lost.
    fn stale(&mut self) -> bool;

    /// The database's tables and the identity each would get.
    fn survey(&mut self) -> Result<Vec<Survey>>;

    /// Attaches tables for `site`: installs or upgrades journal and triggers and journals the rows that are there, in short
    /// transactions so that an application that writes at the same time is not held up. May be interrupted and called again.
    fn attach(&mut self, specs: &[TableSpec], site: SiteId, now: Time, progress: Progress<'_>) -> Result<()>;

    /// Removes the triggers of all attached tables; with `drop_journal` the journal too.
    fn detach(&mut self, drop_journal: bool) -> Result<()>;

    /// Whose journal it is.
    fn journal(&mut self) -> Result<Journal>;

    /// Begins a new incarnation under `epoch`. What was agreed with any peer has to be compared before anything is exchanged; under another
    /// `site` than before, run numbers begin anew.
    fn renew(&mut self, site: SiteId, incarnation: u32, epoch: &str) -> Result<()>;

    /// The attached tables.
    fn tables(&mut self) -> Result<Vec<Table>>;

    /// What was last agreed with `peer` about a table.
    fn share(&mut self, table: &Table, peer: SiteId, part: Part) -> Result<Share>;

    /// Stores what was agreed, durably, outside any page. `added_runs` run numbers were told by it.
    fn set_share(&mut self, table: &Table, peer: SiteId, part: Part, share: &Share, added_runs: u64) -> Result<()>;

    /// Forgets that `peer` holds anything of a table: it went back in time.
    fn forget_shared(&mut self, table: &Table, peer: SiteId) -> Result<()>;

    /// The last arrival of a table.
    fn head(&mut self, table: &Table) -> Result<i64>;

    /// Tells of every living record of a table that can travel, in the order of arrival. Folds local edits first; what is written meanwhile may be
    /// told twice, or not yet.
    fn living(&mut self, table: &Table, take: &mut dyn FnMut(Living<'_>) -> Result<()>) -> Result<()>;

    /// How the named records stand, of which `peer` may have given some. Unknown ones are left out.
    fn standings(&mut self, table: &Table, peer: SiteId, named: Named<'_>) -> Result<Vec<Standing>>;

    /// Forgets the tombstones that arrived here before `before`, in short transactions. Peers that did not acknowledge all of them have to compare
    /// from now on. How old they are is known by earlier calls of this, once a day or so; aliases are kept, and the last arrival.
    fn purge(&mut self, table: &Table, now: Time, before: Time) -> Result<Purged>;

    /// How many records wait for `peer` after an arrival, what is noted and not folded yet among them. What the peer gave itself is not counted,
    /// nor what is offered to nobody. At most `most` records are looked at.
    fn pending(&mut self, table: &Table, after: i64, peer: SiteId, most: u32) -> Result<Pending>;

    /// How many living records a table has.
    fn count(&mut self, table: &Table) -> Result<u64>;

    /// Looks for rows that differ from what the journal knows although no trigger noticed: added, changed or removed by a program that skips
    /// triggers. They are noted as local edits of this moment. In short transactions; also puts the running sum right.
    fn sweep(&mut self, table: &Table, now: Time, progress: Progress<'_>) -> Result<Swept>;

    /// Forgets what need not be kept any longer, in short transactions.
    fn forget(&mut self, keep: Retention) -> Result<Forgotten>;

    /// The running sum over a table's living records; `None` while local edits wait to be folded. It costs the same whatever the size.
    fn sum(&mut self, table: &Table) -> Result<Option<Sum>>;

    /// Folds local edits of a table and of the tables it refers to into versions, in short transactions.
    fn fold(&mut self, table: &Table) -> Result<()>;

    /// Looks again at records that could not be sent because they refer to rows that were not there.
    fn recheck(&mut self, table: &Table) -> Result<()>;

    /// Appends the records that arrived after `after` and that `peer` is not known to hold, in order of arrival.
    /// Returns the arrival after the page and whether there is more. Folds what it needs to.
    fn export(&mut self, table: &Table, after: i64, peer: SiteId, extent: Extent, now: Time, page: &mut Page) -> Result<(i64, bool)>;

    /// The named records as they are now; unknown ones are left out.
    fn lookup(&mut self, table: &Table, uids: &[String], page: &mut Page) -> Result<()>;

    /// The uids of records whose content is of `since` or later, tombstones among them. It looks at the state of every record.
    fn since(&mut self, table: &Table, since: Time) -> Result<Vec<String>>;

    /// Whose these records of an Eden's own table are; nothing for any other table. A question a column, whatever the number of records.
    fn whose(&mut self, table: &Table, uids: &[String]) -> Result<Vec<Whose>>;

    /// The uids of living records of a table whose reference `field` leads to one of these. One query.
    fn belonging(&mut self, table: &Table, field: &str, uids: &[String]) -> Result<Vec<String>>;

    /// What was noted of records that `peer` holds ([`Apply::set_notes`]), by uid; of all where no uids are given.
    fn notes(&mut self, table: &Table, peer: SiteId, uids: Option<&[String]>) -> Result<HashMap<String, String>>;

    /// Up to `limit` uids of living records, for comparing two sites that have not met.
    fn sample(&mut self, table: &Table, limit: usize) -> Result<Vec<String>>;

    /// Whether any incoming record waits.
    fn waits(&mut self) -> Result<bool>;

    /// Whether any record of a table waits, comes or goes, or is held by an open conflict.
    fn unsettled(&mut self, table: &Table) -> Result<bool>;

    /// All records that wait, newest first.
    fn waiting(&mut self) -> Result<Vec<WaitingEntry>>;

    /// How much waits for a person or for another record, site by site.
    fn troubles(&mut self) -> Result<Vec<Trouble>>;

    /// From now on keeps what is agreed of a table's records, for merges field by field; notes what is here first, in short transactions.
    fn keep_bases(&mut self, table: &Table) -> Result<()>;

    /// Conflicts, newest first.
    fn conflicts(&mut self, which: Conflicts<'_>) -> Result<Vec<ConflictEntry>>;

    /// Every version of a record that was replaced or deleted, newest first.
    fn history(&mut self, table: &Table, uid: &str) -> Result<Vec<HistoryEntry>>;

    /// Changes when another connection committed to the database.
    fn pulse(&mut self) -> Result<i64>;

    /// Begins the transaction in which one page is applied. Waits for other writers as long as the connection's time limit allows.
    fn begin(&mut self) -> Result<Box<dyn Apply + '_>>;
}

/// How much of a feed is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// The most records.
    pub records: usize,
    /// The most bytes of text; a single larger record still goes, alone.
    pub bytes: usize,
}

/// Whose a record of an Eden's own table is: an account or role that a column of it names, by what others call that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whose {
    /// The record.
    pub uid: String,
    /// One of [`crate::model::eden::ACCOUNTS`].
    pub column: &'static str,
    /// The e-mail of an account, or a role.
    pub name: String,
}

/// Progress of long work: what, how much is done, of how much.
pub type Progress<'a> = &'a mut dyn FnMut(&str, u64, u64);
