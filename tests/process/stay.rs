//! Processes that stay: they say when they are ready, drain when they are asked to, and are kept alive.

use std::process::Command;

use crate::house::{House, Staying, signal, until};

#[test]
fn a_server_a_worker_and_both_together_end_with_0_when_they_are_asked_to() {
    let house = House::new();
    for name in ["TERM", "INT"] {
        for words in ["serve --listen 127.0.0.1:0", "up --listen 127.0.0.1:0"] {
            let staying = house.start("site", words);
            assert!(staying.url().starts_with("http://127.0.0.1:"));
            staying.signal(name);
            let (status, said) = staying.ends();
            assert_eq!(status.code(), Some(0), "{words} {name}: {said}");
        }
        let worker = Staying::start(house.command("site", "worker"));
        until("the worker hears signals", || hears_signals(worker.id()));
        worker.signal(name);
        assert_eq!(worker.ends().0.code(), Some(0), "worker {name}");
    }
}

// Whether a process catches SIGTERM by now (proc(5), SigCgt).
fn hears_signals(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim();
    u64::from_str_radix(caught, 16).unwrap() & (1 << 14) != 0
}

#[test]
fn a_run_that_is_asked_to_end_stops_after_its_page_and_the_next_goes_on() {
    let schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)";
    let (house, _server) = House::hub_and_laptop(schema, "--table t");
    let rows =
        "INSERT INTO t (text) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT 'row ' || i FROM n";
    house.sql("hub.db", rows);
    house.ok("laptop", "resource add hub t");
    let count = || house.rows("laptop.db", "SELECT count(*) FROM t")[0].parse::<u32>().unwrap();
    let mut command = house.command("laptop", "sync hub");
    let sync = Staying::start({
        command.env("ENTENTE_PAGE_RECORDS", "20");
        command
    });
    until("the first page", || count() > 0);
    sync.signal("TERM");
    let (status, said) = sync.ends();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("stopped on request"), "{said}");
    assert!(count() < 5000 && count() % 20 == 0, "{}", count());
    house.ok("laptop", "sync hub");
    assert_eq!(count(), 5000);
}

#[test]
fn systemd_is_told_when_the_server_answers() {
    let house = House::new();
    let socket = std::os::unix::net::UnixDatagram::bind(house.path("notify")).unwrap();
    socket.set_read_timeout(Some(crate::house::PATIENCE)).unwrap();
    for words in ["serve --listen 127.0.0.1:0", "up --listen 127.0.0.1:0", "worker"] {
        let mut command = house.command("site", words);
        command.env("NOTIFY_SOCKET", house.path("notify"));
        let _staying = Staying::start(command);
        let mut told = [0; 64];
        let length = socket.recv(&mut told).unwrap();
        assert!(told[..length].starts_with(b"READY=1"), "{words}");
    }
}

#[test]
fn what_ends_is_started_again_and_what_is_left_alone_ends() {
    let house = House::new();
    let up = house.start("site", "up --listen 127.0.0.1:0");
    let server = child(up.id(), "serve").unwrap();
    signal(server, "KILL");
    until("another server", || child(up.id(), "serve").is_some_and(|another| another != server));
    let children = ["serve", "worker"].map(|verb| child(up.id(), verb).unwrap());
    up.signal("KILL");
    drop(up);
    until("both have ended", || children.iter().all(|process| !runs(*process)));
}

#[test]
fn what_is_kept_alive_keeps_little_memory_that_it_does_not_use() {
    let house = House::new();
    let up = house.start("site", "up --listen 127.0.0.1:0");
    until("both are there", || child(up.id(), "serve").is_some() && child(up.id(), "worker").is_some());
    for verb in ["serve", "worker"] {
        let process = child(up.id(), verb).unwrap();
        let environment = std::fs::read(format!("/proc/{process}/environ")).unwrap();
        for wanted in ["MALLOC_ARENA_MAX=2", "MALLOC_MMAP_THRESHOLD_=524288", "MALLOC_TRIM_THRESHOLD_=1048576"] {
            assert!(environment.split(|byte| *byte == 0).any(|setting| setting == wanted.as_bytes()), "{verb}: {wanted}");
        }
    }
}

#[test]
fn what_cannot_begin_is_not_tried_for_ever() {
    let house = House::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    house.run("site", &format!("serve --listen {address}")).fails(1).complains("in use").complains("--listen");
    house.run("site", &format!("up --listen {address}")).fails(1).complains("in use").complains("could not begin");
}

fn child(parent: u32, verb: &str) -> Option<u32> {
    let found = Command::new("pgrep").args(["-P", &parent.to_string(), "-f", &format!(" {verb} ")]).output().unwrap();
    String::from_utf8(found.stdout).unwrap().lines().next()?.parse().ok()
}

fn runs(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn the_demo_tells_its_story_agrees_and_leaves_nothing_behind() {
    let house = House::new();
    let demo = |words: &str| {
        let mut command = house.command("unused", words);
        command.env("TMPDIR", house.dir.path());
        command
    };
    let ran = crate::house::Ran::from(demo("demo --once --listen 127.0.0.1:0").output().unwrap()).ok();
    ran.says("1 updated, 1 deleted").says("in conflict").says("Both databases say the same now");
    let told = crate::house::Ran::from(demo("--format json demo --once --listen 127.0.0.1:0").output().unwrap()).ok().json();
    assert_eq!((told["agreed"].as_bool(), told["sites"].as_array().unwrap().len()), (Some(true), 2));

    let staying = Staying::start(demo("demo --listen 127.0.0.1:0")).waits_for("Ctrl-C ends the demo");
    staying.signal("INT");
    let (status, said) = staying.ends();
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
    let left: Vec<_> = std::fs::read_dir(house.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["password"]);
}
