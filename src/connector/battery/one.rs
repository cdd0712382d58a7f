//! What it takes to make one record of two.

use super::{
    sums::{kept, worked_out},
    world::{ME, NOW, OTHER, PEER, Put, Sent, World, gone, place, sent, show, take, view},
};
use crate::connector::{Apply, Attempt, Found, Lost, Table};

/// What is under just this uid, shown.
fn exactly(tx: &mut dyn Apply, table: &Table, uid: &str) -> Option<String> {
    let known = tx.exactly(table, uid).unwrap();
    known.found[0].map(|found| show(known.page.view(&known.page.records[found.at])))
}

fn found(tx: &mut dyn Apply, table: &Table, uid: &str) -> Found {
    tx.exactly(table, uid).unwrap().found[0].unwrap()
}

fn right(w: &mut World) {
    for table in ["place", "person"] {
        let sum = worked_out(w, table);
        assert_eq!(kept(w, table), Some(sum), "{table}");
    }
}

pub(super) fn what_is_under_just_one_uid_is_found_without_following_aliases(w: &mut World) {
    w.take(&place("urn:a", 1, "a"));
    w.take(&gone("place", "urn:b", 2, Some("urn:a")));
    w.take(&gone("place", "urn:c", 3, Some("urn:b")));
    w.take(&gone("place", "urn:d", 4, None));
    let table = w.table("place");
    w.within(|tx| {
        for (uid, want) in [
            ("urn:a", Some("urn:a name=a size=big")),
            ("urn:b", Some("urn:b gone>urn:a")),
            ("urn:c", Some("urn:c gone>urn:b")),
            ("urn:d", Some("urn:d gone")),
            ("urn:x", None),
        ] {
            assert_eq!(exactly(tx, &table, uid).as_deref(), want, "{uid}");
        }
        assert!(found(tx, &table, "urn:a").living && !found(tx, &table, "urn:b").living);
    });
}

pub(super) fn whatever_referred_to_one_record_refers_to_the_other_by_an_edit_of_our_own(w: &mut World) {
    w.take(&place("urn:a", 1, "a"));
    w.take(&place("urn:b", 2, "b"));
    let to = |home: &'static str, friend: &'static str| [("home", Sent::To("place", home)), ("friend", Sent::To("person", friend))];
    w.take(&sent("person", "urn:p", 1, &[("home", Sent::To("place", "urn:b"))]));
    w.take(&sent("person", "urn:q", 2, &to("urn:a", "urn:p")));
    w.take(&sent("person", "urn:r", 3, &to("urn:b", "urn:p")));
    w.bench.put("person", 9, &[("home", Put::Row(2)), ("friend", Put::Row(3))]);
    let (places, people, head) = (w.table("place"), w.table("person"), w.head("person"));
    w.within(|tx| {
        tx.fold(&people).unwrap();
        let (from, to) = (found(tx, &places, "urn:b"), found(tx, &places, "urn:a"));
        tx.repoint(&places, from, to).unwrap();
        let (from, to) = (found(tx, &people, "urn:p"), found(tx, &people, "urn:q"));
        tx.repoint(&people, from, to).unwrap();
    });
    let told = w.offered("person", 0, OTHER);
    let mut shown: Vec<String> = told.views().map(|view| show(view).split_once(' ').unwrap().1.to_owned()).collect();
    shown.sort();
    let own = |view: &crate::model::RecordView<'_>| view.record.author == ME;
    assert_eq!(shown.iter().filter(|record| record.contains("home>urn:b") || record.contains("friend>urn:p")).count(), 0, "{shown:?}");
    assert_eq!(shown.iter().filter(|record| record.contains("home>urn:a")).count(), 4, "{shown:?}");
    let after = w.offered("person", head, PEER);
    assert!(after.views().all(|view| own(&view)) && after.views().any(|view| view.uid() == "urn:p"), "the peer is told of each");
    assert!(w.feed("place", 0, OTHER).contains(&"urn:b name=b size=big".to_owned()), "the record itself stays as it was");
    right(w);
}

pub(super) fn an_attempt_that_is_undone_leaves_nothing_and_the_rest_stays(w: &mut World) {
    w.take(&place("urn:a", 1, "a"));
    w.take(&place("urn:b", 2, "b"));
    w.take(&sent("person", "urn:p", 1, &[("home", Sent::To("place", "urn:b"))]));
    let (places, people) = (w.table("place"), w.table("person"));
    let before = w.bench.column("person", "home");
    w.within(|tx| {
        take(tx, &places, &place("urn:c", 3, "before")).unwrap();
        tx.attempt(Attempt::Begin).unwrap();
        take(tx, &places, &place("urn:a", 4, "within")).unwrap();
        take(tx, &places, &place("urn:d", 5, "within too")).unwrap();
        let (from, to) = (found(tx, &places, "urn:b"), found(tx, &places, "urn:a"));
        tx.repoint(&places, from, to).unwrap();
        take(tx, &places, &gone("place", "urn:b", 6, Some("urn:a"))).unwrap();
        tx.rekey(&places, "urn:c", "urn:b").unwrap_or(());
        tx.attempt(Attempt::Undo).unwrap();
        assert_eq!(exactly(tx, &places, "urn:d"), None);
        assert_eq!(exactly(tx, &places, "urn:b").as_deref(), Some("urn:b name=b size=big"));
        take(tx, &places, &place("urn:e", 7, "after")).unwrap();
    });
    let names = w.bench.column("place", "name");
    assert_eq!(names.split(' ').map(|row| row.split_once('=').unwrap().1).collect::<Vec<_>>(), ["a", "b", "before", "after"]);
    assert_eq!(w.bench.column("person", "home"), before);
    assert!(w.feed("person", 0, PEER).is_empty(), "nothing was edited");
    assert!(!w.db().unsettled(&people).unwrap());
    right(w);
    w.name("place", 9, "later");
    w.offered("place", 0, OTHER);
    right(w);
}

pub(super) fn an_attempt_that_is_kept_stays_and_another_can_follow(w: &mut World) {
    w.take(&place("urn:a", 1, "a"));
    let table = w.table("place");
    w.within(|tx| {
        for (attempt, uid, counter) in [(Attempt::Keep, "urn:b", 2), (Attempt::Undo, "urn:c", 3), (Attempt::Keep, "urn:d", 4)] {
            tx.attempt(Attempt::Begin).unwrap();
            take(tx, &table, &place(uid, counter, uid)).unwrap();
            tx.attempt(attempt).unwrap();
        }
    });
    assert_eq!(w.bench.column("place", "name").split(' ').count(), 3);
    right(w);
    let mut tx = w.db().begin().unwrap();
    tx.attempt(Attempt::Begin).unwrap();
    take(tx.as_mut(), &table, &place("urn:e", 5, "e")).unwrap();
    drop(tx);
    assert!(w.found("place", "urn:e", PEER).is_none());
    right(w);
    let mut tx = w.db().begin().unwrap();
    tx.attempt(Attempt::Begin).unwrap();
    take(tx.as_mut(), &table, &place("urn:f", 6, "urn:b")).unwrap_err();
    tx.attempt(Attempt::Undo).unwrap();
    let refused = place("urn:f", 6, "f");
    let lost = Lost { record: view(&refused), side: "incoming", rule: "merge" };
    tx.remember(&table, "urn:a", PEER, 1, NOW, &lost).unwrap();
    tx.commit().unwrap();
    assert_eq!(w.bench.history(), "urn:a incoming merge");
    right(w);
}
