//! Kill -9 at random moments, a full disk, and changes that are followed at once: nothing is lost, nothing is doubled.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::house::{House, Staying, until};

const SCHEMA: &str = "PRAGMA journal_mode = WAL; CREATE TABLE note (code TEXT PRIMARY KEY, body TEXT);
                      CREATE TABLE reply (id INTEGER PRIMARY KEY, note TEXT NOT NULL REFERENCES note(code), n INTEGER NOT NULL UNIQUE);";
const ATTACH: &str = "--table note --table reply";
const NOTES: &str = "SELECT code, body FROM note ORDER BY code";
const REPLIES: &str = "SELECT note, n FROM reply ORDER BY n";

fn shared() -> (House, Staying) {
    let (house, server) = House::hub_and_laptop(SCHEMA, ATTACH);
    for name in ["note", "reply"] {
        house.ok("laptop", &format!("resource add hub {name}"));
    }
    (house, server)
}

/// A small generator of our own, so that a failure can be repeated with its seed.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

pub(crate) fn seed() -> u64 {
    let fresh = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos().into();
    let seed: u64 = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(fresh);
    println!("SEED={seed}");
    seed | 1
}

/// An application that goes on writing to one database until it is told to stop. Returns how many rows it committed.
fn write_until(house: &House, site: &str, stop: &AtomicBool) -> u32 {
    let offset = if site == "hub" { 0 } else { 1_000_000 };
    let mut row = 0;
    while !stop.load(Ordering::Relaxed) {
        let number = offset + row;
        house.sql(
            &format!("{site}.db"),
            &format!(
                "BEGIN IMMEDIATE; INSERT INTO note VALUES ('{site}-{row:05}', 'first'); INSERT INTO reply (note, n) VALUES ('{site}-{row:05}', {number}); COMMIT;
                 UPDATE note SET body = 'last' WHERE code = '{site}-{row:05}';"
            ),
        );
        row += 1;
        thread::sleep(Duration::from_millis(7));
    }
    row
}

#[test]
fn processes_killed_at_random_moments_lose_nothing_and_double_nothing() {
    let mut chance = Chance(seed());
    let (house, server) = shared();
    let address = server.url().trim_start_matches("http://").to_owned();
    // Both begin empty, so nobody has to say which rows are the same.
    house.ok("laptop", "sync hub");
    let stop = AtomicBool::new(false);
    let mut server = Some(server);
    let (at_hub, at_laptop) = thread::scope(|scope| {
        let writers = ["hub", "laptop"].map(|site| {
            let (house, stop) = (&house, &stop);
            scope.spawn(move || write_until(house, site, stop))
        });
        for round in 0..24 {
            let mut command = house.command("laptop", "sync hub");
            command.env("ENTENTE_PAGE_RECORDS", "5");
            let run = Staying::start(command);
            thread::sleep(Duration::from_millis(100 + chance.below(700)));
            if round % 2 == 0 {
                run.signal("KILL");
            } else {
                server.take().unwrap().signal("KILL");
            }
            drop(run);
            if server.is_none() {
                server = Some(house.start("hub", &format!("serve --listen {address}")));
            }
        }
        stop.store(true, Ordering::Relaxed);
        let [hub, laptop] = writers;
        (hub.join().unwrap(), laptop.join().unwrap())
    });
    house.ok("laptop", "worker --once");
    for _ in 0..3 {
        house.ok("laptop", "sync hub");
    }
    for sql in [NOTES, REPLIES] {
        assert_eq!(house.rows("hub.db", sql), house.rows("laptop.db", sql));
    }
    let written = at_hub + at_laptop;
    assert_eq!(house.rows("hub.db", "SELECT count(*), min(body) FROM note"), [format!("{written}|last")]);
    assert_eq!(house.rows("hub.db", "SELECT count(*) FROM reply"), [written.to_string()]);
    let log = house.ok("laptop", "log --limit 500 --format json").json();
    assert!(log.as_array().unwrap().iter().any(|entry| entry["result"] == "interrupted"), "{log}");
    let idle = house.ok("laptop", "sync hub --format json").json();
    assert!(idle["resources"].as_array().unwrap().iter().all(|part| part["records"] == 0), "{idle}");
}

#[test]
fn a_worker_killed_in_a_run_is_followed_by_another_that_takes_over_at_once() {
    let mut chance = Chance(seed());
    let (house, _server) = shared();
    let rows: String = (0..3_000).map(|row| format!("INSERT INTO note VALUES ('n{row:05}', 'x');")).collect();
    house.sql("hub.db", &format!("BEGIN; {rows} COMMIT;"));
    house.ok("laptop", "job add hub --every 10s");
    let worker = || {
        let mut command = house.command("laptop", "worker");
        command.env("ENTENTE_PAGE_RECORDS", "10");
        Staying::start(command)
    };
    for _ in 0..6 {
        let killed = worker();
        thread::sleep(Duration::from_millis(200 + chance.below(600)));
        killed.signal("KILL");
    }
    let _last = worker();
    house.run("laptop", "job now 1");
    until("all notes arrive", || house.rows("laptop.db", "SELECT count(*) FROM note") == ["3000"]);
    assert_eq!(house.rows("laptop.db", NOTES), house.rows("hub.db", NOTES));
}

#[test]
fn a_disk_that_is_full_keeps_nothing_of_the_page_and_heals() {
    let (house, _server) = shared();
    let rows: String = (0..400).map(|row| format!("INSERT INTO note VALUES ('n{row:05}', '{}');", "long ".repeat(400))).collect();
    house.sql("hub.db", &format!("BEGIN; {rows} COMMIT;"));
    // A limit on the size of files, which makes writes fail as a full disk does.
    let program = env!("CARGO_BIN_EXE_entente");
    let script = format!("trap '' XFSZ; ulimit -f 600; exec {program} --data laptop sync hub");
    let output = std::process::Command::new("sh").args(["-c", &script]).current_dir(house.path("")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("disk"), "{said}");
    assert_eq!(house.rows("laptop.db", "SELECT count(*) FROM note"), ["0"]);
    assert_eq!(house.rows("laptop.db", "PRAGMA integrity_check"), ["ok"]);
    house.ok("laptop", "sync hub");
    assert_eq!(house.rows("laptop.db", NOTES), house.rows("hub.db", NOTES));
}

#[test]
fn a_change_on_either_side_is_followed_at_once_where_a_job_asks_for_it() {
    let (house, _server) = shared();
    house.ok("laptop", "job add hub --cron '0 0 1 1 *' --on-change");
    let _worker = Staying::start(house.command("laptop", "worker"));
    // The worker has begun once it has heard of something.
    until("the laptop's own change reaches the hub", || {
        house.sql("laptop.db", "INSERT OR IGNORE INTO note VALUES ('from the laptop', 'x'); UPDATE note SET body = body || '.';");
        thread::sleep(Duration::from_millis(500));
        house.rows("hub.db", "SELECT count(*) FROM note") == ["1"]
    });
    house.sql("hub.db", "INSERT INTO note VALUES ('from the hub', 'y');");
    until("the hub's change reaches the laptop", || house.rows("laptop.db", "SELECT body FROM note WHERE code = 'from the hub'") == ["y"]);
}

#[test]
fn two_workers_on_one_data_directory_share_the_jobs() {
    let (house, _server) = shared();
    for _ in 0..3 {
        house.ok("laptop", "job add hub --every 10s");
    }
    let _workers = [Staying::start(house.command("laptop", "worker")), Staying::start(house.command("laptop", "worker"))];
    house.sql("hub.db", "INSERT INTO note VALUES ('n', 'x');");
    until("six runs", || {
        let log = house.ok("laptop", "log --limit 500 --format json").json();
        let runs: Vec<_> = log.as_array().unwrap().iter().filter(|entry| entry["action"] == "run").cloned().collect();
        assert!(runs.iter().all(|run| run["result"] != "error" && run["result"] != "fatal"), "{runs:?}");
        runs.iter().filter(|run| run["result"] == "success").count() >= 6
    });
    assert_eq!(house.rows("laptop.db", NOTES), ["n|x"]);
}
