//! Records that are let go because a peer no longer shares them.

use super::world::{OTHER, PEER, Put, Sent, World, gone, place, sent, view};
use crate::connector::{Found, Part, Share};

/// Lets a record go. Whether the database let that happen.
fn let_go(w: &mut World, table: &str, uid: &str) -> bool {
    let table = w.table(table);
    w.within(|tx| {
        tx.fold(&table).unwrap();
        let found = tx.locals(&table, &[uid], PEER).unwrap().found[0].unwrap();
        tx.retract(&table, found).is_ok()
    })
}

fn found(w: &mut World, table: &str, uid: &str) -> Found {
    w.found(table, uid, PEER).unwrap()
}

pub(super) fn a_record_that_was_let_go_is_gone_and_nobody_is_told(w: &mut World) {
    w.take(&place("urn:a", 5, "a"));
    let head = w.head("place");
    assert!(let_go(w, "place", "urn:a"));
    assert_eq!(w.bench.column("place", "name"), "");
    assert!(w.feed("place", 0, OTHER).is_empty(), "no version and no tombstone");
    let (table, mut page) = (w.table("place"), crate::model::Page::default());
    w.db().lookup(&table, &["urn:a".to_owned()], &mut page).unwrap();
    assert!(page.records.is_empty());
    assert_eq!(w.db().count(&table).unwrap(), 0);
    let left = found(w, "place", "urn:a");
    assert!(left.retracted && !left.living && !left.held && !left.shared);
    assert_eq!(w.head("place"), head, "no arrival is lost and none is made");
}

pub(super) fn a_version_that_comes_later_brings_a_record_back_that_was_let_go(w: &mut World) {
    w.take(&place("urn:a", 5, "a"));
    let_go(w, "place", "urn:a");
    w.take(&place("urn:a", 6, "b"));
    assert_eq!(w.bench.column("place", "name"), "1=b");
    assert_eq!(w.feed("place", 0, OTHER), ["urn:a name=b size=big"]);
    let back = found(w, "place", "urn:a");
    assert!(back.living && !back.retracted && back.shared);
}

pub(super) fn a_tombstone_of_a_record_that_was_let_go_is_passed_on(w: &mut World) {
    w.take(&place("urn:a", 5, "a"));
    let_go(w, "place", "urn:a");
    w.take(&gone("place", "urn:a", 6, None));
    assert_eq!(w.feed("place", 0, OTHER), ["urn:a gone"]);
    assert!(!found(w, "place", "urn:a").retracted);
}

pub(super) fn the_key_of_a_record_that_was_let_go_is_free_for_another_record(w: &mut World) {
    w.take(&place("urn:a", 5, "a"));
    let_go(w, "place", "urn:a");
    w.name("place", 1, "other");
    let uid = w.uid("place", "other");
    assert_ne!(uid, "urn:a");
    assert!(found(w, "place", "urn:a").retracted);
    w.take(&place("urn:a", 6, "b"));
    assert_eq!(w.bench.column("place", "name"), "1=other 2=b");
}

pub(super) fn a_natural_key_that_was_let_go_and_put_in_again_is_an_edit(w: &mut World) {
    w.name("code", 1, "a");
    let uid = w.uid("code", "a");
    let before = view(&w.record("code", &uid)).record.version.clone();
    let_go(w, "code", &uid);
    w.name("code", 7, "a");
    assert_eq!(w.feed("code", 0, OTHER), [format!("{uid} label=- name=a")]);
    let me = w.me();
    assert!(view(&w.record("code", &uid)).record.version.get(me) > before.get(me), "the same content is an edit, too");
    let back = found(w, "code", &uid);
    assert!(back.living && !back.retracted);
}

pub(super) fn a_record_that_others_refer_to_is_not_let_go(w: &mut World) {
    w.take(&place("urn:a", 5, "a"));
    w.bench.put("person", 1, &[("home", Put::Row(1))]);
    assert!(!let_go(w, "place", "urn:a"));
    assert!(found(w, "place", "urn:a").living);
    w.bench.put("person", 1, &[("home", Put::Null)]);
    assert!(let_go(w, "place", "urn:a"));
}

pub(super) fn a_reference_to_a_record_that_was_let_go_leads_nowhere(w: &mut World) {
    w.take(&place("urn:a", 5, "a"));
    let_go(w, "place", "urn:a");
    let child = sent("person", "urn:p", 1, &[("home", Sent::To("place", "urn:a"))]);
    let table = w.table("person");
    w.within(|tx| assert!(super::world::take(tx, &table, &child).is_err()));
}

pub(super) fn those_with_whom_something_was_agreed_are_known(w: &mut World) {
    let table = w.table("place");
    assert!(w.within(|tx| tx.sharers(&table).unwrap()).is_empty());
    for (peer, part) in [(PEER, Part::Active), (PEER, Part::Passive), (OTHER, Part::Passive)] {
        w.db().set_share(&table, peer, part, &Share { told: 1, ..Share::default() }, 1).unwrap();
    }
    let mut known = w.within(|tx| tx.sharers(&table).unwrap());
    known.sort();
    known.dedup();
    assert_eq!(known, [PEER, OTHER]);
    let person = w.table("person");
    assert!(w.within(|tx| tx.sharers(&person).unwrap()).is_empty());
}
