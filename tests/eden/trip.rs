//! Whole trips: through us from one Eden to another, every kind of value both ways.

use entente::model::Resource;

use crate::{
    hub::{Hub, eden, uid},
    scripted::Scripted,
};

fn share(hub: &Hub, eden: &Scripted) -> entente::model::Repository {
    let (repository, warning) = hub.knows(eden.address);
    assert_eq!(warning, None);
    for resource in ["org_organisation", "org_office"] {
        hub.shares(&repository, Resource::new(0, resource));
    }
    repository
}

#[test]
fn every_kind_of_value_comes_back_from_an_eden_as_it_went() {
    let (one, two, north) = (Hub::new(), Hub::new(), Scripted::new());
    let (first, second) = (share(&one, &north), share(&two, &north));
    one.sql(&format!(
        "INSERT INTO org_organisation (uuid, name, acronym, year, comments, active, founded, visited, opens, budget, price, tags, sector_ids)
         VALUES ('{}', 'Ä & <b> \"q\" ''s''', '007', 1999, 'Line one' || char(10) || 'two &amp;amp; 😀', 0, '2026-02-03', '2026-02-03 04:05:06', '13:14:15', 1.5,
         12.35, '[\"x\", \"y|z\"]', '{{\"@resource\":\"org_sector\",\"@uuid\":[\"urn:1\",\"urn:2\"]}}')",
        uid(1)
    ));
    one.sql(&format!("INSERT INTO org_organisation (uuid, name, parent_id) VALUES ('{}', 'Child', 1)", uid(2)));
    one.syncs(&first);
    two.syncs(&second);
    let all = "SELECT group_concat(name || coalesce(acronym, '-') || coalesce(year, '-') || coalesce(comments, '-') || coalesce(active, '-') || coalesce(founded, '-')
      || coalesce(visited, '-') || coalesce(opens, '-') || coalesce(budget, '-') || coalesce(price, '-') || coalesce(tags, '-') || coalesce(sector_ids, '-')
      || coalesce(parent_id, '-'), ';') FROM (SELECT * FROM org_organisation ORDER BY uuid)";
    assert_eq!(one.one(all), two.one(all));
    assert!(one.one(all).contains("Child"));
    one.syncs(&first);
    let quiet = two.syncs(&second);
    assert!(quiet.resources.iter().all(|part| part.counts.created + part.counts.updated == 0), "{quiet:?}");
}

#[test]
fn an_edit_a_deletion_and_an_emptied_text_pass_through_us_from_eden_to_eden() {
    let (hub, north, south) = (Hub::new(), Scripted::new(), Scripted::new());
    let to_north = share(&hub, &north);
    // Another Eden with an identity of its own.
    let other = "urn:uuid:b06d0b48-f028-4fe8-ac44-000000000000";
    south.instead(
        "POST /sync/repository",
        200,
        "application/json",
        &format!(r#"{{"status": "success", "statuscode": "200", "message": "", "sender": "{other}"}}"#),
    );
    south.state().registered = true;
    let added = entente::sync::register::add(
        &hub.site,
        &entente::model::Repository {
            url: Some(format!("http://{}/eden", south.address)),
            user: Some("a".into()),
            password: Some("b".into()),
            ..entente::model::Repository::new("south")
        },
    );
    let to_south = added.unwrap().repository;
    hub.shares(&to_south, Resource::new(0, "org_organisation"));
    let at_south = |field: &str| south.field("org_organisation", &uid(1), field);
    north.put("org_organisation", &uid(1), "2026-01-01T00:00:00", &[("name", "\"Alpha\""), ("acronym", "\"A\"")]);
    let both = || {
        hub.syncs(&to_north);
        hub.syncs(&to_south);
    };
    both();
    assert_eq!((at_south("name").as_deref(), at_south("acronym").as_deref()), (Some("\"Alpha\""), Some("\"A\"")));
    north.put("org_organisation", &uid(1), "2026-01-02T00:00:00", &[("name", "\"Beta\"")]);
    both();
    assert_eq!(at_south("name").as_deref(), Some("\"Beta\""));
    hub.sql("UPDATE org_organisation SET acronym = NULL");
    both();
    assert_eq!((at_south("acronym"), at_south("name").as_deref()), (None, Some("\"Beta\"")));
    north.delete("org_organisation", &uid(1), "2999-01-01T00:00:00");
    both();
    assert_eq!(at_south("name"), None);
    north.forget();
    south.forget();
    both();
    assert!(north.asked("POST").is_empty() && south.asked("POST").is_empty(), "quiet sites stay quiet");
}

#[test]
fn what_both_edited_is_one_content_everywhere_and_the_loser_is_kept() {
    let (hub, north) = (Hub::new(), Scripted::new());
    let repository = share(&hub, &north);
    north.put("org_organisation", &uid(1), "2026-01-01T00:00:00", &[("name", "\"Agreed\"")]);
    hub.syncs(&repository);
    hub.sql("UPDATE org_organisation SET name = 'Ours'");
    north.put("org_organisation", &uid(1), "2026-01-02T00:00:00", &[("name", "\"Theirs\"")]);
    hub.syncs(&repository);
    assert_eq!(hub.one("SELECT name FROM org_organisation"), "Ours", "the later");
    assert_eq!(north.field("org_organisation", &uid(1), "name").as_deref(), Some("\"Ours\""));
    assert_eq!(hub.one("SELECT count(*) FROM entente_history WHERE record LIKE '%Theirs%'"), "1");
    assert_eq!(hub.one("SELECT count(*) FROM entente_conflict"), "1");
}

#[test]
fn an_eden_that_calls_us_and_one_that_we_call_agree_through_us() {
    let (hub, north) = (Hub::new(), Scripted::new());
    let repository = share(&hub, &north);
    hub.register();
    let answer =
        hub.push("org_organisation", "", &crate::hub::organisation(5, "2026-01-01T00:00:00", &crate::hub::named("From the south")));
    assert_eq!(answer.json()["status"], "success", "{}", eden());
    hub.syncs(&repository);
    assert_eq!(north.field("org_organisation", &uid(5), "name").as_deref(), Some("\"From the south\""));
    north.put("org_organisation", &uid(5), "2026-01-02T00:00:00", &[("name", "\"Changed in the north\"")]);
    hub.syncs(&repository);
    let given = hub.pull("org_organisation", "&msince=2026-06-01T00:00:00");
    assert!(given.body.contains("Changed in the north"), "{}", given.body);
}
