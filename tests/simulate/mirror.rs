//! A database of PostgreSQL as the SQLite tables that the checks read: what an attached SQLite file has, of what they look at.

use postgres::SimpleQueryRow;
use rusqlite::{Connection, params_from_iter};

use crate::shape::Shape;

/// A table as SQLite has it, and the query that fills it.
const JOURNAL: [(&str, &str); 9] = [
    ("entente_site (id INTEGER, uuid TEXT)", "SELECT id, uuid FROM entente.site"),
    ("entente_journal (epoch TEXT, site TEXT)", "SELECT epoch, site FROM entente.journal"),
    ("entente_table (id INTEGER, resource TEXT)", "SELECT id, resource FROM entente.tab"),
    ("entente_history (id INTEGER, rule TEXT, record TEXT)", "SELECT id, rule, record FROM entente.history"),
    (
        "entente_conflict (id INTEGER, tab INTEGER, uid TEXT, rule TEXT, open INTEGER, ours TEXT, theirs TEXT)",
        "SELECT id, tab, uid, rule, open::int, ours, theirs FROM entente.conflict",
    ),
    (
        "entente_waiting (id INTEGER, tab INTEGER, uid TEXT, kind TEXT, record TEXT)",
        "SELECT id, tab, uid, kind, record FROM entente.waiting",
    ),
    (
        "entente_share (site INTEGER, tab INTEGER, role INTEGER, pull TEXT, push INTEGER)",
        "SELECT site, tab, role, pull, push FROM entente.share",
    ),
    ("entente_batch (at INTEGER)", "SELECT at FROM entente.batch"),
    ("entente_missing (waiting INTEGER)", "SELECT waiting FROM entente.missing"),
];

/// What PostgreSQL has no need of.
const EMPTY: &str = "CREATE TABLE entente_suspect (tab); CREATE TABLE entente_applying (tab);";

/// Reads everything by `ask`, which gives the answers of several queries.
pub(crate) fn make(shape: Shape, ask: impl Fn(&str) -> Vec<Vec<SimpleQueryRow>>) -> Connection {
    let mut tables: Vec<(String, String)> = JOURNAL.map(|(table, query)| (table.to_owned(), query.to_owned())).into();
    tables.extend(shape.tables.iter().enumerate().map(|(at, table)| state(at + 1, table, shape.key(table))));
    tables.extend(shape.tables.iter().map(|table| (format!("{table} ()"), format!("SELECT * FROM {table}"))));
    let queries: String = tables.iter().map(|(_, query)| format!("{query};")).collect();
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch(&format!("BEGIN; {EMPTY}")).unwrap();
    for ((table, _), rows) in tables.iter().zip(ask(&queries)) {
        fill(&db, table, &rows);
    }
    db.execute_batch("COMMIT").unwrap();
    db
}

/// Makes a table; without columns it has those of its rows.
fn fill(db: &Connection, table: &str, rows: &[SimpleQueryRow]) {
    let known = table.strip_suffix(" ()");
    let name = table.split(' ').next().unwrap();
    let columns: Vec<&str> = rows.first().map_or_else(Vec::new, |row| row.columns().iter().map(|column| column.name()).collect());
    match (known, columns.is_empty()) {
        (Some(name), true) => db.execute_batch(&format!("CREATE TABLE {name} (none)")).unwrap(),
        (Some(name), false) => db.execute_batch(&format!("CREATE TABLE {name} ({})", columns.join(", "))).unwrap(),
        (None, _) => db.execute_batch(&format!("CREATE TABLE {table}")).unwrap(),
    }
    if rows.is_empty() {
        return;
    }
    let places = vec!["?"; columns.len()].join(", ");
    let mut insert = db.prepare(&format!("INSERT INTO {name} VALUES ({places})")).unwrap();
    for row in rows {
        insert.execute(params_from_iter((0..columns.len()).map(|at| row.get(at)))).unwrap();
    }
}

/// The states of a table. What triggers noted and nobody took over yet is an edit that waits, as it is on SQLite from the beginning.
fn state(id: usize, table: &str, key: &str) -> (String, String) {
    let columns = format!(
        "entente_state_{id} (uid TEXT, arrival INTEGER, deleted INTEGER, version TEXT, modified_on INTEGER, author INTEGER, origin INTEGER,
           settled TEXT, held INTEGER, heir TEXT, own INTEGER, extra TEXT, k1 TEXT)"
    );
    let noted = format!(
        "SELECT n.k1, n.at FROM entente.note_{id} n, entente.mark m WHERE m.tab = {id} AND NOT pg_visible_in_snapshot(n.xid, m.gathered)"
    );
    let query = format!(
        "SELECT s.uid, s.arrival, s.deleted::int, s.version, s.modified_on, s.author, s.origin, s.settled, s.held, s.heir, COALESCE(s.own, n.at),
           s.extra, s.k1::text FROM entente.state_{id} s LEFT JOIN ({noted}) n ON n.k1 = s.k1
         UNION ALL SELECT NULL, 0, 0, NULL, 0, NULL, NULL, NULL, NULL, NULL, n.at, NULL, n.k1::text FROM ({noted}) n JOIN {table} t ON t.{key} = n.k1
           WHERE NOT EXISTS (SELECT 1 FROM entente.state_{id} s WHERE s.k1 = n.k1)"
    );
    (columns, query)
}
