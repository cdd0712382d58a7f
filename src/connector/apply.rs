//! The transaction of one page, and what is written by it.

use super::{
    Clash, ConflictEntry, Conflicts, Effected, Effects, Found, HistoryEntry, Key, Locals, Lost, Part, Share, Table, Targets, Verdict, Wait,
    Waiter, Which, Whose,
};
use crate::{
    error::Result,
    model::{Actor, Digest, NewState, Page, RecordView, SiteId, Time},
};

/// The transaction of one page. Dropped without [`Apply::commit`] it leaves everything as it was.
pub trait Apply {
    /// Lets writes be carried out together, later than they are asked for. What the database then refuses is told by whichever call comes next, as
    /// [`crate::error::Kind::Constraint`], and does not say of which record: whoever hastened does it again without. Whether that makes a difference.
    fn hasten(&mut self) -> bool {
        false
    }

    /// The table of a resource.
    fn table(&mut self, resource: &str) -> Result<Option<Table>>;

    /// What was last agreed with `peer` about a table.
    fn share(&mut self, table: &Table, peer: SiteId, part: Part) -> Result<Share>;

    /// Stores what was agreed.
    fn set_share(&mut self, table: &Table, peer: SiteId, part: Part, share: &Share) -> Result<()>;

    /// Notes what `peer` is known to hold of records: uid and note, in place of what was noted before.
    fn set_notes(&mut self, table: &Table, peer: SiteId, notes: &[(String, String)]) -> Result<()>;

    /// Sets whose records of an Eden's own table are. An account or role that is not here is passed over.
    fn set_accounts(&mut self, table: &Table, named: &[Whose]) -> Result<()>;

    /// The stored answer to a batch.
    fn answer(&mut self, batch: uuid::Uuid) -> Result<Option<String>>;

    /// Stores the answer to a batch, and forgets those older than a day.
    fn set_answer(&mut self, batch: uuid::Uuid, peer: SiteId, now: Time, answer: &str) -> Result<()>;

    /// Folds all local edits of a table, so that no uid is missed.
    fn fold(&mut self, table: &Table) -> Result<()>;

    /// What is here of the named records, aliases followed to the end. One query.
    fn locals(&mut self, table: &Table, uids: &[&str], peer: SiteId) -> Result<Locals>;

    /// Where references lead, aliases followed to the end. One query a resource.
    fn resolve(&mut self, wanted: &[(&str, &str)]) -> Result<Targets>;

    /// The key that a new record will get, so that others can refer to it before it is written.
    fn reserve(&mut self, table: &Table, record: RecordView<'_>, targets: &Targets) -> Result<Key>;

    /// The uid of a living local record whose match columns equal those of an unknown incoming one.
    fn twin(&mut self, table: &Table, record: RecordView<'_>, targets: &Targets) -> Result<Option<String>>;

    /// Whether living attached records refer to a record that is here.
    fn referred(&mut self, table: &Table, found: Found) -> Result<bool>;

    /// Lets a living record go ([`crate::model::Record::retracted`]): the row goes and its key is free; what remains of the state is offered to
    /// nobody, makes no version and loses no arrival. The record is as unknown, but for [`Found::retracted`]: [`Apply::write`] with that
    /// brings it back. [`crate::error::Kind::Constraint`] where rows of any table refer to it; then nothing happened.
    fn retract(&mut self, table: &Table, found: Found) -> Result<()>;

    /// The sites with which anything was ever agreed about a table.
    fn sharers(&mut self, table: &Table) -> Result<Vec<SiteId>>;

    /// Lets constraints on references wait for the commit: for records that refer to each other.
    fn defer(&mut self) -> Result<()>;

    /// Writes a row and its state. On [`crate::error::Kind::Constraint`] nothing of it is written and the transaction goes on,
    /// unless [`Apply::broken`].
    /// Returns the key of a row that was added or changed.
    fn write(&mut self, table: &Table, write: &Write<'_>, peer: SiteId, targets: &Targets) -> Result<Option<Key>>;

    /// The last arrival of a table in this transaction, and the incarnation under which we write.
    fn head(&mut self, table: &Table) -> Result<(i64, Actor)>;

    /// Whether the database ended the transaction by itself.
    fn broken(&self) -> bool;

    /// Gives a record another uid; whatever had that uid must be a tombstone, which goes.
    fn rekey(&mut self, table: &Table, from: &str, to: &str) -> Result<()>;

    /// What is here under just this uid: aliases are not followed.
    fn exactly(&mut self, table: &Table, uid: &str) -> Result<Locals>;

    /// Lets everything that refers to one record refer to another, as edits of this site's.
    fn repoint(&mut self, table: &Table, from: Found, to: Found) -> Result<()>;

    /// Begins, keeps or undoes a part of the transaction.
    fn attempt(&mut self, attempt: Attempt) -> Result<()>;

    /// Remembers a lost version.
    fn remember(&mut self, table: &Table, uid: &str, peer: SiteId, run: u64, now: Time, lost: &Lost<'_>) -> Result<()>;

    /// Lists a conflict; an open one holds the record. Of an open one, a version that has seen what came before takes its place, and one
    /// that was seen is not listed. Returns whether anything was.
    fn conflict(&mut self, table: &Table, uid: &str, peer: SiteId, run: u64, now: Time, clash: &Clash<'_>) -> Result<bool>;

    /// Conflicts, newest first.
    fn conflicts(&mut self, which: Conflicts<'_>) -> Result<Vec<ConflictEntry>>;

    /// Notes what a person decided of a conflict, with what is here now as ours. `Chosen` ends the hold that it put on the record, `Reopened`
    /// puts it on again.
    fn judge(&mut self, table: &Table, id: i64, verdict: Verdict<'_>, ours: RecordView<'_>, now: Time) -> Result<()>;

    /// A version in the history.
    fn past(&mut self, id: i64) -> Result<Option<HistoryEntry>>;

    /// What a run did to the records of a table, in order, after a place, at most `limit`. Of several versions that it replaced, the first.
    fn effects(&mut self, table: &Table, run: u64, effects: Effects, after: i64, limit: usize) -> Result<Vec<Effected>>;

    /// Notes what is agreed of these records, for merges field by field. Does nothing for a table that does not keep it.
    fn set_bases(&mut self, table: &Table, page: &Page) -> Result<()>;

    /// Lets a record wait.
    fn wait(&mut self, table: &Table, record: RecordView<'_>, waits: &Wait<'_>) -> Result<()>;

    /// Ends a waiting.
    fn unwait(&mut self, id: i64) -> Result<()>;

    /// Incoming records that wait, at most `limit`, oldest first.
    fn waiters(&mut self, which: Which<'_>, limit: usize) -> Result<Vec<Waiter>>;

    /// Makes everything durable.
    fn commit(self: Box<Self>) -> Result<()>;
}

/// One record's part of a page.
pub struct Write<'a> {
    /// Its uid.
    pub uid: &'a str,
    /// The state that is here; `None` = there is none.
    pub local: Option<Found>,
    /// What happens to the row.
    pub effect: Effect<'a>,
    /// The new state.
    pub state: &'a NewState,
    /// The record is deleted after this.
    pub deleted: bool,
    /// Of a deleted record: the uid that took its place.
    pub heir: Option<&'a str>,
    /// The digest of the content after this.
    pub digest: Digest,
    /// Open conflicts that the new version has seen are closed.
    pub release: bool,
    /// The run in which this happens.
    pub run: u64,
}

/// What is to be done to a row.
#[derive(Clone, Copy)]
pub enum Effect<'a> {
    /// Nothing.
    Keep,
    /// It gets these fields.
    Put(RecordView<'a>),
    /// It gets only the named fields of these.
    Some(RecordView<'a>, &'a [String]),
    /// It goes.
    Delete,
}

/// A part of a transaction that may turn out not to be possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// From here on.
    Begin,
    /// It was possible.
    Keep,
    /// Everything is as it was when it began.
    Undo,
}
