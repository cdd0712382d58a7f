//! Noticing that a database changed: by this program, by an application, by whomever.

use std::{collections::HashMap, sync::atomic::AtomicBool, time::Duration};

use crate::{
    error::Result,
    model::RepositoryId,
    peer::Peer,
    site::Site,
    store::{attached, repositories},
};

/// How often databases are looked at.
const LOOK: Duration = Duration::from_millis(25);

/// Looks between two readings of which databases there are.
const REREAD: u32 = 200;

/// Looks between two times that it is asked whether a connection is still good.
const STALE: u32 = 8;

/// Looks that are left out where a database could not be reached.
const REST: u32 = 40;

/// Calls `changed` with the name of each resource that got new arrivals, until `stop` says so. Looking costs one read of a counter a database.
pub fn watch(site: &Site, stop: &dyn Fn() -> bool, changed: &mut dyn FnMut(&str)) {
    let mut known: HashMap<String, Known> = HashMap::new();
    let mut round = 0;
    while !stop() {
        if round % REREAD == 0 {
            match site.store.read(attached::list) {
                Ok(list) => known.retain(|name, _| list.iter().any(|attached| attached.database == *name)),
                Err(error) => tracing::warn!("The attached databases could not be listed: {}", error.chain()),
            }
            for attached in site.store.read(attached::list).unwrap_or_default() {
                known.entry(attached.database).or_default();
            }
        }
        round += 1;
        for (database, known) in &mut known {
            if known.rest > 0 {
                known.rest -= 1;
            } else if let Err(error) = look(site, database, known, changed) {
                tracing::debug!(%database, "{database} could not be looked at: {}", error.chain());
                known.let_rest();
            }
        }
        std::thread::sleep(LOOK);
    }
}

/// Listens at a peer until `ended` is set or the line breaks; calls `changed` with the name of each resource that changed there.
pub fn listen(site: &Site, repository: RepositoryId, ended: &AtomicBool, changed: &mut dyn FnMut(&str)) -> Result<()> {
    let repository = site.store.read(|c| repositories::by_id(c, site.store.key(), repository))?;
    site.peer(&repository)?.listen(ended, changed)
}

/// What is known of a database.
#[derive(Default)]
pub(super) struct Known {
    connector: Option<Box<dyn crate::connector::Connector>>,
    pulse: Option<i64>,
    heads: HashMap<String, i64>,
    looks: u32,
    /// Looks still to be left out.
    rest: u32,
}

impl Known {
    /// It could not be reached: another connection is made, after a while.
    pub(super) fn let_rest(&mut self) {
        *self = Known { rest: REST, heads: std::mem::take(&mut self.heads), ..Known::default() };
    }
}

/// Looks once.
pub(super) fn look(site: &Site, database: &str, known: &mut Known, changed: &mut dyn FnMut(&str)) -> Result<()> {
    known.looks = known.looks.wrapping_add(1);
    if known.connector.as_mut().is_none_or(|connector| known.looks.is_multiple_of(STALE) && connector.stale()) {
        let database = site.store.read(|c| crate::store::databases::get(c, database))?;
        known.connector = Some(site.connect(&database)?);
    }
    let Some(connector) = known.connector.as_mut() else { return Ok(()) };
    let pulse = connector.pulse()?;
    if known.pulse == Some(pulse) {
        return Ok(());
    }
    let first = known.pulse.is_none();
    for table in connector.tables()? {
        let head = connector.head(&table)?;
        let before = known.heads.insert(table.resource.clone(), head);
        // What came while the database could not be reached is told, too.
        if before != Some(head) && (before.is_some() || !first) {
            changed(&table.resource);
        }
    }
    known.pulse = Some(pulse);
    Ok(())
}
