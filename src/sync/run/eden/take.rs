//! Taking what an Eden has.

use super::{Leg, Seen, second, uploads::fetched};
use crate::{
    connector::{Make, Part},
    error::Result,
    model::{
        Policy, SiteId, Time,
        eden::{Document, EdenPull, UNDATED},
    },
    peer::Eden,
    sync::{
        Bare, Outcome,
        eden::{Exchange, take},
        import::retry,
        run::{Progress, Run},
    },
};

/// So many seconds before the last one are asked for again: what was committed late with an earlier time would be lost.
const OVERLAP: i64 = 300;

/// After so many seconds everything is asked for: an Eden keeps the times of what it relays, which are older than any cursor.
const WHOLE: i64 = 24 * 3600;

impl<'r> Run<'r, '_> {
    pub(super) fn take_all(&mut self, legs: &mut [Leg<'r>], eden: &Eden, peer: SiteId) {
        for at in 0..legs.len() {
            if legs[at].failed || !legs[at].resource.mode.pulls() {
                continue;
            }
            let name = legs[at].table.resource.clone();
            let well = self.eden_report(&name, "pull", |run, outcome| run.take_one(legs, at, eden, peer, outcome));
            // What could not be taken must not be overwritten there.
            legs[at].failed |= !well;
        }
        if !self.ask.dry_run {
            self.conclude_eden(legs, peer);
        }
    }

    fn take_one(&mut self, legs: &mut [Leg<'r>], at: usize, eden: &Eden, peer: SiteId, all: &mut Outcome) -> Result<()> {
        let leg = &legs[at];
        let (resource, now) = (leg.table.resource.clone(), self.site.now());
        let seen = Seen::read(&leg.share.pull);
        let same = leg.share.asked == leg.filter.to_string();
        let whole = self.ask.full || !same || leg.resource.update == Policy::Other || second(now) - seen.whole > WHOLE;
        let since = seen.newest.filter(|_| !whole).map(|newest| Time((newest - OVERLAP) * 1_000_000));
        let before = eden.traffic();
        let pull = EdenPull { resource: resource.clone(), since, filters: asks(leg), ..EdenPull::default() };
        let mut document = eden.pull(&pull, &self.site.domain())?;
        for page in &mut document.pages {
            let Some(leg) = legs.iter().find(|leg| leg.table.resource == page.resource).filter(|_| !self.ask.dry_run) else { continue };
            if let Some(whole) = fetched(eden, &leg.table, page, all) {
                *page = whole;
            }
        }
        all.counts.bytes = eden.traffic() - before;
        for refused in document.refused.iter().filter(|refused| refused.resource == resource) {
            all.counts.quarantined += 1;
            all.warn(format!("{} of {} is no record: {}", refused.uid, refused.resource, refused.reason));
        }
        if self.ask.dry_run {
            all.counts.records += document.page(&resource).map_or(0, |page| page.records.len() as u64);
            return Ok(());
        }
        self.take_document(legs, &resource, &document, since.map(second), peer, all)?;
        let leg = &mut legs[at];
        let newest = document.page(&resource).and_then(|page| newest(page, now)).max(seen.newest);
        let seen = Seen { newest, whole: if since.is_none() { second(now) } else { seen.whole } };
        (leg.share.pull, leg.share.asked) = (seen.write(), leg.filter.to_string());
        leg.door.set_share(&leg.table, peer, Part::Active, &leg.share, 0)?;
        (self.control.progress)(&Progress { resource: &resource, direction: "pull", counts: all.counts, total: None });
        Ok(())
    }

    /// Applies the records of a document, parents first. Of what comes along with the resource, what is shared is taken.
    fn take_document(
        &mut self,
        legs: &mut [Leg<'r>],
        resource: &str,
        document: &Document,
        since: Option<i64>,
        peer: SiteId,
        all: &mut Outcome,
    ) -> Result<()> {
        for page in document.pages.iter().filter(|page| page.resource != resource) {
            let shared = legs.iter().any(|leg| leg.table.resource == page.resource && leg.resource.mode.pulls());
            let needed = legs.iter().any(|leg| leg.table.references.iter().any(|reference| reference.resource == page.resource));
            if !shared && needed {
                all.warn(format!("{} refers to {}, which is not shared with {}", resource, page.resource, self.repository.name));
            }
        }
        for leg in legs.iter_mut().filter(|leg| !leg.failed && leg.resource.mode.pulls()) {
            let own = leg.table.resource == resource;
            let terms = self.eden_terms(leg, peer)?;
            if own {
                all.add(retry(&mut *leg.door, &leg.table, &terms)?);
            }
            let Some(page) = document.page(&leg.table.resource) else { continue };
            self.stopped()?;
            let exchange = Exchange { terms: &terms, since, arrived: Time(i64::MAX) };
            let mut outcome = take(&mut leg.door, &leg.table, page, &exchange, &mut Bare)?;
            // In an Eden's own table what goes is changed.
            leg.buried |= outcome.counts.deleted > 0 || leg.table.form.make == Make::Eden && outcome.counts.updated > 0;
            if !own {
                // What came along unchanged is not worth a word.
                outcome.counts.records -= outcome.counts.unchanged;
                outcome.counts.unchanged = 0;
            }
            for missing in outcome.missing.drain(..) {
                all.warn(format!("{} waits for {} {}", leg.table.resource, missing.0, missing.1));
            }
            all.add(outcome);
        }
        Ok(())
    }
}

fn asks(leg: &Leg<'_>) -> Vec<String> {
    if leg.filter.is_everything() { Vec::new() } else { vec![leg.filter.to_string()] }
}

/// The latest second of a page's records that is not of the future, in which no cursor may stand.
fn newest(page: &crate::model::Page, now: Time) -> Option<i64> {
    let times = page.records.iter().map(|record| record.modified_on).filter(|time| *time != UNDATED);
    times.map(|time| second(time.min(now))).max()
}
