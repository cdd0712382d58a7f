//! What no trigger noticed is found, and what is old is forgotten.

use super::{
    sums::{kept, worked_out},
    world::{ME, NOW, OTHER, PEER, Put, World, place, view},
};
use crate::{
    connector::{Forgotten, Lost, Retention, Swept},
    model::Time,
};

/// What a sweep of a table finds.
pub(super) fn sweep(w: &mut World, table: &str) -> Swept {
    let table = w.table(table);
    let mut told = Vec::new();
    let swept = w.db().sweep(&table, NOW, &mut |what, done, of| told.push((what.to_owned(), done, of))).unwrap();
    assert!(told.last().is_some_and(|(what, done, of)| (what, done) == (&table.resource, of)), "{told:?}");
    swept
}

pub(super) fn what_no_trigger_noticed_is_found_and_becomes_local_edits(w: &mut World) {
    for (key, name) in [(1, "stays"), (2, "changes"), (3, "goes")] {
        w.name("place", key, name);
    }
    w.take(&place("urn:theirs", 1, "theirs"));
    w.offered("place", 0, OTHER);
    let head = w.head("place");
    w.sneak(|bench| {
        bench.put("place", 2, &[("name", Put::Text("changed"))]);
        bench.put("place", 9, &[("name", Put::Text("came"))]);
        bench.delete("place", 3);
    });
    assert_eq!(w.head("place"), head, "nobody noticed");
    let found = sweep(w, "place");
    assert_eq!(found, Swept { rows: 4, added: 1, changed: 1, removed: 1, mended: false });
    let mut feed = w.feed("place", head, OTHER);
    feed.retain(|record| !record.ends_with("gone"));
    feed.iter_mut().for_each(|record| *record = record.split_once(' ').unwrap().1.to_owned());
    feed.sort();
    assert_eq!(feed, ["name=came size=-", "name=changed size=-"]);
    let edits = w.offered("place", head, OTHER);
    let me = w.me();
    assert!(edits.views().len() == 3 && edits.views().all(|edit| edit.record.author == ME && edit.record.version.get(me) > 0));
    assert_eq!(sweep(w, "place"), Swept { rows: 4, ..Swept::default() });
    let sum = worked_out(w, "place");
    assert_eq!(kept(w, "place"), Some(sum));
}

pub(super) fn what_was_noticed_is_no_find(w: &mut World) {
    w.name("place", 1, "noticed");
    w.bench.put("person", 1, &[("name", Put::Text("p")), ("home", Put::Row(1)), ("friend", Put::Row(1))]);
    for folded in [false, true] {
        for table in ["place", "person", "code"] {
            assert!(!sweep(w, table).any(), "{table} folded: {folded}");
        }
        w.offered("person", 0, OTHER);
    }
    w.bench.delete("person", 1);
    assert!(!sweep(w, "person").any());
}

pub(super) fn a_record_whose_reference_leads_somewhere_at_last_counts_in_the_sum(w: &mut World) {
    w.bench.be_careless();
    w.bench.put("person", 1, &[("home", Put::Row(7))]);
    assert!(w.offered("person", 0, OTHER).records.is_empty());
    assert_eq!(sweep(w, "person"), Swept { rows: 1, ..Swept::default() });
    w.name("place", 7, "built");
    let table = w.table("person");
    w.db().recheck(&table).unwrap();
    let sum = worked_out(w, "person");
    assert_eq!(w.offered("person", 0, OTHER).records.len(), 1);
    assert_eq!(kept(w, "person"), Some(sum));
}

pub(super) fn old_and_surplus_versions_are_forgotten_and_the_latest_stay(w: &mut World) {
    let table = w.table("place");
    w.within(|tx| {
        for (uid, at) in [("urn:a", 1), ("urn:a", 2), ("urn:a", 50), ("urn:a", 51), ("urn:a", 52), ("urn:b", 3), ("urn:b", 60)] {
            let page = place(uid, at, "lost");
            let lost = Lost { record: view(&page), side: if at == 51 { "local" } else { "incoming" }, rule: "NEWER" };
            tx.remember(&table, uid, PEER, 1, Time(at.cast_signed()), &lost).unwrap();
        }
        tx.set_answer(uuid::Uuid::from_u128(1), PEER, Time(5), "old").unwrap();
        tx.set_answer(uuid::Uuid::from_u128(2), PEER, Time(50), "new").unwrap();
    });
    let keep = Retention { before: Time(10), versions: 2, answers: Time(10) };
    assert_eq!(w.db().forget(keep).unwrap(), Forgotten { versions: 4, conflicts: 0 });
    assert_eq!(w.bench.history(), "urn:a local NEWER, urn:a incoming NEWER, urn:b incoming NEWER");
    let answers = w.within(|tx| [1, 2].map(|id| tx.answer(uuid::Uuid::from_u128(id)).unwrap()));
    assert_eq!(answers, [None, Some("new".to_owned())]);
    assert_eq!(w.db().forget(keep).unwrap(), Forgotten::default());
}
