//! What stands in a site's database and journal, read as it is: nothing is folded, nothing is asked of the engine.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use entente::model::{Actor, SiteId, Version};
use rusqlite::{Connection, Row, types::ValueRef};

use crate::shape::Shape;

/// The state of one record.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) arrival: i64,
    pub(crate) deleted: bool,
    pub(crate) version: Version,
    pub(crate) modified_on: i64,
    pub(crate) author: Option<SiteId>,
    pub(crate) origin: Option<SiteId>,
    pub(crate) settled: BTreeSet<SiteId>,
    pub(crate) held: bool,
    pub(crate) heir: Option<String>,
    /// A local edit that is not folded.
    pub(crate) own: bool,
    /// Its fields by name; references as uids, nulls left out.
    pub(crate) fields: BTreeMap<String, String>,
    /// The row is there.
    pub(crate) present: bool,
}

/// A record that waits, or one of an open conflict.
#[derive(Debug, Clone)]
pub(crate) struct Aside {
    pub(crate) id: i64,
    pub(crate) resource: String,
    pub(crate) uid: String,
    pub(crate) kind: String,
    pub(crate) record: String,
}

/// How far a site is with another, one way of calling.
#[derive(Debug, Clone)]
pub(crate) struct Reached {
    pub(crate) peer: SiteId,
    pub(crate) resource: String,
    pub(crate) active: bool,
    pub(crate) pull: String,
    pub(crate) push: i64,
}

/// A site's journal.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) epoch: String,
    pub(crate) site: String,
    pub(crate) tables: BTreeMap<&'static str, BTreeMap<String, Entry>>,
    /// Rows that have no uid yet, by table.
    pub(crate) nameless: usize,
    pub(crate) rows: BTreeMap<&'static str, usize>,
    pub(crate) waiting: Vec<Aside>,
    pub(crate) conflicts: Vec<Aside>,
    pub(crate) reached: Vec<Reached>,
    /// Every note that is found anywhere: in rows, in the history, with conflicts, among what waits.
    pub(crate) notes: BTreeSet<String>,
    /// Those in rows.
    pub(crate) living: BTreeSet<String>,
    /// Those of records that a comparison found to have been deleted elsewhere.
    pub(crate) purged: BTreeSet<String>,
    pub(crate) counts: BTreeMap<&'static str, i64>,
}

struct Sites(HashMap<i64, SiteId>);

impl Sites {
    fn site(&self, id: Option<i64>) -> Option<SiteId> {
        id.and_then(|id| self.0.get(&id).copied())
    }

    fn version(&self, text: &str) -> Version {
        let entry = |entry: &str| {
            let (actor, counter) = entry.split_once(':')?;
            let (id, incarnation) = actor.split_once('.')?;
            let site = self.site(id.parse().ok())?;
            Some((Actor { site, incarnation: incarnation.parse().ok()? }, counter.parse().ok()?))
        };
        text.split(' ').filter(|text| !text.is_empty()).map(|text| entry(text).unwrap()).collect()
    }
}

/// A database that can be read as SQLite's.
pub(crate) enum Source<'d> {
    Itself(&'d Connection),
    Copy(Connection),
}

impl std::ops::Deref for Source<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        match self {
            Source::Itself(db) => db,
            Source::Copy(db) => db,
        }
    }
}

/// Reads a site's journal.
pub(crate) fn read(db: &Connection, shape: Shape) -> Journal {
    let mut journal = Journal::default();
    let sites = Sites(pairs(db, "SELECT id, uuid FROM entente_site", |row| {
        (row.get(0).unwrap(), row.get::<_, String>(1).unwrap().parse().unwrap())
    }));
    (journal.epoch, journal.site) =
        db.query_row("SELECT epoch, site FROM entente_journal", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let ids: HashMap<String, i64> = pairs(db, "SELECT resource, id FROM entente_table", |row| (row.get(0).unwrap(), row.get(1).unwrap()));
    let names: HashMap<i64, String> = ids.iter().map(|(name, id)| (*id, name.clone())).collect();
    let mut uids: HashMap<(&str, String), String> = HashMap::new();
    for table in shape.tables.iter().copied() {
        let (mut states, nameless) = states(db, ids[table], &sites);
        journal.nameless += nameless;
        uids.extend(states.iter().filter(|(_, (_, entry))| !entry.deleted).map(|(uid, (key, _))| ((table, key.clone()), uid.clone())));
        let rows = rows(db, table, shape.key(table));
        journal.rows.insert(table, rows.len());
        for (_, (key, entry)) in states.iter_mut().filter(|(_, (_, entry))| !entry.deleted) {
            let Some(fields) = rows.get(key) else { continue };
            entry.present = true;
            for (name, value) in fields {
                let target = match name.as_str() {
                    "org" if table == "person" => Some("org"),
                    "chief" => Some("person"),
                    "id" | "uuid" => continue,
                    _ => None,
                };
                let value =
                    target.map_or_else(|| value.clone(), |to| uids.get(&(to, value.clone())).cloned().unwrap_or(format!("?{value}")));
                entry.fields.insert(name.clone(), value);
            }
        }
        journal.living.extend(rows.into_values().filter_map(|mut fields| fields.remove("note")));
        journal.tables.insert(table, states.into_iter().map(|(uid, (_, entry))| (uid, entry)).collect());
    }
    journal.notes.clone_from(&journal.living);
    for sql in ["SELECT record FROM entente_history", "SELECT ours || theirs FROM entente_conflict", "SELECT record FROM entente_waiting"] {
        each(db, sql, |row| notes_in(&row.get::<_, String>(0).unwrap(), &mut journal.notes));
    }
    each(db, "SELECT record FROM entente_history WHERE rule = 'purged'", |row| {
        notes_in(&row.get::<_, String>(0).unwrap(), &mut journal.purged);
    });
    each(db, "SELECT tab, uid, kind, record, id FROM entente_waiting ORDER BY id", |row| {
        let resource = names[&row.get(0).unwrap()].clone();
        let (kind, record) = (row.get(2).unwrap(), row.get(3).unwrap());
        journal.waiting.push(Aside { id: row.get(4).unwrap(), resource, uid: uid(row.get_ref(1).unwrap()).unwrap(), kind, record });
    });
    each(db, "SELECT tab, uid, rule, theirs, id FROM entente_conflict WHERE open ORDER BY id", |row| {
        let resource = names[&row.get(0).unwrap()].clone();
        let (kind, record) = (row.get(2).unwrap(), row.get(3).unwrap());
        journal.conflicts.push(Aside { id: row.get(4).unwrap(), resource, uid: uid(row.get_ref(1).unwrap()).unwrap(), kind, record });
    });
    each(db, "SELECT site, tab, role, pull, push FROM entente_share ORDER BY site, tab, role", |row| {
        let resource = names[&row.get(1).unwrap()].clone();
        let Some(peer) = sites.site(row.get(0).unwrap()) else { return };
        let (active, pull, push) = (row.get::<_, i64>(2).unwrap() == 0, row.get(3).unwrap(), row.get(4).unwrap());
        journal.reached.push(Reached { peer, resource, active, pull, push });
    });
    for (name, sql) in [
        ("suspects", "SELECT count(*) FROM entente_suspect"),
        ("applying", "SELECT count(*) FROM entente_applying"),
        ("batches", "SELECT count(*) FROM entente_batch"),
        ("shares", "SELECT count(*) FROM entente_share"),
        ("sites", "SELECT count(*) FROM entente_site"),
        ("orphans", "SELECT count(*) FROM entente_missing WHERE waiting NOT IN (SELECT id FROM entente_waiting)"),
        ("old batches", "SELECT count(*) FROM entente_batch WHERE at < (SELECT max(at) FROM entente_batch) - 4 * 86400000000"),
    ] {
        journal.counts.insert(name, db.query_row(sql, [], |row| row.get(0)).unwrap());
    }
    journal
}

/// States with a uid, each with its local key as text, and how many have none.
fn states(db: &Connection, table: i64, sites: &Sites) -> (BTreeMap<String, (String, Entry)>, usize) {
    let (mut found, mut nameless) = (BTreeMap::new(), 0);
    let sql = format!(
        "SELECT uid, arrival, deleted, version, modified_on, author, origin, settled, held, heir, own, extra, k1 FROM entente_state_{table} ORDER BY arrival"
    );
    each(db, &sql, |row| {
        let Some(name) = uid(row.get_ref(0).unwrap()) else {
            nameless += 1;
            return;
        };
        let mut entry = Entry {
            arrival: row.get(1).unwrap(),
            deleted: row.get(2).unwrap(),
            version: sites.version(&row.get::<_, Option<String>>(3).unwrap().unwrap_or_default()),
            modified_on: row.get(4).unwrap(),
            author: sites.site(row.get(5).unwrap()),
            origin: sites.site(row.get(6).unwrap()),
            settled: BTreeSet::new(),
            held: row.get::<_, Option<i64>>(8).unwrap().is_some(),
            heir: uid(row.get_ref(9).unwrap()),
            own: row.get::<_, Option<i64>>(10).unwrap().is_some(),
            fields: BTreeMap::new(),
            present: false,
        };
        if let Some(settled) = row.get::<_, Option<String>>(7).unwrap() {
            entry.settled = settled.split(' ').filter_map(|id| sites.site(id.parse().ok())).collect();
        }
        if let Some(extra) = row.get::<_, Option<String>>(11).unwrap() {
            let extra: Vec<(String, String, String, String)> = serde_json::from_str(&extra).unwrap();
            entry.fields.extend(extra.into_iter().filter(|field| field.1 != "null").map(|(name, _, text, _)| (name, text)));
        }
        found.insert(name, (text(row.get_ref(12).unwrap()).unwrap_or_default(), entry));
    });
    (found, nameless)
}

/// The rows of a table by their key; all columns but those that are null.
pub(crate) fn rows(db: &Connection, table: &str, key: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut statement = db.prepare_cached(&format!("SELECT * FROM {table}")).unwrap();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        // Only now: a column may have come or gone since the statement was prepared.
        let columns: Vec<String> = row.as_ref().column_names().into_iter().map(str::to_owned).collect();
        let fields = columns.iter().enumerate().filter_map(|(at, name)| Some((name.clone(), text(row.get_ref(at).unwrap())?)));
        let fields: BTreeMap<String, String> = fields.collect();
        found.insert(fields[key].clone(), fields);
    }
    found
}

/// The uids of records by table and local key.
pub(crate) fn uids(db: &Connection, shape: Shape) -> HashMap<(&'static str, String), String> {
    let mut found = HashMap::new();
    let ids: HashMap<String, i64> = pairs(db, "SELECT resource, id FROM entente_table", |row| (row.get(0).unwrap(), row.get(1).unwrap()));
    for table in shape.tables.iter().copied() {
        each(db, &format!("SELECT k1, uid FROM entente_state_{} WHERE uid IS NOT NULL AND k1 IS NOT NULL", ids[table]), |row| {
            found.insert((table, text(row.get_ref(0).unwrap()).unwrap()), uid(row.get_ref(1).unwrap()).unwrap());
        });
    }
    found
}

/// The notes in a record as the journal writes it.
fn notes_in(record: &str, into: &mut BTreeSet<String>) {
    for part in record.split("[\"note\",\"text\",\"").skip(1) {
        into.extend(part.split('"').next().map(str::to_owned));
    }
}

fn uid(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Blob(bytes) => Some(uuid::Uuid::from_slice(bytes).unwrap().urn().to_string()),
        other => text(other),
    }
}

fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(format!("{number:?}")),
        ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Some(format!("{bytes:?}")),
    }
}

fn each(db: &Connection, sql: &str, mut work: impl FnMut(&Row<'_>)) {
    let mut statement = db.prepare_cached(sql).unwrap();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        work(row);
    }
}

fn pairs<K: std::hash::Hash + Eq, V>(db: &Connection, sql: &str, read: impl Fn(&Row<'_>) -> (K, V)) -> HashMap<K, V> {
    let mut found = HashMap::new();
    each(db, sql, |row| found.extend([read(row)]));
    found
}
