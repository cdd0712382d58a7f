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
    for wrong in [
        "&[~]~.nothing=1",
        "&[~]name=1",
        "&[org_nothing]~.name=x",
        "&[org_office]~.nothing=x",
        "&[~]~.sector_id$name=x",
        "&[~]~.parent_id$nothing=x",
        "&[~]~.name|parent_id$name=x",
        "&[~]site.name=x",
    ] {
        hub.pull("org_organisation", wrong).fails(400);
    }
    let controller = hub.get(&format!("/org/organisation/sync.xml?repository={}&~.name__like=Z%2A", eden()));
    assert_eq!(controller.uids("org_organisation"), [uid(3)]);
}

#[test]
fn filters_look_along_references_and_into_what_stands_inside() {
    let hub = Hub::new();
    hub.register();
    for (number, name) in [(1, "Alpha"), (2, "Beta"), (3, "Gamma")] {
        hub.organisation(number, name);
    }
    hub.sql("UPDATE org_organisation SET parent_id = id - 1 WHERE id > 1");
    for (number, name, of) in [(11, "HQ", 1), (12, "Branch", 1), (13, "HQ", 2)] {
        hub.sql(&format!("INSERT INTO org_office (uuid, name, organisation_id) VALUES ('{}', '{name}', {of})", uid(number)));
    }
    let organisations = |filter: &str| hub.pull("org_organisation", filter).uids("org_organisation");
    let offices = |filter: &str| hub.pull("org_office", filter).uids("org_office");
    assert_eq!(offices("&[~]~.organisation_id$name__like=a*"), [uid(11), uid(12)]);
    assert_eq!(offices("&[~]~.organisation_id$parent_id$name=Alpha"), [uid(13)]);
    assert_eq!(offices("&[~]~.organisation_id$parent_id$name=NONE"), [uid(11), uid(12)], "nothing is found at the end");
    assert_eq!(organisations("&[~]office.name=Branch"), [uid(1)]);
    assert_eq!(organisations("&[~]org_office.name=HQ&[~]~.name=Beta"), [uid(2)]);
    // Those that only come along have to pass the filter, too.
    assert_eq!(organisations("&[~]~.name=Gamma"), [uid(3)]);
    assert!(!hub.pull("org_organisation", "&[~]~.name=Gamma").body.contains("parent_id"));
    let some = hub.pull("org_organisation", "&[org_office]office.name=HQ");
    assert_eq!(some.uids("org_organisation").len(), 3);
    assert!(some.body.contains(&uid(11)) && !some.body.contains(&uid(12)), "{}", some.body);
    // What matches only now comes though nothing of it changed.
    let first = hub.pull("org_office", "&[~]~.organisation_id$name=Omega");
    assert!(first.uids("org_office").is_empty());
    hub.sql("UPDATE org_organisation SET name = 'Omega' WHERE id = 2");
    assert_eq!(hub.pull("org_office", "&msince=2999-01-01T00:00:00&[~]~.organisation_id$name=Omega").uids("org_office"), [uid(13)]);
}

#[test]
fn only_what_belongs_to_the_answer_is_read_of_components() {
    let hub = Hub::new();
    hub.register();
    for number in 1..=50 {
        hub.organisation(number, "x");
        hub.sql(&format!("INSERT INTO org_office (uuid, name, organisation_id) VALUES ('{}', 'o', {number})", uid(100 + number)));
    }
    let newest = |answer: &crate::hub::Answer| {
        answer.body.split("modified_on=\"").skip(1).filter_map(|rest| rest.get(..19)).max().unwrap().to_owned()
    };
    let first = hub.pull("org_organisation", "");
    let since = format!("&msince={}", plus(&newest(&first), 2));
    assert!(hub.pull("org_organisation", &since).uids("org_organisation").is_empty(), "it has everything");
    let office = |name: &str, number: u32| hub.sql(&format!("UPDATE org_office SET name = '{name}' WHERE organisation_id = {number}"));
    office("a", 7);
    let changed = hub.pull("org_organisation", &since);
    assert_eq!((changed.uids("org_organisation"), changed.body.matches("name=\"org_office\"").count()), (vec![uid(7)], 1));
    // It was not said that this arrived: the same comes again, and what is new.
    office("b", 8);
    let mut again = hub.pull("org_organisation", &since).uids("org_organisation");
    again.sort();
    assert_eq!(again, [uid(7), uid(8)]);
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
    assert!(nested(&hub.pull("org_organisation", "&mcomponents=None")).is_empty());
    let first = hub.pull("org_organisation", "");
    assert_eq!(nested(&first), [uid(11), uid(12)]);
    assert_eq!(first.uids("org_sector"), [uid(10)], "what a link leads to stands at the root");
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
fn s26_parts_meet_while_others_write_all_the_time() {
    let hub = Hub::new();
    (0..200).for_each(|number| hub.organisation(number, "x"));
    let path = hub.db.path().unwrap().to_owned();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..2_u32 {
            let (path, done) = (&path, &done);
            scope.spawn(move || {
                let db = rusqlite::Connection::open(path).unwrap();
                db.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
                for round in 0.. {
                    if done.load(std::sync::atomic::Ordering::Relaxed) {
                        return;
                    }
                    let (changed, new) = (uid((round * 7 + writer) % 200), uid(1_000 + 2 * round + writer));
                    db.execute("UPDATE org_organisation SET name = name || 'y' WHERE uuid = ?1", [changed]).unwrap();
                    db.execute("INSERT INTO org_organisation (uuid, name) VALUES (?1, 'new')", [new]).unwrap();
                    std::thread::sleep(std::time::Duration::from_millis(2));
                }
            });
        }
        let mut all: Vec<String> = Vec::new();
        loop {
            let part = hub.pull("org_organisation", &format!("&start={}&limit=30", all.len())).uids("org_organisation");
            all.extend(part.iter().cloned());
            if all.len() > 220 {
                break;
            }
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        for number in 0..200 {
            assert_eq!(all.iter().filter(|known| **known == uid(number)).count(), 1, "{number} is there once");
        }
    });
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
