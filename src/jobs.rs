//! The worker's two traits, filled: which job is due (by the store), and what a job does (by sync).

use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use chrono::{DateTime, Utc};
use entente_worker::{Options, Queue, Reason, Renewal, Runner, Stop, Trouble, Work, schedule};

use crate::{
    error::{Error, Kind, Result},
    model::{Outcome as Went, Repository, RepositoryId, Time},
    site::Site,
    store::{
        self, guesses, holder,
        jobs::{self, Leased, Ran},
        log, repositories, resources, sessions,
        sole::Sole,
        tokens,
    },
    sync::{
        housekeeping,
        run::{Control, RunReport, run},
        schedule::schedule_of,
        watch,
    },
};

/// How long a job's lease lasts without a heartbeat, seconds, and how often there is one.
const LEASE: i64 = 30;
const HEARTBEAT: Duration = Duration::from_secs(8);

/// How often a worker looks whether something was made due: "run now" is to begin within a tenth of a second.
const POLL: Duration = Duration::from_millis(20);

/// A repository that was in use is tried again after so many seconds.
const IN_USE: i64 = 5;

/// How often the worker looks which jobs want to hear of changes.
const LOOK: Duration = Duration::from_secs(1);

/// How often the worker looks whether the daily housekeeping is due.
const HOUSE: Duration = Duration::from_secs(60);

/// How often it is looked whether a process of this machine was killed that held something, in seconds.
const TAKE_OVER: u32 = 3;

/// Who failed to log in is forgotten after a day.
const DAY: i64 = 86_400;

/// The longest pause between two tries to listen at a peer, seconds.
const LISTEN_PAUSE: u64 = 60;

/// Works until `shutdown`, then lets running jobs come to the end of their page. Blocks; wants a thread that is in no runtime.
pub fn work(site: &Arc<Site>, shutdown: impl Future<Output = ()>) -> Result<()> {
    recover(site)?;
    let stop = Arc::new(AtomicBool::new(false));
    let followers = Followers::start(site.clone(), stop.clone());
    let runner = runner(site);
    runtime()?.block_on(runner.run(shutdown));
    stop.store(true, Ordering::Relaxed);
    followers.join();
    site.hang_up();
    Ok(())
}

/// Runs what is due now, and returns how many runs there were and how many of them failed.
pub fn work_once(site: &Arc<Site>, shutdown: impl Future<Output = ()>) -> Result<(usize, usize)> {
    recover(site)?;
    let done = runtime()?.block_on(runner(site).run_once(shutdown));
    site.hang_up();
    let done = done.map_err(|trouble| match trouble {
        Trouble::Queue(error) => error,
        other => Error::internal(format!("the worker stopped: {other}")),
    })?;
    let failed = done.iter().filter(|did| matches!(did.as_ref(), Did::Failed)).count();
    Ok((done.len(), failed))
}

fn runner(site: &Arc<Site>) -> Runner<SiteQueue, SiteWork> {
    let clock = site.clock();
    let options = Options {
        at_a_time: site.config.workers as usize,
        heartbeat: HEARTBEAT,
        poll: POLL,
        clock: Arc::new(move || clock().utc()),
        ..Options::default()
    };
    Runner::new(SiteQueue { site: site.clone(), seen: AtomicI64::new(0) }, SiteWork { site: site.clone() }, options)
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    built.map_err(|e| Error::internal("the worker could not start its runtime").because(e))
}

/// What a process that was killed left behind: its leases are free, its runs are in the log as interrupted. Old entries go.
pub fn recover(site: &Site) -> Result<()> {
    release_dead(site)?;
    let now = site.now();
    site.store.write(|c| {
        tokens::purge(c, now)?;
        sessions::purge(c, now)?;
        guesses::purge(c, now.plus_seconds(-DAY))
    })?;
    housekeeping::forget_log(site, now)
}

/// Frees what processes of this machine held that are gone, and says in the log that their runs were interrupted.
fn release_dead(site: &Site) -> Result<()> {
    let alive = |holder: &str| !holder::is_dead_here(holder);
    let interrupted = site.store.write(|c| {
        jobs::release_dead(c, &alive)?;
        log::interrupt_running(c, &alive, site.now())
    })?;
    if interrupted > 0 {
        tracing::warn!("{interrupted} runs had been interrupted; they are repeated at their next time and nothing is lost.");
    }
    Ok(())
}

/// The jobs in the store.
struct SiteQueue {
    site: Arc<Site>,
    seen: AtomicI64,
}

/// What became of a leased job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Did {
    /// It ran well.
    Well,
    /// It ran, and something failed.
    Failed,
    /// It was stopped between two pages: a shutdown, or everything was paused.
    Stopped,
    /// The repository was in use.
    InUse,
    /// It is no longer wanted.
    Gone,
}

impl Queue for SiteQueue {
    type Lease = Leased;
    type Outcome = Did;
    type Error = Error;

    fn lease(&self, due: DateTime<Utc>, now: DateTime<Utc>) -> Result<Option<Leased>> {
        let (due, now) = (Time::from_utc(due), Time::from_utc(now));
        if self.site.store.read(jobs::next_due)?.is_none_or(|next| next > due) {
            return Ok(None);
        }
        self.site.store.write(|c| jobs::lease_due(c, holder::me(), now, now.plus_seconds(LEASE)))
    }

    fn renew(&self, lease: &Leased, now: DateTime<Utc>) -> Result<Renewal> {
        let until = Time::from_utc(now).plus_seconds(LEASE);
        let kept = self.site.store.write(|c| jobs::renew(c, lease.job.id, lease.fence, until))?;
        Ok(match (kept, self.site.store.read(store::site::paused)?) {
            (false, _) => Renewal::Lost,
            (true, true) => Renewal::Paused,
            (true, false) => Renewal::Kept,
        })
    }

    fn finish(&self, lease: &Leased, did: &Did, now: DateTime<Utc>) -> Result<()> {
        let (job, plan) = (&lease.job, schedule_of(&lease.job));
        let begun = job.next_run.map_or(now, Time::utc).min(now);
        let retried = schedule::is_retry(&plan, job.failures);
        let ran = if retried { Ran::No } else { Ran::Yes };
        let runs = job.runs + u32::from(!retried);
        let asked = job.ask.is_some();
        let soon = |seconds| Some(Time::from_utc(now).plus_seconds(seconds));
        let (next, failures, ran) = match did {
            Did::Well | Did::Failed if asked => (None, 0, ran),
            Did::Well => (schedule::next_run(&plan, Some(begun), now, runs).map(Time::from_utc), 0, ran),
            Did::Failed => {
                let failures = job.failures.saturating_add(1);
                let next = schedule::next_try(&plan, Some(begun), now, runs, failures, rand::random());
                (next.map(Time::from_utc), failures, ran)
            }
            Did::InUse => (soon(IN_USE), job.failures, Ran::No),
            // What was stopped goes on as soon as somebody works again.
            Did::Stopped => (soon(0), job.failures, Ran::No),
            Did::Gone => (None, job.failures, Ran::No),
        };
        self.site.store.write(|c| jobs::finish(c, job.id, lease.fence, next, failures, ran)).map(|_| ())
    }

    fn next_due(&self) -> Result<Option<DateTime<Utc>>> {
        Ok(self.site.store.read(jobs::next_due)?.map(Time::utc))
    }

    fn changed(&self) -> bool {
        match self.site.store.changed_since(self.seen.load(Ordering::Relaxed)) {
            Ok(Some(now)) => {
                self.seen.store(now, Ordering::Relaxed);
                true
            }
            Ok(None) => false,
            Err(_) => true,
        }
    }
}

/// What jobs do: runs.
struct SiteWork {
    site: Arc<Site>,
}

impl SiteWork {
    fn sync(&self, lease: &Leased, repository: &Repository, stop: &Stop) -> Result<RunReport> {
        let why = || {
            let stopped = |text: &str| Some(Error::new(Kind::Stopped, text));
            match stop.requested() {
                Some(Reason::Drain) => return stopped("stopped, since the worker is shutting down; the rest follows"),
                Some(Reason::Timeout) => {
                    let text =
                        format!("it took longer than {} s; what was agreed stays, and the rest follows at the next run", lease.job.timeout);
                    return Some(Error::new(Kind::Timeout, text));
                }
                Some(Reason::LostLease) => return stopped("another worker has taken over this job"),
                Some(Reason::Paused) => return Some(Error::new(Kind::Paused, "everything is paused")),
                None => {}
            }
            match self.site.store.read(store::site::paused) {
                Ok(true) => Some(Error::new(Kind::Paused, "everything is paused")),
                Ok(false) => None,
                Err(error) => Some(error),
            }
        };
        let ask = lease.job.ask.clone().unwrap_or_default();
        run(&self.site, repository, &ask, &mut Control { stop: &why, progress: &mut |_| {} })
    }
}

impl Work for SiteWork {
    type Lease = Leased;
    type Outcome = Did;

    fn run(&self, lease: &Leased, stop: &Stop) -> Did {
        if lease.job.end.is_some_and(|end| end < self.site.now()) {
            return Did::Gone;
        }
        let repository = match self.site.store.read(|c| repositories::by_id(c, self.site.store.key(), lease.job.repository)) {
            Ok(repository) if repository.enabled => repository,
            Ok(_) => return Did::InUse,
            Err(error) => {
                tracing::warn!("A job could not begin: {}", error.chain());
                return if error.kind() == Kind::NotFound { Did::Gone } else { Did::Failed };
            }
        };
        let name = &repository.name;
        let gentle = |kind: Kind| matches!(kind, Kind::Stopped | Kind::Paused);
        match self.sync(lease, &repository, stop) {
            Ok(report) if report.resources.iter().any(|part| part.error.as_ref().is_some_and(|error| gentle(error.kind()))) => Did::Stopped,
            Ok(report) if report.result.failed() => {
                tracing::warn!(repository = repository.id, "A run with {name} failed in part; see `entente log show {}`", report.run);
                Did::Failed
            }
            Ok(report) => {
                debug_assert_ne!(report.result, Went::Running);
                Did::Well
            }
            Err(error) if error.kind() == Kind::Busy && error.to_string().contains("in use") => Did::InUse,
            Err(error) if gentle(error.kind()) => Did::Stopped,
            Err(error) if error.kind() == Kind::NotFound => Did::Gone,
            Err(error) => {
                tracing::warn!(repository = repository.id, "A run with {name} failed: {}", error.chain());
                Did::Failed
            }
        }
    }

    fn panicked(&self, lease: &Leased, message: &str) -> Did {
        tracing::error!(job = lease.job.id, "Job {} panicked: {message}", lease.job.id);
        Did::Failed
    }

    fn timeout(&self, lease: &Leased) -> Duration {
        Duration::from_secs(u64::from(lease.job.timeout))
    }
}

/// Threads that make jobs due within a second of a change, here or at the peer, where a job asks for it, and one for the housekeeping. Of several
/// workers on one store one follows changes, so that each is followed once.
struct Followers {
    threads: Vec<JoinHandle<()>>,
}

impl Followers {
    fn start(site: Arc<Site>, stop: Arc<AtomicBool>) -> Followers {
        let turn = Arc::new(site.store.sole());
        let (here, night) = ((site.clone(), stop.clone(), turn.clone()), (site.clone(), stop.clone()));
        let there = (site, stop, turn);
        let spawn = |work: Box<dyn FnOnce() + Send>| std::thread::spawn(work);
        Followers {
            threads: vec![
                spawn(Box::new(move || {
                    let stopped = || here.1.load(Ordering::Relaxed);
                    watch::watch(&here.0, &stopped, &mut |resource| {
                        if here.2.is_ours() {
                            make_due(&here.0, |repository| shares(&here.0, repository, resource));
                        }
                    });
                })),
                spawn(Box::new(move || listen_at_peers(&there.0, &there.1, &there.2))),
                spawn(Box::new(move || keep_house(&night.0, &night.1))),
            ],
        }
    }

    fn join(self) {
        for thread in self.threads {
            // A thread that panicked has said so; there is nothing more to wait for.
            let _ = thread.join();
        }
    }
}

/// Does the daily housekeeping whenever it is due, and takes over what other workers left when they were killed.
fn keep_house(site: &Site, stop: &AtomicBool) {
    let mut waited = HOUSE;
    let mut seconds = 0_u32;
    while !stop.load(Ordering::Relaxed) {
        seconds = seconds.wrapping_add(1);
        if seconds.is_multiple_of(TAKE_OVER)
            && somebody_died(site, seconds)
            && let Err(error) = release_dead(site)
        {
            tracing::warn!("What another process left could not be taken over: {}", error.chain());
        }
        if waited >= HOUSE {
            waited = Duration::ZERO;
            if let Err(error) = housekeeping::run_when_due(site, &chrono::Local) {
                tracing::warn!("The daily housekeeping failed: {}", error.chain());
            }
        }
        std::thread::sleep(LOOK);
        waited += LOOK;
    }
}

/// Whether a process of this machine is gone that held something; of others' it is asked once a minute, by what is left in the log.
fn somebody_died(site: &Site, seconds: u32) -> bool {
    seconds.is_multiple_of(TAKE_OVER * 20)
        || site.store.read(jobs::holders).is_ok_and(|all| all.iter().any(|one| holder::is_dead_here(one)))
}

fn shares(site: &Site, repository: RepositoryId, resource: &str) -> bool {
    site.store.read(|c| resources::get(c, repository, resource)).is_ok_and(|found| found.is_some_and(|resource| resource.mode.pushes()))
}

/// Makes the jobs due that ask for it and whose repository is concerned.
fn make_due(site: &Site, concerned: impl Fn(RepositoryId) -> bool) {
    let due = |site: &Site| -> Result<()> {
        for job in site.store.read(jobs::on_change)?.into_iter().filter(|job| concerned(job.repository)) {
            site.store.write(|c| jobs::make_due(c, job.id, site.now()))?;
        }
        Ok(())
    };
    if let Err(error) = due(site) {
        tracing::warn!("A change could not be followed at once: {}", error.chain());
    }
}

/// Keeps one listening thread for each repository whose job asks for it, while it is our turn.
fn listen_at_peers(site: &Arc<Site>, stop: &Arc<AtomicBool>, turn: &Sole) {
    let mut listening: HashMap<RepositoryId, (Arc<AtomicBool>, JoinHandle<()>)> = HashMap::new();
    let mut ours = turn.is_ours();
    while !stop.load(Ordering::Relaxed) {
        let before = std::mem::replace(&mut ours, turn.is_ours());
        if ours && !before {
            // What changed after the one before us had gone.
            make_due(site, |_| true);
        }
        let followed = if ours { site.store.read(jobs::on_change).unwrap_or_default() } else { Vec::new() };
        let wanted: Vec<RepositoryId> = followed.iter().map(|job| job.repository).collect();
        for (_, (ended, _)) in listening.iter().filter(|(id, _)| !wanted.contains(id)) {
            ended.store(true, Ordering::Relaxed);
        }
        listening.retain(|_, (_, thread)| !thread.is_finished());
        for id in wanted {
            listening.entry(id).or_insert_with(|| {
                let (site, ended) = (site.clone(), Arc::new(AtomicBool::new(false)));
                let flag = ended.clone();
                (ended, std::thread::spawn(move || listen(&site, id, &flag)))
            });
        }
        std::thread::sleep(LOOK);
    }
    for (_, (ended, thread)) in listening {
        ended.store(true, Ordering::Relaxed);
        let _ = thread.join();
    }
}

/// Listens at one peer until told to end; a broken line is tried again after growing pauses.
fn listen(site: &Site, id: RepositoryId, ended: &AtomicBool) {
    let mut failures = 0_u32;
    while !ended.load(Ordering::Relaxed) {
        let begun = site.now();
        match watch::listen(site, id, ended, &mut |_| make_due(site, |repository| repository == id)) {
            Ok(()) => failures = 0,
            Err(error) => {
                tracing::debug!("Listening ended: {}", error.chain());
                failures = if site.now().0 - begun.0 > 60_000_000 { 1 } else { failures.saturating_add(1) };
            }
        }
        let pause = schedule::backoff(failures.max(1), rand::random()).min(Duration::from_secs(LISTEN_PAUSE));
        let mut waited = Duration::ZERO;
        while waited < pause && !ended.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(200));
            waited += Duration::from_millis(200);
        }
        // What changed while nobody listened.
        if !ended.load(Ordering::Relaxed) {
            make_due(site, |repository| repository == id);
        }
    }
}
