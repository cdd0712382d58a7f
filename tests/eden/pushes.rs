//! S33 to S63: what an Eden pushes.

use entente::model::{Policy, Resource};

use crate::hub::{Hub, basic, document, eden, named, organisation, uid};

const OLD: &str = "2026-01-01T00:00:00";
const MID: &str = "2026-02-01T00:00:00";
const NEW: &str = "2026-03-01T00:00:00";

fn ready() -> Hub {
    let hub = Hub::new();
    hub.register();
    hub
}

fn name(hub: &Hub, number: u32) -> String {
    hub.one(&format!("SELECT name FROM org_organisation WHERE 'urn:uuid:' || replace(uuid, 'urn:uuid:', '') = '{}'", uid(number)))
}

/// Pushes one organisation, and returns the answer.
fn push(hub: &Hub, more: &str, number: u32, modified: &str, called: &str) -> serde_json::Value {
    let answer = hub.push("org_organisation", more, &organisation(number, modified, &named(called)));
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

fn stamp(hub: &Hub, number: u32) -> (String, String) {
    let answer = hub.pull("org_organisation", "");
    let document = answer.xml();
    let node = document.descendants().find(|node| node.attribute("uuid") == Some(&uid(number))).unwrap();
    (node.attribute("modified_on").unwrap().into(), node.attribute("mci").unwrap_or_default().into())
}

#[test]
fn s33_nobody_pushes_before_it_registered() {
    let hub = Hub::new();
    let answer = hub.push("org_organisation", "", &organisation(1, NEW, &named("A")));
    answer.fails(403);
    assert_eq!(answer.json()["message"], "Registration required");
    hub.register();
    let path = "/sync/sync.xml?resource=org_organisation&repository=urn:uuid:00000000-0000-4000-8000-000000000009";
    let answer = hub.post(path, &document(&organisation(1, NEW, &named("A"))));
    answer.fails(403);
    assert_eq!(answer.json()["message"], "Registration required");
    assert_eq!(hub.one("SELECT count(*) FROM org_organisation"), "0");
}

#[test]
fn s34_s57_s63_a_body_is_taken_in_every_form_and_the_answer_is_json_and_no_redirect() {
    let hub = ready();
    let path = format!("/sync/sync.xml?resource=org_organisation&repository={}", eden());
    let account = basic("eden", "right");
    let send = |method: &str, headers: &str, body: &[u8]| {
        let headers = format!("{account}{headers}Content-Length: {}\r\n", body.len());
        hub.ask(&format!("{method} {path}"), &headers, body)
    };
    let body = |number: u32| document(&organisation(number, NEW, &named("A")));
    for (number, headers) in [
        (1, "Content-Type: application/x-www-form-urlencoded\r\n"),
        (2, "Content-Type: text/xml; charset=utf-8\r\n"),
        (3, "Content-Type: application/octet-stream\r\n"),
        (4, ""),
        (5, "Content-Type: text/plain\r\nContent-Disposition: attachment; filename=\"x.xml\"\r\n"),
    ] {
        let answer = send(if number == 2 { "PUT" } else { "POST" }, headers, body(number).as_bytes());
        assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("success")), "{headers}");
        assert_eq!(answer.json()["statuscode"], "200");
    }
    let form = format!(
        "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"t.xml\"\r\nContent-Type: text/xml\r\n\r\n{}\r\n--B--\r\n",
        body(6)
    );
    assert_eq!(send("POST", "Content-Type: multipart/form-data; boundary=B\r\n", form.as_bytes()).status, 200);
    let utf16: Vec<u8> =
        [0xFF, 0xFE].into_iter().chain(body(7).replace("utf-8", "utf-16").encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert_eq!(send("POST", "", &utf16).status, 200);
    let text = body(8);
    let chunked = format!("{:x}\r\n{text}\r\n0\r\n\r\n", text.len());
    let answer = hub.ask(&format!("POST {path}"), &format!("{account}Transfer-Encoding: chunked\r\n"), chunked.as_bytes());
    assert_eq!(answer.status, 200);
    assert_eq!(hub.one("SELECT count(*) FROM org_organisation"), "8");
}

#[test]
fn s35_s36_a_record_is_stored_as_sent_and_again_changes_nothing() {
    let hub = ready();
    let first = push(&hub, "", 1, MID, "Alpha");
    assert_eq!((first["records"].as_u64(), first["created"].as_array().map(Vec::len)), (Some(1), Some(1)));
    assert_eq!(hub.one("SELECT mci FROM org_organisation"), "1");
    assert_eq!(stamp(&hub, 1), (MID.to_owned(), "2".to_owned()));
    let changes = || hub.one("SELECT max(arrival) FROM entente_state_3");
    let before = changes();
    let again = push(&hub, "", 1, MID, "Alpha");
    assert_eq!((again["status"].as_str(), again["records"].as_u64(), again.get("created")), (Some("success"), Some(1), None));
    assert_eq!((changes(), stamp(&hub, 1).0), (before, MID.to_owned()));
}

#[test]
fn s37_an_older_version_changes_nothing_and_no_time() {
    let hub = ready();
    push(&hub, "", 1, MID, "Alpha");
    let answer = push(&hub, "", 1, OLD, "Older");
    assert_eq!((answer["status"].as_str(), answer["records"].as_u64()), (Some("success"), Some(1)));
    assert_eq!((name(&hub, 1), stamp(&hub, 1).0), ("Alpha".to_owned(), MID.to_owned()));
    push(&hub, "", 1, NEW, "Newer");
    assert_eq!((name(&hub, 1), stamp(&hub, 1).0), ("Newer".to_owned(), NEW.to_owned()));
}

#[test]
fn s38_of_two_contents_of_one_second_all_sites_choose_the_same() {
    let (one, two) = (ready(), ready());
    let register = |hub: &Hub| {
        let headers = basic("second", "right");
        let body = r#"{"uuid": "urn:uuid:00000000-0000-4000-8000-000000000002", "name": "south"}"#;
        hub.ask("POST /sync/repository/register.json", &format!("{headers}Content-Length: {}\r\n", body.len()), body.as_bytes());
    };
    let second = |hub: &Hub, body: &str| {
        let body = document(body);
        let path = "/sync/sync.xml?resource=org_organisation&repository=urn:uuid:00000000-0000-4000-8000-000000000002";
        let answer =
            hub.ask(&format!("POST {path}"), &format!("{}Content-Length: {}\r\n", basic("second", "right"), body.len()), body.as_bytes());
        assert_eq!(answer.status, 200);
    };
    let element = |called: &str| organisation(1, MID, &named(called));
    for hub in [&one, &two] {
        register(hub);
    }
    one.push("org_organisation", "", &element("From the north"));
    second(&one, &element("From the south"));
    second(&two, &element("From the south"));
    two.push("org_organisation", "", &element("From the north"));
    assert_eq!(name(&one, 1), name(&two, 1));
}

#[test]
fn s39_s40_s41_policies_and_strategies_of_the_sender_are_honoured() {
    let hub = ready();
    push(&hub, "", 1, MID, "Alpha");
    push(&hub, "&update_policy=OTHER&conflict_policy=OTHER", 1, NEW, "Not taken");
    push(&hub, "&update_policy=OTHER&conflict_policy=OTHER", 2, NEW, "Created");
    assert_eq!((name(&hub, 1), name(&hub, 2)), ("Alpha".into(), "Created".into()));
    push(&hub, "&update_policy=THIS&conflict_policy=THIS", 2, OLD, "Imposed");
    assert_eq!(name(&hub, 2), "Imposed");
    push(&hub, "", 3, MID, "Gamma");
    let answer = push(&hub, "&strategy=create", 3, NEW, "Changed");
    assert_eq!((answer["status"].as_str(), answer["records"].as_u64()), (Some("success"), Some(0)));
    assert_eq!(answer["tree"]["$_org_organisation"][0]["@uuid"], uid(3));
    assert_eq!(
        (name(&hub, 3).as_str(), answer["tree"]["$_org_organisation"][0]["@error"].as_str()),
        ("Gamma", Some("Operation not permitted"))
    );
}

#[test]
fn s42_s43_s44_the_master_copy_wins_under_master() {
    let hub = ready();
    let element = |number: u32, mci: u32, modified: &str, called: &str| {
        organisation(number, modified, &named(called)).replace("mci=\"1\"", &format!("mci=\"{mci}\""))
    };
    let master = "&update_policy=MASTER&conflict_policy=MASTER";
    let send = |inside: &str| {
        let answer = hub.push("org_organisation", master, inside);
        assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("success")), "{}", answer.body);
    };
    send(&element(1, 2, MID, "A copy is created"));
    assert_eq!(name(&hub, 1), "A copy is created");
    send(&element(2, 1, MID, "Theirs"));
    send(&element(2, 1, NEW, "Theirs, changed"));
    assert_eq!(name(&hub, 2), "Theirs, changed");
    hub.organisation(3, "Ours");
    hub.pull("org_organisation", "");
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let now = chrono::Utc::now().format("%Y-%m-%dT%H:%M:%S").to_string();
    send(&element(3, 2, &now, "Changed elsewhere"));
    assert_eq!(name(&hub, 3), "Ours", "what was made here is not changed elsewhere");
    send(&format!("<resource name=\"org_organisation\" uuid=\"{}\" deleted=\"True\" modified_on=\"{now}\"/>", uid(3)));
    assert_eq!(name(&hub, 3), "Ours", "nor deleted");
    send(&format!("<resource name=\"org_organisation\" uuid=\"{}\" deleted=\"True\" modified_on=\"{now}\"/>", uid(2)));
    assert_eq!(name(&hub, 2), "no row", "what was made there is");
}

fn gone(number: u32, modified: &str) -> String {
    format!("<resource name=\"org_organisation\" uuid=\"{}\" deleted=\"True\" modified_on=\"{modified}\"/>", uid(number))
}

#[test]
fn s45_s46_deletions_are_decided_like_any_version() {
    let hub = ready();
    push(&hub, "", 1, MID, "Alpha");
    push(&hub, "", 2, MID, "Beta");
    let send = |inside: &str| {
        let answer = hub.push("org_organisation", "", inside);
        assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("success")), "{}", answer.body);
        answer.json()
    };
    send(&gone(1, OLD));
    assert_eq!(name(&hub, 1), "Alpha", "an older deletion");
    assert_eq!(send(&gone(1, NEW))["deleted"].as_array().map(Vec::len), Some(1));
    assert_eq!(name(&hub, 1), "no row");
    send(&gone(1, NEW));
    assert_eq!(send(&gone(9, NEW))["records"], 1);
    push(&hub, "", 1, MID, "Older than its deletion");
    assert_eq!(name(&hub, 1), "no row");
    push(&hub, "", 1, "2026-04-01T00:00:00", "Back");
    assert_eq!(name(&hub, 1), "Back");
}

#[test]
fn s47_of_two_records_that_became_one_the_survivor_stays() {
    let hub = ready();
    for number in [1, 2, 3, 4] {
        push(&hub, "", number, MID, &format!("O{number}"));
    }
    hub.push("org_office", "", &format!("<resource name=\"org_office\" uuid=\"{}\" modified_on=\"{MID}\">{}<reference field=\"organisation_id\" resource=\"org_organisation\" uuid=\"{}\"/></resource>", uid(50), named("HQ"), uid(2)));
    let merge = |from: u32, into: u32| {
        format!(
            "<resource name=\"org_organisation\" uuid=\"{}\" deleted=\"True\" modified_on=\"{NEW}\" replaced_by=\"{}\"/>",
            uid(from),
            uid(into)
        )
    };
    // Both known; the survivor has the smaller uid, or the greater one; only the survivor known; only the other, and the survivor in the document; none.
    for (document, there, not) in [
        (format!("{}{}", organisation(1, NEW, &named("O1")), merge(2, 1)), vec![1], vec![2]),
        (merge(3, 4), vec![4], vec![3]),
        (merge(9, 1), vec![1], vec![9]),
        (format!("{}{}", organisation(5, NEW, &named("O5")), merge(4, 5)), vec![5], vec![4]),
        (format!("{}{}", organisation(6, NEW, &named("O6")), merge(8, 6)), vec![6], vec![8]),
    ] {
        let answer = hub.push("org_organisation", "", &document);
        assert_eq!(
            (answer.status, answer.json()["status"].as_str(), answer.json().get("tree")),
            (200, Some("success"), None),
            "{}",
            answer.body
        );
        there.iter().for_each(|number| assert_eq!(name(&hub, *number), format!("O{number}"), "{document}"));
        not.iter().for_each(|number| assert_eq!(name(&hub, *number), "no row", "{document}"));
    }
    let owner = hub.one("SELECT 'urn:uuid:' || o.uuid FROM org_office f JOIN org_organisation o ON o.id = f.organisation_id");
    assert_eq!(owner, uid(1), "what referred to the one refers to the other");
}

#[test]
fn what_refers_to_a_record_that_became_one_with_a_greater_uid_refers_to_that() {
    let hub = ready();
    for number in [3, 4] {
        push(&hub, "", number, MID, &format!("O{number}"));
    }
    // The Eden knows nothing of this one.
    hub.sql("INSERT INTO org_office (uuid, name, organisation_id) SELECT 'urn:uuid:0d1e2f30-0000-4000-8000-000000000060', 'HQ', id FROM org_organisation WHERE name = 'O3'");
    let merge = format!(
        "<resource name=\"org_organisation\" uuid=\"{}\" deleted=\"True\" modified_on=\"{NEW}\" replaced_by=\"{}\"/>",
        uid(3),
        uid(4)
    );
    assert_eq!(hub.push("org_organisation", "", &merge).json()["status"], "success");
    hub.pull("org_organisation", "");
    assert_eq!(hub.one("SELECT o.name FROM org_office f JOIN org_organisation o ON o.id = f.organisation_id"), "O4");
    assert_eq!((name(&hub, 3), name(&hub, 4)), ("no row".into(), "O4".into()));
    assert!(hub.pull("org_office", "").body.contains(&format!("resource=\"org_organisation\" uuid=\"{}\"", uid(4))));
}

#[test]
fn s48_s49_one_bad_record_is_named_and_spares_the_others() {
    let hub = ready();
    let with_year = |number: u32, year: &str| organisation(number, NEW, &format!("{}<data field=\"year\" value=\"{year}\"/>", named("O")));
    let answer = hub.push("org_organisation", "", &[with_year(1, "1999"), with_year(2, "9"), with_year(3, "2001")].concat()).json();
    assert_eq!((answer["status"].as_str(), answer["records"].as_u64()), (Some("success"), Some(2)));
    assert!(answer["message"].as_str().unwrap().ends_with("invalid items ignored"));
    let tree = answer["tree"]["$_org_organisation"].as_array().unwrap();
    assert_eq!((tree.len(), tree[0]["@uuid"].as_str()), (1, Some(uid(2).as_str())));
    assert!(tree[0]["@error"].as_str().unwrap().contains("CHECK"), "{tree:?}");
    assert_eq!(hub.one("SELECT count(*) FROM org_organisation"), "2");
    let nameless = organisation(4, NEW, "<data field=\"acronym\">N</data>");
    let answer = hub.push("org_organisation", "", &nameless).json();
    assert_eq!((answer["status"].as_str(), answer["records"].as_u64()), (Some("success"), Some(0)));
    assert_eq!(answer["tree"]["$_org_organisation"][0]["@uuid"], uid(4));
}

#[test]
fn s50_s51_s56_what_is_no_document_changes_nothing() {
    let hub = ready();
    let path = format!("/sync/sync.xml?resource=org_organisation&repository={}", eden());
    let good = document(&organisation(1, NEW, &named("A")));
    for bad in [
        String::new(),
        "not xml".into(),
        good[..good.len() - 12].to_owned(),
        good.replace("s3xml", "other"),
        good.replace("<s3xml", "<s3xml xmlns='urn:x'"),
        good.replace("?>", "?><!DOCTYPE s [<!ENTITY a 'b'>]>"),
        good.replace("?>", "?><!DOCTYPE s [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>").replace(">A<", ">&a;<"),
        "{}".into(),
    ] {
        hub.post(&path, &bad).fails(400);
    }
    assert_eq!(hub.one("SELECT count(*) FROM org_organisation"), "0");
}

#[test]
fn s52_references_are_found_in_every_form_or_set_when_their_target_comes() {
    let hub = ready();
    let office = |number: u32, reference: &str| {
        format!("<resource name=\"org_office\" uuid=\"{}\" modified_on=\"{NEW}\">{}{reference}</resource>", uid(number), named("HQ"))
    };
    let owner = |number: u32| {
        hub.one(&format!(
            "SELECT o.name FROM org_office f LEFT JOIN org_organisation o ON o.id = f.organisation_id WHERE 'urn:uuid:' || f.uuid = '{}'",
            uid(number)
        ))
    };
    let send = |inside: &str| {
        let answer = hub.push("org_office", "", inside);
        assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("success")), "{}", answer.body);
        answer.json()
    };
    let local =
        "<resource name=\"org_organisation\" tuid=\"x\" modified_on=\"2026-03-01T00:00:00\"><data field=\"name\">Local</data></resource>";
    send(&format!("{local}{}", office(1, "<reference field=\"organisation_id\" resource=\"org_organisation\" tuid=\"x\"/>")));
    assert_eq!(owner(1), "Local");
    send(&office(
        2,
        "<reference field=\"organisation_id\"><resource name=\"org_organisation\" modified_on=\"2026-03-01T00:00:00\"><data field=\"name\">Inline</data></resource></reference>",
    ));
    assert_eq!(owner(2), "Inline");
    let late = format!("<reference field=\"organisation_id\" resource=\"org_organisation\" uuid=\"{}\"/>", uid(77));
    let answer = send(&office(3, &late));
    assert_eq!((answer["records"].as_u64(), answer["created"].as_array().map(Vec::len)), (Some(1), Some(1)));
    assert_eq!(owner(3), "null", "stored without the reference");
    push(&hub, "", 77, NEW, "Late");
    assert_eq!(owner(3), "Late", "which is set when the target comes");
    let broken = office(4, "<reference field=\"organisation_id\" resource=\"org_organisation\" uuid=\"[broken\"/>");
    assert_eq!(send(&broken)["tree"]["$_org_office"][0]["@uuid"], uid(4));
    let many = organisation(
        5,
        NEW,
        &format!(
            "{}<reference field=\"sector_ids\" resource=\"org_sector\" uuid=\"[&quot;urn:1&quot;, &quot;urn:2&quot;]\"/>",
            named("Many")
        ),
    );
    hub.push("org_organisation", "", &many);
    assert!(hub.pull("org_organisation", "").body.contains("uuid='[\"urn:1\",\"urn:2\"]'"));
}

#[test]
fn s53_s54_s55_values_become_what_their_column_is_for() {
    let hub = ready();
    let fields = |inside: &str| hub.push("org_organisation", "", &organisation(1, NEW, &format!("{}{inside}", named("A"))));
    fields("<data field=\"comments\" value=\"&quot;x&quot;\"/><data field=\"acronym\">AB</data><data field=\"year\" value=\"2001\"/>
            <data field=\"visited\" value=\"2024-02-29\"/><data field=\"founded\" value=\"2024-02-29T23:30:00-05:00\"/>
            <data field=\"budget\" value=\"1e3\"/><data field=\"price\" value=\"12.50\"/><data field=\"active\" value=\"true\">-</data>
            <data field=\"opens\" value=\"13:14:15\"/><data field=\"code\" value=\"007\"/><data field=\"tags\" value=\"[&quot;x&quot;, &quot;y|z&quot;]\">x, y|z</data>");
    let row = "SELECT visited || '|' || founded || '|' || budget || '|' || price || '|' || active || '|' || opens || '|' || code || '|' || tags FROM org_organisation";
    assert_eq!(hub.one(row), "2024-02-29 00:00:00|2024-03-01|1000.0|12.5|1|13:14:15|007|[\"x\", \"y|z\"]");
    let later = organisation(
        1,
        "2026-04-01T00:00:00",
        "<data field=\"comments\" value=\"\"/><data field=\"acronym\"/><data field=\"year\" value=\"null\"/><data field=\"visited\" value=\"2026-02-03T04:05:06+02:00\"/>",
    );
    hub.push("org_organisation", "", &later);
    assert_eq!(
        hub.one("SELECT name || coalesce(comments, '-') || coalesce(acronym, '-') || coalesce(year, '-') || visited FROM org_organisation"),
        "A---2026-02-03 02:05:06"
    );
}

#[test]
fn s59_s60_what_both_sides_changed_is_decided_and_nothing_is_lost() {
    for (conflict, want) in [(Policy::This, "Ours"), (Policy::Other, "Theirs"), (Policy::Newer, "Theirs"), (Policy::Manual, "Ours")] {
        let hub = ready();
        let known = hub.site.store.read(|c| entente::store::repositories::list(c, hub.site.store.key())).unwrap();
        hub.shares(&known[0], Resource { conflict, ..Resource::new(0, "org_organisation") });
        push(&hub, "", 1, OLD, "Agreed");
        hub.sql("UPDATE org_organisation SET name = 'Ours'");
        push(&hub, "&msince=2025-01-01T00:00:00", 1, "2999-01-01T00:00:00", "Theirs");
        assert_eq!(name(&hub, 1), want, "{conflict:?}");
    }
    let hub = ready();
    push(&hub, "", 1, OLD, "Agreed");
    hub.sql("UPDATE org_organisation SET name = 'Ours'");
    push(&hub, "", 1, "2999-01-01T00:00:00", "Theirs");
    assert_eq!(name(&hub, 1), "Theirs");
    assert_eq!(hub.one("SELECT count(*) FROM entente_history WHERE record LIKE '%Ours%'"), "1", "the loser is in the history");
}

#[test]
fn s61_s62_of_one_record_twice_the_last_counts_and_our_own_prefix_means_nothing() {
    let hub = ready();
    let twice = format!("{}{}", organisation(1, NEW, &named("First")), organisation(1, NEW, &named("Last")));
    assert_eq!(hub.push("org_organisation", "", &twice).json()["records"], 1);
    assert_eq!((name(&hub, 1).as_str(), hub.one("SELECT count(*) FROM org_organisation").as_str()), ("Last", "1"));
    let prefixed = organisation(1, "2026-04-01T00:00:00", &named("Prefixed")).replace("urn:uuid", "hub.example.org/urn:uuid");
    hub.push("org_organisation", "", &prefixed);
    assert_eq!((name(&hub, 1).as_str(), hub.one("SELECT count(*) FROM org_organisation").as_str()), ("Prefixed", "1"));
}

#[test]
fn s58_ten_thousand_records_come_in_one_document_with_a_bounded_number_of_statements() {
    let hub = ready();
    let all: String = (0..10_000).map(|number| organisation(number, MID, &named(&format!("O{number}")))).collect();
    let answer = hub.push("org_organisation", "", &all).json();
    assert_eq!((answer["records"].as_u64(), answer["created"].as_array().map(Vec::len)), (Some(10_000), Some(10_000)));
    assert_eq!(hub.one("SELECT count(*) FROM org_organisation"), "10000");
    assert_eq!(hub.push("org_organisation", "", &all).json().get("created"), None);
    let given = hub.pull("org_organisation", "");
    assert_eq!(given.uids("org_organisation").len(), 10_000);
}

#[test]
fn components_become_records_of_their_own_and_pseudo_components_nothing() {
    let hub = ready();
    let inside = format!(
        "{}<resource name=\"org_site\" uuid=\"urn:s\"><data field=\"site_id\" value=\"1\"/></resource>
         <resource name=\"org_office\" uuid=\"{}\" modified_on=\"{NEW}\">{}</resource>
         <resource name=\"org_sector_organisation\" uuid=\"{}\" modified_on=\"{NEW}\"><reference field=\"sector_id\" resource=\"org_sector\" uuid=\"{}\"/></resource>",
        named("Alpha"), uid(2), named("HQ"), uid(3), uid(4)
    );
    let sector = format!("<resource name=\"org_sector\" uuid=\"{}\" modified_on=\"{NEW}\">{}</resource>", uid(4), named("Food"));
    let answer = hub.push("org_organisation", "", &format!("{}{sector}", organisation(1, NEW, &inside)));
    assert_eq!(answer.json()["status"], "success", "{}", answer.body);
    let joined = "SELECT o.name || f.name || s.name FROM org_organisation o JOIN org_office f ON f.organisation_id = o.id
                  JOIN org_sector_organisation l ON l.organisation_id = o.id JOIN org_sector s ON s.id = l.sector_id";
    assert_eq!(hub.one(joined), "AlphaHQFood");
    let removed = format!("<resource name=\"org_office\" uuid=\"{}\" deleted=\"True\" modified_on=\"2026-04-01T00:00:00\"/>", uid(2));
    hub.push("org_organisation", "", &organisation(1, "2026-04-01T00:00:00", &format!("{}{removed}", named("Alpha"))));
    assert_eq!(hub.one("SELECT count(*) FROM org_office"), "0");
}
