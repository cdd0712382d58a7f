//! What the runner needs to be told: which job is due, and what a job does. The functions of [`Queue`] and [`Work::run`] may
//! block: they are called on threads of their own.

use std::{error::Error, time::Duration};

use chrono::{DateTime, Utc};

use crate::stop::Stop;

/// What became of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// It is ours for another while.
    Kept,
    /// It is somebody else's, or the job is gone.
    Lost,
    /// It is ours, but everything is paused: the run should end.
    Paused,
}

/// The jobs and who holds which. Any number of processes may share what is behind it.
pub trait Queue: Send + Sync + 'static {
    /// The right to run one job for a while.
    type Lease: Send + Sync + 'static;
    /// What a run came to.
    type Outcome: Send + Sync + 'static;
    /// What goes wrong with the queue itself.
    type Error: Error + Send + Sync + 'static;

    /// Takes one job that is due at `due` or before and that nobody holds at `now`; of several the most urgent one. A lease
    /// lasts from `now` for a few heartbeats. `due` is earlier than `now` only while [`crate::Runner::run_once`] drains.
    fn lease(&self, due: DateTime<Utc>, now: DateTime<Utc>) -> Result<Option<Self::Lease>, Self::Error>;

    /// Makes the lease last from `now` again.
    fn renew(&self, lease: &Self::Lease, now: DateTime<Utc>) -> Result<Renewal, Self::Error>;

    /// Gives the lease back, notes the outcome and when the job is due next. Called also after [`Renewal::Lost`], when it must
    /// leave the job to its new holder. Tried again after an error, so doing it twice must be the same as once.
    fn finish(&self, lease: &Self::Lease, outcome: &Self::Outcome, now: DateTime<Utc>) -> Result<(), Self::Error>;

    /// The earliest moment at which [`Queue::lease`] may have something: a job becomes due, or the lease of a dead holder ends.
    fn next_due(&self) -> Result<Option<DateTime<Utc>>, Self::Error>;

    /// Whether another process may have made something due since the last call. Asked every [`crate::Options::poll`], so it
    /// must be cheap; a needless `true` costs one [`Queue::lease`].
    fn changed(&self) -> bool;
}

/// What a job does.
pub trait Work: Send + Sync + 'static {
    /// The queue's lease.
    type Lease;
    /// What a run came to, failures included.
    type Outcome;

    /// Does the job. It may have been done before, wholly or in part, by a holder that died.
    /// Asks `stop` again and again and ends at the next good moment once that is set.
    fn run(&self, lease: &Self::Lease, stop: &Stop) -> Self::Outcome;

    /// The outcome of a run that panicked with `message`. Must not block.
    fn panicked(&self, lease: &Self::Lease, message: &str) -> Self::Outcome;

    /// How long a run may take until it is asked to stop. Must not block.
    fn timeout(&self, lease: &Self::Lease) -> Duration;
}
