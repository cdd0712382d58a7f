//! The answering site's part.

use std::collections::{HashMap, HashSet};

use negentropy::Negentropy;

use super::{FRAME, Items, NAMES, confused};
use crate::{
    connector::{Named, Part, Place, Share, Standing, Table},
    decide::filter::Filter,
    error::{Error, Kind, Result},
    model::{Absence, Absent, CompareAnswer, CompareRequest, ItemId, Mode, NamedRecord, Page},
    site::{Door, Site},
    store,
    sync::{admit::Caller, clones, epoch, filters, serve},
};

/// Answers what a caller wants to know while it compares.
pub fn answer(site: &Site, caller: &Caller, resource: &str, request: &CompareRequest) -> Result<CompareAnswer> {
    if request.named.len().max(request.absent.len()) > NAMES {
        return Err(Error::new(Kind::TooLarge, format!("more than {NAMES} records are named in one call")));
    }
    clones::refuse(site, caller.uuid, &caller.repository.name)?;
    let (door, table) =
        serve::granted(site, caller, resource, Mode::Pull).or_else(|_| serve::granted(site, caller, resource, Mode::Push))?;
    let own = site.store.read(|c| store::resources::get(c, caller.repository.id, resource))?;
    let asked = filters::read(&table, &request.filters)?;
    let filter = filters::for_caller(&table, own.as_ref(), &asked)?;
    let mut asked = Asked { site, caller, door, table, filter, request };
    let (active, passive) = (asked.share(Part::Active)?, asked.share(Part::Passive)?);
    let (cursor, refused) = (active.pull, active.refused || passive.refused);
    let answer = CompareAnswer { cursor, refused, message: asked.message()?, named: asked.named()?, absent: asked.absent()? };
    if request.done {
        asked.done()?;
    }
    Ok(answer)
}

struct Asked<'s> {
    site: &'s Site,
    caller: &'s Caller,
    door: Door<'s>,
    table: Table,
    filter: Filter,
    request: &'s CompareRequest,
}

impl Asked<'_> {
    fn share(&mut self, part: Part) -> Result<Share> {
        self.door.share(&self.table, self.caller.uuid, part)
    }

    /// All living records, from the last call where nothing changed since.
    fn items(&mut self) -> Result<Items> {
        self.door.fold(&self.table)?;
        let state = (self.table.resource.clone(), self.filter.to_string(), self.door.sum(&self.table)?, self.door.head(&self.table)?);
        if let Some(versions) = self.site.compared(&state) {
            return Ok(Items(versions));
        }
        let items = Items::of(&mut *self.door, &self.table, &self.filter, self.site.now())?;
        self.site.set_compared(state, items.0.clone());
        Ok(items)
    }

    fn message(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(message) = &self.request.message else { return Ok(None) };
        let items = self.items()?;
        let mut negentropy = Negentropy::borrowed(&items, FRAME).map_err(confused)?;
        negentropy.reconcile(message).map(Some).map_err(confused)
    }

    fn named(&mut self) -> Result<Vec<NamedRecord>> {
        if self.request.named.is_empty() {
            return Ok(Vec::new());
        }
        let items = self.items()?;
        let arrivals: Vec<i64> = self.request.named.iter().filter_map(|id| items.arrival(id)).collect();
        let standings = self.door.standings(&self.table, self.caller.uuid, Named::Arrivals(&arrivals))?;
        let had = Had {
            cursor: reached(&mut self.door, &self.table, &self.request.cursor)?,
            given: if self.request.went_back { None } else { Some(self.share(Part::Active)?.push) },
            refused: self.request.refused,
        };
        let by_record: HashMap<[u8; 8], &Standing> = standings.iter().map(|standing| (ItemId::of_uid(&standing.uid), standing)).collect();
        let named = self.request.named.iter().filter_map(|id| by_record.get(&id.record()).map(|standing| (id, *standing)));
        Ok(named.map(|(id, standing)| had.named(*id, standing)).collect())
    }

    fn absent(&mut self) -> Result<Vec<Absent>> {
        if self.request.absent.is_empty() {
            return Ok(Vec::new());
        }
        let uids = &self.request.absent;
        let standings = self.door.standings(&self.table, self.caller.uuid, Named::Uids(uids))?;
        let waiting = waiting(&mut self.door, &self.table)?;
        let kept_back = self.kept_back(&standings)?;
        let state = |uid: &String| match standings.iter().find(|standing| standing.uid == *uid) {
            _ if waiting.contains(uid) => Absence::Waiting,
            Some(_) if kept_back.contains(uid) => Absence::Filtered,
            Some(standing) => match standing.place {
                Place::Living => Absence::Here,
                Place::Held => Absence::Held,
                Place::Deleted => Absence::Deleted,
                Place::LetGo => Absence::Filtered,
            },
            None => Absence::Unknown,
        };
        Ok(uids.iter().map(|uid| Absent { uid: uid.clone(), state: state(uid) }).collect())
    }

    fn kept_back(&mut self, standings: &[Standing]) -> Result<HashSet<String>> {
        if self.filter.is_everything() {
            return Ok(HashSet::new());
        }
        let living = standings.iter().filter(|standing| standing.place == Place::Living).map(|standing| standing.uid.clone());
        let (living, mut page) = (living.collect::<Vec<_>>(), Page::new(&self.table.resource));
        self.door.lookup(&self.table, &living, &mut page)?;
        Ok(page.views().filter(|view| !self.filter.matches(*view)).map(|view| view.uid().to_owned()).collect())
    }

    /// The caller has exchanged everything that differed.
    fn done(&mut self) -> Result<()> {
        let share = self.share(Part::Passive)?;
        let push = reached(&mut self.door, &self.table, &self.request.cursor)?.unwrap_or(share.push);
        let share = Share { push, compare: share.compare.done(), ..share };
        self.door.set_share(&self.table, self.caller.uuid, Part::Passive, &share, 0)
    }
}

/// The records of a table that wait, come or go.
pub(in crate::sync) fn waiting(door: &mut Door<'_>, table: &Table) -> Result<HashSet<String>> {
    let waiting = door.waiting()?.into_iter().filter(|entry| entry.resource == table.resource);
    Ok(waiting.map(|entry| entry.uid).collect())
}

/// The arrival of a cursor of our feed; `None` for one of another life of the journal, or none.
pub(in crate::sync) fn reached(door: &mut Door<'_>, table: &Table, cursor: &str) -> Result<Option<i64>> {
    match epoch::arrival(&mut **door, table, cursor) {
        Err(error) if error.kind() != Kind::Epoch => Err(error),
        reached => Ok(reached.ok().flatten().map(|(arrival, _)| arrival)),
    }
}

/// What tells whether a peer that knows nothing of a record once had it (SYNC.md 9).
#[derive(Debug, Clone, Copy)]
pub(in crate::sync) struct Had {
    /// The arrival that the peer's own cursor reached.
    pub(in crate::sync) cursor: Option<i64>,
    /// The arrival up to which we gave and it acknowledged; `None` where it went back in time since.
    pub(in crate::sync) given: Option<i64>,
    /// It refused something that was given for good.
    pub(in crate::sync) refused: bool,
}

impl Had {
    fn named(&self, id: ItemId, standing: &Standing) -> NamedRecord {
        let later = self.cursor.is_none_or(|cursor| standing.arrival > cursor);
        NamedRecord { id, uid: standing.uid.clone(), known: self.surely(standing), later }
    }

    /// Whether it surely had a record that lives here, and nobody wrote to that since: then it was deleted there.
    pub(in crate::sync) fn surely(&self, standing: &Standing) -> bool {
        let passed = |upto: Option<i64>| !self.refused && upto.is_some_and(|upto| standing.arrival <= upto);
        passed(self.cursor) || passed(self.given) || (self.given.is_some() && standing.given)
    }
}
