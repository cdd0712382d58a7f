//! What real Edens do that no capture shows, where we call them: how they import, what they leave unsaid, and how they name records.

use std::collections::BTreeSet;

use entente::{
    model::{Resource, Strategy},
    sync::run::Ask,
};

use crate::{
    hub::{Hub, uid},
    scripted::{Scripted, pair},
};

const OLD: &str = "2026-01-01T00:00:00";
const NEW: &str = "2026-03-01T00:00:00";

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
    hub.organisation(3, "Another");
    eden.forget();
    hub.syncs(&repository);
    let bodies: String = eden.asked("POST").iter().map(|asked| String::from_utf8_lossy(&asked.body).into_owned()).collect();
    assert!(bodies.contains(&uid(3)) && !bodies.contains(&uid(2)), "it waits for nothing of that");
    hub.sql("UPDATE org_organisation SET name = 'Better' WHERE name = 'Bad'");
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
fn an_edit_at_an_eden_while_ours_is_on_its_way_replaces_nothing_in_silence() {
    let (hub, eden, repository) = pair();
    hub.organisation(1, "Both");
    hub.syncs(&repository);
    // Ours was made before theirs, and the Eden keeps theirs, though it counts ours as taken.
    eden.state().meanwhile = Some((uid(1), "\"Theirs\"".into()));
    hub.sql("UPDATE org_organisation SET name = 'Ours'");
    hub.syncs(&repository);
    assert_eq!(eden.field("org_organisation", &uid(1), "name").as_deref(), Some("\"Theirs\""));
    let report = hub.syncs(&repository);
    let conflicts: u64 = report.resources.iter().map(|part| part.counts.conflicts).sum();
    assert_eq!(conflicts, 1, "neither saw the other, and the loser is kept");
}

#[test]
fn an_eden_that_passes_over_everything_is_not_asked_about_each_record() {
    let (hub, eden, repository) = pair();
    eden.state().silent = texts(&["Unheard"]);
    (1..=600).for_each(|number| hub.organisation(number, "Unheard"));
    hub.syncs(&repository);
    assert!(eden.asked("POST").len() <= 500, "{}", eden.asked("POST").len());
    assert_eq!(waiting(&hub).len(), 600, "none is taken for given");
    eden.state().silent.clear();
    hub.sync(&repository, &Ask { full: true, ..Ask::default() }).unwrap();
    assert_eq!((eden.field("org_organisation", &uid(600), "name").as_deref(), waiting(&hub).len()), (Some("\"Unheard\""), 0));
}

#[test]
fn a_record_that_the_eden_passed_over_without_a_word_is_found_and_named() {
    let (hub, eden, repository) = pair();
    eden.state().silent = texts(&["Unheard"]);
    eden.state().invalid = texts(&["Bad"]);
    let name = |number: u32| match number {
        6 => "Unheard",
        8 => "Bad",
        _ => "Heard",
    };
    (1..=9).for_each(|number| hub.organisation(number, name(number)));
    let report = hub.syncs(&repository);
    assert!(report.warnings.iter().any(|warning| warning.contains(&uid(6)) && warning.contains("passed over")), "{:?}", report.warnings);
    let there: Vec<u32> = (1..=9).filter(|number| eden.field("org_organisation", &uid(*number), "name").is_some()).collect();
    assert_eq!(there, [1, 2, 3, 4, 5, 7, 9]);
    let waits: BTreeSet<String> = waiting(&hub).into_iter().map(|(uid, _)| uid).collect();
    assert_eq!(waits, BTreeSet::from([uid(6), uid(8)]));
    // It is given again on demand, as all are by a full run.
    eden.state().silent.clear();
    hub.sync(&repository, &Ask { full: true, ..Ask::default() }).unwrap();
    assert_eq!((eden.field("org_organisation", &uid(6), "name").as_deref(), waiting(&hub).len()), (Some("\"Unheard\""), 1));
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
fn an_edit_there_right_after_our_push_is_no_echo_of_it() {
    let (hub, eden, repository) = pair();
    for round in 0..3 {
        let ours = format!("Ours {round}");
        match round {
            0 => hub.organisation(1, &ours),
            _ => hub.sql(&format!("UPDATE org_organisation SET name = '{ours}'")),
        }
        hub.syncs(&repository);
        let now = chrono::Utc::now().format("%Y-%m-%dT%H:%M:%S").to_string();
        eden.put("org_organisation", &uid(1), &now, &[("name", &format!("\"Theirs {round}\""))]);
        hub.syncs(&repository);
        assert_eq!(hub.one("SELECT name FROM org_organisation"), format!("Theirs {round}"));
    }
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
