//! The transaction of one page: rows, journal and cursor together (SYNC.md 5).

mod alias;
mod aside;
mod eden;
mod find;
mod plan;
mod retract;
mod rows;
mod states;
mod waiting;

use std::{collections::HashMap, sync::Arc};

use rusqlite::{OptionalExtension, params, params_from_iter, types::Value as Native};

use self::plan::Plan;
use super::{
    Sqlite,
    failure::{Told, quoted},
    layout::Layout,
    shape::writes_spread,
    values::{Bound, stored_uid},
};
use crate::{
    connector::{
        Apply, Attempt, Clash, ConflictEntry, Conflicts, Effected, Effects, Found, HistoryEntry, Key, KeyPart, Locals, Lost, Part, Share,
        Table, Targets, Verdict, Wait, Waiter, Which, Whose, Write,
        attached::{layout_within, refuse_unsettled},
        stored,
    },
    error::{Error, Kind as Fault, Result},
    model::{Actor, Page, RecordView, SiteId, Sum, Time},
};

/// A page's transaction.
pub(super) struct Transaction<'a> {
    db: &'a mut Sqlite,
    /// Writing a row may write others: triggers are told of one row at a time.
    spread: bool,
    /// The table whose triggers are told that everything is ours.
    marked: Option<i64>,
    /// What was added up when the attempt began.
    summed: HashMap<i64, Sum>,
    /// The next key for tables whose keys we choose.
    next_keys: HashMap<i64, i64>,
    reserved: HashMap<(i64, String), Key>,
    plan: Option<Plan>,
    /// By table: the foreign keys of others to it.
    children: HashMap<i64, Vec<(String, String)>>,
    /// The last arrival that was given, and of which table.
    last_arrival: Option<(i64, i64)>,
    /// Uids of records whose agreed content is to be noted, by table.
    based: HashMap<i64, Vec<Native>>,
    /// Rows of an Eden's own tables, which may want entries elsewhere.
    entered: eden::Entered,
    /// The row that was written last got another key.
    moved: bool,
    done: bool,
}

impl<'a> Transaction<'a> {
    pub(super) fn begin(db: &'a mut Sqlite) -> Result<Transaction<'a>> {
        db.conn.execute_batch("BEGIN IMMEDIATE").told("write to the database")?;
        let ready = db.sites.learn(&db.conn).and_then(|()| writes_spread(&db.conn));
        let spread = match ready {
            Ok(spread) => spread,
            Err(error) => {
                db.undo();
                return Err(error);
            }
        };
        Ok(Transaction {
            db,
            spread,
            marked: None,
            summed: HashMap::new(),
            next_keys: HashMap::new(),
            reserved: HashMap::new(),
            plan: None,
            children: HashMap::new(),
            last_arrival: None,
            based: HashMap::new(),
            entered: eden::Entered::new(),
            moved: false,
            done: false,
        })
    }

    fn layout(&self, table: &Table) -> Result<Arc<Layout>> {
        refuse_unsettled(&self.db.unsettled, table)?;
        layout_within(&self.db.layouts, table)
    }

    /// Tells the triggers which row is ours: just this one where writing it may write others, or all of the table.
    fn mark(&mut self, layout: &Layout, key: &Key) -> Result<()> {
        let everything = !self.spread;
        if everything && self.marked == Some(layout.table.id) {
            return Ok(());
        }
        self.db.conn.prepare_cached("DELETE FROM entente_applying").and_then(|mut s| s.execute([])).told("write the journal")?;
        let count = if everything { 0 } else { key.0.len() };
        let names: String = (1..=count).map(|at| format!(", k{at}")).collect();
        let marks: String = (1..=count).map(|at| format!(", ?{}", at + 2)).collect();
        let sql = format!("INSERT INTO entente_applying (tab, everything{names}) VALUES (?1, ?2{marks})");
        let fixed = [Bound::Integer(layout.table.id), Bound::Integer(i64::from(everything))];
        let values = fixed.into_iter().chain(key.0.iter().take(count).map(Bound::of_key));
        self.db.conn.prepare_cached(&sql).and_then(|mut s| s.execute(params_from_iter(values))).told("write the journal")?;
        self.marked = everything.then_some(layout.table.id);
        Ok(())
    }

    /// The tombstone of another record gives up a key that a row has now.
    fn free_key(&self, layout: &Layout, key: &Key) -> Result<()> {
        let numbers = || 1..=key.0.len();
        let set: Vec<String> = numbers().map(|at| format!("k{at} = NULL")).collect();
        let same: Vec<String> = numbers().map(|at| format!("k{at} = ?{at}")).collect();
        let sql = format!("UPDATE {} SET {} WHERE deleted = 1 AND {}", layout.state(), set.join(", "), same.join(" AND "));
        let values = key.0.iter().map(Bound::of_key);
        self.db.conn.prepare_cached(&sql).and_then(|mut s| s.execute(params_from_iter(values))).told("write the journal").map(|_| ())
    }

    /// Tells the triggers that a further row is ours: the one that the row which was marked becomes.
    fn mark_too(&mut self, layout: &Layout, key: &Key) -> Result<()> {
        if self.marked == Some(layout.table.id) {
            return Ok(());
        }
        let names: String = (1..=key.0.len()).map(|at| format!(", k{at}")).collect();
        let marks: String = (1..=key.0.len()).map(|at| format!(", ?{}", at + 1)).collect();
        let sql = format!("INSERT INTO entente_applying (tab, everything{names}) VALUES (?1, 0{marks})");
        let values = [Bound::Integer(layout.table.id)].into_iter().chain(key.0.iter().map(Bound::of_key));
        self.db.conn.prepare_cached(&sql).and_then(|mut s| s.execute(params_from_iter(values))).told("write the journal").map(|_| ())
    }

    fn unmark(&mut self) -> Result<()> {
        self.marked = None;
        self.db.conn.prepare_cached("DELETE FROM entente_applying").and_then(|mut s| s.execute([])).told("write the journal").map(|_| ())
    }

    fn next_key(&mut self, layout: &Layout) -> Result<i64> {
        let last = match self.next_keys.get(&layout.table.id) {
            Some(last) => *last,
            None => {
                let key = quoted(&layout.key[0]);
                // Keys of tombstones are not given to others, so that a re-creation finds its own.
                let sql = format!(
                    "SELECT MAX(COALESCE((SELECT MAX({key}) FROM {}), 0), COALESCE((SELECT MAX(k1) FROM {}), 0))",
                    quoted(&layout.table.name),
                    layout.state()
                );
                self.db.conn.prepare_cached(&sql).and_then(|mut s| s.query_row([], |row| row.get(0))).told("choose a key")?
            }
        };
        let next = last.checked_add(1).ok_or_else(|| Error::new(Fault::Constraint, "the table has no keys left"))?;
        self.next_keys.insert(layout.table.id, next);
        Ok(next)
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
        let layout = self.layout(table)?;
        self.name_accounts(&layout, named)
    }

    fn answer(&mut self, batch: uuid::Uuid) -> Result<Option<String>> {
        let sql = "SELECT answer FROM entente_batch WHERE id = ?1";
        let mut statement = self.db.conn.prepare_cached(sql).told("read the journal")?;
        statement.query_row([batch.to_string()], |row| row.get(0)).optional().told("read the journal")
    }

    fn set_answer(&mut self, batch: uuid::Uuid, peer: SiteId, now: Time, answer: &str) -> Result<()> {
        let site = self.db.sites.id(&self.db.conn, peer)?;
        let sql = "INSERT INTO entente_batch (id, site, at, answer) VALUES (?1, ?2, ?3, ?4)";
        let values = params![batch.to_string(), site, now.0, answer];
        self.db.conn.prepare_cached(sql).and_then(|mut s| s.execute(values)).told("write the journal")?;
        let sql = "DELETE FROM entente_batch WHERE at < ?1";
        let day_before = now.plus_seconds(-86_400);
        self.db.conn.prepare_cached(sql).and_then(|mut s| s.execute([day_before.0])).told("write the journal").map(|_| ())
    }

    fn fold(&mut self, table: &Table) -> Result<()> {
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
        let layout = self.layout(table)?;
        let key = match layout.own_key {
            true => Key(vec![KeyPart::Integer(self.next_key(&layout)?)]),
            false => self.key_of_content(&layout, record, targets)?,
        };
        self.reserved.insert((table.id, record.uid().to_owned()), key.clone());
        Ok(key)
    }

    fn twin(&mut self, table: &Table, record: RecordView<'_>, targets: &Targets) -> Result<Option<String>> {
        self.find_twin(table, record, targets)
    }

    fn referred(&mut self, table: &Table, found: Found) -> Result<bool> {
        self.is_referred(table, found)
    }

    fn retract(&mut self, table: &Table, found: Found) -> Result<()> {
        self.let_go(table, found)
    }

    fn sharers(&mut self, table: &Table) -> Result<Vec<SiteId>> {
        self.sites_agreed_with(table)
    }

    fn defer(&mut self) -> Result<()> {
        self.db.conn.execute_batch("PRAGMA defer_foreign_keys = ON").told("defer constraints")
    }

    fn write(&mut self, table: &Table, write: &Write<'_>, peer: SiteId, targets: &Targets) -> Result<Option<Key>> {
        let layout = self.layout(table)?;
        let key = self.write_row(&layout, write, targets)?;
        let done = self.write_state(&layout, write, key.clone(), peer);
        // Another record has this uid: the row that was added for it is nobody's.
        if let (Err(error), Some(key)) = (&done, key.as_ref().filter(|_| !write.local.is_some_and(|found| found.living)))
            && error.kind() == Fault::Constraint
        {
            self.delete_row(&layout, key)?;
        }
        if done.is_ok() {
            self.entered(&layout, key.as_ref());
        }
        done.map(|()| key)
    }

    fn head(&mut self, table: &Table) -> Result<(i64, Actor)> {
        let layout = self.layout(table)?;
        Ok((self.db.max_arrival(&layout)?, self.db.me()?))
    }

    fn broken(&self) -> bool {
        self.db.conn.is_autocommit()
    }

    fn rekey(&mut self, table: &Table, from: &str, to: &str) -> Result<()> {
        self.give_uid(table, from, to)
    }

    fn exactly(&mut self, table: &Table, uid: &str) -> Result<Locals> {
        let layout = self.layout(table)?;
        self.last_arrival = None;
        self.read_exactly(&layout, uid)
    }

    fn repoint(&mut self, table: &Table, from: Found, to: Found) -> Result<()> {
        self.point_elsewhere(table, from, to)
    }

    fn attempt(&mut self, attempt: Attempt) -> Result<()> {
        self.last_arrival = None;
        let sql = match attempt {
            Attempt::Begin => "SAVEPOINT entente_attempt",
            Attempt::Keep => "RELEASE entente_attempt",
            Attempt::Undo => "ROLLBACK TO entente_attempt; RELEASE entente_attempt",
        };
        self.db.conn.execute_batch(sql).told("try something")?;
        match attempt {
            Attempt::Begin => self.summed = self.db.tally.so_far(),
            Attempt::Keep => {}
            Attempt::Undo => {
                // What the attempt marked and which sites it learned went with it, and what it had added up.
                self.marked = None;
                self.db.sites.load(&self.db.conn)?;
                self.db.tally.go_back(std::mem::take(&mut self.summed));
            }
        }
        Ok(())
    }

    fn remember(&mut self, table: &Table, uid: &str, peer: SiteId, run: u64, now: Time, lost: &Lost<'_>) -> Result<()> {
        let site = self.db.sites.id(&self.db.conn, peer)?;
        let record = stored::write(lost.record)?;
        let sql = "INSERT INTO entente_history (tab, uid, at, site, run, side, rule, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let run = i64::try_from(run).unwrap_or(i64::MAX);
        let values = params![table.id, stored_uid(uid), now.0, site, run, lost.side, lost.rule, record];
        self.db.conn.prepare_cached(sql).and_then(|mut s| s.execute(values)).told("write the history").map(|_| ())
    }

    fn conflict(&mut self, table: &Table, uid: &str, peer: SiteId, run: u64, now: Time, clash: &Clash<'_>) -> Result<bool> {
        let layout = self.layout(table)?;
        self.db.list_conflict(&layout, uid, peer, run, now, clash)
    }

    fn conflicts(&mut self, which: Conflicts<'_>) -> Result<Vec<ConflictEntry>> {
        self.db.read_conflicts(which)
    }

    fn judge(&mut self, table: &Table, id: i64, verdict: Verdict<'_>, ours: RecordView<'_>, now: Time) -> Result<()> {
        let layout = self.layout(table)?;
        self.db.judge_conflict(&layout, id, verdict, ours, now)
    }

    fn past(&mut self, id: i64) -> Result<Option<HistoryEntry>> {
        self.db.read_past(id)
    }

    fn effects(&mut self, table: &Table, run: u64, effects: Effects, after: i64, limit: usize) -> Result<Vec<Effected>> {
        let layout = self.layout(table)?;
        self.db.read_effects(&layout, run, effects, after, limit)
    }

    fn set_bases(&mut self, table: &Table, page: &Page) -> Result<()> {
        let layout = self.layout(table)?;
        self.db.note_bases(&layout, page)
    }

    fn wait(&mut self, table: &Table, record: RecordView<'_>, waits: &Wait<'_>) -> Result<()> {
        self.insert_waiting(table, record, waits)
    }

    fn unwait(&mut self, id: i64) -> Result<()> {
        for sql in ["DELETE FROM entente_waiting WHERE id = ?1", "DELETE FROM entente_missing WHERE waiting = ?1"] {
            self.db.conn.prepare_cached(sql).and_then(|mut s| s.execute([id])).told("write the journal")?;
        }
        Ok(())
    }

    fn waiters(&mut self, which: Which<'_>, limit: usize) -> Result<Vec<Waiter>> {
        self.find_waiters(which, limit)
    }

    fn commit(mut self: Box<Self>) -> Result<()> {
        self.note_agreed()?;
        self.enter_supers()?;
        self.unmark()?;
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
