//! Local edits become versions.

use super::world::{ME, NOW, OTHER, PEER, Put, Sent, World, gone, place, sent, view};
use crate::model::{Actor, Relation, Version};

pub(super) fn edits_between_two_looks_are_one_version(w: &mut World) {
    w.name("place", 1, "a");
    w.name("place", 1, "b");
    let uid = w.uid("place", "b");
    let (page, me) = (w.record("place", &uid), w.me());
    let record = view(&page).record;
    let arrival = w.found("place", &uid, PEER).unwrap().arrival;
    assert_eq!(record.version, Version::of(me, arrival.unsigned_abs()), "our counter is the arrival of our last edit");
    assert_eq!((record.origin, record.author, record.settled.len()), (ME, ME, 0));
    w.name("place", 1, "c");
    let next = w.record("place", &uid);
    let record = view(&next).record;
    assert_eq!(record.version.relation(&view(&page).record.version), Relation::Ahead);
    assert_eq!((record.version.iter().count(), record.version.get(me)), (1, w.head("place").unsigned_abs()));
}

pub(super) fn an_edit_has_seen_what_was_received(w: &mut World) {
    let mut page = place("urn:a", 4, "a");
    page.records[0].settled = vec![OTHER];
    w.take(&page);
    assert_eq!(view(&w.record("place", "urn:a")).record.settled, [OTHER]);
    w.name("place", 1, "b");
    let (page, me) = (w.record("place", "urn:a"), w.me());
    let record = view(&page).record;
    assert_eq!(record.version.get(Actor { site: PEER, incarnation: 1 }), 4);
    assert!(record.version.get(me) > 0 && record.settled.is_empty());
    assert_eq!((record.origin, record.author), (PEER, ME));
}

pub(super) fn an_edit_is_never_older_than_the_version_it_changes(w: &mut World) {
    let mut page = place("urn:a", 1, "a");
    page.records[0].modified_on = NOW;
    w.take(&page);
    w.name("place", 1, "b");
    assert!(view(&w.record("place", "urn:a")).record.modified_on > NOW);
    w.bench.delete("place", 1);
    let tombstone = w.record("place", "urn:a");
    assert!(view(&tombstone).record.modified_on.0 > NOW.0 + 1);
}

pub(super) fn an_edit_that_changes_nothing_is_no_edit(w: &mut World) {
    w.take(&place("urn:a", 1, "a"));
    let before = w.record("place", "urn:a");
    w.bench.put("place", 1, &[("name", Put::Text("a")), ("size", Put::Text("big"))]);
    w.name("place", 1, "b");
    w.name("place", 1, "a");
    let after = w.record("place", "urn:a");
    assert_eq!(view(&after).record.version, view(&before).record.version);
    assert_eq!(view(&after).record.modified_on, view(&before).record.modified_on);
    assert!(w.found("place", "urn:a", PEER).unwrap().shared);
    assert!(w.feed("place", 0, PEER).is_empty());
}

pub(super) fn a_row_that_went_and_came_back_was_not_edited(w: &mut World) {
    w.take(&place("urn:a", 1, "a"));
    let before = w.record("place", "urn:a");
    w.bench.delete("place", 1);
    w.bench.put("place", 1, &[("name", Put::Text("a")), ("size", Put::Text("big"))]);
    let after = w.record("place", "urn:a");
    assert_eq!(view(&after).record.version, view(&before).record.version);
    assert!(!view(&after).record.deleted && w.feed("place", 0, PEER).is_empty());
}

pub(super) fn a_deleted_row_leaves_a_tombstone(w: &mut World) {
    w.name("place", 1, "a");
    let uid = w.uid("place", "a");
    let before = w.record("place", &uid);
    w.bench.delete("place", 1);
    let after = w.record("place", &uid);
    assert_eq!(w.feed("place", 0, OTHER), [format!("{uid} gone")]);
    assert_eq!(view(&after).record.version.relation(&view(&before).record.version), Relation::Ahead);
    let found = w.found("place", &uid, PEER).unwrap();
    assert!(!found.living && found.arrival == w.head("place"));
    let table = w.table("place");
    w.db().fold(&table).unwrap();
    assert_eq!(view(&w.record("place", &uid)).record.version, view(&after).record.version);
}

pub(super) fn a_row_put_back_goes_on_with_its_record(w: &mut World) {
    w.name("place", 1, "a");
    let uid = w.uid("place", "a");
    w.bench.delete("place", 1);
    let tombstone = w.record("place", &uid);
    w.name("place", 1, "b");
    assert_eq!(w.feed("place", 0, OTHER), [format!("{uid} name=b size=-")]);
    assert_eq!(view(&w.record("place", &uid)).record.version.relation(&view(&tombstone).record.version), Relation::Ahead);
}

/// Computed once: it must never change, and be the same for every kind of database.
const AF: &str = "urn:uuid:79e8fc11-29b3-59a5-abe1-858d8d00f87f";

pub(super) fn a_natural_key_has_the_same_uid_in_every_database(w: &mut World) {
    w.name("code", 5, "AF");
    assert_eq!(w.uid("code", "AF"), AF);
    w.bench.put("code", 5, &[("label", Put::Text("Afghanistan"))]);
    assert_eq!(w.uid("code", "AF"), AF);
}

pub(super) fn a_natural_key_put_back_goes_on_with_its_record(w: &mut World) {
    w.name("code", 5, "AF");
    w.uid("code", "AF");
    w.bench.delete("code", 5);
    let tombstone = w.record("code", AF);
    assert!(view(&tombstone).record.deleted);
    w.name("code", 6, "AF");
    assert_eq!(w.feed("code", 0, OTHER), [format!("{AF} label=- name=AF")]);
    assert_eq!(view(&w.record("code", AF)).record.version.relation(&view(&tombstone).record.version), Relation::Ahead);
    w.name("code", 5, "BE");
    assert_eq!(w.feed("code", 0, OTHER).len(), 2);
}

pub(super) fn a_new_row_under_the_natural_key_of_a_tombstone_is_later_than_it(w: &mut World) {
    let mut tombstone = gone("code", AF, 3, None);
    tombstone.records[0].modified_on = NOW;
    w.take(&tombstone);
    w.name("code", 1, "AF");
    let page = w.record("code", AF);
    let record = view(&page).record;
    assert_eq!(record.version.relation(&view(&tombstone).record.version), Relation::Ahead);
    assert!(record.modified_on > NOW, "{} is not later than {NOW}", record.modified_on);
    assert_eq!((record.origin, record.author), (PEER, ME), "the site that created the record did so once");
}

/// Two friends, of whom the first is noted last.
fn friends(w: &mut World) -> String {
    w.name("person", 2, "later");
    w.bench.put("person", 1, &[("name", Put::Text("first")), ("friend", Put::Row(2))]);
    w.name("person", 2, "second");
    w.uid("person", "first")
}

pub(super) fn rows_that_refer_to_later_ones_are_not_edited_by_writing_the_same_again(w: &mut World) {
    let uid = friends(w);
    let before = w.record("person", &uid);
    w.name("person", 1, "first");
    assert_eq!(view(&w.record("person", &uid)).record.version, view(&before).record.version);
}

pub(super) fn a_reference_to_a_later_row_that_is_taken_away_is_an_edit(w: &mut World) {
    let uid = friends(w);
    let before = w.record("person", &uid);
    w.bench.put("person", 1, &[("friend", Put::Null)]);
    let after = w.record("person", &uid);
    assert_eq!(super::world::show(view(&after)), format!("{uid} friend=- home=- name=first"));
    assert_eq!(view(&after).record.version.relation(&view(&before).record.version), Relation::Ahead);
}

pub(super) fn a_reference_that_was_there_when_attached_and_is_taken_away_is_an_edit(w: &mut World) {
    w.db().detach(true).unwrap();
    w.name("person", 2, "second");
    w.bench.put("person", 1, &[("name", Put::Text("first")), ("friend", Put::Row(2))]);
    w.attach();
    let uid = w.uid("person", "first");
    let before = w.record("person", &uid);
    w.bench.put("person", 1, &[("friend", Put::Null)]);
    assert_eq!(view(&w.record("person", &uid)).record.version.relation(&view(&before).record.version), Relation::Ahead);
    w.take(&sent("person", "urn:p", 1, &[("friend", Sent::To("person", &uid))]));
    w.bench.put("person", 3, &[("friend", Put::Null)]);
    assert!(w.feed("person", 0, PEER).contains(&"urn:p friend=- home=- name=-".to_owned()));
}

pub(super) fn a_reference_to_a_row_that_is_still_to_come_is_an_edit(w: &mut World) {
    w.name("person", 1, "x");
    let uid = w.uid("person", "x");
    let before = w.record("person", &uid);
    w.bench.be_careless();
    w.bench.put("person", 1, &[("home", Put::Row(7))]);
    assert!(w.feed("person", 0, OTHER).is_empty());
    w.name("place", 7, "a");
    let people = w.table("person");
    w.db().recheck(&people).unwrap();
    let after = w.record("person", &uid);
    assert!(view(&after).get("home").is_some_and(|home| home.text == w.uid("place", "a")));
    assert_eq!(view(&after).record.version.relation(&view(&before).record.version), Relation::Ahead);
}
