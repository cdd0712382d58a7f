//! Documents in files: for a first load, and for sites with no network.

use super::{
    closure::{Tables, close, everything, nest},
    sieve::Filters,
    take::{Exchange, take},
};
use crate::{
    connector::Table,
    decide::Source,
    error::{Error, Result},
    model::{
        Action, Direction, LogEntry, Outcome as Went, Page, Repository, Rules, SiteId, Time,
        eden::{Components, Document, Feed, is_private},
    },
    site::{Door, Site},
    store::{self, log},
    sync::{
        Bare, Fields, Outcome, Terms, epoch, filters,
        import::{conclude, retry},
        order::by_reference,
    },
};

/// What is wanted of a file.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The resource.
    pub resource: String,
    /// Only records that match all of these.
    pub filters: Vec<String>,
    /// Records that stand inside others come along.
    pub components: Components,
    /// Word of records that are gone comes along.
    pub deleted: Deleted,
}

/// Whether word of records that are gone is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deleted {
    /// Only what lives.
    #[default]
    Omitted,
    /// All that is known.
    Told,
}

/// The records of a resource, with what they refer to, for a document.
pub fn export(site: &Site, wanted: &Wanted) -> Result<Feed> {
    let (mut door, table) = epoch::door(site, &wanted.resource)?;
    door.recheck(&table)?;
    let filter = filters::read(&table, &wanted.filters)?;
    let mut masters = Page::new(&table.resource);
    everything(site, &mut door, &table, 0, SiteId(uuid::Uuid::nil()), &mut masters)?;
    let out: Vec<usize> = masters
        .views()
        .enumerate()
        .filter(|(_, view)| if view.record.deleted { wanted.deleted == Deleted::Omitted } else { !filter.matches(*view) })
        .map(|(at, _)| at)
        .collect();
    masters.remove(&out);
    let allowed = |resource: &str| !is_private(resource);
    let mut tables = Tables::new(site, &allowed);
    let components = match wanted.components {
        Components::Nested => table.form.components.as_slice(),
        Components::Omitted => &[],
    };
    let mut feed = Feed { results: masters.records.len(), masters, ..Feed::default() };
    nest(&mut feed, components, &Filters::new(), &mut tables)?;
    close(&mut feed, &Filters::new(), &mut tables)?;
    Ok(feed)
}

/// What became of a resource's records in a file.
#[derive(Debug)]
pub struct Taken {
    /// The resource.
    pub resource: String,
    /// What became of them.
    pub outcome: Outcome,
}

/// The site that the records of a file come from where nobody says whose it is.
pub fn nobody() -> SiteId {
    SiteId(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, b"urn:entente:file"))
}

/// Takes the records of documents, as if `from` had pushed them, by its rules; what is not attached here is passed over. `named` lists the only resources
/// that are wanted, accounts among them; `None` = all but accounts. Each record is decided and kept like any that came over a line.
pub fn import(site: &Site, documents: &[Document], from: Option<&Repository>, named: Option<&[String]>) -> Result<Vec<Taken>> {
    let peer = match from {
        Some(repository) => repository.uuid.ok_or_else(|| {
            Error::usage(format!("the UUID of {} is not known yet", repository.name)).hint("Register there first, or give it.")
        })?,
        None => nobody(),
    };
    if site.store.read(store::site::paused)? {
        return Err(Error::new(crate::error::Kind::Paused, "everything is paused").hint("Go on with `entente resume`."));
    }
    let wanted = |resource: &str| named.map_or(!is_private(resource), |named| named.iter().any(|name| name == resource));
    let mut open: Vec<(Door<'_>, Table)> = Vec::new();
    for attached in site.store.read(store::attached::list)?.into_iter().filter(|attached| wanted(&attached.resource)) {
        if documents.iter().any(|document| document.page(&attached.resource).is_some()) {
            open.push(epoch::door(site, &attached.resource)?);
        }
    }
    let mut entry = LogEntry::new(site.now(), Action::Pull, Direction::Incoming);
    (entry.repository, entry.repository_name) = (from.map(|from| from.id), from.map(|from| from.name.clone()));
    (entry.outcome, entry.message) = (Went::Running, "Taking a file".to_owned());
    entry.id = site.store.write(|c| log::append(c, &entry))?;
    let done = apply(site, documents, from, peer, &entry, &mut open);
    entry.duration = (site.now().0 - entry.time.0) / 1_000;
    match &done {
        Ok(taken) => {
            taken.iter().for_each(|taken| entry.counts += taken.outcome.counts);
            (entry.outcome, entry.message) = (Went::Success, format!("Took {} from a file", crate::sync::run::told(entry.counts.records)));
            taken.iter().for_each(|taken| crate::sync::run::colour(&mut entry, &taken.outcome));
        }
        Err(error) => (entry.outcome, entry.message) = (Went::Error, error.chain()),
    }
    site.store.write(|c| log::update(c, &entry))?;
    done
}

fn apply(
    site: &Site,
    documents: &[Document],
    from: Option<&Repository>,
    peer: SiteId,
    entry: &LogEntry,
    open: &mut [(Door<'_>, Table)],
) -> Result<Vec<Taken>> {
    let terms = |table: &Table| -> Result<Terms> {
        let own = from.map(|from| site.store.read(|c| store::resources::get(c, from.id, &table.resource))).transpose()?.flatten();
        let (rules, source) = (own.map_or_else(Rules::default, |own| own.rules()), Source::Page);
        let elsewhere = filters::elsewhere(site, from.map(|from| from.id), &table.resource)?;
        let run = entry.id.unsigned_abs();
        Ok(Terms { peer, rules, source, run, me: site.id, now: site.now(), decider: site.decider(), elsewhere, fields: Fields::Some })
    };
    let order = by_reference(open.iter().map(|(_, table)| table.clone()).collect());
    let mut all: Vec<Taken> = Vec::new();
    for table in &order {
        let Some((door, _)) = open.iter_mut().find(|(_, other)| other.resource == table.resource) else { continue };
        let mut outcome = Outcome::default();
        for page in documents.iter().filter_map(|document| document.page(&table.resource)) {
            let terms = terms(table)?;
            let exchange = Exchange { terms: &terms, since: None, arrived: Time(i64::MAX) };
            outcome.add(take(door, table, page, &exchange, &mut Bare)?);
        }
        for refused in documents.iter().flat_map(|document| &document.refused).filter(|refused| refused.resource == table.resource) {
            outcome.counts.quarantined += 1;
            outcome.warn(format!("{} of {} is no record: {}", refused.uid, refused.resource, refused.reason));
        }
        all.push(Taken { resource: table.resource.clone(), outcome });
    }
    // Parents may have come after their children, and deletions before those of what refers to them.
    for table in order.iter().rev() {
        let Some((door, _)) = open.iter_mut().find(|(_, other)| other.resource == table.resource) else { continue };
        let terms = terms(table)?;
        let mut outcome = retry(&mut **door, table, &terms)?;
        outcome.add(conclude(&mut **door, table, &terms)?);
        outcome.counts.records = 0;
        if let Some(taken) = all.iter_mut().find(|taken| taken.resource == table.resource) {
            taken.outcome.add(outcome);
        }
    }
    Ok(all)
}
