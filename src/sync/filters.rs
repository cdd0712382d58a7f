//! Which records go to a peer: those that its filter and ours let through, and word of those that no longer are (SYNC.md 3).

use crate::{
    connector::{Extent, Share, Table},
    decide::filter::Filter,
    error::{Error, Result},
    model::{Mode, Page, RecordView, RepositoryId, Resource, SiteId},
    site::{Door, Site},
    store::{attached, resources},
};

/// The most records that are looked at to count what matches.
pub const LOOKED_AT: u64 = 20_000;

/// So many at a time.
const PAGE: usize = 1_000;

/// Whether filters can be used for a resource: they can be read, and the table that is attached here has their fields.
pub fn check(site: &Site, resource: &str, filters: &[String]) -> Result<()> {
    let filter = Filter::parse(resource, filters)?;
    if filter.is_everything() {
        return Ok(());
    }
    let Some(known) = site.store.read(|c| attached::of(c, resource))? else { return Ok(()) };
    let tables = site.door(&known.database)?.tables()?;
    tables.iter().find(|table| table.resource == resource).map_or(Ok(()), |table| fields_are_known(table, &filter))
}

/// The fields of a resource that is attached here, references among them.
pub fn fields(site: &Site, resource: &str) -> Result<Vec<String>> {
    let table = attached_table(site, resource)?.1;
    Ok(table.fields.iter().chain(table.references.iter().map(|reference| &reference.field)).cloned().collect())
}

/// How many records a filter lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Matching {
    /// So many match.
    pub matching: u64,
    /// Of so many.
    pub looked_at: u64,
    /// Whether those are all there are.
    pub complete: bool,
}

/// Counts what filters let through of a resource that is attached here; of a large table only the first [`LOOKED_AT`] records are looked at.
pub fn count(site: &Site, resource: &str, filters: &[String]) -> Result<Matching> {
    let (mut door, table) = attached_table(site, resource)?;
    let filter = read(&table, filters)?;
    if filter.is_everything() {
        let all = door.count(&table)?;
        return Ok(Matching { matching: all, looked_at: all, complete: true });
    }
    let extent = Extent { records: PAGE, bytes: 4 << 20 };
    let (mut found, mut after) = (Matching::default(), 0);
    while found.looked_at < LOOKED_AT {
        let mut page = Page::new(resource);
        let (upto, more) = door.export(&table, after, SiteId(uuid::Uuid::nil()), extent, site.now(), &mut page)?;
        let living = page.views().filter(|record| record.record.lives());
        for record in living {
            found.looked_at += 1;
            found.matching += u64::from(filter.matches(record));
        }
        if !more {
            return Ok(Matching { complete: true, ..found });
        }
        after = upto;
    }
    Ok(found)
}

fn attached_table<'s>(site: &'s Site, resource: &str) -> Result<(Door<'s>, Table)> {
    let known = site.store.read(|c| attached::of(c, resource))?;
    let known = known.ok_or_else(|| Error::not_found(format!("{resource} is not attached here")))?;
    let mut door = site.door(&known.database)?;
    let table = door.tables()?.into_iter().find(|table| table.resource == resource);
    Ok((door, table.ok_or_else(|| Error::not_found(format!("the journal of {} does not know {resource}", known.database)))?))
}

/// The filter for an attached table; a field that the table does not have is refused by name.
pub(super) fn read(table: &Table, filters: &[String]) -> Result<Filter> {
    let filter = Filter::parse(&table.resource, filters)?;
    fields_are_known(table, &filter).map(|()| filter)
}

/// What a caller is given: what it asks for, of that which the entry of its repository here lets through.
pub(super) fn for_caller(table: &Table, own: Option<&Resource>, asked: &Filter) -> Result<Filter> {
    match own {
        Some(own) => read(table, &own.filters).map(|ours| asked.and(&ours)),
        None => Ok(asked.clone()),
    }
}

fn fields_are_known(table: &Table, filter: &Filter) -> Result<()> {
    let references = table.references.iter().map(|reference| &reference.field);
    let fields: Vec<&str> = table.fields.iter().chain(references).map(String::as_str).collect();
    match filter.fields().find(|field| !fields.contains(field)) {
        None => Ok(()),
        Some(unknown) => Err(Error::usage(format!("{} has no field {unknown:?} to filter by", table.resource))
            .hint(format!("Its fields are {}.", fields.join(", ")))),
    }
}

/// What a page goes through before it is given to a peer.
#[derive(Debug, Clone)]
pub(super) struct Sieve {
    filter: Filter,
    /// What the peer was given up to an arrival, before this filter; `None` = nothing.
    former: Option<Filter>,
    former_upto: i64,
    peer: SiteId,
}

impl Sieve {
    /// The sieve for what was agreed with a peer.
    pub(super) fn of(share: &Share, peer: SiteId) -> Result<Sieve> {
        let former = share.former.as_deref().map(Filter::known).transpose()?;
        Ok(Sieve { filter: Filter::known(&share.given)?, former, former_upto: share.former_upto, peer })
    }

    /// Makes retractions of what does not match, and takes out what the peer cannot have. The page ends at the arrival `upto`.
    pub(super) fn sift(&self, page: &mut Page, upto: i64) {
        if self.filter.is_everything() {
            return;
        }
        let held_back: Vec<usize> = (0..page.records.len()).filter(|at| !self.filter.matches(page.view(&page.records[*at]))).collect();
        let unknown: Vec<usize> = held_back.iter().copied().filter(|at| !self.may_be_there(page.view(&page.records[*at]), upto)).collect();
        held_back.iter().for_each(|at| page.retract(*at));
        page.remove(&unknown);
    }

    /// Whether the peer may hold some version of a record: what changed since the filter did may have matched before.
    fn may_be_there(&self, record: RecordView<'_>, upto: i64) -> bool {
        upto > self.former_upto
            || record.record.version.iter().any(|(actor, _)| actor.site == self.peer)
            || self.former.as_ref().is_some_and(|former| former.matches(record))
    }
}

/// Who else may have a use for a record that a peer no longer shares with us.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Elsewhere {
    /// Another repository is entered for the resource.
    pub certainly: bool,
    /// Sites that nobody entered, but that may have been given it.
    pub perhaps: Vec<SiteId>,
}

/// Who shares a resource with us beside a repository, as far as the control store knows.
pub(super) fn elsewhere(site: &Site, beside: Option<RepositoryId>, resource: &str) -> Result<Elsewhere> {
    let others = site.store.read(|c| resources::sharers(c, resource, beside))?;
    let certainly = others.iter().any(|(_, mode)| mode.is_some_and(|mode| mode != Mode::None));
    Ok(Elsewhere { certainly, perhaps: others.into_iter().filter(|(_, mode)| mode.is_none()).filter_map(|(uuid, _)| uuid).collect() })
}

/// Whether anything was ever exchanged with a peer about a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Met {
    /// Something may have been.
    Perhaps,
    /// Nothing, either way.
    Never,
}

/// Notes that a peer is given what `filter` lets through from now on. Where that is another filter than before, everything is looked
/// at again from the beginning: what matches now is given, and what only matched before is taken back.
pub(super) fn give(share: &mut Share, filter: &Filter, met: Met, head: i64) {
    let text = filter.to_string();
    if share.given == text {
        return;
    }
    (share.former, share.former_upto) = match met {
        Met::Never => (None, head),
        Met::Perhaps => (Some(std::mem::take(&mut share.given)), share.push),
    };
    (share.given, share.push) = (text, 0);
}

/// As [`give`] for a peer that fetches, whose cursor stands at an arrival under the filter of this name; `None` = it begins.
/// Returns the arrival after which it goes on.
pub(super) fn serve(share: &mut Share, filter: &Filter, cursor: Option<(i64, &str)>, met: Met, head: i64) -> Result<i64> {
    let (text, name) = (filter.to_string(), filter.name());
    let after = match cursor {
        Some((arrival, under)) if under == name => arrival,
        Some((arrival, under)) => {
            let former = share.former.as_deref().map(Filter::known).transpose()?.map(|former| former.name());
            if Filter::known(&share.given)?.name() == under {
                (share.former, share.former_upto) = (Some(share.given.clone()), arrival);
            } else if (share.given.as_str(), former.as_deref(), share.former_upto) != (text.as_str(), Some(under), arrival) {
                share.former_upto = 0;
            }
            0
        }
        None => {
            (share.former, share.former_upto) = if met == Met::Never { (None, head) } else { (share.former.take(), 0) };
            0
        }
    };
    share.given = text;
    Ok(after)
}
