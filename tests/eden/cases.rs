//! What real Edens do that no capture shows: how they import, what they leave unsaid, and how they name records.

use std::collections::BTreeSet;

use entente::{
    model::{Resource, Strategy},
    sync::run::Ask,
};

use crate::{
    hub::{Hub, eden, named, organisation, uid},
    scripted::Scripted,
};

const OLD: &str = "2026-01-01T00:00:00";
const NEW: &str = "2026-03-01T00:00:00";

/// A site that shares organisations and offices with an Eden that it calls.
fn pair() -> (Hub, Scripted, entente::model::Repository) {
    let (hub, eden) = (Hub::new(), Scripted::new());
    let (repository, warning) = hub.knows(eden.address);
    assert_eq!(warning, None);
    for resource in ["org_organisation", "org_office"] {
        hub.shares(&repository, Resource::new(0, resource));
    }
    eden.forget();
    (hub, eden, repository)
}

fn texts(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn office(hub: &Hub, number: u32, name: &str, of: u32) {
    hub.sql(&format!(
        "INSERT INTO org_office (uuid, name, organisation_id) SELECT '{}', '{name}', id FROM org_organisation WHERE uuid = '{}'",
        uid(number),
        uid(of)
    ));
}

fn waiting(hub: &Hub) -> Vec<(String, String)> {
    let waits = entente::sync::quarantine::list(&hub.site).unwrap().0;
    waits.into_iter().map(|waits| (waits.entry.uid, waits.entry.reason)).collect()
}

#[test]
fn a_record_that_was_refused_for_what_it_refers_to_is_given_again_when_that_is_taken() {
    let (hub, eden, repository) = pair();
    eden.state().invalid = texts(&["Bad"]);
    hub.organisation(1, "Bad");
    office(&hub, 2, "HQ", 1);
    hub.syncs(&repository);
    assert_eq!((eden.field("org_office", &uid(2), "name"), waiting(&hub).len()), (None, 2));
    eden.forget();
    hub.syncs(&repository);
    assert!(eden.asked("POST").is_empty(), "nothing new was taken, and nothing is given again");
    hub.sql("UPDATE org_organisation SET name = 'Better'");
    hub.syncs(&repository);
    assert_eq!(eden.field("org_office", &uid(2), "name").as_deref(), Some("\"HQ\""));
    assert!(waiting(&hub).is_empty(), "{:?}", waiting(&hub));
}

#[test]
fn a_deletion_that_was_refused_for_what_refers_to_the_record_is_given_again_when_that_is_gone() {
    let (hub, eden, repository) = pair();
    eden.state().restrict = true;
    hub.organisation(1, "Alpha");
    office(&hub, 2, "HQ", 1);
    hub.syncs(&repository);
    hub.sql("DELETE FROM org_office; DELETE FROM org_organisation");
    hub.syncs(&repository);
    assert_eq!((eden.field("org_office", &uid(2), "name"), eden.field("org_organisation", &uid(1), "name")), (None, None));
    assert!(waiting(&hub).is_empty(), "{:?}", waiting(&hub));
}

#[test]
fn a_record_that_the_eden_passed_over_without_a_word_is_found_and_named() {
    let (hub, eden, repository) = pair();
    eden.state().silent = texts(&["Unheard"]);
    (1..=9).for_each(|number| hub.organisation(number, if number == 6 { "Unheard" } else { "Heard" }));
    let report = hub.syncs(&repository);
    assert!(report.warnings.iter().any(|warning| warning.contains(&uid(6)) && warning.contains("passed over")), "{:?}", report.warnings);
    let there: Vec<u32> = (1..=9).filter(|number| eden.field("org_organisation", &uid(*number), "name").is_some()).collect();
    assert_eq!(there, [1, 2, 3, 4, 5, 7, 8, 9]);
    assert_eq!(waiting(&hub).iter().map(|(uid, _)| uid.as_str()).collect::<Vec<_>>(), [uid(6)]);
    eden.state().silent.clear();
    hub.organisation(10, "Heard");
    hub.syncs(&repository);
    assert_eq!((eden.field("org_organisation", &uid(6), "name").as_deref(), waiting(&hub).len()), (Some("\"Unheard\""), 0));
}

#[test]
fn a_document_that_is_too_large_or_cannot_be_read_is_given_in_parts() {
    let (hub, eden, repository) = pair();
    eden.state().largest = Some(4_000);
    eden.state().unread = texts(&["Stumble"]);
    (1..=40).for_each(|number| hub.organisation(number, if number == 7 { "Stumble" } else { "Any" }));
    hub.syncs(&repository);
    let there = |number: &u32| eden.field("org_organisation", &uid(*number), "name").is_some();
    assert_eq!((1..=40).filter(|number| !there(number)).collect::<Vec<u32>>(), [7]);
    let waits = waiting(&hub);
    assert!(waits.len() == 1 && waits[0].0 == uid(7) && waits[0].1.contains("Stumble"), "{waits:?}");
}

#[test]
fn a_push_that_an_eden_silently_leaves_aside_for_something_newer_loses_nothing() {
    let (hub, eden, repository) = pair();
    hub.organisation(1, "Agreed");
    hub.syncs(&repository);
    // We edit; a person there does, too, after that and before our push, which the Eden leaves aside without a word.
    hub.sql("UPDATE org_organisation SET name = 'Ours'");
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let now = chrono::Utc::now().format("%Y-%m-%dT%H:%M:%S").to_string();
    eden.put("org_organisation", &uid(1), &now, &[("name", "\"Theirs\"")]);
    hub.sync(&repository, &Ask { pull: false, ..Ask::default() }).unwrap();
    assert_eq!(eden.field("org_organisation", &uid(1), "name").as_deref(), Some("\"Theirs\""));
    hub.syncs(&repository);
    assert_eq!(hub.one("SELECT name FROM org_organisation"), "Theirs");
    assert_eq!(hub.one("SELECT count(*) FROM entente_history"), "1", "ours is kept");
    assert_eq!(eden.field("org_organisation", &uid(1), "name").as_deref(), Some("\"Theirs\""));
}

#[test]
fn an_edit_at_an_eden_whose_clock_is_behind_is_not_taken_for_an_old_one() {
    let (hub, eden, repository) = pair();
    let behind = |seconds: i64| (chrono::Utc::now() - chrono::Duration::seconds(seconds)).format("%Y-%m-%dT%H:%M:%S").to_string();
    let edits = |name: &str, seconds: i64| eden.put("org_organisation", &uid(1), &behind(seconds), &[("name", &format!("{name:?}"))]);
    let both = || (hub.one("SELECT name FROM org_organisation"), eden.field("org_organisation", &uid(1), "name").unwrap());
    hub.organisation(1, "Ours");
    hub.syncs(&repository);
    edits("Theirs", 120);
    hub.syncs(&repository);
    assert_eq!(both(), ("Theirs".into(), "\"Theirs\"".into()));
    hub.sql("UPDATE org_organisation SET name = 'Ours again'");
    hub.syncs(&repository);
    assert_eq!(both(), ("Ours again".into(), "\"Ours again\"".into()));
    edits("Theirs again", 60);
    hub.syncs(&repository);
    assert_eq!(both(), ("Theirs again".into(), "\"Theirs again\"".into()));
    hub.syncs(&repository);
    assert_eq!(both(), ("Theirs again".into(), "\"Theirs again\"".into()));
    assert_eq!(hub.one("SELECT count(*) FROM entente_conflict"), "0", "nobody edited what he had not seen");
}

#[test]
fn uids_that_are_no_urns_stay_those_of_their_site_in_every_direction() {
    let (hub, eden, repository) = pair();
    hub.sql("INSERT INTO org_organisation (uuid, name) VALUES ('ORG-1', 'Ours')");
    hub.sql("INSERT INTO org_office (uuid, name, organisation_id) SELECT 'OFF-1', 'Our office', id FROM org_organisation");
    // The same word there is another record.
    eden.put("org_organisation", "ORG-1", OLD, &[("name", "\"Theirs\"")]);
    eden.put("org_office", "OFF-1", OLD, &[("name", "\"Their office\"")]);
    eden.refer("org_office", "OFF-1", "organisation_id", ("org_organisation", "ORG-1"));
    hub.syncs(&repository);
    let all = || {
        hub.one(
            "SELECT group_concat(f.uuid || ' ' || f.name || ' ' || o.uuid || ' ' || o.name, ', ')
             FROM (SELECT * FROM org_office ORDER BY uuid) f LEFT JOIN org_organisation o ON o.id = f.organisation_id",
        )
    };
    assert_eq!(all(), "OFF-1 Our office ORG-1 Ours, vm/OFF-1 Their office vm/ORG-1 Theirs");
    let ours = format!("{}/ORG-1", hub.site.domain());
    assert_eq!(eden.field("org_organisation", "ORG-1", "name").as_deref(), Some("\"Theirs\""), "nothing of it was overwritten");
    assert_eq!(eden.field("org_organisation", &ours, "name").as_deref(), Some("\"Ours\""));
    let office = eden.state().records[&("org_office".to_owned(), format!("{}/OFF-1", hub.site.domain()))].clone();
    assert_eq!(office.references, [("organisation_id".to_owned(), "org_organisation".to_owned(), ours.clone())]);
    // Each is edited on the other side.
    let next = "2999-01-01T00:00:00";
    eden.put("org_organisation", &ours, next, &[("name", "\"Ours, edited there\"")]);
    hub.sql("UPDATE org_organisation SET name = 'Theirs, edited here' WHERE uuid = 'vm/ORG-1'");
    hub.syncs(&repository);
    assert_eq!(hub.one("SELECT name FROM org_organisation WHERE uuid = 'ORG-1'"), "Ours, edited there");
    assert_eq!(hub.one("SELECT count(*) FROM org_organisation"), "2");
    assert_eq!(eden.field("org_organisation", "ORG-1", "name").as_deref(), Some("\"Theirs, edited here\""));
    // What it refuses is known by its own name.
    eden.state().invalid = texts(&["Bad"]);
    hub.sql("UPDATE org_organisation SET name = 'Bad' WHERE uuid = 'ORG-1'");
    hub.syncs(&repository);
    assert_eq!(waiting(&hub).iter().map(|(uid, _)| uid.as_str()).collect::<Vec<_>>(), ["ORG-1"]);
}

#[test]
fn an_eden_that_calls_knows_our_uids_that_are_no_urns_by_one_name() {
    let hub = Hub::new();
    hub.register();
    hub.sql("INSERT INTO org_organisation (uuid, name) VALUES ('ORG-1', 'Ours')");
    let ours = format!("{}/ORG-1", hub.site.domain());
    let given = hub.pull("org_organisation", "");
    assert_eq!(given.uids("org_organisation"), std::slice::from_ref(&ours));
    let edited = |uid: &str, name: &str, modified: &str| {
        let inside = named(name);
        let document =
            format!("<resource name=\"org_organisation\" uuid=\"{uid}\" mci=\"2\" modified_on=\"{modified}\">{inside}</resource>");
        assert_eq!(hub.push("org_organisation", "", &document).json()["status"], "success");
    };
    edited(&ours, "Edited there", "2999-01-01T00:00:00");
    edited("north/ORG-1", "Its own", "2026-01-01T00:00:00");
    assert_eq!(hub.one("SELECT group_concat(uuid || ' ' || name, ', ') FROM org_organisation"), "ORG-1 Edited there, north/ORG-1 Its own");
    // In a list, too.
    let list = format!(
        "<resource name=\"org_organisation\" uuid=\"{}\" modified_on=\"{NEW}\">{}<reference field=\"sector_ids\" resource=\"org_sector\" uuid='[\"{}/S-1\"]'/></resource>",
        uid(5),
        named("Lists"),
        hub.site.domain()
    );
    assert_eq!(hub.push("org_organisation", "", &list).json()["status"], "success");
    assert!(hub.one("SELECT sector_ids FROM org_organisation WHERE name = 'Lists'").contains("[\"S-1\"]"));
}

#[test]
fn a_merge_that_came_from_one_eden_is_given_to_another_with_its_survivor() {
    let (hub, north, repository) = pair();
    north.put("org_organisation", &uid(1), OLD, &[("name", "\"Stays\"")]);
    north.put("org_organisation", &uid(2), OLD, &[("name", "\"Goes\"")]);
    hub.syncs(&repository);
    hub.register();
    hub.pull("org_organisation", "");
    north.delete("org_organisation", &uid(2), NEW);
    north.state().records.get_mut(&("org_organisation".to_owned(), uid(2))).unwrap().heir = Some(uid(1));
    hub.syncs(&repository);
    let given = hub.pull("org_organisation", "&msince=2026-01-01T00:00:01");
    let document = given.xml();
    let node = |number: u32| document.root_element().children().find(|node| node.attribute("uuid") == Some(&uid(number)));
    assert_eq!(node(2).and_then(|node| node.attribute("replaced_by")), Some(uid(1).as_str()), "{}", given.body);
    assert!(node(1).is_some(), "an Eden passes over a merge into what is not in the document: {}", given.body);
    // And to one that is called, whether or not it had them.
    let south = Scripted::new();
    south.state().registered = true;
    let sender = r#"{"status": "success", "statuscode": "200", "message": "", "sender": "urn:uuid:b06d0b48-f028-4fe8-ac44-8103fc951583"}"#;
    south.instead("POST /sync/repository/register.json", 200, "application/json", sender);
    let (fresh, warning) = hub.knows_as("south", south.address);
    assert_eq!(warning, None);
    hub.shares(&fresh, Resource::new(0, "org_organisation"));
    hub.syncs(&fresh);
    assert_eq!(south.field("org_organisation", &uid(1), "name").as_deref(), Some("\"Stays\""));
    assert_eq!(south.field("org_organisation", &uid(2), "name"), None);
    assert!(waiting(&hub).is_empty(), "{:?}", waiting(&hub));
}

#[test]
fn what_is_removed_from_inside_a_record_is_removed_here() {
    let hub = Hub::new();
    hub.register();
    let inside = |office: &str| organisation(1, OLD, &format!("{}{office}", named("Alpha")));
    let office = format!("<resource name=\"org_office\" uuid=\"{}\" mci=\"1\" modified_on=\"{OLD}\">{}</resource>", uid(2), named("HQ"));
    hub.push("org_organisation", "", &inside(&office));
    assert_eq!(hub.one("SELECT o.name || f.name FROM org_office f JOIN org_organisation o ON o.id = f.organisation_id"), "AlphaHQ");
    let gone = format!("<resource name=\"org_office\" uuid=\"{}\" deleted=\"True\" modified_on=\"{NEW}\"/>", uid(2));
    let answer = hub.push("org_organisation", "", &inside(&gone));
    assert_eq!((answer.json()["status"].as_str(), answer.json().get("tree")), (Some("success"), None), "{}", answer.body);
    assert_eq!(hub.one("SELECT (SELECT count(*) FROM org_office) || (SELECT count(*) FROM org_organisation)"), "01");
}

#[test]
fn two_tables_may_have_records_of_one_uid() {
    let hub = Hub::new();
    hub.register();
    // As an Eden's entries in super-entities have that of their records.
    let office = format!(
        "<resource name=\"org_office\" uuid=\"{0}\" mci=\"1\" modified_on=\"{OLD}\">{1}<reference field=\"organisation_id\" resource=\"org_organisation\" uuid=\"{0}\"/></resource>",
        uid(1),
        named("HQ")
    );
    let answer = hub.push("org_office", "", &format!("{office}{}", organisation(1, OLD, &named("Alpha"))));
    assert_eq!((answer.json()["status"].as_str(), answer.json().get("tree")), (Some("success"), None), "{}", answer.body);
    let both = "SELECT o.name || f.name FROM org_office f JOIN org_organisation o ON o.id = f.organisation_id AND o.uuid = f.uuid";
    assert_eq!(hub.one(both), "AlphaHQ");
    hub.push("org_office", "", &format!("<resource name=\"org_office\" uuid=\"{}\" deleted=\"True\" modified_on=\"{NEW}\"/>", uid(1)));
    assert_eq!(hub.one("SELECT (SELECT count(*) FROM org_office) || (SELECT count(*) FROM org_organisation)"), "01");
}

#[test]
fn the_times_of_records_are_read_in_every_spelling_and_a_bad_one_spares_the_others() {
    let hub = Hub::new();
    hub.register();
    for (number, modified) in [
        (1, "2026-03-01T12:00:00Z"),
        (2, "2026-03-01T12:00:00+00:00"),
        (3, "2026-03-01T14:00:00+02:00"),
        (4, "2026-03-01 12:00:00.75"),
        (7, "2026-03-01"),
    ] {
        let answer = hub.push("org_organisation", "", &organisation(number, modified, &named("O")));
        assert_eq!((answer.json()["status"].as_str(), answer.json().get("tree")), (Some("success"), None), "{modified}: {}", answer.body);
    }
    let given = hub.get(&format!("/sync/sync.xml?resource=org_organisation&repository={}", eden()));
    assert_eq!(given.body.matches("modified_on=\"2026-03-01T12:00:00\"").count(), 4, "{}", given.body);
    let bad = [organisation(5, "yesterday", &named("Bad")), organisation(6, NEW, &named("Good"))].concat();
    let answer = hub.push("org_organisation", "", &bad).json();
    assert_eq!(answer["tree"]["$_org_organisation"][0]["@uuid"], uid(5), "{answer}");
    assert_eq!(hub.one("SELECT count(*) FROM org_organisation"), "6");
}

#[test]
fn a_caller_spells_its_own_uuid_as_it_likes() {
    let hub = Hub::new();
    hub.register();
    hub.organisation(1, "Alpha");
    let plain = eden().to_string();
    let spelt = [plain.clone(), plain.replace(':', "%3A"), plain.to_uppercase().replace("URN:UUID:", "urn:uuid:")];
    for repository in &spelt {
        let answer =
            hub.get(&format!("/sync/sync.xml?resource=org_organisation&repository={repository}&mcomponents=None&include_deleted=True"));
        assert!(answer.uids("org_organisation").contains(&uid(1)), "{repository}: {}", answer.body);
        let push = hub.post(
            &format!("/sync/sync.xml?resource=org_organisation&repository={repository}&strategy=create,update,delete,merge&update_policy=NEWER&conflict_policy=NEWER"),
            &crate::hub::document(&organisation(2, NEW, &named("Beta"))),
        );
        assert_eq!((push.status, push.json()["status"].as_str()), (200, Some("success")), "{repository}: {}", push.body);
    }
    let known = hub.site.store.read(|c| entente::store::repositories::list(c, hub.site.store.key())).unwrap();
    assert_eq!(known.len(), 1, "it is one site");
}

#[test]
fn an_answer_that_was_lost_on_the_way_is_given_again() {
    let hub = Hub::new();
    hub.register();
    hub.organisation(1, "Alpha");
    for _ in 0..3 {
        assert_eq!(hub.pull("org_organisation", "").uids("org_organisation"), [uid(1)], "it never said that it has it");
    }
    let second = |answer: &crate::hub::Answer| {
        let at = answer.body.split("modified_on=\"").nth(1).unwrap()[..19].to_owned();
        let time = chrono::NaiveDateTime::parse_from_str(&at, "%Y-%m-%dT%H:%M:%S").unwrap() + chrono::Duration::seconds(1);
        time.format("%Y-%m-%dT%H:%M:%S").to_string()
    };
    let since = second(&hub.pull("org_organisation", ""));
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    hub.organisation(2, "Beta");
    for _ in 0..3 {
        let again = hub.pull("org_organisation", &format!("&msince={since}"));
        assert_eq!(again.uids("org_organisation"), [uid(2)], "lost, and asked for again as before");
    }
    let next = second(&hub.pull("org_organisation", &format!("&msince={since}")));
    assert!(hub.pull("org_organisation", &format!("&msince={next}")).uids("org_organisation").is_empty());
}

#[test]
fn an_eden_with_two_tasks_for_one_resource_misses_nothing_of_either() {
    let hub = Hub::new();
    hub.register();
    hub.organisation(1, "Alpha");
    hub.organisation(2, "Beta");
    let (a, b) = ("&[~]~.name__like=A%2A", "&[~]~.name__like=B%2A");
    assert_eq!(hub.pull("org_organisation", a).uids("org_organisation"), [uid(1)]);
    assert_eq!(hub.pull("org_organisation", b).uids("org_organisation"), [uid(2)]);
    // Late, and with an old time.
    let late = |number: u32, name: &str| organisation(number, OLD, &named(name));
    let other = "urn:uuid:00000000-0000-4000-8000-00000000000f";
    let body = crate::hub::document(&[late(3, "Anton"), late(4, "Berta")].concat());
    let register = format!(r#"{{"uuid": "{other}", "name": "south", "apitype": "eden"}}"#);
    let headers = |body: &str| format!("{}Content-Length: {}\r\n", crate::hub::basic("second", "right"), body.len());
    let answer = hub.ask("POST /sync/repository/register.json", &headers(&register), register.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.body);
    let pushed = hub.ask(&format!("POST /sync/sync.xml?resource=org_organisation&repository={other}"), &headers(&body), body.as_bytes());
    assert_eq!(pushed.json()["status"], "success", "{}", pushed.body);
    let since = "&msince=2099-01-01T00:00:00";
    assert!(hub.pull("org_organisation", &format!("{since}{a}")).uids("org_organisation").contains(&uid(3)));
    assert!(hub.pull("org_organisation", &format!("{since}{b}")).uids("org_organisation").contains(&uid(4)));
}

#[test]
fn of_an_update_and_a_deletion_in_one_document_the_last_counts() {
    let hub = Hub::new();
    hub.register();
    hub.push("org_organisation", "", &organisation(1, OLD, &named("Alpha")));
    let gone = format!("<resource name=\"org_organisation\" uuid=\"{}\" deleted=\"true\" modified_on=\"{NEW}\"/>", uid(1));
    let answer = hub.push("org_organisation", "", &format!("{}{gone}", organisation(1, NEW, &named("Edited"))));
    assert_eq!((answer.json()["status"].as_str(), answer.json().get("tree")), (Some("success"), None), "{}", answer.body);
    assert_eq!(hub.one("SELECT count(*) FROM org_organisation"), "0");
    assert!(hub.one("SELECT count(*) FROM entente_history").parse::<u32>().unwrap() >= 1, "what went is kept");
}

#[test]
fn an_eden_is_challenged_as_it_expects_and_then_served() {
    let hub = Hub::new();
    let line = format!("GET /sync/sync.xml?resource=org_organisation&repository={}", eden());
    let bare = hub.ask(&line, "", b"");
    assert_eq!(bare.status, 401);
    assert!(bare.head.contains("www-authenticate: basic realm="), "{}", bare.head);
    assert_eq!(hub.ask(&line, &crate::hub::basic("eden", "right"), b"").status, 200);
    // One that believes in no authentication but repeats itself is not let in.
    assert_eq!(hub.ask(&line, "Authorization: Basic !!!\r\n", b"").status, 401);
}

#[test]
fn references_in_json_pass_as_they_are() {
    let hub = Hub::new();
    hub.register();
    let tags =
        "{&quot;$k_org&quot;: {&quot;r&quot;: &quot;org_organisation&quot;, &quot;u&quot;: &quot;urn:x:1&quot;}, &quot;n&quot;: [1, null]}";
    let answer = hub.push(
        "org_organisation",
        "",
        &organisation(1, OLD, &format!("{}<data field=\"tags\" value=\"{tags}\">x</data>", named("Alpha"))),
    );
    assert_eq!((answer.json()["status"].as_str(), answer.json().get("tree")), (Some("success"), None), "{}", answer.body);
    let given = hub.get(&format!("/sync/sync.xml?resource=org_organisation&repository={}", eden()));
    let document = given.xml();
    let node = document.descendants().find(|node| node.attribute("field") == Some("tags")).unwrap();
    let json: serde_json::Value = serde_json::from_str(node.attribute("value").unwrap()).unwrap();
    assert_eq!(json, serde_json::json!({"$k_org": {"r": "org_organisation", "u": "urn:x:1"}, "n": [1, null]}));
}

#[test]
fn a_strategy_without_deletions_keeps_what_the_eden_deleted_and_does_not_bring_it_back_there() {
    let (hub, eden, repository) = pair();
    let (hub_only, strategy) = (Hub::new(), "create,update".parse::<Strategy>().unwrap());
    let (careful, _) = hub_only.knows(eden.address);
    hub_only.shares(&careful, Resource { strategy, ..Resource::new(0, "org_organisation") });
    eden.put("org_organisation", &uid(1), OLD, &[("name", "\"Alpha\"")]);
    hub.syncs(&repository);
    hub_only.syncs(&careful);
    eden.delete("org_organisation", &uid(1), NEW);
    hub_only.syncs(&careful);
    hub.syncs(&repository);
    assert_eq!(
        (hub_only.one("SELECT count(*) FROM org_organisation"), hub.one("SELECT count(*) FROM org_organisation")),
        ("1".into(), "0".into())
    );
    assert!(eden.state().records[&("org_organisation".to_owned(), uid(1))].deleted);
}
