//! The running sum says what the table holds, whatever happened to it.

use super::world::{OTHER, PEER, World, gone, place, take};
use crate::model::Sum;

/// The sum as anybody can work it out who is offered everything.
pub(super) fn worked_out(w: &mut World, table: &str) -> Sum {
    let mut sum = Sum::default();
    for view in w.offered(table, 0, OTHER).views() {
        sum += Sum::of(view.uid(), &view.record.version, view.digest());
    }
    sum
}

/// The sum as it is kept.
pub(super) fn kept(w: &mut World, table: &str) -> Option<Sum> {
    let table = w.table(table);
    w.db().sum(&table).unwrap()
}

pub(super) fn the_sum_is_that_of_the_living_records(w: &mut World) {
    assert_eq!(kept(w, "place"), Some(Sum::default()), "of an empty table");
    w.name("place", 1, "here");
    w.take(&place("urn:b", 1, "there"));
    let both = worked_out(w, "place");
    assert_eq!(kept(w, "place"), Some(both));
    w.take(&gone("place", "urn:b", 2, None));
    let one = worked_out(w, "place");
    assert_eq!(kept(w, "place"), Some(one));
    assert_ne!(one, both);
    w.bench.delete("place", 1);
    w.offered("place", 0, OTHER);
    assert_eq!(kept(w, "place"), Some(Sum::default()), "tombstones add nothing");
}

pub(super) fn there_is_no_sum_while_an_edit_waits_to_be_folded(w: &mut World) {
    w.take(&place("urn:a", 1, "there"));
    assert!(kept(w, "place").is_some());
    w.name("place", 7, "here");
    assert_eq!(kept(w, "place"), None);
    w.offered("place", 0, OTHER);
    assert!(kept(w, "place").is_some());
}

pub(super) fn a_dropped_transaction_leaves_the_sum_and_the_next_one_counts_nothing_of_it(w: &mut World) {
    w.take(&place("urn:a", 1, "there"));
    let before = kept(w, "place");
    let table = w.table("place");
    let mut tx = w.db().begin().unwrap();
    take(tx.as_mut(), &table, &place("urn:b", 2, "dropped")).unwrap();
    drop(tx);
    assert_eq!(kept(w, "place"), before);
    w.take(&place("urn:c", 3, "kept"));
    let after = worked_out(w, "place");
    assert_eq!(kept(w, "place"), Some(after));
}

pub(super) fn a_refused_record_adds_nothing(w: &mut World) {
    let table = w.table("place");
    w.within(|tx| {
        take(tx, &table, &place("urn:a", 1, "same")).unwrap();
        take(tx, &table, &place("urn:b", 2, "same")).unwrap_err();
    });
    let after = worked_out(w, "place");
    assert_eq!(kept(w, "place"), Some(after));
}

pub(super) fn two_databases_that_took_the_same_versions_have_the_same_sum(w: &mut World) {
    let mut sum = Sum::default();
    for (uid, counter, name) in [("urn:b", 1, "one"), ("urn:a", 2, "two"), ("urn:b", 3, "three")] {
        w.take(&place(uid, counter, name));
    }
    for page in [place("urn:a", 2, "two"), place("urn:b", 3, "three")] {
        let view = page.view(&page.records[0]);
        sum += Sum::of(view.uid(), &view.record.version, view.digest());
    }
    assert_eq!(kept(w, "place"), Some(sum));
    let table = w.table("place");
    w.within(|tx| tx.rekey(&table, "urn:b", "urn:c").unwrap());
    let after = worked_out(w, "place");
    assert!(kept(w, "place") == Some(after) && after != sum, "another uid is another record");
    assert!(w.found("place", "urn:c", PEER).is_some());
}
