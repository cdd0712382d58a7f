//! Run numbers, epochs and cursors: how a site notices that a journal went back in time (SYNC.md 3).

use crate::{
    connector::{Connector, Part, Share, Table},
    error::{Error, Kind, Result},
    model::SiteId,
    site::{Door, Site},
    store::databases::{self, JournalMark},
};

/// Opens the database of a resource after making sure that its journal is ours and did not go back.
pub(super) fn door<'s>(site: &'s Site, resource: &str) -> Result<(Door<'s>, Table)> {
    let attached = site.store.read(|c| crate::store::attached::of(c, resource))?;
    let attached = attached.ok_or_else(|| Error::not_found(format!("{resource} is not attached here")))?;
    let mut door = site.door(&attached.database)?;
    check(site, &mut door)?;
    let table = door.tables()?.into_iter().find(|table| table.resource == resource);
    let table = table.ok_or_else(|| {
        Error::not_found(format!("the journal of {} does not know {resource}", attached.database)).hint("Attach the table again.")
    })?;
    if !table.ready {
        return Err(Error::new(Kind::Busy, format!("{resource} is still being attached"))
            .hint("Run `entente attach` again if that was interrupted."));
    }
    Ok((door, table))
}

/// Compares a journal with what is kept outside it. One that is older begins a new incarnation.
pub(super) fn check(site: &Site, door: &mut Door<'_>) -> Result<()> {
    let database = door.database().to_owned();
    // The mark before the journal: another run may move both meanwhile, and a journal read first would seem to have gone back.
    let known = site.store.read(|c| databases::mark(c, &database))?;
    let journal = door.journal()?;
    if journal.site != site.id {
        let message = format!("the journal of {} belongs to another site, {}", door.database(), journal.site);
        return Err(Error::new(Kind::Exists, message).hint(
            "If this machine was cloned, give it an identity of its own: entente site --new-identity. Else detach the database there.",
        ));
    }
    match known {
        Some(mark) if mark.epoch != journal.epoch || journal.runs < mark.runs => {
            tracing::warn!(%database, "The journal of {database} is older than what we remember: the database was restored. A new incarnation begins.");
            renew(site, door, mark.incarnation)
        }
        Some(mark) if mark.runs == journal.runs => Ok(()),
        _ => remember(site, door),
    }
}

/// Begins a new incarnation of a journal: nothing that peers are believed to hold is believed any longer, and all is exchanged again.
pub(super) fn renew(site: &Site, door: &mut Door<'_>, at_least: u32) -> Result<()> {
    let journal = door.journal()?;
    // Seconds since 1970 grow, so an incarnation begun after the backup and forgotten by it is not used again.
    let seconds = u32::try_from(site.now().0 / 1_000_000).unwrap_or(u32::MAX);
    let incarnation = seconds.max(journal.incarnation.saturating_add(1)).max(at_least.saturating_add(1));
    door.renew(site.id, incarnation, &site.uuids().next().simple().to_string())?;
    remember(site, door)
}

/// Keeps outside what the journal says of itself, so that a restored one is noticed.
pub(super) fn remember(site: &Site, door: &mut Door<'_>) -> Result<()> {
    let journal = door.journal()?;
    let database = door.database().to_owned();
    let mark = JournalMark { epoch: journal.epoch, incarnation: journal.incarnation, runs: journal.runs };
    site.store.write(|c| {
        // Another run may have come further since the journal was read.
        let further = databases::mark(c, &database)?.is_some_and(|known| known.epoch == mark.epoch && known.runs > mark.runs);
        if further { Ok(()) } else { databases::set_mark(c, &database, &mark) }
    })
}

/// Tells the peer the number of a new run, one more than it was ever told; durable before the first page.
pub(super) fn begin(site: &Site, door: &mut Door<'_>, table: &Table, peer: SiteId, part: Part, share: &mut Share) -> Result<()> {
    share.told += 1;
    door.set_share(table, peer, part, share, 1)?;
    remember(site, door)
}

/// A cursor as it travels: the journal's epoch, an arrival and, where there is one, the name of the filter that held.
pub(super) fn cursor(epoch: &str, arrival: i64, filter: &str) -> String {
    if filter.is_empty() { format!("{epoch}:{arrival}") } else { format!("{epoch}:{arrival}:{filter}") }
}

/// The arrival of a cursor of ours and the name of its filter; `None` for one that has not begun. One of another epoch, or ahead of
/// everything, is [`Kind::Epoch`].
pub(super) fn arrival<'c>(db: &mut dyn Connector, table: &Table, text: &'c str) -> Result<Option<(i64, &'c str)>> {
    if text.is_empty() {
        return Ok(None);
    }
    let epoch = db.journal()?.epoch;
    let other = || {
        Error::new(Kind::Epoch, format!("the cursor for {} is from another life of this journal", table.resource))
            .hint("Start from the beginning.")
    };
    let (theirs, rest) = text.split_once(':').ok_or_else(|| Error::malformed("that is no cursor of this site"))?;
    let (arrival, filter) = rest.split_once(':').unwrap_or((rest, ""));
    let arrival: i64 =
        arrival.parse().ok().filter(|arrival| *arrival >= 0).ok_or_else(|| Error::malformed("that is no cursor of this site"))?;
    if theirs != epoch { Err(other()) } else { Ok(Some((arrival, filter))) }
}
