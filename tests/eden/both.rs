//! An Eden's own database of either kind, attached: what is promised of both.

use entente::model::{Resource, TableSpec};

use crate::{
    hub::{Hub, named, uid},
    scripted::Scripted,
    server::TestDatabase,
};

/// As web2py makes them.
const SCHEMA: &str = r#"
  CREATE TABLE auth_user (id INTEGER PRIMARY KEY AUTOINCREMENT, email CHAR(512), password CHAR(512), registration_key CHAR(512));
  CREATE TABLE auth_group (id INTEGER PRIMARY KEY AUTOINCREMENT, role CHAR(255));
  INSERT INTO auth_user (email, password, registration_key) VALUES ('Ana@example.org', 'secret', 'key'), ('bob@example.org', 'secret', 'key'), (NULL, 'secret', '');
  INSERT INTO auth_group (role) VALUES ('Editors');
  CREATE TABLE org_organisation (id INTEGER PRIMARY KEY AUTOINCREMENT, uuid CHAR(128) NOT NULL UNIQUE, mci INTEGER, deleted CHAR(1), deleted_fk TEXT,
    deleted_rb INTEGER, created_on TIMESTAMP, modified_on TIMESTAMP, created_by INTEGER REFERENCES auth_user (id) ON DELETE SET NULL,
    modified_by INTEGER REFERENCES auth_user (id) ON DELETE SET NULL, owned_by_user INTEGER REFERENCES auth_user (id) ON DELETE SET NULL,
    owned_by_group INTEGER, approved_by INTEGER, name CHAR(128) NOT NULL);
  CREATE TABLE org_office (id INTEGER PRIMARY KEY AUTOINCREMENT, uuid CHAR(128) NOT NULL UNIQUE, mci INTEGER, deleted CHAR(1), deleted_rb INTEGER,
    created_on TIMESTAMP, modified_on TIMESTAMP, created_by INTEGER REFERENCES auth_user (id), organisation_id INTEGER REFERENCES org_organisation (id),
    name CHAR(64) NOT NULL);
  CREATE TABLE org_sector (id INTEGER PRIMARY KEY AUTOINCREMENT, uuid CHAR(128) NOT NULL UNIQUE, mci INTEGER, deleted CHAR(1), created_on TIMESTAMP,
    modified_on TIMESTAMP, name CHAR(64), sector_ids TEXT);"#;

fn specs() -> Vec<TableSpec> {
    let spec = |table: &str| TableSpec { table: table.into(), resource: table.into(), ..TableSpec::default() };
    ["org_organisation", "org_office", "org_sector"].map(spec).into()
}

/// A site with such a database.
pub(crate) struct Own {
    pub(crate) hub: Hub,
    server: Option<TestDatabase>,
}

impl Own {
    fn sqlite() -> Own {
        Own { hub: Hub::with(SCHEMA, &specs()), server: None }
    }

    fn postgres() -> Own {
        let mut database = TestDatabase::new();
        let schema = SCHEMA.replace("INTEGER PRIMARY KEY AUTOINCREMENT", "SERIAL PRIMARY KEY");
        database.sql(&schema.replace("CHAR(1)", "CHARACTER(1)").replace(" CHAR(", " VARCHAR("));
        Own { hub: Hub::at(&database.url(), &specs()), server: Some(database) }
    }

    fn sql(&mut self, sql: &str) {
        match &mut self.server {
            None => self.hub.sql(sql),
            Some(database) => database.sql(sql),
        }
    }

    /// One value of one row.
    fn one(&mut self, sql: &str) -> String {
        match &mut self.server {
            None => self.hub.one(sql),
            Some(database) => database.rows(sql),
        }
    }

    fn pushes(&self, resource: &str, inside: &str) {
        let answer = self.hub.push(resource, "", inside);
        assert_eq!((answer.json()["status"].as_str(), answer.json().get("tree")), (Some("success"), None), "{}", answer.body);
    }

    fn organisation(&mut self, number: u32, modified: &str, name: &str) {
        self.sql(&format!(
            "INSERT INTO org_organisation (uuid, mci, deleted, created_on, modified_on, name) VALUES ('{}', 0, 'F', '2020-01-01 00:00:00', '{modified}', '{name}')",
            uid(number)
        ));
    }

    /// Whether a row says that it is gone, and the name of what took its place.
    fn fate(&mut self, number: u32) -> String {
        self.one(&format!(
            "SELECT o.deleted || coalesce((SELECT s.name FROM org_organisation s WHERE s.id = o.deleted_rb), '-') FROM org_organisation o WHERE o.uuid = '{}'",
            uid(number)
        ))
    }
}

fn element(table: &str, number: u32, modified: &str, more: &str, inside: &str) -> String {
    format!("<resource name=\"{table}\" uuid=\"{}\" mci=\"1\" modified_on=\"{modified}\"{more}>{inside}</resource>", uid(number))
}

fn gone(number: u32, modified: &str, heir: Option<u32>) -> String {
    let heir = heir.map_or(String::new(), |heir| format!(" replaced_by=\"{}\"", uid(heir)));
    format!("<resource name=\"org_organisation\" uuid=\"{}\" deleted=\"True\" modified_on=\"{modified}\"{heir}/>", uid(number))
}

const OLD: &str = "2026-01-02T00:00:00";
const NEW: &str = "2026-02-02T00:00:00";
const LAST: &str = "2026-03-02T00:00:00";

/// Runs every promise with a database of each kind.
macro_rules! promises {
    ($($promise:ident)*) => {
        mod sqlite { $(#[test] fn $promise() { super::$promise(&mut super::Own::sqlite()); })* }
        mod postgres { $(#[test] fn $promise() { super::$promise(&mut super::Own::postgres()); })* }
    };
}

promises! {
    a_strategy_without_deletions_lets_no_row_go
    a_merge_that_arrives_names_the_survivor_by_the_key_that_it_has_here
    a_merge_whose_survivor_comes_later_names_it_then
    a_merge_of_a_person_there_is_told_with_its_survivor
    a_merge_that_lost_or_was_undone_names_nobody
    a_survivor_that_is_no_row_holds_nothing_up
    a_merge_passes_between_an_eden_and_its_own_database_in_both_directions
    owners_are_told_by_their_addresses_and_nothing_else_of_them_is
    a_list_of_records_of_its_own_table_travels
    a_list_of_its_own_table_that_was_there_before_is_no_edit
}

fn a_merge_that_arrives_names_the_survivor_by_the_key_that_it_has_here(own: &mut Own) {
    own.hub.register();
    // Keys that mean something else there.
    own.organisation(90, "2026-01-01 00:00:00", "Own");
    own.hub.pull("org_organisation", "");
    let organisation = |number: u32| element("org_organisation", number, OLD, "", &named(&format!("O{number}")));
    own.pushes("org_organisation", &[organisation(1), organisation(2), organisation(3)].concat());
    own.pushes("org_organisation", &gone(2, NEW, Some(1)));
    own.pushes("org_organisation", &gone(1, LAST, Some(3)));
    assert_eq!((own.fate(1), own.fate(2), own.fate(3)), ("TO3".into(), "TO1".into(), "F-".into()));
    own.pushes("org_organisation", &gone(2, NEW, Some(1)));
    assert_eq!(own.fate(2), "TO1", "again changes nothing");
    let given = own.hub.pull("org_organisation", "&msince=2026-04-01T00:00:00");
    assert!(given.uids("org_organisation").is_empty(), "to whom it came from it is no news: {}", given.body);
    // Nothing is made of two that were never here.
    own.pushes("org_organisation", &gone(70, NEW, Some(71)));
    assert_eq!(own.one("SELECT count(*) FROM org_organisation"), "4");
}

fn a_merge_whose_survivor_comes_later_names_it_then(own: &mut Own) {
    own.hub.register();
    own.pushes("org_organisation", &element("org_organisation", 2, OLD, "", &named("O2")));
    own.pushes("org_organisation", &gone(2, NEW, Some(1)));
    assert_eq!(own.fate(2), "T-", "it is gone at once");
    own.pushes("org_organisation", &element("org_organisation", 1, NEW, "", &named("O1")));
    assert_eq!(own.fate(2), "TO1");
    assert!(!own.hub.pull("org_organisation", "&msince=2026-04-01T00:00:00").body.contains("Deleted"));
    // In one document, the survivor last.
    own.pushes("org_organisation", &element("org_organisation", 4, OLD, "", &named("O4")));
    own.pushes("org_organisation", &[gone(4, NEW, Some(5)), element("org_organisation", 5, NEW, "", &named("O5"))].concat());
    assert_eq!(own.fate(4), "TO5");
}

fn a_merge_of_a_person_there_is_told_with_its_survivor(own: &mut Own) {
    own.hub.register();
    own.organisation(1, "2026-01-02 00:00:00", "O1");
    own.organisation(2, "2026-01-02 00:00:00", "O2");
    own.hub.pull("org_organisation", "");
    own.sql(
        "UPDATE org_organisation SET deleted = 'T', deleted_fk = '{}', modified_on = '2026-02-02 00:00:00',
         deleted_rb = (SELECT s.id FROM org_organisation s WHERE s.name = 'O1') WHERE name = 'O2'",
    );
    let given = own.hub.pull("org_organisation", "&msince=2026-01-02T00:00:01");
    let document = given.xml();
    let node = |number: u32| document.root_element().children().find(|node| node.attribute("uuid") == Some(&uid(number)));
    let merged = node(2).unwrap();
    assert_eq!(
        (merged.attribute("deleted"), merged.attribute("replaced_by"), merged.attribute("modified_on"), merged.children().count()),
        (Some("True"), Some(uid(1).as_str()), Some(NEW), 0)
    );
    assert_eq!(node(1).and_then(|node| node.attribute("deleted")), None, "the survivor comes along");
    assert!(node(1).is_some() && !given.body.contains("deleted_rb") && !given.body.contains("deleted_fk"), "{}", given.body);
}

fn a_merge_that_lost_or_was_undone_names_nobody(own: &mut Own) {
    own.hub.register();
    let organisation = |number: u32, modified: &str| element("org_organisation", number, modified, "", &named(&format!("O{number}")));
    own.pushes("org_organisation", &[organisation(1, OLD), organisation(2, NEW)].concat());
    own.pushes("org_organisation", &gone(2, OLD, Some(1)));
    assert_eq!(own.fate(2), "F-", "an older merge");
    own.pushes("org_organisation", &gone(2, LAST, Some(1)));
    assert_eq!(own.fate(2), "TO1");
    own.pushes("org_organisation", &organisation(2, "2026-03-03T00:00:00"));
    assert_eq!(own.fate(2), "F-", "it lives again");
    own.pushes("org_organisation", &gone(2, "2026-03-04T00:00:00", Some(2)));
    assert_eq!(own.fate(2), "T-", "nothing takes its own place");
}

fn a_survivor_that_is_no_row_holds_nothing_up(own: &mut Own) {
    own.hub.register();
    own.organisation(1, "2026-01-02 00:00:00", "O1");
    own.hub.pull("org_organisation", "");
    own.sql("UPDATE org_organisation SET deleted = 'T', deleted_rb = 4711, modified_on = '2026-02-02 00:00:00'");
    let given = own.hub.pull("org_organisation", "&msince=2026-01-02T00:00:01");
    assert!(given.body.contains(&format!("uuid=\"{}\" deleted=\"True\" modified_on=\"{NEW}\"/>", uid(1))), "{}", given.body);
}

fn a_merge_passes_between_an_eden_and_its_own_database_in_both_directions(own: &mut Own) {
    let eden = Scripted::new();
    let (repository, warning) = own.hub.knows(eden.address);
    assert_eq!(warning, None);
    own.hub.shares(&repository, Resource::new(0, "org_organisation"));
    for number in 1..=4 {
        eden.put("org_organisation", &uid(number), OLD, &[("name", &format!("\"O{number}\""))]);
    }
    own.hub.syncs(&repository);
    eden.delete("org_organisation", &uid(2), NEW);
    eden.state().records.get_mut(&("org_organisation".to_owned(), uid(2))).unwrap().heir = Some(uid(1));
    own.hub.syncs(&repository);
    assert_eq!(own.fate(2), "TO1");
    own.sql(
        "UPDATE org_organisation SET deleted = 'T', modified_on = '2026-02-02 00:00:00',
         deleted_rb = (SELECT s.id FROM org_organisation s WHERE s.name = 'O4') WHERE name = 'O3'",
    );
    eden.forget();
    own.hub.syncs(&repository);
    let body = String::from_utf8(eden.asked("POST /sync/sync.xml")[0].body.clone()).unwrap();
    assert!(body.contains(&format!("uuid=\"{}\" deleted=\"True\" modified_on=\"{NEW}\" replaced_by=\"{}\"", uid(3), uid(4))), "{body}");
    assert_eq!(eden.state().records[&("org_organisation".to_owned(), uid(3))].heir, Some(uid(4)));
    eden.forget();
    own.hub.syncs(&repository);
    assert!(eden.asked("POST /sync/sync.xml").is_empty(), "what both know is not told again");
}

fn a_strategy_without_deletions_lets_no_row_go(own: &mut Own) {
    let eden = Scripted::new();
    let (repository, _) = own.hub.knows(eden.address);
    let strategy = "create,update,merge".parse().unwrap();
    own.hub.shares(&repository, Resource { strategy, ..Resource::new(0, "org_organisation") });
    (1..=3).for_each(|number| eden.put("org_organisation", &uid(number), OLD, &[("name", &format!("\"O{number}\""))]));
    own.hub.syncs(&repository);
    eden.delete("org_organisation", &uid(2), NEW);
    eden.delete("org_organisation", &uid(3), NEW);
    eden.state().records.get_mut(&("org_organisation".to_owned(), uid(3))).unwrap().heir = Some(uid(1));
    let report = own.hub.syncs(&repository);
    assert_eq!((own.fate(2), own.fate(3)), ("F-".into(), "TO1".into()), "a merge is none");
    assert!(report.warnings.iter().any(|warning| warning.contains("strategy does not allow")), "{:?}", report.warnings);
    assert!(eden.state().records[&("org_organisation".to_owned(), uid(2))].deleted, "nor does it come back there");
}

fn owners_are_told_by_their_addresses_and_nothing_else_of_them_is(own: &mut Own) {
    own.hub.register();
    own.organisation(1, "2026-01-02 00:00:00", "O1");
    own.organisation(2, "2026-01-02 00:00:00", "O2");
    own.sql("UPDATE org_organisation SET created_by = 1, modified_by = 2, owned_by_user = 2, owned_by_group = 1, approved_by = 1 WHERE name = 'O1'");
    own.sql("UPDATE org_organisation SET created_by = 3, modified_by = NULL WHERE name = 'O2'");
    own.sql(&format!(
        "INSERT INTO org_office (uuid, deleted, modified_on, name, created_by, organisation_id) SELECT '{}', 'F', '2026-01-02 00:00:00', 'HQ', 2, id
         FROM org_organisation WHERE name = 'O1'",
        uid(5)
    ));
    let given = own.hub.pull("org_office", "");
    let document = given.xml();
    let attributes = |number: u32| {
        let node = document.root_element().children().find(|node| node.attribute("uuid") == Some(&uid(number))).unwrap();
        ["created_by", "modified_by", "owned_by_user", "owned_by_group"].map(|name| node.attribute(name).unwrap_or("-").to_owned())
    };
    assert_eq!(attributes(5), ["bob@example.org", "-", "-", "-"]);
    assert_eq!(attributes(1), ["Ana@example.org", "bob@example.org", "bob@example.org", "Editors"], "of what comes along, too");
    let given = own.hub.pull("org_organisation", "");
    for unsaid in ["secret", "key", "approved_by", "password", "\"3\""] {
        assert!(!given.body.contains(unsaid), "{unsaid}: {}", given.body);
    }
    let document = given.xml();
    let nobodys = document.root_element().children().find(|node| node.attribute("uuid") == Some(&uid(2))).unwrap();
    assert!(nobodys.attributes().all(|attribute| !attribute.name().ends_with("_by")), "an account without an address is nobody");
    // One who is gone says no more than that.
    own.sql("UPDATE org_organisation SET deleted = 'T', modified_on = '2026-02-02 00:00:00' WHERE name = 'O1'");
    let given = own.hub.pull("org_organisation", "&msince=2026-01-03T00:00:00");
    assert!(given.body.contains("deleted=\"True\"") && !given.body.contains("@example.org"), "{}", given.body);
    // A new name alone is no edit, and what is told comes back as it went.
    let eden = Scripted::new();
    let (repository, _) = own.hub.knows(eden.address);
    own.hub.shares(&repository, Resource::new(0, "org_office"));
    own.hub.syncs(&repository);
    let body = String::from_utf8(eden.asked("POST /sync/sync.xml")[0].body.clone()).unwrap();
    assert!(body.contains("created_by=\"bob@example.org\""), "{body}");
}

fn a_list_of_records_of_its_own_table_travels(own: &mut Own) {
    own.hub.register();
    let list = |numbers: &[u32]| {
        let uids: Vec<String> = numbers.iter().map(|number| format!("&quot;{}&quot;", uid(*number))).collect();
        format!("<reference field=\"sector_ids\" resource=\"org_sector\" uuid=\"[{}]\"/>", uids.join(", "))
    };
    let sector =
        |number: u32, lists: &[u32]| element("org_sector", number, OLD, "", &format!("{}{}", named(&format!("S{number}")), list(lists)));
    own.sql(&format!("INSERT INTO org_sector (uuid, deleted, name) VALUES ('{}', 'F', 'Own')", uid(90)));
    // In a circle, itself among them.
    own.pushes("org_sector", &[sector(1, &[2, 3]), sector(2, &[1, 2]), sector(3, &[])].concat());
    let names = |number: u32| {
        format!(
            "SELECT coalesce(min(x.name) || max(x.name) || count(*), '-') FROM org_sector x, org_sector s
             WHERE s.sector_ids LIKE '%|' || x.id || '|%' AND s.name = 'S{number}'"
        )
    };
    assert_eq!((own.one(&names(1)), own.one(&names(2)), own.one(&names(3))), ("S2S32".into(), "S1S22".into(), "-".into()));
    let given = own.hub.pull("org_sector", "");
    let document = given.xml();
    let node = document.root_element().children().find(|node| node.attribute("uuid") == Some(&uid(1))).unwrap();
    let reference = node.children().find(|node| node.attribute("field") == Some("sector_ids")).unwrap();
    assert_eq!(serde_json::from_str::<Vec<String>>(reference.attribute("uuid").unwrap()).unwrap(), [uid(2), uid(3)]);
    // One of them is not here yet.
    own.pushes("org_sector", &element("org_sector", 3, NEW, "", &format!("{}{}", named("S3"), list(&[1, 4]))));
    assert_eq!(own.one(&names(3)), "S1S11");
    own.pushes("org_sector", &element("org_sector", 4, NEW, "", &named("S4")));
    assert_eq!(own.one(&names(3)), "S1S42", "it is set when the record arrives");
}

fn a_list_of_its_own_table_that_was_there_before_is_no_edit(own: &mut Own) {
    own.hub.register();
    // The one that is listed comes after the one that lists it.
    own.sql(&format!(
        "INSERT INTO org_sector (id, uuid, deleted, modified_on, name, sector_ids) VALUES (10, '{}', 'F', '2026-01-02 00:00:00', 'A', '|11|12|'),
         (11, '{}', 'F', '2026-01-02 00:00:00', 'B', NULL), (12, '{}', 'F', '2026-01-02 00:00:00', 'C', '|10|')",
        uid(1),
        uid(2),
        uid(3)
    ));
    let given = own.hub.pull("org_sector", "");
    assert!(given.body.contains(&format!("uuid='[\"{}\",\"{}\"]'", uid(2), uid(3))), "{}", given.body);
    let eden = Scripted::new();
    let (repository, _) = own.hub.knows(eden.address);
    own.hub.shares(&repository, Resource::new(0, "org_sector"));
    own.hub.syncs(&repository);
    eden.forget();
    own.sql("UPDATE org_sector SET name = name");
    own.hub.syncs(&repository);
    assert!(eden.asked("POST").is_empty(), "to write the same again is no edit");
}
