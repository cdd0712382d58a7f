//! The SQL that follows from a table's layout.

use super::{failure::quoted, layout::Layout, lists};
use crate::connector::outline::LET_GO;

/// The statements that are run for each record or page, written once.
#[derive(Debug, Clone, Default)]
pub(super) struct Statements {
    /// ?1 after, ?2 up to, ?3 not received from, ?4 limit.
    pub(super) feed: String,
    /// ?1 an array of uids.
    pub(super) named: String,
    pub(super) last_arrival: String,
    /// ?1 arrival.
    pub(super) key_of: String,
    /// ?1 … the key.
    pub(super) delete_row: String,
    /// ?1 arrival, uid, deleted, modified_on, version, origin, author, settled, received_from, heir, extra, ?12 digest, ?13 run, the key.
    pub(super) add_state: String,
    /// ?1 new arrival, ?2 old arrival, ?3 deleted … ?11 extra, ?12 digest, ?13 whether extra is replaced, ?14 run.
    pub(super) change_state: String,
}

impl Layout {
    pub(super) fn statements(&self) -> Statements {
        let state = self.state();
        let table = quoted(&self.table.name);
        let numbers = 1..=self.key.len();
        let keys: Vec<String> = numbers.clone().map(|at| format!("k{at}")).collect();
        let names: String = numbers.clone().map(|at| format!(", k{at}")).collect();
        let marks: String = numbers.map(|at| format!(", ?{}", at + 13)).collect();
        let named = format!(
            "rarray(?1) w CROSS JOIN {state} s ON s.uid = w.value LEFT JOIN {table} t ON {} AND s.deleted = 0",
            self.on_key("t", "s")
        );
        Statements {
            feed: format!(
                "{} WHERE s.arrival > ?1 AND s.arrival <= ?2 AND s.held IS NULL AND (s.received_from IS NULL OR s.received_from <> ?3)
                 ORDER BY s.arrival LIMIT ?4",
                self.select(&self.state_and_row())
            ),
            named: self.select(&named),
            last_arrival: format!("SELECT COALESCE(MAX(arrival), 0) FROM {state}"),
            key_of: format!("SELECT {} FROM {state} WHERE arrival = ?1", keys.join(", ")),
            delete_row: format!("DELETE FROM {table} WHERE {}", where_key(&self.key, 1)),
            add_state: format!(
                "INSERT INTO {state} (arrival, uid, deleted, modified_on, version, origin, author, settled, received_from, heir, extra, digest, run, made{names})
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13{marks})"
            ),
            change_state: format!(
                "UPDATE {state} SET arrival = ?1, deleted = ?3, modified_on = ?4, version = ?5, origin = ?6, author = ?7, settled = ?8,
                 received_from = ?9, heir = ?10, extra = CASE WHEN ?13 THEN ?11 ELSE extra END, digest = ?12, own = NULL, run = ?14,
                 held = CASE WHEN held = {LET_GO} THEN NULL ELSE held END WHERE arrival = ?2"
            ),
        }
    }

    /// The name of the table's state table.
    pub(super) fn state(&self) -> String {
        state_of(self.table.id)
    }

    /// How the state of a row is found: see [`by_key`].
    pub(super) fn by_key(&self, row: &str, state: &str) -> String {
        by_key(&self.key, row, state)
    }

    /// `alias.column = s.k1 AND …`: how a row of the table meets its state.
    pub(super) fn on_key(&self, row: &str, state: &str) -> String {
        on_key(&self.key, row, state)
    }

    /// What is read of a record: its state, whether its row is there, its fields, and for each reference whether it is set and its uid.
    pub(super) fn select(&self, from: &str) -> String {
        let mut columns = String::from(STATE_COLUMNS);
        columns.push_str(&format!(", t.{} IS NOT NULL", quoted(&self.key[0])));
        for data in &self.data {
            columns.push_str(&match &data.list {
                Some(list) => format!(", {}", lists::read(list, &format!("t.{}", quoted(&data.column)))),
                None => format!(", t.{}", quoted(&data.column)),
            });
        }
        let mut joins = String::new();
        for (at, link) in self.references.iter().enumerate() {
            let mut set: Vec<String> = link.columns.iter().map(|column| format!("t.{} IS NOT NULL", quoted(column))).collect();
            if link.loose {
                let there = link.columns.iter().zip(&link.to).map(|(column, to)| format!("x.{} = t.{}", quoted(to), quoted(column)));
                let there: Vec<String> = there.collect();
                set.push(format!("EXISTS (SELECT 1 FROM {} x WHERE {})", link.parent, there.join(" AND ")));
            }
            columns.push_str(&format!(", ({}), p{at}.uid", set.join(" AND ")));
            let pairs = link.columns.iter().zip(&link.to);
            if link.by_key() {
                let on: Vec<String> = pairs
                    .map(|(column, to)| {
                        let position = link.parent_key.iter().position(|key| key == to).unwrap_or(0) + 1;
                        // A column's affinity would make the index on the key useless, and every row would look through all states.
                        format!("p{at}.k{position} = {}t.{}", if link.alike { "+" } else { "" }, quoted(column))
                    })
                    .collect();
                joins.push_str(&format!(" LEFT JOIN {} p{at} ON {} AND p{at}.deleted = 0", state_of(link.parent_id), on.join(" AND ")));
            } else {
                let on: Vec<String> = pairs.map(|(column, to)| format!("q{at}.{} = t.{}", quoted(to), quoted(column))).collect();
                joins.push_str(&format!(
                    " LEFT JOIN {} q{at} ON {} LEFT JOIN {} p{at} ON {} AND p{at}.deleted = 0",
                    link.parent,
                    on.join(" AND "),
                    state_of(link.parent_id),
                    by_key(&link.parent_key, &format!("q{at}"), &format!("p{at}")),
                ));
            }
        }
        for key in &self.key {
            columns.push_str(&format!(", t.{}", quoted(key)));
        }
        format!("SELECT {columns} FROM {from}{joins}")
    }

    /// `entente_state_N s LEFT JOIN table t`.
    pub(super) fn state_and_row(&self) -> String {
        format!("{} s LEFT JOIN {} t ON {} AND s.deleted = 0", self.state(), quoted(&self.table.name), self.on_key("t", "s"))
    }
}

const STATE_COLUMNS: &str = "s.arrival, s.uid, s.deleted, s.modified_on, s.own, s.version, s.origin, s.author, s.settled, s.received_from, s.held, \
                             s.heir, s.extra, s.digest";

/// The name of a state table.
pub(super) fn state_of(id: i64) -> String {
    format!("entente_state_{id}")
}

/// `row.column = state.k1 AND …`
pub(super) fn on_key(key: &[String], row: &str, state: &str) -> String {
    let pairs: Vec<String> = key.iter().enumerate().map(|(at, column)| format!("{row}.{} = {state}.k{}", quoted(column), at + 1)).collect();
    pairs.join(" AND ")
}

/// `s.k1 = +row.column AND …`: how the state of a row is found by its key. A column's affinity would make the index on the key useless, and every row
/// would look through all states.
fn by_key(key: &[String], row: &str, state: &str) -> String {
    let pairs = key.iter().enumerate().map(|(at, column)| format!("{state}.k{} = +{row}.{}", at + 1, quoted(column)));
    pairs.collect::<Vec<_>>().join(" AND ")
}

/// `key = ?n AND …`
pub(super) fn where_key(key: &[String], first: usize) -> String {
    let pairs: Vec<String> = key.iter().enumerate().map(|(at, column)| format!("{} = ?{}", quoted(column), first + at)).collect();
    pairs.join(" AND ")
}
