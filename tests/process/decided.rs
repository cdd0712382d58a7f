//! Deciding afterwards, by words: conflicts, the history, a run undone, records that wait.

use crate::house::{House, Staying};

const SCHEMA: &str = "CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT, town TEXT, phone TEXT UNIQUE)";

/// Hub and laptop agree on Ada; then both change her.
fn both_changed(conflict: &str) -> (House, Staying) {
    let (house, server) = House::hub_and_laptop(SCHEMA, "--table person");
    house.ok("laptop", &format!("resource add hub person {conflict}"));
    house.sql("laptop.db", "INSERT INTO person VALUES (1, 'Ada', 'Bonn', '11')");
    house.ok("laptop", "sync hub");
    house.sql("laptop.db", "UPDATE person SET town = 'Aachen'");
    house.sql("hub.db", "UPDATE person SET town = 'Berlin', phone = '99'");
    house.ok("laptop", "sync hub");
    (house, server)
}

#[test]
fn a_conflict_for_a_person_is_listed_field_by_field_decided_and_undone() {
    let (house, _server) = both_changed("--conflict MANUAL");
    house.ok("laptop", "conflicts --open").says("person").says("with hub").says("Aachen").says("Berlin").says("open").says("resolve");
    let open = house.ok("laptop", "--format json conflicts --open --repository hub").json();
    let conflict = &open[0];
    assert_eq!((conflict["rule"].as_str(), conflict["open"].as_bool(), open.as_array().unwrap().len()), (Some("MANUAL"), Some(true), 1));
    let town = conflict["fields"].as_array().unwrap().iter().find(|field| field["field"] == "town").unwrap();
    assert_eq!((&town["ours"], &town["theirs"], &town["differs"]), (&"Aachen".into(), &"Berlin".into(), &true.into()));
    let id = conflict["id"].as_i64().unwrap();
    house.ok("laptop", &format!("conflicts resolve {id} phone=theirs,town=ours")).says("is decided").says("undo");
    house.ok("laptop", "sync hub");
    for database in ["laptop.db", "hub.db"] {
        assert_eq!(house.rows(database, "SELECT name, town, phone FROM person"), ["Ada|Aachen|99"]);
    }
    house.ok("laptop", "conflicts --open").says("Nothing waits for you");
    house.ok("laptop", "conflicts").says("decided by a person: phone=theirs");
    house.ok("laptop", &format!("conflicts undo app:{id}")).says("is undone");
    assert_eq!(house.rows("laptop.db", "SELECT town, phone FROM person"), ["Aachen|11"]);
    assert_eq!(house.ok("laptop", "--format json conflicts --open").json().as_array().unwrap().len(), 1);
    house.run("laptop", &format!("conflicts resolve {id} both")).fails(2).complains("ours, theirs, or a list");
    house.run("laptop", "conflicts resolve 99 ours").fails(1).complains("no conflict app:99").complains("entente conflicts");
    house.run("laptop", &format!("conflicts resolve {id} shoe=theirs")).fails(2).complains("no field");
}

#[test]
fn a_rules_decision_is_listed_with_its_rule_and_can_be_turned() {
    let (house, _server) = both_changed("--conflict THIS");
    let decided = house.ok("laptop", "--format json conflicts").json();
    assert_eq!((decided[0]["rule"].as_str(), decided[0]["open"].as_bool()), (Some("THIS"), Some(false)));
    house.ok("laptop", &format!("conflicts resolve {} theirs", decided[0]["id"]));
    house.ok("laptop", "sync hub");
    assert_eq!(house.rows("hub.db", "SELECT town, phone FROM person"), ["Berlin|99"]);
    house.sql("laptop.db", "UPDATE person SET town = 'Celle'");
    house
        .run("laptop", &format!("conflicts undo {}", decided[0]["id"]))
        .fails(1)
        .complains("changed since")
        .complains("entente history person");
}

#[test]
fn changes_of_different_fields_are_both_kept_where_that_is_wanted() {
    let (house, _server) = both_changed("--merge-fields");
    house.sql("laptop.db", "UPDATE person SET town = 'Dorsten'");
    house.ok("laptop", "sync hub");
    house.sql("laptop.db", "UPDATE person SET name = 'Ada L.'");
    house.sql("hub.db", "UPDATE person SET phone = '100'");
    house.ok("laptop", "sync hub");
    for database in ["laptop.db", "hub.db"] {
        assert_eq!(house.rows(database, "SELECT name, town, phone FROM person"), ["Ada L.|Dorsten|100"], "{database}");
    }
    house.ok("laptop", "resource list").says("by field");
    assert_eq!(house.ok("laptop", "--format json resource list").json()[0]["merge_fields"], true);
    house.ok("laptop", "resource set hub person --merge-fields=no");
    assert_eq!(house.ok("laptop", "--format json resource list").json()[0]["merge_fields"], false);
}

#[test]
fn a_lost_version_is_found_and_put_back_and_a_run_is_undone() {
    let (house, _server) = both_changed("--conflict OTHER");
    assert_eq!(house.rows("laptop.db", "SELECT town FROM person"), ["Berlin"]);
    let uid = house.ok("laptop", "--format json conflicts").json()[0]["uid"].as_str().unwrap().to_owned();
    house.ok("laptop", &format!("history person {uid}")).says("Now:").says("OTHER").says("town=Aachen").says("restore");
    let past = house.ok("laptop", &format!("--format json history person {uid}")).json();
    let entry = &past["entries"][0];
    assert_eq!((entry["side"].as_str(), entry["version"]["fields"]["town"].as_str()), (Some("local"), Some("Aachen")));
    house.ok("laptop", &format!("history restore {}", entry["id"])).says("flows at the next run");
    assert_eq!(house.rows("laptop.db", "SELECT town FROM person"), ["Aachen"]);
    house.ok("laptop", "sync hub");
    assert_eq!(house.rows("hub.db", "SELECT town FROM person"), ["Aachen"]);
    house.run("laptop", "history person urn:x:nobody").fails(1).complains("nothing is known");
    house.run("laptop", "history person").fails(2).complains("which record");

    house.sql("hub.db", "UPDATE person SET town = 'Wrong'; INSERT INTO person VALUES (5, 'Eve', 'Wrong', '55'), (6, 'Bob', 'Wrong', '66')");
    let run = house.ok("laptop", "--format json sync hub").json()["run"].as_i64().unwrap();
    house.sql("laptop.db", "UPDATE person SET town = 'Right' WHERE name = 'Eve'");
    let undone = house.run("laptop", &format!("--format json rollback {run}")).fails(1).complains("changed since").json();
    assert_eq!((&undone["restored"], &undone["removed"], undone["refused"].as_array().unwrap().len()), (&1.into(), &1.into(), 1));
    assert_eq!(house.rows("laptop.db", "SELECT name, town FROM person ORDER BY name"), ["Ada|Aachen", "Eve|Right"]);
    house.ok("laptop", "sync hub");
    assert_eq!(house.rows("hub.db", "SELECT name, town FROM person ORDER BY name"), ["Ada|Aachen", "Eve|Right"]);
    house.run("laptop", "rollback 9999").fails(1).complains("entente log");
}

#[test]
fn a_record_that_waits_is_shown_mended_tried_and_dismissed() {
    let (house, _server) = House::hub_and_laptop(SCHEMA, "--table person");
    house.ok("laptop", "resource add hub person --accept-twins");
    house.sql("laptop.db", "INSERT INTO person VALUES (1, 'Ada', 'Bonn', '11')");
    house.sql("hub.db", "INSERT INTO person VALUES (1, 'Bea', 'Berlin', '11'), (2, 'Cid', 'Celle', '22')");
    house.ok("laptop", "sync hub");
    let waiting = house.ok("laptop", "--format json quarantine").json();
    let (id, number) = (waiting[0]["id"].as_i64().unwrap(), waiting[0]["number"].as_str().unwrap());
    assert!(waiting[0]["reason"].as_str().unwrap().contains("phone"), "{waiting}");
    house.ok("laptop", &format!("quarantine show {number}")).says("name=Bea");
    house.run("laptop", &format!("quarantine retry {id}")).fails(1).says("waits on");
    house
        .run("laptop", &format!("quarantine edit {id} phone=22"))
        .fails(1)
        .complains("still not be stored")
        .complains("waits on as it came");
    house.run("laptop", &format!("quarantine edit {id} shoe=22")).fails(2).complains("no field");
    house.run("laptop", &format!("quarantine edit {id} phone")).fails(2).complains("FIELD=VALUE");
    house.ok("laptop", &format!("quarantine edit {id} phone=33")).says("is stored");
    assert_eq!(house.rows("laptop.db", "SELECT name, phone FROM person ORDER BY name"), ["Ada|11", "Bea|33", "Cid|22"]);
    let there = house.ok("hub", "--format json quarantine").json()[0]["id"].as_i64().unwrap();
    house.ok("hub", &format!("quarantine dismiss {there}")).says("history person");
    house.ok("laptop", "sync hub");
    house.ok("hub", "quarantine").says("Nothing waits");
    house.run("laptop", "quarantine retry 77").fails(1).complains("nothing waits under the number app:77");
}
