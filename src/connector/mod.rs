//! The users' data and its journal: one door to each kind of database. The only home of their drivers.
//!
//! A [`Connector`] is one connection to one attached database. Reading is page by page and holds no lock between two calls;
//! writing is one [`Apply`] transaction a page, in which rows, journal and cursor are committed together.

#[cfg(test)]
mod battery;
mod eden;
mod kept;
mod known;
#[cfg(test)]
mod memory;
mod postgres;
mod sqlite;
mod standing;
mod stored;

use std::collections::HashMap;

pub use self::postgres::Postgres;
#[cfg(test)]
pub(crate) use crate::postgresql::server::{TestDatabase, TestServer};
pub use kept::{Clash, ConflictEntry, Conflicts, Effected, Effects, HistoryEntry, Lost, Verdict};
pub use sqlite::Sqlite;
pub use standing::{Living, Named, Overdue, Place, Purged, Standing};

use crate::{
    error::Result,
    model::{
        Actor, Component, Digest, Identity, Kind as ValueKind, Lives, NewState, Page, Pending, RecordView, SiteId, Sum, TableSpec, Time,
    },
};

/// A table as it is attached.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its number in the journal.
    pub id: i64,
    /// Its name in the database.
    pub name: String,
    /// The resource it is.
    pub resource: String,
    /// Where its records' uids come from.
    pub identity: Identity,
    /// Columns by which an unknown incoming record adopts a local one.
    pub matching: Vec<String>,
    /// Names of the fields that travel, references not among them.
    pub fields: Vec<String>,
    /// The references to other resources.
    pub references: Vec<Reference>,
    /// Fields that a new row cannot do without.
    pub required: Vec<String>,
    /// Changes whenever what travels does.
    pub fingerprint: String,
    /// Whether all rows that were there before are journalled.
    pub ready: bool,
    /// What is agreed of its records is kept, for merges field by field.
    pub bases: bool,
    /// What peers of another make have to know of its columns.
    pub form: Form,
}

/// What is known of a table's columns beside their names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Form {
    /// What each field's column is declared for.
    pub kinds: Vec<(String, ValueKind)>,
    /// Fields of which no two records have the same value.
    pub unique: Vec<String>,
    /// Resources whose records belong to those of this one.
    pub components: Vec<Component>,
    /// Whose table it is.
    pub make: Make,
    /// Fields that say `T` or `F`.
    pub flags: Vec<String>,
    /// Fields that hold several references, of tables whose own columns hold lists of keys.
    pub lists: Vec<Reference>,
    /// References to super-entities: they stand for one to the record whose entry that is.
    pub supers: Vec<String>,
    /// The reference of a record that is gone to the one that took its place.
    pub heir: Option<String>,
}

/// Whose habits a table follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Make {
    /// Nobody's in particular.
    #[default]
    Plain,
    /// Sahana Eden's: records that are gone stay as rows that say so, and a column says when a row was written.
    Eden,
}

impl Form {
    /// What the column of a field is declared for.
    pub fn kind(&self, field: &str) -> Option<ValueKind> {
        self.kinds.iter().find(|(name, _)| name == field).map(|(_, kind)| *kind)
    }
}

impl Table {
    /// Whether a field has a column here.
    pub fn knows(&self, field: &str) -> bool {
        let identity = matches!(&self.identity, Identity::Column { column } if column == field);
        identity || self.fields.iter().any(|own| own == field) || self.references.iter().any(|own| own.field == field)
    }
}

/// A foreign key that travels as a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Its name on the wire: that of its column, or of its columns joined by `+`.
    pub field: String,
    /// The resource it points to.
    pub resource: String,
}

/// A table that could be attached, or why it cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The table's name.
    pub table: String,
    /// The identity it would get, or the reason why it cannot be attached.
    pub identity: std::result::Result<Identity, String>,
    /// The tables it refers to.
    pub references: Vec<String>,
    /// The resource it already is.
    pub attached: Option<String>,
}

/// Whose journal it is and which life of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// The site.
    pub site: SiteId,
    /// A new one whenever the journal went back in time.
    pub epoch: String,
    /// The incarnation under which own edits are folded.
    pub incarnation: u32,
    /// How many run numbers it ever told.
    pub runs: u64,
}

/// Who calls whom: each direction of a pair has numbers of its own, so that both may run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// We call them.
    Active,
    /// They call us.
    Passive,
}

/// What was last agreed with a peer about a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Share {
    /// The last run number that this journal told the peer.
    pub told: u64,
    /// The last run number that this journal heard from the peer.
    pub heard: u64,
    /// The epoch of the peer's journal, once known.
    pub epoch: Option<String>,
    /// The peer's cursor after the last page we applied. Empty = from the start.
    pub pull: String,
    /// Our arrival after the last page the peer acknowledged; where it calls, as it said when its last run began.
    pub push: i64,
    /// The filter under which the one that calls asks for pages.
    pub asked: String,
    /// The filter that holds for what we give.
    pub given: String,
    /// The filter that held before, up to an arrival; `None` = nothing was given.
    pub former: Option<String>,
    /// Up to which arrival it did. After it nothing is known.
    pub former_upto: i64,
    /// Whether both sites have to compare before they exchange anything.
    pub compare: Overdue,
    /// Something that came from the peer was refused for good, by a strategy or a person: that a record is not here does not say that it was.
    pub refused: bool,
    /// In which lives of the peer's journal we heard its numbers.
    pub lives: Lives,
}

impl Share {
    /// A run number was heard from the peer, in the life of its journal that is known.
    pub fn hear(&mut self, number: u64) {
        self.heard = self.heard.max(number);
        if let Some(life) = &self.epoch {
            self.lives.hear(life, self.heard);
        }
    }

    /// Forgets both cursors: everything is exchanged again, and the peer may hold anything.
    pub fn start_over(&mut self) {
        (self.pull, self.push, self.former_upto) = (String::new(), 0, 0);
    }
}

/// How much of a feed is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// The most records.
    pub records: usize,
    /// The most bytes of text; a single larger record still goes, alone.
    pub bytes: usize,
}

/// What a sweep of one table found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Rows looked at.
    pub rows: u64,
    /// Rows that the journal did not know.
    pub added: u64,
    /// Rows whose content it did not know.
    pub changed: u64,
    /// Rows that were gone.
    pub removed: u64,
    /// The running sum was not that of the records, and is now.
    pub mended: bool,
}

impl Swept {
    /// Whether anything was found that should have been noticed before.
    pub fn any(&self) -> bool {
        self.added + self.changed + self.removed > 0 || self.mended
    }
}

impl std::ops::AddAssign for Swept {
    fn add_assign(&mut self, more: Swept) {
        self.rows += more.rows;
        self.added += more.added;
        self.changed += more.changed;
        self.removed += more.removed;
        self.mended |= more.mended;
    }
}

/// How long a journal remembers.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Lost versions and decided conflicts from before this are forgotten.
    pub before: Time,
    /// So many lost versions of a record are kept at most, the latest.
    pub versions: u32,
    /// Answers to batches from before this are forgotten.
    pub answers: Time,
}

/// What was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forgotten {
    /// Lost versions.
    pub versions: u64,
    /// Decided conflicts.
    pub conflicts: u64,
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

/// What is here of the records of a page, in the order they were asked for.
#[derive(Default)]
pub struct Locals {
    /// Content and state.
    pub page: Page,
    /// For each uid asked for: where its record stands in the page.
    pub found: Vec<Option<Found>>,
    /// Where agreed contents are kept: records as they were when they were last exchanged.
    pub bases: Page,
}

/// A record that is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its index in the page.
    pub at: usize,
    /// Its arrival, by which [`Write::local`] names it.
    pub arrival: i64,
    /// The peer holds exactly this version.
    pub shared: bool,
    /// An open conflict holds it.
    pub held: bool,
    /// Its row is there.
    pub living: bool,
    /// Index in [`Locals::bases`] of what it was when it was last exchanged.
    pub base: Option<usize>,
    /// It was let go: only its state is left, for the next version that comes.
    pub retracted: bool,
}

/// Where references lead: by resource, then by uid.
#[derive(Debug, Default)]
pub struct Targets {
    known: HashMap<String, HashMap<String, Target>>,
    /// Of uids that are aliases: the last heir.
    heirs: HashMap<(String, String), String>,
}

impl Targets {
    /// Where a reference leads; `Missing` for what was not asked for.
    pub fn get(&self, resource: &str, uid: &str) -> &Target {
        self.known.get(resource).and_then(|known| known.get(uid)).unwrap_or(&Target::Missing)
    }

    /// The uid that a reference leads to by aliases; `None` where it is none.
    pub fn heir(&self, resource: &str, uid: &str) -> Option<&str> {
        if self.heirs.is_empty() {
            return None;
        }
        self.heirs.get(&(resource.to_owned(), uid.to_owned())).map(String::as_str)
    }

    /// Notes that a uid is an alias, and whose.
    pub fn set_heir(&mut self, resource: &str, alias: &str, heir: &str) {
        self.heirs.insert((resource.to_owned(), alias.to_owned()), heir.to_owned());
    }

    /// Notes where a reference leads.
    pub fn set(&mut self, resource: &str, uid: &str, target: Target) {
        if !self.known.contains_key(resource) {
            self.known.insert(resource.to_owned(), HashMap::new());
        }
        if let Some(known) = self.known.get_mut(resource) {
            known.insert(uid.to_owned(), target);
        }
    }

    /// Adds what another lookup found.
    pub fn extend(&mut self, more: Targets) {
        for (resource, found) in more.known {
            self.known.entry(resource).or_default().extend(found);
        }
        self.heirs.extend(more.heirs);
    }
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

/// Where a reference leads.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// To a record that lives here, or will within this transaction. Its local key.
    Here(Key),
    /// To a record that is deleted here.
    Deleted,
    /// Nowhere yet.
    Missing,
}

/// A local key: the values of its columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Key(pub Vec<KeyPart>);

/// The value of one column of a local key.
#[derive(Debug, Clone, PartialEq)]
pub enum KeyPart {
    /// None (a released key).
    Null,
    /// An integer.
    Integer(i64),
    /// A float.
    Real(f64),
    /// Text; the bytes, since a database may hold text that is not Unicode.
    Text(Vec<u8>),
    /// Bytes.
    Bytes(Vec<u8>),
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

/// Why a record waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Waiting {
    /// The database or a rule refuses it.
    Quarantined,
    /// It refers to a record that is not here.
    Parked,
    /// It deletes a record that others here refer to.
    Deletion,
    /// It may be the same thing as a local record under another uid; the sender has to be asked.
    Twin,
    /// Outgoing: it refers to a row that is not there.
    Outgoing,
    /// Outgoing: the site that it was given to refused it.
    Refused,
}

impl Waiting {
    /// The word in the journal.
    pub fn word(self) -> &'static str {
        match self {
            Waiting::Quarantined => "quarantined",
            Waiting::Parked => "parked",
            Waiting::Deletion => "deletion",
            Waiting::Twin => "twin",
            Waiting::Outgoing => "outgoing",
            Waiting::Refused => "refused",
        }
    }

    /// What a word in the journal stands for.
    pub fn from_word(word: &str) -> Option<Waiting> {
        let all = [Waiting::Quarantined, Waiting::Parked, Waiting::Deletion, Waiting::Twin, Waiting::Outgoing, Waiting::Refused];
        all.into_iter().find(|kind| kind.word() == word)
    }
}

/// A record that waits.
pub struct Waiter {
    /// Its number.
    pub id: i64,
    /// The resource.
    pub resource: String,
    /// The record, alone in a page.
    pub page: Page,
    /// The run in which it came.
    pub run: u64,
    /// Why it waits.
    pub kind: Waiting,
    /// The site it came from.
    pub site: SiteId,
    /// Why it waits, in a sentence.
    pub reason: String,
}

/// A waiting record as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingEntry {
    /// Its number.
    pub id: i64,
    /// The resource.
    pub resource: String,
    /// Its uid.
    pub uid: String,
    /// Why it waits.
    pub kind: String,
    /// In a sentence.
    pub reason: String,
    /// The site it came from.
    pub site: SiteId,
    /// Since when.
    pub at: Time,
}

/// How much of what came from a site waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trouble {
    /// The site.
    pub site: SiteId,
    /// Conflicts that a person has to decide.
    pub conflicts: u64,
    /// Records that could not be stored, and own ones that cannot be sent.
    pub quarantined: u64,
    /// Records that wait for another one, or for an answer of that site.
    pub parked: u64,
}

/// Sums counts of waiting records by site and kind, and of open conflicts by site.
fn troubles(waiting: impl IntoIterator<Item = (SiteId, String, u64)>, open: impl IntoIterator<Item = (SiteId, u64)>) -> Vec<Trouble> {
    let mut found: std::collections::BTreeMap<SiteId, Trouble> = std::collections::BTreeMap::new();
    let none = |site| Trouble { site, conflicts: 0, quarantined: 0, parked: 0 };
    for (site, kind, count) in waiting {
        let trouble = found.entry(site).or_insert_with(|| none(site));
        if kind == Waiting::Quarantined.word() || kind == Waiting::Outgoing.word() {
            trouble.quarantined += count;
        } else {
            trouble.parked += count;
        }
    }
    for (site, count) in open {
        found.entry(site).or_insert_with(|| none(site)).conflicts += count;
    }
    found.into_values().collect()
}

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

/// Which waiting records are wanted.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// Those of these kinds after a number, from any table.
    Kinds(&'a [Waiting], i64),
    /// Those that wait for one of these records.
    For(&'a [(String, String)]),
    /// The versions of one record.
    Of(&'a Table, &'a str),
    /// The one with this number, outgoing ones not among them.
    One(i64),
}

/// Why and since when a record waits.
pub struct Wait<'a> {
    /// Why.
    pub kind: Waiting,
    /// In a sentence.
    pub reason: &'a str,
    /// The records it waits for.
    pub missing: &'a [(String, String)],
    /// The site it came from.
    pub peer: SiteId,
    /// The run.
    pub run: u64,
    /// When.
    pub now: Time,
}
