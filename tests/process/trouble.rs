//! What goes wrong is said in one sentence, with what to do next, and ends with 1.

use std::path::Path;

use entente::{
    model::Time,
    store::{Store, leases, repositories},
};

use crate::house::House;

const NOTES: &str = "CREATE TABLE notes (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, text TEXT NOT NULL);";

fn shared() -> (House, crate::house::Staying) {
    let (house, server) = House::hub_and_laptop(NOTES, "--table notes --identity key:code");
    house.ok("laptop", "resource add hub notes");
    (house, server)
}

#[test]
fn a_wrong_password_is_a_warning_where_a_site_is_added_and_an_error_where_it_is_used() {
    let (house, server) = shared();
    std::fs::write(house.path("wrong"), "guess\n").unwrap();
    house
        .ok("laptop", &format!("repository add twin --url {} --user laptop --password-file wrong", server.url()))
        .complains("name or the password is wrong")
        .complains("by hand")
        .complains("entente repository set twin --uuid");
    house.run("laptop", "repository test twin").fails(1).complains("wrong");
    house.ok("laptop", "resource add twin notes");
    let ran = house.run("laptop", "sync twin").fails(1).complains("wrong");
    assert!(!ran.err.contains("guess"), "{}", ran.err);
    let log = house.ok("laptop", "--format json log --repository twin").json();
    let results: Vec<_> = log.as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(results, ["run", "register"]);
    house.ok("laptop", "repository list").says("twin");
    assert!(house.run("laptop", "--format json sync --all").fails(1).json()[1]["error"].as_str().unwrap().contains("wrong"));
    house.ok("hub", "log --result error").says("laptop");
}

#[test]
fn two_sites_that_already_hold_rows_are_asked_which_are_the_same() {
    let both = "INSERT INTO notes (code, text) VALUES ('a', 'one'), ('b', 'two');";
    let (house, _server) = House::hub_and_laptop(&format!("{NOTES}{both}"), "--table notes");
    house.ok("laptop", "resource add hub notes");
    house
        .run("laptop", "sync hub")
        .fails(1)
        .complains("2 records here, 2 at hub")
        .complains("--match")
        .complains("entente resource set hub notes --accept-twins");
    assert_eq!(house.rows("laptop.db", "SELECT count(*) FROM notes"), ["2"], "nothing is doubled by accident");

    // The first way out: name columns that tell.
    house.sql("hub.db", "UPDATE notes SET text = 'changed' WHERE code = 'a'");
    for site in ["hub", "laptop"] {
        house.ok(site, &format!("attach app sqlite:{site}.db --table notes --match code"));
    }
    house.ok("laptop", "sync hub");
    for site in ["hub", "laptop"] {
        assert_eq!(house.rows(&format!("{site}.db"), "SELECT code, text FROM notes ORDER BY code"), ["a|changed", "b|two"], "{site}");
    }
}

#[test]
fn twins_that_are_accepted_are_all_kept() {
    let schema = "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT); INSERT INTO notes (text) VALUES ('one'), ('two');";
    let (house, _server) = House::hub_and_laptop(schema, "--table notes");
    house.ok("laptop", "resource add hub notes");
    house.run("laptop", "sync hub").fails(1).complains("--accept-twins");
    house.ok("laptop", "resource set hub notes --accept-twins");
    house.ok("laptop", "sync hub");
    for site in ["hub", "laptop"] {
        assert_eq!(house.rows(&format!("{site}.db"), "SELECT count(*) FROM notes"), ["4"], "{site}");
    }
}

#[test]
fn a_repository_that_somebody_runs_with_is_in_use() {
    let (house, _server) = shared();
    let store = Store::open(&house.path("laptop")).unwrap();
    let now = Time::from_utc(chrono::Utc::now());
    store
        .write(|c| {
            let hub = repositories::get(c, store.key(), "hub")?;
            leases::take(c, hub.id, "elsewhere:1:1", now, now.plus_seconds(60))
        })
        .unwrap();
    house.run("laptop", "sync hub").fails(1).complains("in use by elsewhere:1:1 since 20");
}

#[test]
fn a_pause_stops_runs_and_jobs_until_it_is_over() {
    let (house, _server) = shared();
    house.sql("laptop.db", "INSERT INTO notes (code, text) VALUES ('a', 'x')");
    house.ok("laptop", "job add hub --every 1h");
    house.ok("laptop", "pause");
    house.run("laptop", "sync hub").fails(1).complains("entente resume");
    house.ok("laptop", "worker --once").says("Nothing was due");
    house.ok("laptop", "resume");
    house.ok("laptop", "worker --once").says("1 run, all well");
    assert_eq!(house.rows("hub.db", "SELECT code FROM notes"), ["a"]);
    house.ok("hub", "pause");
    house.run("laptop", "sync hub").fails(1).complains("paused");
}

#[test]
fn a_repository_that_is_disabled_is_left_alone() {
    let (house, _server) = shared();
    house.ok("laptop", "repository set hub --enabled no");
    house.run("laptop", "sync hub").fails(1).complains("--enabled yes");
    house.ok("laptop", "repository show hub").says("Disabled");
    assert_eq!(house.ok("laptop", "--format json sync --all").json(), serde_json::json!([]));
    house.ok("laptop", "repository set hub --enabled yes");
    house.ok("laptop", "sync hub");
}

#[test]
fn a_dry_run_counts_and_changes_nothing_and_a_full_one_repeats_without_harm() {
    let (house, _server) = shared();
    house.sql("laptop.db", "INSERT INTO notes (code, text) VALUES ('a', 'here')");
    house.sql("hub.db", "INSERT INTO notes (code, text) VALUES ('b', 'there')");
    house.ok("laptop", "sync hub --dry-run").says("nothing is changed");
    assert_eq!(
        (house.rows("laptop.db", "SELECT code FROM notes"), house.rows("hub.db", "SELECT code FROM notes")),
        (vec!["a".into()], vec!["b".into()])
    );
    house.ok("laptop", "sync hub --pull-only");
    assert_eq!(house.rows("hub.db", "SELECT code FROM notes"), ["b"]);
    let run = house.ok("laptop", "--format json sync hub --push-only --resource notes").json();
    assert_eq!(
        (&run["result"], &run["resources"][0]["direction"], run["resources"][0]["created"].as_u64()),
        (&"success".into(), &"push".into(), Some(1))
    );
    let full = house.ok("laptop", "--format json sync hub --full").json();
    assert!(full["resources"].as_array().unwrap().iter().all(|part| part["created"] == 0 && part["updated"] == 0), "{full:#}");
    let shown = house.ok("laptop", &format!("--format json log show {}", run["run"])).json();
    assert_eq!((&shown["action"], shown["parts"].as_array().unwrap().len()), (&"run".into(), 1));
    house.run("laptop", "sync hub --resource nothing").fails(1).complains("nothing is not shared with hub");
}

#[test]
fn a_record_that_the_database_refuses_is_listed_with_its_reason_and_the_others_arrive() {
    let (house, _server) = shared();
    house.sql(
        "laptop.db",
        "CREATE TRIGGER short BEFORE INSERT ON notes WHEN length(NEW.text) > 5 BEGIN SELECT RAISE(ABORT, 'too long for us'); END",
    );
    house.sql("hub.db", "INSERT INTO notes (code, text) VALUES ('a', 'short'), ('b', 'far too long')");
    house.ok("laptop", "sync hub");
    assert_eq!(house.rows("laptop.db", "SELECT code FROM notes"), ["a"]);
    house.ok("laptop", "quarantine").says("too long for us").says("hub");
    let waiting = house.ok("laptop", "--format json quarantine").json();
    assert_eq!((waiting.as_array().unwrap().len(), &waiting[0]["resource"]), (1, &"notes".into()));
    house.sql("laptop.db", "DROP TRIGGER short");
    house.ok("laptop", "sync hub");
    house.ok("laptop", "quarantine").says("Nothing waits");
    assert_eq!(house.rows("laptop.db", "SELECT count(*) FROM notes"), ["2"]);
}

#[test]
fn a_table_that_cannot_be_attached_is_refused_by_name_with_the_reason() {
    let house = House::new();
    house.sql(
        "app.db",
        "CREATE TABLE team (id INTEGER PRIMARY KEY); CREATE TABLE score (id INTEGER PRIMARY KEY, team INTEGER REFERENCES team (id));
         CREATE VIEW seen AS SELECT * FROM team; CREATE TABLE loose (a, b);",
    );
    house.ok("s", "attach app sqlite:app.db").says("entente attach app sqlite:app.db").says("loose").says("no primary key");
    for (table, reason) in [("score", "team"), ("loose", "key"), ("seen", "view"), ("nothing", "nothing")] {
        house.run("s", &format!("attach app sqlite:app.db --table {table}")).fails(1).complains(reason);
    }
    house.run("s", "attach app sqlite:missing.db --table t").fails(1).complains("missing.db");
    assert!(!house.path("missing.db").exists());
    house.ok("s", "attach app sqlite:app.db --table team=group --table score");
    house.run("s", "attach other sqlite:app.db --table team").fails(1).complains("app");
    assert_eq!(house.ok("s", "--format json site").json()["databases"][0]["tables"].as_array().unwrap().len(), 2);
    house.ok("s", "detach app --drop-journal");
    let ours = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'entente%'";
    assert_eq!(house.rows("app.db", ours), ["0"], "nothing of ours is left");
}

#[test]
fn a_data_directory_of_a_newer_version_is_refused() {
    let house = House::new();
    house.ok("s", "init --name s");
    newer(&house.path("s/entente.db"));
    house.run("s", "site").fails(1).complains("newer");
}

fn newer(store: &Path) {
    let database = rusqlite::Connection::open(store).unwrap();
    database.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')", []).unwrap();
}

#[test]
fn a_site_of_which_there_are_two_is_refused_until_an_administrator_lets_it() {
    let (house, _server) = House::hub_and_laptop("CREATE TABLE t (id INTEGER PRIMARY KEY)", "--table t");
    house.ok("laptop", "resource add hub t");
    house.ok("laptop", "sync hub");
    let uuid = house.ok("laptop", "--format json site").json()["uuid"].as_str().unwrap().to_owned();
    house.sql("hub/entente.db", &format!("INSERT INTO clone VALUES ('{uuid}', 1000000)"));
    house
        .run("laptop", "sync hub")
        .fails(1)
        .complains("two machines present themselves as laptop")
        .complains("entente site --new-identity");
    house.ok("hub", "repository show laptop").says("Two machines present").says("entente repository set laptop --enabled yes");
    assert_eq!(house.ok("hub", "--format json repository show laptop").json()["cloned_since"], "1970-01-01T00:00:01.000000Z");
    house.ok("hub", "repository set laptop --enabled yes");
    assert!(house.ok("hub", "--format json repository show laptop").json()["cloned_since"].is_null());
    house.ok("laptop", "sync hub");
}
