//! A run with a stock Sahana Eden (docs/eden.md): pull, then push, with times for cursors and what it answers for receipts.

mod again;
mod answers;
mod give;
mod take;
mod uploads;

use std::collections::HashSet;

use self::again::Again;
use super::Run;
use crate::{
    connector::{Part, Share, Table},
    decide::{Source, filter::Filter},
    error::{Error, Result},
    model::{Resource, SiteId, Time},
    peer::Eden,
    site::Door,
    store,
    sync::{Outcome, Terms, epoch, filters, import::conclude, order::by_reference, pending::Meeting},
};

/// A resource of such a run.
struct Leg<'r> {
    resource: Resource,
    table: Table,
    door: Door<'r>,
    share: Share,
    filter: Filter,
    /// Where everything is exchanged again, what the Eden showed before this is not believed.
    believed: Time,
    failed: bool,
    /// Records that the Eden took in this run and had refused before.
    healed: HashSet<String>,
    /// Something of it went in this run, here or there.
    buried: bool,
}

/// How far we are in what an Eden has: its times, and when we last asked for everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Seen {
    /// The latest second of what was taken.
    newest: Option<i64>,
    /// When everything was asked for.
    whole: i64,
}

impl Seen {
    fn read(text: &str) -> Seen {
        let parse = || {
            let (newest, whole) = text.strip_prefix("eden ")?.split_once(' ')?;
            Some(Seen { newest: newest.parse().ok(), whole: whole.parse().ok()? })
        };
        parse().unwrap_or_default()
    }

    fn write(self) -> String {
        format!("eden {} {}", self.newest.map_or("-".to_owned(), |newest| newest.to_string()), self.whole)
    }
}

impl<'r> Run<'r, '_> {
    /// Everything that a run with an Eden does.
    pub(super) fn with_eden(&mut self, eden: &Eden) -> Result<()> {
        let peer = self.repository.uuid.ok_or_else(|| {
            Error::forbidden(format!("{} is not registered yet", self.repository.name))
                .hint(format!("Register again: entente repository set {} --url URL; or give its UUID with --uuid.", self.repository.name))
        })?;
        if self.ask.named.is_some() {
            return Err(Error::usage("single records cannot be exchanged with an Eden").hint("Exchange the resource: entente sync."));
        }
        self.met = Some(Meeting::with_eden());
        let mut legs = self.eden_legs(peer)?;
        if self.ask.pull {
            self.take_all(&mut legs, eden, peer);
        }
        if self.ask.push {
            for at in 0..legs.len() {
                if legs[at].failed || !legs[at].resource.mode.pushes() {
                    continue;
                }
                let name = legs[at].table.resource.clone();
                self.eden_report(&name, "push", |run, outcome| run.give_eden(&mut legs, at, eden, peer, outcome));
            }
            self.give_refused(&mut legs, eden, peer);
        }
        self.stopped()
    }

    fn eden_legs(&mut self, peer: SiteId) -> Result<Vec<Leg<'r>>> {
        let ours = self.site.store.read(|c| store::resources::list(c, self.repository.id))?;
        if ours.is_empty() {
            return Err(Error::usage(format!("nothing is shared with {} yet", self.repository.name))
                .hint(format!("Share a table: entente resource add {} NAME", self.repository.name)));
        }
        if let Some(unknown) = self.ask.resources.iter().flatten().find(|name| ours.iter().all(|resource| resource.name != **name)) {
            return Err(Error::not_found(format!("{unknown} is not shared with {}", self.repository.name)));
        }
        let mut legs = Vec::new();
        let believed = if self.ask.full { self.site.now() } else { Time(i64::MIN) };
        for resource in ours.into_iter().filter(|resource| self.ask.resources.as_ref().is_none_or(|names| names.contains(&resource.name))) {
            let opened = epoch::door(self.site, &resource.name).and_then(|(mut door, table)| {
                door.recheck(&table)?;
                let (share, filter) = (door.share(&table, peer, Part::Active)?, filters::read(&table, &resource.filters)?);
                Ok(Leg {
                    resource: resource.clone(),
                    table,
                    door,
                    share,
                    filter,
                    believed,
                    failed: false,
                    healed: HashSet::new(),
                    buried: false,
                })
            });
            match opened {
                Ok(leg) => legs.push(leg),
                Err(error) => self.fail(&resource.name, "pull", error),
            }
        }
        let order = by_reference(legs.iter().map(|leg| leg.table.clone()).collect());
        let place = |leg: &Leg<'_>| order.iter().position(|table| table.resource == leg.table.resource);
        legs.sort_by_key(place);
        Ok(legs)
    }

    fn eden_terms(&self, leg: &Leg<'_>, peer: SiteId) -> Result<Terms> {
        Ok(Terms {
            peer,
            rules: leg.resource.rules(),
            source: Source::Fetched,
            run: self.id.unsigned_abs(),
            me: self.site.id,
            now: self.site.now(),
            decider: self.site.decider(),
            elsewhere: filters::elsewhere(self.site, Some(self.repository.id), &leg.table.resource)?,
            fields: crate::sync::Fields::Some,
        })
    }

    /// Does one part of the run and reports it. Whether it went well.
    fn eden_report(&mut self, resource: &str, direction: &'static str, work: impl FnOnce(&mut Self, &mut Outcome) -> Result<()>) -> bool {
        let begun = self.site.now();
        let mut outcome = Outcome::default();
        let error = self.stopped().and_then(|()| work(self, &mut outcome)).err();
        let well = error.is_none();
        let seconds = (self.site.now().0 - begun.0) as f64 / 1e6;
        self.reported(resource, direction, outcome, seconds, error);
        well
    }

    /// What the Eden refused may have waited for something that it took in this run: a record for one that it refers to, a deletion for that of what
    /// refers to the record.
    fn give_refused(&mut self, legs: &mut [Leg<'r>], eden: &Eden, peer: SiteId) {
        let places: Vec<usize> = (0..legs.len()).filter(|at| !legs[*at].failed && legs[*at].resource.mode.pushes()).collect();
        let turns = places.iter().map(|at| (*at, Again::Living)).chain(places.iter().rev().map(|at| (*at, Again::Gone)));
        for (at, again) in turns {
            let due = legs.iter().any(|leg| if again == Again::Gone { leg.buried } else { !leg.healed.is_empty() });
            if self.ask.dry_run || !due {
                continue;
            }
            let (name, mut outcome) = (legs[at].table.resource.clone(), Outcome::default());
            match self.stopped().and_then(|()| self.give_again(legs, at, again, eden, peer, &mut outcome)) {
                Ok(()) => self.also_in(&name, "push", outcome),
                Err(error) => self.fail(&name, "push", error),
            }
        }
    }

    /// Deletions that waited for those of what refers to the records.
    fn conclude_eden(&mut self, legs: &mut [Leg<'r>], peer: SiteId) {
        for leg in legs.iter_mut().rev().filter(|leg| !leg.failed && leg.resource.mode.pulls()) {
            let table = leg.table.clone();
            match self.eden_terms(leg, peer).and_then(|terms| conclude(&mut *leg.door, &table, &terms)) {
                Ok(outcome) => self.also(&table.resource, outcome),
                Err(error) => {
                    leg.failed = true;
                    self.fail(&table.resource, "pull", error);
                }
            }
        }
    }
}

fn second(time: Time) -> i64 {
    time.0.div_euclid(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_we_are_survives_being_written() {
        for seen in [Seen { newest: Some(5), whole: 7 }, Seen { newest: None, whole: 0 }] {
            assert_eq!(Seen::read(&seen.write()), seen);
        }
        assert_eq!(Seen::read("b2:17"), Seen::default());
    }
}
