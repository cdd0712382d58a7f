//! The triggers that note what applications change, and the state tables they write.
//!
//! They run inside the application's own process and its own SQLite, of any age: plain SQL and core functions only. They name
//! no columns but the key's, so that columns may be added, renamed and dropped. Whether an update changed anything is seen by its
//! digest when it is folded. `INSERT … SELECT … WHERE NOT EXISTS` and UPDATE, never OR REPLACE or OR IGNORE: the conflict
//! policy of an outer statement overrides that of an inner one.

use super::{failure::quoted, layout::Layout};

/// Makes the state table and its indexes, where they are not there yet.
pub(super) fn state_table(layout: &Layout) -> String {
    let state = layout.state();
    let keys: Vec<String> = (1..=layout.key.len()).map(|at| format!("k{at}")).collect();
    let keys = keys.join(", ");
    format!(
        "CREATE TABLE IF NOT EXISTS {state} (
           arrival INTEGER PRIMARY KEY, {keys}, uid, deleted INTEGER NOT NULL DEFAULT 0, modified_on INTEGER NOT NULL DEFAULT 0,
           own INTEGER, version TEXT, origin INTEGER, author INTEGER, settled TEXT, received_from INTEGER, held INTEGER,
           heir, extra TEXT, digest BLOB, run INTEGER, made INTEGER);
         CREATE UNIQUE INDEX IF NOT EXISTS {state}_key ON {state} ({keys});
         CREATE UNIQUE INDEX IF NOT EXISTS {state}_uid ON {state} (uid) WHERE uid IS NOT NULL;
         CREATE INDEX IF NOT EXISTS {state}_heir ON {state} (uid, heir) WHERE heir IS NOT NULL;"
    )
}

/// The microsecond of an edit, from the only clock that every SQLite has (it shows milliseconds).
const NOW: &str = "CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000";

/// Replaces the triggers of a table.
pub(super) fn install(layout: &Layout) -> String {
    let (state, table, id) = (layout.state(), quoted(&layout.table.name), layout.table.id);
    let same_key: Vec<String> =
        layout.key.iter().map(|key| format!("OLD.{0} COLLATE BINARY IS NEW.{0} COLLATE BINARY", quoted(key))).collect();
    let same_key = same_key.join(" AND ");
    let (free_new, free_old) = (not_applied(layout, "NEW"), not_applied(layout, "OLD"));
    let (upsert_new, delete_old) = (upsert(layout), delete(layout));
    let next = format!("(SELECT COALESCE(MAX(arrival), 0) + 1 FROM {state})");
    let touch = format!("UPDATE {state} SET arrival = {next}, own = {NOW}, deleted = 0, heir = NULL WHERE {};", by_key(layout, "NEW"));
    let drops = drop(id);
    let suspects = suspects(layout);
    format!(
        "{drops} {suspects}
         CREATE TRIGGER entente_{id}_insert AFTER INSERT ON {table} WHEN {free_new} BEGIN {touch} {upsert_new} END;
         CREATE TRIGGER entente_{id}_update AFTER UPDATE ON {table} WHEN {same_key} AND {free_new} BEGIN {touch} {upsert_new} END;
         CREATE TRIGGER entente_{id}_rename AFTER UPDATE ON {table} WHEN NOT ({same_key}) AND {free_new}
           BEGIN {delete_old} {touch} {upsert_new} END;
         CREATE TRIGGER entente_{id}_delete AFTER DELETE ON {table} WHEN {free_old} BEGIN {delete_old} END;"
    )
}

/// Removes the triggers of a table.
pub(super) fn drop(id: i64) -> String {
    ["insert", "update", "rename", "delete", "taking", "moving"]
        .map(|event| format!("DROP TRIGGER IF EXISTS entente_{id}_{event};"))
        .concat()
}

/// Notes the rows that an OR REPLACE may be about to remove. Their columns are indexed, so naming them forbids no change of the schema
/// that SQLite would allow.
fn suspects(layout: &Layout) -> String {
    if layout.unique.is_empty() {
        return String::new();
    }
    let (table, id) = (quoted(&layout.table.name), layout.table.id);
    let names: Vec<String> = (1..=layout.key.len()).map(|at| format!("k{at}")).collect();
    let values: Vec<String> = layout.key.iter().map(|key| format!("t.{}", quoted(key))).collect();
    let known: Vec<String> = layout.key.iter().enumerate().map(|(at, key)| format!("k{} IS t.{}", at + 1, quoted(key))).collect();
    let note = |columns: &Vec<String>| {
        let same: Vec<String> = columns.iter().map(|column| format!("t.{0} = NEW.{0}", quoted(column))).collect();
        format!(
            "INSERT INTO entente_suspect (tab, {}) SELECT {id}, {} FROM {table} t WHERE {}
               AND NOT EXISTS (SELECT 1 FROM entente_suspect WHERE tab = {id} AND {});",
            names.join(", "),
            values.join(", "),
            same.join(" AND "),
            known.join(" AND ")
        )
    };
    let notes: String = layout.unique.iter().map(note).collect();
    let free = format!("NOT EXISTS (SELECT 1 FROM entente_applying WHERE tab = {id})");
    let mut moved: Vec<String> = layout.unique.concat();
    moved.sort();
    moved.dedup();
    let changed: Vec<String> = moved.iter().map(|column| format!("OLD.{0} COLLATE BINARY IS NOT NEW.{0}", quoted(column))).collect();
    format!(
        "CREATE TRIGGER entente_{id}_taking BEFORE INSERT ON {table} WHEN {free} BEGIN {notes} END;
         CREATE TRIGGER entente_{id}_moving BEFORE UPDATE ON {table} WHEN {free} AND ({}) BEGIN {notes} END;",
        changed.join(" OR ")
    )
}

fn by_key(layout: &Layout, row: &str) -> String {
    let pairs: Vec<String> = layout.key.iter().enumerate().map(|(at, key)| format!("k{} = {row}.{}", at + 1, quoted(key))).collect();
    pairs.join(" AND ")
}

fn upsert(layout: &Layout) -> String {
    let (state, keys) = (layout.state(), layout.key.len());
    let names: Vec<String> = (1..=keys).map(|at| format!("k{at}")).collect();
    let values: Vec<String> = layout.key.iter().map(|key| format!("NEW.{}", quoted(key))).collect();
    format!(
        "INSERT INTO {state} (arrival, {}, own) SELECT (SELECT COALESCE(MAX(arrival), 0) + 1 FROM {state}), {}, {NOW}
           WHERE NOT EXISTS (SELECT 1 FROM {state} WHERE {});",
        names.join(", "),
        values.join(", "),
        by_key(layout, "NEW")
    )
}

fn delete(layout: &Layout) -> String {
    let state = layout.state();
    format!(
        "UPDATE {state} SET arrival = (SELECT COALESCE(MAX(arrival), 0) + 1 FROM {state}), own = {NOW}, deleted = 1 WHERE {};",
        by_key(layout, "OLD")
    )
}

/// True for a row with a key, unless the engine writes just this row.
fn not_applied(layout: &Layout, row: &str) -> String {
    let pairs: Vec<String> = layout.key.iter().enumerate().map(|(at, key)| format!("k{} IS {row}.{}", at + 1, quoted(key))).collect();
    // SQLite allows null in most primary keys. Such a row cannot be told from others until it gets a key.
    let set: Vec<String> = layout.key.iter().map(|key| format!("{row}.{} IS NOT NULL", quoted(key))).collect();
    let set = set.join(" AND ");
    format!(
        "{set} AND NOT EXISTS (SELECT 1 FROM entente_applying WHERE tab = {} AND (everything OR ({})))",
        layout.table.id,
        pairs.join(" AND ")
    )
}
