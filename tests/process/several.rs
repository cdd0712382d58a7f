//! Several workers and servers on one store, which may be killed at any moment.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    house::{House, Staying, until},
    server::TestDatabase,
};

const TABLE: &str = "CREATE TABLE note (code TEXT PRIMARY KEY, body TEXT)";

/// A hub in files, and a site whose store and data are on a server, in data directories of as many machines.
struct Field {
    house: House,
    data: TestDatabase,
    _store: TestDatabase,
    _server: Staying,
}

impl Field {
    fn with(machines: &[&str]) -> Field {
        let (house, store, mut data) = (House::new(), TestDatabase::new(), TestDatabase::new());
        house.sql("hub.db", TABLE);
        data.sql(TABLE);
        house.ok("hub", "init --name hub");
        house.ok("hub", "attach app sqlite:hub.db --table note --identity key:code");
        house.ok("hub", "user add field --role peer --password-file password");
        let server = house.start("hub", "serve --listen 127.0.0.1:0");
        for machine in machines {
            if *machine != machines[0] {
                fs::create_dir(house.path(machine)).unwrap();
                fs::copy(house.path(machines[0]).join("key"), house.path(machine).join("key")).unwrap();
            }
            house.ok(machine, &format!("--database {} init --name field", store.url()));
        }
        house.ok(machines[0], &format!("attach app {} --table note --identity key:code", data.url()));
        house.ok(machines[0], &format!("repository add hub --url {} --user field --password-file password", server.url()));
        house.ok(machines[0], "resource add hub note");
        // Both begin empty, so nobody has to say which rows are the same.
        house.ok(machines[0], "sync hub");
        Field { house, data, _store: store, _server: server }
    }

    /// A worker; as if on a machine of that name where that can be done.
    fn worker(&self, machine: &str, page: u32) -> Staying {
        let mut command = self.house.command(machine, "worker");
        command.env("ENTENTE_PAGE_RECORDS", page.to_string());
        Staying::start(command)
    }

    /// The same in a name space where the machine has that name.
    fn worker_elsewhere(&self, machine: &str, page: u32) -> Staying {
        let plain = self.house.command(machine, "worker");
        let mut command = std::process::Command::new("unshare");
        command.args(["--uts", "sh", "-c", "hostname \"$0\" && exec \"$@\"", machine]).arg(plain.get_program()).args(plain.get_args());
        command.env_clear().env("TZ", "UTC").env("PATH", "/usr/bin:/bin").current_dir(self.house.path(""));
        command.env("ENTENTE_PAGE_RECORDS", page.to_string()).stdin(std::process::Stdio::null());
        Staying::start(command)
    }

    fn notes_here(&mut self) -> Vec<String> {
        self.data.rows("SELECT code || '|' || body FROM note ORDER BY code COLLATE \"C\"").split(' ').map(str::to_owned).collect()
    }

    fn notes_there(&self) -> Vec<String> {
        self.house.rows("hub.db", "SELECT code || '|' || body FROM note ORDER BY code")
    }

    fn runs(&self, machine: &str, result: &str) -> usize {
        let log = self.house.ok(machine, &format!("log --limit 500 --result {result} --format json")).json();
        log.as_array().unwrap().iter().filter(|entry| entry["action"] == "run").count()
    }
}

#[test]
fn workers_of_one_store_that_are_killed_in_turn_lose_nothing_and_double_nothing() {
    let mut field = Field::with(&["one", "two"]);
    for _ in 0..2 {
        field.house.ok("one", "job add hub --every 10s");
    }
    let stop = AtomicBool::new(false);
    let mut here = field.data.another();
    let written = thread::scope(|scope| {
        let (house, stop) = (&field.house, &stop);
        let writer = scope.spawn(move || {
            let mut row = 0;
            while !stop.load(Ordering::Relaxed) {
                house.sql(
                    "hub.db",
                    &format!(
                        "INSERT INTO note VALUES ('hub-{row:05}', 'first'); UPDATE note SET body = 'last' WHERE code = 'hub-{row:05}'"
                    ),
                );
                here.batch_execute(&format!("INSERT INTO note VALUES ('here-{row:05}', 'first')")).unwrap();
                here.batch_execute(&format!("UPDATE note SET body = 'last' WHERE code = 'here-{row:05}'")).unwrap();
                row += 1;
                thread::sleep(Duration::from_millis(7));
            }
            row
        });
        let mut workers = ["one", "two"].map(|machine| Some(field.worker(machine, 5)));
        for round in 0..10 {
            let machine = ["one", "two"][round % 2];
            let _ = house.run(machine, &format!("job now {}", 1 + round % 2));
            thread::sleep(Duration::from_millis(300 + 137 * (round as u64 % 5)));
            if let Some(killed) = workers[round % 2].take() {
                killed.signal("KILL");
            }
            workers[round % 2] = Some(field.worker(machine, 5));
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    for _ in 0..3 {
        until("nobody is in it any more", || field.house.run("one", "sync hub").code == Some(0));
    }
    let (ours, theirs) = (field.notes_here(), field.notes_there());
    assert_eq!((ours.len(), &ours), (2 * written, &theirs));
    assert!(ours.iter().all(|note| note.ends_with("|last")));
    assert_eq!(field.house.ok("one", "quarantine --format json").json(), serde_json::json!([]));
    let idle = field.house.ok("two", "sync hub --format json").json();
    assert!(idle["resources"].as_array().unwrap().iter().all(|part| part["records"] == 0), "{idle}");
    assert!(field.runs("one", "interrupted") > 0, "somebody was killed in the middle of a run");
}

#[test]
fn what_a_killed_worker_of_this_machine_held_is_taken_over_at_once_and_of_another_within_the_lease() {
    for elsewhere in [false, true] {
        let mut field = Field::with(&["one", "two"]);
        let rows: String = (0..2_000).map(|row| format!("INSERT INTO note VALUES ('n{row:05}', 'x');")).collect();
        field.house.sql("hub.db", &format!("BEGIN; {rows} COMMIT;"));
        field.house.ok("one", "job add hub --cron '0 0 1 1 *'");
        let first = if elsewhere { field.worker_elsewhere("one", 10) } else { field.worker("one", 10) };
        field.house.ok("two", "job now 1");
        let mut looking = field.data.another();
        let mut count = || looking.query_one("SELECT count(*) FROM note", &[]).unwrap().get::<_, i64>(0);
        until("it is in the middle of a run", || count() > 0);
        first.signal("KILL");
        let killed = Instant::now();
        assert!(count() < 2_000, "it was quicker than the signal");
        let _second = field.worker("two", 1_000);
        until("the other goes on", || count() == 2_000);
        let took = killed.elapsed();
        let limit = if elsewhere { Duration::from_secs(40) } else { Duration::from_secs(15) };
        assert!(took < limit, "{took:?}");
        assert_eq!(field.notes_here(), field.notes_there());
    }
}

#[test]
fn a_worker_that_slept_through_its_lease_writes_nothing_more() {
    let mut field = Field::with(&["one", "two"]);
    let rows: String = (0..2_000).map(|row| format!("INSERT INTO note VALUES ('n{row:05}', 'x');")).collect();
    field.house.sql("hub.db", &format!("BEGIN; {rows} COMMIT;"));
    field.house.ok("one", "job add hub --cron '0 0 1 1 *'");
    let sleeper = field.worker("one", 10);
    let mut looks = field.data.another();
    field.house.ok("two", "job now 1");
    let mut looking = field.data.another();
    let mut count = || looking.query_one("SELECT count(*) FROM note", &[]).unwrap().get::<_, i64>(0);
    until("it is in the middle of a run", || count() > 0);
    // While rows are on their way to it, a server waits for them without end: only the network's timeouts end that.
    let mut copies = || {
        looks
            .query_one("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'COPY%'", &[])
            .unwrap()
            .get::<_, i64>(0)
    };
    loop {
        sleeper.signal("STOP");
        thread::sleep(Duration::from_millis(100));
        if copies() == 0 {
            break;
        }
        sleeper.signal("CONT");
    }
    assert!(count() < 2_000);
    let _second = field.worker("two", 1_000);
    let begun = Instant::now();
    while count() < 2_000 {
        assert!(begun.elapsed() < Duration::from_secs(240), "{}", field.house.ok("two", "log --format json").out);
        thread::sleep(Duration::from_millis(50));
    }
    field.house.sql("hub.db", "UPDATE note SET body = 'y' WHERE code = 'n00000'; DELETE FROM note WHERE code = 'n01999'");
    until("another run", || field.house.run("two", "sync hub").code == Some(0));
    sleeper.signal("CONT");
    thread::sleep(Duration::from_secs(3));
    assert_eq!(field.notes_here(), field.notes_there());
    sleeper.signal("TERM");
    let (status, said) = sleeper.ends();
    assert!(status.success(), "{said}");
    assert_eq!(field.notes_here(), field.notes_there());
}

#[test]
fn a_change_is_followed_once_however_many_workers_there_are_and_when_the_one_that_followed_is_killed() {
    let field = Field::with(&["one", "two"]);
    field.house.ok("one", "job add hub --cron '0 0 1 1 *' --on-change");
    let mut workers = vec![field.worker("one", 100)];
    thread::sleep(Duration::from_secs(2));
    workers.push(field.worker("two", 100));
    let mut here = field.data.another();
    let mut follow = |code: &str| {
        let before = field.runs("one", "success");
        here.batch_execute(&format!("INSERT INTO note VALUES ('{code}', 'x')")).unwrap();
        until("the change is followed", || field.notes_there().iter().any(|note| note.starts_with(code)));
        thread::sleep(Duration::from_secs(3));
        field.runs("one", "success") - before
    };
    follow("warm");
    assert_eq!([follow("first"), follow("second")], [1, 1]);
    workers.remove(0).signal("KILL");
    thread::sleep(Duration::from_secs(3));
    assert_eq!(follow("third"), 1);
}
