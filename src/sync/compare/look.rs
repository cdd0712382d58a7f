//! Where two sites differ and why, for people: `verify` and `compare`. Nothing is exchanged.

use std::collections::{HashMap, HashSet};

use super::{Items, NAMES, find, reached, waiting};
use crate::{
    connector::{Named, Part, Place, Share, Standing, Table},
    error::{Error, Result},
    model::{Absence, CompareRequest, Hello, HelloResource, ItemId, Method, Page, Policy, Relation, Repository, Resource},
    peer::Peer,
    site::{Door, Site},
    store::resources,
    sync::{epoch, filters, register::same_site},
};

/// How two sites stand to each other in one resource.
#[derive(Debug)]
pub struct Looked {
    /// The resource.
    pub resource: String,
    /// Records that are the same at both.
    pub equal: u64,
    /// Records that are not.
    pub differing: u64,
    /// Of these: those that a rule holds apart, or that are on their way.
    pub explained: u64,
    /// The first of them, as many as were wanted.
    pub shown: Vec<Difference>,
    /// How many differ for which reason; the empty one is none.
    pub reasons: Vec<(String, u64)>,
    /// Round trips of reconciliation.
    pub rounds: usize,
    /// Bytes that travelled.
    pub bytes: u64,
}

/// A record that is not the same at both sites.
#[derive(Debug)]
pub struct Difference {
    /// Its uid.
    pub uid: String,
    /// How it differs.
    pub how: How,
    /// The rule that holds it apart, or where it is on its way; `None` = nothing explains it.
    pub reason: Option<String>,
    /// What is here, alone in a page.
    pub ours: Option<Page>,
    /// What is there.
    pub theirs: Option<Page>,
}

/// How a record differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// One version has seen the other.
    Different,
    /// Neither has.
    Conflict,
    /// It lives there and not here.
    MissingHere,
    /// It lives here and not there.
    MissingThere,
}

impl How {
    /// In a word or two.
    pub fn word(self) -> &'static str {
        match self {
            How::Different => "different",
            How::Conflict => "conflict",
            How::MissingHere => "missing here",
            How::MissingThere => "missing there",
        }
    }
}

/// Compares the resources that are shared with a repository, or the named ones; tells of up to `show` differences in each.
pub fn look(
    site: &Site,
    repository: &Repository,
    peer: &dyn Peer,
    wanted: &[String],
    show: usize,
) -> Result<Vec<(String, Result<Looked>)>> {
    let hello = peer.hello()?.hello;
    same_site(repository, hello.uuid)?;
    let shared = site.store.read(|c| resources::list(c, repository.id))?;
    if let Some(unknown) = wanted.iter().find(|name| shared.iter().all(|resource| resource.name != **name)) {
        return Err(Error::not_found(format!("{unknown} is not shared with {}", repository.name))
            .hint(format!("Share it: entente resource add {} {unknown}", repository.name)));
    }
    if shared.is_empty() {
        return Err(Error::usage(format!("nothing is shared with {} yet", repository.name))
            .hint(format!("Share a table: entente resource add {} NAME", repository.name)));
    }
    let chosen = shared.into_iter().filter(|resource| wanted.is_empty() || wanted.contains(&resource.name));
    Ok(chosen.map(|resource| (resource.name.clone(), look_at(site, repository, peer, &hello, resource, show))).collect())
}

fn look_at(site: &Site, repository: &Repository, peer: &dyn Peer, hello: &Hello, resource: Resource, show: usize) -> Result<Looked> {
    let there = crate::sync::serve::offered(hello, &repository.name, &resource.name)?;
    let (mut door, table) = epoch::door(site, &resource.name)?;
    let filter = filters::read(&table, &resource.filters)?;
    let share = door.share(&table, hello.uuid, Part::Active)?;
    let passive = door.share(&table, hello.uuid, Part::Passive)?;
    let before = peer.traffic();
    let items = Items::of(&mut *door, &table, &filter, site.now())?;
    let ask = CompareRequest {
        went_back: share.compare.we_went_back,
        refused: share.refused || passive.refused,
        cursor: share.pull.clone(),
        filters: if filter.is_everything() { Vec::new() } else { vec![filter.to_string()] },
        ..CompareRequest::default()
    };
    let found = find(&items, peer, &table.resource, &ask, &|| Ok(()))?;
    let both = found.in_both();
    let looked = Looked {
        resource: resource.name.clone(),
        equal: (items.len() - found.ours.len().min(items.len())) as u64,
        differing: 0,
        explained: 0,
        shown: Vec::new(),
        reasons: Vec::new(),
        rounds: found.rounds,
        bytes: 0,
    };
    let waits = waiting(&mut door, &table)?;
    let caught_up = there.head == share.pull;
    let mut look = Look {
        peer,
        resource,
        there,
        door,
        table,
        share,
        ask,
        waits,
        caught_up,
        show,
        both,
        looked,
        reasons: HashMap::new(),
        uuid: hello.uuid,
    };
    let theirs: Vec<ItemId> = found.theirs.into_iter().filter(|id| !look.both.contains(&id.record())).collect();
    for some in theirs.chunks(NAMES) {
        look.only_there(some)?;
    }
    let arrivals: Vec<i64> = found.ours.iter().filter_map(|id| items.arrival(id)).collect();
    drop(items);
    for some in arrivals.chunks(NAMES) {
        look.here(some)?;
    }
    look.contents()?;
    let mut reasons: Vec<(String, u64)> = look.reasons.into_iter().collect();
    reasons.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(Looked { reasons, bytes: peer.traffic() - before, ..look.looked })
}

struct Look<'s> {
    peer: &'s dyn Peer,
    resource: Resource,
    there: HelloResource,
    door: Door<'s>,
    table: Table,
    share: Share,
    ask: CompareRequest,
    waits: HashSet<String>,
    /// We have taken everything that is offered there.
    caught_up: bool,
    show: usize,
    both: HashSet<[u8; 8]>,
    looked: Looked,
    reasons: HashMap<String, u64>,
    uuid: crate::model::SiteId,
}

impl Look<'_> {
    fn note(&mut self, uid: String, how: How, reason: Option<String>) {
        self.looked.differing += 1;
        self.looked.explained += u64::from(reason.is_some());
        *self.reasons.entry(reason.clone().unwrap_or_default()).or_default() += 1;
        if self.looked.shown.len() < self.show {
            self.looked.shown.push(Difference { uid, how, reason, ours: None, theirs: None });
        }
    }

    fn takes(&self) -> bool {
        self.resource.mode.pulls() && self.there.mode.pulls()
    }

    fn gives(&self) -> bool {
        self.resource.mode.pushes() && self.there.mode.pushes()
    }

    fn only_there(&mut self, ids: &[ItemId]) -> Result<()> {
        let answer = self.peer.compare(&self.table.resource, &CompareRequest { named: ids.to_vec(), ..self.ask.clone() })?;
        let uids: Vec<String> = answer.named.iter().map(|named| named.uid.clone()).collect();
        let standings = self.door.standings(&self.table, self.uuid, Named::Uids(&uids))?;
        let here: HashMap<&str, &Standing> = standings.iter().map(|standing| (standing.uid.as_str(), standing)).collect();
        for named in &answer.named {
            let place = here.get(named.uid.as_str()).map(|standing| (standing.place, standing.arrival));
            let reason = match place {
                _ if self.waits.contains(&named.uid) => Some("it waits here: entente quarantine".to_owned()),
                Some((Place::LetGo, _)) => Some("a filter".to_owned()),
                Some((Place::Deleted, _)) if !self.gives() => Some(self.mode()),
                Some((Place::Deleted, arrival)) if arrival > self.share.push => Some(ON_ITS_WAY.to_owned()),
                Some((Place::Living | Place::Held, _)) => Some(CHANGING.to_owned()),
                Some((Place::Deleted, _)) => self.policy(Method::Delete),
                None if !self.takes() => Some(self.mode()),
                None if !self.resource.strategy.allows(Method::Create) => Some(format!("the strategy here, {}", self.resource.strategy)),
                None if !self.caught_up => Some(ON_ITS_WAY.to_owned()),
                None if self.ask.refused => Some("it was refused here, by a strategy or a person".to_owned()),
                None => None,
            };
            self.note(named.uid.clone(), How::MissingHere, reason);
        }
        Ok(())
    }

    fn here(&mut self, arrivals: &[i64]) -> Result<()> {
        let standings = self.door.standings(&self.table, self.uuid, Named::Arrivals(arrivals))?;
        let absent = standings.iter().map(|standing| standing.uid.clone()).collect();
        let answer = self.peer.compare(&self.table.resource, &CompareRequest { absent, ..self.ask.clone() })?;
        let states: HashMap<&str, Absence> = answer.absent.iter().map(|absent| (absent.uid.as_str(), absent.state)).collect();
        let passed = reached(&mut self.door, &self.table, &answer.cursor)?;
        for standing in &standings {
            let both = self.both.contains(&ItemId::of_uid(&standing.uid));
            let sent = standing.arrival <= self.share.push.max(passed.unwrap_or(0));
            let reason = match states.get(standing.uid.as_str()) {
                Some(Absence::Waiting) => Some("it waits there: entente quarantine".to_owned()),
                Some(Absence::Held) => Some("an open conflict there".to_owned()),
                _ if standing.place == Place::Held => Some("an open conflict here: entente conflicts".to_owned()),
                Some(Absence::Filtered) => Some("a filter".to_owned()),
                _ if self.waits.contains(&standing.uid) => Some("it waits here: entente quarantine".to_owned()),
                _ if !self.gives() && (!both || !self.takes()) => Some(self.mode()),
                _ if !sent && !standing.given => Some(ON_ITS_WAY.to_owned()),
                Some(Absence::Unknown) if answer.refused => Some("it was refused there, by a strategy or a person".to_owned()),
                Some(Absence::Here | Absence::Deleted) if !self.caught_up => Some(ON_ITS_WAY.to_owned()),
                Some(Absence::Here | Absence::Deleted) => self.policy(Method::Update),
                _ => None,
            };
            let how = if both { How::Different } else { How::MissingThere };
            self.note(standing.uid.clone(), how, reason);
        }
        Ok(())
    }

    fn mode(&self) -> String {
        format!("the mode: here {}, there {}", self.resource.mode.word(), self.there.mode.word())
    }

    /// A policy or strategy, here or there, that keeps versions as they are.
    fn policy(&self, method: Method) -> Option<String> {
        let Resource { strategy, update, conflict, .. } = &self.resource;
        if !strategy.allows(method) {
            return Some(format!("the strategy here, {strategy}"));
        }
        if *update != Policy::Newer || *conflict != Policy::Newer {
            return Some(format!("the policies here: update {update}, conflict {conflict}"));
        }
        self.there.apart.then(|| "rules of the other site".to_owned())
    }

    /// Fetches the contents of what is shown.
    fn contents(&mut self) -> Result<()> {
        let uids: Vec<String> = self.looked.shown.iter().map(|difference| difference.uid.clone()).collect();
        for (at, some) in uids.chunks(NAMES).enumerate() {
            let (theirs, mut ours) = (self.peer.fetch(&self.table.resource, some)?, Page::new(&self.table.resource));
            self.door.lookup(&self.table, some, &mut ours)?;
            let (ours, theirs) = (by_uid(&ours), by_uid(&theirs));
            for difference in self.looked.shown.iter_mut().skip(at * NAMES).take(NAMES) {
                difference.ours = ours.get(&difference.uid).map(|page| (*page).clone());
                difference.theirs = theirs.get(&difference.uid).map(|page| (*page).clone());
                if let (Some(ours), Some(theirs)) = (&difference.ours, &difference.theirs)
                    && difference.how == How::Different
                    && ours.records[0].version.relation(&theirs.records[0].version) == Relation::Concurrent
                {
                    difference.how = How::Conflict;
                }
            }
        }
        Ok(())
    }
}

const ON_ITS_WAY: &str = "it was not exchanged yet";
const CHANGING: &str = "it is being written to";

/// Each record alone in a page.
fn by_uid(page: &Page) -> HashMap<String, Page> {
    let alone = |view: crate::model::RecordView<'_>| {
        let mut alone = Page::new(&page.resource);
        alone.copy(view);
        (view.uid().to_owned(), alone)
    };
    page.views().filter(|view| !view.record.retracted).map(alone).collect()
}
