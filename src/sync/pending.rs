//! What waits to be given to other sites, counted quickly for those who watch this one.

use std::collections::HashMap;

use crate::{
    connector::Part,
    error::Result,
    model::{AttachedTable, RepositoryId, SiteId},
    site::Site,
    store::{attached, repositories, resources},
};

/// Changes that a repository was not given yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The repository.
    pub repository: RepositoryId,
    /// The resource.
    pub resource: String,
    /// How many at most: those that it has from elsewhere are counted, too.
    pub changes: u64,
}

/// What the repositories that we call were not given yet. A database that cannot be read is left out.
pub fn changes(site: &Site) -> Result<Vec<Pending>> {
    let (called, shared, attached) = site.store.read(|c| {
        let callable = repositories::list(c, site.store.key())?.into_iter().filter(|one| one.enabled && one.url.is_some());
        let called: HashMap<RepositoryId, SiteId> = callable.filter_map(|one| Some((one.id, one.uuid?))).collect();
        Ok((called, resources::all(c)?, attached::list(c)?))
    })?;
    let mut pending = Vec::new();
    for table in attached {
        let pushed = shared.iter().filter(|one| one.name == table.resource && one.mode.pushes());
        let sharers: Vec<_> = pushed.filter_map(|one| Some((one.repository, *called.get(&one.repository)?))).collect();
        match of_table(site, &table, &sharers) {
            Ok(some) => pending.extend(some),
            Err(error) => tracing::debug!("What waits in {} is not counted: {}", table.database, error.chain()),
        }
    }
    Ok(pending)
}

fn of_table(site: &Site, attached: &AttachedTable, sharers: &[(RepositoryId, SiteId)]) -> Result<Vec<Pending>> {
    if sharers.is_empty() {
        return Ok(Vec::new());
    }
    let mut door = site.door(&attached.database)?;
    let Some(table) = door.tables()?.into_iter().find(|known| known.resource == attached.resource) else { return Ok(Vec::new()) };
    let head = door.head(&table)?;
    let mut pending = Vec::new();
    for (repository, uuid) in sharers {
        let given = door.share(&table, *uuid, Part::Active)?.push;
        let changes = u64::try_from(head - given).unwrap_or(0);
        pending.push(Pending { repository: *repository, resource: attached.resource.clone(), changes });
    }
    Ok(pending)
}
