//! Two machines in the name of one site, and all that must not be taken for that.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use super::world::{Line, TestSite, records, table};
use crate::{
    config::Settings,
    error::{Kind, Result},
    model::{
        Account, CompareAnswer, CompareRequest, Grant, Greeting, Hello, Page, PullRequest, PushRequest, Receipt, Registered, Registration,
        Role, SiteId, Want,
    },
    peer::{Contact, Peer},
    site::Site,
    store::{self, clones, log},
    sync::{
        attach,
        clones::{moved, settle},
        run::{Ask, Control, RunReport, run_with},
        serve,
    },
};

const SCHEMA: &str = "CREATE TABLE t (code TEXT PRIMARY KEY, v TEXT); CREATE TABLE u (id INTEGER PRIMARY KEY, v TEXT);";
const ALL: &str = "SELECT code, v FROM t ORDER BY code";

/// A hub and a site that have met twice.
fn pair() -> (TestSite, TestSite) {
    let (hub, a) = (TestSite::new("hub", SCHEMA), TestSite::new("a", SCHEMA));
    for site in [&hub, &a] {
        site.attach(&[table("t"), table("u")]);
    }
    a.knows(&hub, &["t", "u"]);
    hub.knows(&a, &["t", "u"]);
    for code in ["one", "two"] {
        a.sql(&format!("INSERT INTO t VALUES ('{code}', 'a')"));
        a.agree(&hub);
    }
    (hub, a)
}

/// The site edits something and runs with the hub; whether it was let.
fn meets(site: &TestSite, hub: &TestSite, code: &str) -> bool {
    site.sql(&format!("INSERT OR REPLACE INTO t VALUES ('{code}', hex(randomblob(4)))"));
    was_let(|| site.try_sync(hub, &Ask::default()))
}

/// The same, but it is the hub that calls.
fn is_called(site: &TestSite, hub: &TestSite, code: &str) -> bool {
    hub.sql(&format!("INSERT OR REPLACE INTO t VALUES ('{code}', hex(randomblob(4)))"));
    was_let(|| hub.try_sync(site, &Ask::default()))
}

/// A run that only then finds that a journal went back says so, and the next one goes through.
fn was_let(run: impl Fn() -> Result<RunReport>) -> bool {
    for _ in 0..4 {
        let error = match run() {
            Err(error) => error,
            Ok(report) => match report.resources.into_iter().find_map(|part| part.error) {
                None => return true,
                Some(error) => error,
            },
        };
        if error.kind() != Kind::Epoch {
            assert_eq!(error.kind(), Kind::Exists, "{}", error.chain());
            let want = "two machines present themselves as a; give one of them a new identity: entente site --new-identity";
            assert!(error.to_string().contains(want), "{error}");
            return false;
        }
    }
    panic!("it never goes through");
}

fn flagged(hub: &TestSite, site: SiteId) -> bool {
    hub.site.store.read(|c| clones::since(c, site)).unwrap().is_some()
}

fn lines_in_log(hub: &TestSite) -> usize {
    let entries = hub.site.store.read(|c| log::list(c, &log::LogFilter { limit: 1_000, ..Default::default() })).unwrap();
    entries.iter().filter(|entry| entry.message.contains("two machines")).count()
}

/// As if the site had been started again, so that its own identity is read anew.
fn started_again(site: TestSite) -> TestSite {
    let again = site.cloned();
    drop(site);
    again
}

fn account(bound: Option<SiteId>) -> Account {
    Account { name: "peer".into(), role: Role::Peer, grant: Grant { pull: true, push: true, resources: None }, bound }
}

#[test]
fn two_machines_that_call_in_turn_are_both_refused_until_one_is_another_site() {
    for original_moves in [false, true] {
        let (hub, a) = pair();
        let b = a.cloned();
        let former = a.site.id;
        let turns = [&a, &b, &a, &b].map(|site| meets(site, &hub, "x"));
        assert_eq!(turns, [true, true, true, false]);
        assert!(!meets(&a, &hub, "x") && !meets(&b, &hub, "x"), "both are refused");
        assert!(flagged(&hub, former));
        assert_eq!(lines_in_log(&hub), 1, "it is told once");
        let (mover, stays) = if original_moves { (a, b) } else { (b, a) };
        let new = attach::new_identity(&mover.site).unwrap();
        mover.site.store.write(|c| store::site::rename(c, "moved")).unwrap();
        let mover = started_again(mover);
        assert_eq!(mover.site.id, new);
        moved(&hub.site, &account(Some(new)), new, former).unwrap();
        for turn in 0..3 {
            assert!(meets(&stays, &hub, "stays") && meets(&mover, &hub, "moved"), "{turn}");
        }
        meets(&stays, &hub, "stays");
        mover.agree(&hub);
        assert_eq!((stays.rows(ALL), mover.rows(ALL)), (hub.rows(ALL), hub.rows(ALL)));
        assert!(!flagged(&hub, former) && !flagged(&hub, new));
    }
}

#[test]
fn two_machines_that_answer_in_turn_are_noticed_too() {
    let (hub, a) = pair();
    is_called(&a, &hub, "x");
    let b = a.cloned();
    let turns: Vec<bool> = [&a, &b, &a, &b, &a].into_iter().map(|site| is_called(site, &hub, "x")).collect();
    assert_eq!(turns, [true, true, true, false, false]);
    assert!(flagged(&hub, a.site.id) && !meets(&a, &hub, "x"), "and refused when they call");
    settle(&hub.site, a.site.id).unwrap();
    for turn in 0..3 {
        assert!(is_called(&b, &hub, "x") && meets(&b, &hub, "y"), "{turn}");
    }
    assert_eq!(b.rows(ALL), hub.rows(ALL));
}

#[test]
fn only_the_account_of_either_may_say_that_a_site_has_moved_and_only_once() {
    let (hub, a) = pair();
    let (former, new, stranger) = (a.site.id, SiteId::random(), SiteId::random());
    let flag = || hub.site.store.write(|c| clones::note(c, former, hub.site.now())).unwrap();
    let settled = |bound: Option<SiteId>, who: SiteId| {
        flag();
        moved(&hub.site, &account(bound), who, former).unwrap();
        !flagged(&hub, former)
    };
    assert!(!settled(Some(stranger), new), "another site's account");
    assert!(!settled(Some(former), former), "the site itself");
    let person = Account { role: Role::Admin, ..account(None) };
    moved(&hub.site, &person, new, former).unwrap();
    assert!(flagged(&hub, former), "a person's account");
    assert!(settled(Some(former), new), "its own account, under which the new one is not let in");
    assert!(settled(Some(new), new) && !settled(Some(new), new));
    settle(&hub.site, former).unwrap();
    moved(&hub.site, &account(None), stranger, former).unwrap();
    assert!(!settled(Some(stranger), stranger), "it has said so before there was anything to settle");
}

#[test]
fn a_restored_machine_is_no_clone_whatever_backup_is_put_back() {
    type Meets = fn(&TestSite, &TestSite, &str) -> bool;
    for meets in [meets as Meets, is_called as Meets] {
        let (hub, a) = pair();
        let old = a.cloned();
        assert!(meets(&a, &hub, "x"));
        let good = a.cloned();
        drop(a);
        for _ in 0..3 {
            let wrong = old.cloned();
            assert!(meets(&wrong, &hub, "y") && meets(&wrong, &hub, "y"));
            let right = good.cloned();
            assert!(meets(&right, &hub, "z") && meets(&right, &hub, "z"));
            right.agree(&hub);
            assert_eq!(right.rows(ALL), hub.rows(ALL));
        }
        let mut chain = good;
        for _ in 0..4 {
            let backup = chain.cloned();
            assert!((0..2).all(|_| meets(&chain, &hub, "w")));
            chain = backup;
            assert!(meets(&chain, &hub, "v"));
        }
        assert!(!flagged(&hub, old.site.id));
    }
}

#[test]
fn a_restored_hub_and_a_restored_database_make_no_clone() {
    let (mut hub, a) = pair();
    let file = a.file.with_extension("backup");
    a.app.execute("VACUUM INTO ?1", [file.to_str().unwrap()]).unwrap();
    for round in 0..4 {
        let backup = hub.cloned();
        assert!(meets(&a, &hub, "x") && meets(&a, &hub, "y") && is_called(&a, &hub, "z"), "{round}");
        hub = backup;
        assert!(meets(&a, &hub, "x") && is_called(&a, &hub, "y"), "{round}");
    }
    let mut a = a;
    for round in 0..3 {
        assert!(meets(&a, &hub, "x"), "{round}");
        std::fs::copy(&file, a.file.with_extension("new")).unwrap();
        for suffix in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", a.file.display()));
        }
        std::fs::rename(a.file.with_extension("new"), &a.file).unwrap();
        a.app = rusqlite::Connection::open(&a.file).unwrap();
        assert!(meets(&a, &hub, "y") && is_called(&a, &hub, "z") && meets(&a, &hub, "y"), "{round}");
    }
    a.agree(&hub);
    assert!(!flagged(&hub, a.site.id) && a.rows(ALL) == hub.rows(ALL));
}

#[test]
fn a_database_with_several_tables_begins_one_new_life_when_it_was_restored() {
    let clock = Arc::new(AtomicI64::new(1_000_000_000));
    let (hub, a) = (TestSite::new("hub", SCHEMA), TestSite::by_clock("a", SCHEMA, Settings::default(), &clock));
    for site in [&hub, &a] {
        site.attach(&[table("t"), table("u")]);
    }
    a.knows(&hub, &["t", "u"]);
    a.sql("INSERT INTO t VALUES ('one', 'a'); INSERT INTO u VALUES (1, 'a');");
    a.agree(&hub);
    clock.store(5_000_000_000, Ordering::Relaxed);
    a.sql("UPDATE entente_share SET told = told - 1");
    assert!(meets(&a, &hub, "x"));
    assert_eq!(a.rows("SELECT incarnation FROM entente_journal"), "5000", "the second at which it began");
    assert!(!flagged(&hub, a.site.id) && a.rows(ALL) == hub.rows(ALL));
}

#[test]
fn lost_answers_and_crashes_at_any_moment_make_no_clone_even_of_a_restored_site() {
    for restored in [false, true] {
        let (hub, mut a) = pair();
        for calls in 0..12 {
            let backup = a.cloned();
            for lost_answers in [0, 1] {
                a.sql(&format!("INSERT OR REPLACE INTO t VALUES ('{calls}', '{lost_answers}')"));
                let line = Line::new(&a, &hub);
                line.faults.lock().unwrap().dies_after = Some(calls);
                line.faults.lock().unwrap().lost_answers = lost_answers;
                // What a line that dies does to the run is another test's.
                let _ = a.over(&line, &hub, &Ask::default());
                let back = Line::new(&hub, &a);
                back.faults.lock().unwrap().dies_after = Some(calls);
                let _ = hub.over(&back, &a, &Ask::default());
                assert!(!flagged(&hub, a.site.id) && !flagged(&a, hub.site.id), "{calls} {lost_answers}");
            }
            if restored {
                a = backup;
            }
        }
        for _ in 0..3 {
            assert!(meets(&a, &hub, "x"));
        }
        a.agree(&hub);
        assert_eq!(a.rows(ALL), hub.rows(ALL));
    }
}

#[test]
fn several_workers_of_one_site_make_no_clone_whatever_way_they_take() {
    let (hub, a) = pair();
    let other = Site::open(a.site.config.clone()).unwrap();
    let repository = a.knows(&hub, &[]);
    // Each takes a way of its own; the one that comes while the other is at it is told so.
    let (one_way, other_way, one) = (Line::new(&a, &hub), Line::new(&a, &hub), a.site.clone());
    let work = |site: &Site, line: &Line| {
        for _ in 0..5 {
            match run_with(site, &repository, line, &Ask::default(), &mut Control { stop: &|| None, progress: &mut |_| {} }) {
                Ok(report) => assert!(report.resources.iter().all(|part| part.error.is_none())),
                Err(error) => assert_eq!(error.kind(), Kind::Busy, "{}", error.chain()),
            }
        }
    };
    for round in 0..4 {
        a.sql(&format!("INSERT INTO t VALUES ('w{round}', '1')"));
        std::thread::scope(|scope| {
            scope.spawn(|| work(&one, &one_way));
            scope.spawn(|| work(&other, &other_way));
        });
        work(&other, &one_way);
        work(&one, &other_way);
    }
    assert!(!flagged(&hub, a.site.id));
    assert_eq!(records(&a.agree(&hub)), 0);
}

/// A line that keeps what was asked, so that it can come again.
struct Keeps<'l> {
    line: &'l Line,
    pulls: Mutex<Vec<PullRequest>>,
    pushes: Mutex<Vec<(PushRequest, String)>>,
}

impl Peer for Keeps<'_> {
    fn greet(&self, greeting: &Greeting) -> Result<Contact> {
        self.line.greet(greeting)
    }

    fn register(&self, registration: &Registration) -> Result<Registered> {
        self.line.register(registration)
    }

    fn pull(&self, request: &PullRequest) -> Result<Page> {
        self.pulls.lock().unwrap().push(request.clone());
        self.line.pull(request)
    }

    fn push(&self, request: &PushRequest, page: &Page) -> Result<Receipt> {
        self.pushes.lock().unwrap().push((request.clone(), page.resource.clone()));
        self.line.push(request, page)
    }

    fn fetch(&self, resource: &str, uids: &[String]) -> Result<Page> {
        self.line.fetch(resource, uids)
    }

    fn compare(&self, resource: &str, request: &CompareRequest) -> Result<CompareAnswer> {
        self.line.compare(resource, request)
    }

    fn listen(&self, stop: &AtomicBool, changed: &mut dyn FnMut(&str)) -> Result<()> {
        self.line.listen(stop, changed)
    }

    fn close(&self) {}

    fn traffic(&self) -> u64 {
        0
    }
}

#[test]
fn what_comes_twice_or_late_makes_no_clone() {
    let (hub, a) = pair();
    let (mut pulls, mut pushes) = (Vec::new(), Vec::new());
    let old = a.cloned();
    assert!(meets(&a, &hub, "x"));
    let good = a.cloned();
    for site in [&a, &old, &good] {
        for _ in 0..2 {
            site.sql("INSERT OR REPLACE INTO t VALUES ('y', hex(randomblob(4)))");
            let line = Line::new(site, &hub);
            let keeps = Keeps { line: &line, pulls: Mutex::default(), pushes: Mutex::default() };
            let repository = site.knows(&hub, &[]);
            run_with(&site.site, &repository, &keeps, &Ask::default(), &mut Control { stop: &|| None, progress: &mut |_| {} }).unwrap();
            pulls.extend(keeps.pulls.into_inner().unwrap());
            pushes.extend(keeps.pushes.into_inner().unwrap());
        }
    }
    assert!(pulls.iter().filter(|pull| pull.want == Want::Verdict).count() >= 2);
    let again = || {
        let line = Line::new(&good, &hub);
        for pull in &pulls {
            let _ = line.pull(pull);
        }
        for (push, resource) in &pushes {
            let _ = line.push(push, &Page::new(resource));
        }
        assert!(!flagged(&hub, good.site.id));
    };
    for _ in 0..3 {
        again();
        assert!(meets(&good, &hub, "z"));
    }
    again();
    good.agree(&hub);
    assert_eq!(good.rows(ALL), hub.rows(ALL));
    let hello: Hello = serve::hello(&hub.site, None, &Greeting::default()).unwrap();
    assert_eq!(hello.uuid, hub.site.id);
}
