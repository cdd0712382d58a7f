//! S11 to S32: what an Eden that pulls is given.

use crate::hub::{Hub, document, eden, named, organisation, uid};

fn time_of(answer: &crate::hub::Answer, uid: &str) -> String {
    let document = answer.xml();
    let node = document.descendants().find(|node| node.attribute("uuid") == Some(uid)).unwrap();
    node.attribute("modified_on").unwrap().to_owned()
}

fn plus(time: &str, seconds: i64) -> String {
    let moment: chrono::NaiveDateTime = time.parse().unwrap();
    (moment + chrono::TimeDelta::seconds(seconds)).format("%Y-%m-%dT%H:%M:%S").to_string()
}

#[test]
fn s11_nothing_is_an_empty_document() {
    let hub = Hub::new();
    let answer = hub.pull("org_organisation", "");
    let document = answer.xml();
    let root = document.root_element();
    assert_eq!((root.tag_name().name(), root.attribute("success"), root.attribute("results")), ("s3xml", Some("false"), Some("0")));
    assert!(!root.has_children());
}

#[test]
fn s12_s13_records_say_who_they_are_and_how_many_hands_they_went_through() {
    let hub = Hub::new();
    hub.organisation(1, "Alpha");
    hub.sql(&format!("INSERT INTO org_organisation (uuid, name, mci) VALUES ('{}', 'Beta', 0), ('{}', 'Gamma', 3)", uid(2), uid(3)));
    let answer = hub.pull("org_organisation", "");
    let document = answer.xml();
    for (number, mci) in [(1, "1"), (2, "1"), (3, "4")] {
        let node = document.descendants().find(|node| node.attribute("uuid") == Some(&uid(number))).unwrap();
        assert_eq!((node.attribute("name"), node.attribute("mci")), (Some("org_organisation"), Some(mci)));
        for stamp in ["created_on", "modified_on"] {
            let text = node.attribute(stamp).unwrap();
            assert!(text.len() == 19 && text.parse::<chrono::NaiveDateTime>().is_ok(), "{text}");
        }
    }
}

#[test]
fn s14_s15_a_cursor_is_a_second_in_whatever_form() {
    let hub = Hub::new();
    hub.organisation(1, "Alpha");
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    hub.organisation(2, "Beta");
    let first = hub.pull("org_organisation", "");
    let (old, new) = (time_of(&first, &uid(1)), time_of(&first, &uid(2)));
    assert!(old < new);
    let after = |since: &str| hub.pull("org_organisation", &format!("&msince={since}")).uids("org_organisation");
    assert_eq!(after(&new), [uid(2)]);
    for form in [
        format!("{new}Z"),
        format!("{new}.5"),
        format!("{}+02:00", plus(&new, 7200)),
        format!("{}%2B02:00", plus(&new, 7200)),
        new.replace('T', "%20"),
    ] {
        assert_eq!(after(&form), [uid(2)], "{form}");
    }
    assert!(after(&plus(&new, 1)).is_empty());
    assert_eq!(after(&old), [uid(1), uid(2)], "in the order of their times; a lower cursor asks for all");
    hub.pull("org_organisation", "&msince=yesterday").fails(400);
}

#[test]
fn s16_s17_s18_deletions_and_merges_are_told() {
    let hub = Hub::new();
    hub.register();
    hub.organisation(1, "Alpha");
    hub.organisation(2, "Beta");
    hub.pull("org_organisation", "");
    hub.sql(&format!("DELETE FROM org_organisation WHERE uuid = '{}'", uid(2)));
    let merged = format!(
        "<resource name=\"org_organisation\" uuid=\"{}\" deleted=\"True\" replaced_by=\"{}\" modified_on=\"2999-01-01T00:00:00\"/>",
        uid(9),
        uid(1)
    );
    assert_eq!(hub.push("org_organisation", "", &merged).json()["status"], "success");
    let answer = hub.get(&format!("/sync/sync.xml?resource=org_organisation&repository={}", eden()));
    let document = answer.xml();
    let node = |number: u32| document.descendants().find(|node| node.attribute("uuid") == Some(&uid(number))).unwrap();
    assert_eq!((node(2).attribute("deleted"), node(2).children().count()), (Some("True"), 0));
    assert!(node(2).attribute("modified_on").is_some());
    assert_eq!((node(9).attribute("deleted"), node(9).attribute("replaced_by")), (Some("True"), Some(uid(1).as_str())));
    assert_eq!(node(1).attribute("deleted"), None);
}

#[test]
fn s19_unknown_callers_are_served_and_unknown_resources_are_not() {
    let hub = Hub::new();
    assert_eq!(hub.pull("org_organisation", "").status, 200);
    hub.pull("organisation", "").fails(400);
    hub.pull("org_nothing", "").fails(400);
    hub.get(&format!("/sync/sync.xml?repository={}", eden())).fails(400);
    hub.pull("mixed", "").fails(400);
    hub.pull("org_organisation", "&resource=org_office").fails(400);
    hub.get("/sync/sync.xml?resource=org_organisation&repository=urn:uuid:nobody").fails(403);
    // The account is this Eden's from now on.
    hub.get("/sync/sync.xml?resource=org_organisation&repository=urn:uuid:00000000-0000-4000-8000-000000000001").fails(403);
}

#[test]
fn s20_s21_filters_hold_and_unknown_ones_are_refused() {
    let hub = Hub::new();
    for (number, name) in [(1, "Beta"), (2, "Bravo"), (3, "Zeta")] {
        hub.organisation(number, name);
    }
    let both = hub.pull("org_organisation", "&[~]~.name__like=B%2A&[~]~.name__like=%2Aeta");
    assert_eq!(both.uids("org_organisation"), [uid(1)]);
    assert_eq!(hub.pull("org_organisation", "&[org_organisation]~.name=Zeta").uids("org_organisation"), [uid(3)]);
    for wrong in ["&[~]~.nothing=1", "&[~]name=1", "&[org_office]~.name=x", "&[~]~.sector_id$name=x"] {
        hub.pull("org_organisation", wrong).fails(400);
    }
    let controller = hub.get(&format!("/org/organisation/sync.xml?repository={}&~.name__like=Z%2A", eden()));
    assert_eq!(controller.uids("org_organisation"), [uid(3)]);
}

#[test]
fn s22_s23_what_is_referred_to_comes_along_once_even_in_circles() {
    let hub = Hub::new();
    hub.organisation(1, "Alpha");
    hub.organisation(2, "Beta");
    hub.sql("UPDATE org_organisation SET parent_id = 3 - id");
    hub.sql(&format!("INSERT INTO org_office (uuid, name, organisation_id) VALUES ('{}', 'HQ', 1)", uid(5)));
    let answer = hub.pull("org_office", "");
    let document = answer.xml();
    let office = document.descendants().find(|node| node.attribute("uuid") == Some(&uid(5))).unwrap();
    let reference = office.children().find(|node| node.tag_name().name() == "reference").unwrap();
    assert_eq!((reference.attribute("resource"), reference.attribute("uuid")), (Some("org_organisation"), Some(uid(1).as_str())));
    assert_eq!(answer.uids("org_organisation"), [uid(1), uid(2)]);
    assert_eq!(document.root_element().attribute("results"), Some("1"));
}

#[test]
fn s24_s25_components_stand_in_their_masters_and_bring_them_when_they_change() {
    let hub = Hub::new();
    hub.organisation(1, "Alpha");
    hub.sql(&format!(
        "INSERT INTO org_sector (uuid, name) VALUES ('{}', 'Food'); INSERT INTO org_office (uuid, name, organisation_id) VALUES ('{}', 'HQ', 1);
         INSERT INTO org_sector_organisation (uuid, organisation_id, sector_id) VALUES ('{}', 1, 1)",
        uid(10), uid(11), uid(12)
    ));
    let nested = |answer: &crate::hub::Answer| -> Vec<String> {
        let document = answer.xml();
        let master = document.root_element().children().find(|node| node.attribute("name") == Some("org_organisation")).unwrap();
        master
            .children()
            .filter(|node| node.tag_name().name() == "resource")
            .map(|node| node.attribute("uuid").unwrap().to_owned())
            .collect()
    };
    let first = hub.pull("org_organisation", "");
    assert_eq!(nested(&first), [uid(11), uid(12)]);
    assert_eq!(first.uids("org_sector"), [uid(10)], "what a link leads to stands at the root");
    assert!(nested(&hub.pull("org_organisation", "&mcomponents=None")).is_empty());
    let second = plus(&time_of(&first, &uid(1)), 2);
    assert!(hub.pull("org_organisation", &format!("&msince={second}")).uids("org_organisation").is_empty());
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    hub.sql("UPDATE org_office SET name = 'Branch'");
    let changed = hub.pull("org_organisation", &format!("&msince={second}"));
    assert_eq!(changed.uids("org_organisation"), [uid(1)]);
    assert!(changed.body.contains("Branch"));
}

#[test]
fn s26_parts_of_a_feed_meet_though_records_change_in_between() {
    let hub = Hub::new();
    (0..10).for_each(|number| hub.organisation(number, "x"));
    let part = |start: u32| hub.pull("org_organisation", &format!("&start={start}&limit=4")).uids("org_organisation");
    let mut all = part(0);
    hub.sql(&format!("UPDATE org_organisation SET name = 'y' WHERE uuid = '{}'", uid(2)));
    hub.organisation(20, "new");
    all.extend(part(4));
    all.extend(part(8));
    for number in 0..10 {
        assert!(all.contains(&uid(number)), "{number}");
    }
    let answer = hub.pull("org_organisation", "&start=4&limit=4");
    let document = answer.xml();
    assert_eq!((document.root_element().attribute("start"), document.root_element().attribute("limit")), (Some("4"), Some("4")));
    hub.pull("org_organisation", "&limit=many").fails(400);
}

#[test]
fn s27_s28_every_text_is_well_formed_and_empty_fields_are_left_out() {
    let hub = Hub::new();
    let text = "a <b> & \"c\" 'd' &amp;amp; 😀 \u{1} \u{FFFE} \n\t.";
    hub.db
        .execute(
            "INSERT INTO org_organisation (uuid, name, comments, code, year, active, founded, password, sector_ids)
             VALUES (?1, 'Alpha', ?2, 'A & B', 1999, 1, '2026-02-03', 'secret', '{\"@resource\":\"org_sector\",\"@uuid\":[\"urn:1\",\"urn:2\"]}')",
            (uid(1), text),
        )
        .unwrap();
    let answer = hub.pull("org_organisation", "");
    let document = answer.xml();
    let field = |name: &str| document.descendants().find(|node| node.attribute("field") == Some(name));
    let comments: String = serde_json::from_str(field("comments").unwrap().attribute("value").unwrap()).unwrap();
    assert_eq!(comments, text.replace(['\u{1}', '\u{FFFE}'], "\u{FFFD}"));
    assert_eq!(field("code").unwrap().text(), Some("A &amp; B"), "unique keys are texts, which Eden unescapes once more");
    assert_eq!(field("year").unwrap().attribute("value"), Some("1999"));
    assert_eq!(field("active").unwrap().attribute("value"), Some("true"));
    assert!(field("acronym").is_none() && field("password").is_none() && !answer.body.contains("secret"));
    assert!(answer.body.contains("urn:1"));
}

#[test]
fn s31_s32_what_comes_late_with_an_old_time_still_reaches_everybody() {
    let hub = Hub::new();
    hub.register();
    hub.organisation(1, "Alpha");
    let second = {
        let first = hub.pull("org_organisation", "");
        plus(&time_of(&first, &uid(1)), 1)
    };
    // Another Eden brings what was written long ago.
    let other = "urn:uuid:00000000-0000-4000-8000-000000000002";
    let account = crate::hub::basic("second", "right");
    let send = |path: &str, body: &str| {
        let headers = format!("{account}Content-Length: {}\r\n", body.len());
        hub.ask(&format!("POST {path}"), &headers, body.as_bytes())
    };
    send("/sync/repository/register.json", &format!(r#"{{"uuid": "{other}", "name": "south"}}"#));
    let late = document(&organisation(2, "2001-02-03T04:05:06", &named("Late")));
    let answer = send(&format!("/sync/sync.xml?resource=org_organisation&repository={other}"), &late);
    assert_eq!(answer.json()["created"].as_array().map(Vec::len), Some(1), "{}", answer.body);
    let given = hub.pull("org_organisation", &format!("&msince={second}"));
    assert_eq!(given.uids("org_organisation"), [uid(2)]);
    assert_eq!(time_of(&given, &uid(2)), "2001-02-03T04:05:06");
    assert_eq!(
        hub.pull("org_organisation", &format!("&msince={second}")).uids("org_organisation"),
        [uid(2)],
        "it did not say that it has it"
    );
    assert_eq!(hub.pull("org_organisation", "&msince=2001-02-03T04:05:07").uids("org_organisation"), [uid(1)], "now it did");
}

#[test]
fn accounts_are_served_only_where_a_person_named_them() {
    let hub = Hub::new();
    hub.register();
    hub.sql("INSERT INTO auth_user (uuid, email, password) VALUES ('urn:u', 'a@example.org', 'hash')");
    hub.pull("auth_user", "").fails(403);
    hub.push("auth_user", "", "<resource name=\"auth_user\" uuid=\"urn:v\"/>").fails(403);
    let known = hub.site.store.read(|c| entente::store::repositories::list(c, hub.site.store.key())).unwrap();
    hub.shares(&known[0], entente::model::Resource::new(0, "auth_user"));
    let answer = hub.pull("auth_user", "");
    assert_eq!(answer.uids("auth_user"), ["urn:u"]);
    assert!(!answer.body.contains("hash"));
}
