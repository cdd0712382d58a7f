//! What goes wrong: lines, files, values, restored backups.

use super::world::{Faults, Line, TestSite, records, table};
use crate::{error::Kind, model::Policy, sync::run::Ask};

const SCHEMA: &str = "CREATE TABLE t (code TEXT PRIMARY KEY, v TEXT CHECK (v <> 'bad'), u TEXT UNIQUE);";

fn pair() -> (TestSite, TestSite) {
    let (a, b) = (TestSite::new("a", SCHEMA), TestSite::new("b", SCHEMA));
    for site in [&a, &b] {
        site.attach(&[table("t")]);
    }
    a.knows(&b, &["t"]);
    (a, b)
}

const ALL: &str = "SELECT code, v, u FROM t ORDER BY code";

fn many(site: &TestSite, prefix: &str, count: u32) {
    let rows: String = (0..count).map(|at| format!("INSERT INTO t VALUES ('{prefix}{at:03}', 'v', NULL);")).collect();
    site.sql(&format!("BEGIN; {rows} COMMIT;"));
}

#[test]
fn a_line_that_dies_after_any_call_loses_nothing_and_repeats_nothing_but_pages() {
    for calls in 0..16 {
        let (a, b) = pair();
        many(&a, "a", 30);
        many(&b, "b", 30);
        let line = Line::new(&a, &b);
        *line.faults.lock().unwrap() = Faults { dies_after: Some(calls), ..Faults::default() };
        let _ = a.over(&line, &b, &Ask::default());
        a.agree(&b);
        assert_eq!(a.rows(ALL), b.rows(ALL), "dead after {calls} calls");
        assert_eq!(a.rows("SELECT count(*) FROM t"), "60");
        a.agree(&b);
        assert_eq!(records(&a.agree(&b)), 0);
    }
}

#[test]
fn a_lost_answer_is_repeated_and_changes_nothing() {
    let (a, b) = pair();
    many(&a, "a", 20);
    let line = Line::new(&a, &b);
    // The hello, the pull and the first push arrive; the answer to the second push does not.
    for lost in 0..6 {
        *line.faults.lock().unwrap() = Faults { lost_answers: 0, dies_after: Some(2 + lost), ..Faults::default() };
        let _ = a.over(&line, &b, &Ask::default());
    }
    *line.faults.lock().unwrap() = Faults { lost_answers: 1, ..Faults::default() };
    assert!(a.over(&line, &b, &Ask::default()).is_err());
    a.agree(&b);
    assert_eq!(a.rows(ALL), b.rows(ALL));
    assert_eq!(b.rows("SELECT count(*) FROM entente_history"), "0", "nothing was replaced");
}

#[test]
fn a_page_cut_at_any_place_is_refused_whole() {
    let (a, b) = pair();
    many(&b, "b", 5);
    for step in 0..40 {
        let line = Line::new(&a, &b);
        line.faults.lock().unwrap().cut = Some(f64::from(step) / 40.0);
        let report = a.over(&line, &b, &Ask::default()).unwrap();
        assert!(
            report.resources.iter().any(|part| part.error.as_ref().is_some_and(|error| error.kind() == Kind::Malformed)),
            "cut at {step}/40"
        );
        assert_eq!(a.rows("SELECT count(*) FROM t"), "0");
    }
    a.agree(&b);
    assert_eq!(a.rows(ALL), b.rows(ALL));
}

#[test]
fn a_bad_record_is_quarantined_and_the_others_pass() {
    let (a, b) = pair();
    b.sql("DROP TABLE t; CREATE TABLE t (code TEXT PRIMARY KEY, v TEXT CHECK (v <> 'worse'), u TEXT UNIQUE);");
    b.attach(&[table("t")]);
    many(&a, "a", 12);
    a.sql("UPDATE t SET v = 'worse' WHERE code = 'a005';");
    let report = a.agree(&b);
    assert_eq!(report.resources.iter().map(|part| part.counts.quarantined).sum::<u64>(), 1);
    assert_eq!(b.rows("SELECT count(*) FROM t"), "11");
    assert!(b.waiting()[0].starts_with("quarantined t") && b.waiting()[0].contains("CHECK"), "{:?}", b.waiting());
    assert!(report.warnings.iter().any(|warning| warning.contains("quarantined")));
    // A newer version of the same record replaces the one that waits.
    a.sql("UPDATE t SET v = 'fine' WHERE code = 'a005';");
    a.agree(&b);
    assert!(b.waiting().is_empty());
    assert_eq!(a.rows(ALL), b.rows(ALL));
}

#[test]
fn a_unique_value_taken_on_both_sides_is_quarantined_on_both_and_heals() {
    let (a, b) = pair();
    a.sql("INSERT INTO t VALUES ('x', 'a', 'same');");
    b.sql("INSERT INTO t VALUES ('y', 'b', 'same');");
    a.agree(&b);
    for site in [&a, &b] {
        assert_eq!(site.rows("SELECT count(*) FROM t"), "1");
        assert!(site.waiting()[0].contains("UNIQUE"), "{:?}", site.waiting());
    }
    b.sql("UPDATE t SET u = 'other';");
    for _ in 0..2 {
        a.agree(&b);
    }
    assert_eq!(a.rows(ALL), "x|a|same y|b|other");
    assert_eq!(b.rows(ALL), a.rows(ALL));
}

#[test]
fn unique_values_handed_on_within_a_page_arrive() {
    let (a, b) = pair();
    a.sql("INSERT INTO t VALUES ('x', '1', 'p'), ('y', '1', 'q'), ('z', '1', NULL);");
    a.agree(&b);
    // x gives p to z; z comes first in the feed.
    a.sql("UPDATE t SET u = 'free' WHERE code = 'x'; UPDATE t SET u = 'p' WHERE code = 'z'; UPDATE t SET v = '2' WHERE code = 'x';");
    a.agree(&b);
    assert_eq!(a.rows(ALL), b.rows(ALL));
    assert!(b.waiting().is_empty());
}

#[test]
fn a_value_that_the_column_would_change_is_quarantined() {
    let a = TestSite::new("a", "CREATE TABLE t (code TEXT PRIMARY KEY, v TEXT);");
    let b = TestSite::new("b", "CREATE TABLE t (code TEXT PRIMARY KEY, v INTEGER);");
    for site in [&a, &b] {
        site.attach(&[table("t")]);
    }
    a.knows(&b, &["t"]);
    a.sql("INSERT INTO t VALUES ('zip', '007'), ('word', 'seven');");
    a.agree(&b);
    assert_eq!(b.rows("SELECT code, v, typeof(v) FROM t"), "word|seven|text");
    assert!(b.waiting()[0].contains("would change the text \"007\""), "{:?}", b.waiting());
}

#[test]
fn a_trigger_that_ends_the_transaction_costs_only_its_own_record() {
    let (a, b) = pair();
    b.sql("CREATE TRIGGER no BEFORE INSERT ON t WHEN NEW.v = 'stop' BEGIN SELECT RAISE(ROLLBACK, 'never this'); END;");
    many(&a, "a", 10);
    a.sql("UPDATE t SET v = 'stop' WHERE code = 'a003';");
    a.agree(&b);
    assert_eq!(b.rows("SELECT count(*) FROM t"), "9");
    assert_eq!(b.waiting().len(), 1);
}

#[test]
fn a_reference_to_nothing_is_withheld_until_it_leads_somewhere() {
    let schema =
        "CREATE TABLE p (id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p(id), v TEXT);";
    let (a, b) = (TestSite::new("a", schema), TestSite::new("b", schema));
    for site in [&a, &b] {
        site.attach(&[table("p"), table("c")]);
    }
    a.knows(&b, &["p", "c"]);
    a.sql("PRAGMA foreign_keys = OFF; INSERT INTO c VALUES (1, 77, 'broken'), (2, NULL, 'fine');");
    a.agree(&b);
    assert_eq!(b.rows("SELECT v FROM c"), "fine");
    assert!(a.waiting()[0].starts_with("outgoing c its p refers to a row that does not exist"), "{:?}", a.waiting());
    a.sql("INSERT INTO p VALUES (77, 'now');");
    for _ in 0..2 {
        a.agree(&b);
    }
    assert_eq!(b.rows("SELECT c.v, p.v FROM c LEFT JOIN p ON p.id = c.p ORDER BY 1"), "broken|now fine|-");
    assert!(a.waiting().is_empty());
}

#[test]
fn a_restored_database_neither_loses_nor_reuses_anything() {
    for (the_caller, the_whole_machine) in [(true, false), (false, false), (true, true), (false, true)] {
        let (a, b) = pair();
        many(&a, "a", 10);
        a.agree(&b);
        let victim = if the_caller { &a } else { &b };
        let mark = || victim.site.store.read(|c| crate::store::databases::mark(c, "app")).unwrap().unwrap();
        let remembered = mark();
        let backup = victim.file.with_extension("backup");
        victim.app.execute("VACUUM INTO ?1", [backup.to_str().unwrap()]).unwrap();
        a.sql("UPDATE t SET v = 'after the backup' WHERE code = 'a001';");
        a.agree(&b);
        b.sql("INSERT INTO t VALUES ('late', 'from b', NULL);");
        a.agree(&b);
        restore(&backup, &rusqlite::Connection::open(&victim.file).unwrap());
        if the_whole_machine {
            victim.site.store.write(|c| crate::store::databases::set_mark(c, "app", &remembered)).unwrap();
        }
        victim.sql("UPDATE t SET v = 'written after the restore' WHERE code = 'a002';");
        for _ in 0..3 {
            a.agree(&b);
        }
        assert_eq!(a.rows(ALL), b.rows(ALL), "caller restored: {the_caller}, all of it: {the_whole_machine}");
        assert_ne!(mark().epoch, remembered.epoch, "it was noticed");
        assert_eq!(a.rows("SELECT v FROM t WHERE code = 'a002'"), "written after the restore");
        assert_eq!(a.rows("SELECT v FROM t WHERE code = 'a001'"), "after the backup");
        assert_eq!(a.rows("SELECT count(*) FROM t"), "11");
        assert_eq!(records(&a.agree(&b)), 0);
    }
}

/// Writes a saved database over another, as a person would with cp.
pub(super) fn restore(from: &std::path::Path, into: &rusqlite::Connection) {
    let tables: Vec<String> = {
        let mut statement = into.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
    };
    into.execute("ATTACH ?1 AS saved", [from.to_str().unwrap()]).unwrap();
    let mut sql = String::from(
        "BEGIN; DELETE FROM entente_applying; INSERT INTO entente_applying (tab, everything) SELECT id, 1 FROM entente_table;",
    );
    for table in &tables {
        sql.push_str(&format!("DELETE FROM main.\"{table}\"; INSERT INTO main.\"{table}\" SELECT * FROM saved.\"{table}\";"));
    }
    sql.push_str("COMMIT; DETACH saved;");
    into.execute_batch(&sql).unwrap();
}

#[test]
fn one_failing_resource_does_not_stop_the_others() {
    let (a, b) = pair();
    a.sql("CREATE TABLE only_here (code TEXT PRIMARY KEY);");
    a.attach(&[table("only_here")]);
    a.knows(&b, &["only_here"]);
    many(&a, "a", 3);
    let report = a.sync(&b);
    assert!(report.resources.iter().any(|part| part.resource == "only_here" && part.error.is_some()));
    assert_eq!(b.rows("SELECT count(*) FROM t"), "3");
}

#[test]
fn a_repository_held_by_another_run_is_in_use() {
    let (a, b) = pair();
    let repository = a.knows(&b, &[]);
    let now = a.site.now();
    a.site.store.write(|c| crate::store::leases::take(c, repository.id, "elsewhere:1:1", now, now.plus_seconds(60)).map(|_| ())).unwrap();
    let error = a.try_sync(&b, &Ask::default()).unwrap_err();
    assert!(error.kind() == Kind::Busy && error.chain().contains("in use by elsewhere:1:1"));
}

#[test]
fn a_paused_site_neither_runs_nor_serves() {
    let (a, b) = pair();
    b.site.store.write(|c| crate::store::site::set_paused(c, true)).unwrap();
    assert_eq!(a.try_sync(&b, &Ask::default()).unwrap_err().kind(), Kind::Paused);
    b.site.store.write(|c| crate::store::site::set_paused(c, false)).unwrap();
    a.site.store.write(|c| crate::store::site::set_paused(c, true)).unwrap();
    assert_eq!(a.try_sync(&b, &Ask::default()).unwrap_err().kind(), Kind::Paused);
}

#[test]
fn a_manual_conflict_holds_the_record_and_the_rest_flows() {
    let (a, b) = pair();
    let there = a.knows(&b, &[]);
    a.change(&there, "t", |resource| resource.conflict = Policy::Manual);
    a.sql("INSERT INTO t VALUES ('x', '0', NULL);");
    a.agree(&b);
    a.sql("UPDATE t SET v = 'a';");
    b.sql("UPDATE t SET v = 'b'; INSERT INTO t VALUES ('y', 'other', NULL);");
    a.agree(&b);
    assert_eq!((a.rows(ALL), b.rows(ALL)), ("x|a|- y|other|-".into(), "x|b|- y|other|-".into()));
    assert_eq!(a.rows("SELECT open FROM entente_conflict"), "1");
}

#[test]
fn sixteen_writers_lose_nothing_while_a_site_pulls_and_are_never_refused() {
    let (a, b) = pair();
    b.knows(&a, &["t"]);
    a.sql("PRAGMA journal_mode = WAL;");
    let done = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for writer in 0..16 {
            let (file, done) = (a.file.clone(), &done);
            scope.spawn(move || {
                let app = rusqlite::Connection::open(file).unwrap();
                app.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
                for row in 0..25 {
                    app.execute_batch(&format!("INSERT INTO t VALUES ('w{writer}-{row}', 'first', NULL);")).unwrap();
                    std::thread::sleep(std::time::Duration::from_millis((writer * 7 + row * 13) % 40));
                    app.execute_batch(&format!("UPDATE t SET v = 'second' WHERE code = 'w{writer}-{row}';")).unwrap();
                }
                done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            });
        }
        while done.load(std::sync::atomic::Ordering::Relaxed) < 16 {
            b.agree(&a);
        }
    });
    b.agree(&a);
    assert_eq!(b.rows("SELECT count(*), min(v) FROM t"), "400|second");
    assert_eq!(a.rows(ALL), b.rows(ALL));
    assert_eq!(records(&b.agree(&a)), 0);
}

#[test]
fn rows_written_while_a_table_is_attached_are_all_journalled_once() {
    let (a, b) = (TestSite::new("a", SCHEMA), TestSite::new("b", SCHEMA));
    many(&a, "old", 999);
    b.attach(&[table("t")]);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let app = rusqlite::Connection::open(&a.file).unwrap();
            app.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
            for row in 0.. {
                if stop.load(std::sync::atomic::Ordering::Relaxed) || row == 2_000 {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(1));
                app.execute_batch(&format!(
                    "INSERT INTO t VALUES ('new{row}', 'n', NULL); UPDATE t SET v = 'u' WHERE code = 'old{:03}';",
                    row % 999
                ))
                .unwrap();
            }
        });
        a.attach(&[table("t")]);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    a.knows(&b, &["t"]);
    a.agree(&b);
    assert_eq!(a.rows(ALL), b.rows(ALL));
    assert_eq!(a.rows("SELECT (SELECT count(*) FROM t) - (SELECT count(*) FROM entente_state_1)"), "0");
}

#[test]
fn a_locked_database_stops_its_resource_with_a_sentence_and_nothing_is_lost() {
    let (a, b) = pair();
    many(&b, "b", 5);
    let holder = rusqlite::Connection::open(&a.file).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let report = a.try_sync(&b, &Ask::default());
    let told = match &report {
        Err(error) => error.chain(),
        Ok(report) => report.resources.iter().find_map(|part| part.error.as_ref()).expect("it cannot be written").chain(),
    };
    assert!(told.contains("Another program holds the database"), "{told}");
    holder.execute_batch("ROLLBACK").unwrap();
    a.agree(&b);
    assert_eq!(a.rows(ALL), b.rows(ALL));
}

#[test]
fn a_hostile_page_cannot_name_other_tables_or_use_up_counters() {
    use crate::model::{Page, PushRequest, Record, SiteId, Strategy, Time, Version};
    let (a, b) = pair();
    a.agree(&b);
    let line = Line::new(&b, &a);
    let request = || PushRequest {
        batch: uuid::Uuid::new_v4(),
        run: 1_000,
        heard: 0,
        strategy: Strategy::default(),
        update: Policy::Newer,
        conflict: Policy::Newer,
        merge_fields: false,
        life: String::new(),
    };
    use crate::peer::Peer;
    for name in ["sqlite_schema", "entente_journal", "t; DROP TABLE t", ""] {
        let refused = line.push(&request(), &Page::new(name)).unwrap_err();
        assert!(matches!(refused.kind(), Kind::NotFound | Kind::Malformed | Kind::Forbidden), "{name}: {}", refused.chain());
    }
    // A version that claims to have seen more of a's edits than a made.
    let me = {
        let journal = a.site.door("app").unwrap().journal().unwrap();
        crate::model::Actor { site: a.site.id, incarnation: journal.incarnation }
    };
    let mut page = Page::new("t");
    let (uid, mark) = (page.put("urn:x:future"), page.mark());
    let mut record = Record::new(uid, SiteId::random(), Time(0));
    record.version = Version::of(me, 1 << 40);
    page.finish(record, mark);
    assert_eq!(line.push(&request(), &page).unwrap_err().kind(), Kind::Epoch);
    a.sql("INSERT INTO t VALUES ('mine', 'still counts', NULL);");
    for _ in 0..2 {
        a.sync(&b);
    }
    assert_eq!(b.rows("SELECT v FROM t"), "still counts");
}

#[test]
fn a_record_too_large_to_travel_is_withheld_and_the_others_pass() {
    let schema = "CREATE TABLE t (code TEXT PRIMARY KEY, v BLOB);";
    let (a, b) = (TestSite::new("a", schema), TestSite::new("b", schema));
    for site in [&a, &b] {
        site.attach(&[table("t")]);
    }
    a.knows(&b, &["t"]);
    a.sql("INSERT INTO t VALUES ('big', zeroblob(20000000)), ('small', x'01');");
    a.agree(&b);
    assert_eq!(b.rows("SELECT code FROM t"), "small");
    assert!(a.waiting()[0].contains("is the most that a record may have"), "{:?}", a.waiting());
    assert_eq!(records(&a.agree(&b)), 0);
    a.sql("UPDATE t SET v = zeroblob(10000000) WHERE code = 'big';");
    for _ in 0..2 {
        a.agree(&b);
    }
    assert_eq!(b.rows("SELECT length(v) FROM t WHERE code = 'big'"), "10000000");
    assert!(a.waiting().is_empty());
}

#[test]
fn a_database_file_that_was_replaced_is_opened_anew() {
    let (a, b) = pair();
    many(&a, "a", 3);
    a.agree(&b);
    let other = a.file.with_extension("other");
    a.app.execute("VACUUM INTO ?1", [other.to_str().unwrap()]).unwrap();
    std::fs::rename(&other, &a.file).unwrap();
    b.sql("INSERT INTO t VALUES ('new', 'v', NULL);");
    a.agree(&b);
    let app = rusqlite::Connection::open(&a.file).unwrap();
    let count: i64 = app.query_row("SELECT count(*) FROM t WHERE code = 'new'", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 1, "it was written to the file that is there now");
}
