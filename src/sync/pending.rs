//! What waits to be exchanged, both ways: counted here, and told by the others when they meet us.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::epoch;
use crate::{
    connector::{Connector, Part, Table},
    error::Result,
    model::{AttachedTable, Greeting, Hello, MANY, Met, Offer, Pending, Repository, RepositoryId, Resource, SiteId, Time},
    peer::Contact,
    site::Site,
    store::{Conn, attached, met, repositories, resources},
};

/// What was said again within so many microseconds, and is the same, is not written again.
const FRESH: i64 = 60_000_000;

/// The most resources of an offer that are kept, and the most characters of their names.
const OFFERED: usize = 1_000;
const NAME: usize = 128;

/// Changes that a repository was not given yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The repository.
    pub repository: RepositoryId,
    /// The resource.
    pub resource: String,
    /// How many at most: those that it has from elsewhere are counted, too.
    pub changes: u64,
}

/// What the repositories that we call were not given yet. A database that cannot be read is left out.
pub fn changes(site: &Site) -> Result<Vec<Changes>> {
    let (called, shared, attached) = site.store.read(|c| {
        let callable = repositories::list(c, site.store.key())?.into_iter().filter(|one| one.enabled && one.url.is_some());
        let called: HashMap<RepositoryId, SiteId> = callable.filter_map(|one| Some((one.id, one.uuid?))).collect();
        Ok((called, resources::all(c)?, attached::list(c)?))
    })?;
    let mut pending = Vec::new();
    for table in attached {
        let pushed = shared.iter().filter(|one| one.name == table.resource && one.mode.pushes());
        let sharers: Vec<_> = pushed.filter_map(|one| Some((one.repository, *called.get(&one.repository)?))).collect();
        match of_table(site, &table, &sharers) {
            Ok(some) => pending.extend(some),
            Err(error) => tracing::debug!("What waits in {} is not counted: {}", table.database, error.chain()),
        }
    }
    Ok(pending)
}

fn of_table(site: &Site, attached: &AttachedTable, sharers: &[(RepositoryId, SiteId)]) -> Result<Vec<Changes>> {
    if sharers.is_empty() {
        return Ok(Vec::new());
    }
    let mut door = site.door(&attached.database)?;
    let Some(table) = door.tables()?.into_iter().find(|known| known.resource == attached.resource) else { return Ok(Vec::new()) };
    let head = door.head(&table)?;
    let mut pending = Vec::new();
    for (repository, uuid) in sharers {
        let given = door.share(&table, *uuid, Part::Active)?.push;
        let changes = u64::try_from(head - given).unwrap_or(0);
        pending.push(Changes { repository: *repository, resource: attached.resource.clone(), changes });
    }
    Ok(pending)
}

/// What we say with a hello to a repository: what waits here for it, and how far we are. It costs one look at each shared table, and as much again as
/// there is to give; what cannot be looked at is not said.
pub(super) fn greeting(site: &Site, repository: &Repository) -> Greeting {
    let Some(peer) = repository.uuid else { return Greeting::default() };
    let known = site.store.read(|c| Ok((resources::list(c, repository.id)?, attached::list(c)?)));
    let (shared, attached) = match known {
        Ok(known) => known,
        Err(error) => {
            tracing::debug!("What waits for {} was not counted: {}", repository.name, error.chain());
            return Greeting::default();
        }
    };
    let place = |resource: &Resource| attached.iter().find(|table| table.resource == resource.name).map(|table| table.database.as_str());
    let databases: BTreeSet<&str> = shared.iter().filter_map(place).collect();
    let mut greeting = Greeting { waiting: Some(0), at: Vec::new() };
    for database in databases {
        let own: Vec<&Resource> = shared.iter().filter(|resource| place(resource) == Some(database)).collect();
        if let Err(error) = look(site, database, peer, &own, &mut greeting) {
            tracing::debug!("What waits in {database} was not counted: {}", error.chain());
            greeting.waiting = None;
        }
    }
    greeting
}

fn look(site: &Site, database: &str, peer: SiteId, shared: &[&Resource], greeting: &mut Greeting) -> Result<()> {
    let mut door = site.door(database)?;
    let tables = door.tables()?;
    for (resource, table) in shared.iter().filter_map(|one| Some((one, tables.iter().find(|table| table.resource == one.name)?))) {
        let share = door.share(table, peer, Part::Active)?;
        if resource.mode.pushes() {
            let found = told(door.pending(table, share.push, peer, MANY)?);
            greeting.waiting = both(greeting.waiting, found);
        }
        if resource.mode.pulls() {
            greeting.at.push((resource.name.clone(), share.pull));
        }
    }
    Ok(())
}

/// A count as it is told: [`MANY`] where there are at least so many; `None` where that cannot be said.
fn told(found: Pending) -> Option<u64> {
    (!found.more || found.records >= u64::from(MANY)).then_some(found.records)
}

fn both(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    Some(one?.saturating_add(other?).min(u64::from(MANY)))
}

/// Up to which arrival a caller has a table, as it says, and how many records wait for it after that. A cursor that is none of ours says nothing.
pub(super) fn ahead(db: &mut dyn Connector, table: &Table, peer: SiteId, greeting: &Greeting) -> Result<Option<(i64, Option<u64>)>> {
    let Some((_, cursor)) = greeting.at.iter().find(|(resource, _)| *resource == table.resource) else { return Ok(None) };
    let Ok(known) = epoch::arrival(db, table, cursor) else { return Ok(None) };
    let arrival = known.map_or(0, |(arrival, _)| arrival);
    Ok(Some((arrival, told(db.pending(table, arrival, peer, MANY)?))))
}

/// Keeps what a caller said with its hello. What is shown only does not keep it from being served.
pub(super) fn remember(site: &Site, repository: RepositoryId, greeting: &Greeting, taken: BTreeMap<String, i64>) {
    if *greeting == Greeting::default() {
        return;
    }
    let now = site.now();
    let done = site.store.read(|c| met::of(c, repository)).and_then(|before| {
        let said = Met {
            waiting: greeting.waiting.map(|records| (records, now)).or(before.waiting),
            taken: if greeting.at.is_empty() { before.taken.clone() } else { taken },
            offer: before.offer.clone(),
        };
        let records = |met: &Met| met.waiting.map(|(records, _)| records);
        let fresh = before.waiting.is_some_and(|(_, on)| now.0 - on.0 < FRESH);
        if fresh && records(&said) == records(&before) && said.taken == before.taken {
            return Ok(());
        }
        site.store.write(|c| met::set(c, repository, &said))
    });
    if let Err(error) = done {
        tracing::debug!("What another site said could not be kept: {}", error.chain());
    }
}

/// What another site said when we met it, and what of it still holds.
#[derive(Debug)]
pub(super) struct Meeting {
    /// By how much its clock is ahead, milliseconds.
    pub(super) skew: i64,
    /// The version that it says it runs.
    pub(super) version: String,
    offer: Option<Vec<Offer>>,
    /// How many records of each resource wait there for us; `None` = it does not say. `None` for all where we did not say how far we are.
    waiting: Option<BTreeMap<String, Option<u64>>>,
}

impl Meeting {
    /// What it answered to our greeting.
    pub(super) fn of(contact: &Contact, greeting: &Greeting) -> Meeting {
        let hello = &contact.hello;
        let there = |name: &String| match hello.resources.iter().find(|there| there.name == *name) {
            Some(there) if there.mode.pulls() => there.waiting.map(|records| records.min(u64::from(MANY))),
            None if hello.unavailable.contains(name) => None,
            // What we may not have does not wait for us.
            _ => Some(0),
        };
        let asked = *greeting != Greeting::default() && !hello.paused;
        Meeting {
            skew: contact.skew,
            version: hello.version.chars().filter(|c| !c.is_control()).take(40).collect(),
            offer: (!hello.paused).then(|| offer(hello)),
            waiting: asked.then(|| greeting.at.iter().map(|(name, _)| (name.clone(), there(name))).collect()),
        }
    }

    /// A stock Eden says nothing of that.
    pub(super) fn with_eden() -> Meeting {
        Meeting { skew: 0, version: "Sahana Eden".to_owned(), offer: None, waiting: None }
    }

    /// Everything of a resource was taken.
    pub(super) fn took(&mut self, resource: &str) {
        if let Some(waiting) = &mut self.waiting {
            waiting.insert(resource.to_owned(), Some(0));
        }
    }

    /// Keeps what it said, and what still waits there.
    pub(super) fn keep(&self, c: &mut Conn, repository: RepositoryId, now: Time) -> Result<()> {
        let before = met::of(c, repository)?;
        let waiting = self.waiting.as_ref().and_then(|all| all.values().try_fold(0, |sum, one| both(Some(sum), *one)));
        let said = Met {
            waiting: waiting.map(|records| (records, now)).or(before.waiting),
            offer: self.offer.clone().map(|offer| (offer, now)).or(before.offer),
            taken: before.taken,
        };
        met::set(c, repository, &said)
    }
}

fn offer(hello: &Hello) -> Vec<Offer> {
    let fits = |name: &str| name.chars().count() <= NAME && !name.chars().any(char::is_control);
    let all = hello.resources.iter().filter(|there| fits(&there.name));
    all.take(OFFERED).map(|there| Offer { name: there.name.clone(), mode: there.mode }).collect()
}
