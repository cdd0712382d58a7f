//! The transaction of one page: rows, journal and cursor together (SYNC.md 5).

mod alias;
mod aside;
mod eden;
mod find;
mod retract;
mod rows;
mod savepoint;
mod states;
mod together;
mod waiting;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use self::{states::States, together::Batch};
use super::{
    Postgres,
    args::{Arg, Columns},
    layout::Layout,
    triggers::APPLYING,
};
use crate::{
    connector::{
        Apply, Attempt, Clash, ConflictEntry, Conflicts, Effected, Effects, Found, HistoryEntry, Key, KeyPart, Locals, Lost, Part, Share,
        Table, Targets, Verdict, Wait, Waiter, Which, Whose, Write,
        attached::{layout_within, refuse_unsettled},
        stored,
    },
    error::Result,
    model::{Actor, Page, RecordView, SiteId, Sum, Time},
};

/// How long a page waits for rows that an application holds, before it gives way and is tried again. Less than the server's `deadlock_timeout`, so that
/// of us and an application that wait for each other it is never the application that has to give up.
const YIELD: &str = "700ms";

/// A page's transaction.
pub(super) struct Transaction<'a> {
    db: &'a mut Postgres,
    me: Actor,
    /// What was added up when the attempt began.
    summed: HashMap<i64, Sum>,
    /// The last key that was given, for tables whose keys we choose.
    next_keys: HashMap<i64, i64>,
    reserved: HashMap<(i64, String), Key>,
    /// Keys that were reserved and whose rows are still to come, by table.
    promised: Vec<(i64, Key)>,
    /// Statements that wait for all rows to be there.
    later: Vec<(String, Vec<Arg<'static>>)>,
    /// By table: the foreign keys of others to it.
    children: HashMap<i64, Vec<(String, String)>>,
    /// The last arrival that was given, and of which table.
    last_arrival: Option<(i64, i64)>,
    /// Tables whose notes were taken over.
    caught_up: BTreeSet<i64>,
    /// Uids of records whose agreed content is to be noted, by table.
    based: HashMap<i64, Vec<String>>,
    /// Rows of an Eden's own tables, which may want entries elsewhere.
    entered: eden::Entered,
    /// How many keys sequences gave.
    taken_keys: usize,
    /// Of records that were looked up and live: the keys of their rows, by table and arrival.
    keys: HashMap<(i64, i64), Key>,
    /// The row that was written last got another key.
    moved: bool,
    /// Writes may be carried out together.
    hasty: bool,
    /// Those that are still to be carried out.
    batch: Option<Batch>,
    /// Lost versions that are still to be written to the history.
    lost: Vec<Vec<Arg<'static>>>,
    broken: bool,
    done: bool,
}

impl<'a> Transaction<'a> {
    pub(super) fn begin(db: &'a mut Postgres) -> Result<Transaction<'a>> {
        db.take_turn()?;
        let settings = format!("SET LOCAL {APPLYING} = 'on'; SET LOCAL lock_timeout = '{YIELD}'");
        let ready = db.link.batch(&settings, "write to the database").and_then(|()| db.me());
        let me = match ready {
            Ok(me) => me,
            Err(error) => {
                db.undo();
                return Err(error);
            }
        };
        Ok(Transaction {
            db,
            me,
            summed: HashMap::new(),
            next_keys: HashMap::new(),
            reserved: HashMap::new(),
            promised: Vec::new(),
            later: Vec::new(),
            children: HashMap::new(),
            last_arrival: None,
            caught_up: BTreeSet::new(),
            based: HashMap::new(),
            entered: eden::Entered::new(),
            taken_keys: 0,
            keys: HashMap::new(),
            moved: false,
            hasty: false,
            batch: None,
            lost: Vec::new(),
            broken: false,
            done: false,
        })
    }

    fn layout(&self, table: &Table) -> Result<Arc<Layout>> {
        refuse_unsettled(&self.db.unsettled, table)?;
        layout_within(&self.db.layouts, table)
    }
}

impl Apply for Transaction<'_> {
    fn table(&mut self, resource: &str) -> Result<Option<Table>> {
        Ok(self.db.layouts.iter().find(|layout| layout.table.resource == resource).map(|layout| layout.table.clone()))
    }

    fn share(&mut self, table: &Table, peer: SiteId, part: Part) -> Result<Share> {
        self.db.read_share(table.id, peer, part)
    }

    fn set_share(&mut self, table: &Table, peer: SiteId, part: Part, share: &Share) -> Result<()> {
        self.db.write_share(table.id, peer, part, share)
    }

    fn set_notes(&mut self, table: &Table, peer: SiteId, notes: &[(String, String)]) -> Result<()> {
        self.db.write_notes(table.id, peer, notes)
    }

    fn set_accounts(&mut self, table: &Table, named: &[Whose]) -> Result<()> {
        self.flush()?;
        let layout = self.layout(table)?;
        self.name_accounts(&layout, named)
    }

    fn answer(&mut self, batch: uuid::Uuid) -> Result<Option<String>> {
        let row = self.db.link.maybe("SELECT answer FROM entente.batch WHERE id = $1", &[batch.to_string().into()], "read the journal")?;
        row.map(|row| row.owned(0)).transpose()
    }

    fn set_answer(&mut self, batch: uuid::Uuid, peer: SiteId, now: Time, answer: &str) -> Result<()> {
        let site = self.db.sites.id(&mut self.db.link, peer)?;
        let sql = "INSERT INTO entente.batch (id, site, at, answer) VALUES ($1, $2, $3, $4)";
        self.db.link.run(sql, &[batch.to_string().into(), site.into(), now.0.into(), answer.into()], "write the journal")?;
        let day_before = now.plus_seconds(-86_400);
        self.db.link.run("DELETE FROM entente.batch WHERE at < $1::bigint", &[day_before.0.into()], "write the journal").map(drop)
    }

    fn hasten(&mut self) -> bool {
        self.hasty = true;
        true
    }

    fn fold(&mut self, table: &Table) -> Result<()> {
        self.flush()?;
        let layout = self.layout(table)?;
        self.last_arrival = None;
        self.db.fold_all(&layout)
    }

    fn locals(&mut self, table: &Table, uids: &[&str], peer: SiteId) -> Result<Locals> {
        self.find_locals(table, uids, peer)
    }

    fn resolve(&mut self, wanted: &[(&str, &str)]) -> Result<Targets> {
        self.find_targets(wanted)
    }

    fn reserve(&mut self, table: &Table, record: RecordView<'_>, targets: &Targets) -> Result<Key> {
        self.flush()?;
        let layout = self.layout(table)?;
        let key = match layout.own_key {
            true => Key(vec![KeyPart::Integer(self.next_key(&layout)?)]),
            false => self.key_of_content(&layout, record, targets)?,
        };
        self.reserved.insert((table.id, record.uid().to_owned()), key.clone());
        self.promised.push((table.id, key.clone()));
        Ok(key)
    }

    fn twin(&mut self, table: &Table, record: RecordView<'_>, targets: &Targets) -> Result<Option<String>> {
        self.find_twin(table, record, targets)
    }

    fn referred(&mut self, table: &Table, found: Found) -> Result<bool> {
        self.flush()?;
        self.is_referred(table, found)
    }

    fn retract(&mut self, table: &Table, found: Found) -> Result<()> {
        self.flush()?;
        self.let_go(table, found)
    }

    fn sharers(&mut self, table: &Table) -> Result<Vec<SiteId>> {
        self.sites_agreed_with(table)
    }

    fn defer(&mut self) -> Result<()> {
        // What refers to each other is written one by one: keys first, and values that wait.
        self.flush()?;
        self.hasty = false;
        self.db.link.batch("SET CONSTRAINTS ALL DEFERRED", "defer constraints")
    }

    fn write(&mut self, table: &Table, write: &Write<'_>, peer: SiteId, targets: &Targets) -> Result<Option<Key>> {
        let layout = self.layout(table)?;
        if self.hasty && !write.release {
            if layout.table.bases {
                self.based.entry(layout.table.id).or_default().push(write.uid.to_owned());
            }
            let key = self.write_later(&layout, write, peer, targets)?;
            self.entered(&layout, key.as_ref());
            return Ok(key);
        }
        self.flush()?;
        let later = self.later.len();
        let done = self.within_savepoint(|tx| {
            let key = tx.write_row(&layout, write, targets)?;
            let mut states = States::default();
            let version = tx.state_of(&layout, write, key.as_ref(), peer, &mut states)?;
            tx.store(&layout, states)?;
            if write.release {
                tx.db.release(&layout, write.uid, &version)?;
            }
            Ok(key)
        });
        match &done {
            Ok(_) if layout.table.bases => self.based.entry(layout.table.id).or_default().push(write.uid.to_owned()),
            Ok(_) => {}
            Err(_) => self.later.truncate(later),
        }
        if let Ok(key) = &done {
            self.entered(&layout, key.as_ref());
        }
        done
    }

    fn head(&mut self, table: &Table) -> Result<(i64, Actor)> {
        self.flush()?;
        let layout = self.layout(table)?;
        Ok((self.db.max_arrival(&layout)?, self.me))
    }

    fn broken(&self) -> bool {
        self.broken || self.db.link.failed()
    }

    fn rekey(&mut self, table: &Table, from: &str, to: &str) -> Result<()> {
        self.flush()?;
        self.give_uid(table, from, to)
    }

    fn exactly(&mut self, table: &Table, uid: &str) -> Result<Locals> {
        let layout = self.layout(table)?;
        self.catch_up(&layout)?;
        self.read_exactly(&layout, uid)
    }

    fn repoint(&mut self, table: &Table, from: Found, to: Found) -> Result<()> {
        self.flush()?;
        self.within_savepoint(|tx| tx.point_elsewhere(table, from, to))
    }

    fn attempt(&mut self, attempt: Attempt) -> Result<()> {
        self.flush()?;
        self.last_arrival = None;
        let sql = match attempt {
            Attempt::Begin => "SAVEPOINT entente_attempt",
            Attempt::Keep => "RELEASE entente_attempt",
            Attempt::Undo => "ROLLBACK TO entente_attempt; RELEASE entente_attempt",
        };
        self.db.link.batch(sql, "try something")?;
        match attempt {
            Attempt::Begin => self.summed.clone_from(&self.db.tally),
            Attempt::Keep => {}
            Attempt::Undo => {
                // Which sites the attempt learned went with it, and what it had added up.
                self.db.sites.load(&mut self.db.link)?;
                self.db.tally = std::mem::take(&mut self.summed);
            }
        }
        Ok(())
    }

    fn remember(&mut self, table: &Table, uid: &str, peer: SiteId, run: u64, now: Time, lost: &Lost<'_>) -> Result<()> {
        let site = self.db.sites.id(&mut self.db.link, peer)?;
        self.lost.push(vec![
            table.id.into(),
            uid.to_owned().into(),
            now.0.into(),
            site.into(),
            i64::try_from(run).unwrap_or(i64::MAX).into(),
            lost.side.into(),
            lost.rule.into(),
            stored::write(lost.record)?.into(),
        ]);
        Ok(())
    }

    fn conflict(&mut self, table: &Table, uid: &str, peer: SiteId, run: u64, now: Time, clash: &Clash<'_>) -> Result<bool> {
        self.flush()?;
        let layout = self.layout(table)?;
        self.db.list_conflict(&layout, uid, peer, run, now, clash)
    }

    fn conflicts(&mut self, which: Conflicts<'_>) -> Result<Vec<ConflictEntry>> {
        self.flush()?;
        self.db.read_conflicts(which)
    }

    fn judge(&mut self, table: &Table, id: i64, verdict: Verdict<'_>, ours: RecordView<'_>, now: Time) -> Result<()> {
        self.flush()?;
        let layout = self.layout(table)?;
        self.db.judge_conflict(&layout, id, verdict, ours, now)
    }

    fn past(&mut self, id: i64) -> Result<Option<HistoryEntry>> {
        self.flush()?;
        self.db.read_past(id)
    }

    fn effects(&mut self, table: &Table, run: u64, effects: Effects, after: i64, limit: usize) -> Result<Vec<Effected>> {
        self.flush()?;
        let layout = self.layout(table)?;
        self.db.read_effects(&layout, run, effects, after, limit)
    }

    fn set_bases(&mut self, table: &Table, page: &Page) -> Result<()> {
        self.flush()?;
        let layout = self.layout(table)?;
        self.db.note_bases(&layout, page)
    }

    fn wait(&mut self, table: &Table, record: RecordView<'_>, waits: &Wait<'_>) -> Result<()> {
        self.insert_waiting(table, record, waits)
    }

    fn unwait(&mut self, id: i64) -> Result<()> {
        for sql in ["DELETE FROM entente.waiting WHERE id = $1::bigint", "DELETE FROM entente.missing WHERE waiting = $1::bigint"] {
            self.db.link.run(sql, &[id.into()], "write the journal")?;
        }
        Ok(())
    }

    fn waiters(&mut self, which: Which<'_>, limit: usize) -> Result<Vec<Waiter>> {
        self.find_waiters(which, limit)
    }

    fn commit(mut self: Box<Self>) -> Result<()> {
        self.flush()?;
        for (sql, args) in std::mem::take(&mut self.later) {
            self.db.link.run(&sql, &args, "let records refer to each other")?;
        }
        self.note_agreed()?;
        self.enter_supers()?;
        self.db.commit("commit the page")?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.db.undo();
        }
    }
}
