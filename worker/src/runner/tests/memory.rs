//! A queue in memory and work that does as it is told; both report what happens as events.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Barrier, Mutex, MutexGuard},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{
    queue::{Queue, Renewal, Work},
    stop::{Reason, Stop},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    Began(u32),
    Finished(u32, Outcome),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    Stopped(Reason),
    Panicked(String),
}

/// What a job does.
#[derive(Debug, Clone)]
pub(super) enum Task {
    Nothing,
    Panic,
    UntilStopped,
    /// Goes on when as many jobs as the barrier wants are there at once.
    Together(Arc<Barrier>),
}

/// What a call of the queue does instead of its duty.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mishap {
    Fails,
    Panics,
}

impl fmt::Display for Mishap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is broken")
    }
}

impl std::error::Error for Mishap {}

#[derive(Debug)]
pub(super) struct Job {
    id: u32,
    due: Option<DateTime<Utc>>,
    held: bool,
    task: Task,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) jobs: Vec<Job>,
    pub(super) lease: VecDeque<Mishap>,
    pub(super) renew: VecDeque<Result<Renewal, Mishap>>,
    pub(super) finish: VecDeque<Mishap>,
    pub(super) changed: bool,
    /// What `next_due` says instead of the truth.
    pub(super) promised: Option<DateTime<Utc>>,
    /// How often `lease` was called.
    pub(super) asked: usize,
    pub(super) timeout: Duration,
    /// Finished jobs are due again at once.
    pub(super) again: bool,
}

#[derive(Clone)]
pub(super) struct Memory {
    state: Arc<Mutex<State>>,
    events: UnboundedSender<Event>,
}

impl Memory {
    pub(super) fn new() -> (Memory, UnboundedReceiver<Event>) {
        let (events, received) = unbounded_channel();
        let state = State {
            jobs: Vec::new(),
            lease: VecDeque::new(),
            renew: VecDeque::new(),
            finish: VecDeque::new(),
            changed: false,
            promised: None,
            asked: 0,
            // So long that a paused clock, which runs ahead while a thread is slow, does not reach it.
            timeout: Duration::from_secs(1_000 * 86_400),
            again: false,
        };
        (Memory { state: Arc::new(Mutex::new(state)), events }, received)
    }

    pub(super) fn obedient(&self) -> Obedient {
        Obedient(self.clone())
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Adds a job, with the next number from 1.
    pub(super) fn add(&self, due: DateTime<Utc>, task: Task) {
        let mut state = self.state();
        let id = u32::try_from(state.jobs.len()).unwrap() + 1;
        state.jobs.push(Job { id, due: Some(due), held: false, task });
    }

    pub(super) fn held(&self) -> Vec<u32> {
        self.state().jobs.iter().filter(|job| job.held).map(|job| job.id).collect()
    }

    pub(super) fn waiting(&self) -> Vec<u32> {
        self.state().jobs.iter().filter(|job| job.due.is_some()).map(|job| job.id).collect()
    }

    fn tell(&self, event: Event) {
        // A test that has seen enough no longer listens.
        self.events.send(event).ok();
    }
}

/// The lock is let go before a panic, which would poison it.
fn suffer(mishap: Option<Mishap>) -> Result<(), Mishap> {
    match mishap {
        None => Ok(()),
        Some(Mishap::Fails) => Err(Mishap::Fails),
        Some(Mishap::Panics) => panic!("the queue panics as told"),
    }
}

impl Queue for Memory {
    type Lease = (u32, Task);
    type Outcome = Outcome;
    type Error = Mishap;

    fn lease(&self, due: DateTime<Utc>, _now: DateTime<Utc>) -> Result<Option<Self::Lease>, Mishap> {
        let mishap = self.state().lease.pop_front();
        suffer(mishap)?;
        let mut state = self.state();
        state.asked += 1;
        let job = state.jobs.iter_mut().find(|job| !job.held && job.due.is_some_and(|at| at <= due));
        Ok(job.map(|job| {
            job.held = true;
            (job.id, job.task.clone())
        }))
    }

    fn renew(&self, _lease: &Self::Lease, _now: DateTime<Utc>) -> Result<Renewal, Mishap> {
        self.state().renew.pop_front().unwrap_or(Ok(Renewal::Kept))
    }

    fn finish(&self, lease: &Self::Lease, outcome: &Outcome, now: DateTime<Utc>) -> Result<(), Mishap> {
        let mishap = self.state().finish.pop_front();
        suffer(mishap)?;
        let mut state = self.state();
        let again = state.again;
        let job = state.jobs.iter_mut().find(|job| job.id == lease.0).unwrap();
        job.held = false;
        job.due = again.then_some(now);
        drop(state);
        self.tell(Event::Finished(lease.0, outcome.clone()));
        Ok(())
    }

    fn next_due(&self) -> Result<Option<DateTime<Utc>>, Mishap> {
        let state = self.state();
        Ok(state.promised.or_else(|| state.jobs.iter().filter(|job| !job.held).filter_map(|job| job.due).min()))
    }

    fn changed(&self) -> bool {
        std::mem::take(&mut self.state().changed)
    }
}

/// Does what the lease says.
pub(super) struct Obedient(Memory);

impl Work for Obedient {
    type Lease = (u32, Task);
    type Outcome = Outcome;

    fn run(&self, (id, task): &Self::Lease, stop: &Stop) -> Outcome {
        self.0.tell(Event::Began(*id));
        match task {
            Task::Nothing => Outcome::Done,
            Task::Panic => panic!("job {id} panics as told"),
            // A test that failed must not leave its thread waiting for ever.
            Task::UntilStopped => Outcome::Stopped(stop.wait(Duration::from_secs(60)).unwrap()),
            Task::Together(barrier) => {
                barrier.wait();
                Outcome::Done
            }
        }
    }

    fn panicked(&self, _lease: &Self::Lease, message: &str) -> Outcome {
        Outcome::Panicked(message.into())
    }

    fn timeout(&self, _lease: &Self::Lease) -> Duration {
        self.0.state().timeout
    }
}
