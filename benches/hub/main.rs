//! A hub with 1,000 registered sites on a schedule of five minutes, worked by four processes on one control store on PostgreSQL.
//!
//! `cargo bench --bench hub` takes some four minutes; `-- --quick` a quarter of one with 100 sites on a schedule of half a minute. Prints processor time, memory and
//! how late the runs began; `--json FILE` writes JSON lines, too. Nothing is judged.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

mod peers;
#[path = "../../src/postgresql/server.rs"]
#[allow(dead_code, reason = "it is shared with the tests")]
mod server;

use std::{
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use entente::{
    config::{Config, Overrides, Settings},
    jobs,
    model::{Action, Identity, Job, JobId, LogEntry, Mode, Outcome, Repository, Resource, TableSpec, Time, Timing},
    site::Site,
    store::{
        jobs as stored_jobs,
        log::{self, LogFilter},
        repositories, resources,
    },
    sync::attach,
};
use peers::{Peers, now};
use serde_json::json;
use server::TestDatabase;

/// The first argument of a process that works.
const ROLE: &str = "work";
const WORKERS: usize = 4;

/// How much is done.
struct Size {
    sites: usize,
    /// Seconds between two runs with a site.
    every: u32,
    /// How long the schedule is watched.
    watch: Duration,
}

/// A figure and its unit.
type Figure = (&'static str, f64, &'static str);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|role| role == ROLE) {
        return jobs::work(&site(Path::new(&args[1]), &args[2]), std::future::pending()).unwrap();
    }
    let size = match args.iter().any(|arg| arg == "--quick") {
        true => Size { sites: 100, every: 30, watch: Duration::from_secs(4) },
        false => Size { sites: 1_000, every: 300, watch: Duration::from_secs(120) },
    };
    let figures = measure(&size);
    for (what, value, unit) in &figures {
        println!("{what:<58} {value:>10.1} {unit}");
    }
    if let Some(file) = args.iter().position(|arg| arg == "--json").and_then(|at| args.get(at + 1)) {
        let mut out = std::fs::File::create(file).unwrap();
        for (what, value, unit) in &figures {
            writeln!(out, "{}", json!({"what": what, "n": size.sites, "value": value, "unit": unit})).unwrap();
        }
    }
}

fn site(data: &Path, database: &str) -> Arc<Site> {
    let settings =
        Settings { data: Some(data.to_owned()), database: Some(database.into()), name: Some("hub".into()), ..Settings::default() };
    let config = Config::from_layers(Overrides { settings, ..Overrides::default() }, &std::collections::BTreeMap::new(), None);
    Site::open(config.unwrap()).unwrap()
}

fn measure(size: &Size) -> Vec<Figure> {
    server::DURABLE.store(true, std::sync::atomic::Ordering::Relaxed);
    let (folder, store, mut data) = (tempfile::tempdir().unwrap(), TestDatabase::new(), TestDatabase::new());
    data.sql("CREATE TABLE contact (uuid UUID PRIMARY KEY, name TEXT, email TEXT, note TEXT)");
    let (hub, peers) = (site(folder.path(), &store.url()), Peers::serve(size.sites));
    let table = TableSpec {
        table: "contact".into(),
        resource: "contact".into(),
        identity: Some(Identity::Column { column: "uuid".into() }),
        matching: Vec::new(),
        omit: Vec::new(),
        map: Default::default(),
        ..TableSpec::default()
    };
    attach::attach(&hub, "app", &data.url(), &[table], &mut |_, _, _| {}).unwrap();
    eprintln!("{} sites are registered", size.sites);
    let jobs = register(&hub, &peers, size);

    eprintln!("all are due at once");
    let begun = Instant::now();
    let workers: Vec<Worker> = (0..WORKERS).map(|_| Worker::start(folder.path(), &store.url())).collect();
    while peers.loaded() < size.sites || running(&hub) {
        assert!(begun.elapsed() < Duration::from_secs(900), "{} of {} in time", peers.loaded(), size.sites);
        thread::sleep(Duration::from_millis(20));
    }
    let first = begun.elapsed();

    eprintln!("the schedule, for {} seconds", size.watch.as_secs());
    let start = Time(now().0 + 1_000_000);
    let planned = plan(&hub, &jobs, size, start);
    let cpu = |workers: &[Worker]| workers.iter().map(|worker| worker.seconds()).sum::<f64>();
    let (before, server_before, watched) = (cpu(&workers), server_seconds(), Instant::now());
    thread::sleep(size.watch + Duration::from_secs(1));
    let seconds = watched.elapsed().as_secs_f64();
    let (used, served) = (cpu(&workers) - before, server_seconds() - server_before);
    let late = lateness(&hub, &planned, start);
    let memory = workers.iter().map(Worker::peak).fold(0.0, f64::max);
    let all = |entry: &LogEntry| entry.outcome != Outcome::Success && entry.outcome != Outcome::Running;
    let failures: Vec<String> = runs(&hub).iter().filter(|entry| all(entry)).map(|entry| entry.message.clone()).collect();
    failures.iter().collect::<std::collections::HashSet<_>>().iter().take(3).for_each(|message| eprintln!("a run failed: {message}"));
    let failed = failures.len();
    let at = |share: f64| late.get(((late.len() as f64 * share) as usize).min(late.len().saturating_sub(1))).copied().unwrap_or(0.0);
    vec![
        ("first load, all due at once: 100 records each", first.as_secs_f64(), "s"),
        ("  runs", size.sites as f64 / first.as_secs_f64(), "/s"),
        ("on schedule: runs that were due", late.len() as f64, ""),
        ("  changes fetched", peers.changes() as f64, ""),
        ("  runs that failed", failed as f64, ""),
        ("  begun late, median", at(0.5), "ms"),
        ("  begun late, 99 of 100", at(0.99), "ms"),
        ("  begun late, at most", at(1.0), "ms"),
        ("  processor, four workers together", used / seconds * 100.0, "% of a core"),
        ("  processor, the database server", served / seconds * 100.0, "% of a core"),
        ("  memory of a worker, at most", memory, "MB"),
    ]
}

/// All sites as repositories with a job each, all due now. Returns the jobs.
fn register(hub: &Site, peers: &Peers, size: &Size) -> Vec<JobId> {
    let add = |c: &mut entente::store::Conn, number: usize| {
        let repository = Repository {
            uuid: Some(peers::site(number)),
            url: Some(format!("http://{}/s/{number}", peers.address)),
            user: Some("hub".into()),
            password: Some("correct horse".into()),
            ..Repository::new(&format!("site-{number:04}"))
        };
        let repository = repositories::add(c, hub.store.key(), &repository)?.id;
        resources::add(c, &Resource { mode: Mode::Pull, ..Resource::new(repository, "contact") })?;
        stored_jobs::add(c, &Job { next_run: Some(now()), ..Job::new(repository, Timing::Every(size.every)) }).map(|job| job.id)
    };
    hub.store.write(|c| (0..size.sites).map(|number| add(c, number)).collect()).unwrap()
}

/// Spreads the jobs over their interval from `start` on. Returns when which is due.
fn plan(hub: &Site, jobs: &[JobId], size: &Size, start: Time) -> Vec<(i64, Time)> {
    let step = i64::from(size.every) * 1_000_000 / jobs.len() as i64;
    let set = |c: &mut entente::store::Conn, (at, id): (usize, &JobId)| {
        let due = Time(start.0 + step * at as i64);
        let job = Job { next_run: Some(due), ..stored_jobs::get(c, *id)? };
        stored_jobs::update(c, &job).map(|()| (job.repository, due))
    };
    let planned: Vec<(i64, Time)> = hub.store.write(|c| jobs.iter().enumerate().map(|job| set(c, job)).collect()).unwrap();
    let end = start.0 + i64::try_from(size.watch.as_micros()).unwrap();
    planned.into_iter().filter(|(_, due)| due.0 <= end).collect()
}

fn runs(hub: &Site) -> Vec<LogEntry> {
    let filter = LogFilter { action: Some(Action::Run), limit: 1_000_000, ..LogFilter::default() };
    hub.store.read(|c| log::list(c, &filter)).unwrap()
}

fn running(hub: &Site) -> bool {
    let filter = LogFilter { action: Some(Action::Run), outcome: Some(Outcome::Running), limit: 1, ..LogFilter::default() };
    !hub.store.read(|c| log::list(c, &filter)).unwrap().is_empty()
}

/// How many milliseconds after its time each run began, from the least; one that did not begin yet is as late as now.
fn lateness(hub: &Site, planned: &[(i64, Time)], start: Time) -> Vec<f64> {
    let begun: std::collections::HashMap<i64, Time> =
        runs(hub).iter().filter(|entry| entry.time >= start).filter_map(|entry| Some((entry.repository?, entry.time))).collect();
    let late = |(repository, due): &(i64, Time)| begun.get(repository).copied().unwrap_or_else(now).0 - due.0;
    let mut late: Vec<f64> = planned.iter().map(|one| late(one) as f64 / 1_000.0).collect();
    late.sort_by(f64::total_cmp);
    late
}

/// A process that works.
struct Worker(Child);

impl Worker {
    fn start(data: &Path, database: &str) -> Worker {
        let mut command = Command::new(std::env::current_exe().unwrap());
        Worker(command.arg(ROLE).arg(data).arg(database).stdin(Stdio::null()).spawn().unwrap())
    }

    /// Processor time until now.
    fn seconds(&self) -> f64 {
        seconds(&format!("/proc/{}/stat", self.0.id()), 2)
    }

    /// The most memory it ever had, in MB.
    fn peak(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0) / 1024.0
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The processor time of a process, from so many of its fields: its own in user and kernel mode, and those of its children that have ended.
fn seconds(stat: &str, fields: usize) -> f64 {
    let text = std::fs::read_to_string(stat).unwrap_or_default();
    let ticks = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace().skip(11).take(fields);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// The processor time of the database server, which is below this process.
fn server_seconds() -> f64 {
    let all: Vec<(u32, u32, bool)> = std::fs::read_dir("/proc").unwrap().flatten().filter_map(process).collect();
    let mut below = vec![std::process::id()];
    let mut at = 0;
    while at < below.len() {
        let above = below[at];
        below.extend(all.iter().filter(|(_, parent, _)| *parent == above).map(|(id, ..)| *id));
        at += 1;
    }
    let servers = all.iter().filter(|(id, _, server)| *server && below.contains(id));
    // What its processes that ended have used is counted by the one that began them.
    servers.map(|(id, ..)| seconds(&format!("/proc/{id}/stat"), 4)).sum()
}

/// Number and parent of a process, and whether it belongs to a database server.
fn process(entry: std::fs::DirEntry) -> Option<(u32, u32, bool)> {
    let id = entry.file_name().to_str()?.parse().ok()?;
    let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
    let parent = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some((id, parent, stat.contains("(postgres)")))
}
