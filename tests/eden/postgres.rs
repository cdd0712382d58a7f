//! The same with databases on PostgreSQL: an Eden's own, and one with types of its own.

use entente::model::{Resource, TableSpec};

use crate::{
    hub::{Hub, named, organisation, uid},
    scripted::Scripted,
    server::TestDatabase,
};

fn spec(table: &str) -> TableSpec {
    TableSpec { table: table.into(), resource: table.into(), ..TableSpec::default() }
}

#[test]
fn an_edens_own_database_on_a_server_is_kept_as_an_eden_keeps_it() {
    let mut database = TestDatabase::new();
    database.sql(
        "CREATE TABLE auth_user (id serial PRIMARY KEY, email varchar(512));
         CREATE TABLE org_organisation (id serial PRIMARY KEY, uuid varchar(128) NOT NULL UNIQUE, mci integer, deleted char(1), deleted_fk text,
           created_on timestamp, modified_on timestamp, created_by integer REFERENCES auth_user (id), owned_by_group integer,
           name varchar(128) NOT NULL, active char(1), year integer)",
    );
    let hub = Hub::at(&database.url(), &[spec("org_organisation")]);
    hub.register();
    let push = |modified: &str, inside: &str| {
        let answer = hub.push("org_organisation", "", &organisation(1, modified, inside));
        assert_eq!((answer.json()["status"].as_str(), answer.json().get("tree")), (Some("success"), None), "{}", answer.body);
    };
    push(
        "2026-01-02T03:04:05",
        &format!("{}<data field=\"active\" value=\"true\">-</data><data field=\"year\" value=\"1999\"/>", named("Alpha")),
    );
    let row = "SELECT uuid, mci, deleted, created_on, modified_on, name, active, year FROM org_organisation";
    assert_eq!(database.rows(row), format!("{}|1|F|2026-01-02 03:04:05|2026-01-02 03:04:05|Alpha|T|1999", uid(1)));
    let gone = format!("<resource name=\"org_organisation\" uuid=\"{}\" deleted=\"True\" modified_on=\"2026-01-04T00:00:00\"/>", uid(1));
    hub.push("org_organisation", "", &gone);
    assert_eq!(database.rows("SELECT deleted, name FROM org_organisation"), "T|Alpha");
    let bad = organisation(2, "2026-01-02T03:04:05", &format!("{}<data field=\"year\" value=\"notayear\"/>", named("Bad")));
    let answer = hub.push("org_organisation", "", &bad).json();
    assert_eq!(
        (answer["records"].as_u64(), answer["tree"]["$_org_organisation"][0]["@uuid"].as_str()),
        (Some(0), Some(uid(2).as_str())),
        "{answer}"
    );
    database.sql("UPDATE org_organisation SET deleted = 'F', modified_on = '2026-01-05 00:00:00'");
    let given = hub.pull("org_organisation", "");
    assert!(
        given.body.contains("modified_on=\"2026-01-05T00:00:00\"") && given.body.contains("<data field=\"active\" value=\"true\"/>"),
        "{}",
        given.body
    );
}

#[test]
fn the_people_of_an_eden_on_a_server_keep_their_entries_lists_and_accounts() {
    let mut database = TestDatabase::new();
    let schema = crate::own::PEOPLE.replace("INTEGER PRIMARY KEY AUTOINCREMENT", "SERIAL PRIMARY KEY");
    database.sql(&schema.replace("CHAR(1)", "CHARACTER(1)").replace("CHAR(", "VARCHAR("));
    let hub = Hub::at(&database.url(), &crate::own::people());
    hub.register();
    let push = |resource: &str, inside: &str| {
        let answer = hub.push(resource, "", inside);
        assert_eq!((answer.json()["status"].as_str(), answer.json().get("tree")), (Some("success"), None), "{}", answer.body);
    };
    let element = |table: &str, number: u32, more: &str, inside: &str| {
        format!(
            "<resource name=\"{table}\" uuid=\"{}\" mci=\"1\" modified_on=\"2026-01-02T00:00:00\"{more}>{inside}</resource>",
            uid(number)
        )
    };
    let list =
        format!("<reference field=\"sector_ids\" resource=\"org_sector\" uuid=\"[&quot;{}&quot;, &quot;{}&quot;]\"/>", uid(12), uid(11));
    let accounts = " created_by=\"ana@example.org\" modified_by=\"carl@example.org\" owned_by_group=\"Editors\"";
    let office = element("org_office", 1, accounts, &format!("{}{list}", named("HQ")));
    push("org_office", &[office, element("org_sector", 11, "", &named("Food")), element("org_sector", 12, "", &named("Water"))].concat());
    let offices = "SELECT o.name, p.instance_type, s.name, o.created_by, o.modified_by, o.owned_by_group,
        (SELECT string_agg(x.name, ',' ORDER BY x.name) FROM org_sector x WHERE o.sector_ids LIKE '%|' || x.id || '|%')
        FROM org_office o JOIN pr_pentity p ON p.pe_id = o.pe_id AND p.uuid = o.uuid JOIN org_site s ON s.site_id = o.site_id AND s.uuid = o.uuid";
    assert_eq!(database.rows(offices), "HQ|org_office|HQ|1|-|1|Food,Water");
    let given = hub.pull("org_office", "");
    assert!(given.body.contains(&format!("uuid='[\"{}\",\"{}\"]'", uid(12), uid(11))), "{}", given.body);
    let contact = element("pr_contact", 21, "", "<data field=\"value\">ana@x</data>");
    push("pr_person", &element("pr_person", 2, "", &format!("<data field=\"first_name\">Ana</data>{contact}")));
    assert_eq!(database.rows("SELECT first_name, value FROM pr_contact c JOIN pr_person p ON p.pe_id = c.pe_id"), "Ana|ana@x");
    let nested = hub.pull("pr_person", "&[~]contact.value__like=ana*");
    assert!(nested.body.contains("name=\"pr_contact\"") && !nested.body.contains("pe_id"), "{}", nested.body);
    let alone = hub.pull("pr_contact", "");
    assert!(alone.body.contains(&format!("<reference field=\"pe_id\" resource=\"pr_person\" uuid=\"{}\"/>", uid(2))), "{}", alone.body);
    database.sql("UPDATE pr_contact SET value = 'b@x', modified_on = now()");
    let changed = hub.pull("pr_person", "&msince=2026-01-03T00:00:00");
    assert_eq!((changed.uids("pr_person"), changed.body.contains("b@x")), (vec![uid(2)], true), "{}", changed.body);
}

#[test]
fn every_type_of_a_server_comes_back_from_an_eden_as_it_went() {
    let schema = "CREATE TABLE org_organisation (uuid uuid PRIMARY KEY, name text NOT NULL, small smallint, big bigint, price numeric(10,2), real8 double precision,
      flag boolean, day date, moment timestamp, instant timestamptz, clock time, doc jsonb, raw json, parent uuid REFERENCES org_organisation (uuid))";
    let (mut one, mut two) = (TestDatabase::new(), TestDatabase::new());
    one.sql(schema);
    two.sql(schema);
    let eden = Scripted::new();
    let (from, to) = (Hub::at(&one.url(), &[spec("org_organisation")]), Hub::at(&two.url(), &[spec("org_organisation")]));
    let share = |hub: &Hub| {
        let (repository, warning) = hub.knows(eden.address);
        assert_eq!(warning, None);
        hub.shares(&repository, Resource::new(0, "org_organisation"));
        repository
    };
    let (first, second) = (share(&from), share(&to));
    one.sql(&format!(
        "INSERT INTO org_organisation VALUES ('{0}', 'Ä <b> & \"c\" ''d''', -5, 9007199254740993, 12.50, 1.5, true, '2026-02-03', '2026-02-03 04:05:06',
           '2026-02-03 04:05:06+02', '13:14:15', '{{\"a\": [\"x & y\", 1]}}', '[1, \"<\"]', NULL),
         ('{1}', 'Child', NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, NULL, '{0}')",
        &uid(1)[9..],
        &uid(2)[9..]
    ));
    from.syncs(&first);
    let report = to.syncs(&second);
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    let all = "SELECT * FROM org_organisation ORDER BY uuid";
    assert_eq!(one.rows(all), two.rows(all));
    assert!(two.rows(all).contains("9007199254740993|12.50"));
    let quiet = from.syncs(&first);
    assert!(quiet.resources.iter().all(|part| part.counts.created + part.counts.updated == 0), "{quiet:?}");
}
