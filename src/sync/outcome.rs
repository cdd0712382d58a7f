//! What became of records.

use crate::{
    connector::Table,
    model::{Counts, Method, Quarantined},
};

/// The most warnings and quarantined records told one by one.
const TOLD: usize = 1_000;

/// So many records stand for all in what a dry run tells.
pub(super) const SAMPLES: usize = 6;

/// What became of the records of some pages.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// How many.
    pub counts: Counts,
    /// Those that could not be stored.
    pub quarantined: Vec<Quarantined>,
    /// Records that others wait for: resource and uid.
    pub missing: Vec<(String, String)>,
    /// Local uids that unknown records match; the sender has to be asked whether it holds them too.
    pub twins: Vec<String>,
    /// Deletions that wait because others here still refer to the record.
    pub deletions: u64,
    /// The strategy refused something for good.
    pub refused: bool,
    /// Records that it refused.
    pub denied: Vec<String>,
    /// Sentences for the log.
    pub warnings: Vec<String>,
    /// Of a dry run: what would become of the first records.
    pub samples: Vec<String>,
}

impl Outcome {
    /// Adds another outcome.
    pub fn add(&mut self, more: Outcome) {
        self.counts += more.counts;
        self.quarantined.extend(more.quarantined);
        self.quarantined.truncate(TOLD);
        self.missing.extend(more.missing);
        self.twins.extend(more.twins);
        self.deletions += more.deletions;
        self.refused |= more.refused;
        self.samples.extend(more.samples);
        self.samples.truncate(SAMPLES);
        self.denied.extend(more.denied);
        self.denied.truncate(TOLD);
        for warning in more.warnings {
            self.warn(warning);
        }
    }

    /// Notes a sentence for the log, once.
    pub(super) fn warn(&mut self, warning: String) {
        if self.warnings.len() < TOLD && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Notes that the strategy refused a method.
    pub(super) fn refuse(&mut self, table: &Table, uid: &str, method: Method) {
        self.refused = true;
        if self.denied.len() < TOLD {
            self.denied.push(uid.to_owned());
        }
        self.warn(format!("{}: the strategy does not allow {}", table.resource, method.word()));
    }
}
