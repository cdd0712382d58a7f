//! What waits to be given to other sites, counted quickly for those who watch this one.

use crate::{
    connector::Part,
    error::Result,
    model::RepositoryId,
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
    let (shared, attached) = site.store.read(|c| {
        let mut shared = Vec::new();
        for repository in repositories::list(c, site.store.key())? {
            let Some(uuid) = repository.uuid.filter(|_| repository.enabled && repository.url.is_some()) else { continue };
            shared.extend(
                resources::list(c, repository.id)?.into_iter().filter(|one| one.mode.pushes()).map(|one| (repository.id, uuid, one.name)),
            );
        }
        Ok((shared, attached::list(c)?))
    })?;
    let mut pending = Vec::new();
    for table in attached {
        let sharers: Vec<_> = shared.iter().filter(|(.., name)| *name == table.resource).collect();
        let Ok(mut door) = site.door(&table.database).map_err(|error| untold(&table.database, &error)) else { continue };
        let Some(known) = door.tables()?.into_iter().find(|known| known.resource == table.resource) else { continue };
        if sharers.is_empty() {
            continue;
        }
        let head = door.head(&known)?;
        for (repository, uuid, resource) in sharers {
            let given = door.share(&known, *uuid, Part::Active)?.push;
            let changes = u64::try_from(head - given).unwrap_or(0);
            pending.push(Pending { repository: *repository, resource: resource.clone(), changes });
        }
    }
    Ok(pending)
}

fn untold(database: &str, error: &crate::error::Error) {
    tracing::debug!("{database} is not counted: {}", error.chain());
}
