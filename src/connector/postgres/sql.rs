//! The SQL that follows from a table's layout.

use super::{
    failure::{literal, quoted},
    form::Form,
    layout::Layout,
};
use crate::connector::outline::{LET_GO, Listed};

/// The statements that are run for each record or page, written once.
#[derive(Debug, Clone, Default)]
pub(super) struct Statements {
    /// $1 after, $2 up to, $3 not received from, $4 limit.
    pub(super) feed: String,
    /// $1 an array of uids.
    pub(super) named: String,
    pub(super) last_arrival: String,
    /// $1 arrival.
    pub(super) key_of: String,
    /// $1 … the key.
    pub(super) delete_row: String,
    /// Takes what triggers noted into the state.
    pub(super) gather: String,
    /// Whether triggers noted anything that is not taken over.
    pub(super) noted: String,
}

/// The columns of a state table that stand for what a record adds to the sum.
pub(super) const MARK: [&str; 3] = ["uid", "version", "digest"];

const STATE_COLUMNS: &str = "s.arrival, s.uid, s.deleted, s.modified_on, s.own, s.version, s.origin, s.author, s.settled, s.received_from, s.held, \
                             s.heir, s.extra, s.digest";

impl Layout {
    pub(super) fn statements(&self) -> Statements {
        let state = self.state();
        let named = format!(
            "unnest($1::text[]) w(value) JOIN {state} s ON s.uid = w.value COLLATE \"C\" LEFT JOIN {} t ON {} AND NOT s.deleted",
            self.rel,
            self.on_key("t", "s")
        );
        // What is read is limited before it is joined: then no plan reads more, whatever the server knows of the tables.
        let fed = format!(
            "(SELECT * FROM {state} WHERE arrival > $1::bigint AND arrival <= $2::bigint AND held IS NULL
              AND received_from IS DISTINCT FROM $3::bigint ORDER BY arrival LIMIT $4::bigint)"
        );
        Statements {
            feed: format!("{} ORDER BY s.arrival", self.select(&self.states_and_rows(&fed))),
            named: self.select(&named),
            last_arrival: format!("SELECT COALESCE(MAX(arrival), 0) FROM {state}"),
            key_of: format!("SELECT {} FROM {state} s WHERE s.arrival = $1::bigint", self.state_key().join(", ")),
            delete_row: format!("DELETE FROM {} t WHERE {}", self.rel, self.where_key("t", 1)),
            gather: self.gather(),
            noted: format!("SELECT EXISTS (SELECT 1 FROM {} n WHERE {})", self.note(), self.ungathered()),
        }
    }

    /// The name of the table's state table.
    pub(super) fn state(&self) -> String {
        state_of(self.table.id)
    }

    /// The name of the table of its notes.
    pub(super) fn note(&self) -> String {
        format!("entente.note_{}", self.table.id)
    }

    /// `k1, k2 …` with a prefix.
    pub(super) fn ks(&self, prefix: &str) -> String {
        let names: Vec<String> = (1..=self.key.len()).map(|at| format!("{prefix}k{at}")).collect();
        names.join(", ")
    }

    /// Of what committed, or this transaction wrote, what is not taken over yet.
    pub(super) fn ungathered(&self) -> String {
        let mark = format!("(SELECT gathered FROM entente.mark WHERE tab = {})", self.table.id);
        format!(
            "n.xid >= (SELECT pg_snapshot_xmin(gathered) FROM entente.mark WHERE tab = {}) AND NOT pg_visible_in_snapshot(n.xid, {mark})",
            self.table.id
        )
    }

    /// The notes of a state `s` that are not taken over yet.
    pub(super) fn notes_of_state(&self) -> String {
        format!("SELECT 1 FROM {} n WHERE {} AND {}", self.note(), self.note_on_state(), self.ungathered())
    }

    fn note_on_state(&self) -> String {
        let same: Vec<String> = (1..=self.key.len()).map(|at| format!("s.k{at} = n.k{at}")).collect();
        same.join(" AND ")
    }

    fn gather(&self) -> String {
        let (state, note, id) = (self.state(), self.note(), self.table.id);
        format!(
            "WITH noted AS (
               SELECT {ks}, n.at, s.arrival AS before, t.{first} IS NOT NULL AS here
               FROM {note} n LEFT JOIN {state} s ON {same} LEFT JOIN {rel} t ON {on} WHERE {ungathered}
             ), numbered AS (
               SELECT noted.*, (SELECT COALESCE(MAX(arrival), 0) FROM {state}) + row_number() OVER (ORDER BY at, {plain}) AS arrival
               FROM noted WHERE here OR before IS NOT NULL
             ), changed AS (
               UPDATE {state} s SET arrival = numbered.arrival, own = numbered.at, deleted = NOT numbered.here,
                 heir = CASE WHEN numbered.here THEN NULL ELSE s.heir END
               FROM numbered WHERE s.arrival = numbered.before
             ), taken AS (UPDATE entente.mark SET gathered = pg_current_snapshot() WHERE tab = {id})
             INSERT INTO {state} (arrival, {plain}, own) SELECT arrival, {plain}, at FROM numbered WHERE before IS NULL",
            ks = self.ks("n."),
            plain = self.ks(""),
            same = self.note_on_state(),
            rel = self.rel,
            on = self.on_key("t", "n"),
            ungathered = self.ungathered(),
            first = quoted(&self.key[0].name),
        )
    }

    /// `row.column = state.k1 AND …`: how a row of the table meets its state.
    pub(super) fn on_key(&self, row: &str, state: &str) -> String {
        on_key(&self.key.iter().map(|column| column.name.clone()).collect::<Vec<_>>(), row, state)
    }

    /// `row.column = $first AND …`
    pub(super) fn where_key(&self, row: &str, first: usize) -> String {
        let pairs = self.key.iter().enumerate().map(|(at, key)| format!("{row}.{} = ${}", quoted(&key.name), first + at));
        pairs.collect::<Vec<_>>().join(" AND ")
    }

    /// `column = value` of an update. A number that is the same stays as it is written: it says nothing of how many decimals it is shown with.
    pub(super) fn set(&self, column: &str, value: &str) -> String {
        let any_scale = self.data.iter().any(|data| data.column == column && data.form == Form::Decimal(None));
        let column = quoted(column);
        match any_scale {
            true => format!("{column} = CASE WHEN t.{column} = {value} THEN t.{column} ELSE {value} END"),
            false => format!("{column} = {value}"),
        }
    }

    /// The columns of a key as they are read from the state.
    pub(super) fn state_key(&self) -> Vec<String> {
        self.key.iter().enumerate().map(|(at, key)| key.form.read(&format!("s.k{}", at + 1))).collect()
    }

    /// What is read of a record: its state, whether its row is there, its fields, and for each reference whether it is set and its uid.
    pub(super) fn select(&self, from: &str) -> String {
        let mut columns = format!("{STATE_COLUMNS}, t.{} IS NOT NULL", quoted(&self.key[0].name));
        for data in &self.data {
            let column = format!("t.{}", quoted(&data.column));
            columns.push_str(&format!(", {}", data.list.as_ref().map_or_else(|| data.form.read(&column), |list| read_list(list, &column))));
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
            let state = state_of(link.parent_id);
            if link.by_key() {
                let position = |to: &String| link.parent_key.iter().position(|key| key == to).unwrap_or(0) + 1;
                let on: Vec<String> = pairs.map(|(column, to)| format!("p{at}.k{} = t.{}", position(to), quoted(column))).collect();
                joins.push_str(&format!(" LEFT JOIN {state} p{at} ON {} AND NOT p{at}.deleted", on.join(" AND ")));
            } else {
                let on: Vec<String> = pairs.map(|(column, to)| format!("q{at}.{} = t.{}", quoted(to), quoted(column))).collect();
                let meets = on_key(&link.parent_key, &format!("q{at}"), &format!("p{at}"));
                let on = on.join(" AND ");
                joins.push_str(&format!(
                    " LEFT JOIN {} q{at} ON {on} LEFT JOIN {state} p{at} ON {meets} AND NOT p{at}.deleted",
                    link.parent
                ));
            }
        }
        for key in &self.key {
            columns.push_str(&format!(", {}", key.form.read(&format!("t.{}", quoted(&key.name)))));
        }
        format!("SELECT {columns} FROM {from}{joins}")
    }

    /// `entente.state_N s LEFT JOIN table t`.
    pub(super) fn state_and_row(&self) -> String {
        self.states_and_rows(&self.state())
    }

    /// The same for some states.
    pub(super) fn states_and_rows(&self, states: &str) -> String {
        format!("{states} s LEFT JOIN {} t ON {} AND NOT s.deleted", self.rel, self.on_key("t", "s"))
    }

    /// Changes states and tells what they were and are, so that the sum follows: `set` of the rows that `from` finds; `from` is a query that
    /// gives `arrival` and whatever `set` wants, known as `w`.
    pub(super) fn change(&self, set: &str, from: &str) -> String {
        let state = self.state();
        let [old, new] = ["o", "s"].map(|row| MARK.map(|column| format!("{row}.{column}")).join(", "));
        format!(
            "UPDATE {state} s SET {set} FROM ({from}) w JOIN {state} o ON o.arrival = w.arrival WHERE s.arrival = w.arrival RETURNING {old}, {new}"
        )
    }

    /// What becomes of a state when a record is taken: see [`super::apply`]. $2 … $15.
    pub(super) fn taken() -> String {
        format!(
            "arrival = w.next, deleted = w.deleted, modified_on = w.modified_on, version = w.version, origin = w.origin, author = w.author,
             settled = w.settled, received_from = w.received_from, heir = w.heir, extra = CASE WHEN w.replace THEN w.extra ELSE s.extra END,
             digest = w.digest, own = NULL, run = w.run, held = CASE WHEN s.held = {LET_GO} THEN NULL ELSE s.held END"
        )
    }
}

/// What stands in a column with a list, as several references: those to records that are here.
fn read_list(list: &Listed, column: &str) -> String {
    let resource = literal(&format!("{{\"@resource\":{},\"@uuid\":[", serde_json::Value::from(list.resource.as_str())));
    format!(
        "(SELECT CASE WHEN count(*) > count(p.uid) THEN '!' ELSE {resource} || string_agg(to_json(p.uid)::text, ',' ORDER BY j.at) || ']}}' END
              FROM unnest(string_to_array(btrim({column}, '|'), '|')) WITH ORDINALITY j(key, at)
              JOIN {} p ON p.k1 = CASE WHEN j.key ~ '^[0-9]{{1,18}}$' THEN j.key::bigint END AND NOT p.deleted)",
        state_of(list.id)
    )
}

/// The name of a state table.
pub(super) fn state_of(id: i64) -> String {
    format!("entente.state_{id}")
}

/// `row.column = state.k1 AND …`
pub(super) fn on_key(key: &[String], row: &str, state: &str) -> String {
    let pairs: Vec<String> = key.iter().enumerate().map(|(at, column)| format!("{row}.{} = {state}.k{}", quoted(column), at + 1)).collect();
    pairs.join(" AND ")
}
