//! Named records, and nothing else but what they refer to: taken, then given, by the same rules as in any run.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    FETCH, Leg, Run,
    compare::{Exchange, versions},
};
use crate::{
    error::{Error, Kind, Result},
    model::{Absence, CompareRequest, Digest, Hello, Page, Version},
    peer::Peer,
    sync::{Outcome, compare::waiting, import::references},
};

/// The most records that come along with the named ones.
const DEEPEST: usize = 10 * FETCH;

/// What became of a record that was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Its uid.
    pub uid: String,
    /// In a few words.
    pub what: String,
    /// Whether both sites hold the same of it now.
    pub equal: bool,
}

/// Records by their uids.
type Versions = HashMap<String, (Version, Digest)>;

impl<'r> Run<'r, '_> {
    pub(super) fn transfer(&mut self, parts: &mut [Leg<'r>], hello: &Hello, peer: &dyn Peer, uids: &[String]) -> Result<()> {
        let name = self.ask.resources.iter().flatten().next().cloned().unwrap_or_default();
        let at = parts.iter().position(|part| part.table.resource == name && !part.failed);
        let at = at.ok_or_else(|| Error::not_found(format!("{name} cannot be exchanged with {}", self.repository.name)))?;
        if parts.iter().any(|part| part.share.compare.due) {
            let hint = format!("Do that first: entente sync {}", self.repository.name);
            let message = format!("{name} has to be compared with {} as a whole before single records can move", self.repository.name);
            return Err(Error::new(Kind::Undecided, message).hint(hint));
        }
        for some in uids.chunks(FETCH) {
            let before = self.both(&mut parts[at], peer, some)?;
            let mut missing = Vec::new();
            if self.ask.pull {
                self.report(&mut parts[at], "pull", |run, part, all| {
                    let terms = Exchange::new(run, part, hello, peer, all, &mut missing).take(some);
                    terms.map(|_| ())
                });
                self.fetch_missing(parts, hello, peer, missing);
            }
            if self.ask.push && parts[at].resource.mode.pushes() && parts[at].there.mode.pushes() {
                let mut all = Outcome::default();
                let mut given = HashSet::new();
                let done = self.give_named(parts, at, hello, peer, some, &mut given, &mut all);
                self.report(&mut parts[at], "push", |_, _, outcome| {
                    outcome.add(all);
                    done
                });
            }
            let after = self.both(&mut parts[at], peer, some)?;
            self.tell_moved(&mut parts[at], peer, some, &before, &after)?;
        }
        Ok(())
    }

    fn both(&self, part: &mut Leg<'r>, peer: &dyn Peer, uids: &[String]) -> Result<(Versions, Versions)> {
        let mut ours = Page::new(&part.table.resource);
        part.door.lookup(&part.table, uids, &mut ours)?;
        Ok((versions(&ours), versions(&peer.fetch(&part.table.resource, uids)?)))
    }

    /// Gives records, before them those that they refer to and that are unknown there.
    #[expect(clippy::too_many_arguments, reason = "what a run and a resource are, and what is done so far")]
    fn give_named(
        &mut self,
        parts: &mut [Leg<'r>],
        at: usize,
        hello: &Hello,
        peer: &dyn Peer,
        uids: &[String],
        given: &mut HashSet<(usize, String)>,
        all: &mut Outcome,
    ) -> Result<()> {
        let mut page = Page::new(&parts[at].table.resource);
        parts[at].door.lookup(&parts[at].table, uids, &mut page)?;
        given.extend(uids.iter().map(|uid| (at, uid.clone())));
        let mut wanted: BTreeMap<usize, HashSet<String>> = BTreeMap::new();
        for (resource, uid) in page.views().flat_map(references) {
            let parent = parts.iter().position(|part| part.table.resource == resource && !part.failed && part.resource.mode.pushes());
            if let Some(parent) = parent.filter(|parent| !given.contains(&(*parent, uid.to_owned()))) {
                wanted.entry(parent).or_default().insert(uid.to_owned());
            }
        }
        for (parent, uids) in wanted {
            if given.len() >= DEEPEST {
                break;
            }
            let absent: Vec<String> = uids.into_iter().collect();
            for some in absent.chunks(FETCH) {
                let ask = CompareRequest { absent: some.to_vec(), filters: parts[parent].asks(), ..CompareRequest::default() };
                let answer = peer.compare(&parts[parent].table.resource.clone(), &ask)?;
                let unknown = answer.absent.into_iter().filter(|absent| absent.state == Absence::Unknown).map(|absent| absent.uid);
                let unknown: Vec<String> = unknown.collect();
                if !unknown.is_empty() {
                    self.give_named(parts, parent, hello, peer, &unknown, given, all)?;
                }
            }
        }
        let theirs = versions(&peer.fetch(&page.resource, uids)?);
        let same = |at: &usize| {
            let view = page.view(&page.records[*at]);
            theirs.get(view.uid()) == Some(&(view.record.version.clone(), view.digest()))
        };
        let same: Vec<usize> = (0..page.records.len()).filter(same).collect();
        page.remove(&same);
        if page.records.is_empty() {
            return Ok(());
        }
        let upto = parts[at].share.push;
        self.give(&mut parts[at], hello, peer, &page, upto, all)
    }

    fn tell_moved(
        &mut self,
        part: &mut Leg<'r>,
        peer: &dyn Peer,
        uids: &[String],
        before: &(Versions, Versions),
        after: &(Versions, Versions),
    ) -> Result<()> {
        let waits = waiting(&mut part.door, &part.table)?;
        let ask = CompareRequest { absent: uids.to_vec(), filters: part.asks(), ..CompareRequest::default() };
        let answer = peer.compare(&part.table.resource, &ask)?;
        let states: HashMap<&str, Absence> = answer.absent.iter().map(|absent| (absent.uid.as_str(), absent.state)).collect();
        for uid in uids {
            let ((ours, theirs), (ours_now, theirs_now)) = ((before.0.get(uid), before.1.get(uid)), (after.0.get(uid), after.1.get(uid)));
            let equal = ours_now.is_some() && ours_now == theirs_now;
            let what = match equal {
                true if ours == theirs => "was the same already",
                true if ours_now == theirs => "taken",
                true if theirs_now == ours => "given",
                true => "joined",
                false if waits.contains(uid) => "waits here: entente quarantine",
                false => match states.get(uid.as_str()) {
                    Some(Absence::Waiting) => "waits there: entente quarantine",
                    Some(Absence::Held) => "held there by an open conflict",
                    Some(Absence::Filtered) => "kept back by a filter",
                    _ if ours_now.is_none() && theirs_now.is_none() => "known at neither site",
                    _ => "kept apart by a policy, a strategy or the mode",
                },
            };
            self.moved.push(Moved { uid: uid.clone(), what: what.into(), equal });
        }
        Ok(())
    }
}
