//! What real Edens do that no capture shows, where they call us: how they spell, repeat and name things.

use crate::hub::{Answer, Hub, basic, document, eden, named, organisation, uid};

const OLD: &str = "2026-01-01T00:00:00";
const NEW: &str = "2026-03-01T00:00:00";

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
            &document(&organisation(2, NEW, &named("Beta"))),
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
    let second = |answer: &Answer| {
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
    let body = document(&[late(3, "Anton"), late(4, "Berta")].concat());
    let register = format!(r#"{{"uuid": "{other}", "name": "south", "apitype": "eden"}}"#);
    let headers = |body: &str| format!("{}Content-Length: {}\r\n", basic("second", "right"), body.len());
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
    assert_eq!(hub.ask(&line, &basic("eden", "right"), b"").status, 200);
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
