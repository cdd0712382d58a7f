//! Taking: pages of a resource, each applied with its cursor, and what they turn out to need.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::mpsc,
};

use super::{FETCH, Leg, Progress, Run, samples};
use crate::{
    connector::{Apply, Part, Share, Table},
    decide::Source,
    error::{Error, Kind, Result},
    model::{Hello, MANY, Page, PullRequest, SiteId, Want},
    peer::Peer,
    sync::{
        Bare, Bracket, Outcome, Terms, epoch,
        import::{adopt, conclude, import, retry},
    },
};

impl<'r> Run<'r, '_> {
    pub(super) fn pull_all(&mut self, parts: &mut [Leg<'r>], hello: &Hello, peer: &dyn Peer) {
        for at in 0..parts.len() {
            let pulls = |part: &Leg<'_>| !part.failed && part.resource.mode.pulls() && part.there.mode.pulls();
            if !pulls(&parts[at]) {
                continue;
            }
            let mut missing = Vec::new();
            let part = &mut parts[at];
            self.report(part, "pull", |run, part, counts| run.pull(part, hello, peer, counts, &mut missing));
            if let Some(met) = self.met.as_mut().filter(|_| !part.failed && !self.ask.dry_run) {
                met.took(&part.table.resource);
            }
            self.fetch_missing(parts, hello, peer, missing);
        }
        if self.ask.dry_run {
            return;
        }
        // Children first: a deletion that waits for theirs can then be done.
        for at in (0..parts.len()).rev() {
            let part = &mut parts[at];
            if part.failed || !part.resource.mode.pulls() {
                continue;
            }
            let table = part.table.clone();
            match self.terms(part, hello, Source::Page).and_then(|terms| conclude(&mut *part.door, &table, &terms)) {
                Ok(outcome) => self.also(&table.resource, outcome),
                Err(error) => {
                    part.failed = true;
                    self.fail(&table.resource, "pull", error);
                }
            }
        }
    }

    /// Pulls a resource to its end; the next page is fetched while the last is applied.
    pub(super) fn pull(
        &mut self,
        part: &mut Leg<'r>,
        hello: &Hello,
        peer: &dyn Peer,
        all: &mut Outcome,
        missing: &mut Vec<(String, String)>,
    ) -> Result<()> {
        if part.share.pull == part.there.head && part.share.asked == part.filter.to_string() {
            let terms = self.terms(part, hello, Source::Page)?;
            let table = part.table.clone();
            all.add(retry(&mut *part.door, &table, &terms)?);
            return Ok(());
        }
        self.begin(part, hello)?;
        let terms = self.terms(part, hello, Source::Page)?;
        let table = part.table.clone();
        all.add(retry(&mut *part.door, &table, &terms)?);
        let first = PullRequest {
            resource: table.resource.clone(),
            cursor: part.share.pull.clone(),
            records: self.site.config.page_records,
            bytes: self.site.config.page_bytes,
            run: part.share.told,
            heard: part.share.heard,
            filters: part.asks(),
            life: part.life.clone(),
            want: Want::Page,
        };
        // What was counted before is not what there is where everything is taken again.
        let waiting = part.there.waiting.filter(|records| !self.ask.full && *records < u64::from(MANY));
        let (before, ahead, total) = (peer.traffic(), self.site.config.read_ahead, waiting.or(part.there.records));
        let mut take = |page: Page| {
            self.stopped()?;
            let terms = Terms { now: self.site.now(), ..terms.clone() };
            let mut outcome = self.take(part, hello, &page, &terms)?;
            missing.append(&mut outcome.missing);
            let twins = std::mem::take(&mut outcome.twins);
            all.add(outcome);
            if !twins.is_empty() && !self.ask.dry_run {
                let alive = alive_there(peer, &table.resource, &twins)?;
                all.add(adopt(&mut *part.door, &table, &terms, &alive)?);
            }
            all.counts.bytes = peer.traffic() - before;
            (self.control.progress)(&Progress { resource: &table.resource, direction: "pull", counts: all.counts, total });
            Ok(())
        };
        if !ahead {
            return each_page(peer, first, take);
        }
        std::thread::scope(|scope| {
            let (give, pages) = mpsc::sync_channel::<Result<Page>>(1);
            scope.spawn(move || {
                let done =
                    each_page(peer, first, |page| give.send(Ok(page)).map_err(|_| Error::new(Kind::Stopped, "nobody takes the pages")));
                if let Err(error) = done {
                    // The receiver is gone when it failed itself.
                    let _ = give.send(Err(error));
                }
            });
            pages.into_iter().try_for_each(|page| take(page?))
        })
    }

    /// Applies a page together with its cursor.
    pub(super) fn take(&self, part: &mut Leg<'r>, hello: &Hello, page: &Page, terms: &Terms) -> Result<Outcome> {
        let (pull, asked) = (page.cursor.clone(), part.filter.to_string());
        let mut share = Share { pull, asked, ..part.share.clone() };
        share.hear(page.run.unwrap_or(0));
        let table = part.table.clone();
        let mut cursor = Cursor {
            table: &table,
            peer: hello.uuid,
            share: &share,
            dry: self.ask.dry_run.then(|| (self.id.unsigned_abs(), self.site.id)),
            outcome: None,
        };
        match import(&mut *part.door, &table, page, terms, &mut cursor) {
            Ok(outcome) => {
                let refused = share.refused || outcome.refused;
                part.share = Share { refused, ..share };
                Ok(outcome)
            }
            Err(error) if error.kind() == Kind::Epoch => {
                epoch::renew(self.site, &mut part.door, 0)?;
                Err(error)
            }
            Err(error) => cursor.outcome.ok_or(error),
        }
    }

    /// Asks once for records that others refer to and that are not here.
    pub(super) fn fetch_missing(&mut self, parts: &mut [Leg<'r>], hello: &Hello, peer: &dyn Peer, missing: Vec<(String, String)>) {
        let mut by_resource: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (resource, uid) in missing.into_iter().filter(|_| !self.ask.dry_run) {
            by_resource.entry(resource).or_default().insert(uid);
        }
        for (resource, uids) in by_resource {
            let Some(part) = parts.iter_mut().find(|part| part.table.resource == resource && !part.failed && part.resource.mode.pulls())
            else {
                self.warnings.push(format!("Records wait for {resource}, which is not shared with {}", self.repository.name));
                continue;
            };
            let uids: Vec<String> = uids.into_iter().collect();
            let table = part.table.clone();
            for some in uids.chunks(FETCH) {
                let fetched = peer.fetch(&resource, some).and_then(|page| Ok((page, self.terms(part, hello, Source::Page)?)));
                let done = fetched.and_then(|(page, terms)| import(&mut *part.door, &table, &page, &terms, &mut Bare));
                match done {
                    Ok(outcome) => self.also(&resource, outcome),
                    Err(error) => self.warnings.push(format!("Missing records of {resource} could not be fetched: {}", error.chain())),
                }
            }
        }
    }
}

/// Fetches page after page.
fn each_page(peer: &dyn Peer, mut request: PullRequest, mut take: impl FnMut(Page) -> Result<()>) -> Result<()> {
    loop {
        let page = peer.pull(&request)?;
        let next = page.more.then(|| (page.cursor.clone(), page.run));
        take(page)?;
        let Some((cursor, run)) = next else { return Ok(()) };
        request.cursor = cursor;
        request.heard = run.unwrap_or(0).max(request.heard);
    }
}

pub(super) fn alive_there(peer: &dyn Peer, resource: &str, uids: &[String]) -> Result<HashSet<String>> {
    let mut alive = HashSet::new();
    for some in uids.chunks(FETCH) {
        let page = peer.fetch(resource, some)?;
        alive.extend(page.views().filter(|view| !view.record.deleted).map(|view| view.uid().to_owned()));
    }
    Ok(alive)
}

/// The peer's cursor, stored with the page it came after, unless a newer run holds the repository.
struct Cursor<'a> {
    table: &'a Table,
    peer: SiteId,
    share: &'a Share,
    /// The run and this site, where nothing is to be changed.
    dry: Option<(u64, SiteId)>,
    outcome: Option<Outcome>,
}

impl Bracket for Cursor<'_> {
    fn before(&mut self, tx: &mut dyn Apply) -> Result<Option<Outcome>> {
        if tx.share(self.table, self.peer, Part::Active)?.told != self.share.told {
            return Err(Error::new(Kind::Fence, "a newer run with this repository has begun"));
        }
        Ok(None)
    }

    fn after(&mut self, tx: &mut dyn Apply, outcome: &Outcome) -> Result<()> {
        if let Some((run, me)) = self.dry {
            self.outcome = Some(Outcome { samples: samples::of(tx, self.table, run, me)?, ..outcome.clone() });
            return Err(Error::new(Kind::Stopped, "dry run"));
        }
        let refused = self.share.refused || outcome.refused;
        tx.set_share(self.table, self.peer, Part::Active, &Share { refused, ..self.share.clone() })
    }
}
