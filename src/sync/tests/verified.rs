//! The run's last step: whether both sites hold the same.

use super::world::{Line, TestSite, table};
use crate::{
    model::{Outcome, Policy},
    store::{log, resources, verified},
    sync::run::{Ask, RunReport},
};

const SCHEMA: &str = "CREATE TABLE t (code TEXT PRIMARY KEY, v TEXT CHECK (v <> 'bad')); CREATE TABLE u (id INTEGER PRIMARY KEY, v TEXT);";

fn pair() -> (TestSite, TestSite) {
    let (a, b) = (TestSite::new("a", SCHEMA), TestSite::new("b", SCHEMA));
    for site in [&a, &b] {
        site.attach(&[table("t"), table("u")]);
    }
    a.knows(&b, &["t", "u"]);
    (a, b)
}

fn verified_at(site: &TestSite, other: &TestSite, resource: &str) -> Option<crate::model::Time> {
    let repository = site.knows(other, &[]);
    let read = |c: &mut crate::store::Conn| {
        let id = resources::get(c, repository.id, resource)?.unwrap().id;
        Ok(verified::all(c)?.get(&id).copied())
    };
    site.site.store.read(read).unwrap()
}

fn warned(report: &RunReport) -> bool {
    report.warnings.iter().any(|warning| warning.contains("differs from that of b"))
}

#[test]
fn a_run_ends_with_what_is_equal_and_one_request_more_where_something_moved() {
    let (a, b) = pair();
    a.sql("INSERT INTO t VALUES ('x', '1'); INSERT INTO u (v) VALUES ('a');");
    b.sql("INSERT INTO t VALUES ('y', '2');");
    let line = Line::new(&a, &b);
    assert_eq!(verified_at(&a, &b, "t"), None);
    let report = a.over(&line, &b, &Ask::default()).unwrap();
    assert_eq!(report.verified, ["t", "u"]);
    assert_eq!(line.calls.lock().unwrap().iter().filter(|call| *call == "hello").count(), 2);
    let first = verified_at(&a, &b, "t");
    assert!(first.is_some());
    let entry = a.site.store.read(|c| log::get(c, report.run)).unwrap();
    assert!(entry.message.ends_with("travelled; verified equal: t, u"), "{}", entry.message);
    // The first run after one that gave something takes the echo's cursor.
    a.agree(&b);
    line.calls.lock().unwrap().clear();
    let idle = a.over(&line, &b, &Ask::default()).unwrap();
    assert_eq!((idle.verified.len(), line.calls.lock().unwrap().as_slice()), (2, ["hello".to_owned()].as_slice()));
    assert!(verified_at(&a, &b, "t") > first);
}

#[test]
fn edits_deletions_and_conflicts_end_equal() {
    let (a, b) = pair();
    a.sql("INSERT INTO t VALUES ('x', '1'), ('y', '1'), ('z', '1');");
    a.agree(&b);
    a.sql("UPDATE t SET v = 'a'; DELETE FROM t WHERE code = 'y';");
    b.sql("UPDATE t SET v = 'b'; DELETE FROM t WHERE code = 'z'; INSERT INTO u (v) VALUES ('b');");
    for _ in 0..2 {
        assert_eq!(a.agree(&b).verified, ["t", "u"]);
    }
}

#[test]
fn a_dry_run_verifies_nothing() {
    let (a, b) = pair();
    a.sql("INSERT INTO t VALUES ('x', '1');");
    let report = a.try_sync(&b, &Ask { dry_run: true, ..Ask::default() }).unwrap();
    assert!(report.verified.is_empty() && verified_at(&a, &b, "t").is_none());
}

#[test]
fn what_waits_is_held_or_kept_apart_by_rule_is_neither_equal_nor_warned_of() {
    let (a, b) = pair();
    let there = a.knows(&b, &[]);
    a.change(&there, "u", |resource| resource.conflict = Policy::Manual);
    b.sql("INSERT INTO u VALUES (1, 'b');");
    a.agree(&b);
    // SQLite checks constraints of rows that are there only when they are written.
    b.sql("ALTER TABLE t RENAME TO old; CREATE TABLE t (code TEXT PRIMARY KEY, v TEXT CHECK (v <> 'worse')); DROP TABLE old;");
    b.attach(&[table("t"), table("u")]);
    a.sql("UPDATE u SET v = 'a'; INSERT INTO t VALUES ('x', 'worse');");
    b.sql("UPDATE u SET v = 'c';");
    for _ in 0..3 {
        let report = a.agree(&b);
        assert!(report.verified.is_empty() && !warned(&report), "{:?} {:?}", report.verified, report.warnings);
    }
    assert_eq!(b.waiting().len(), 1);
}

#[test]
fn a_difference_that_nothing_explains_is_warned_of_and_fails_nothing() {
    let (a, b) = pair();
    a.sql("INSERT INTO t VALUES ('x', '1');");
    for _ in 0..2 {
        a.agree(&b);
    }
    let was = b.rows("SELECT hex(sum) FROM entente_table WHERE name = 't'");
    b.sql("UPDATE entente_table SET sum = zeroblob(32) WHERE name = 't';");
    let report = a.agree(&b);
    assert!(warned(&report) && report.warnings[0].contains("entente verify b"), "{:?}", report.warnings);
    assert_eq!((report.verified.as_slice(), report.result), (["u".to_owned()].as_slice(), Outcome::Warning));
    // While something is on its way, nothing is said.
    a.sql("INSERT INTO t VALUES ('y', '1');");
    let moved = a.agree(&b);
    assert!(moved.verified == ["u"] && !warned(&moved), "{:?}", moved.warnings);
    assert!(warned(&a.agree(&b)), "all of it has been seen again");
    a.sql("DELETE FROM t WHERE code = 'y';");
    a.agree(&b);
    b.sql(&format!("UPDATE entente_table SET sum = x'{was}' WHERE name = 't';"));
}

#[test]
fn a_record_that_was_noted_before_what_it_refers_to_is_verified_like_any_other() {
    let schema =
        "CREATE TABLE parent (code text PRIMARY KEY); CREATE TABLE child (code text PRIMARY KEY, parent text REFERENCES parent (code));";
    for (a, b) in
        [(TestSite::new("a", schema), TestSite::new("b", schema)), (TestSite::on_postgres("a", schema), TestSite::new("b", schema))]
    {
        for site in [&a, &b] {
            site.attach(&[table("parent"), table("child")]);
        }
        a.knows(&b, &["parent", "child"]);
        let careless = if a.url().starts_with("sqlite") { "PRAGMA foreign_keys = OFF" } else { "SET session_replication_role = replica" };
        a.sql(&format!("{careless}; INSERT INTO child VALUES ('c', 'p')"));
        {
            // Its edit becomes a version before that of its parent, which an application writes at this moment.
            let mut door = a.site.door("app").unwrap();
            let child = door.tables().unwrap().into_iter().find(|table| table.name == "child").unwrap();
            door.fold(&child).unwrap();
        }
        a.sql("INSERT INTO parent VALUES ('p')");
        let mut verified = a.agree(&b).verified;
        verified.sort();
        assert_eq!((verified, b.rows("SELECT * FROM child")), (vec!["child".to_owned(), "parent".to_owned()], "c|p".to_owned()));
    }
}
