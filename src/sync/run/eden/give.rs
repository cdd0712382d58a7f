//! Giving an Eden what changed here. The cursor moves on its answer alone; a record that it cannot take is named and spares the others.

use std::collections::{BTreeSet, HashMap};

use super::{
    Leg,
    answers::{Answers, breaks, is_short},
    second,
};
use crate::{
    connector::{Extent, Part, Wait, Waiting, Which},
    error::{Kind, Result},
    model::{
        Counts, Method, Page, Policy, RecordView, SiteId, Strategy,
        eden::{EdenPush, Feed, Holding},
    },
    peer::{Eden, EdenDoor, EdenSender},
    sync::{
        Outcome,
        eden::{Filters, Tables, as_told, close, held},
        run::{Progress, Run},
    },
};

/// Records in one document: Eden applies it in one transaction, and its parser takes long over long ones.
pub(super) const RECORDS: usize = 1_000;

/// The most waiting versions of one record that are looked at.
const SEVERAL: usize = 100;

/// What is sent to an Eden, and how.
pub(super) struct Way<'a> {
    eden: &'a Eden,
    push: EdenPush,
    door: EdenDoor,
    sender: EdenSender,
    filters: Filters,
    /// It was refused before.
    pub(super) again: bool,
}

impl<'r> Run<'r, '_> {
    pub(super) fn give_eden(&mut self, legs: &mut [Leg<'r>], at: usize, eden: &Eden, peer: SiteId, all: &mut Outcome) -> Result<()> {
        let shared = pushed(legs);
        let allowed = |resource: &str| shared.contains(resource);
        let mut tables = Tables::new(self.site, &allowed);
        let filters = filters_of(legs);
        let leg = &mut legs[at];
        if self.ask.full || leg.share.given != leg.filter.to_string() {
            (leg.share.push, leg.share.given) = (0, leg.filter.to_string());
        }
        let (before, head) = (eden.traffic(), leg.door.head(&leg.table)?);
        let mut way = self.way(leg, eden, filters);
        while leg.share.push < head {
            self.stopped()?;
            let mut page = Page::new(&leg.table.resource);
            let bytes = usize::try_from(self.site.config.page_bytes).unwrap_or(usize::MAX);
            let extent = Extent { records: RECORDS.min(self.site.config.page_records as usize), bytes };
            let (upto, more) = leg.door.export(&leg.table, leg.share.push, peer, extent, self.site.now(), &mut page)?;
            self.give_page(leg, page, upto, &mut way, peer, &mut tables, all)?;
            all.counts.bytes = eden.traffic() - before;
            (self.control.progress)(&Progress { resource: &leg.table.resource, direction: "push", counts: all.counts, total: None });
            if !more {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn way<'a>(&self, leg: &Leg<'_>, eden: &'a Eden, filters: Filters) -> Way<'a> {
        let resource = &leg.resource;
        let plain = resource.update == Policy::Newer
            && matches!(resource.conflict, Policy::Newer | Policy::Manual)
            && resource.strategy == Strategy::default();
        let conflict = if resource.conflict == Policy::Manual { Policy::Newer } else { resource.conflict };
        let push =
            EdenPush { resource: resource.name.clone(), since: None, strategy: resource.strategy, update: resource.update, conflict };
        let url = self.site.config.url.clone().unwrap_or_default();
        Way {
            eden,
            push,
            door: if plain { EdenDoor::Sync } else { EdenDoor::Controller },
            sender: EdenSender { site: self.site.id, domain: self.site.domain(), prefix: self.site.domain(), url },
            filters,
            again: false,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one step of one loop")]
    pub(super) fn give_page(
        &mut self,
        leg: &mut Leg<'r>,
        mut page: Page,
        upto: i64,
        way: &mut Way<'_>,
        peer: SiteId,
        tables: &mut Tables<'_, '_>,
        all: &mut Outcome,
    ) -> Result<()> {
        let uids: Vec<String> = page.views().map(|view| view.uid().to_owned()).collect();
        as_told(&leg.table, &mut page);
        let notes = leg.door.notes(&leg.table, peer, Some(&uids))?;
        let now = self.site.now();
        let idle = |view: RecordView<'_>| {
            let held = held(&notes, view.uid()).filter(|held| held.at >= leg.believed);
            // Of what does not match, and was never there, nothing is told.
            let hidden = if view.record.deleted { !leg.filter.is_everything() && held.is_none() } else { !leg.filter.matches(view) };
            let refused =
                held.as_ref().is_some_and(|held| held.refused.as_ref().is_some_and(|(version, _)| *version == view.record.version));
            view.record.retracted || hidden || if way.again { !refused } else { has(held, view) }
        };
        let idle: Vec<usize> = page.views().enumerate().filter(|(_, view)| idle(*view)).map(|(at, _)| at).collect();
        page.remove(&idle);
        if self.ask.dry_run {
            all.counts.records += page.records.len() as u64;
            leg.share.push = upto;
            return Ok(());
        }
        if way.door == EdenDoor::Sync {
            self.withhold(leg, &mut page, &notes, all);
        }
        let (mut noted, mut refused) = (Vec::new(), HashMap::new());
        if !page.records.is_empty() {
            let mut answers = Answers::default();
            self.outlast(&page);
            let sent = self.send(leg, &page, &notes, way, tables, peer, &mut answers);
            if let Err(error) = sent {
                // There is no such door: what its policies would hold back is held back here.
                if way.door == EdenDoor::Controller && Eden::has_no_door(&error) {
                    way.door = EdenDoor::Sync;
                    return self.give_page(leg, page, upto, way, peer, tables, all);
                }
                return Err(error);
            }
            // What was edited there until it answered did not have to see ours: it keeps its own, and counts ours as taken.
            noted = answers.notes(&page, &notes, self.site.now());
            for view in page.views().filter(|view| !answers.refused.contains_key(view.uid())) {
                leg.buried |= view.record.deleted;
                if !view.record.deleted && held(&notes, view.uid()).is_some_and(|held| held.refused.is_some()) {
                    leg.healed.insert(view.uid().to_owned());
                }
            }
            for refused in answers.refused.values().filter(|_| !way.again) {
                all.warn(format!("{} refused {}: {}", self.repository.name, refused.uid, refused.reason));
            }
            all.warnings.extend(answers.told);
            let quarantined = if way.again { 0 } else { answers.refused.len() as u64 };
            let records = page.records.len() as u64 - if way.again { answers.refused.len() as u64 } else { 0 };
            let counts = Counts { records, quarantined, ..answers.counts };
            all.add(Outcome { counts, ..Outcome::default() });
            refused = answers.refused;
        }
        leg.share.push = upto;
        let mut tx = leg.door.begin()?;
        for view in page.views() {
            let now_refused = refused.get(view.uid());
            if now_refused.is_none() && held(&notes, view.uid()).is_none_or(|held| held.refused.is_none()) {
                continue;
            }
            for waiter in tx.waiters(Which::Of(&leg.table, view.uid()), SEVERAL)? {
                if waiter.kind == Waiting::Refused && waiter.site == peer {
                    tx.unwait(waiter.id)?;
                }
            }
            if let Some(refused) = now_refused {
                let run = self.id.unsigned_abs();
                tx.wait(&leg.table, view, &Wait { kind: Waiting::Refused, reason: &refused.reason, missing: &[], peer, run, now })?;
            }
        }
        tx.set_notes(&leg.table, peer, &noted)?;
        tx.set_share(&leg.table, peer, Part::Active, &leg.share)?;
        tx.commit()
    }

    /// Lets the second end in which a record was edited. An Eden knows no finer time: an edit there in the same second would look like what the Eden
    /// made of ours.
    fn outlast(&self, page: &Page) {
        let now = self.site.now();
        if page.records.iter().any(|record| second(record.modified_on) == second(now)) {
            let rest = 1_000_000 - now.0.rem_euclid(1_000_000);
            std::thread::sleep(std::time::Duration::from_micros(rest.unsigned_abs()));
        }
    }

    /// Sends a page; where the Eden breaks over it, its halves, so that the one record that it cannot take is found.
    #[expect(clippy::too_many_arguments, reason = "it calls itself")]
    fn send(
        &mut self,
        leg: &Leg<'_>,
        page: &Page,
        notes: &HashMap<String, String>,
        way: &Way<'_>,
        tables: &mut Tables<'_, '_>,
        peer: SiteId,
        answers: &mut Answers,
    ) -> Result<()> {
        self.stopped()?;
        let mut feed = Feed { masters: page.clone(), results: page.records.len(), ..Feed::default() };
        close(&mut feed, &way.filters, tables)?;
        prune(&mut feed, tables, peer)?;
        answers.clear(leg, page, notes, &mut feed);
        let done = match way.eden.push(&way.push, &feed, &way.sender, way.door) {
            Err(error) if error.kind() == Kind::Forbidden && error.to_string().contains("Registration required") => {
                way.eden.register(&self.site.name)?;
                way.eden.push(&way.push, &feed, &way.sender, way.door)
            }
            done => done,
        };
        match done {
            // Of a document that was not taken whole, and with no word of which, each half says more.
            Ok((answer, _)) if is_short(&answer, &feed) && answers.search(page) => {
                let (first, second) = halves(page);
                self.send(leg, &first, notes, way, tables, peer, answers)?;
                self.send(leg, &second, notes, way, tables, peer, answers)
            }
            Ok((answer, lossy)) => {
                if is_short(&answer, &feed) {
                    answers.passed_over(page);
                }
                answers.note_created(&answer, page, notes);
                answers.add(answer, &page.resource, &way.sender);
                if lossy.replaced > 0 {
                    answers
                        .tell(format!("{}: characters that an Eden cannot keep were replaced in {} texts", page.resource, lossy.replaced));
                }
                if !lossy.unsent.is_empty() {
                    let fields: Vec<&str> = lossy.unsent.iter().map(String::as_str).collect();
                    answers.tell(format!("{}: an Eden cannot be given the values of {}", page.resource, fields.join(", ")));
                }
                Ok(())
            }
            Err(error) if breaks(&error) && page.records.len() > 1 => {
                let (first, second) = halves(page);
                self.send(leg, &first, notes, way, tables, peer, answers)?;
                self.send(leg, &second, notes, way, tables, peer, answers)
            }
            Err(error) if breaks(&error) => {
                // An Eden that cannot take nothing at all is ill, and the record is not to blame.
                if way.eden.push(&way.push, &Feed::default(), &way.sender, way.door).is_err() {
                    return Err(error);
                }
                answers.breaks(page, &error);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Takes out what the policies and the strategy forbid, where the Eden would not mind them.
    fn withhold(&self, leg: &Leg<'_>, page: &mut Page, notes: &HashMap<String, String>, all: &mut Outcome) {
        let resource = &leg.resource;
        let held_back = |view: RecordView<'_>| {
            let there = held(notes, view.uid()).is_some_and(|held| !held.version.is_empty());
            let method = match (there, view.record.deleted) {
                (_, true) if view.heir().is_some() => Method::Merge,
                (_, true) => Method::Delete,
                (true, false) => Method::Update,
                (false, false) => Method::Create,
            };
            let by_policy = match resource.update {
                Policy::Other => there,
                Policy::Master => there && view.record.origin != self.site.id,
                _ => false,
            };
            by_policy || !resource.strategy.allows(method)
        };
        let out: Vec<usize> = page.views().enumerate().filter(|(_, view)| held_back(*view)).map(|(at, _)| at).collect();
        if !out.is_empty() {
            all.counts.kept += out.len() as u64;
            all.warn(format!(
                "{}: {} held back, since {} has no address that honours the update policy {} and the strategy {}",
                resource.name,
                crate::sync::run::told(out.len() as u64),
                self.repository.name,
                resource.update,
                resource.strategy
            ));
            page.remove(&out);
        }
    }
}

/// The resources that are pushed.
pub(super) fn pushed(legs: &[Leg<'_>]) -> BTreeSet<String> {
    legs.iter().filter(|leg| leg.resource.mode.pushes()).map(|leg| leg.table.resource.clone()).collect()
}

pub(super) fn filters_of(legs: &[Leg<'_>]) -> Filters {
    legs.iter().map(|leg| (leg.table.resource.clone(), leg.filter.clone())).collect()
}

/// Whether the Eden has a record as it is, or refused it so.
fn has(held: Option<Holding>, view: RecordView<'_>) -> bool {
    held.is_some_and(|held| match &held.refused {
        Some((version, _)) => *version == view.record.version,
        None => held.version == view.record.version,
    })
}

/// Leaves out what the Eden has of what goes along.
fn prune(feed: &mut Feed, tables: &mut Tables<'_, '_>, peer: SiteId) -> Result<()> {
    for page in &mut feed.referenced {
        let Some((door, table)) = tables.of(&page.resource.clone()) else { continue };
        let uids: Vec<String> = page.views().map(|view| view.uid().to_owned()).collect();
        let notes = door.notes(table, peer, Some(&uids))?;
        // One that it refused altogether it has to refuse again: what refers to it would be taken without the reference.
        let lacks = |held: &Option<Holding>| held.as_ref().is_some_and(|held| held.refused.is_some() && held.version.is_empty());
        let known = |view: RecordView<'_>| Some(held(&notes, view.uid())).filter(|held| !lacks(held)).is_some_and(|held| has(held, view));
        let there: Vec<usize> = page.views().enumerate().filter(|(_, view)| known(*view)).map(|(at, _)| at).collect();
        page.remove(&there);
    }
    feed.referenced.retain(|page| !page.records.is_empty());
    Ok(())
}

fn halves(page: &Page) -> (Page, Page) {
    let middle = page.records.len() / 2;
    let (mut first, mut second) = (Page::new(&page.resource), Page::new(&page.resource));
    page.views().enumerate().for_each(|(at, view)| if at < middle { first.copy(view) } else { second.copy(view) });
    (first, second)
}
