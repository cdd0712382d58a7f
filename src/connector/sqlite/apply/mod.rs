//! The transaction of one page: rows, journal and cursor together (SYNC.md 5).

mod alias;
mod aside;
mod eden;
mod plan;
mod retract;
mod rows;
mod waiting;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
    sync::Arc,
};

use rusqlite::{OptionalExtension, params, params_from_iter, types::Value as Native};

use self::plan::Plan;
use super::{
    Sqlite,
    failure::{Told, quoted},
    layout::Layout,
    shape::writes_spread,
    values::{Bound, key_part, push_uid, stored_uid},
};
use crate::{
    connector::{
        Apply, Attempt, Clash, ConflictEntry, Conflicts, Effect, Effected, Effects, Found, HistoryEntry, Key, KeyPart, Locals, Lost, Part,
        Share, Table, Target, Targets, Verdict, Wait, Waiter, Which, Whose, Write, stored,
    },
    error::{Error, Kind as Fault, Result},
    model::{Actor, Page, Record, RecordView, SiteId, Sum, Time},
};

/// How many aliases are followed before the journal is called damaged: an heir is always smaller, so there is no cycle.
const ALIASES: usize = 64;

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
        self.db.refuse_unsettled(table)?;
        let found = self.db.layouts.iter().find(|layout| layout.table.id == table.id);
        found.cloned().ok_or_else(|| Error::not_found(format!("table {:?} is no longer attached", table.name)))
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

    /// The uids that `uids` lead to by aliases, in the same order.
    fn heirs(&self, layout: &Layout, uids: &[&str]) -> Result<HashMap<String, String>> {
        let state = layout.state();
        let sql = format!(
            "SELECT w.value, s.heir FROM rarray(?1) w CROSS JOIN {state} s ON s.uid = w.value WHERE s.heir IS NOT NULL AND s.deleted = 1"
        );
        let mut heirs: HashMap<String, String> = HashMap::new();
        let mut asked: Vec<String> = uids.iter().map(|uid| (*uid).to_owned()).collect();
        let any = format!("SELECT EXISTS (SELECT 1 FROM {state} WHERE heir IS NOT NULL)");
        // Aliases are rare: most tables have none, and one look spares the query.
        if !self.has_aliases(&any)? {
            return Ok(heirs);
        }
        for _ in 0..ALIASES {
            let stored: Vec<Native> = asked.iter().map(|uid| stored_uid(uid)).collect();
            let mut statement = self.db.conn.prepare_cached(&sql).told("read the journal")?;
            let mut rows = statement.query([Rc::new(stored)]).told("read the journal")?;
            let (mut page, mut next) = (Page::default(), Vec::new());
            while let Some(row) = rows.next().told("read the journal")? {
                let from = push_uid(row.get_ref(0).told("read the journal")?, &mut page);
                let to = push_uid(row.get_ref(1).told("read the journal")?, &mut page);
                heirs.insert(page.text(from).to_owned(), page.text(to).to_owned());
                next.push(page.text(to).to_owned());
            }
            if next.is_empty() {
                return Ok(heirs);
            }
            asked = next;
        }
        Err(Error::internal("the journal is damaged: its aliases lead in a circle"))
    }

    fn has_aliases(&self, sql: &str) -> Result<bool> {
        self.db.conn.prepare_cached(sql).and_then(|mut statement| statement.query_row([], |row| row.get(0))).told("read the journal")
    }

    /// Where nothing but us can write in this transaction, arrivals are counted here instead of looked up.
    fn next_arrival(&mut self, layout: &Layout) -> Result<i64> {
        let last = match self.last_arrival.filter(|(table, _)| *table == layout.table.id && !self.spread) {
            Some((_, last)) => last,
            None => self.db.max_arrival(layout)?,
        };
        self.last_arrival = Some((layout.table.id, last + 1));
        Ok(last + 1)
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

    fn write_state(&mut self, layout: &Layout, write: &Write<'_>, key: Option<Key>, peer: SiteId) -> Result<()> {
        let arrival = self.next_arrival(layout)?;
        let mut version = write.state.version.clone();
        if write.state.tick {
            let me = self.db.me()?;
            version.set(me, u64::try_from(arrival).unwrap_or(0));
        }
        let seen = version;
        let db = &mut *self.db;
        let version = db.sites.write_version(&db.conn, &seen)?;
        let (origin, author) = (db.sites.id(&db.conn, write.state.origin)?, db.sites.id(&db.conn, write.state.author)?);
        let settled = db.sites.write_set(&db.conn, &write.state.settled)?;
        let from = if write.state.shared { Some(db.sites.id(&db.conn, peer)?) } else { None };
        let (uid, heir) = (stored_uid(write.uid), write.heir.map(stored_uid));
        let extra = self.extra_of(layout, write)?;
        let digest = write.digest.0;
        let run = i64::try_from(write.run).unwrap_or(i64::MAX);
        let state = layout.state();
        match write.local {
            None => {
                let key = key.unwrap_or(Key(vec![KeyPart::Null; layout.key.len()]));
                let mut statement = self.db.conn.prepare_cached(&layout.sql.add_state).told("write the journal")?;
                let fixed = params![
                    arrival,
                    uid,
                    write.deleted,
                    write.state.modified_on.0,
                    version,
                    origin,
                    author,
                    settled,
                    from,
                    heir,
                    extra.flatten(),
                    digest.as_slice(),
                    run
                ];
                for (at, value) in fixed.iter().enumerate() {
                    statement.raw_bind_parameter(at + 1, value).told("write the journal")?;
                }
                for (at, part) in key.0.iter().enumerate() {
                    statement.raw_bind_parameter(at + 14, Bound::of_key(part)).told("write the journal")?;
                }
                statement.raw_execute().told("write the journal")?;
            }
            Some(found) => {
                let mut statement = self.db.conn.prepare_cached(&layout.sql.change_state).told("write the journal")?;
                let replace = extra.is_some();
                statement
                    .execute(params![
                        arrival,
                        found.arrival,
                        write.deleted,
                        write.state.modified_on.0,
                        version,
                        origin,
                        author,
                        settled,
                        from,
                        heir,
                        extra.flatten(),
                        digest.as_slice(),
                        replace,
                        run
                    ])
                    .told("write the journal")?;
                if let Some(key) = key.filter(|_| !found.living || self.moved) {
                    if self.moved {
                        self.free_key(layout, &key)?;
                    }
                    let set: Vec<String> = (1..=key.0.len()).map(|at| format!("k{at} = ?{at}")).collect();
                    let sql = format!("UPDATE {state} SET {} WHERE arrival = ?{}", set.join(", "), key.0.len() + 1);
                    let values = key.0.iter().map(Bound::of_key).chain([Bound::Integer(arrival)]);
                    self.db.conn.prepare_cached(&sql).and_then(|mut s| s.execute(params_from_iter(values))).told("write the journal")?;
                }
            }
        }
        if write.release {
            self.db.release(layout, write.uid, &seen)?;
        }
        if layout.table.bases {
            self.based.entry(layout.table.id).or_default().push(stored_uid(write.uid));
        }
        Ok(())
    }

    /// Notes what is agreed of the records that were written: what they are now.
    fn note_agreed(&mut self) -> Result<()> {
        for (table, uids) in std::mem::take(&mut self.based) {
            let Some(layout) = self.db.layouts.iter().find(|layout| layout.table.id == table).cloned() else { continue };
            let mut page = Page::default();
            self.db.read_each(&layout, uids, &mut page)?;
            self.db.note_bases(&layout, &page)?;
        }
        Ok(())
    }

    /// Fields without a column, to be kept aside. The outer `None`: what is there stays.
    fn extra_of(&self, layout: &Layout, write: &Write<'_>) -> Result<Option<Option<String>>> {
        let (record, only) = match write.effect {
            Effect::Put(record) => (record, None),
            Effect::Some(record, only) => (record, Some(only)),
            Effect::Keep | Effect::Delete => return Ok(write.deleted.then_some(None)),
        };
        let taken = |field: &str| !layout.knows(field) && only.is_none_or(|only| only.iter().any(|name| name == field));
        if !record.fields().any(|(field, _)| taken(field)) {
            return Ok(write.local.is_none().then_some(None));
        }
        // Those that the version does not name keep what they have.
        let kept = self.extra_here(layout, write.local, |field| taken(field) && record.get(field).is_some())?;
        let kept = kept.views().next();
        let fields = record.fields().filter(|(field, _)| taken(field)).chain(kept.into_iter().flat_map(RecordView::fields));
        stored::write_extra(fields).map(Some)
    }

    /// The fields that are kept aside for a record, but the known ones, as a record alone in a page.
    fn extra_here(&self, layout: &Layout, local: Option<Found>, known: impl Fn(&str) -> bool) -> Result<Page> {
        let mut page = Page::default();
        let Some(found) = local else { return Ok(page) };
        let sql = format!("SELECT extra FROM {} WHERE arrival = ?1", layout.state());
        let mut statement = self.db.conn.prepare_cached(&sql).told("read the journal")?;
        let text: Option<String> = statement.query_row([found.arrival], |row| row.get(0)).told("read the journal")?;
        let mark = page.mark();
        stored::read_extra(text.as_deref().unwrap_or("[]"), &mut page, known)?;
        let record = Record::new(page.put(""), SiteId(uuid::Uuid::nil()), Time(0));
        page.finish(record, mark);
        Ok(page)
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
        let layout = self.layout(table)?;
        self.last_arrival = None;
        let heirs = self.heirs(&layout, uids)?;
        let last = |uid: &str| {
            let mut uid = uid.to_owned();
            while let Some(heir) = heirs.get(&uid) {
                uid.clone_from(heir);
            }
            uid
        };
        let wanted: Vec<Native> = match heirs.is_empty() {
            true => uids.iter().map(|uid| stored_uid(uid)).collect(),
            false => uids.iter().map(|uid| stored_uid(&last(uid))).collect(),
        };
        let mut locals = Locals { found: vec![None; uids.len()], ..Locals::default() };
        let mut seen = self.db.read_each(&layout, wanted.clone(), &mut locals.page)?;
        let vanished: Vec<i64> = seen.iter().filter(|seen| seen.vanished).map(|seen| seen.arrival).collect();
        if !vanished.is_empty() {
            self.db.bury(&layout, &vanished, Time(0))?;
            self.db.fold_all(&layout)?;
            locals.page = Page::default();
            seen = self.db.read_each(&layout, wanted, &mut locals.page)?;
        }
        if seen.is_empty() {
            return Ok(locals);
        }
        if layout.table.bases {
            let known: Vec<Native> = locals.page.views().map(|view| stored_uid(view.uid())).collect();
            self.db.read_bases(&layout, &known, &mut locals.bases)?;
        }
        let bases: HashMap<&str, usize> = locals.bases.views().enumerate().map(|(at, view)| (view.uid(), at)).collect();
        let peer = self.db.sites.known(peer);
        let places: HashMap<&str, usize> = locals.page.views().enumerate().map(|(at, view)| (view.uid(), at)).collect();
        for (at, uid) in uids.iter().enumerate() {
            let found = if heirs.is_empty() { places.get(uid) } else { places.get(last(uid).as_str()) };
            locals.found[at] = found.map(|place| {
                let seen = &seen[*place];
                let shared = peer.is_some() && seen.received_from == peer;
                let record = &locals.page.records[*place];
                let base = bases.get(locals.page.text(record.uid)).copied();
                let (living, held) = (!record.deleted, seen.held && !seen.retracted);
                Found { at: *place, arrival: seen.arrival, shared, held, living, base, retracted: seen.retracted }
            });
        }
        Ok(locals)
    }

    fn resolve(&mut self, wanted: &[(&str, &str)]) -> Result<Targets> {
        let mut targets = Targets::default();
        self.last_arrival = None;
        // In the order of names: folding gives out uids, and the same run has to give the same ones.
        let mut by_resource: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (resource, uid) in wanted {
            by_resource.entry(resource).or_default().insert(uid);
        }
        for (resource, uids) in by_resource {
            let Some(layout) = self.db.layouts.iter().find(|layout| layout.table.resource == resource).cloned() else { continue };
            self.db.fold_all(&layout)?;
            let uids: Vec<&str> = uids.into_iter().collect();
            let heirs = self.heirs(&layout, &uids)?;
            let mut followers: HashMap<String, Vec<&str>> = HashMap::new();
            for uid in &uids {
                let mut last = (*uid).to_owned();
                while let Some(heir) = heirs.get(&last) {
                    last.clone_from(heir);
                }
                followers.entry(last).or_default().push(uid);
            }
            let stored: Vec<Native> = followers.keys().map(|uid| stored_uid(uid)).collect();
            let keys: String = (1..=layout.key.len()).map(|at| format!(", s.k{at}")).collect();
            let sql = format!("SELECT s.uid, s.deleted{keys} FROM rarray(?1) w CROSS JOIN {} s ON s.uid = w.value", layout.state());
            let mut statement = self.db.conn.prepare_cached(&sql).told("follow references")?;
            let mut rows = statement.query([Rc::new(stored)]).told("follow references")?;
            let mut page = Page::default();
            while let Some(row) = rows.next().told("follow references")? {
                let span = push_uid(row.get_ref(0).told("follow references")?, &mut page);
                let deleted: bool = row.get(1).told("follow references")?;
                let parts = (0..layout.key.len()).map(|at| row.get_ref(at + 2).map(key_part)).collect::<rusqlite::Result<Vec<_>>>();
                let target = if deleted { Target::Deleted } else { Target::Here(Key(parts.told("follow references")?)) };
                for uid in followers.get(page.text(span)).into_iter().flatten() {
                    targets.set(resource, uid, target.clone());
                    if *uid != page.text(span) {
                        targets.set_heir(resource, uid, page.text(span));
                        targets.set(resource, page.text(span), target.clone());
                    }
                }
            }
        }
        Ok(targets)
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
        let layout = self.layout(table)?;
        let (mut conditions, mut values) = (Vec::new(), Vec::new());
        for field in &table.matching {
            if let Some(data) = layout.data.iter().find(|data| data.field == *field) {
                conditions.push(format!("t.{} = ?{}", quoted(&data.column), conditions.len() + 1));
                values.push(self.data_part(&layout, data, record)?);
            } else if let Some(link) = layout.references.iter().find(|link| link.field == *field) {
                let set = self.link_values(link, record, targets).unwrap_or(None).unwrap_or_default();
                for (column, part) in link.columns.iter().zip(set) {
                    conditions.push(format!("t.{} = ?{}", quoted(column), conditions.len() + 1));
                    values.push(part);
                }
            }
        }
        if conditions.is_empty() || values.contains(&KeyPart::Null) {
            return Ok(None);
        }
        let sql = format!(
            "SELECT s.uid FROM {} t JOIN {} s ON {} WHERE s.deleted = 0 AND {}",
            quoted(&table.name),
            layout.state(),
            layout.by_key("t", "s"),
            conditions.join(" AND ")
        );
        let mut statement = self.db.conn.prepare_cached(&sql).told("look for a match")?;
        let mut rows = statement.query(params_from_iter(values.iter().map(Bound::of_key))).told("look for a match")?;
        let mut page = Page::default();
        let Some(row) = rows.next().told("look for a match")? else { return Ok(None) };
        let span = push_uid(row.get_ref(0).told("look for a match")?, &mut page);
        Ok(Some(page.text(span).to_owned()))
    }

    fn referred(&mut self, table: &Table, found: Found) -> Result<bool> {
        let layout = self.layout(table)?;
        let Some(key) = self.local_key(&layout, Some(found))? else { return Ok(false) };
        for child in self.db.layouts.clone() {
            for link in child.references.iter().filter(|link| link.parent_id == table.id && !link.loose) {
                let pairs: Vec<String> =
                    link.columns.iter().zip(&link.to).map(|(column, to)| format!("c.{} = p.{}", quoted(column), quoted(to))).collect();
                let itself = if child.table.id == table.id {
                    let same: Vec<String> = layout.key.iter().map(|key| format!("c.{0} = p.{0}", quoted(key))).collect();
                    format!(" AND NOT ({})", same.join(" AND "))
                } else {
                    String::new()
                };
                let keys: Vec<String> = layout.key.iter().enumerate().map(|(at, key)| format!("p.{} = ?{}", quoted(key), at + 1)).collect();
                let sql = format!(
                    "SELECT EXISTS (SELECT 1 FROM {} p JOIN {} c ON {} WHERE {}{itself})",
                    quoted(&table.name),
                    quoted(&child.table.name),
                    pairs.join(" AND "),
                    keys.join(" AND ")
                );
                let mut statement = self.db.conn.prepare_cached(&sql).told("look for references")?;
                if statement.query_row(params_from_iter(key.0.iter().map(Bound::of_key)), |row| row.get(0)).told("look for references")? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
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
        let limit = Native::Integer(i64::try_from(limit).unwrap_or(i64::MAX));
        match which {
            Which::Kinds(kinds, after) => {
                let kinds: Vec<Native> = kinds.iter().map(|kind| Native::Text(kind.word().to_owned())).collect();
                self.read_waiters("w.id > ?2 AND w.kind IN (SELECT value FROM rarray(?3))", params![limit, after, Rc::new(kinds)])
            }
            Which::Of(table, uid) => {
                self.read_waiters("w.tab = ?2 AND w.uid = ?3 AND w.kind <> 'outgoing'", params![limit, table.id, stored_uid(uid)])
            }
            Which::One(id) => self.read_waiters("w.id = ?2 AND w.kind <> 'outgoing'", params![limit, id]),
            Which::For(arrived) => {
                let mut by_resource: HashMap<&str, Vec<Native>> = HashMap::new();
                for (resource, uid) in arrived {
                    by_resource.entry(resource).or_default().push(stored_uid(uid));
                }
                let condition = "w.id IN (SELECT waiting FROM entente_missing WHERE tab = ?2 AND uid IN (SELECT value FROM rarray(?3)))";
                let mut found = Vec::new();
                for (resource, uids) in by_resource {
                    let id = self.db.layouts.iter().find(|layout| layout.table.resource == resource).map_or(-1, |layout| layout.table.id);
                    found.extend(self.read_waiters(condition, params![limit, id, Rc::new(uids)])?);
                }
                found.sort_by_key(|waiter| waiter.id);
                found.dedup_by_key(|waiter| waiter.id);
                Ok(found)
            }
        }
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
