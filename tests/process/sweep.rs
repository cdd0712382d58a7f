//! What programs wrote without triggers, found by hand and by the worker.

use rusqlite::{Connection, config::DbConfig};

use crate::house::{House, Staying, until};

fn house() -> House {
    let house = House::new();
    house.ok("site", "init --name here");
    for name in ["one", "two"] {
        house.sql(&format!("{name}.db"), "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b');");
        house.ok("site", &format!("attach {name} sqlite:{name}.db --table t={name}"));
    }
    house
}

fn unnoticed(house: &House, database: &str, sql: &str) {
    let database = Connection::open(house.path(database)).unwrap();
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    database.execute_batch(sql).unwrap();
}

#[test]
fn a_sweep_tells_what_it_found_and_that_there_was_nothing() {
    let house = house();
    unnoticed(&house, "one.db", "INSERT INTO t VALUES (3, 'c'); UPDATE t SET v = 'z' WHERE id = 1; DELETE FROM t WHERE id = 2;");
    house.ok("site", "sweep two").says("Nothing had gone unnoticed");
    let found = house.ok("site", "sweep --format json").json();
    let table = found.as_array().unwrap().iter().find(|table| table["resource"] == "one").unwrap();
    let want =
        serde_json::json!({"database": "one", "resource": "one", "rows": 2, "added": 1, "changed": 1, "removed": 1, "sum_mended": false});
    assert_eq!((table, found.as_array().unwrap().len()), (&want, 2));
    house.ok("site", "log").says("A program wrote to one without its triggers");
    unnoticed(&house, "two.db", "INSERT INTO t VALUES (3, 'c')");
    let ran = house.ok("site", "sweep one two").says("travels at the next run");
    assert!(ran.out.contains("sum mended") && ran.out.lines().any(|line| line.trim_start().starts_with("two")), "{ran:#?}");
    house.ok("site", "sweep").says("Nothing had gone unnoticed");
}

#[test]
fn an_unknown_database_is_named_and_one_that_is_gone_does_not_hide_the_others() {
    let house = house();
    house.run("site", "sweep three").fails(1).complains("three").complains("attached are one, two");
    std::fs::rename(house.path("one.db"), house.path("gone.db")).unwrap();
    unnoticed(&house, "two.db", "INSERT INTO t VALUES (3, 'c')");
    house.run("site", "sweep").fails(1).complains("one").says("travels at the next run");
}

#[test]
fn the_worker_sweeps_when_a_night_has_passed() {
    let house = house();
    unnoticed(&house, "two.db", "INSERT INTO t VALUES (3, 'c')");
    house.sql("site/entente.db", "UPDATE housekeeping SET last = 86400000000");
    let _worker = Staying::start(house.command("site", "worker"));
    let logged =
        || house.rows("site/entente.db", "SELECT count(*) FROM log WHERE action = 'sweep' AND message LIKE 'A program wrote to two%'");
    until("the sweep stands in the log", || logged() == ["1"]);
    until("it is done", || house.rows("site/entente.db", "SELECT last > 86400000000 AND holder IS NULL FROM housekeeping") == ["1"]);
}
