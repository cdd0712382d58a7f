//! Values that were kept aside, moved into columns that came since.

use std::collections::HashSet;

use super::Transaction;
use crate::{
    connector::{
        Apply, Effect, Found, Write,
        postgres::{
            args::{Arg, Columns},
            drift::BATCH,
            failure::quoted,
            layout::Layout,
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
    pub(in crate::connector::postgres) fn take_in(&mut self, layout: &Layout, after: i64) -> Result<Option<i64>> {
        self.catch_up(layout)?;
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
            "SELECT arrival, uid, extra FROM {} WHERE extra IS NOT NULL AND NOT deleted AND arrival > $1::bigint ORDER BY arrival LIMIT {BATCH}",
            layout.state()
        );
        let read = |row: &postgres::Row| {
            let mut page = Page::new(&layout.table.resource);
            let uid = page.put(row.text(1)?.unwrap_or_default());
            let mark = page.mark();
            stored::read_extra(row.text(2)?.unwrap_or("[]"), &mut page, |_| false)?;
            page.finish(Record::new(uid, SiteId(uuid::Uuid::nil()), Time(0)), mark);
            Ok(Aside { arrival: row.int(0)?.unwrap_or(0), page })
        };
        self.db.link.query(&sql, &[after.into()], "read the journal")?.iter().map(read).collect()
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
        let (effect, digest, local) = (Effect::Some(view, &fields), Digest([0; 32]), Some(found));
        let write = Write { uid: view.uid(), local, effect, state: &state, deleted: false, heir: None, digest, release: false, run: 0 };
        let done = self.write_row(layout, &write, &targets);
        done.map_err(|error| error.within(&format!("what was kept aside for {} does not go into its new column", view.uid())))?;
        let rest = stored::write_extra(view.fields().filter(|(field, _)| !layout.knows(field)))?;
        let sql = format!("UPDATE {} SET extra = $2 WHERE uid = $1", layout.state());
        self.db.link.run(&sql, &[view.uid().into(), rest.into()], "write the journal").map(drop)
    }

    /// The fields that an application has written since their columns came: of a record with an edit that is not folded yet, those whose
    /// columns hold neither nothing nor their default.
    fn written_since(&mut self, layout: &Layout, arrival: i64, view: RecordView<'_>) -> Result<HashSet<String>> {
        let mut written = HashSet::new();
        for data in layout.data.iter().filter(|data| view.get(&data.field).is_some()) {
            let column = format!("t.{}", quoted(&data.column));
            let default = data.default.as_deref().unwrap_or("NULL");
            let sql = format!(
                "SELECT s.own IS NOT NULL AND {column} IS NOT NULL AND {column}::text IS DISTINCT FROM ({default})::text FROM {} WHERE s.arrival = $1::bigint",
                layout.state_and_row()
            );
            if self.db.link.one(&sql, &[Arg::Int(arrival)], "read the table")?.flag(0)? {
                written.insert(data.field.clone());
            }
        }
        Ok(written)
    }
}
