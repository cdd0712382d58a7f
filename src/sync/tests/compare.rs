//! Sites that compare what they hold: after a backup was put back, after long silence, and because somebody wants to know.

use super::world::{Line, TestSite, records, table};
use crate::{
    connector::{Part, Share},
    error::Kind,
    model::{Mode, Time},
    sync::{
        compare::{self, Looked},
        run::Ask,
    },
};

const ALL: &str = "SELECT code, v FROM t ORDER BY code";
const CHILDREN: &str = "SELECT code, parent FROM c ORDER BY code";
const DAY: i64 = 86_400_000_000;

const SCHEMA: &str = "CREATE TABLE t (code TEXT PRIMARY KEY, v TEXT);
    CREATE TABLE c (code TEXT PRIMARY KEY, parent TEXT NOT NULL REFERENCES t (code));";

fn site(name: &str) -> TestSite {
    let site = TestSite::new(name, SCHEMA);
    site.attach(&[table("t"), table("c")]);
    site
}

fn pair() -> (TestSite, TestSite) {
    let (a, b) = (site("a"), site("b"));
    a.knows(&b, &["t", "c"]);
    a.sql("INSERT INTO t WITH RECURSIVE i(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM i WHERE x < 30) SELECT 'k' || x, 'v' FROM i;");
    a.sql("INSERT INTO c SELECT 'c' || code, code FROM t;");
    a.agree(&b);
    a.agree(&b);
    (a, b)
}

/// Forgets all tombstones of a site that are there now, as if a month had passed.
fn a_month_passes(site: &TestSite) -> u64 {
    let mut door = site.site.door("app").unwrap();
    let now = site.site.now();
    let mut gone = 0;
    for table in door.tables().unwrap() {
        door.fold(&table).unwrap();
        door.purge(&table, now, Time(0)).unwrap();
        // The last arrival stays, so one more has to come.
        let later = Time(now.0 + 40 * DAY);
        gone += door.purge(&table, later, Time(now.0 + DAY)).unwrap().tombstones;
    }
    gone
}

fn share(site: &TestSite, other: &TestSite, resource: &str, part: Part) -> Share {
    let mut door = site.site.door("app").unwrap();
    let table = door.tables().unwrap().into_iter().find(|table| table.resource == resource).unwrap();
    door.share(&table, other.site.id, part).unwrap()
}

fn agreed(a: &TestSite, b: &TestSite) {
    assert_eq!(a.rows(ALL), b.rows(ALL));
    assert_eq!(a.rows(CHILDREN), b.rows(CHILDREN));
    assert_eq!(records(&a.agree(b)), 0, "nothing goes on moving");
    for resource in ["t", "c"] {
        assert!(!share(a, b, resource, Part::Active).compare.due && !share(b, a, resource, Part::Passive).compare.due);
    }
}

#[test]
fn what_was_deleted_at_a_site_and_purged_there_does_not_come_back_from_one_that_was_silent() {
    for the_silent_one_calls in [true, false] {
        let (silent, busy) = if the_silent_one_calls {
            pair()
        } else {
            let (a, b) = pair();
            (b, a)
        };
        busy.sql("DELETE FROM c WHERE code IN ('ck1', 'ck2', 'ck3'); DELETE FROM t WHERE code IN ('k1', 'k2', 'k3'); INSERT INTO t VALUES ('later', 'v'); INSERT INTO c VALUES ('clater', 'later');");
        silent.sql("UPDATE t SET v = 'edited meanwhile' WHERE code = 'k2'; INSERT INTO t VALUES ('made meanwhile', 'v');");
        silent.sql("DELETE FROM c WHERE code = 'ck2';");
        assert_eq!(a_month_passes(&busy), 6);
        let (caller, called) = if the_silent_one_calls { (&silent, &busy) } else { (&busy, &silent) };
        let report = caller.agree(called);
        assert!(report.warnings.iter().any(|warning| warning.contains("silent")), "{:?}", report.warnings);
        caller.agree(called);
        agreed(caller, called);
        for site in [&silent, &busy] {
            assert_eq!(
                site.rows("SELECT code FROM t WHERE code IN ('k1', 'k2', 'k3', 'made meanwhile', 'later') ORDER BY code"),
                "k2 later made meanwhile"
            );
        }
        assert_eq!(silent.rows("SELECT count(*) FROM entente_history WHERE side = 'local'"), "4", "k1, k3 and their children");
    }
}

#[test]
fn what_a_site_refused_is_not_taken_for_deleted_there() {
    let (a, b) = (site("a"), site("b"));
    let repository = b.knows(&a, &["t"]);
    a.knows(&b, &["t"]);
    b.change(&repository, "t", |resource| resource.strategy = "update,delete".parse().unwrap());
    a.sql("INSERT INTO t VALUES ('refused', 'v'), ('goes', 'v');");
    a.agree(&b);
    assert_eq!(b.rows(ALL), "");
    assert!(share(&b, &a, "t", Part::Passive).refused);
    a.sql("DELETE FROM t WHERE code = 'goes'; INSERT INTO t VALUES ('more', 'v');");
    assert_eq!(a_month_passes(&a), 1);
    assert!(share(&a, &b, "t", Part::Active).compare.due);
    b.change(&repository, "t", |resource| resource.strategy = Default::default());
    a.agree(&b);
    assert_eq!(a.rows(ALL), "more|v refused|v");
    agreed(&a, &b);
}

#[test]
fn tombstones_go_when_all_know_of_them_and_nobody_has_to_compare() {
    let (a, b) = pair();
    a.sql("DELETE FROM c WHERE code = 'ck1'; DELETE FROM t WHERE code = 'k1'; INSERT INTO t VALUES ('last', 'v'); INSERT INTO c VALUES ('clast', 'last');");
    a.agree(&b);
    a.agree(&b);
    assert_eq!(a_month_passes(&a), 2);
    for resource in ["t", "c"] {
        assert!(!share(&a, &b, resource, Part::Active).compare.due);
    }
    agreed(&a, &b);
}

#[test]
fn a_site_that_only_gives_or_only_takes_compares_that_way() {
    for (mode, here) in [(Mode::Pull, "k3"), (Mode::Push, "k3 k5")] {
        let (a, b) = pair();
        let repository = a.knows(&b, &[]);
        for resource in ["t", "c"] {
            a.change(&repository, resource, |resource| resource.mode = mode);
        }
        b.sql("DELETE FROM c WHERE code = 'ck5'; UPDATE t SET v = 'w' WHERE code = 'k4'; DELETE FROM t WHERE code = 'k5'; INSERT INTO t VALUES ('later', 'v'); INSERT INTO c VALUES ('clater', 'later');");
        a_month_passes(&b);
        a.agree(&b);
        let left = "SELECT code FROM t WHERE code IN ('k3', 'k5')";
        assert_eq!(a.rows(left), here, "{mode:?}");
    }
}

#[test]
fn a_comparison_that_is_interrupted_anywhere_is_done_again_and_nothing_is_lost() {
    for dies_after in 1..40 {
        let (a, b) = pair();
        b.sql("DELETE FROM c WHERE code IN ('ck1', 'ck2'); DELETE FROM t WHERE code IN ('k1', 'k2'); INSERT INTO t VALUES ('later', 'v'); INSERT INTO c VALUES ('clater', 'later');");
        a.sql("UPDATE t SET v = 'edited' WHERE code = 'k9'; INSERT INTO t VALUES ('new', 'v');");
        a_month_passes(&b);
        let line = super::world::Line::new(&a, &b);
        line.faults.lock().unwrap().dies_after = Some(dies_after);
        let died = a.over(&line, &b, &crate::sync::run::Ask::default());
        let whole = died.is_ok_and(|report| report.resources.iter().all(|part| part.error.is_none()));
        a.agree(&b);
        a.agree(&b);
        agreed(&a, &b);
        assert_eq!(
            a.rows("SELECT count(*), sum(v = 'edited'), sum(code = 'new'), sum(code IN ('k1', 'k2')) FROM t"),
            "30|1|1|0",
            "after {dies_after}"
        );
        if whole {
            return;
        }
    }
    panic!("no run came to its end");
}

fn look(a: &TestSite, b: &TestSite) -> Looked {
    let (line, repository) = (Line::new(a, b), a.knows(b, &[]));
    let mut looked = compare::look(&a.site, &repository, &line, &["t".to_owned()], 50).unwrap();
    looked.remove(0).1.unwrap()
}

/// `how code: reason`, in order.
fn told(looked: &Looked) -> Vec<String> {
    let mut told: Vec<String> = looked
        .shown
        .iter()
        .map(|difference| {
            let page = difference.ours.as_ref().or(difference.theirs.as_ref()).unwrap();
            let code = page.views().next().unwrap().get("code").map_or("", |value| value.text).to_owned();
            format!("{} {code}: {}", difference.how.word(), difference.reason.as_deref().unwrap_or("-"))
        })
        .collect();
    told.sort();
    told
}

#[test]
fn sites_that_agree_are_found_equal_in_one_round_trip() {
    let (a, b) = pair();
    let looked = look(&a, &b);
    assert_eq!((looked.equal, looked.differing, looked.rounds), (30, 0, 1));
}

#[test]
fn differences_are_told_with_what_explains_them() {
    let (a, b) = pair();
    a.sql("UPDATE t SET v = 'ours' WHERE code IN ('k1', 'k2'); INSERT INTO t VALUES ('new here', 'v');");
    b.sql("UPDATE t SET v = 'theirs' WHERE code IN ('k2', 'k3'); INSERT INTO t VALUES ('new there', 'v');");
    let looked = look(&a, &b);
    assert_eq!((looked.equal, looked.differing, looked.explained), (27, 5, 5));
    let later = "it was not exchanged yet";
    let want = ["conflict k2", "different k1", "different k3", "missing here new there", "missing there new here"];
    assert_eq!(told(&looked), want.map(|what| format!("{what}: {later}")));
    a.agree(&b);
    assert_eq!(look(&a, &b).differing, 0);
}

#[test]
fn what_a_rule_holds_apart_is_told_as_such_and_what_nothing_explains_too() {
    let (a, b) = pair();
    let repository = a.knows(&b, &[]);
    a.change(&repository, "t", |resource| resource.mode = Mode::Pull);
    a.sql("INSERT INTO t VALUES ('kept here', 'v');");
    b.sql("INSERT INTO t VALUES ('too odd', 'v');");
    a.agree(&b);
    assert_eq!(told(&look(&a, &b)), ["missing there kept here: the mode: here pull, there both"]);
    a.change(&repository, "t", |resource| resource.mode = Mode::Both);
    a.agree(&b);
    assert_eq!(look(&a, &b).differing, 0);
    // Somebody reaches into the journal: it says that everything was given.
    a.sql("INSERT INTO t VALUES ('never given', 'v');");
    a.sql("UPDATE entente_share SET push = push + 1000;");
    let looked = look(&a, &b);
    assert_eq!(told(&looked), ["missing there never given: -"]);
    assert_eq!((looked.differing, looked.explained), (1, 0), "{:?}", looked.reasons);
}

#[test]
fn named_records_move_alone_with_what_they_refer_to() {
    let (a, b) = pair();
    a.sql("UPDATE t SET v = 'ours' WHERE code IN ('k1', 'k2'); INSERT INTO t VALUES ('p', 'v'); INSERT INTO c VALUES ('cp', 'p'), ('ck', 'k1');");
    b.sql("UPDATE t SET v = 'theirs' WHERE code IN ('k3', 'k4');");
    let uid = |site: &TestSite, resource: &str, code: &str| {
        let mut door = site.site.door("app").unwrap();
        let table = door.tables().unwrap().into_iter().find(|table| table.resource == resource).unwrap();
        let mut page = crate::model::Page::new(resource);
        let uids = door.sample(&table, 100).unwrap();
        door.lookup(&table, &uids, &mut page).unwrap();
        page.views().find(|view| view.get("code").is_some_and(|value| value.text == code)).unwrap().uid().to_owned()
    };
    let transfer = |resource: &str, uids: Vec<String>| {
        let ask = Ask { resources: Some(vec![resource.to_owned()]), named: Some(uids), ..Ask::default() };
        let report = a.try_sync(&b, &ask).unwrap();
        report.moved.iter().map(|moved| (moved.what.clone(), moved.equal)).collect::<Vec<_>>()
    };
    let done = transfer("t", vec![uid(&a, "t", "k1"), uid(&a, "t", "k3"), uid(&a, "t", "k9"), "urn:nobody".into()]);
    let said = [("given", true), ("taken", true), ("was the same already", true), ("known at neither site", false)];
    assert_eq!(done, said.map(|(what, equal)| (what.to_owned(), equal)));
    assert_eq!(transfer("c", vec![uid(&a, "c", "cp")]), [("given".to_owned(), true)]);
    assert_eq!(b.rows("SELECT v FROM t WHERE code IN ('k1', 'k2', 'p') ORDER BY code"), "ours v v");
    assert_eq!(b.rows("SELECT code FROM c WHERE code IN ('cp', 'ck') ORDER BY code"), "cp", "only what was named, and its parent");
    assert_eq!(a.rows("SELECT v FROM t WHERE code IN ('k3', 'k4') ORDER BY code"), "theirs v");
    a.agree(&b);
    a.agree(&b);
    agreed(&a, &b);
}

#[test]
fn single_records_do_not_move_before_a_due_comparison() {
    let (a, b) = pair();
    b.sql("DELETE FROM c WHERE code = 'ck1'; DELETE FROM t WHERE code = 'k1'; INSERT INTO t VALUES ('later', 'v');");
    a_month_passes(&b);
    let ask = Ask { resources: Some(vec!["t".into()]), named: Some(vec!["urn:x".into()]), ..Ask::default() };
    let refused = a.try_sync(&b, &ask).unwrap_err();
    assert_eq!(refused.kind(), Kind::Undecided);
    assert!(refused.chain().contains("entente sync"), "{}", refused.chain());
}

#[test]
fn what_was_deleted_before_the_other_site_was_restored_is_deleted_there_again() {
    let (a, b) = pair();
    let backup = b.file.with_extension("backup");
    b.app.execute("VACUUM INTO ?1", [backup.to_str().unwrap()]).unwrap();
    a.sql("DELETE FROM c WHERE code IN ('ck1', 'ck2'); DELETE FROM t WHERE code IN ('k1', 'k2');");
    b.sql("INSERT INTO t VALUES ('lost', 'v');");
    a.agree(&b);
    let into = rusqlite::Connection::open(&b.file).unwrap();
    into.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    super::harm::restore(&backup, &into);
    assert_eq!(b.rows("SELECT count(*) FROM t WHERE code IN ('k1', 'k2')"), "2");
    for _ in 0..3 {
        a.agree(&b);
    }
    agreed(&a, &b);
    assert_eq!(a.rows("SELECT count(*), sum(code IN ('k1', 'k2')), sum(code = 'lost') FROM t"), "29|0|1");
}
