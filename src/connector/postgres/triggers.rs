//! What is made for each attached table: its state, its notes, and the triggers that note what applications change.
//!
//! A trigger notes the keys that a statement wrote, and nothing else: one row a key, stamped with the transaction and the moment. Only applications
//! write notes, the engine only reads them, so that neither ever waits for the other. What became of a row is seen when the notes are taken over.

use super::{failure::quoted, layout::Layout};

/// The transaction-local setting by which the engine says that what it writes by its own hand is no edit. What cascades and the user's triggers
/// write beside it, deeper down, is noted.
pub(super) const APPLYING: &str = "entente.applying";

const EVENTS: [(&str, &str, &str); 4] = [
    ("insert", "INSERT", "REFERENCING NEW TABLE AS entente_new"),
    ("update", "UPDATE", "REFERENCING OLD TABLE AS entente_old NEW TABLE AS entente_new"),
    ("delete", "DELETE", "REFERENCING OLD TABLE AS entente_old"),
    ("truncate", "TRUNCATE", ""),
];

/// Makes state and notes, where they are not there yet.
pub(super) fn tables(layout: &Layout) -> String {
    let (state, note, id) = (layout.state(), layout.note(), layout.table.id);
    let wide = |null: &str| -> String {
        let columns = layout.key.iter().enumerate().map(|(at, key)| format!("k{} {}{null}", at + 1, key.more.wide));
        columns.collect::<Vec<_>>().join(", ")
    };
    format!(
        "CREATE TABLE IF NOT EXISTS {state} (
           arrival bigint PRIMARY KEY, {}, uid text COLLATE \"C\", deleted boolean NOT NULL DEFAULT false, modified_on bigint NOT NULL DEFAULT 0,
           own bigint, version text, origin bigint, author bigint, settled text, received_from bigint, held bigint,
           heir text COLLATE \"C\", extra text, digest bytea, run bigint, made bigint);
         CREATE UNIQUE INDEX IF NOT EXISTS state_{id}_key ON {state} ({ks});
         CREATE UNIQUE INDEX IF NOT EXISTS state_{id}_uid ON {state} (uid);
         CREATE INDEX IF NOT EXISTS state_{id}_own ON {state} (own, arrival) WHERE own IS NOT NULL;
         CREATE INDEX IF NOT EXISTS state_{id}_heir ON {state} (heir) WHERE heir IS NOT NULL;
         CREATE INDEX IF NOT EXISTS state_{id}_made ON {state} (made) WHERE made IS NOT NULL;
         CREATE TABLE IF NOT EXISTS {note} ({}, xid xid8 NOT NULL, at bigint NOT NULL, PRIMARY KEY ({ks}));
         CREATE INDEX IF NOT EXISTS note_{id}_xid ON {note} (xid);",
        wide(""),
        wide(" NOT NULL"),
        ks = layout.ks("")
    )
}

/// Makes the function of the triggers.
fn function(layout: &Layout) -> String {
    let (state, note, ks) = (layout.state(), layout.note(), layout.ks(""));
    let keys: Vec<String> = layout.key.iter().map(|key| quoted(&key.name)).collect();
    let keys = keys.join(", ");
    // A note that is written twice by one statement would be an error to the application.
    let distinct = if layout.once { "" } else { "DISTINCT" };
    let noting = |from: &str| {
        format!(
            "INSERT INTO {note} ({ks}, xid, at) SELECT w.*, pg_current_xact_id(), entente_moment FROM ({from}) w
             ON CONFLICT ({ks}) DO UPDATE SET xid = excluded.xid, at = excluded.at;"
        )
    };
    format!(
        "CREATE OR REPLACE FUNCTION {} RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $entente$
         #variable_conflict use_column
         DECLARE entente_moment bigint := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
         BEGIN
           IF pg_trigger_depth() = 1 AND current_setting('{APPLYING}', true) = 'on' THEN RETURN NULL; END IF;
           IF TG_OP = 'INSERT' THEN {}
           ELSIF TG_OP = 'UPDATE' THEN {}
           ELSIF TG_OP = 'DELETE' THEN {}
           ELSE {}
           END IF;
           RETURN NULL;
         END $entente$;
         REVOKE ALL ON FUNCTION {} FROM PUBLIC;",
        capture(layout.table.id),
        noting(&format!("SELECT {distinct} {keys} FROM entente_new")),
        noting(&format!("SELECT {keys} FROM entente_new UNION SELECT {keys} FROM entente_old")),
        noting(&format!("SELECT {distinct} {keys} FROM entente_old")),
        // A partition alone may have been emptied: whether a row is still there is seen later.
        noting(&format!("SELECT {ks} FROM {state} WHERE NOT deleted")),
        capture(layout.table.id),
    )
}

fn capture(id: i64) -> String {
    format!("entente.capture_{id}()")
}

/// Replaces the triggers of a table and of its partitions.
pub(super) fn install(layout: &Layout) -> String {
    let mut sql = drop(layout.table.id, &layout.rel, &layout.parts);
    sql.push_str(&function(layout));
    let id = layout.table.id;
    for rel in std::iter::once(&layout.rel).chain(&layout.parts) {
        for (word, event, rows) in EVENTS {
            // ALWAYS: also where a session plays the part of a replica.
            sql.push_str(&format!(
                "CREATE TRIGGER entente_{id}_{word} AFTER {event} ON {rel} {rows} FOR EACH STATEMENT EXECUTE FUNCTION {};
                 ALTER TABLE {rel} ENABLE ALWAYS TRIGGER entente_{id}_{word};",
                capture(id)
            ));
        }
    }
    sql
}

/// Removes the triggers of a table.
pub(super) fn drop(id: i64, rel: &str, parts: &[String]) -> String {
    let tables = || std::iter::once(rel).chain(parts.iter().map(String::as_str));
    tables().flat_map(|rel| EVENTS.map(|(word, ..)| format!("DROP TRIGGER IF EXISTS entente_{id}_{word} ON {rel};"))).collect()
}
