//! Two sites in processes of their own: one serves, one calls and is told what to do line by line.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use entente::{
    config::{Config, Overrides, Settings},
    jobs,
    model::{Account, Grant, Job, Repository, Resource, Role, TableSpec, Timing},
    site::Site,
    store::{accounts, jobs as stored_jobs, password::Hashed, repositories, resources},
    sync::{
        attach, register,
        run::{Ask, Control, run},
        watch,
    },
    web::{Listen, serve},
};
use rusqlite::{Connection, params};

/// The first argument of a process that plays a site.
pub(crate) const ROLE: &str = "play-a-site";

pub(crate) const SCHEMA: &str = "CREATE TABLE org (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE contact (uuid TEXT PRIMARY KEY, name TEXT, email TEXT, phone TEXT, org INTEGER REFERENCES org(id), note TEXT, amount NUMERIC,
      flag INTEGER, modified_on TEXT);";

const PASSWORD: &str = "correct horse battery staple";

/// The site of a data directory.
pub(crate) fn site(data: &Path, name: &str) -> Arc<Site> {
    let settings = Settings { data: Some(data.to_owned()), name: Some(name.into()), ..Settings::default() };
    Site::open(Config::from_layers(Overrides { settings, ..Overrides::default() }, &std::collections::BTreeMap::new(), None).unwrap())
        .unwrap()
}

pub(crate) fn uuid(row: u64) -> uuid::Uuid {
    let mixed = (u128::from(row) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    uuid::Builder::from_random_bytes(mixed.to_be_bytes()).into_uuid()
}

pub(crate) fn orgs(conn: &Connection) {
    for org in 1..=100 {
        conn.execute("INSERT OR IGNORE INTO org VALUES (?1, ?2)", params![org, format!("Organisation {org}")]).unwrap();
    }
}

pub(crate) fn insert(conn: &Connection, row: u64) {
    let mut statement = conn.prepare_cached("INSERT INTO contact VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)").unwrap();
    let id = uuid(row);
    let note = format!("met at {row} in the harbour hall, asked for tents, wants to be called back {}", id.simple());
    let values = params![
        id.to_string(),
        format!("Contact number {row}"),
        format!("contact{row}@example.org"),
        format!("+49 151 {row:09}"),
        (row % 100) as i64 + 1,
        &note[..note.len().min(80)],
        (row % 10_000) as f64 / 100.0 + 0.5,
        (row % 2) as i64,
        "2026-01-02 03:04:05"
    ];
    statement.execute(values).unwrap();
}

pub(crate) fn fill(conn: &Connection, n: u64) {
    for first in (0..n).step_by(50_000) {
        conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        (first..(first + 50_000).min(n)).for_each(|row| insert(conn, row));
        conn.execute_batch("COMMIT").unwrap();
    }
}

/// Two data directories and their applications' databases: the hub's holds N contacts, the caller's none.
pub(crate) struct Sites {
    folder: Arc<tempfile::TempDir>,
    pub(crate) hub_file: PathBuf,
    pub(crate) caller_file: PathBuf,
    hub: String,
    caller: String,
    pub(crate) attached: Duration,
    pub(crate) longest_wait: Duration,
}

impl Sites {
    pub(crate) fn new(n: u64) -> Sites {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let file = |name: &str| folder.path().join(format!("{name}.db"));
        for (name, rows) in [("full", n), ("empty", 0)] {
            let app = Connection::open(file(name)).unwrap();
            app.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;").unwrap();
            app.execute_batch(SCHEMA).unwrap();
            if rows > 0 {
                orgs(&app);
            }
            fill(&app, rows);
        }
        let mut sites = Sites {
            hub_file: file("full"),
            caller_file: file("empty"),
            hub: "full".into(),
            caller: "empty".into(),
            folder,
            attached: Duration::ZERO,
            longest_wait: Duration::ZERO,
        };
        sites.attach();
        sites
    }

    /// The same two, the other one calling.
    pub(crate) fn turned(&self) -> Sites {
        Sites {
            folder: self.folder.clone(),
            hub_file: self.caller_file.clone(),
            caller_file: self.hub_file.clone(),
            hub: self.caller.clone(),
            caller: self.hub.clone(),
            ..*self
        }
    }

    /// Attaches both while an application writes single rows to the full one.
    fn attach(&mut self) {
        let specs = ["org", "contact"].map(|name| TableSpec { table: name.into(), resource: name.into(), ..TableSpec::default() });
        let stop = AtomicBool::new(false);
        let (attached, longest) = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let app = Connection::open(&self.hub_file).unwrap();
                app.busy_timeout(Duration::from_secs(30)).unwrap();
                let mut longest = Duration::ZERO;
                while !stop.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    app.execute_batch("UPDATE org SET name = name || '' WHERE id = 1").unwrap();
                    longest = longest.max(begun.elapsed());
                    std::thread::sleep(Duration::from_millis(3));
                }
                longest
            });
            let begun = Instant::now();
            for (name, file) in [(&self.hub, &self.hub_file), (&self.caller, &self.caller_file)] {
                attach::attach(
                    &site(&self.folder.path().join(name), name),
                    "app",
                    &format!("sqlite:{}", file.display()),
                    &specs,
                    &mut |_, _, _| {},
                )
                .unwrap();
            }
            let attached = begun.elapsed();
            stop.store(true, Ordering::Relaxed);
            (attached, writer.join().unwrap())
        });
        (self.attached, self.longest_wait) = (attached, longest);
    }

    /// Changes some rows of a database, from a row on.
    pub(crate) fn change(&self, file: &Path, round: u64, rows: u64, from: u64) {
        let app = Connection::open(file).unwrap();
        app.busy_timeout(Duration::from_secs(30)).unwrap();
        app.execute_batch("BEGIN IMMEDIATE").unwrap();
        for row in from..from + rows {
            app.execute("UPDATE contact SET phone = ?2 WHERE uuid = ?1", params![uuid(row).to_string(), format!("changed {round} {row}")])
                .unwrap();
        }
        app.execute_batch("COMMIT").unwrap();
    }

    /// From an application's commit at the hub until the row can be read at the caller.
    pub(crate) fn one_row(&self, round: u64) -> Duration {
        let (from, to) = (Connection::open(&self.hub_file).unwrap(), Connection::open(&self.caller_file).unwrap());
        from.busy_timeout(Duration::from_secs(30)).unwrap();
        to.busy_timeout(Duration::from_secs(30)).unwrap();
        let row = 50_000_000 + round;
        insert(&from, row);
        let begun = Instant::now();
        let mut look = to.prepare("SELECT 1 FROM contact WHERE uuid = ?1").unwrap();
        while !look.exists([uuid(row).to_string()]).unwrap() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the row does not arrive");
            std::thread::sleep(Duration::from_millis(1));
        }
        let waited = begun.elapsed();
        std::thread::sleep(Duration::from_millis(700));
        waited
    }
}

/// A process that plays a site.
struct Player {
    child: Child,
    tell: ChildStdin,
    hear: BufReader<ChildStdout>,
}

impl Player {
    fn start(words: &[&str]) -> Player {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let mut child = command.arg(ROLE).args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (tell, hear) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Player { child, tell, hear }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.hear.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn ask(&mut self, words: &str) -> String {
        writeln!(self.tell, "{words}").unwrap();
        self.line()
    }

    /// The most memory it ever had, in MB.
    fn peak(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0) / 1024.0
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The site that is called.
pub(crate) struct Hub {
    player: Player,
    url: String,
}

impl Hub {
    pub(crate) fn start(sites: &Sites) -> Hub {
        let data = sites.folder.path().join(&sites.hub);
        let mut player = Player::start(&["serve", data.to_str().unwrap()]);
        let url = player.line();
        Hub { player, url }
    }

    pub(crate) fn peak(&self) -> f64 {
        self.player.peak()
    }
}

/// The site that calls.
pub(crate) struct Caller(Player);

/// What a run did.
pub(crate) struct Ran {
    pub(crate) seconds: f64,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

impl Caller {
    pub(crate) fn start(sites: &Sites, hub: &Hub) -> Caller {
        let data = sites.folder.path().join(&sites.caller);
        let mut player = Player::start(&["call", data.to_str().unwrap(), &hub.url]);
        assert_eq!(player.line(), "ready");
        Caller(player)
    }

    pub(crate) fn sync(&mut self) -> Ran {
        let answer = self.0.ask("sync");
        let parts: Vec<f64> = answer.split(' ').map(|part| part.parse().unwrap_or_else(|_| panic!("{answer}"))).collect();
        Ran { seconds: parts[0], records: parts[1] as u64, bytes: parts[2] as u64 }
    }

    /// From now on it follows changes at once.
    pub(crate) fn follow(&mut self) {
        assert_eq!(self.0.ask("follow"), "following");
    }

    pub(crate) fn peak(&self) -> f64 {
        self.0.peak()
    }
}

/// Plays a site, in a process of its own.
pub(crate) fn play(words: &[String]) {
    match words[0].as_str() {
        "serve" => play_hub(&words[1]),
        _ => play_caller(&words[1], &words[2]),
    }
}

fn play_hub(data: &str) {
    let site = site(Path::new(data), "hub");
    let grant = Grant { pull: true, push: true, resources: None };
    let account = Account { name: "caller".into(), role: Role::Peer, grant, bound: None };
    let hashed = Hashed::of(&PASSWORD.into()).unwrap();
    site.store.write(|c| accounts::add(c, &account, &hashed)).unwrap();
    let (changes, _) = tokio::sync::broadcast::channel(64);
    let (watched, told) = (site.clone(), changes.clone());
    std::thread::spawn(move || {
        watch::watch(&watched, &|| false, &mut |resource| {
            let _ = told.send(resource.to_owned());
        });
    });
    let listen = Listen { addr: "127.0.0.1:0".parse().unwrap(), tls: None };
    serve(site, listen, changes, |address| println!("http://{address}"), std::future::pending()).unwrap();
}

fn play_caller(data: &str, url: &str) {
    let site = site(Path::new(data), "caller");
    let new = Repository { url: Some(url.into()), user: Some("caller".into()), password: Some(PASSWORD.into()), ..Repository::new("hub") };
    let added = register::add(&site, &new).unwrap();
    assert!(added.warning.is_none(), "{:?}", added.warning);
    let repository = site.store.read(|c| repositories::get(c, site.store.key(), "hub")).unwrap();
    for name in ["org", "contact"] {
        site.store.write(|c| resources::add(c, &Resource::new(repository.id, name)).map(|_| ())).unwrap();
    }
    println!("ready");
    for line in std::io::stdin().lines() {
        if line.unwrap() == "follow" {
            let job = Job { on_change: true, ..Job::new(repository.id, Timing::Every(86_400)) };
            let job = jobs::planned(job, site.now()).unwrap();
            site.store.write(|c| stored_jobs::add(c, &job).map(|_| ())).unwrap();
            let site = site.clone();
            std::thread::spawn(move || jobs::work(&site, std::future::pending()).unwrap());
            println!("following");
            continue;
        }
        let begun = Instant::now();
        let before = entente::peer::Peer::traffic(site.peer(&repository).unwrap().as_ref());
        let report = run(&site, &repository, &Ask::default(), &mut Control { stop: &|| None, progress: &mut |_| {} }).unwrap();
        let bytes = entente::peer::Peer::traffic(site.peer(&repository).unwrap().as_ref()) - before;
        let failed: Vec<String> =
            report.resources.iter().filter_map(|part| part.error.as_ref().map(entente::error::Error::chain)).collect();
        assert!(failed.is_empty(), "{failed:?}");
        let records: u64 = report.resources.iter().map(|part| part.counts.records).sum();
        println!("{} {records} {bytes}", begun.elapsed().as_secs_f64());
    }
}
