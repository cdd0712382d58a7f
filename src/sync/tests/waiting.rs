//! What waits at either side is told when two sites meet, and known at both.

use super::world::{Line, TestSite, keyed};
use crate::{
    model::{Greeting, MANY, Met},
    peer::Peer,
    store::met,
    sync::{
        overview,
        pending::{Meeting, greeting},
        run::{Ask, Control, run_with},
    },
};

const TEAMS: &str = "CREATE TABLE team (number INTEGER PRIMARY KEY, name TEXT);";

/// A hub that is only called, and a field site that calls it.
fn sites() -> (TestSite, TestSite) {
    let (hub, field) = (TestSite::new("hub", TEAMS), TestSite::new("field", TEAMS));
    for site in [&hub, &field] {
        site.attach(&[keyed("team", &["number"])]);
    }
    field.knows(&hub, &["team"]);
    (hub, field)
}

fn add(site: &TestSite, from: u32, count: u32) {
    for number in from..from + count {
        site.sql(&format!("INSERT INTO team VALUES ({number}, 'Team {number}')"));
    }
}

fn met(at: &TestSite, of: &TestSite) -> Met {
    let repository = at.knows(of, &[]);
    at.site.store.read(|c| met::of(c, repository.id)).unwrap()
}

/// What waits at a site for another: there, as it counts it now, and as the other last heard.
fn waits(at: &TestSite, of: &TestSite) -> (u64, Option<u64>) {
    let state = overview::state(&at.site, at.knows(of, &[])).unwrap();
    let here = overview::waiting_here(&at.site, [&state]).unwrap();
    (here[0].records, met(of, at).waiting.map(|(records, _)| records))
}

#[test]
fn each_side_knows_what_waits_at_the_other_also_one_that_is_only_called() {
    let (hub, field) = sites();
    add(&hub, 1, 3);
    add(&field, 100, 2);
    field.agree(&hub);
    assert_eq!((waits(&hub, &field), waits(&field, &hub)), ((0, Some(0)), (0, Some(0))), "everything was exchanged");
    add(&hub, 10, 4);
    add(&field, 200, 2);
    let line = Line::new(&field, &hub);
    line.faults.lock().unwrap().dies_after = Some(1);
    let failed = field.over(&line, &hub, &Ask::default()).unwrap();
    assert!(failed.resources.iter().all(|part| part.error.is_some()));
    assert_eq!((waits(&hub, &field), waits(&field, &hub)), ((4, Some(4)), (2, Some(2))), "they met, and nothing was exchanged");
    add(&hub, 20, 1);
    assert_eq!(waits(&hub, &field), (5, Some(4)), "what is not told yet is not known");
    field.agree(&hub);
    assert_eq!((waits(&hub, &field), waits(&field, &hub)), ((0, Some(0)), (0, Some(0))));
}

#[test]
fn a_run_in_which_nothing_changed_is_one_call_and_writes_nothing_at_the_other_site() {
    let (hub, field) = sites();
    add(&hub, 1, 3);
    field.agree(&hub);
    let before = met(&hub, &field);
    let line = Line::new(&field, &hub);
    field.over(&line, &hub, &Ask::default()).unwrap();
    assert_eq!((line.calls.lock().unwrap().clone(), met(&hub, &field)), (vec!["hello".to_owned()], before));
}

#[test]
fn a_count_is_bounded_and_one_that_is_not_told_is_not_known() {
    let (hub, field) = sites();
    add(&hub, 1, 3);
    let line = Line::new(&field, &hub);
    let repository = field.knows(&hub, &[]);
    let says = greeting(&field.site, &repository);
    assert_eq!(says, Greeting { waiting: Some(0), at: vec![("team".into(), String::new())] });
    let mut contact = line.greet(&says).unwrap();
    assert_eq!(contact.hello.resources[0].waiting, Some(3));
    assert_eq!(line.hello().unwrap().hello.resources[0].waiting, None, "who says nothing is told nothing");
    let kept = |contact: &_| {
        let meeting = Meeting::of(contact, &says);
        field.site.store.write(|c| meeting.keep(c, repository.id, field.site.now())).unwrap();
        met(&field, &hub).waiting.map(|(records, _)| records)
    };
    contact.hello.resources[0].waiting = None;
    assert_eq!(kept(&contact), None, "an older version does not say");
    contact.hello.resources[0].waiting = Some(u64::MAX);
    assert_eq!(kept(&contact), Some(u64::from(MANY)));
    let offer = met(&field, &hub).offer.unwrap().0;
    assert_eq!(offer.iter().map(|offer| offer.name.as_str()).collect::<Vec<_>>(), ["team"]);
    let strange = Greeting { waiting: Some(1), at: vec![("team".into(), "another:9".into()), ("nothing".into(), String::new())] };
    assert_eq!(line.greet(&strange).unwrap().hello.resources[0].waiting, None, "a cursor that is none of ours says nothing");
}

#[test]
fn how_much_there_is_to_pull_is_known_after_the_first_exchange_too() {
    let (hub, field) = sites();
    add(&hub, 1, 9);
    field.agree(&hub);
    add(&hub, 100, 20);
    let mut told = Vec::new();
    let mut control = Control {
        stop: &|| None,
        progress: &mut |now| {
            if now.direction == "pull" {
                told.push((now.counts.records, now.total));
            }
        },
    };
    run_with(&field.site, &field.knows(&hub, &[]), &Line::new(&field, &hub), &Ask::default(), &mut control).unwrap();
    assert_eq!(told, [(7, Some(20)), (14, Some(20)), (20, Some(20))]);
}
