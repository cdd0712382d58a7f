//! The states of records that were written.

use super::{
    Transaction,
    together::{STATE, push_line},
};
use crate::{
    connector::{
        Key, KeyPart, Write, aside,
        postgres::{
            args::{Arg, Columns},
            fold::columns,
            layout::Layout,
        },
    },
    error::Result,
    model::{Page, SiteId, Version},
};

/// New states: the columns of [`STATE`], then the key.
pub(super) enum Added {
    Rows(Vec<Vec<Arg<'static>>>),
    /// As COPY wants them, and their keys.
    Lines {
        text: String,
        keys: Vec<Vec<Arg<'static>>>,
    },
}

impl Default for Added {
    fn default() -> Added {
        Added::Rows(Vec::new())
    }
}

impl Added {
    pub(super) fn lines() -> Added {
        Added::Lines { text: String::new(), keys: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Added::Rows(rows) => rows.is_empty(),
            Added::Lines { keys, .. } => keys.is_empty(),
        }
    }

    fn push(&mut self, state: Vec<Arg<'_>>, key: Vec<Arg<'static>>) {
        match self {
            Added::Rows(rows) => rows.push(state.into_iter().map(Arg::into_owned).chain(key).collect()),
            Added::Lines { text, keys } => {
                push_line(state.iter().chain(&key), text);
                keys.push(key);
            }
        }
    }
}

/// States to be stored together.
#[derive(Default)]
pub(super) struct States {
    pub(super) added: Added,
    pub(super) changed: Vec<Vec<Arg<'static>>>,
    /// New keys of states that had no row, or whose row got another key, by their new arrival.
    pub(super) keyed: Vec<Vec<Arg<'static>>>,
}

impl States {
    /// States of which the new ones are to be stored by COPY.
    pub(super) fn lines() -> States {
        States { added: Added::lines(), ..States::default() }
    }
}

impl States {
    /// The keys that rows have now.
    pub(super) fn keys(&self, layout: &Layout) -> Vec<Vec<Arg<'_>>> {
        let count = layout.key.len();
        let added: Vec<&[Arg<'_>]> = match &self.added {
            // A number that the database gave out was never another row's.
            _ if layout.own_key => return Vec::new(),
            Added::Rows(rows) => rows.iter().map(|state| &state[state.len() - count..]).collect(),
            Added::Lines { keys, .. } => keys.iter().map(Vec::as_slice).collect(),
        };
        let keys = added.into_iter().chain(self.keyed.iter().map(|state| &state[1..]));
        keys.filter(|key| !key.contains(&Arg::Null)).map(<[_]>::to_vec).collect()
    }
}

/// What has tombstones give up the keys in its arrays.
pub(super) fn free(layout: &Layout) -> String {
    let count = layout.key.len();
    let set: Vec<String> = (1..=count).map(|at| format!("k{at} = NULL")).collect();
    let same: Vec<String> = (1..=count).map(|at| format!("s.k{at} = w.k{at}")).collect();
    let arrays: Vec<String> = layout.key.iter().enumerate().map(|(at, key)| format!("${}::{}[]", at + 1, key.bare())).collect();
    format!(
        "UPDATE {} s SET {} FROM unnest({}) w({}) WHERE s.deleted AND {}",
        layout.state(),
        set.join(", "),
        arrays.join(", "),
        layout.ks(""),
        same.join(" AND ")
    )
}

impl Transaction<'_> {
    /// Arrivals are counted here instead of looked up: nobody else gives any while this transaction lasts.
    pub(super) fn next_arrival(&mut self, layout: &Layout) -> Result<i64> {
        let last = match self.last_arrival.filter(|(table, _)| *table == layout.table.id) {
            Some((_, last)) => last,
            None => self.db.max_arrival(layout)?,
        };
        self.last_arrival = Some((layout.table.id, last + 1));
        Ok(last + 1)
    }

    /// Adds the state that a record gets to those that are to be stored. Returns its version.
    pub(super) fn state_of(
        &mut self,
        layout: &Layout,
        write: &Write<'_>,
        key: Option<&Key>,
        peer: SiteId,
        states: &mut States,
    ) -> Result<Version> {
        let arrival = self.next_arrival(layout)?;
        let mut version = write.state.version.clone();
        if write.state.tick {
            version.set(self.me, u64::try_from(arrival).unwrap_or(0));
        }
        let extra = self.extra_of(layout, write)?;
        let db = &mut *self.db;
        let text = db.sites.write_version(&mut db.link, &version)?;
        let (origin, author) = (db.sites.id(&mut db.link, write.state.origin)?, db.sites.id(&mut db.link, write.state.author)?);
        let settled = db.sites.write_set(&mut db.link, &write.state.settled)?;
        let from = if write.state.shared { Some(db.sites.id(&mut db.link, peer)?) } else { None };
        let heir = write.heir.map(Arg::text).unwrap_or(Arg::Null);
        let digest = Arg::Bytes(write.digest.0.as_slice().into());
        let run = Arg::Int(i64::try_from(write.run).unwrap_or(i64::MAX));
        let common: [Arg<'_>; 8] = [
            write.deleted.into(),
            write.state.modified_on.0.into(),
            text.into(),
            origin.into(),
            author.into(),
            settled.into(),
            from.into(),
            heir,
        ];
        match write.local {
            None => {
                let mut state: Vec<Arg<'_>> = Vec::with_capacity(14);
                state.extend([arrival.into(), Arg::text(write.uid)]);
                state.extend(common);
                // The run comes once more, as the one that made the record.
                state.extend([extra.flatten().into(), digest, run.clone(), run]);
                let none = || vec![Arg::Null; layout.key.len()];
                states.added.push(state, key.map_or_else(none, |key| key.0.iter().map(owned).collect()));
            }
            Some(found) => {
                let replace = extra.is_some();
                let mut state: Vec<Arg<'static>> = vec![found.arrival.into(), arrival.into()];
                state.extend(common.into_iter().map(Arg::into_owned));
                state.extend([extra.flatten().into(), replace.into(), digest.into_owned(), run]);
                states.changed.push(state);
                if let Some(key) = key.filter(|_| !found.living || self.moved) {
                    states.keyed.push(std::iter::once(arrival.into()).chain(key.0.iter().map(owned)).collect());
                }
            }
        }
        Ok(version)
    }

    /// Tombstones of other records give up keys that rows have now.
    pub(super) fn free_keys(&mut self, layout: &Layout, states: &States) -> Result<()> {
        let taken = states.keys(layout);
        if taken.is_empty() {
            return Ok(());
        }
        self.db.link.run(&free(layout), &columns(taken), "write the journal").map(drop)
    }

    /// Stores states.
    pub(super) fn store(&mut self, layout: &Layout, states: States) -> Result<()> {
        self.free_keys(layout, &states)?;
        let (state, ks) = (layout.state(), layout.ks(""));
        let keys = |first: usize| -> String {
            layout.key.iter().enumerate().map(|(at, key)| format!(", ${}::{}[]", first + at, key.bare())).collect()
        };
        if let Added::Rows(added) = states.added
            && !added.is_empty()
        {
            let sql = format!(
                "INSERT INTO {state} ({STATE}, {ks}) SELECT {STATE}, {ks}
                 FROM unnest($1::bigint[], $2::text[], $3::boolean[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[], $8::text[], $9::bigint[],
                   $10::text[], $11::text[], $12::bytea[], $13::bigint[], $14::bigint[]{}) w({STATE}, {ks})
                 RETURNING NULL::text, NULL::text, NULL::bytea, uid, version, digest",
                keys(15)
            );
            self.db.change(layout, &sql, &columns(added))?;
        }
        if !states.changed.is_empty() {
            let from = "SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::boolean[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[], $8::text[],
                          $9::bigint[], $10::text[], $11::text[], $12::boolean[], $13::bytea[], $14::bigint[])
                        n(arrival, next, deleted, modified_on, version, origin, author, settled, received_from, heir, extra, replace, digest, run)";
            self.db.change(layout, &layout.change(&Layout::taken(), from), &columns(states.changed))?;
        }
        if !states.keyed.is_empty() {
            let set: Vec<String> = (1..=layout.key.len()).map(|at| format!("k{at} = w.k{at}")).collect();
            let sql = format!(
                "UPDATE {state} s SET {} FROM unnest($1::bigint[]{}) w(arrival, {ks}) WHERE s.arrival = w.arrival",
                set.join(", "),
                keys(2)
            );
            self.db.link.run(&sql, &columns(states.keyed), "write the journal")?;
        }
        Ok(())
    }

    /// Notes what is agreed of the records that were written: what they are now.
    pub(super) fn note_agreed(&mut self) -> Result<()> {
        for (table, uids) in std::mem::take(&mut self.based) {
            let Some(layout) = self.db.layouts.iter().find(|layout| layout.table.id == table).cloned() else { continue };
            let (mut page, uids) = (Page::default(), uids.iter().map(String::as_str).collect::<Vec<_>>());
            self.db.read_each(&layout, &uids, &mut page)?;
            self.db.note_bases(&layout, &page)?;
        }
        Ok(())
    }

    /// Fields without a column, to be kept aside. The outer `None`: what is there stays.
    fn extra_of(&mut self, layout: &Layout, write: &Write<'_>) -> Result<Option<Option<String>>> {
        aside::written(layout, write, |arrival| {
            let sql = format!("SELECT extra FROM {} WHERE arrival = $1::bigint", layout.state());
            let row = self.db.link.maybe(&sql, &[arrival.into()], "read the journal")?;
            Ok(row.as_ref().map(|row| row.text(0)).transpose()?.flatten().map(str::to_owned))
        })
    }
}

/// A key part that outlives its key.
pub(super) fn owned(part: &KeyPart) -> Arg<'static> {
    Arg::of_key(part).into_owned()
}
