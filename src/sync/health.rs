//! How repositories are, from their last runs.

use crate::{
    error::Result,
    model::{Health, LogEntry, Repository, Time},
    store::{Conn, clones, log},
};

/// So many of the last runs are looked at.
const RUNS: u32 = 10;

/// A repository and its last runs, newest first.
#[derive(Debug)]
pub struct Seen {
    /// The repository.
    pub repository: Repository,
    /// Its last runs.
    pub runs: Vec<LogEntry>,
    /// Since when two machines come in its name.
    pub cloned: Option<Time>,
}

impl Seen {
    /// Looks at a repository.
    pub fn read(c: &mut Conn, repository: Repository) -> Result<Seen> {
        let runs = log::runs_of(c, repository.id, RUNS)?;
        let cloned = repository.uuid.map_or(Ok(None), |uuid| clones::since(c, uuid))?;
        Ok(Seen { repository, runs, cloned })
    }

    /// How it is, in a word.
    pub fn health(&self) -> &'static str {
        match (self.repository.enabled, Health::of(&self.runs)) {
            (false, _) => "disabled",
            _ if self.cloned.is_some() => "two machines",
            (true, Health::Unknown) => "no run yet",
            (true, Health::Green) => "green",
            (true, Health::Yellow) => "yellow",
            (true, Health::Red) => "red",
        }
    }

    /// The last run that did not fail.
    pub fn last_success(&self) -> Option<&LogEntry> {
        self.runs.iter().find(|run| !run.outcome.failed())
    }
}
