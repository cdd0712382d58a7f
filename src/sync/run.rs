//! A run of our own with one repository: pull, then push (SYNC.md 6).

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use super::{
    Bare, Bracket, Outcome, Terms, epoch,
    import::{adopt, conclude, import, retry},
    order::by_reference,
    register::same_site,
};
use crate::{
    connector::{Apply, Extent, Part, Share, Table},
    decide::Source,
    error::{Error, Kind, Result},
    model::{
        Action, Counts, Direction, Hello, HelloResource, Identity, LogEntry, LogId, Outcome as Went, Page, Policy, PullRequest,
        PushRequest, Repository, Resource,
    },
    peer::{Contact, Peer},
    site::{Door, Site},
    store::{self, leases, log},
};

/// How long a lease on a repository lasts without being renewed, and how often it is.
const LEASE: i64 = 30;
const HEARTBEAT: Duration = Duration::from_secs(8);

/// A clock that is off by more than this is told.
const SKEW: i64 = 30_000;

/// The most uids in one call for named records.
const FETCH: usize = 1_000;

/// What is wanted of a run.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Only these resources.
    pub resources: Option<Vec<String>>,
    /// Take from them.
    pub pull: bool,
    /// Give to them.
    pub push: bool,
    /// From the start, whatever was agreed.
    pub full: bool,
    /// Change nothing; count what would happen.
    pub dry_run: bool,
}

impl Default for Ask {
    fn default() -> Ask {
        Ask { resources: None, pull: true, push: true, full: false, dry_run: false }
    }
}

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
    /// `pull` or `push`.
    pub direction: &'static str,
    /// So far.
    pub counts: Counts,
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
}

/// What a run did with one resource, one way.
#[derive(Debug)]
pub struct ResourceReport {
    /// The resource.
    pub resource: String,
    /// `pull` or `push`.
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
    let peer = site.peer(repository)?;
    run_with(site, repository, peer.as_ref(), ask, control)
}

/// As [`run`], over a line of the caller's choice.
pub fn run_with(site: &Site, repository: &Repository, peer: &dyn Peer, ask: &Ask, control: &mut Control<'_>) -> Result<RunReport> {
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
        let done = logged(site, repository, peer, ask, control, &lost);
        drop(ended);
        done
    });
    site.store.write(|c| leases::release(c, repository.id, fence))?;
    done
}

fn heartbeat(site: &Site, repository: i64, fence: i64, lost: &AtomicBool, end: &mpsc::Receiver<()>) {
    while matches!(end.recv_timeout(HEARTBEAT), Err(mpsc::RecvTimeoutError::Timeout)) {
        let until = site.now().plus_seconds(LEASE);
        match site.store.write(|c| leases::renew(c, repository, fence, until)) {
            Ok(true) => {}
            Ok(false) => lost.store(true, Ordering::Relaxed),
            Err(error) => tracing::warn!("A lease could not be renewed: {}", error.chain()),
        }
    }
}

/// The run with its entry in the log, which is there from the beginning, so that an interrupted run can be seen.
fn logged(
    site: &Site,
    repository: &Repository,
    peer: &dyn Peer,
    ask: &Ask,
    control: &mut Control<'_>,
    lost: &AtomicBool,
) -> Result<RunReport> {
    let mut entry = LogEntry::new(site.now(), Action::Run, Direction::Outgoing);
    entry.repository = Some(repository.id);
    entry.repository_name = Some(repository.name.clone());
    entry.outcome = Went::Running;
    entry.message = format!("Running with {}", repository.name);
    entry.id = site.store.write(|c| log::append(c, &entry))?;
    let mut run = Run { site, repository, ask, control, lost, id: entry.id, reports: Vec::new(), warnings: Vec::new() };
    let done = run.all(peer);
    let (reports, warnings) = (run.reports, run.warnings);
    entry.duration = (site.now().0 - entry.time.0) / 1_000;
    reports.iter().for_each(|report| entry.counts += report.counts);
    let failed = reports.iter().filter(|report| report.error.is_some()).count();
    let stopped = reports.iter().filter_map(|report| report.error.as_ref()).filter(|error| outcome_of(error) == Went::Warning).count();
    (entry.outcome, entry.message) = match &done {
        Err(error) => (outcome_of(error), error.chain()),
        Ok(()) if failed > 0 && failed == stopped => (Went::Warning, "It was stopped between two pages; the rest follows".into()),
        Ok(()) if failed > 0 => (Went::Error, format!("{failed} of {} parts failed", reports.len())),
        Ok(()) => (Went::Success, summary(&entry.counts, ask)),
    };
    if entry.outcome == Went::Success && (!warnings.is_empty() || entry.counts.quarantined + entry.counts.conflicts > 0) {
        entry.outcome = Went::Warning;
        entry.message = [vec![entry.message], warnings.clone()].concat().join(". ");
    }
    entry.remote =
        matches!(&done, Err(error) if matches!(error.kind(), Kind::Unreachable | Kind::Timeout | Kind::Unauthorized | Kind::Forbidden));
    site.store.write(|c| log::update(c, &entry))?;
    done.map(|()| RunReport { run: entry.id, result: entry.outcome, resources: reports, warnings })
}

/// How an error is told in the log: a run that was stopped on request did not fail.
fn outcome_of(error: &Error) -> Went {
    match error.kind() {
        Kind::Stopped | Kind::Paused => Went::Warning,
        kind if kind.retry() => Went::Error,
        _ => Went::Fatal,
    }
}

fn summary(counts: &Counts, ask: &Ask) -> String {
    if ask.dry_run {
        return format!("Dry run: {} records would travel", counts.records);
    }
    match counts.records {
        0 => "Nothing had changed".into(),
        some => format!("{} travelled", told(some)),
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
}

/// A resource of this run.
struct Leg<'r> {
    resource: Resource,
    table: Table,
    there: HelloResource,
    door: Door<'r>,
    share: Share,
    /// The number of this run is told.
    begun: bool,
    failed: bool,
}

impl<'r> Run<'r, '_> {
    fn all(&mut self, peer: &dyn Peer) -> Result<()> {
        let Contact { hello, skew } = peer.hello()?;
        same_site(self.repository, hello.uuid)?;
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
        if undecided && !self.ask.dry_run {
            // The peer decides deletions that still waited for others of this run.
            peer.hello()?;
        }
        self.stopped()
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
        let wanted = |resource: &&Resource| self.ask.resources.as_ref().is_none_or(|names| names.contains(&resource.name));
        if let Some(unknown) = self.ask.resources.iter().flatten().find(|name| ours.iter().all(|resource| resource.name != **name)) {
            return Err(Error::not_found(format!("{unknown} is not shared with {}", self.repository.name)));
        }
        let mut open: BTreeMap<String, Leg<'r>> = BTreeMap::new();
        for resource in ours.iter().filter(wanted) {
            let opened = epoch::door(self.site, &resource.name).and_then(|(door, table)| {
                let there = hello.resources.iter().find(|there| there.name == resource.name).cloned();
                let there = there.ok_or_else(|| {
                    Error::forbidden(format!("{} does not offer {}", self.repository.name, resource.name))
                        .hint("Is it attached there, and may our account use it?")
                })?;
                Ok(Leg { resource: resource.clone(), table, there, door, share: Share::default(), begun: false, failed: false })
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

    /// Whether one of the two journals went back, and whether both already hold rows that nobody compared.
    fn prepare(&mut self, part: &mut Leg<'r>, hello: &Hello, peer: &dyn Peer) -> Result<()> {
        part.share = part.door.share(&part.table, hello.uuid, Part::Active)?;
        if part.there.heard > part.share.told {
            epoch::renew(self.site, &mut part.door, 0)?;
            part.share = part.door.share(&part.table, hello.uuid, Part::Active)?;
            part.share.told = part.there.heard;
            self.warnings.push(format!("{} was restored from a backup; everything is exchanged again", part.table.resource));
        }
        if part.share.heard > part.there.told && part.share.epoch.as_ref() == Some(&part.there.epoch) {
            self.tell_it_went_back(part, peer)?;
        }
        if part.share.heard > part.there.told || part.share.epoch.as_ref().is_some_and(|epoch| *epoch != part.there.epoch) {
            part.door.forget_shared(&part.table, hello.uuid)?;
            (part.share.pull, part.share.push, part.share.epoch) = (String::new(), 0, None);
            part.share.heard = part.share.heard.min(part.there.told);
            self.warnings.push(format!(
                "{} of {} was restored from a backup; everything is exchanged again",
                part.table.resource, self.repository.name
            ));
        }
        let table = part.table.clone();
        part.door.recheck(&table)?;
        if self.ask.full {
            (part.share.pull, part.share.push) = (String::new(), 0);
        }
        self.refuse_twins(part, peer)
    }

    /// A peer that told us a greater run number than it remembers does not know that it was restored: any request of ours shows it.
    fn tell_it_went_back(&mut self, part: &mut Leg<'r>, peer: &dyn Peer) -> Result<()> {
        let request = PullRequest {
            resource: part.table.resource.clone(),
            cursor: String::new(),
            records: 1,
            bytes: 1,
            run: part.share.told,
            heard: part.share.heard,
        };
        match peer.pull(&request) {
            Err(error) if error.kind() != Kind::Epoch => return Err(error),
            _ => {}
        }
        let again = peer.hello()?.hello.resources.into_iter().find(|there| there.name == part.table.resource);
        part.there = again.ok_or_else(|| Error::forbidden(format!("{} no longer offers {}", self.repository.name, part.table.resource)))?;
        Ok(())
    }

    fn refuse_twins(&self, part: &mut Leg<'r>, peer: &dyn Peer) -> Result<()> {
        let first = part.share.pull.is_empty() && part.share.push == 0 && part.share.told == 0;
        let assigned = part.table.identity == Identity::Assigned && part.there.assigned && part.table.matching.is_empty();
        let theirs = part.there.records.unwrap_or(0);
        if !first || !assigned || part.resource.accept_twins || theirs == 0 || !part.resource.mode.pulls() && !part.resource.mode.pushes() {
            return Ok(());
        }
        let ours = part.door.count(&part.table)?;
        let sample = part.door.sample(&part.table, FETCH)?;
        // Sites that got the same records by way of a third one know the same uids.
        if ours == 0 || !peer.fetch(&part.table.resource, &sample)?.records.is_empty() {
            return Ok(());
        }
        let (name, repository) = (&part.table.resource, &self.repository.name);
        Err(Error::new(
            Kind::Undecided,
            format!(
                "both sites already hold {name}: {ours} records here, {theirs} at {repository}, and nothing says which of them are the same"
            ),
        )
        .hint(format!(
            "Name unique columns that tell (entente attach DATABASE URL --table {name} --match C,…), or say that they are all different: \
             entente resource set {repository} {name} --accept-twins"
        )))
    }

    /// Makes sure that the number of this run is told and durable before the first page.
    fn begin(&mut self, part: &mut Leg<'r>, hello: &Hello) -> Result<()> {
        if !part.begun {
            part.share.epoch = Some(part.there.epoch.clone());
            epoch::begin(self.site, &mut part.door, &part.table, hello.uuid, Part::Active, &mut part.share)?;
            part.begun = true;
        }
        Ok(())
    }

    fn terms(&self, part: &Leg<'r>, hello: &Hello, source: Source) -> Terms {
        Terms { peer: hello.uuid, rules: part.resource.rules(), source, run: part.share.told, me: self.site.id, now: self.site.now() }
    }

    fn pull_all(&mut self, parts: &mut [Leg<'r>], hello: &Hello, peer: &dyn Peer) {
        for at in 0..parts.len() {
            let pulls = |part: &Leg<'_>| !part.failed && part.resource.mode.pulls() && part.there.mode.pulls();
            if !pulls(&parts[at]) {
                continue;
            }
            let mut missing = Vec::new();
            let part = &mut parts[at];
            self.report(part, "pull", |run, part, counts| run.pull(part, hello, peer, counts, &mut missing));
            self.fetch_missing(parts, hello, peer, missing);
        }
        if self.ask.dry_run {
            return;
        }
        // Children first: a deletion that waits for theirs can then be done.
        for at in (0..parts.len()).rev() {
            let part = &mut parts[at];
            if part.failed || !part.resource.mode.pulls() {
                continue;
            }
            let terms = self.terms(part, hello, Source::Page);
            let table = part.table.clone();
            match conclude(&mut *part.door, &table, &terms) {
                Ok(outcome) => self.also(&table.resource, outcome),
                Err(error) => {
                    part.failed = true;
                    self.fail(&table.resource, "pull", error);
                }
            }
        }
    }

    /// Adds what was decided after the pages to a resource's report.
    fn also(&mut self, resource: &str, outcome: Outcome) {
        self.warnings.extend(outcome.warnings.iter().filter(|warning| !self.warnings.contains(warning)).cloned().collect::<Vec<_>>());
        if let Some(report) = self.reports.iter_mut().rev().find(|report| report.resource == resource && report.direction == "pull") {
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
        let error = done.err();
        part.failed |= error.is_some();
        let counts = outcome.counts;
        if counts.records > 0 || error.is_some() {
            self.log(&part.table.resource, direction, &counts, &outcome, seconds, error.as_ref());
        }
        self.warnings.extend(outcome.warnings.iter().filter(|warning| !self.warnings.contains(warning)).cloned().collect::<Vec<_>>());
        self.reports.push(ResourceReport { resource: part.table.resource.clone(), direction, counts, seconds, error });
        outcome.deletions > 0
    }

    fn log(&self, resource: &str, direction: &'static str, counts: &Counts, outcome: &Outcome, seconds: f64, error: Option<&Error>) {
        let action = if direction == "pull" { Action::Pull } else { Action::Push };
        let mut entry = LogEntry::new(self.site.now(), action, Direction::Outgoing);
        entry.run = Some(self.id);
        entry.repository = Some(self.repository.id);
        entry.repository_name = Some(self.repository.name.clone());
        entry.resource = Some(resource.to_owned());
        entry.counts = *counts;
        entry.duration = (seconds * 1e3) as i64;
        entry.message = match direction {
            "pull" => format!("Took {}", told(counts.records)),
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

    /// Pulls a resource to its end; the next page is fetched while the last is applied.
    fn pull(
        &mut self,
        part: &mut Leg<'r>,
        hello: &Hello,
        peer: &dyn Peer,
        all: &mut Outcome,
        missing: &mut Vec<(String, String)>,
    ) -> Result<()> {
        if part.share.pull == part.there.head {
            let terms = self.terms(part, hello, Source::Page);
            let table = part.table.clone();
            all.add(retry(&mut *part.door, &table, &terms)?);
            return Ok(());
        }
        self.begin(part, hello)?;
        let terms = self.terms(part, hello, Source::Page);
        let table = part.table.clone();
        all.add(retry(&mut *part.door, &table, &terms)?);
        let first = PullRequest {
            resource: table.resource.clone(),
            cursor: part.share.pull.clone(),
            records: self.site.config.page_records,
            bytes: self.site.config.page_bytes,
            run: part.share.told,
            heard: part.share.heard,
        };
        let before = peer.traffic();
        std::thread::scope(|scope| {
            let (give, take) = mpsc::sync_channel::<Result<Page>>(1);
            scope.spawn(move || fetch_pages(peer, first, &give));
            for page in take {
                let page = page?;
                self.stopped()?;
                let terms = Terms { now: self.site.now(), ..terms.clone() };
                let mut outcome = self.take(part, hello, &page, &terms)?;
                missing.append(&mut outcome.missing);
                let twins = std::mem::take(&mut outcome.twins);
                all.add(outcome);
                if !twins.is_empty() && !self.ask.dry_run {
                    let alive = alive_there(peer, &table.resource, &twins)?;
                    all.add(adopt(&mut *part.door, &table, &terms, &alive)?);
                }
                all.counts.bytes = peer.traffic() - before;
                (self.control.progress)(&Progress { resource: &table.resource, direction: "pull", counts: all.counts });
            }
            Ok(())
        })
    }

    /// Applies a page together with its cursor.
    fn take(&self, part: &mut Leg<'r>, hello: &Hello, page: &Page, terms: &Terms) -> Result<Outcome> {
        let share = Share { pull: page.cursor.clone(), heard: page.run.unwrap_or(0).max(part.share.heard), ..part.share.clone() };
        let table = part.table.clone();
        let mut cursor = Cursor { table: &table, peer: hello.uuid, share: &share, dry: self.ask.dry_run, outcome: None };
        match import(&mut *part.door, &table, page, terms, &mut cursor) {
            Ok(outcome) => {
                part.share = share;
                Ok(outcome)
            }
            Err(error) if error.kind() == Kind::Epoch => {
                epoch::renew(self.site, &mut part.door, 0)?;
                Err(error)
            }
            Err(error) => cursor.outcome.ok_or(error),
        }
    }

    /// Asks once for records that others refer to and that are not here.
    fn fetch_missing(&mut self, parts: &mut [Leg<'r>], hello: &Hello, peer: &dyn Peer, missing: Vec<(String, String)>) {
        let mut by_resource: BTreeMap<String, HashSet<String>> = BTreeMap::new();
        for (resource, uid) in missing.into_iter().filter(|_| !self.ask.dry_run) {
            by_resource.entry(resource).or_default().insert(uid);
        }
        for (resource, uids) in by_resource {
            let Some(part) = parts.iter_mut().find(|part| part.table.resource == resource && !part.failed && part.resource.mode.pulls())
            else {
                self.warnings.push(format!("Records wait for {resource}, which is not shared with {}", self.repository.name));
                continue;
            };
            let uids: Vec<String> = uids.into_iter().collect();
            let terms = self.terms(part, hello, Source::Page);
            let table = part.table.clone();
            for some in uids.chunks(FETCH) {
                let done = peer.fetch(&resource, some).and_then(|page| import(&mut *part.door, &table, &page, &terms, &mut Bare));
                match done {
                    Ok(outcome) => self.also(&resource, outcome),
                    Err(error) => self.warnings.push(format!("Missing records of {resource} could not be fetched: {}", error.chain())),
                }
            }
        }
    }

    /// Pushes a resource to its end; the next page is read while the last is on its way.
    fn push(&mut self, part: &mut Leg<'r>, hello: &Hello, peer: &dyn Peer, all: &mut Outcome) -> Result<()> {
        if part.share.push >= part.door.head(&part.table)? {
            return Ok(());
        }
        let table = part.table.clone();
        if part.resource.update == Policy::Other && !self.ask.dry_run {
            self.take_back(part, hello, peer, all)?;
        }
        let (mut source, table2) = epoch::door(self.site, &table.resource)?;
        let extent = Extent {
            records: self.site.config.page_records.min(hello.limits.records) as usize,
            bytes: usize::try_from(self.site.config.page_bytes.min(hello.limits.body / 4)).unwrap_or(usize::MAX),
        };
        let (after, uuid, site) = (part.share.push, hello.uuid, self.site);
        let before = peer.traffic();
        std::thread::scope(|scope| {
            let (give, take) = mpsc::sync_channel::<Result<(Page, i64)>>(1);
            scope.spawn(move || {
                let mut after = after;
                loop {
                    let mut page = Page::new(&table2.resource);
                    let read = source.export(&table2, after, uuid, extent, site.now(), &mut page);
                    let more = matches!(read, Ok((_, true)));
                    let end = read.as_ref().map_or(after, |(upto, _)| *upto);
                    if give.send(read.map(|(upto, _)| (page, upto))).is_err() || !more {
                        return;
                    }
                    after = end;
                }
            });
            for page in take {
                let (page, upto) = page?;
                self.stopped()?;
                self.give(part, hello, peer, &page, upto, all)?;
                all.counts.bytes = peer.traffic() - before;
                (self.control.progress)(&Progress { resource: &table.resource, direction: "push", counts: all.counts });
            }
            Ok(())
        })
    }

    fn give(&mut self, part: &mut Leg<'r>, hello: &Hello, peer: &dyn Peer, page: &Page, upto: i64, all: &mut Outcome) -> Result<()> {
        if self.ask.dry_run {
            all.counts.records += page.records.len() as u64;
            return Ok(());
        }
        if !page.records.is_empty() {
            self.begin(part, hello)?;
            let request = PushRequest {
                batch: uuid::Uuid::new_v4(),
                run: part.share.told,
                heard: part.share.heard,
                strategy: part.resource.strategy,
                update: part.resource.update,
                conflict: part.resource.conflict,
                merge_fields: part.resource.merge_fields,
            };
            let receipt = peer.push(&request, page)?;
            part.share.heard = receipt.run.max(part.share.heard);
            for quarantined in receipt.quarantine.iter().take(3) {
                all.warnings.push(format!("{} quarantined {}: {}", self.repository.name, quarantined.uuid, quarantined.reason));
            }
            all.add(Outcome { counts: receipt.counts, deletions: receipt.deletions, ..Outcome::default() });
        }
        part.share.push = upto;
        let (table, share) = (part.table.clone(), part.share.clone());
        let mut tx = part.door.begin()?;
        if tx.share(&table, hello.uuid, Part::Active)?.told != share.told {
            return Err(Error::new(Kind::Fence, "a newer run with this repository has begun"));
        }
        tx.set_share(&table, hello.uuid, Part::Active, &share)?;
        tx.commit()
    }

    /// Under OTHER, what we would push is first compared with what the peer holds now, and theirs is taken back.
    fn take_back(&mut self, part: &mut Leg<'r>, hello: &Hello, peer: &dyn Peer, all: &mut Outcome) -> Result<()> {
        self.begin(part, hello)?;
        let table = part.table.clone();
        let terms = self.terms(part, hello, Source::Fetched);
        let (mut after, head) = (part.share.push, part.door.head(&table)?);
        while after < head {
            let mut page = Page::new(&table.resource);
            let extent = Extent { records: FETCH, bytes: usize::try_from(self.site.config.page_bytes).unwrap_or(usize::MAX) };
            (after, _) = part.door.export(&table, after, hello.uuid, extent, self.site.now(), &mut page)?;
            let uids: Vec<String> = page.views().map(|view| view.uid().to_owned()).collect();
            if !uids.is_empty() {
                let theirs = peer.fetch(&table.resource, &uids)?;
                let mut outcome = import(&mut *part.door, &table, &theirs, &terms, &mut Bare)?;
                outcome.counts.records = 0;
                all.warnings.append(&mut outcome.warnings);
            }
        }
        Ok(())
    }
}

/// Fetches page after page; one is on its way while another is applied.
fn fetch_pages(peer: &dyn Peer, mut request: PullRequest, give: &mpsc::SyncSender<Result<Page>>) {
    loop {
        let page = peer.pull(&request);
        let next = page.as_ref().ok().filter(|page| page.more).map(|page| (page.cursor.clone(), page.run));
        if give.send(page).is_err() {
            return;
        }
        let Some((cursor, run)) = next else { return };
        request.cursor = cursor;
        request.heard = run.unwrap_or(0).max(request.heard);
    }
}

fn alive_there(peer: &dyn Peer, resource: &str, uids: &[String]) -> Result<HashSet<String>> {
    let mut alive = HashSet::new();
    for some in uids.chunks(FETCH) {
        let page = peer.fetch(resource, some)?;
        alive.extend(page.views().filter(|view| !view.record.deleted).map(|view| view.uid().to_owned()));
    }
    Ok(alive)
}

/// The peer's cursor, stored with the page it came after, unless a newer run holds the repository.
struct Cursor<'a> {
    table: &'a Table,
    peer: crate::model::SiteId,
    share: &'a Share,
    dry: bool,
    outcome: Option<Outcome>,
}

impl Bracket for Cursor<'_> {
    fn before(&mut self, tx: &mut dyn Apply) -> Result<Option<Outcome>> {
        if tx.share(self.table, self.peer, Part::Active)?.told != self.share.told {
            return Err(Error::new(Kind::Fence, "a newer run with this repository has begun"));
        }
        Ok(None)
    }

    fn after(&mut self, tx: &mut dyn Apply, outcome: &Outcome) -> Result<()> {
        if self.dry {
            self.outcome = Some(outcome.clone());
            return Err(Error::new(Kind::Stopped, "dry run"));
        }
        tx.set_share(self.table, self.peer, Part::Active, self.share)
    }
}
