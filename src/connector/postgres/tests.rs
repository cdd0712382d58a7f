//! What PostgreSQL alone can do to us.

use std::time::Duration;

use super::Postgres;
use crate::{
    connector::{Apply, Connector, Extent, Table},
    error::Kind,
    model::{Page, SiteId, TableSpec, Time, Uuids},
    postgresql::server::TestDatabase,
};

const ME: SiteId = SiteId(uuid::Uuid::from_u128(1));
const PEER: SiteId = SiteId(uuid::Uuid::from_u128(2));

fn open(url: &str) -> Postgres {
    Postgres::open(url, Uuids::default()).unwrap()
}

fn attach(db: &mut Postgres, table: &str) -> crate::error::Result<Table> {
    let spec = TableSpec { table: table.into(), resource: table.into(), ..TableSpec::default() };
    db.attach(&[spec], ME, Time(1_000_000_000), &mut |_, _, _| {})?;
    Ok(db.tables()?.into_iter().find(|known| known.name == table).unwrap())
}

fn feed(db: &mut Postgres, table: &Table, after: i64) -> (Vec<String>, i64) {
    let mut page = Page::default();
    let everything = Extent { records: 1_000, bytes: 1 << 20 };
    let (upto, more) = db.export(table, after, PEER, everything, Time(2_000_000_000_000_000), &mut page).unwrap();
    assert!(!more);
    (page.views().map(|view| view.get("v").map_or("gone", |value| value.text).to_owned()).collect(), upto)
}

#[test]
fn what_a_long_transaction_wrote_first_comes_when_it_commits_and_holds_nobody_up() {
    let mut app = TestDatabase::new();
    app.sql("CREATE TABLE t (id integer PRIMARY KEY, v text)");
    let mut db = open(&app.url());
    let table = attach(&mut db, "t").unwrap();
    let mut long = app.another();
    let mut work = long.transaction().unwrap();
    work.batch_execute("INSERT INTO t VALUES (1, 'early')").unwrap();
    app.sql("INSERT INTO t VALUES (2, 'late')");
    let (seen, cursor) = feed(&mut db, &table, 0);
    assert_eq!(seen, ["late"]);
    work.batch_execute("INSERT INTO t VALUES (3, 'later')").unwrap();
    assert_eq!(feed(&mut db, &table, cursor).0, [""; 0]);
    work.commit().unwrap();
    let (seen, cursor) = feed(&mut db, &table, cursor);
    assert_eq!(seen, ["early", "later"]);
    app.sql("BEGIN; INSERT INTO t VALUES (4, 'never'); ROLLBACK");
    assert_eq!(feed(&mut db, &table, cursor).0, [""; 0]);
}

#[test]
fn a_transaction_with_an_older_number_that_writes_the_same_row_later_is_noticed() {
    let mut app = TestDatabase::new();
    app.sql("CREATE TABLE t (id integer PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b')");
    let mut db = open(&app.url());
    let table = attach(&mut db, "t").unwrap();
    let (_, cursor) = feed(&mut db, &table, 0);
    let mut old = app.another();
    let mut older = old.transaction().unwrap();
    older.batch_execute("UPDATE t SET v = 'older' WHERE id = 2").unwrap();
    app.sql("UPDATE t SET v = 'younger' WHERE id = 1");
    let (seen, cursor) = feed(&mut db, &table, cursor);
    assert_eq!(seen, ["younger"]);
    older.batch_execute("UPDATE t SET v = 'older, later' WHERE id = 1").unwrap();
    older.commit().unwrap();
    let (mut seen, _) = feed(&mut db, &table, cursor);
    seen.sort();
    assert_eq!(seen, ["older", "older, later"]);
}

#[test]
fn a_page_that_meets_an_application_overwrites_nothing_and_can_be_tried_again() {
    let mut app = TestDatabase::new();
    app.sql("CREATE TABLE t (id integer PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')");
    let mut db = open(&app.url());
    let table = attach(&mut db, "t").unwrap();
    let uid = db.sample(&table, 1).unwrap().remove(0);
    let write = |tx: &mut dyn Apply| {
        let locals = tx.locals(&table, &[&uid], PEER).unwrap();
        let here = locals.page.view(&locals.page.records[0]);
        let state = crate::model::NewState {
            version: here.record.version.clone(),
            tick: true,
            origin: ME,
            author: PEER,
            settled: Vec::new(),
            modified_on: Time(5),
            shared: false,
        };
        let (effect, digest, local) = (crate::connector::Effect::Delete, crate::model::Digest::DELETED, locals.found[0]);
        let write =
            crate::connector::Write { uid: &uid, local, effect, state: &state, deleted: true, heir: None, digest, release: false, run: 1 };
        tx.write(&table, &write, PEER, &crate::connector::Targets::default())
    };
    {
        let mut tx = db.begin().unwrap();
        tx.fold(&table).unwrap();
        app.sql("UPDATE t SET v = 'edited' WHERE id = 1");
        assert_eq!(write(tx.as_mut()).unwrap_err().kind(), Kind::Busy);
        assert!(tx.broken());
    }
    assert_eq!(app.rows("SELECT v FROM t"), "edited");
    let mut other = app.another();
    {
        let mut held = other.transaction().unwrap();
        held.batch_execute("SELECT * FROM t FOR UPDATE").unwrap();
        let mut tx = db.begin().unwrap();
        assert_eq!(write(tx.as_mut()).unwrap_err().kind(), Kind::Busy, "it gives way");
    }
    let mut tx = db.begin().unwrap();
    write(tx.as_mut()).unwrap();
    tx.commit().unwrap();
    assert_eq!(app.rows("SELECT count(*) FROM t"), "0");
}

#[test]
fn whoever_holds_the_journal_is_named() {
    let mut app = TestDatabase::new();
    app.sql("CREATE TABLE t (id integer PRIMARY KEY, v text)");
    let mut db = open(&app.url());
    let table = attach(&mut db, "t").unwrap();
    app.sql("SET application_name = 'backup of Mallory'; BEGIN; LOCK TABLE entente.turn");
    db.link.batch("SET lock_timeout = '100ms'", "wait less").unwrap();
    let error = db.begin().map(drop).unwrap_err();
    assert_eq!(error.kind(), Kind::Busy);
    assert!(error.to_string().contains("backup of Mallory") && error.to_string().contains("user tester) since 20"), "{error}");
    app.sql("ROLLBACK");
    assert_eq!(db.head(&table).unwrap(), 0);
}

#[test]
fn an_edit_that_is_not_taken_over_yet_is_no_part_of_the_version_before_it() {
    let mut app = TestDatabase::new();
    app.sql("CREATE TABLE t (id integer PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'given'), (2, 'given')");
    let mut db = open(&app.url());
    let table = attach(&mut db, "t").unwrap();
    let (_, cursor) = feed(&mut db, &table, 0);
    app.sql("UPDATE entente.state_1 SET digest = NULL; UPDATE t SET v = 'edited' WHERE id = 1");
    let layout = db.layout(&table).unwrap();
    db.transaction(|db| db.complete(&layout, &[1, 2])).unwrap();
    assert_eq!(app.rows("SELECT arrival FROM entente.state_1 WHERE digest IS NOT NULL"), "2");
    assert_eq!(db.noted_among(&layout, vec![1, 2]).unwrap().into_iter().collect::<Vec<_>>(), [1]);
    // So it becomes a version of its own, and goes to whoever had the one before.
    assert_eq!(feed(&mut db, &table, cursor).0, ["edited"]);
}

#[test]
fn notes_that_were_taken_over_are_forgotten_and_the_others_stay() {
    let mut app = TestDatabase::new();
    app.sql("CREATE TABLE t (id integer PRIMARY KEY, v text)");
    let mut db = open(&app.url());
    let table = attach(&mut db, "t").unwrap();
    app.sql("INSERT INTO t SELECT i, 'x' FROM generate_series(1, 6000) i");
    db.fold(&table).unwrap();
    app.sql("UPDATE t SET v = 'y' WHERE id = 7");
    let keep = crate::connector::Retention { before: Time(0), versions: 5, answers: Time(0) };
    db.forget(keep).unwrap();
    assert_eq!(app.rows("SELECT k1 FROM entente.note_1"), "7");
    db.fold(&table).unwrap();
    db.forget(keep).unwrap();
    assert_eq!(app.rows("SELECT count(*) FROM entente.note_1"), "0");
}

#[test]
fn a_database_that_was_copied_to_another_cluster_notices_what_is_written_there() {
    let mut app = TestDatabase::new();
    app.sql("CREATE TABLE t (id integer PRIMARY KEY, v text)");
    let mut db = open(&app.url());
    let table = attach(&mut db, "t").unwrap();
    app.sql("INSERT INTO t VALUES (1, 'before')");
    db.fold(&table).unwrap();
    // Transaction numbers start low there: as if all had been taken over that will ever be written.
    app.sql(
        "UPDATE entente.journal SET cluster = 7; UPDATE entente.mark SET gathered = '4000000000:4000000000:'; UPDATE t SET v = 'after'",
    );
    let mut db = open(&app.url());
    assert_eq!(feed(&mut db, &table, 0).0, ["after"]);
    app.sql("UPDATE t SET v = 'later'");
    assert_eq!(feed(&mut db, &table, 0).0, ["later"]);
}

#[test]
fn keys_that_the_database_gives_out_do_not_meet_those_that_we_choose() {
    let mut app = TestDatabase::new();
    app.sql("CREATE TABLE t (id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, v text); INSERT INTO t (v) VALUES ('a'); INSERT INTO t VALUES (40, 'b')");
    let mut db = open(&app.url());
    let table = attach(&mut db, "t").unwrap();
    let mut page = Page::new("t");
    let uid = page.put("urn:x");
    let mark = page.mark();
    page.finish(crate::model::Record::new(uid, PEER, Time(1)), mark);
    let mut tx = db.begin().unwrap();
    let view = page.view(&page.records[0]);
    let [one, two] = [0, 1].map(|_| tx.reserve(&table, view, &crate::connector::Targets::default()).unwrap());
    drop(tx);
    let key = |key: i64| crate::connector::Key(vec![crate::connector::KeyPart::Integer(key)]);
    assert_eq!((one, two), (key(41), key(42)));
    app.sql("INSERT INTO t (v) VALUES ('c')");
    assert_eq!(app.rows("SELECT id FROM t ORDER BY id"), "1 40 43");
}

#[test]
fn a_trigger_that_keeps_a_row_from_being_written_is_no_success() {
    let mut app = TestDatabase::new();
    app.sql(
        "CREATE TABLE t (id integer PRIMARY KEY, v text);
         CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.v = ''skip'' THEN RETURN NULL; END IF; RAISE ''not %'', NEW.v; END';
         CREATE TRIGGER no BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION no();",
    );
    let mut db = open(&app.url());
    let table = attach(&mut db, "t").unwrap();
    for (value, reason) in [("skip", "did not let the row be written"), ("this", "not this")] {
        let mut page = Page::new("t");
        let (uid, mark) = (page.put("urn:x"), page.mark());
        let (field, text) = (page.name("v").unwrap(), page.put(value));
        page.cell(crate::model::Cell { field, resource: 0, kind: crate::model::Kind::Text, text });
        page.finish(crate::model::Record::new(uid, PEER, Time(1)), mark);
        let view = page.view(&page.records[0]);
        let state = crate::model::NewState {
            version: crate::model::Version::default(),
            tick: true,
            origin: PEER,
            author: PEER,
            settled: Vec::new(),
            modified_on: Time(1),
            shared: true,
        };
        let (effect, digest) = (crate::connector::Effect::Put(view), view.digest());
        let write = crate::connector::Write {
            uid: "urn:x",
            local: None,
            effect,
            state: &state,
            deleted: false,
            heir: None,
            digest,
            release: false,
            run: 1,
        };
        let mut tx = db.begin().unwrap();
        let error = tx.write(&table, &write, PEER, &crate::connector::Targets::default()).unwrap_err();
        assert!(error.kind() == Kind::Constraint && error.chain().contains(reason) && !tx.broken(), "{}", error.chain());
    }
}

#[test]
fn bad_addresses_and_lacking_privileges_are_told_with_what_to_do() {
    let mut app = TestDatabase::new();
    app.sql("CREATE TABLE t (id integer PRIMARY KEY, v text)");
    let refused = |url: &str| Postgres::open(url, Uuids::default()).map(drop).unwrap_err();
    let user = app.user("");
    for (url, kind, word) in [
        ("postgres://me@127.0.0.1:1/app?connect_timeout=2".to_owned(), Kind::Unreachable, "server running"),
        (app.url_as("nobody_here"), Kind::Unauthorized, "nobody_here"),
        (app.url().replace("test_", "no_test_"), Kind::NotFound, "no database of that name"),
        ("postgres:nonsense".to_owned(), Kind::Usage, "postgres://USER"),
    ] {
        let error = refused(&url);
        assert!(error.kind() == kind && error.chain().contains(word), "{url}: {}", error.chain());
    }
    let error = refused(&app.url_as("guarded:wrong"));
    assert!(error.kind() == Kind::Unauthorized && error.chain().contains("password is wrong") && !error.chain().contains("wrong@"));
    open(&app.url_as("guarded:right"));
    let mut db = open(&app.url_as(&user));
    let lacks = |db: &mut Postgres, word: &str| {
        let error = attach(db, "t").unwrap_err();
        assert!(error.kind() == Kind::Forbidden && error.chain().contains(word), "{}", error.chain());
    };
    lacks(&mut db, "GRANT CREATE ON DATABASE");
    app.sql(&format!("CREATE SCHEMA entente AUTHORIZATION {user}"));
    lacks(&mut db, &format!("GRANT tester TO {user}"));
    app.sql(&format!("CREATE ROLE {user}_owner; ALTER TABLE t OWNER TO {user}_owner; GRANT {user}_owner TO {user}"));
    let table = attach(&mut db, "t").unwrap();
    // The application, too, needs no privilege on our journal.
    let writer = format!("{user}_writer");
    app.sql(&format!("CREATE ROLE {writer} LOGIN; GRANT INSERT, SELECT, UPDATE, DELETE ON t TO {writer}; SET ROLE {writer}; INSERT INTO t VALUES (1, 'x'); RESET ROLE"));
    assert_eq!(feed(&mut db, &table, 0).0, ["x"]);
    app.sql(&format!("ALTER TABLE t OWNER TO tester; ALTER ROLE {user} SET statement_timeout = '1ms'"));
    app.sql("INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(2, 9000) i");
    let error = refused_timeout(&app.url_as(&user), &table);
    assert!(error.kind() == Kind::Timeout && error.chain().contains("statement_timeout"), "{}", error.chain());
}

/// What comes of looking at a table whose server gives statements a millisecond.
fn refused_timeout(url: &str, table: &Table) -> crate::error::Error {
    for _ in 0..50 {
        let tried = Postgres::open(url, Uuids::default()).and_then(|mut db| db.fold(table));
        match tried {
            Err(error) if error.kind() == Kind::Timeout => return error,
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    panic!("no statement took a millisecond");
}

#[test]
fn the_certificate_of_the_server_is_checked_and_an_authority_of_ones_own_can_be_named() {
    let app = TestDatabase::new();
    let (url, authority) = app.by_network();
    let mut db = open(&format!("{url}?sslmode=verify-full&sslrootcert={authority}"));
    let spoken = db.link.one("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &[], "ask").unwrap();
    assert!(spoken.get::<_, Option<&str>>(0).is_some_and(|version| version.starts_with("TLS")));
    for url in [format!("{url}?sslmode=require"), url.replace("localhost", "127.0.0.1") + "?sslrootcert=" + &authority] {
        let error = Postgres::open(&url, Uuids::default()).map(drop).unwrap_err();
        assert!(error.kind() == Kind::Unreachable && error.chain().contains("sslrootcert"), "{}", error.chain());
    }
    open(&format!("{url}?sslmode=disable"));
}

#[test]
fn a_connection_that_breaks_in_mid_page_leaves_nothing_of_it() {
    let mut app = TestDatabase::new();
    app.sql("CREATE TABLE t (id integer PRIMARY KEY, v text)");
    let mut db = open(&app.url());
    let table = attach(&mut db, "t").unwrap();
    let mut tx = db.begin().unwrap();
    tx.set_answer(uuid::Uuid::from_u128(7), PEER, Time(5), "yes").unwrap();
    app.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'entente' AND datname = current_database()");
    let error = tx.commit().unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable, "{}", error.chain());
    assert!(db.stale(), "nobody uses it again");
    let mut db = open(&app.url());
    assert_eq!(db.begin().unwrap().answer(uuid::Uuid::from_u128(7)).unwrap(), None);
    assert_eq!(db.head(&table).unwrap(), 0);
}

#[test]
fn a_connection_that_went_while_it_was_idle_is_not_used_again() {
    let mut app = TestDatabase::new();
    app.sql("CREATE TABLE t (id integer PRIMARY KEY, v text)");
    let mut db = open(&app.url());
    attach(&mut db, "t").unwrap();
    assert!(!db.stale());
    app.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'entente' AND datname = current_database()");
    assert!(db.stale(), "it is found out without a failure");
}

#[test]
fn a_key_that_is_checked_at_the_end_of_a_statement_may_be_there_twice_within_it() {
    let mut app = TestDatabase::new();
    app.sql(
        "CREATE TABLE t (id integer PRIMARY KEY DEFERRABLE, v text);
         CREATE FUNCTION tidy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM t WHERE ctid <> (SELECT max(ctid) FROM t WHERE id = 1) AND id = 1; RETURN NULL; END';
         CREATE TRIGGER a_tidy AFTER INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION tidy();",
    );
    let mut db = open(&app.url());
    let table = attach(&mut db, "t").unwrap();
    app.sql("INSERT INTO t VALUES (2, 'b'), (3, 'c'); UPDATE t SET id = 5 - id");
    assert_eq!(feed(&mut db, &table, 0).0, ["c", "b"]);
    app.sql("BEGIN; SET CONSTRAINTS ALL DEFERRED; INSERT INTO t VALUES (1, 'x'), (1, 'y'); COMMIT");
    assert_eq!(feed(&mut db, &table, 0).0, ["c", "b", "y"]);
}

#[test]
fn tables_whose_rows_may_vanish_unseen_cannot_be_attached() {
    let mut app = TestDatabase::new();
    let user = app.user("");
    app.sql(&format!(
        "CREATE UNLOGGED TABLE fast (id integer PRIMARY KEY); CREATE VIEW seen AS SELECT 1 AS id;
         CREATE TABLE parent (id integer PRIMARY KEY); CREATE TABLE heir () INHERITS (parent);
         CREATE TABLE mine (id integer PRIMARY KEY, v text); ALTER TABLE mine OWNER TO {user};
         ALTER TABLE mine ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY visible ON mine USING (id > 1);
         CREATE SCHEMA entente AUTHORIZATION {user}"
    ));
    let mut db = open(&app.url_as(&user));
    let survey = db.survey().unwrap();
    for (table, why) in [("fast", "unlogged"), ("seen", "a view"), ("parent", "inherit"), ("mine", "row level security")] {
        let known = survey.iter().find(|survey| survey.table == table).unwrap();
        assert!(known.identity.as_ref().is_err_and(|said| said.contains(why)), "{known:?}");
        let error = attach(&mut db, table).unwrap_err();
        assert!(error.kind() == Kind::Constraint && error.chain().contains(why), "{}", error.chain());
    }
    app.sql("ALTER TABLE mine NO FORCE ROW LEVEL SECURITY; INSERT INTO mine VALUES (1, 'a'), (2, 'b')");
    let table = attach(&mut db, "mine").unwrap();
    assert_eq!(feed(&mut db, &table, 0).0, ["a", "b"]);
    app.sql("UPDATE mine SET v = v || '!'; ALTER TABLE mine FORCE ROW LEVEL SECURITY");
    let mut page = Page::default();
    let everything = Extent { records: 9, bytes: 1 << 20 };
    db.export(&table, 0, PEER, everything, Time(5), &mut page).unwrap_err();
    app.sql("ALTER TABLE mine NO FORCE ROW LEVEL SECURITY");
    assert_eq!(feed(&mut db, &table, 0).0, ["a!", "b!"], "nothing was taken for deleted");
}

#[test]
fn attaching_waits_for_a_long_transaction_without_holding_up_the_others() {
    let mut app = TestDatabase::new();
    app.sql("CREATE TABLE t (id integer PRIMARY KEY, v text)");
    let mut long = app.another();
    let mut work = long.transaction().unwrap();
    work.batch_execute("INSERT INTO t VALUES (1, 'long')").unwrap();
    let url = app.url();
    let attaching = std::thread::spawn(move || {
        let mut db = open(&url);
        let table = attach(&mut db, "t").unwrap();
        (db, table)
    });
    let begun = std::time::Instant::now();
    let mut worst = Duration::ZERO;
    for key in 2..60 {
        let one = std::time::Instant::now();
        app.sql(&format!("INSERT INTO t VALUES ({key}, 'short')"));
        worst = worst.max(one.elapsed());
        std::thread::sleep(Duration::from_millis(30));
    }
    assert!(begun.elapsed() > Duration::from_secs(1) && worst < Duration::from_millis(900), "{worst:?}");
    work.commit().unwrap();
    let (mut db, table) = attaching.join().unwrap();
    assert_eq!(feed(&mut db, &table, 0).0.len(), 59);
}

#[test]
fn what_failed_aside_is_never_committed_whoever_was_told() {
    let mut app = TestDatabase::new();
    app.sql("CREATE TABLE t (id integer PRIMARY KEY, v text)");
    let mut db = open(&app.url());
    attach(&mut db, "t").unwrap();
    app.sql("CREATE TABLE plain (v text)");
    db.take_turn().unwrap();
    let sql = "INSERT INTO plain VALUES ('lost'); SELECT 1 / 0";
    db.link.aside(move |client| super::failure::Told::told(client.batch_execute(sql), "divide")).unwrap();
    // Somebody is told, and thinks nothing of it.
    assert_eq!(db.link.batch("SELECT 1", "go on").unwrap_err().kind(), Kind::Constraint);
    assert_eq!(db.commit("commit").unwrap_err().kind(), Kind::Constraint);
    db.undo();
    assert_eq!(app.rows("SELECT count(*) FROM plain"), "0");
    db.transaction(|db| db.link.batch("INSERT INTO plain VALUES ('kept')", "go on")).unwrap();
    assert_eq!(app.rows("SELECT v FROM plain"), "kept");
}
