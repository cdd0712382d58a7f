//! Two sites in processes of their own: one serves, one calls and is told what to do line by line.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
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
    model::{Account, Grant, Job, Repository, Resource, Role, Timing},
    site::Site,
    store::{accounts, jobs as stored_jobs, password::Hashed, repositories, resources},
    sync::{
        register,
        run::{Ask, Control, run},
        schedule, watch,
    },
    web::{Listen, serve},
};

use crate::apps::{Ground, Place};

/// The first argument of a process that plays a site.
pub(crate) const ROLE: &str = "play-a-site";

const PASSWORD: &str = "correct horse battery staple";

/// The site of a data directory.
pub(crate) fn site(data: &Path, name: &str) -> Arc<Site> {
    let settings = Settings { data: Some(data.to_owned()), name: Some(name.into()), ..Settings::default() };
    Site::open(Config::from_layers(Overrides { settings, ..Overrides::default() }, &std::collections::BTreeMap::new(), None).unwrap())
        .unwrap()
}

/// Two data directories and their applications' databases: the hub's holds N contacts, the caller's none.
pub(crate) struct Sites {
    folder: Arc<tempfile::TempDir>,
    pub(crate) hub_place: Place,
    pub(crate) caller_place: Place,
    hub: String,
    caller: String,
    pub(crate) attached: Duration,
    pub(crate) longest_wait: Duration,
}

impl Sites {
    pub(crate) fn new(ground: Ground, n: u64) -> Sites {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let place = |name: &str, rows: u64| {
            let place = Place::new(ground, &folder.path().join(format!("{name}.db")));
            let mut app = place.open();
            if rows > 0 {
                app.orgs();
            }
            app.fill(rows);
            app.settle();
            place
        };
        let (hub_place, caller_place) = (place("full", n), place("empty", 0));
        let (attached, longest_wait) = (Duration::ZERO, Duration::ZERO);
        let mut sites = Sites { hub_place, caller_place, hub: "full".into(), caller: "empty".into(), folder, attached, longest_wait };
        sites.attach();
        sites
    }

    /// The same two, the other one calling.
    pub(crate) fn turned(&self) -> Sites {
        Sites {
            folder: self.folder.clone(),
            hub_place: self.caller_place.clone(),
            caller_place: self.hub_place.clone(),
            hub: self.caller.clone(),
            caller: self.hub.clone(),
            ..*self
        }
    }

    /// Attaches both while an application writes single rows to the full one.
    fn attach(&mut self) {
        let stop = AtomicBool::new(false);
        let (attached, longest) = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut app = self.hub_place.open();
                let mut longest = Duration::ZERO;
                while !stop.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    app.sql("UPDATE org SET name = name || '' WHERE id = 1");
                    longest = longest.max(begun.elapsed());
                    std::thread::sleep(Duration::from_millis(3));
                }
                longest
            });
            let begun = Instant::now();
            for (name, place) in [(&self.hub, &self.hub_place), (&self.caller, &self.caller_place)] {
                place.attach(&site(&self.folder.path().join(name), name));
            }
            let attached = begun.elapsed();
            stop.store(true, Ordering::Relaxed);
            (attached, writer.join().unwrap())
        });
        (self.attached, self.longest_wait) = (attached, longest);
    }

    /// From an application's commit at the hub until the row can be read at the caller.
    pub(crate) fn one_row(&self, round: u64) -> Duration {
        let (mut from, mut to) = (self.hub_place.open(), self.caller_place.open());
        let row = 50_000_000 + round;
        from.insert(row);
        let begun = Instant::now();
        while !to.has(row) {
            assert!(begun.elapsed() < Duration::from_secs(60), "the row does not arrive");
            std::thread::sleep(Duration::from_millis(1));
        }
        let waited = begun.elapsed();
        std::thread::sleep(Duration::from_millis(300));
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
        // As `entente up` and the systemd unit start them.
        command.envs([("MALLOC_ARENA_MAX", "2"), ("MALLOC_MMAP_THRESHOLD_", "524288"), ("MALLOC_TRIM_THRESHOLD_", "1048576")]);
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

    /// Where it is called.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// The site that calls.
pub(crate) struct Caller(Player);

/// What a run did.
pub(crate) struct Ran {
    pub(crate) seconds: f64,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) conflicts: u64,
}

impl Caller {
    pub(crate) fn start(sites: &Sites, hub: &Hub) -> Caller {
        Caller::start_at(sites, hub.url())
    }

    /// Calls the hub at another address: by a line of its own.
    pub(crate) fn start_at(sites: &Sites, url: &str) -> Caller {
        let data = sites.folder.path().join(&sites.caller);
        let mut player = Player::start(&["call", data.to_str().unwrap(), url]);
        assert_eq!(player.line(), "ready");
        Caller(player)
    }

    pub(crate) fn sync(&mut self) -> Ran {
        let answer = self.0.ask("sync");
        let parts: Vec<f64> = answer.split(' ').map(|part| part.parse().unwrap_or_else(|_| panic!("{answer}"))).collect();
        Ran { seconds: parts[0], records: parts[1] as u64, bytes: parts[2] as u64, conflicts: parts[3] as u64 }
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
            let job = schedule::planned(job, site.now()).unwrap();
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
        let conflicts: u64 = report.resources.iter().map(|part| part.counts.conflicts).sum();
        println!("{} {records} {bytes} {conflicts}", begun.elapsed().as_secs_f64());
    }
}
