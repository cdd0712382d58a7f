//! Runs what is due: a few jobs at a time, each on a thread, each lease renewed while its job runs.

use std::{fmt, future::Future, pin::pin, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::{sync::Semaphore, task::JoinHandle, time::sleep};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::queue::{Queue, Work};
use hand::{Hand, message, pause};

mod hand;
#[cfg(test)]
mod tests;

/// Tells the time. Read anew at each decision, so that a sleeping laptop or a corrected clock costs one poll at most.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// How a runner works.
#[derive(Clone)]
pub struct Options {
    /// How many jobs run at the same time, one at least.
    pub at_a_time: usize,
    /// How often a lease is renewed while its job runs: a third of what it lasts, or less.
    pub heartbeat: Duration,
    /// How often [`Queue::changed`] is asked while there is nothing to do.
    pub poll: Duration,
    /// How long running jobs may go on after a shutdown was asked for, before they are asked to stop.
    pub grace: Duration,
    /// The clock.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            at_a_time: 4,
            heartbeat: Duration::from_secs(10),
            poll: Duration::from_millis(100),
            grace: Duration::from_secs(5),
            clock: Arc::new(Utc::now),
        }
    }
}

/// What one turn of the loop did.
#[derive(Debug)]
pub enum Tick<O> {
    /// It started a job; the handle gives the outcome.
    Ran(JoinHandle<Arc<O>>),
    /// Nothing was due; something will be at that time, or at no time that is known.
    Idle {
        /// When to ask again.
        until: Option<DateTime<Utc>>,
    },
}

/// What went wrong between the runner and its queue.
#[derive(Debug)]
pub enum Trouble<E> {
    /// The queue reported an error.
    Queue(E),
    /// The queue, or the work outside a run, panicked.
    Panicked(String),
}

impl<E: fmt::Display> fmt::Display for Trouble<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Queue(error) => error.fmt(f),
            Trouble::Panicked(message) => write!(f, "the queue of jobs panicked: {message}"),
        }
    }
}

impl<E: std::error::Error> std::error::Error for Trouble<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Trouble::Queue(error) => error.source(),
            Trouble::Panicked(_) => None,
        }
    }
}

type Turn<Q> = Result<Tick<<Q as Queue>::Outcome>, Trouble<<Q as Queue>::Error>>;

/// Runs the jobs of one queue. Needs a tokio runtime with time; jobs and the queue run on its blocking threads.
pub struct Runner<Q, W> {
    hand: Arc<Hand<Q, W>>,
    places: Arc<Semaphore>,
    running: TaskTracker,
}

impl<Q, W> Runner<Q, W>
where
    Q: Queue,
    W: Work<Lease = Q::Lease, Outcome = Q::Outcome>,
{
    /// A runner that has not begun.
    pub fn new(queue: Q, work: W, options: Options) -> Runner<Q, W> {
        let places = Arc::new(Semaphore::new(options.at_a_time.clamp(1, Semaphore::MAX_PERMITS)));
        Runner { hand: Arc::new(Hand::new(queue, work, options)), places, running: TaskTracker::new() }
    }

    /// Runs what is due until `shutdown` comes, then drains: takes nothing more, asks what runs to stop once the grace is over,
    /// and returns when all of it has ended. Nothing that the queue or a job does ends it earlier.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut errors = 0_u32;
        loop {
            // Only here and in a rest may the shutdown interrupt: a lease that was granted must not be dropped unseen.
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                () = self.a_free_place() => {}
            }
            let rest = match self.tick(self.hand.now()).await {
                Ok(Tick::Ran(_)) => {
                    errors = 0;
                    continue;
                }
                Ok(Tick::Idle { until }) => {
                    errors = 0;
                    until
                }
                Err(trouble) => {
                    errors = errors.saturating_add(1);
                    warn!(errors, "Cannot ask for jobs that are due: {trouble}");
                    tokio::select! {
                        biased;
                        () = &mut shutdown => break,
                        () = sleep(pause(errors)) => continue,
                    }
                }
            };
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                () = self.hand.rest(rest) => {}
            }
        }
        self.drain().await;
    }

    /// Runs everything that is due now, a few at a time, and returns the outcomes when the last has ended. What becomes due
    /// meanwhile is left for the next time. A shutdown drains as in [`Runner::run`].
    ///
    /// An error of the queue ends it, once what was begun has ended.
    pub async fn run_once(self, shutdown: impl Future<Output = ()>) -> Result<Vec<Arc<Q::Outcome>>, Trouble<Q::Error>> {
        let mut shutdown = pin!(shutdown);
        let due = self.hand.now();
        let mut begun = Vec::new();
        let mut trouble = None;
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => {
                    self.drain().await;
                    break;
                }
                () = self.a_free_place() => {}
            }
            match self.tick(due).await {
                Ok(Tick::Ran(job)) => begun.push(job),
                Ok(Tick::Idle { .. }) => break,
                Err(error) => {
                    trouble = Some(error);
                    break;
                }
            }
        }
        self.running.close();
        tokio::select! {
            biased;
            () = self.running.wait() => {}
            () = &mut shutdown, if !self.hand.drain.is_cancelled() => self.drain().await,
        }
        match trouble {
            Some(trouble) => Err(trouble),
            None => outcomes(begun).await,
        }
    }

    /// Waits for a free place, takes one job that was due at `due` and begins it.
    ///
    /// Not to be dropped before it is done: a lease may be on its way.
    pub async fn tick(&self, due: DateTime<Utc>) -> Turn<Q> {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
            return Ok(Tick::Idle { until: None });
        };
        let now = self.hand.now();
        let Some(lease) = self.hand.ask(move |queue| queue.lease(due, now)).await? else {
            return Ok(Tick::Idle { until: self.hand.ask(|queue| queue.next_due()).await? });
        };
        let hand = Arc::clone(&self.hand);
        Ok(Tick::Ran(self.running.spawn(hand.see_through(Arc::new(lease), place))))
    }

    async fn a_free_place(&self) {
        drop(self.places.acquire().await);
    }

    async fn drain(&self) {
        self.running.close();
        if !self.running.is_empty() {
            info!(running = self.running.len(), "Shutting down: waiting for jobs that are running");
        }
        tokio::select! {
            biased;
            () = self.running.wait() => {}
            () = sleep(self.hand.options.grace) => {
                self.hand.drain.cancel();
                self.running.wait().await;
            }
        }
    }
}

async fn outcomes<O, E>(begun: Vec<JoinHandle<O>>) -> Result<Vec<O>, Trouble<E>> {
    let mut outcomes = Vec::with_capacity(begun.len());
    for job in begun {
        outcomes.push(job.await.map_err(|error| Trouble::Panicked(message(error)))?);
    }
    Ok(outcomes)
}
