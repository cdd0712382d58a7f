//! Every page of a site with 1,000 repositories and 1,000,000 entries in its log, asked for twenty times each over a connection of its own.
//!
//! `cargo bench --bench pages` takes some two minutes; `-- --quick` has a tenth of both. Prints the median and the worst of each page in milliseconds;
//! `--json FILE` writes JSON lines, too. Nothing is judged.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

#[path = "../../tests/admin/http.rs"]
#[allow(dead_code, clippy::expect_used, reason = "it is shared with the tests")]
mod http;

use std::{
    io::Write,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use entente::{
    config::{Config, Overrides, Settings},
    model::{Account, Grant, Job, Policy, Repository, Resource, Role, TableSpec, Time, Timing},
    site::Site,
    store::{Store, accounts, jobs, password::Hashed, repositories, resources},
    sync::attach,
    web::{self, Changes, Listen},
};
use http::Caller;
use regex::Regex;
use rusqlite::Connection;
use serde_json::json;

/// What the caller needs to know.
mod house {
    use std::time::Duration;

    pub(crate) const PASSWORD: &str = "correct horse battery staple";
    pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
}

const ROUTES: &str = include_str!("../../src/web/admin/routes.rs");

/// What there is no page of, or nothing to see at.
const LEFT_OUT: [&str; 8] =
    ["/assets", "/live", "/setup", "/login", "/conflicts/{number}", "/quarantine/{number}", "/log/{entry}/rollback", "/log.json"];

/// How often each page is asked for.
const TIMES: usize = 20;

/// How much there is.
struct Size {
    repositories: usize,
    entries: u64,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let size = match args.iter().any(|arg| arg == "--quick") {
        true => Size { repositories: 100, entries: 100_000 },
        false => Size { repositories: 1_000, entries: 1_000_000 },
    };
    let folder = tempfile::tempdir().unwrap();
    let site = fill(folder.path(), &size);
    let (address, stop) = serve(&site);
    let mut figures: Vec<(String, f64, f64)> = pages().into_iter().map(|path| measure(&address, path)).collect();
    drop(stop);
    figures.sort_by(|a, b| b.1.total_cmp(&a.1));
    println!("{:<58} {:>10} {:>10}", "milliseconds", "median", "worst");
    for (path, median, worst) in &figures {
        println!("{path:<58} {median:>10.1} {worst:>10.1}");
    }
    if let Some(file) = args.iter().position(|arg| arg == "--json").and_then(|at| args.get(at + 1)) {
        let mut out = std::fs::File::create(file).unwrap();
        for (path, median, worst) in &figures {
            writeln!(out, "{}", json!({"page": path, "entries": size.entries, "median": median, "worst": worst, "unit": "ms"})).unwrap();
        }
    }
}

/// A site with everything.
fn fill(folder: &Path, size: &Size) -> Arc<Site> {
    let data = Connection::open(folder.join("app.db")).unwrap();
    data.execute_batch(
        "CREATE TABLE contact (code TEXT PRIMARY KEY, name TEXT); INSERT INTO contact VALUES ('ada', 'Ada'), ('bob', 'Bob')",
    )
    .unwrap();
    let settings = Settings { data: Some(folder.join("site")), name: Some("hub".into()), ..Settings::default() };
    let config = Config::from_layers(Overrides { settings, ..Overrides::default() }, &std::collections::BTreeMap::new(), None);
    let site = Site::open(config.unwrap()).unwrap();
    let table = TableSpec {
        table: "contact".into(),
        resource: "contact".into(),
        identity: None,
        matching: Vec::new(),
        omit: Vec::new(),
        map: Default::default(),
        components: Default::default(),
    };
    attach::attach(&site, "app", &format!("sqlite:{}", folder.join("app.db").display()), &[table], &mut |_, _, _| {}).unwrap();
    let hash = Hashed::of(&house::PASSWORD.into()).unwrap();
    let grant = Grant { pull: false, push: false, resources: None };
    let root = Account { name: "root".into(), role: Role::Admin, grant, bound: None };
    site.store.write(|c| accounts::add(c, &root, &hash)).unwrap();
    site.store.write(|c| (0..size.repositories).try_for_each(|number| repository(c, &site, number))).unwrap();
    entries(&folder.join("site").join(Store::FILE), size);
    eprintln!("{} repositories and {} entries are there", size.repositories, size.entries);
    site
}

fn repository(c: &mut entente::store::Conn, site: &Site, number: usize) -> entente::error::Result<()> {
    let new = Repository {
        uuid: Some(format!("urn:uuid:00000000-0000-4000-8000-{number:012}").parse()?),
        // Nobody answers there, at once.
        url: Some("http://127.0.0.1:9".into()),
        user: Some("hub".into()),
        password: Some("correct horse".into()),
        ..Repository::new(&format!("site-{number:04}"))
    };
    let id = repositories::add(c, site.store.key(), &new)?.id;
    resources::add(c, &Resource { conflict: Policy::Manual, ..Resource::new(id, "contact") })?;
    let due = Time(site.now().0 + 3_600_000_000);
    jobs::add(c, &Job { next_run: Some(due), ..Job::new(id, Timing::Every(3_600)) }).map(|_| ())
}

/// The log of years, and how each repository is. Written past the store, which would take an hour for it.
fn entries(store: &Path, size: &Size) {
    let store = Connection::open(store).unwrap();
    store.busy_timeout(Duration::from_secs(60)).unwrap();
    let (entries, repositories) = (size.entries, size.repositories);
    let now = "(CAST(strftime('%s', 'now') AS INTEGER) * 1000000)";
    // Of ten entries one is a run, and the others are its parts.
    let log = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {entries})
         INSERT INTO log (run, time, duration, repository, repository_name, resource, action, direction, outcome, remote, message, records, created,
                          updated, deleted, unchanged, kept, conflicts, quarantined, parked, bytes, retracted)
         SELECT iif(i % 10 = 1, NULL, i - (i + 9) % 10), {now} - ({entries} - i) * 1000000, 25000, (i / 10) % {repositories} + 1,
                printf('site-%04d', (i / 10) % {repositories}), iif(i % 10 = 1, NULL, 'contact'),
                iif(i % 10 = 1, 'run', iif(i % 2, 'pull', 'push')), 'outgoing', iif(i % 97 = 0, 'error', 'success'), 0,
                'Took ' || (i % 50) || ' records', i % 50, i % 50, 0, 0, 0, 0, 0, 0, 0, (i % 50) * 300, 0 FROM n;"
    );
    store.execute_batch(&log).unwrap();
    let conditions = format!(
        "INSERT OR REPLACE INTO condition (repository, run, time, outcome, message, failures, last_success, skew, version)
         SELECT id, id * 10 + 1, {now}, iif(id % 40, 'success', 'error'), 'Took 5 records', iif(id % 40, 0, 3), {now} - 60000000, 12, '0.1.0' FROM repository;
         INSERT OR REPLACE INTO verified SELECT id, {now} FROM resource;"
    );
    store.execute_batch(&conditions).unwrap();
}

/// Serves the site until the sender is dropped.
fn serve(site: &Arc<Site>) -> (String, tokio::sync::oneshot::Sender<()>) {
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let (tell, told) = std::sync::mpsc::channel();
    let site = site.clone();
    thread::spawn(move || {
        let listen = Listen { addr: ([127, 0, 0, 1], 0).into(), tls: None };
        web::serve(site, listen, Changes::new(16), |address| tell.send(address).unwrap(), async { drop(stopped.await) }).unwrap();
    });
    (format!("http://{}", told.recv().unwrap()), stop)
}

/// Every page, and the log as people search it.
fn pages() -> Vec<String> {
    let route = Regex::new(r#"at\("([^"]+)"\)[^\n]*route\(get\(\)"#).unwrap();
    let all =
        route.captures_iter(ROUTES).map(|found| found[1].to_owned()).filter(|path| !LEFT_OUT.iter().any(|other| path.starts_with(other)));
    let filled = all.map(|path| {
        let named = match path.as_str() {
            path if path.starts_with("/users") => "root",
            path if path.starts_with("/attach") => "app",
            _ => "contact",
        };
        let path = path.replace("{id}", "500").replace("{job}", "500").replace("{entry}", "99991").replace("{name}", named);
        if path.ends_with("/new") && path.contains("/resources") { format!("{path}?name=contact") } else { path }
    });
    let searches = [
        "/log?text=49",
        "/log?text=nothing-has-this",
        "/log?result=error",
        "/log?repository=500",
        "/log?action=run&result=error",
        "/log?resource=contact",
    ];
    filled.chain(searches.map(String::from)).collect()
}

/// The median and the worst time of a page.
fn measure(address: &str, path: String) -> (String, f64, f64) {
    // A tenth of the repositories has a tenth of their numbers.
    let mut caller = Caller::signed_in(address, "root");
    let path = if caller.get("/repositories/500").status == 200 { path } else { path.replace("500", "50") };
    let mut times: Vec<f64> = (0..TIMES)
        .map(|_| {
            let begun = Instant::now();
            let answer = caller.get(&path);
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
            begun.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (path, times[TIMES / 2], times[TIMES - 1])
}
