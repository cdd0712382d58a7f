//! The states of records that were written.

use rusqlite::{params, params_from_iter};

use super::Transaction;
use crate::{
    connector::{
        Key, KeyPart, Write, aside,
        sqlite::{
            failure::Told,
            layout::Layout,
            values::{Bound, stored_uid},
        },
    },
    error::Result,
    model::{Page, SiteId},
};

impl Transaction<'_> {
    /// Where nothing but us can write in this transaction, arrivals are counted here instead of looked up.
    pub(super) fn next_arrival(&mut self, layout: &Layout) -> Result<i64> {
        let last = match self.last_arrival.filter(|(table, _)| *table == layout.table.id && !self.spread) {
            Some((_, last)) => last,
            None => self.db.max_arrival(layout)?,
        };
        self.last_arrival = Some((layout.table.id, last + 1));
        Ok(last + 1)
    }

    /// Stores the state that a record gets.
    pub(super) fn write_state(&mut self, layout: &Layout, write: &Write<'_>, key: Option<Key>, peer: SiteId) -> Result<()> {
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
    pub(super) fn note_agreed(&mut self) -> Result<()> {
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
        aside::written(layout, write, |arrival| {
            let sql = format!("SELECT extra FROM {} WHERE arrival = ?1", layout.state());
            let mut statement = self.db.conn.prepare_cached(&sql).told("read the journal")?;
            statement.query_row([arrival], |row| row.get(0)).told("read the journal")
        })
    }
}
