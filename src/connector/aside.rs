//! Values for which a table has no column: they are kept aside, and go into columns that come later.

use std::{collections::HashSet, ops::Deref};

use super::{Apply, Effect, Found, Key, Targets, Write, outline::Outline, shape::Shape, stored};
use crate::{
    error::Result,
    model::{Digest, Kind, NewState, Page, Record, RecordView, SiteId, Span, Time, Version},
};

/// What is kept aside for the record with an arrival, alone in a page.
pub(super) struct Aside {
    pub(super) arrival: i64,
    pub(super) page: Page,
}

/// Reads what is kept aside for a record, but the `known` fields, as a record alone in a page.
pub(super) fn read(text: Option<&str>, mut page: Page, uid: Span, known: impl Fn(&str) -> bool) -> Result<Page> {
    let mark = page.mark();
    stored::read_extra(text.unwrap_or("[]"), &mut page, known)?;
    page.finish(Record::new(uid, SiteId(uuid::Uuid::nil()), Time(0)), mark);
    Ok(page)
}

/// What a write keeps aside; the outer `None`: what is there stays. `here` reads what is kept aside for the record with an arrival.
pub(super) fn written<S: Shape>(
    table: &Outline<S>,
    write: &Write<'_>,
    here: impl FnOnce(i64) -> Result<Option<String>>,
) -> Result<Option<Option<String>>> {
    let (record, only) = match write.effect {
        Effect::Put(record) => (record, None),
        Effect::Some(record, only) => (record, Some(only)),
        Effect::Keep | Effect::Delete => return Ok(write.deleted.then_some(None)),
    };
    let taken = |field: &str| !table.knows(field) && only.is_none_or(|only| only.iter().any(|name| name == field));
    if !record.fields().any(|(field, _)| taken(field)) {
        return Ok(write.local.is_none().then_some(None));
    }
    // Those that the version does not name keep what they have.
    let kept = match write.local {
        Some(found) => {
            let replaced = |field: &str| taken(field) && record.get(field).is_some();
            read(here(found.arrival)?.as_deref(), Page::default(), Span::default(), replaced)?
        }
        None => Page::default(),
    };
    let kept = kept.views().next();
    let fields = record.fields().filter(|(field, _)| taken(field)).chain(kept.into_iter().flat_map(RecordView::fields));
    stored::write_extra(fields).map(Some)
}

/// A transaction in which what was kept aside goes into columns that came since.
pub(super) trait TakeIn: Apply {
    /// How its database looks at tables.
    type Shape: Shape;
    /// A table.
    type Layout: Deref<Target = Outline<Self::Shape>>;

    /// What is kept aside for some living records after an arrival, in the order of arrival.
    fn aside(&mut self, layout: &Self::Layout, after: i64) -> Result<Vec<Aside>>;

    /// The fields that an application has written since their columns came: of a record with an edit that is not folded yet, those whose
    /// columns hold neither nothing nor their default.
    fn written_since(&mut self, layout: &Self::Layout, arrival: i64, view: RecordView<'_>) -> Result<HashSet<String>>;

    /// Writes just the row.
    fn put_row(&mut self, layout: &Self::Layout, write: &Write<'_>, targets: &Targets) -> Result<Option<Key>>;

    /// Notes what is still kept aside.
    fn keep_aside(&mut self, layout: &Self::Layout, uid: &str, rest: Option<String>) -> Result<()>;

    /// Moves values that were kept aside of some records after an arrival into the columns that are there by now. It is no edit: what the
    /// records hold stays the same. Returns the last arrival looked at, `None` when there are no more.
    fn take_in(&mut self, layout: &Self::Layout, after: i64) -> Result<Option<i64>> {
        let some = self.aside(layout, after)?;
        for aside in &some {
            let view = aside.page.view(&aside.page.records[0]);
            if view.fields().any(|(field, _)| layout.knows(field)) {
                self.take_in_one(layout, aside.arrival, view)?;
            }
        }
        Ok(some.last().map(|aside| aside.arrival))
    }

    /// The same for one record.
    fn take_in_one(&mut self, layout: &Self::Layout, arrival: i64, view: RecordView<'_>) -> Result<()> {
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
        let (effect, digest, local) = (Effect::Some(view, &fields), Digest([0; 32]), Some(Found::living(arrival)));
        let write = Write { uid: view.uid(), local, effect, state: &state, deleted: false, heir: None, digest, release: false, run: 0 };
        let done = self.put_row(layout, &write, &targets);
        done.map_err(|error| error.within(&format!("what was kept aside for {} does not go into its new column", view.uid())))?;
        let rest = stored::write_extra(view.fields().filter(|(field, _)| !layout.knows(field)))?;
        self.keep_aside(layout, view.uid(), rest)
    }
}
