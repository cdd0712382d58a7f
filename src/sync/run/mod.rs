//! A run of our own with one repository: pull, then push (SYNC.md 6).

mod compare;
mod eden;
mod filters;
mod first;
mod pull;
mod push;
mod samples;
mod transfer;
mod verify;
mod watched;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use super::{
    Outcome, Terms, clones, epoch,
    order::by_reference,
    pending::{self, Meeting},
    register::same_site,
};
use crate::{
    connector::{Part, Share, Table},
    decide::{Source, filter::Filter},
    error::{Error, Kind, Result},
    model::{Action, ApiType, Counts, Direction, Hello, HelloResource, LogEntry, LogId, Outcome as Went, Repository, Resource, Traffic},
    peer::{Contact, Peer},
    site::{Door, Site},
    store::{self, conditions, leases, log, traffic},
};
use watched::Watched;

/// How long a lease on a repository lasts without being renewed, and how often it is.
const LEASE: i64 = 30;
const HEARTBEAT: Duration = Duration::from_secs(8);

/// A clock that is off by more than this is told.
const SKEW: i64 = 30_000;

/// The most uids in one call for named records.
const FETCH: usize = 1_000;

pub use crate::model::Ask;
pub use transfer::Moved;

/// How a run is watched and stopped.
pub struct Control<'a> {
    /// Asked between two pages: why it should stop.
    pub stop: &'a dyn Fn() -> Option<Error>,
    /// Told after each page.
    pub progress: &'a mut dyn FnMut(&Progress<'_>),
}

/// How far a resource is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// The resource.
    pub resource: &'a str,
    /// `compare`, `pull` or `push`.
    pub direction: &'static str,
    /// So far.
    pub counts: Counts,
    /// Of so many records, where that is known.
    pub total: Option<u64>,
}

/// What a run did.
#[derive(Debug)]
pub struct RunReport {
    /// Its entry in the log.
    pub run: LogId,
    /// How it went.
    pub result: Went,
    /// Each resource, each way.
    pub resources: Vec<ResourceReport>,
    /// Sentences an administrator should read.
    pub warnings: Vec<String>,
    /// The resources that were found equal at both sites.
    pub verified: Vec<String>,
    /// What became of records that were named.
    pub moved: Vec<Moved>,
}

/// What a run did with one resource, one way.
#[derive(Debug)]
pub struct ResourceReport {
    /// The resource.
    pub resource: String,
    /// `compare`, `pull` or `push`.
    pub direction: &'static str,
    /// What became of the records.
    pub counts: Counts,
    /// How long it took.
    pub seconds: f64,
    /// Why it failed.
    pub error: Option<Error>,
}

/// Runs with a repository, holding its lease. An error means that nothing could be done at all; what failed for one resource is in the report.
pub fn run(site: &Site, repository: &Repository, ask: &Ask, control: &mut Control<'_>) -> Result<RunReport> {
    if repository.kind == ApiType::Eden {
        let eden = site.eden(repository)?;
        return held(site, repository, ask, control, &mut |run| run.with_eden(&eden));
    }
    let peer = site.peer(repository)?;
    run_with(site, repository, peer.as_ref(), ask, control)
}

/// As [`run`], over a line of the caller's choice.
pub fn run_with(site: &Site, repository: &Repository, peer: &dyn Peer, ask: &Ask, control: &mut Control<'_>) -> Result<RunReport> {
    held(site, repository, ask, control, &mut |run| run.all(peer))
}

/// What a run does, once it holds the lease and stands in the log.
type Work<'w> = &'w mut dyn FnMut(&mut Run<'_, '_>) -> Result<()>;

fn held(site: &Site, repository: &Repository, ask: &Ask, control: &mut Control<'_>, work: Work<'_>) -> Result<RunReport> {
    if site.store.read(store::site::paused)? {
        return Err(Error::new(Kind::Paused, "everything is paused").hint("Go on with `entente resume`."));
    }
    if !repository.enabled {
        let hint = format!("Enable it: entente repository set {} --enabled yes", repository.name);
        return Err(Error::forbidden(format!("{} is disabled", repository.name)).hint(hint));
    }
    let now = site.now();
    let taken = site.store.write(|c| leases::take(c, repository.id, store::holder::me(), now, now.plus_seconds(LEASE)))?;
    let fence = match taken {
        leases::Taken::Yes(fence) => fence,
        leases::Taken::HeldBy { holder, since, .. } => return Err(crate::site::in_use(&repository.name, &holder, since)),
    };
    let lost = Arc::new(AtomicBool::new(false));
    let (ended, end) = mpsc::channel::<()>();
    let done = std::thread::scope(|scope| {
        let flag = lost.clone();
        scope.spawn(move || heartbeat(site, repository.id, fence, &flag, &end));
        let done = logged(site, repository, ask, control, &lost, work);
        drop(ended);
        done
    });
    site.store.write(|c| leases::release(c, repository.id, fence))?;
    done
}

fn heartbeat(site: &Site, repository: i64, fence: i64, lost: &AtomicBool, end: &mpsc::Receiver<()>) {
    let mut held = site.now().plus_seconds(LEASE);
    while matches!(end.recv_timeout(HEARTBEAT), Err(mpsc::RecvTimeoutError::Timeout)) {
        let until = site.now().plus_seconds(LEASE);
        match site.store.write(|c| leases::renew(c, repository, fence, until)) {
            Ok(true) => held = until,
            Ok(false) => lost.store(true, Ordering::Relaxed),
            Err(error) => {
                tracing::warn!("A lease could not be renewed: {}", error.chain());
                // Others, who can reach the store, may have taken it by now.
                if site.now() >= held {
                    lost.store(true, Ordering::Relaxed);
                }
            }
        }
    }
}

/// The run with its entry in the log, which is there from the beginning, so that an interrupted run can be seen.
fn logged(
    site: &Site,
    repository: &Repository,
    ask: &Ask,
    control: &mut Control<'_>,
    lost: &AtomicBool,
    work: Work<'_>,
) -> Result<RunReport> {
    let mut entry = LogEntry::new(site.now(), Action::Run, Direction::Outgoing);
    entry.repository = Some(repository.id);
    entry.repository_name = Some(repository.name.clone());
    entry.outcome = Went::Running;
    entry.message = format!("Running with {}", repository.name);
    entry.id = site.store.write(|c| log::append(c, &entry))?;
    let mut watched = Watched::new(site, repository.id, entry.id);
    let mut progress = |now: &Progress<'_>| {
        watched.tell(now);
        (control.progress)(now);
    };
    let mut control = Control { stop: control.stop, progress: &mut progress };
    let mut run = Run {
        site,
        repository,
        ask,
        control: &mut control,
        lost,
        id: entry.id,
        reports: Vec::new(),
        warnings: Vec::new(),
        verified: Vec::new(),
        moved: Vec::new(),
        met: None,
    };
    let done = work(&mut run);
    let (reports, warnings, verified, moved, met) = (run.reports, run.warnings, run.verified, run.moved, run.met);
    entry.duration = (site.now().0 - entry.time.0) / 1_000;
    reports.iter().for_each(|report| entry.counts += report.counts);
    let failed = reports.iter().filter(|report| report.error.is_some()).count();
    let stopped = reports.iter().filter_map(|report| report.error.as_ref()).filter(|error| outcome_of(error) == Went::Warning).count();
    (entry.outcome, entry.message) = match &done {
        Err(error) => (outcome_of(error), error.chain()),
        Ok(()) if failed > 0 && failed == stopped => (Went::Warning, "It was stopped between two pages; the rest follows".into()),
        Ok(()) if failed > 0 => (Went::Error, format!("{failed} of {} parts failed", reports.len())),
        Ok(()) => (Went::Success, summary(&entry.counts, ask, &verified)),
    };
    if entry.outcome == Went::Success && (!warnings.is_empty() || entry.counts.quarantined + entry.counts.conflicts > 0) {
        entry.outcome = Went::Warning;
        entry.message = [vec![entry.message], warnings.clone()].concat().join(". ");
    }
    entry.remote =
        matches!(&done, Err(error) if matches!(error.kind(), Kind::Unreachable | Kind::Timeout | Kind::Unauthorized | Kind::Forbidden));
    site.store.write(|c| {
        log::update(c, &entry)?;
        store::progress::end(c, repository.id)?;
        let seen = met.as_ref().map(|met| (met.skew, met.version.as_str()));
        if let Some(met) = &met {
            met.keep(c, repository.id, site.now())?;
        }
        match ask.dry_run {
            // What would happen says nothing of how the exchange is.
            true => Ok(()),
            false => {
                traffic::add(c, site.now(), travelled(&reports))?;
                conditions::note(c, repository.id, entry.id, site.now(), entry.outcome, &entry.message, seen)
            }
        }
    })?;
    done.map(|()| RunReport { run: entry.id, result: entry.outcome, resources: reports, warnings, verified, moved })
}

/// What a run took and gave.
fn travelled(reports: &[ResourceReport]) -> Traffic {
    let records = |direction| reports.iter().filter(|report| report.direction == direction).map(|report| report.counts.records).sum();
    Traffic { received: records("pull"), sent: records("push"), bytes: reports.iter().map(|report| report.counts.bytes).sum() }
}

/// How an error is told in the log: a run that was stopped on request did not fail.
fn outcome_of(error: &Error) -> Went {
    match error.kind() {
        Kind::Stopped | Kind::Paused => Went::Warning,
        kind if kind.retry() => Went::Error,
        _ => Went::Fatal,
    }
}

fn summary(counts: &Counts, ask: &Ask, verified: &[String]) -> String {
    if ask.dry_run {
        return format!("Dry run: {} records would travel", counts.records);
    }
    let equal = if verified.is_empty() { String::new() } else { format!("; verified equal: {}", verified.join(", ")) };
    match (counts.records, counts.retracted) {
        (0, 0) => format!("Nothing had changed{equal}"),
        (some, 0) => format!("{} travelled{equal}", told(some)),
        (some, gone) => format!("{} travelled, {} let go{equal}", told(some), told(gone)),
    }
}

/// `1 record`, `2 records`.
pub(super) fn told(records: u64) -> String {
    if records == 1 { "1 record".into() } else { format!("{records} records") }
}

/// Gives an entry the outcome that its counts and warnings deserve, and the warnings.
pub(super) fn colour(entry: &mut LogEntry, outcome: &Outcome) {
    if outcome.counts.quarantined + outcome.counts.conflicts > 0 || !outcome.warnings.is_empty() {
        entry.outcome = Went::Warning;
    }
    for quarantined in outcome.quarantined.iter().take(3) {
        entry.message.push_str(&format!(". {}: {}", quarantined.uuid, quarantined.reason));
    }
    for sample in &outcome.samples {
        entry.message.push_str(&format!(". {sample}"));
    }
    for warning in outcome.warnings.iter().take(5) {
        entry.message.push_str(&format!(". {warning}"));
    }
}

struct Run<'r, 'c> {
    site: &'r Site,
    repository: &'r Repository,
    ask: &'r Ask,
    control: &'r mut Control<'c>,
    lost: &'r AtomicBool,
    id: LogId,
    reports: Vec<ResourceReport>,
    warnings: Vec<String>,
    /// Resources that were found equal.
    verified: Vec<String>,
    moved: Vec<Moved>,
    /// What the peer said of itself.
    met: Option<Meeting>,
}

/// A resource of this run.
struct Leg<'r> {
    resource: Resource,
    table: Table,
    there: HelloResource,
    door: Door<'r>,
    share: Share,
    /// What of it is shared.
    filter: Filter,
    /// The life of our journal.
    life: String,
    /// The number of this run is told.
    begun: bool,
    failed: bool,
}

impl<'r> Run<'r, '_> {
    fn all(&mut self, peer: &dyn Peer) -> Result<()> {
        if let Some(uuid) = self.repository.uuid {
            clones::refuse(self.site, uuid, &self.repository.name)?;
        }
        let greeting = pending::greeting(self.site, self.repository);
        let contact = peer.greet(&greeting)?;
        let met = Meeting::of(&contact, &greeting);
        let Contact { hello, skew } = contact;
        same_site(self.repository, hello.uuid)?;
        self.met = Some(met);
        if hello.uuid == self.site.id {
            return Err(Error::usage(format!("the address of {} is this site's own", self.repository.name)));
        }
        if hello.paused {
            return Err(
                Error::new(Kind::Paused, format!("{} is paused by its administrator", self.repository.name)).hint("Try again later.")
            );
        }
        if skew.abs() > SKEW {
            let word = if skew > 0 { "ahead of" } else { "behind" };
            self.warnings.push(format!("The clock of {} is {} s {word} ours", self.repository.name, skew.abs() / 1_000));
        }
        let mut parts = self.parts(&hello)?;
        for part in &mut parts {
            self.guard(part, &hello, "pull", |run, part| run.prepare(part, &hello, peer));
        }
        if let Some(uids) = &self.ask.named {
            return self.transfer(&mut parts, &hello, peer, uids);
        }
        self.compare_all(&mut parts, &hello, peer);
        for part in parts.iter_mut().filter(|part| !part.failed) {
            self.guard(part, &hello, "pull", |run, part| run.ready(part, &hello, peer));
        }
        if self.ask.pull {
            self.pull_all(&mut parts, &hello, peer);
        }
        let mut undecided = false;
        if self.ask.push {
            for part in &mut parts {
                if part.failed || !part.resource.mode.pushes() || !part.there.mode.pushes() {
                    continue;
                }
                undecided |= self.report(part, "push", |run, part, counts| run.push(part, &hello, peer, counts));
            }
        }
        let mut asked = None;
        if undecided && !self.ask.dry_run {
            // The peer decides deletions that still waited for others of this run.
            asked = Some(peer.greet(&pending::greeting(self.site, self.repository))?.hello);
        }
        self.stopped()?;
        if !self.ask.dry_run {
            self.verify(&mut parts, asked, peer);
        }
        Ok(())
    }

    fn stopped(&self) -> Result<()> {
        if self.lost.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Stopped, "another worker has taken over this repository"));
        }
        (self.control.stop)().map_or(Ok(()), Err)
    }

    /// The resources of this run, parents first.
    fn parts(&mut self, hello: &Hello) -> Result<Vec<Leg<'r>>> {
        let ours = self.site.store.read(|c| store::resources::list(c, self.repository.id))?;
        if ours.is_empty() {
            return Err(Error::usage(format!("nothing is shared with {} yet", self.repository.name))
                .hint(format!("Share a table: entente resource add {} NAME", self.repository.name)));
        }
        // What named records refer to may have to come with them.
        let everything = self.ask.named.is_some();
        let wanted = |resource: &&Resource| everything || self.ask.resources.as_ref().is_none_or(|names| names.contains(&resource.name));
        if let Some(unknown) = self.ask.resources.iter().flatten().find(|name| ours.iter().all(|resource| resource.name != **name)) {
            return Err(Error::not_found(format!("{unknown} is not shared with {}", self.repository.name)));
        }
        let mut open: BTreeMap<String, Leg<'r>> = BTreeMap::new();
        for resource in ours.iter().filter(wanted) {
            let opened = epoch::door(self.site, &resource.name).and_then(|(mut door, table)| {
                let life = door.journal()?.epoch;
                let there = crate::sync::serve::offered(hello, &self.repository.name, &resource.name)?;
                let filter = super::filters::read(&table, &resource.filters)?;
                let share = Share::default();
                Ok(Leg { resource: resource.clone(), table, there, door, share, filter, life, begun: false, failed: false })
            });
            match opened {
                Ok(part) => {
                    open.insert(resource.name.clone(), part);
                }
                Err(error) => self.fail(&resource.name, "pull", error),
            }
        }
        let order = by_reference(open.values().map(|part| part.table.clone()).collect());
        Ok(order.iter().filter_map(|table| open.remove(&table.resource)).collect())
    }

    fn fail(&mut self, resource: &str, direction: &'static str, error: Error) {
        let counts = Counts::default();
        self.log(resource, direction, &counts, &Outcome::default(), 0.0, Some(&error));
        self.reports.push(ResourceReport { resource: resource.to_owned(), direction, counts, seconds: 0.0, error: Some(error) });
    }

    fn guard(&mut self, part: &mut Leg<'r>, _: &Hello, direction: &'static str, work: impl FnOnce(&mut Self, &mut Leg<'r>) -> Result<()>) {
        if let Err(error) = work(self, part) {
            part.failed = true;
            self.fail(&part.table.resource.clone(), direction, error);
        }
    }

    /// Makes sure that the number of this run is told and durable before the first page.
    fn begin(&mut self, part: &mut Leg<'r>, hello: &Hello) -> Result<()> {
        if !part.begun {
            part.share.epoch = Some(part.there.epoch.clone());
            part.life = part.door.journal()?.epoch;
            epoch::begin(self.site, &mut part.door, &part.table, hello.uuid, Part::Active, &mut part.share)?;
            part.begun = true;
        }
        Ok(())
    }

    fn terms(&self, part: &Leg<'r>, hello: &Hello, source: Source) -> Result<Terms> {
        Ok(Terms {
            peer: hello.uuid,
            rules: part.resource.rules(),
            source,
            run: self.id.unsigned_abs(),
            me: self.site.id,
            now: self.site.now(),
            decider: self.site.decider(),
            elsewhere: super::filters::elsewhere(self.site, Some(self.repository.id), &part.table.resource)?,
            fields: crate::sync::Fields::default(),
        })
    }

    /// Adds what was decided after the pages to a resource's report.
    fn also(&mut self, resource: &str, outcome: Outcome) {
        self.also_in(resource, "pull", outcome);
    }

    /// Adds to what was reported of one direction.
    fn also_in(&mut self, resource: &str, direction: &str, outcome: Outcome) {
        self.warnings.extend(outcome.warnings.iter().filter(|warning| !self.warnings.contains(warning)).cloned().collect::<Vec<_>>());
        if let Some(report) = self.reports.iter_mut().rev().find(|report| report.resource == resource && report.direction == direction) {
            let (records, bytes) = (report.counts.records, report.counts.bytes);
            report.counts += outcome.counts;
            (report.counts.records, report.counts.bytes) = (records, bytes);
        }
    }

    fn report(
        &mut self,
        part: &mut Leg<'r>,
        direction: &'static str,
        work: impl FnOnce(&mut Self, &mut Leg<'r>, &mut Outcome) -> Result<()>,
    ) -> bool {
        let begun = self.site.now();
        let mut outcome = Outcome::default();
        let done = self.stopped().and_then(|()| work(self, part, &mut outcome));
        let seconds = (self.site.now().0 - begun.0) as f64 / 1e6;
        let (error, undecided) = (done.err(), outcome.deletions > 0);
        part.failed |= error.is_some();
        self.reported(&part.table.resource.clone(), direction, outcome, seconds, error);
        undecided
    }

    /// Adds to the report, and to the log where there is anything to tell.
    fn reported(&mut self, resource: &str, direction: &'static str, outcome: Outcome, seconds: f64, error: Option<Error>) {
        let counts = outcome.counts;
        if counts.records + counts.retracted > 0 || error.is_some() {
            self.log(resource, direction, &counts, &outcome, seconds, error.as_ref());
        }
        self.warnings.extend(outcome.warnings.iter().filter(|warning| !self.warnings.contains(warning)).cloned().collect::<Vec<_>>());
        self.reports.push(ResourceReport { resource: resource.to_owned(), direction, counts, seconds, error });
    }

    fn log(&self, resource: &str, direction: &'static str, counts: &Counts, outcome: &Outcome, seconds: f64, error: Option<&Error>) {
        let action = match direction {
            "pull" => Action::Pull,
            "compare" => Action::Compare,
            _ => Action::Push,
        };
        let mut entry = LogEntry::new(self.site.now(), action, Direction::Outgoing);
        entry.run = Some(self.id);
        entry.repository = Some(self.repository.id);
        entry.repository_name = Some(self.repository.name.clone());
        entry.resource = Some(resource.to_owned());
        entry.counts = *counts;
        entry.duration = (seconds * 1e3) as i64;
        entry.message = match direction {
            "pull" if self.ask.dry_run => format!("Would take {}", told(counts.records)),
            "push" if self.ask.dry_run => format!("Would give {}", told(counts.records)),
            "pull" => format!("Took {}", told(counts.records)),
            "compare" => format!("Compared; {} differed", told(counts.records)),
            _ => format!("Gave {}", told(counts.records)),
        };
        colour(&mut entry, outcome);
        if let Some(error) = error {
            entry.outcome = outcome_of(error);
            entry.remote = matches!(error.kind(), Kind::Unreachable | Kind::Timeout | Kind::Unauthorized | Kind::Forbidden);
            entry.message = error.chain();
        }
        if let Err(error) = self.site.store.write(|c| log::append(c, &entry)) {
            tracing::error!("The log could not be written: {}", error.chain());
        }
    }
}
