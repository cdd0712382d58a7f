//! What two sites hold, compared by words: verify, compare, transfer.

use crate::house::{House, Staying};

const SCHEMA: &str = "CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT, town TEXT)";

fn shared() -> (House, Staying) {
    let (house, server) = House::hub_and_laptop(SCHEMA, "--table person");
    house.ok("laptop", "resource add hub person");
    house.sql("laptop.db", "INSERT INTO person VALUES (1, 'Ada', 'Bonn'), (2, 'Bea', 'Kiel'), (3, 'Cleo', 'Ulm')");
    house.ok("laptop", "sync hub");
    (house, server)
}

#[test]
fn two_sites_are_verified_and_what_differs_is_shown_and_moved() {
    let (house, _server) = shared();
    house.ok("laptop", "verify hub").says("person").says("hub and this site hold the same");
    house.sql("laptop.db", "UPDATE person SET town = 'Aachen' WHERE id = 1; INSERT INTO person VALUES (4, 'Dora', 'Jena')");
    house.sql("hub.db", "UPDATE person SET town = 'Berlin' WHERE name = 'Bea'");
    house.ok("laptop", "verify hub").says("it was not exchanged yet").says("missing there").says("Dora").says("on its way");
    let seen = house.ok("laptop", "--format json verify hub").json();
    let counts = ["equal", "differing", "explained"].map(|key| seen[0][key].as_u64().unwrap());
    assert_eq!((seen[0]["resource"].as_str(), counts), (Some("person"), [1, 3, 3]));

    house.ok("laptop", "compare hub person").says("different person").says("Aachen").says("Bonn").says("≠").says("1 identical, 3 differ");
    house.ok("laptop", "compare hub person --limit 1").says("2 of them are not shown");
    let compared = house.ok("laptop", "--format json compare hub person").json();
    let differences = compared["differences"].as_array().unwrap();
    let of = |name: &str| {
        let named = |side: &serde_json::Value| side["fields"]["name"] == name;
        differences.iter().find(|difference| named(&difference["ours"]) || named(&difference["theirs"])).unwrap()
    };
    assert_eq!((&of("Dora")["how"], &of("Dora")["theirs"]), (&"missing there".into(), &serde_json::Value::Null));
    let town = of("Ada")["fields"].as_array().unwrap().iter().find(|field| field["field"] == "town").unwrap().clone();
    assert_eq!((&town["ours"], &town["theirs"], &town["differs"]), (&"Aachen".into(), &"Bonn".into(), &true.into()));

    let uid = |name: &str| of(name)["uid"].as_str().unwrap().to_owned();
    house.ok("laptop", &format!("transfer hub person {} {}", uid("Ada"), uid("Bea"))).says("given").says("taken").says("entente log show");
    assert_eq!(house.rows("hub.db", "SELECT name, town FROM person ORDER BY name"), ["Ada|Aachen", "Bea|Berlin", "Cleo|Ulm"]);
    assert_eq!(house.rows("laptop.db", "SELECT town FROM person WHERE id = 2"), ["Berlin"]);
    let nobody = house.run("laptop", "--format json transfer hub person urn:nobody").fails(1).json();
    assert_eq!(nobody["records"][0]["what"], "known at neither site");
    house.run("laptop", "transfer hub person").fails(2);
    house.run("laptop", "compare hub town").fails(1).complains("town is not shared with hub").complains("entente resource add hub town");
    house.run("laptop", "verify nobody").fails(1).complains("nobody");
}

#[test]
fn a_difference_that_nothing_explains_ends_with_1() {
    let (house, _server) = shared();
    house.sql("laptop.db", "INSERT INTO person VALUES (4, 'Dora', 'Jena')");
    house.sql("laptop.db", "UPDATE entente_share SET push = push + 1000");
    house.run("laptop", "verify hub").fails(1).says("nothing explains it").says("entente transfer hub");
    house.ok("laptop", "resource set hub person --mode pull");
    house.ok("laptop", "verify hub").says("the mode: here pull").says("held apart by a rule");
}
