//! Giving: pages of what changed here; the cursor moves on the peer's durable answer alone.

use std::sync::mpsc;

use super::{FETCH, Leg, Progress, Run, samples};
use crate::{
    connector::{Extent, Part},
    decide::Source,
    error::{Error, Kind, Result},
    model::{Hello, Page, Policy, PushRequest},
    peer::Peer,
    sync::{Bare, Outcome, epoch, filters::Sieve, import::import},
};

impl<'r> Run<'r, '_> {
    /// Pushes a resource to its end; the next page is read while the last is on its way.
    pub(super) fn push(&mut self, part: &mut Leg<'r>, hello: &Hello, peer: &dyn Peer, all: &mut Outcome) -> Result<()> {
        if part.share.push >= part.door.head(&part.table)? {
            return Ok(());
        }
        let table = part.table.clone();
        let takes = part.resource.mode.pulls() && part.there.mode.pulls();
        if part.resource.update == Policy::Other && takes && !self.ask.dry_run {
            self.take_back(part, hello, peer, all)?;
        }
        let total = Some(part.door.pending(&part.table, part.share.push, hello.uuid, u32::MAX)?.records);
        let (mut source, table2) = epoch::door(self.site, &table.resource)?;
        let extent = Extent {
            records: self.site.config.page_records.min(hello.limits.records) as usize,
            bytes: usize::try_from(self.site.config.page_bytes.min(hello.limits.body / 4)).unwrap_or(usize::MAX),
        };
        let (after, uuid, site) = (part.share.push, hello.uuid, self.site);
        let sieve = Sieve::of(&part.share, uuid)?;
        let (before, ahead) = (peer.traffic(), self.site.config.read_ahead);
        let mut give = |page: Page, upto: i64| {
            self.stopped()?;
            self.give(part, hello, peer, &page, upto, all)?;
            all.counts.bytes = peer.traffic() - before;
            (self.control.progress)(&Progress { resource: &table.resource, direction: "push", counts: all.counts, total });
            Ok(())
        };
        let mut each = move |take: &mut dyn FnMut(Page, i64) -> Result<()>| {
            let mut after = after;
            loop {
                let mut page = Page::new(&table2.resource);
                let (upto, more) = source.export(&table2, after, uuid, extent, site.now(), &mut page)?;
                sieve.sift(&mut page, upto);
                take(page, upto)?;
                if !more {
                    return Ok(());
                }
                after = upto;
            }
        };
        if !ahead {
            return each(&mut give);
        }
        std::thread::scope(|scope| {
            let (send, pages) = mpsc::sync_channel::<Result<(Page, i64)>>(1);
            scope.spawn(move || {
                let gone = |_| Error::new(Kind::Stopped, "nobody takes the pages");
                if let Err(error) = each(&mut |page, upto| send.send(Ok((page, upto))).map_err(gone)) {
                    // The receiver is gone when it failed itself.
                    let _ = send.send(Err(error));
                }
            });
            pages.into_iter().try_for_each(|page| page.and_then(|(page, upto)| give(page, upto)))
        })
    }

    pub(super) fn give(
        &mut self,
        part: &mut Leg<'r>,
        hello: &Hello,
        peer: &dyn Peer,
        page: &Page,
        upto: i64,
        all: &mut Outcome,
    ) -> Result<()> {
        if self.ask.dry_run {
            let retracted = page.records.iter().filter(|record| record.retracted).count() as u64;
            all.counts.records += page.records.len() as u64 - retracted;
            all.counts.retracted += retracted;
            if all.samples.is_empty() {
                all.samples = samples::given(page);
            }
            return Ok(());
        }
        if !page.records.is_empty() {
            self.begin(part, hello)?;
            let request = PushRequest {
                batch: self.site.uuids().next(),
                run: part.share.told,
                heard: part.share.heard,
                strategy: part.resource.strategy,
                update: part.resource.update,
                conflict: part.resource.conflict,
                merge_fields: part.resource.merge_fields,
                life: part.life.clone(),
            };
            let receipt = peer.push(&request, page)?;
            part.share.hear(receipt.run);
            for quarantined in receipt.quarantine.iter().take(3) {
                all.warnings.push(format!("{} quarantined {}: {}", self.repository.name, quarantined.uuid, quarantined.reason));
            }
            all.add(Outcome { counts: receipt.counts, deletions: receipt.deletions, ..Outcome::default() });
        }
        part.share.push = upto;
        let (table, share) = (part.table.clone(), part.share.clone());
        let mut tx = part.door.begin()?;
        if tx.share(&table, hello.uuid, Part::Active)?.told != share.told {
            return Err(Error::new(Kind::Fence, "a newer run with this repository has begun"));
        }
        tx.set_share(&table, hello.uuid, Part::Active, &share)?;
        if table.bases {
            tx.set_bases(&table, page)?;
        }
        tx.commit()
    }

    /// Under OTHER, what we would push is first compared with what the peer holds now, and theirs is taken back.
    pub(super) fn take_back(&mut self, part: &mut Leg<'r>, hello: &Hello, peer: &dyn Peer, all: &mut Outcome) -> Result<()> {
        self.begin(part, hello)?;
        let table = part.table.clone();
        let terms = self.terms(part, hello, Source::Fetched)?;
        let sieve = Sieve::of(&part.share, hello.uuid)?;
        let (mut after, head) = (part.share.push, part.door.head(&table)?);
        while after < head {
            let mut page = Page::new(&table.resource);
            let extent = Extent { records: FETCH, bytes: usize::try_from(self.site.config.page_bytes).unwrap_or(usize::MAX) };
            (after, _) = part.door.export(&table, after, hello.uuid, extent, self.site.now(), &mut page)?;
            sieve.sift(&mut page, after);
            let uids: Vec<String> = page.views().filter(|view| !view.record.retracted).map(|view| view.uid().to_owned()).collect();
            if !uids.is_empty() {
                let theirs = peer.fetch(&table.resource, &uids)?;
                let mut outcome = import(&mut *part.door, &table, &theirs, &terms, &mut Bare)?;
                outcome.counts.records = 0;
                all.warnings.append(&mut outcome.warnings);
            }
        }
        Ok(())
    }
}
