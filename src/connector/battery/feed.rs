//! The feed, and what is attached.

use super::world::{OTHER, PEER, Put, Sent, World, gone, place, sent, view};
use crate::{
    connector::{Extent, Waiting},
    error::Kind,
    model::{Page, SiteId, Time},
};

fn names(page: &Page) -> Vec<&str> {
    page.views().map(|record| record.get("name").map_or("gone", |value| value.text)).collect()
}

pub(super) fn the_feed_is_in_the_order_of_arrival(w: &mut World) {
    for (key, name) in [(3, "a"), (1, "b"), (2, "c")] {
        w.name("place", key, name);
    }
    assert_eq!(names(&w.offered("place", 0, OTHER)), ["a", "b", "c"]);
    w.name("place", 3, "d");
    w.take(&place("urn:e", 1, "e"));
    w.bench.delete("place", 1);
    assert_eq!(names(&w.offered("place", 0, OTHER)), ["c", "d", "e", "gone"]);
}

pub(super) fn a_cursor_continues_after_its_page(w: &mut World) {
    for key in 1..=5 {
        w.name("place", key, &format!("p{key}"));
    }
    let two = Extent { records: 2, bytes: 1 << 20 };
    let (mut cursor, mut seen, mut more) = (0, Vec::new(), true);
    while more {
        let (page, upto, goes_on) = w.page("place", cursor, OTHER, two);
        assert!(page.records.len() <= 2 && upto >= cursor);
        seen.extend(names(&page).into_iter().map(str::to_owned));
        (cursor, more) = (upto, goes_on);
    }
    assert_eq!(seen, ["p1", "p2", "p3", "p4", "p5"]);
    assert_eq!((cursor, w.offered("place", cursor, OTHER).records.len()), (w.head("place"), 0));
    w.name("place", 2, "p6");
    assert_eq!(names(&w.offered("place", cursor, OTHER)), ["p6"]);
}

pub(super) fn a_page_of_too_few_bytes_still_holds_one_record(w: &mut World) {
    w.name("place", 1, "longer than a byte");
    w.name("place", 2, "next");
    let (page, upto, more) = w.page("place", 0, OTHER, Extent { records: 10, bytes: 1 });
    assert_eq!((names(&page), more), (vec!["longer than a byte"], true));
    let (page, ..) = w.page("place", upto, OTHER, Extent { records: 10, bytes: 1 });
    assert_eq!(names(&page), ["next"]);
}

pub(super) fn a_record_is_not_offered_to_the_peer_that_sent_it(w: &mut World) {
    w.take(&place("urn:a", 1, "a"));
    assert_eq!(w.feed("place", 0, OTHER), ["urn:a name=a size=big"]);
    assert!(w.feed("place", 0, PEER).is_empty());
    let (_, upto, _) = w.page("place", 0, PEER, Extent { records: 10, bytes: 1 << 20 });
    assert_eq!(upto, w.head("place"), "the cursor passes what is not offered");
    let shared = |w: &mut World, peer| w.found("place", "urn:a", peer).unwrap().shared;
    assert_eq!((shared(w, PEER), shared(w, OTHER)), (true, false));
    w.name("place", 1, "b");
    assert_eq!(w.feed("place", upto, PEER), ["urn:a name=b size=big"]);
    assert!(!shared(w, PEER));
}

pub(super) fn references_travel_as_uids(w: &mut World) {
    w.name("place", 1, "a");
    w.bench.put("person", 1, &[("name", Put::Text("x")), ("home", Put::Row(1))]);
    let people = w.feed("person", 0, OTHER);
    let (home, person) = (w.uid("place", "a"), w.uid("person", "x"));
    assert_eq!(people, [format!("{person} friend=- home>{home} name=x")]);
}

pub(super) fn a_record_that_refers_to_nothing_waits_until_it_refers_to_something(w: &mut World) {
    w.bench.be_careless();
    w.bench.put("person", 1, &[("name", Put::Text("x")), ("home", Put::Row(7))]);
    w.bench.put("person", 2, &[("name", Put::Text("y"))]);
    let (page, upto, _) = w.page("person", 0, OTHER, Extent { records: 10, bytes: 1 << 20 });
    assert_eq!((names(&page), upto), (vec!["y"], w.head("person")));
    assert_eq!(w.feed("person", 0, OTHER).len(), 1);
    let waiting = w.db().waiting().unwrap();
    let [entry] = waiting.as_slice() else { panic!("it waits once: {waiting:?}") };
    assert_eq!((entry.kind.as_str(), entry.resource.as_str()), (Waiting::Outgoing.word(), "person"));
    assert!(!w.db().waits().unwrap(), "only incoming records make a run look again");
    let people = w.table("person");
    w.db().recheck(&people).unwrap();
    assert_eq!((w.head("person"), w.db().waiting().unwrap().len()), (upto, 1));
    w.name("place", 7, "a");
    w.db().recheck(&people).unwrap();
    assert_eq!(names(&w.offered("person", upto, OTHER)), ["x"]);
    assert!(w.db().waiting().unwrap().is_empty());
}

pub(super) fn lookup_gives_tombstones_and_leaves_out_the_unknown(w: &mut World) {
    w.take(&place("urn:a", 1, "a"));
    w.take(&gone("place", "urn:b", 2, None));
    let (table, mut page) = (w.table("place"), Page::default());
    let asked = ["urn:a", "urn:b", "urn:c"].map(str::to_owned);
    w.db().lookup(&table, &asked, &mut page).unwrap();
    let mut shown: Vec<String> = page.views().map(super::world::show).collect();
    shown.sort();
    assert_eq!(shown, ["urn:a name=a size=big", "urn:b gone"]);
}

pub(super) fn what_came_after_an_arrival_is_pending_for_all_but_its_giver(w: &mut World) {
    w.name("place", 1, "one");
    let table = w.table("place");
    let pending = |w: &mut World, after, peer, most| {
        let found = w.db().pending(&table, after, peer, most).unwrap();
        (found.records, found.more)
    };
    w.head("place");
    assert_eq!(pending(w, 0, PEER, 100), (1, false));
    let head = w.head("place");
    assert_eq!(pending(w, head, PEER, 100), (0, false));
    for id in 2..=4 {
        w.name("place", id, &format!("more {id}"));
    }
    w.take(&place("urn:b", 1, "theirs"));
    assert_eq!((pending(w, head, OTHER, 100), pending(w, head, PEER, 100)), ((4, false), (3, false)));
    assert_eq!(pending(w, head, OTHER, 2), (2, true));
}

pub(super) fn only_living_records_are_counted_and_sampled(w: &mut World) {
    w.take(&place("urn:a", 1, "a"));
    w.take(&gone("place", "urn:b", 2, None));
    w.name("place", 9, "c");
    let table = w.table("place");
    let mut uids = w.db().sample(&table, 10).unwrap();
    uids.retain(|uid| uid != "urn:a");
    assert_eq!(uids, [w.uid("place", "c")]);
    assert_eq!((w.db().count(&table).unwrap(), w.db().sample(&table, 1).unwrap().len()), (2, 1));
}

pub(super) fn fields_without_a_column_are_passed_on(w: &mut World) {
    let fields = [("name", Sent::Text("a")), ("size", Sent::Null), ("colour", Sent::Text("red")), ("by", Sent::To("person", "urn:p"))];
    w.take(&sent("place", "urn:a", 1, &fields));
    assert_eq!(w.feed("place", 0, OTHER), ["urn:a by>urn:p colour=red name=a size=-"]);
    let row = w.found("place", "urn:a", PEER).unwrap();
    w.name("place", 1, "b");
    assert_eq!(w.feed("place", row.arrival, PEER), ["urn:a by>urn:p colour=red name=b size=-"]);
    w.bench.delete("place", 1);
    assert_eq!(w.feed("place", 0, PEER), ["urn:a gone"]);
    w.name("place", 1, "c");
    assert_eq!(w.feed("place", 0, PEER), ["urn:a name=c size=-"], "what was deleted does not come back");
}

pub(super) fn fields_without_a_column_stay_until_they_are_named(w: &mut World) {
    w.take(&sent("place", "urn:a", 1, &[("name", Sent::Text("a")), ("colour", Sent::Text("red")), ("shape", Sent::Text("round"))]));
    w.take(&sent("place", "urn:a", 2, &[("name", Sent::Text("b"))]));
    assert_eq!(w.feed("place", 0, OTHER), ["urn:a colour=red name=b shape=round size=-"]);
    w.take(&sent("place", "urn:a", 3, &[("colour", Sent::Text("blue"))]));
    assert_eq!(w.feed("place", 0, OTHER), ["urn:a colour=blue name=b shape=round size=-"]);
}

fn detached(w: &mut World) {
    w.db().detach(true).unwrap();
}

pub(super) fn nothing_travels_before_a_database_is_attached(w: &mut World) {
    let table = w.table("place");
    detached(w);
    assert_eq!(w.db().journal().unwrap_err().kind(), Kind::NotFound);
    assert!(w.db().tables().unwrap().is_empty());
    let everything = Extent { records: 10, bytes: 1 << 20 };
    let refused = w.db().export(&table, 0, PEER, everything, Time(0), &mut Page::default()).unwrap_err();
    assert_eq!(refused.kind(), Kind::NotFound);
    let survey = w.db().survey().unwrap();
    let person = survey.iter().find(|survey| survey.table == "person").unwrap();
    assert!(person.identity.is_ok() && person.references.contains(&"place".to_owned()) && person.attached.is_none());
    w.attach();
    assert!(w.db().survey().unwrap().iter().all(|survey| survey.attached.as_ref() == Some(&survey.table)));
}

pub(super) fn rows_that_were_there_are_journalled_when_attached(w: &mut World) {
    detached(w);
    w.name("place", 1, "a");
    w.bench.put("person", 1, &[("name", Put::Text("x")), ("home", Put::Row(1))]);
    w.attach();
    assert!(w.table("place").ready && w.table("person").ready);
    let (home, me) = (w.uid("place", "a"), w.me());
    assert!(w.feed("person", 0, OTHER)[0].ends_with(&format!(" friend=- home>{home} name=x")));
    let page = w.record("place", &home);
    let record = view(&page).record;
    assert!(record.version.get(me) > 0 && (record.author, record.origin) == (me.site, me.site));
}

pub(super) fn what_was_written_while_detached_is_noticed(w: &mut World) {
    for (key, name) in [(1, "a"), (2, "b"), (3, "c")] {
        w.name("place", key, name);
    }
    let (uid, before) = (w.uid("place", "b"), w.offered("place", 0, OTHER));
    let head = w.head("place");
    w.db().detach(false).unwrap();
    w.name("place", 1, "d");
    w.bench.delete("place", 2);
    w.name("place", 4, "e");
    w.attach();
    let after = w.offered("place", head, OTHER);
    let mut noticed = names(&after);
    noticed.sort_unstable();
    assert_eq!(noticed, ["d", "e", "gone"]);
    let tombstone = after.views().find(|record| record.record.deleted).unwrap();
    assert_eq!(tombstone.uid(), uid);
    assert_eq!(after.views().find(|record| record.get("name").is_some_and(|name| name.text == "d")).unwrap().uid(), view(&before).uid());
}

pub(super) fn a_database_belongs_to_one_site(w: &mut World) {
    let refused = w.db().attach(&[], SiteId(uuid::Uuid::from_u128(9)), Time(5), &mut |_, _, _| {}).unwrap_err();
    assert_eq!(refused.kind(), Kind::Exists);
    assert_eq!(w.db().journal().unwrap().site, super::world::ME);
}

pub(super) fn the_pulse_beats_when_an_application_writes(w: &mut World) {
    let before = w.db().pulse().unwrap();
    assert_eq!(w.db().pulse().unwrap(), before);
    w.name("place", 1, "a");
    assert_ne!(w.db().pulse().unwrap(), before);
    assert!(!w.db().stale());
}

pub(super) fn a_row_put_back_while_detached_is_noticed(w: &mut World) {
    w.name("place", 1, "a");
    let uid = w.uid("place", "a");
    w.bench.delete("place", 1);
    assert_eq!(w.feed("place", 0, OTHER), [format!("{uid} gone")]);
    w.db().detach(false).unwrap();
    w.name("place", 1, "b");
    w.attach();
    assert_eq!(w.feed("place", 0, OTHER), [format!("{uid} name=b size=-")]);
}
