//! One job from its lease to its end, and every call of the queue.

use std::{any::Any, pin::pin, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit},
    task::{JoinError, spawn_blocking},
    time::{Instant, MissedTickBehavior, interval_at, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::{Options, Trouble};
use crate::{
    queue::{Queue, Renewal, Work},
    schedule::growing,
    stop::{Reason, Stop},
};

/// The longest time without asking the queue, whatever [`Queue::next_due`] and [`Queue::changed`] said.
const LONGEST_REST: TimeDelta = TimeDelta::seconds(60);
/// Pauses after errors of the queue.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often an outcome is offered to a queue that fails, before the lease is left to run out.
pub(super) const FINISH_TRIES: u32 = 6;

/// What a running job needs of its runner.
pub(super) struct Hand<Q, W> {
    queue: Arc<Q>,
    work: Arc<W>,
    pub(super) options: Options,
    /// Cancelled when the grace of a drain is over.
    pub(super) drain: CancellationToken,
    /// Told when a job has ended: what is due next may have changed.
    finished: Notify,
}

impl<Q, W> Hand<Q, W>
where
    Q: Queue,
    W: Work<Lease = Q::Lease, Outcome = Q::Outcome>,
{
    pub(super) fn new(queue: Q, work: W, options: Options) -> Hand<Q, W> {
        Hand { queue: Arc::new(queue), work: Arc::new(work), options, drain: CancellationToken::new(), finished: Notify::new() }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        (self.options.clock)()
    }

    /// One job from its lease to its end.
    pub(super) async fn see_through(self: Arc<Self>, lease: Arc<Q::Lease>, place: OwnedSemaphorePermit) -> Arc<Q::Outcome> {
        let outcome = Arc::new(self.carry_out(&lease).await);
        self.give_back(&lease, &outcome).await;
        drop(place);
        self.finished.notify_one();
        outcome
    }

    /// Runs the job, renews its lease, and tells it when to stop.
    async fn carry_out(&self, lease: &Arc<Q::Lease>) -> Q::Outcome {
        let stop = Stop::new();
        let mut deadline = pin!(sleep(self.work.timeout(lease)));
        let mut run = {
            let (work, lease, stop) = (Arc::clone(&self.work), Arc::clone(lease), stop.clone());
            spawn_blocking(move || work.run(&lease, &stop))
        };
        let beat = self.options.heartbeat.max(Duration::from_millis(1));
        let mut heartbeat = interval_at(Instant::now() + beat, beat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ended = loop {
            tokio::select! {
                biased;
                ended = &mut run => break ended,
                () = &mut deadline, if stop.requested().is_none() => stop.request(Reason::Timeout),
                () = self.drain.cancelled(), if stop.requested().is_none() => stop.request(Reason::Drain),
                // Awaited here, so that a renewal never overlaps with the end of its lease.
                _ = heartbeat.tick() => self.renew(lease, &stop).await,
            }
        };
        ended.unwrap_or_else(|error| {
            let message = message(error);
            error!("A job panicked: {message}");
            self.work.panicked(lease, &message)
        })
    }

    async fn renew(&self, lease: &Arc<Q::Lease>, stop: &Stop) {
        let (now, lease) = (self.now(), Arc::clone(lease));
        match self.ask(move |queue| queue.renew(&lease, now)).await {
            Ok(Renewal::Kept) => {}
            Ok(Renewal::Paused) => stop.request(Reason::Paused),
            Ok(Renewal::Lost) => {
                if stop.requested() != Some(Reason::LostLease) {
                    warn!("The lease of a running job is lost; the job is asked to stop");
                }
                stop.request(Reason::LostLease);
            }
            Err(trouble) => warn!("Cannot renew the lease of a running job: {trouble}"),
        }
    }

    async fn give_back(&self, lease: &Arc<Q::Lease>, outcome: &Arc<Q::Outcome>) {
        for tries in 1..=FINISH_TRIES {
            let (now, lease, outcome) = (self.now(), Arc::clone(lease), Arc::clone(outcome));
            match self.ask(move |queue| queue.finish(&lease, &outcome, now)).await {
                Ok(()) => return,
                Err(trouble) if tries == FINISH_TRIES => error!("A finished job could not be noted; it will run again: {trouble}"),
                Err(trouble) => {
                    warn!(tries, "Cannot note a finished job: {trouble}");
                    sleep(pause(tries)).await;
                }
            }
        }
    }

    /// Returns at `until`, or earlier when something may be due; in any case after a moment, so that a queue which promises what
    /// it does not give costs a question a poll and not a spinning loop.
    pub(super) async fn rest(&self, until: Option<DateTime<Utc>>) {
        let until = until.unwrap_or(DateTime::<Utc>::MAX_UTC).min(self.now() + LONGEST_REST);
        let poll = self.options.poll.max(Duration::from_millis(1));
        loop {
            let left = (until - self.now()).to_std().ok().filter(|left| !left.is_zero());
            tokio::select! {
                () = self.finished.notified() => return,
                () = sleep(left.map_or(poll, |left| left.min(poll))) => {}
            }
            if self.now() >= until || self.ask(|queue| Ok(queue.changed())).await.unwrap_or(true) {
                return;
            }
        }
    }

    /// Calls the queue on a thread where it may block.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Q) -> Result<T, Q::Error> + Send + 'static,
    ) -> Result<T, Trouble<Q::Error>> {
        let queue = Arc::clone(&self.queue);
        match spawn_blocking(move || question(&queue)).await {
            Ok(answer) => answer.map_err(Trouble::Queue),
            Err(error) => Err(Trouble::Panicked(message(error))),
        }
    }
}

pub(super) fn pause(errors: u32) -> Duration {
    growing(FIRST_PAUSE, LONGEST_PAUSE, errors, rand::random_range(0.5..1.0))
}

/// What a panic said.
pub(super) fn message(error: JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else { return "it was cancelled".into() };
    let said = |panic: &(dyn Any + Send)| Some((*panic.downcast_ref::<&str>()?).to_owned());
    said(&*panic).or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}
