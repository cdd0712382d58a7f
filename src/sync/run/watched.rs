//! Says in the control store how far a run is, for those who look on.

use super::Progress;
use crate::{
    model::{Advance, LogId, RepositoryId, Time},
    site::Site,
    store::progress,
};

/// A run says so often how far it is, microseconds; a shorter one says nothing.
const OFTEN: i64 = 400_000;

/// Tells of one run.
pub(super) struct Watched<'s> {
    site: &'s Site,
    repository: RepositoryId,
    run: LogId,
    /// The resource and direction it is at, and since when.
    at: (String, &'static str, Time),
    told: Time,
}

impl<'s> Watched<'s> {
    pub(super) fn new(site: &'s Site, repository: RepositoryId, run: LogId) -> Watched<'s> {
        let now = site.now();
        Watched { site, repository, run, at: (String::new(), "", now), told: now }
    }

    /// Notes how far the run is, where that was not just done.
    pub(super) fn tell(&mut self, progress: &Progress<'_>) {
        let now = self.site.now();
        if (self.at.0.as_str(), self.at.1) != (progress.resource, progress.direction) {
            // The first page of a resource is here already; it began when the last one ended.
            let begun = if self.at.0.is_empty() { self.at.2 } else { self.told };
            self.at = (progress.resource.to_owned(), progress.direction, begun.max(self.at.2));
        }
        if now.0 - self.told.0 < OFTEN {
            return;
        }
        self.told = now;
        let advance = Advance {
            repository: self.repository,
            run: self.run,
            resource: progress.resource.to_owned(),
            direction: progress.direction.to_owned(),
            records: progress.counts.records,
            total: progress.total,
            begun: self.at.2,
            at: now,
        };
        if let Err(error) = self.site.store.write(|c| progress::set(c, &advance)) {
            tracing::debug!("How far a run is could not be noted: {}", error.chain());
        }
    }
}
