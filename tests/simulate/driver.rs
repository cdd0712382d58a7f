//! The real connector behind a fuse, and, where a world is to go wrong, with a planted fault.

use entente::{
    connector::{
        Apply, Attempt, Clash, ConflictEntry, Conflicts, Connector, Effect, Effected, Effects, Extent, Forgotten, Found, HistoryEntry,
        Journal, Key, Living, Locals, Lost, Named, Part, Progress, Purged, Retention, Share, Standing, Survey, Swept, Table, Targets,
        Trouble, Verdict, Wait, Waiter, WaitingEntry, Which, Whose, Write,
    },
    error::Result,
    model::{Actor, NewState, Page, Pending, RecordView, SiteId, Sum, TableSpec, Time},
};

use crate::{
    fuse::Fuse,
    place::Place,
    planted::{Journalled, Planted},
};

/// What a driver reports beside what it does: the records that were kept although others deleted them.
pub(crate) type Seen = std::sync::Arc<std::sync::Mutex<Vec<String>>>;

pub(crate) struct Driver {
    pub(crate) inner: Box<dyn Connector>,
    pub(crate) fuse: Fuse,
    pub(crate) planted: Option<Planted>,
    pub(crate) asserted: Seen,
    pub(crate) place: Place,
}

struct Transaction<'a> {
    inner: Box<dyn Apply + 'a>,
    fuse: Fuse,
    fault: Journalled,
    asserted: Seen,
    /// Others refer to the record that was looked at last.
    referred: bool,
}

macro_rules! forward {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        $(fn $name(&mut self, $($arg: $type),*) -> Result<$out> {
            let inner = &mut self.inner;
            self.fuse.step(|| inner.$name($($arg),*))
        })*
    };
}

impl Connector for Driver {
    fn stale(&mut self) -> bool {
        self.fuse.blown() || self.inner.stale()
    }

    forward! {
        fn survey() -> Vec<Survey>;
        fn attach(specs: &[TableSpec], site: SiteId, now: Time, progress: Progress<'_>) -> ();
        fn detach(drop_journal: bool) -> ();
        fn journal() -> Journal;
        fn renew(site: SiteId, incarnation: u32, epoch: &str) -> ();
        fn tables() -> Vec<Table>;
        fn set_share(table: &Table, peer: SiteId, part: Part, share: &Share, added_runs: u64) -> ();
        fn forget_shared(table: &Table, peer: SiteId) -> ();
        fn head(table: &Table) -> i64;
        fn count(table: &Table) -> u64;
        fn pending(table: &Table, after: i64, peer: SiteId, most: u32) -> Pending;
        fn troubles() -> Vec<Trouble>;
        fn living(table: &Table, take: &mut dyn FnMut(Living<'_>) -> Result<()>) -> ();
        fn purge(table: &Table, now: Time, before: Time) -> Purged;
        fn sweep(table: &Table, now: Time, progress: Progress<'_>) -> Swept;
        fn forget(keep: Retention) -> Forgotten;
        fn sum(table: &Table) -> Option<Sum>;
        fn unsettled(table: &Table) -> bool;
        fn fold(table: &Table) -> ();
        fn recheck(table: &Table) -> ();
        fn export(table: &Table, after: i64, peer: SiteId, extent: Extent, now: Time, page: &mut Page) -> (i64, bool);
        fn lookup(table: &Table, uids: &[String], page: &mut Page) -> ();
        fn since(table: &Table, since: Time) -> Vec<String>;
        fn belonging(table: &Table, field: &str, uids: &[String]) -> Vec<String>;
        fn whose(table: &Table, uids: &[String]) -> Vec<Whose>;
        fn notes(table: &Table, peer: SiteId, uids: Option<&[String]>) -> std::collections::HashMap<String, String>;
        fn sample(table: &Table, limit: usize) -> Vec<String>;
        fn waits() -> bool;
        fn waiting() -> Vec<WaitingEntry>;
        fn keep_bases(table: &Table) -> ();
        fn conflicts(which: Conflicts<'_>) -> Vec<ConflictEntry>;
        fn history(table: &Table, uid: &str) -> Vec<HistoryEntry>;
        fn pulse() -> i64;
    }

    fn share(&mut self, table: &Table, peer: SiteId, part: Part) -> Result<Share> {
        let inner = &mut self.inner;
        let mut share = self.fuse.step(|| inner.share(table, peer, part))?;
        share.compare.due &= self.planted != Some(Planted::NobodyCompares);
        Ok(share)
    }

    fn standings(&mut self, table: &Table, peer: SiteId, named: Named<'_>) -> Result<Vec<Standing>> {
        let inner = &mut self.inner;
        let mut standings = self.fuse.step(|| inner.standings(table, peer, named))?;
        if self.planted == Some(Planted::BelievesAnything) {
            standings.iter_mut().for_each(|standing| standing.given = true);
        }
        Ok(standings)
    }

    fn begin(&mut self) -> Result<Box<dyn Apply + '_>> {
        let inner = &mut self.inner;
        let inner = self.fuse.step(|| inner.begin())?;
        let fault = Journalled::new(self.planted, &self.place);
        Ok(Box::new(Transaction { inner, fuse: self.fuse.clone(), fault, asserted: self.asserted.clone(), referred: false }))
    }
}

impl Apply for Transaction<'_> {
    forward! {
        fn table(resource: &str) -> Option<Table>;
        fn share(table: &Table, peer: SiteId, part: Part) -> Share;
        fn set_notes(table: &Table, peer: SiteId, notes: &[(String, String)]) -> ();
        fn set_share(table: &Table, peer: SiteId, part: Part, share: &Share) -> ();
        fn set_accounts(table: &Table, named: &[Whose]) -> ();
        fn answer(batch: uuid::Uuid) -> Option<String>;
        fn set_answer(batch: uuid::Uuid, peer: SiteId, now: Time, answer: &str) -> ();
        fn fold(table: &Table) -> ();
        fn locals(table: &Table, uids: &[&str], peer: SiteId) -> Locals;
        fn resolve(wanted: &[(&str, &str)]) -> Targets;
        fn reserve(table: &Table, record: RecordView<'_>, targets: &Targets) -> Key;
        fn twin(table: &Table, record: RecordView<'_>, targets: &Targets) -> Option<String>;
        fn defer() -> ();
        fn head(table: &Table) -> (i64, Actor);
        fn rekey(table: &Table, from: &str, to: &str) -> ();
        fn exactly(table: &Table, uid: &str) -> Locals;
        fn repoint(table: &Table, from: Found, to: Found) -> ();
        fn attempt(attempt: Attempt) -> ();
        fn conflict(table: &Table, uid: &str, peer: SiteId, run: u64, now: Time, clash: &Clash<'_>) -> bool;
        fn conflicts(which: Conflicts<'_>) -> Vec<ConflictEntry>;
        fn judge(table: &Table, id: i64, verdict: Verdict<'_>, ours: RecordView<'_>, now: Time) -> ();
        fn past(id: i64) -> Option<HistoryEntry>;
        fn effects(table: &Table, run: u64, effects: Effects, after: i64, limit: usize) -> Vec<Effected>;
        fn set_bases(table: &Table, page: &Page) -> ();
        fn sharers(table: &Table) -> Vec<SiteId>;
        fn waiters(which: Which<'_>, limit: usize) -> Vec<Waiter>;
    }

    fn write(&mut self, table: &Table, write: &Write<'_>, peer: SiteId, targets: &Targets) -> Result<Option<Key>> {
        // It was to be deleted and is referred to here: it stays, as a version of our own.
        if std::mem::take(&mut self.referred) && write.state.tick && matches!(write.effect, Effect::Keep) {
            self.asserted.lock().unwrap().push(write.uid.to_owned());
        }
        let state: NewState = self.fault.state(write.state);
        let write = Write { state: &state, ..*write };
        let inner = &mut self.inner;
        self.fuse.step(|| inner.write(table, &write, peer, targets))
    }

    fn referred(&mut self, table: &Table, found: Found) -> Result<bool> {
        let inner = &mut self.inner;
        self.referred = self.fuse.step(|| inner.referred(table, found))?;
        Ok(self.referred)
    }

    fn hasten(&mut self) -> bool {
        self.inner.hasten()
    }

    fn broken(&self) -> bool {
        self.inner.broken()
    }

    fn remember(&mut self, table: &Table, uid: &str, peer: SiteId, run: u64, now: Time, lost: &Lost<'_>) -> Result<()> {
        if self.fault.forgets() {
            return Ok(());
        }
        let inner = &mut self.inner;
        self.fuse.step(|| inner.remember(table, uid, peer, run, now, lost))
    }

    fn wait(&mut self, table: &Table, record: RecordView<'_>, waits: &Wait<'_>) -> Result<()> {
        for _ in 0..self.fault.waits(waits) {
            let inner = &mut self.inner;
            self.fuse.step(|| inner.wait(table, record, waits))?;
        }
        Ok(())
    }

    fn retract(&mut self, table: &Table, found: Found) -> Result<()> {
        if self.fault.keeps_all() {
            return Ok(());
        }
        let inner = &mut self.inner;
        self.fuse.step(|| inner.retract(table, found))
    }

    fn unwait(&mut self, id: i64) -> Result<()> {
        if self.fault.never_ends() {
            return Ok(());
        }
        let inner = &mut self.inner;
        self.fuse.step(|| inner.unwait(id))
    }

    fn commit(self: Box<Self>) -> Result<()> {
        self.fuse.full()?;
        let Transaction { inner, fuse, fault, .. } = *self;
        fuse.step(|| inner.commit())?;
        fault.committed();
        Ok(())
    }
}
