//! Giving an Eden again what it refused: it may have waited for something that the Eden took since.

use super::{
    Leg,
    answers::BREAKS,
    give::{RECORDS, filters_of, pushed},
};
use crate::{
    connector::{Waiting, Which},
    error::Result,
    model::{Page, RecordView, SiteId},
    peer::Eden,
    sync::{
        Outcome,
        eden::{Tables, as_told},
        import::references,
        run::Run,
    },
};

/// Which refused records are given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// Those that refer to what was taken.
    Living,
    /// Those that are gone.
    Gone,
}

impl<'r> Run<'r, '_> {
    /// Gives again what the Eden refused of a resource and is here as it was then. What it still refuses is not told again.
    pub(super) fn give_again(
        &mut self,
        legs: &mut [Leg<'r>],
        at: usize,
        again: Again,
        eden: &Eden,
        peer: SiteId,
        all: &mut Outcome,
    ) -> Result<()> {
        let leg = &mut legs[at];
        let (mut uids, mut after, mut more) = (Vec::new(), 0, true);
        let mut tx = leg.door.begin()?;
        while more && uids.len() < RECORDS {
            let waiting = tx.waiters(Which::Kinds(&[Waiting::Refused], after), RECORDS)?;
            (after, more) = (waiting.last().map_or(after, |last| last.id), waiting.len() == RECORDS);
            let of_here = waiting.iter().filter(|waiter| waiter.site == peer && waiter.resource == leg.table.resource);
            let of_here = of_here.filter(|waiter| !waiter.reason.starts_with(BREAKS));
            uids.extend(of_here.map(|waiter| waiter.page.view(&waiter.page.records[0]).uid().to_owned()));
        }
        drop(tx);
        if uids.is_empty() {
            return Ok(());
        }
        let mut page = Page::new(&leg.table.resource);
        leg.door.lookup(&leg.table, &uids, &mut page)?;
        as_told(&leg.table, &mut page);
        let healed = |(resource, uid): (&str, &str)| legs.iter().any(|leg| leg.table.resource == resource && leg.healed.contains(uid));
        let due = |view: RecordView<'_>| match again {
            Again::Living => !view.record.deleted && references(view).any(healed),
            Again::Gone => view.record.deleted,
        };
        let idle: Vec<usize> = page.views().enumerate().filter(|(_, view)| !due(*view)).map(|(at, _)| at).collect();
        page.remove(&idle);
        if page.records.is_empty() {
            return Ok(());
        }
        let shared = pushed(legs);
        let allowed = |resource: &str| shared.contains(resource);
        let (mut tables, filters) = (Tables::new(self.site, &allowed), filters_of(legs));
        let leg = &mut legs[at];
        let mut way = self.way(leg, eden, filters);
        way.again = true;
        let upto = leg.share.push;
        self.give_page(leg, page, upto, &mut way, peer, &mut tables, all)
    }
}
