//! Values that were kept aside, moved into columns that came since.

use std::collections::HashSet;

use rusqlite::params;

use super::Transaction;
use crate::{
    connector::{
        Apply, Effect, Found, Write,
        sqlite::{
            drift::BATCH,
            failure::{Told, quoted},
            layout::Layout,
            values::{push_uid, stored_uid},
        },
        stored,
    },
    error::Result,
    model::{Digest, Kind, NewState, Page, Record, RecordView, SiteId, Time, Version},
};

/// What is kept aside for the record with an arrival, alone in a page.
struct Aside {
    arrival: i64,
    page: Page,
}

impl Transaction<'_> {
    /// Moves values that were kept aside of some records after an arrival into the columns that are there by now. It is no edit: what the
    /// records hold stays the same. Returns the last arrival looked at, `None` when there are no more.
    pub(in crate::connector::sqlite) fn take_in(&mut self, layout: &Layout, after: i64) -> Result<Option<i64>> {
        let some = self.aside(layout, after)?;
        for aside in &some {
            let view = aside.page.view(&aside.page.records[0]);
            if view.fields().any(|(field, _)| layout.knows(field)) {
                self.take_in_one(layout, aside.arrival, view)?;
            }
        }
        Ok(some.last().map(|aside| aside.arrival))
    }

    fn aside(&mut self, layout: &Layout, after: i64) -> Result<Vec<Aside>> {
        let sql = format!(
            "SELECT arrival, uid, extra FROM {} WHERE extra IS NOT NULL AND deleted = 0 AND arrival > ?1 ORDER BY arrival LIMIT {BATCH}",
            layout.state()
        );
        let mut statement = self.db.conn.prepare_cached(&sql).told("read the journal")?;
        let mut rows = statement.query([after]).told("read the journal")?;
        let mut some = Vec::new();
        while let Some(row) = rows.next().told("read the journal")? {
            let mut page = Page::new(&layout.table.resource);
            let uid = push_uid(row.get_ref(1).told("read the journal")?, &mut page);
            let mark = page.mark();
            stored::read_extra(&row.get::<_, String>(2).told("read the journal")?, &mut page, |_| false)?;
            page.finish(Record::new(uid, SiteId(uuid::Uuid::nil()), Time(0)), mark);
            some.push(Aside { arrival: row.get(0).told("read the journal")?, page });
        }
        Ok(some)
    }

    fn take_in_one(&mut self, layout: &Layout, arrival: i64, view: RecordView<'_>) -> Result<()> {
        let written = self.written_since(layout, arrival, view)?;
        let fields: Vec<String> =
            view.fields().map(|(field, _)| field.to_owned()).filter(|field| layout.knows(field) && !written.contains(field)).collect();
        let references = view.fields().filter(|(field, value)| value.kind == Kind::Reference && fields.iter().any(|known| known == field));
        let wanted: Vec<(&str, &str)> = references.map(|(_, value)| (value.resource, value.text)).collect();
        let targets = self.resolve(&wanted)?;
        let state = NewState {
            version: Version::default(),
            tick: false,
            origin: view.record.origin,
            author: view.record.author,
            settled: Vec::new(),
            modified_on: Time(0),
            shared: false,
        };
        let found = Found { at: 0, arrival, shared: false, held: false, living: true, retracted: false, base: None };
        let (effect, digest) = (Effect::Some(view, &fields), Digest([0; 32]));
        let write = Write {
            uid: view.uid(),
            local: Some(found),
            effect,
            state: &state,
            deleted: false,
            heir: None,
            digest,
            release: false,
            run: 0,
        };
        let done = self.write_row(layout, &write, &targets);
        done.map_err(|error| error.within(&format!("what was kept aside for {} does not go into its new column", view.uid())))?;
        let rest = stored::write_extra(view.fields().filter(|(field, _)| !layout.knows(field)))?;
        let sql = format!("UPDATE {} SET extra = ?2 WHERE uid = ?1", layout.state());
        let values = params![stored_uid(view.uid()), rest];
        self.db.conn.prepare_cached(&sql).and_then(|mut s| s.execute(values)).told("write the journal").map(|_| ())
    }

    /// The fields that an application has written since their columns came: of a record with an edit that is not folded yet, those whose
    /// columns hold neither nothing nor their default.
    fn written_since(&mut self, layout: &Layout, arrival: i64, view: RecordView<'_>) -> Result<HashSet<String>> {
        let mut written = HashSet::new();
        for data in layout.data.iter().filter(|data| view.get(&data.field).is_some()) {
            let sql = format!(
                "SELECT s.own IS NOT NULL AND t.{0} IS NOT NULL AND t.{0} IS NOT ({1}) FROM {2} WHERE s.arrival = ?1",
                quoted(&data.column),
                data.default.as_deref().unwrap_or("NULL"),
                layout.state_and_row()
            );
            let mut statement = self.db.conn.prepare_cached(&sql).told("read the table")?;
            if statement.query_row([arrival], |row| row.get(0)).told("read the table")? {
                written.insert(data.field.clone());
            }
        }
        Ok(written)
    }
}
