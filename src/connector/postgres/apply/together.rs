//! Writes that are carried out together: new rows and their states by COPY, the others by one statement for all that have the same columns.
//!
//! What a value would be changed to is asked of the database for a whole column at once. New rows are sent a thousand at a time while the next are
//! decided about. Whatever fails, fails for all of them: then the page is done again, one record at a time.

use std::{io::Write as _, sync::Arc};

use postgres::{Client, Statement, types::ToSql};

use super::{
    Transaction,
    rows::{Values, moved},
    states::{self, Added, States, owned},
};
use crate::{
    connector::{
        Effect, Key, Targets, Write,
        postgres::{
            args::{Arg, Columns},
            failure::{Told, quoted},
            fold::columns,
            layout::{Data, Layout},
        },
    },
    error::{Error, Kind as Fault, Result},
    model::{SiteId, Sum},
};

/// The columns of a new state but its key, in the order of [`Added`].
pub(super) const STATE: &str =
    "arrival, uid, deleted, modified_on, version, origin, author, settled, received_from, heir, extra, digest, run, made";

/// So many new rows are sent at once, where nothing but new rows came so far.
const AHEAD: u64 = 1_000;

/// Rows of values.
type Rows = Vec<Vec<Arg<'static>>>;

/// New rows that have the same columns, as COPY wants them.
struct Inserts {
    columns: Vec<String>,
    lines: String,
    count: u64,
}

/// What waits to be written, of one table.
pub(super) struct Batch {
    layout: Arc<Layout>,
    inserts: Vec<Inserts>,
    /// By columns with their types: the new values, then the key.
    updates: Vec<(Vec<(String, String)>, Rows)>,
    deletes: Rows,
    /// By column: texts that have to read back as they are.
    asks: Vec<(Data, Vec<String>)>,
    states: States,
    came: Sum,
}

impl Batch {
    fn new(layout: Arc<Layout>) -> Batch {
        let (inserts, updates, deletes, asks) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Batch { layout, inserts, updates, deletes, asks, states: States::lines(), came: Sum::default() }
    }

    /// Has a text read back later.
    pub(super) fn ask(&mut self, data: &Data, text: &str) {
        match self.asks.iter_mut().find(|(known, _)| known.column == data.column) {
            Some((_, texts)) => texts.push(text.to_owned()),
            None => self.asks.push((data.clone(), vec![text.to_owned()])),
        }
    }

    fn insert(&mut self, values: &Values<'_>) {
        let same = |known: &Inserts| known.columns.len() == values.len() && known.columns.iter().zip(values).all(|(a, (b, _))| a == b);
        let at = self.inserts.iter().position(same).unwrap_or_else(|| {
            let columns = values.iter().map(|(column, _)| (*column).to_owned()).collect();
            self.inserts.push(Inserts { columns, lines: String::new(), count: 0 });
            self.inserts.len() - 1
        });
        push_line(values.iter().map(|(_, value)| value), &mut self.inserts[at].lines);
        self.inserts[at].count += 1;
    }

    /// How many new rows wait, where there is nothing else whose rows may have to give way first.
    fn only_new(&self) -> u64 {
        let others = !self.updates.is_empty() || !self.deletes.is_empty() || !self.states.changed.is_empty();
        if others { 0 } else { self.inserts.iter().map(|inserts| inserts.count).sum() }
    }

    fn update(&mut self, columns: Vec<(String, String)>, values: Vec<Arg<'static>>) {
        match self.updates.iter_mut().find(|(known, _)| *known == columns) {
            Some((_, rows)) => rows.push(values),
            None => self.updates.push((columns, vec![values])),
        }
    }
}

impl Transaction<'_> {
    /// Notes a write that is carried out later.
    pub(super) fn write_later(&mut self, layout: &Arc<Layout>, write: &Write<'_>, peer: SiteId, targets: &Targets) -> Result<Option<Key>> {
        if self.batch.as_ref().is_some_and(|batch| batch.layout.table.id != layout.table.id) {
            self.flush()?;
        }
        let mut batch = self.batch.take().unwrap_or_else(|| Batch::new(layout.clone()));
        let mut done = self.note_write(&mut batch, layout, write, peer, targets);
        if done.is_ok()
            && batch.only_new() >= AHEAD
            && let Err(error) = self.send_ahead(&mut batch)
        {
            self.broken = true;
            done = Err(error);
        }
        self.batch = Some(batch);
        done
    }

    /// Sends the new rows and their states while others are decided about.
    fn send_ahead(&mut self, batch: &mut Batch) -> Result<()> {
        let layout = batch.layout.clone();
        let inserts = std::mem::take(&mut batch.inserts);
        let taken = batch.states.keys(&layout);
        let free = match taken.is_empty() {
            true => None,
            false => {
                let keys = columns(taken).into_iter().map(Arg::into_owned).collect();
                Some((self.db.link.prepare(&states::free(&layout), "write the journal")?, keys))
            }
        };
        let states = std::mem::replace(&mut batch.states.added, Added::lines());
        self.db.link.aside(move |client| insert_all(client, &layout, &inserts, free, &states))
    }

    fn note_write(
        &mut self,
        batch: &mut Batch,
        layout: &Layout,
        write: &Write<'_>,
        peer: SiteId,
        targets: &Targets,
    ) -> Result<Option<Key>> {
        let living = write.local.is_some_and(|found| found.living);
        let former = match write.local {
            Some(found) => match self.keys.get(&(layout.table.id, found.arrival)) {
                Some(key) => Some(key.clone()),
                None => self.local_key(layout, write.local)?,
            },
            None => None,
        };
        let (record, only) = match write.effect {
            Effect::Keep => (None, None),
            Effect::Delete => {
                batch.deletes.extend(former.as_ref().filter(|_| living).map(|key| key.0.iter().map(owned).collect()));
                (None, None)
            }
            Effect::Put(record) => (Some(record), None),
            Effect::Some(record, only) => (Some(record), Some(only)),
        };
        let mut key = None;
        self.moved = false;
        if let Some(record) = record {
            let own = match (&former, living) {
                (Some(key), true) => key.clone(),
                _ => self.key_for(layout, record, former, targets)?,
            };
            let values = self.values(layout, record, only, targets, &own, Some(&mut *batch))?;
            key = match living {
                true => {
                    let after = moved(layout, &own, &values);
                    self.moved = after != own;
                    note_update(batch, layout, values, &own);
                    Some(after)
                }
                false => {
                    let values = self.whole_row(layout, record, values, &own)?;
                    batch.insert(&values);
                    drop(values);
                    Some(own)
                }
            };
        }
        let version = self.state_of(layout, write, key.as_ref(), peer, &mut batch.states)?;
        if write.local.is_none() {
            batch.came += Sum::of(write.uid, &version, write.digest);
        }
        Ok(key)
    }

    /// Carries out what was noted.
    pub(super) fn flush(&mut self) -> Result<()> {
        let (batch, lost) = (self.batch.take(), std::mem::take(&mut self.lost));
        let done = batch.map_or(Ok(()), |batch| self.carry_out(batch)).and_then(|()| self.remember_all(&lost));
        self.broken |= done.is_err();
        done
    }

    fn carry_out(&mut self, mut batch: Batch) -> Result<()> {
        let layout = batch.layout.clone();
        for (data, texts) in &batch.asks {
            let sql = format!("SELECT COALESCE(bool_and(v::{}::text = v), true) FROM unnest($1::text[]) w(v)", data.declared);
            if !self.db.link.one(&sql, &[Arg::texts(texts)], "test values")?.flag(0)? {
                return Err(Error::new(Fault::Constraint, format!("column {:?} would change a value", data.column)));
            }
        }
        self.delete_all(&layout, std::mem::take(&mut batch.deletes))?;
        for (columns, rows) in std::mem::take(&mut batch.updates) {
            self.update_all(&layout, &columns, rows)?;
        }
        if !batch.inserts.is_empty() || !batch.states.added.is_empty() {
            self.send_ahead(&mut batch)?;
        }
        self.db.count(layout.table.id, Sum::default(), batch.came);
        self.store(&layout, batch.states)
    }

    fn remember_all(&mut self, lost: &[Vec<Arg<'static>>]) -> Result<()> {
        if lost.is_empty() {
            return Ok(());
        }
        let mut text = String::new();
        lost.iter().for_each(|version| push_line(version.iter(), &mut text));
        copy(self.db.link.client()?, "entente.history", "tab, uid, at, site, run, side, rule, record", &text, "write the history").map(drop)
    }

    fn delete_all(&mut self, layout: &Layout, keys: Vec<Vec<Arg<'static>>>) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let count = keys.len() as u64;
        let arrays: Vec<String> = layout.key.iter().enumerate().map(|(at, key)| format!("${}::{}[]", at + 1, key.bare())).collect();
        let on = layout.on_key("t", "w");
        let sql = format!("DELETE FROM {} t USING unnest({}) w({}) WHERE {on}", layout.rel, arrays.join(", "), layout.ks(""));
        all_of(self.db.link.run(&sql, &columns(keys), "delete the rows")?, count)
    }

    fn update_all(&mut self, layout: &Layout, set: &[(String, String)], rows: Rows) -> Result<()> {
        let count = rows.len() as u64;
        let mut arrays: Vec<String> = (1..=set.len()).map(|at| format!("${at}::text[]")).collect();
        arrays.extend(layout.key.iter().enumerate().map(|(at, key)| format!("${}::{}[]", set.len() + at + 1, key.bare())));
        let names: Vec<String> = (1..=set.len()).map(|at| format!("v{at}")).collect();
        let values = set.iter().enumerate().map(|(at, (column, kind))| layout.set(column, &format!("w.v{}::{kind}", at + 1)));
        let values: Vec<String> = values.collect();
        let sql = format!(
            "UPDATE {} t SET {} FROM unnest({}) w({}, {}) WHERE {}",
            layout.rel,
            values.join(", "),
            arrays.join(", "),
            names.join(", "),
            layout.ks(""),
            layout.on_key("t", "w")
        );
        all_of(self.db.link.run(&sql, &columns(rows), "change the rows")?, count)
    }
}

fn note_update(batch: &mut Batch, layout: &Layout, values: Values<'_>, key: &Key) {
    if values.is_empty() {
        return;
    }
    let mut columns: Vec<(String, String)> = Vec::with_capacity(values.len());
    let mut row: Vec<Arg<'static>> = Vec::with_capacity(values.len() + key.0.len());
    for (column, value) in values {
        columns.push((column.to_owned(), layout.declared(column).to_owned()));
        row.push(value.as_text());
    }
    row.extend(key.0.iter().map(owned));
    batch.update(columns, row);
}

fn all_of(done: u64, wanted: u64) -> Result<()> {
    if done == wanted {
        return Ok(());
    }
    Err(Error::new(Fault::Constraint, "a trigger or rule of this database did not let rows be written"))
}

/// Appends a row as COPY reads it.
pub(super) fn push_line<'a, 'v: 'a>(values: impl Iterator<Item = &'a Arg<'v>>, out: &mut String) {
    for (at, value) in values.enumerate() {
        if at > 0 {
            out.push('\t');
        }
        match value {
            Arg::Null => out.push_str("\\N"),
            Arg::Int(_) | Arg::Flag(_) => value.write(out),
            Arg::Text(text) => escape(text, out),
            Arg::Bytes(_) | Arg::List(_) => {
                let mut text = String::new();
                value.write(&mut text);
                escape(&text, out);
            }
        }
    }
    out.push('\n');
}

fn escape(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'\\' | b'\t' | b'\n' | b'\r')) {
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        out.push_str(match special.as_bytes()[0] {
            b'\t' => "\\t",
            b'\n' => "\\n",
            b'\r' => "\\r",
            _ => "\\\\",
        });
        rest = &special[1..];
    }
    out.push_str(rest);
}

/// Adds new rows, has tombstones give up the keys that these have now, and adds the states.
fn insert_all(
    client: &mut Client,
    layout: &Layout,
    inserts: &[Inserts],
    free: Option<(Statement, Vec<Arg<'static>>)>,
    states: &Added,
) -> Result<()> {
    for inserts in inserts {
        let columns: Vec<String> = inserts.columns.iter().map(|column| quoted(column)).collect();
        all_of(copy(client, &layout.rel, &columns.join(", "), &inserts.lines, "add the rows")?, inserts.count)?;
    }
    if let Some((statement, keys)) = free {
        let keys: Vec<&(dyn ToSql + Sync)> = keys.iter().map(|key| key as &(dyn ToSql + Sync)).collect();
        client.execute(&statement, &keys).told("write the journal")?;
    }
    if let Added::Lines { text, .. } = states
        && !text.is_empty()
    {
        let columns = format!("{STATE}, {}", layout.ks(""));
        copy(client, &layout.state(), &columns, text, "write the journal")?;
    }
    Ok(())
}

/// Sends rows, and tells how many there are by now.
fn copy(client: &mut Client, rel: &str, columns: &str, text: &str, doing: &str) -> Result<u64> {
    // The driver loses the connection where COPY fails before it takes the first row: waiting for the table has to fail before it.
    client.batch_execute(&format!("LOCK TABLE ONLY {rel} IN ROW EXCLUSIVE MODE")).told(doing)?;
    let mut writer = client.copy_in(&format!("COPY {rel} ({columns}) FROM STDIN")).told(doing)?;
    let sent = writer.write_all(text.as_bytes());
    sent.map_err(|e| Error::new(Fault::Unreachable, format!("could not {doing}")).because(e))?;
    writer.finish().told(doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_copy_keeps_whatever_is_in_it() {
        let mut line = String::new();
        push_line(
            [Arg::text("a\tb\\N\n\r"), Arg::Null, Arg::text("\\."), Arg::Bytes(vec![0, 255].into()), Arg::Flag(true), Arg::Int(-1)].iter(),
            &mut line,
        );
        assert_eq!(line, "a\\tb\\\\N\\n\\r\t\\N\t\\\\.\t\\\\x00ff\tt\t-1\n");
    }
}
