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

/// Tables as an Eden has them around its people: super-entities, what refers to them, lists of keys, accounts.
pub(crate) const PEOPLE: &str = r#"
  CREATE TABLE "auth_user" ("id" INTEGER PRIMARY KEY AUTOINCREMENT, "email" CHAR(512));
  CREATE TABLE "auth_group" ("id" INTEGER PRIMARY KEY AUTOINCREMENT, "role" CHAR(255));
  INSERT INTO "auth_user" ("email") VALUES ('Ana@example.org'), ('bob@example.org');
  INSERT INTO "auth_group" ("role") VALUES ('Editors');
  CREATE TABLE "pr_pentity" ("pe_id" INTEGER PRIMARY KEY AUTOINCREMENT, "deleted" CHAR(1) DEFAULT 'F', "instance_type" CHAR(512), "uuid" CHAR(128) NOT NULL UNIQUE,
    "pe_label" CHAR(128));
  CREATE TABLE "org_site" ("site_id" INTEGER PRIMARY KEY AUTOINCREMENT, "deleted" CHAR(1), "instance_type" CHAR(512), "uuid" CHAR(128) NOT NULL UNIQUE, "name" CHAR(64));
  CREATE TABLE "org_sector" ("id" INTEGER PRIMARY KEY AUTOINCREMENT, "uuid" CHAR(128) NOT NULL UNIQUE, "mci" INTEGER, "deleted" CHAR(1), "created_on" TIMESTAMP,
    "modified_on" TIMESTAMP, "name" CHAR(64));
  CREATE TABLE "org_office" ("id" INTEGER PRIMARY KEY AUTOINCREMENT, "uuid" CHAR(128) NOT NULL UNIQUE, "mci" INTEGER, "deleted" CHAR(1), "created_on" TIMESTAMP,
    "modified_on" TIMESTAMP, "created_by" INTEGER REFERENCES "auth_user" ("id"), "modified_by" INTEGER REFERENCES "auth_user" ("id"), "owned_by_group" INTEGER,
    "pe_id" INTEGER REFERENCES "pr_pentity" ("pe_id") ON DELETE CASCADE, "site_id" INTEGER REFERENCES "org_site" ("site_id") ON DELETE CASCADE,
    "name" CHAR(64) NOT NULL, "sector_ids" TEXT);
  CREATE TABLE "pr_person" ("id" INTEGER PRIMARY KEY AUTOINCREMENT, "uuid" CHAR(128) NOT NULL UNIQUE, "mci" INTEGER, "deleted" CHAR(1), "created_on" TIMESTAMP,
    "modified_on" TIMESTAMP, "pe_id" INTEGER REFERENCES "pr_pentity" ("pe_id") ON DELETE CASCADE, "pe_label" CHAR(128), "first_name" CHAR(64));
  CREATE TABLE "pr_contact" ("id" INTEGER PRIMARY KEY AUTOINCREMENT, "uuid" CHAR(128) NOT NULL UNIQUE, "mci" INTEGER, "deleted" CHAR(1), "created_on" TIMESTAMP,
    "modified_on" TIMESTAMP, "pe_id" INTEGER REFERENCES "pr_pentity" ("pe_id") ON DELETE CASCADE, "value" CHAR(64));"#;

/// That Eden, with everything of its people attached.
pub(crate) fn people() -> Vec<TableSpec> {
    let spec = |table: &str| TableSpec { table: table.into(), resource: table.into(), ..TableSpec::default() };
    let inside = entente::model::Component { resource: "pr_contact".into(), field: "pe_id".into() };
    let person = TableSpec { components: vec![inside], ..spec("pr_person") };
    vec![spec("pr_pentity"), spec("org_sector"), spec("org_office"), person, spec("pr_contact")]
}

fn element(table: &str, number: u32, modified: &str, more: &str, inside: &str) -> String {
    format!("<resource name=\"{table}\" uuid=\"{}\" mci=\"1\" modified_on=\"{modified}\"{more}>{inside}</resource>", uid(number))
}

fn pushes(hub: &Hub, resource: &str, inside: &str) {
    let answer = hub.push(resource, "", inside);
    assert_eq!((answer.json()["status"].as_str(), answer.json().get("tree")), (Some("success"), None), "{}", answer.body);
}

#[test]
fn rows_that_arrive_get_their_entries_in_super_entities() {
    let hub = Hub::with(PEOPLE, &people()[1..3]);
    hub.register();
    hub.pull("org_office", "");
    pushes(&hub, "org_office", &element("org_office", 1, "2026-01-02T00:00:00", "", &named("HQ")));
    let entries = "SELECT p.instance_type || p.deleted || s.instance_type || s.name FROM org_office o JOIN pr_pentity p ON p.pe_id = o.pe_id AND p.uuid = o.uuid
       JOIN org_site s ON s.site_id = o.site_id AND s.uuid = o.uuid";
    assert_eq!(hub.one(entries), "org_officeForg_officeHQ");
    let keys = hub.one("SELECT pe_id || ',' || site_id FROM org_office");
    pushes(&hub, "org_office", &element("org_office", 1, "2026-01-03T00:00:00", "", &named("Main office")));
    assert_eq!(hub.one(entries), "org_officeForg_officeMain office", "they share the name");
    assert_eq!(hub.one("SELECT pe_id || ',' || site_id FROM org_office"), keys);
    let gone = format!("<resource name=\"org_office\" uuid=\"{}\" deleted=\"True\" modified_on=\"2026-01-04T00:00:00\"/>", uid(1));
    pushes(&hub, "org_office", &gone);
    assert_eq!(hub.one(entries), "org_officeTorg_officeMain office");
    // Nothing of it is news for anybody.
    assert!(hub.pull("org_office", "&msince=2026-02-01T00:00:00").uids("org_office").is_empty());
    assert_eq!(hub.one("SELECT count(*) || (SELECT count(*) FROM org_site) FROM pr_pentity"), "11");
}

#[test]
fn a_row_without_its_entries_is_better_than_none() {
    // Something there wants a value that nobody has.
    let strict = PEOPLE.replace("CREATE TABLE \"org_site\" (", "CREATE TABLE \"org_site\" (\"must\" INTEGER NOT NULL, ");
    let strict = strict.replace(
        "(\"must\" INTEGER NOT NULL, \"site_id\" INTEGER PRIMARY KEY AUTOINCREMENT",
        "(\"site_id\" INTEGER PRIMARY KEY AUTOINCREMENT, \"must\" INTEGER NOT NULL",
    );
    let hub = Hub::with(&strict, &people()[1..3]);
    hub.register();
    pushes(&hub, "org_office", &element("org_office", 1, "2026-01-02T00:00:00", "", &named("HQ")));
    assert_eq!(hub.one("SELECT name || (pe_id IS NOT NULL) || (site_id IS NULL) FROM org_office"), "HQ11");
}

#[test]
fn accounts_are_known_by_their_addresses_and_unknown_ones_are_nobody() {
    let hub = Hub::with(PEOPLE, &people()[1..3]);
    hub.register();
    hub.pull("org_office", "");
    let by = |created: &str, modified: &str| format!(" created_by=\"{created}\" modified_by=\"{modified}\" owned_by_group=\"Editors\"");
    let row = "SELECT coalesce(created_by, '-') || coalesce(modified_by, '-') || coalesce(owned_by_group, '-') FROM org_office";
    pushes(&hub, "org_office", &element("org_office", 1, "2026-01-02T00:00:00", &by("ana@example.org", "carl@example.org"), &named("HQ")));
    assert_eq!(hub.one(row), "1-1");
    pushes(&hub, "org_office", &element("org_office", 1, "2026-01-03T00:00:00", &by("ana@example.org", "bob@example.org"), &named("HQ 2")));
    assert_eq!(hub.one(row), "121");
    assert!(hub.pull("org_office", "&msince=2026-02-01T00:00:00").uids("org_office").is_empty(), "an account is no news");
    pushes(&hub, "org_office", &element("org_office", 1, "2026-01-01T00:00:00", &by("bob@example.org", "ana@example.org"), &named("Old")));
    assert_eq!(hub.one(row), "121", "what lost says nothing");
}

#[test]
fn a_list_of_keys_travels_as_the_records_that_it_lists() {
    let hub = Hub::with(PEOPLE, &people()[1..3]);
    hub.register();
    let sector = |number: u32, name: &str| element("org_sector", number, "2026-01-02T00:00:00", "", &named(name));
    let list = |numbers: &[u32]| {
        let uids: Vec<String> = numbers.iter().map(|number| format!("&quot;{}&quot;", uid(*number))).collect();
        format!("{}<reference field=\"sector_ids\" resource=\"org_sector\" uuid=\"[{}]\">x</reference>", named("HQ"), uids.join(", "))
    };
    hub.sql("INSERT INTO org_sector (uuid, deleted, name) VALUES ('urn:x:other', 'F', 'Other')");
    let office = element("org_office", 1, "2026-01-02T00:00:00", "", &list(&[11, 12]));
    pushes(&hub, "org_office", &[office, sector(11, "Food"), sector(12, "Shelter")].concat());
    let names =
        "SELECT group_concat(s.name) FROM org_office o JOIN org_sector s ON o.sector_ids LIKE '%|' || s.id || '|%' WHERE o.name = 'HQ'";
    assert_eq!((hub.one("SELECT sector_ids FROM org_office"), hub.one(names)), ("|2|3|".into(), "Food,Shelter".into()));
    let given = hub.pull("org_office", "");
    let document = given.xml();
    let reference = document.descendants().find(|node| node.attribute("field") == Some("sector_ids")).unwrap();
    assert_eq!((reference.tag_name().name(), reference.attribute("resource")), ("reference", Some("org_sector")));
    let uids: Vec<String> = serde_json::from_str(reference.attribute("uuid").unwrap()).unwrap();
    assert_eq!((uids, given.uids("org_sector")), (vec![uid(11), uid(12)], vec![uid(11), uid(12)]));
    // A person there changes the list, with a key of this site.
    hub.sql("UPDATE org_office SET sector_ids = '|3|1|', modified_on = '2026-01-05 00:00:00'");
    let given = hub.pull("org_office", "&msince=2026-01-03T00:00:00");
    assert!(given.body.contains(&format!("[\"{}\",\"urn:x:other\"]", uid(12))), "{}", given.body);
    // One of them is not here yet.
    let office = element("org_office", 1, "2999-01-01T00:00:00", "", &list(&[11, 13]));
    pushes(&hub, "org_office", &office);
    assert_eq!(hub.one(names), "Food");
    pushes(&hub, "org_sector", &sector(13, "Water"));
    assert_eq!(hub.one(names), "Food,Water", "it is set when the record arrives");
}

#[test]
fn what_stands_inside_a_person_keeps_it_by_the_entry_in_the_super_entity() {
    let hub = Hub::with(PEOPLE, &people());
    hub.register();
    let contact = element("pr_contact", 21, "2026-01-02T00:00:00", "", "<data field=\"value\">ana@x</data>");
    let person = element("pr_person", 2, "2026-01-02T00:00:00", "", &format!("<data field=\"first_name\">Ana</data>{contact}"));
    pushes(&hub, "pr_person", &person);
    let whose = "SELECT first_name || value FROM pr_contact c JOIN pr_person p ON p.pe_id = c.pe_id";
    assert_eq!(hub.one(whose), "Anaana@x");
    let nested = hub.pull("pr_person", "");
    let document = nested.xml();
    let inside = document.descendants().find(|node| node.attribute("name") == Some("pr_contact")).unwrap();
    assert_eq!(inside.parent_element().unwrap().attribute("uuid"), Some(uid(2).as_str()));
    assert!(!nested.body.contains("pe_id"), "{}", nested.body);
    let alone = hub.pull("pr_contact", "");
    let document = alone.xml();
    let reference = document.descendants().find(|node| node.attribute("field") == Some("pe_id")).unwrap();
    assert_eq!(
        (reference.attribute("resource"), reference.attribute("uuid")),
        (Some("pr_person"), Some(uid(2).as_str())),
        "{}",
        alone.body
    );
    assert_eq!((alone.uids("pr_person"), alone.uids("pr_pentity").len()), (vec![uid(2)], 0));
    let other = "<reference field=\"pe_id\" resource=\"pr_person\" uuid=\"UID\">Ana</reference><data field=\"value\">b</data>"
        .replace("UID", &uid(2));
    pushes(&hub, "pr_contact", &element("pr_contact", 22, "2026-01-02T00:00:00", "", &other));
    assert_eq!(hub.one("SELECT count(*) FROM pr_contact c JOIN pr_person p ON p.pe_id = c.pe_id"), "2");
    let found = hub.pull("pr_person", "&[~]contact.value=b");
    assert_eq!(found.uids("pr_person"), [uid(2)]);
    assert!(hub.pull("pr_person", "&[~]contact.value=c").uids("pr_person").is_empty());
}
