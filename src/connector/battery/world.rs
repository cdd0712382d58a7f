//! A database with an application and two peers, whatever its kind.

use crate::{
    connector::{Apply, Connector, Effect, Extent, Found, Key, Table, Write},
    error::Result,
    model::{Actor, Cell, Identity, Kind, NewState, Page, Record, RecordView, SiteId, TableSpec, Time, Version},
};

pub(super) const ME: SiteId = SiteId(uuid::Uuid::from_u128(1));
pub(super) const PEER: SiteId = SiteId(uuid::Uuid::from_u128(2));
pub(super) const OTHER: SiteId = SiteId(uuid::Uuid::from_u128(3));
/// The run in which the engine writes.
pub(super) const RUN: u64 = 7;
/// Later than any edit of a test.
pub(super) const NOW: Time = Time(2_200_000_000_000_000);

/// What an application writes into a column.
#[derive(Clone, Copy)]
pub(super) enum Put<'a> {
    Null,
    Text(&'a str),
    Row(i64),
}

/// A database of one kind: `place (name, size)`, `person (name, home → place, friend → person)` and `code (name, label)`, names unique,
/// those of places and codes never null; and an application that writes there.
pub(super) trait Bench {
    fn db(&mut self) -> &mut dyn Connector;
    /// Adds a row or changes some columns of it. Whether the database let that happen.
    fn try_put(&mut self, table: &str, key: i64, columns: &[(&str, Put<'_>)]) -> bool;
    /// Removes a row. Whether the database let that happen.
    fn try_delete(&mut self, table: &str, key: i64) -> bool;
    fn put(&mut self, table: &str, key: i64, columns: &[(&str, Put<'_>)]) {
        assert!(self.try_put(table, key, columns), "{table} {key} can be put");
    }
    fn delete(&mut self, table: &str, key: i64) {
        assert!(self.try_delete(table, key), "{table} {key} can go");
    }
    /// The application no longer minds references that lead nowhere.
    fn be_careless(&mut self);
    /// No trigger notices what the application does.
    fn close_eyes(&mut self);
    /// Triggers notice again.
    fn open_eyes(&mut self);
    /// `KEY=VALUE …`, in the order of keys.
    fn column(&mut self, table: &str, column: &str) -> String;
    /// `UID SIDE RULE, …`
    fn history(&mut self) -> String;
}

pub(super) struct World {
    pub(super) bench: Box<dyn Bench>,
}

/// What a peer sends in a field.
#[derive(Clone, Copy)]
pub(super) enum Sent<'a> {
    Null,
    Text(&'a str),
    To(&'a str, &'a str),
}

/// A version that the peer wrote: its `counter`th edit.
pub(super) fn sent(resource: &str, uid: &str, counter: u64, fields: &[(&str, Sent<'_>)]) -> Page {
    let mut page = Page::new(resource);
    let mark = page.mark();
    for (name, value) in fields {
        let (kind, resource, text) = match value {
            Sent::Null => (Kind::Null, "", ""),
            Sent::Text(text) => (Kind::Text, "", *text),
            Sent::To(resource, uid) => (Kind::Reference, *resource, *uid),
        };
        let (resource, field) = (page.name_or_zero(resource), page.name(name).unwrap());
        let text = page.put(text);
        page.cell(Cell { field, resource, kind, text });
    }
    let mut record = Record::new(page.put(uid), PEER, Time(1_000 + counter as i64));
    record.version = Version::of(Actor { site: PEER, incarnation: 1 }, counter);
    page.finish(record, mark);
    page
}

/// A place of the peer's.
pub(super) fn place(uid: &str, counter: u64, name: &str) -> Page {
    sent("place", uid, counter, &[("name", Sent::Text(name)), ("size", Sent::Text("big"))])
}

/// A tombstone of the peer's, perhaps an alias.
pub(super) fn gone(resource: &str, uid: &str, counter: u64, heir: Option<&str>) -> Page {
    let mut page = sent(resource, uid, counter, &[]);
    page.records[0].deleted = true;
    page.records[0].heir = heir.map(|heir| page.put(heir));
    page
}

pub(super) fn view(page: &Page) -> RecordView<'_> {
    page.view(&page.records[0])
}

/// The state that a version brings with it.
pub(super) fn state_of(record: RecordView<'_>) -> NewState {
    let record = record.record;
    NewState {
        version: record.version.clone(),
        tick: false,
        origin: record.origin,
        author: record.author,
        settled: record.settled.clone(),
        modified_on: record.modified_on,
        shared: true,
    }
}

/// Writes a version as it came, whatever is here.
pub(super) fn take(tx: &mut dyn Apply, table: &Table, page: &Page) -> Result<Option<Key>> {
    let record = view(page);
    let locals = tx.locals(table, &[record.uid()], PEER)?;
    let local = locals.found[0];
    let wanted: Vec<(&str, &str)> = record.fields().filter(|(_, v)| v.kind == Kind::Reference).map(|(_, v)| (v.resource, v.text)).collect();
    let targets = tx.resolve(&wanted)?;
    let effect = if record.record.deleted { Effect::Delete } else { Effect::Put(record) };
    let digest = match local.filter(|found| found.living) {
        Some(found) => record.digest_over(locals.page.view(&locals.page.records[found.at])),
        None => record.digest(),
    };
    let (state, deleted, heir) = (state_of(record), record.record.deleted, record.heir());
    let write = Write { uid: record.uid(), local, effect, state: &state, deleted, heir, digest, release: false, run: RUN };
    tx.write(table, &write, PEER, &targets)
}

/// `uid name=value …` in the order of names, null as `-`, references as `>uid`; a tombstone as `uid gone` or `uid gone>heir`.
pub(super) fn show(record: RecordView<'_>) -> String {
    if record.record.deleted {
        return format!("{} gone{}", record.uid(), record.heir().map_or(String::new(), |heir| format!(">{heir}")));
    }
    let mut fields: Vec<String> = record
        .fields()
        .map(|(name, value)| match value.kind {
            Kind::Null => format!(" {name}=-"),
            Kind::Reference => format!(" {name}>{}", value.text),
            _ => format!(" {name}={}", value.text),
        })
        .collect();
    fields.sort();
    format!("{}{}", record.uid(), fields.concat())
}

impl World {
    /// An attached database.
    pub(super) fn new(bench: Box<dyn Bench>) -> World {
        let mut world = World { bench };
        world.attach();
        world
    }

    pub(super) fn attach(&mut self) {
        let plain = |name: &str| TableSpec { table: name.into(), resource: name.into(), ..TableSpec::default() };
        let specs = [
            TableSpec { matching: vec!["name".into()], ..plain("place") },
            plain("person"),
            TableSpec { identity: Some(Identity::Key { columns: vec!["name".into()] }), ..plain("code") },
        ];
        self.bench.db().attach(&specs, ME, Time(1_000_000_000), &mut |_, _, _| {}).unwrap();
    }

    /// Lets the application write without any trigger noticing.
    pub(super) fn sneak<T>(&mut self, work: impl FnOnce(&mut dyn Bench) -> T) -> T {
        self.bench.close_eyes();
        let done = work(self.bench.as_mut());
        self.bench.open_eyes();
        done
    }

    pub(super) fn db(&mut self) -> &mut dyn Connector {
        self.bench.db()
    }

    pub(super) fn table(&mut self, name: &str) -> Table {
        self.db().tables().unwrap().into_iter().find(|table| table.name == name).unwrap()
    }

    /// Puts a text into the column `name` of a row.
    pub(super) fn name(&mut self, table: &str, key: i64, name: &str) {
        self.bench.put(table, key, &[("name", Put::Text(name))]);
    }

    pub(super) fn me(&mut self) -> Actor {
        Actor { site: ME, incarnation: self.db().journal().unwrap().incarnation }
    }

    /// One page of a feed.
    pub(super) fn page(&mut self, table: &str, after: i64, peer: SiteId, extent: Extent) -> (Page, i64, bool) {
        let table = self.table(table);
        let mut page = Page::default();
        let (upto, more) = self.db().export(&table, after, peer, extent, NOW, &mut page).unwrap();
        (page, upto, more)
    }

    /// All that a peer is offered after an arrival.
    pub(super) fn offered(&mut self, table: &str, after: i64, peer: SiteId) -> Page {
        let (page, _, more) = self.page(table, after, peer, Extent { records: 1_000, bytes: 1 << 20 });
        assert!(!more, "it all fits a page");
        page
    }

    /// As [`World::offered`], shown.
    pub(super) fn feed(&mut self, table: &str, after: i64, peer: SiteId) -> Vec<String> {
        self.offered(table, after, peer).views().map(show).collect()
    }

    /// What a record of a table with a name is, as one that knows nothing is offered it.
    pub(super) fn uid(&mut self, table: &str, name: &str) -> String {
        let page = self.offered(table, 0, OTHER);
        let found = page.views().find(|record| record.get("name").is_some_and(|value| value.text == name));
        found.unwrap().uid().to_owned()
    }

    /// A record as it is here, alone in a page.
    pub(super) fn record(&mut self, table: &str, uid: &str) -> Page {
        let (table, mut page) = (self.table(table), Page::default());
        self.db().lookup(&table, &[uid.to_owned()], &mut page).unwrap();
        assert_eq!(page.records.len(), 1, "{uid} is here");
        page
    }

    pub(super) fn found(&mut self, table: &str, uid: &str, peer: SiteId) -> Option<Found> {
        let table = self.table(table);
        self.db().begin().unwrap().locals(&table, &[uid], peer).unwrap().found[0]
    }

    pub(super) fn head(&mut self, table: &str) -> i64 {
        let table = self.table(table);
        self.db().head(&table).unwrap()
    }

    /// Does something in a transaction of its own.
    pub(super) fn within<T>(&mut self, work: impl FnOnce(&mut dyn Apply) -> T) -> T {
        let mut tx = self.db().begin().unwrap();
        let done = work(tx.as_mut());
        tx.commit().unwrap();
        done
    }

    /// Takes a version as it came, in a transaction of its own.
    pub(super) fn take(&mut self, page: &Page) {
        let table = self.table(&page.resource);
        self.within(|tx| take(tx, &table, page).unwrap());
    }
}
