//! An Eden's own database, attached: Entente synchronizes it from outside.

use entente::model::{Resource, TableSpec};

use crate::{
    hub::{Hub, named, organisation, uid},
    scripted::Scripted,
};

/// As web2py makes them.
const SCHEMA: &str = r#"
  CREATE TABLE "auth_user" ("id" INTEGER PRIMARY KEY AUTOINCREMENT, "email" CHAR(512));
  CREATE TABLE "org_site" ("site_id" INTEGER PRIMARY KEY AUTOINCREMENT, "instance_type" CHAR(512), "uuid" CHAR(128), "deleted" CHAR(1));
  CREATE TABLE "org_organisation" ("id" INTEGER PRIMARY KEY AUTOINCREMENT, "uuid" CHAR(128) NOT NULL UNIQUE, "mci" INTEGER, "deleted" CHAR(1),
    "deleted_fk" TEXT, "deleted_rb" INTEGER, "created_on" TIMESTAMP, "modified_on" TIMESTAMP,
    "created_by" INTEGER REFERENCES "auth_user" ("id") ON DELETE SET NULL, "modified_by" INTEGER REFERENCES "auth_user" ("id") ON DELETE SET NULL,
    "owned_by_user" INTEGER REFERENCES "auth_user" ("id") ON DELETE SET NULL, "owned_by_group" INTEGER, "realm_entity" INTEGER,
    "name" CHAR(128) NOT NULL, "active" CHAR(1), "year" INTEGER, "sector_ids" TEXT);
  CREATE TABLE "org_office" ("id" INTEGER PRIMARY KEY AUTOINCREMENT, "uuid" CHAR(128) NOT NULL UNIQUE, "mci" INTEGER, "deleted" CHAR(1),
    "created_on" TIMESTAMP, "modified_on" TIMESTAMP, "site_id" INTEGER REFERENCES "org_site" ("site_id") ON DELETE CASCADE,
    "organisation_id" INTEGER REFERENCES "org_organisation" ("id") ON DELETE CASCADE, "name" CHAR(64) NOT NULL);"#;

fn eden_site() -> Hub {
    let spec = |table: &str| TableSpec { table: table.into(), resource: table.into(), ..TableSpec::default() };
    Hub::with(SCHEMA, &[spec("org_organisation"), spec("org_office")])
}

fn add(hub: &Hub, number: u32, modified: &str, name: &str) {
    hub.sql(&format!(
        "INSERT INTO org_organisation (uuid, mci, deleted, created_on, modified_on, name, active, sector_ids) VALUES ('{}', 0, 'F', '2020-01-01 00:00:00',
         '{modified}', '{name}', 'T', '|1|2|')",
        uid(number)
    ));
}

#[test]
fn its_columns_say_who_when_and_whether_a_record_lives() {
    let hub = eden_site();
    add(&hub, 1, "2026-01-02 03:04:05", "Alpha");
    add(&hub, 2, "2026-01-02 03:04:06", "Gone");
    hub.sql("UPDATE org_organisation SET deleted = 'T' WHERE name = 'Gone'");
    let answer = hub.pull("org_organisation", "");
    let document = answer.xml();
    let node = |number: u32| document.descendants().find(|node| node.attribute("uuid") == Some(&uid(number))).unwrap();
    assert_eq!((node(1).attribute("modified_on"), node(1).attribute("mci")), (Some("2026-01-02T03:04:05"), Some("1")));
    assert_eq!(node(1).attribute("created_on"), Some("2020-01-01T00:00:00"));
    let fields: Vec<(&str, Option<&str>)> =
        node(1).children().map(|child| (child.attribute("field").unwrap(), child.attribute("value"))).collect();
    assert_eq!(fields, [("name", Some("\"Alpha\"")), ("active", Some("true"))]);
    assert_eq!((node(2).attribute("deleted"), node(2).children().count()), (Some("True"), 0));
}

#[test]
fn what_an_eden_pushes_is_stored_as_an_eden_stores_it() {
    let hub = eden_site();
    hub.register();
    let push = |modified: &str, inside: &str| {
        let answer = hub.push("org_organisation", "", &organisation(1, modified, inside));
        assert_eq!((answer.json()["status"].as_str(), answer.json().get("tree")), (Some("success"), None), "{}", answer.body);
    };
    push("2026-01-02T03:04:05", &format!("{}<data field=\"active\" value=\"false\">-</data>", named("Alpha")));
    let row = "SELECT uuid || '|' || mci || '|' || deleted || '|' || created_on || '|' || modified_on || '|' || name || '|' || active FROM org_organisation";
    assert_eq!(hub.one(row), format!("{}|1|F|2026-01-02 03:04:05|2026-01-02 03:04:05|Alpha|F", uid(1)));
    push("2026-01-03T00:00:00", &named("Beta"));
    assert_eq!(hub.one(row), format!("{}|1|F|2026-01-02 03:04:05|2026-01-03 00:00:00|Beta|F", uid(1)));
    let gone = |number: u32, modified: &str| {
        format!("<resource name=\"org_organisation\" uuid=\"{}\" deleted=\"True\" modified_on=\"{modified}\"/>", uid(number))
    };
    hub.push("org_organisation", "", &gone(1, "2026-01-02T00:00:00"));
    assert_eq!(hub.one("SELECT deleted FROM org_organisation"), "F", "an older deletion");
    hub.push("org_organisation", "", &gone(1, "2026-01-04T00:00:00"));
    assert_eq!(hub.one("SELECT deleted || name FROM org_organisation"), "TBeta", "the row stays");
    hub.push("org_organisation", "", &gone(9, "2026-01-04T00:00:00"));
    assert_eq!(hub.one("SELECT count(*) FROM org_organisation"), "1", "nothing is made of what was never here");
    push("2026-01-05T00:00:00", &named("Back"));
    assert_eq!(hub.one("SELECT deleted || name FROM org_organisation"), "FBack");
}

#[test]
fn rows_from_before_it_was_attached_are_as_old_as_they_say() {
    let schema = format!(
        "{SCHEMA} INSERT INTO org_organisation (uuid, mci, deleted, modified_on, name) VALUES ('{}', 0, 'F', '2026-01-01 00:00:00', 'Old'),
         ('{}', 0, 'F', '2026-01-05 00:00:00', 'New')",
        uid(1),
        uid(2)
    );
    let spec = TableSpec { table: "org_organisation".into(), resource: "org_organisation".into(), ..TableSpec::default() };
    let hub = Hub::with(&schema, &[spec]);
    let eden = Scripted::new();
    let (repository, warning) = hub.knows(eden.address);
    assert_eq!(warning, None);
    hub.shares(&repository, Resource::new(0, "org_organisation"));
    eden.put("org_organisation", &uid(1), "2026-01-03T00:00:00", &[("name", "\"Newer there\"")]);
    eden.put("org_organisation", &uid(2), "2026-01-03T00:00:00", &[("name", "\"Older there\"")]);
    hub.syncs(&repository);
    assert_eq!(hub.one("SELECT group_concat(name, ',') FROM (SELECT name FROM org_organisation ORDER BY uuid)"), "Newer there,New");
    assert_eq!(eden.field("org_organisation", &uid(2), "name").as_deref(), Some("\"New\""));
    hub.sql(&format!("UPDATE org_organisation SET deleted = 'T', modified_on = '2999-01-01 00:00:00' WHERE uuid = '{}'", uid(1)));
    hub.syncs(&repository);
    assert_eq!(eden.field("org_organisation", &uid(1), "name"), None, "a row that says that it is gone is gone there");
}
