//! Where two sites differ, found in a few round trips whatever the size: range-based set reconciliation over the living records (SYNC.md 9).

mod answer;
mod find;
mod look;

use std::sync::Arc;

use negentropy::{Bound, Error as Trouble, Id, Item, NegentropyStorageBase};

pub use answer::answer;
pub(super) use answer::{Had, reached, waiting};
pub(super) use find::find;
pub use look::{Difference, How, Looked, look};

use crate::{
    connector::{Connector, Extent, Table},
    decide::filter::Filter,
    error::{Error, Result},
    model::{ItemId, Page, SiteId, Time},
    site::Versions,
};

/// The most bytes of a message of reconciliation, about: a list of ids more than fits is told in the next.
const FRAME: u64 = 512 << 10;

/// The most names in one call.
pub(super) const NAMES: usize = 1_000;

/// Nobody: a peer that gave nothing.
const NOBODY: SiteId = SiteId(uuid::Uuid::nil());

/// The living records of a table, by the names of their versions: 40 bytes a record.
#[derive(Debug, Default)]
pub(super) struct Items(Versions);

impl Items {
    /// Those that a filter lets through.
    pub(super) fn of(db: &mut dyn Connector, table: &Table, filter: &Filter, now: Time) -> Result<Items> {
        let mut items = Vec::new();
        db.living(table, &mut |living| {
            items.push((ItemId::of(living.uid, living.version, living.digest), living.arrival));
            Ok(())
        })?;
        items.sort_unstable();
        items.dedup_by_key(|(id, _)| *id);
        if !filter.is_everything() {
            let held_back = held_back(db, table, filter, now)?;
            items.retain(|(id, _)| held_back.binary_search(id).is_err());
        }
        Ok(Items(Arc::new(items)))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The arrival of a version.
    pub(super) fn arrival(&self, id: &ItemId) -> Option<i64> {
        let at = self.0.binary_search_by_key(id, |(id, _)| *id).ok()?;
        self.0.get(at).map(|(_, arrival)| *arrival)
    }

    fn item(&self, at: usize) -> Option<Item> {
        self.0.get(at).map(|(id, _)| item(id))
    }
}

/// The names of versions that a filter does not let through, sorted.
fn held_back(db: &mut dyn Connector, table: &Table, filter: &Filter, now: Time) -> Result<Vec<ItemId>> {
    let (mut after, mut more, mut page) = (0, true, Page::new(&table.resource));
    let mut held_back = Vec::new();
    while more {
        page.clear();
        (after, more) = db.export(table, after, NOBODY, Extent { records: NAMES, bytes: 4 << 20 }, now, &mut page)?;
        let left = page.views().filter(|view| !view.record.deleted && !filter.matches(*view));
        held_back.extend(left.map(|view| ItemId::of(view.uid(), &view.record.version, view.digest())));
    }
    held_back.sort_unstable();
    Ok(held_back)
}

/// Names in order of the uids' hash; the greatest number stands for the end of all.
fn item(id: &ItemId) -> Item {
    Item::with_timestamp_and_id(u64::from_be_bytes(id.record()) >> 1, Id::from_byte_array(id.0))
}

impl NegentropyStorageBase for Items {
    fn size(&self) -> Result<usize, Trouble> {
        Ok(self.0.len())
    }

    fn get_item(&self, at: usize) -> Result<Option<Item>, Trouble> {
        Ok(self.item(at))
    }

    fn iterate(&self, begin: usize, end: usize, each: &mut dyn FnMut(Item, usize) -> Result<bool, Trouble>) -> Result<(), Trouble> {
        let some = self.0.get(begin..end).ok_or(Trouble::BadRange)?;
        for (at, (id, _)) in some.iter().enumerate() {
            if !each(item(id), begin + at)? {
                break;
            }
        }
        Ok(())
    }

    fn find_lower_bound(&self, first: usize, last: usize, bound: &Bound) -> usize {
        let Some(some) = self.0.get(first..last) else { return last };
        first + some.partition_point(|(id, _)| item(id) < bound.item)
    }
}

/// What went wrong with a message of reconciliation: the other side's fault.
fn confused(trouble: Trouble) -> Error {
    Error::malformed("a message of the comparison makes no sense").because(trouble)
}
