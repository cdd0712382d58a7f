//! What is agreed with peers, what waits, conflicts, aliases, and a journal's lives.

use super::world::{NOW, OTHER, PEER, RUN, Sent, World, gone, place, sent, show, state_of, take, view};
use crate::{
    connector::{Apply, Clash, Effect, Lost, Overdue, Part, Share, Table, Target, Targets, Wait, Waiting, Which, Write},
    model::{Lives, NewState, Page, SiteId, Time},
};

pub(super) fn what_was_agreed_is_kept_for_each_peer_and_part(w: &mut World) {
    let (places, people) = (w.table("place"), w.table("person"));
    let lives = Lives::read("a:3! b:4");
    let (asked, given, former) = ("~.a__eq=1".into(), "~.b__eq=2".into(), Some(String::new()));
    let compare = Overdue { due: true, we_went_back: false, they_went_back: true, found: 0 };
    let share = Share {
        told: 3,
        heard: 4,
        epoch: Some("e".into()),
        pull: "theirs:9".into(),
        push: 12,
        asked,
        given,
        former,
        former_upto: 7,
        compare,
        refused: true,
        lives,
    };
    w.within(|tx| {
        tx.set_share(&places, PEER, Part::Active, &share).unwrap();
        assert_eq!(tx.share(&places, PEER, Part::Active).unwrap(), share);
    });
    assert_eq!(w.db().share(&places, PEER, Part::Active).unwrap(), share);
    for (table, peer, part) in [(&people, PEER, Part::Active), (&places, OTHER, Part::Active), (&places, PEER, Part::Passive)] {
        assert_eq!(w.db().share(table, peer, part).unwrap(), Share::default());
    }
    let next = Share { told: 5, ..share };
    w.db().set_share(&places, PEER, Part::Active, &next, 2).unwrap();
    w.db().set_share(&people, PEER, Part::Passive, &next, 1).unwrap();
    assert_eq!((w.db().share(&places, PEER, Part::Active).unwrap(), w.db().journal().unwrap().runs), (next, 3));
}

pub(super) fn the_answer_to_a_batch_is_kept_for_a_day(w: &mut World) {
    let [one, two, three] = [1, 2, 3].map(uuid::Uuid::from_u128);
    w.within(|tx| tx.set_answer(one, PEER, NOW, "first").unwrap());
    w.within(|tx| tx.set_answer(two, PEER, NOW.plus_seconds(80_000), "second").unwrap());
    let answers = |w: &mut World| w.within(|tx| [one, two, three].map(|batch| tx.answer(batch).unwrap()));
    assert_eq!(answers(w), [Some("first".into()), Some("second".into()), None]);
    w.within(|tx| tx.set_answer(three, OTHER, NOW.plus_seconds(87_000), "third").unwrap());
    assert_eq!(answers(w), [None, Some("second".into()), Some("third".into())]);
}

/// Lets a version of a record wait for others, as parked.
pub(super) fn let_wait(tx: &mut dyn Apply, table: &Table, uid: &str, missing: &[(&str, &str)]) {
    wait_as(tx, table, uid, 1, Waiting::Parked, missing);
}

fn wait_as(tx: &mut dyn Apply, table: &Table, uid: &str, counter: u64, kind: Waiting, missing: &[(&str, &str)]) {
    let page = sent(&table.resource, uid, counter, &[("name", Sent::Text("w")), ("home", Sent::To("place", "urn:h"))]);
    let missing: Vec<(String, String)> = missing.iter().map(|(resource, uid)| ((*resource).into(), (*uid).into())).collect();
    tx.wait(table, view(&page), &Wait { kind, reason: "because", missing: &missing, peer: PEER, run: 8, now: NOW }).unwrap();
}

fn uids(tx: &mut dyn Apply, which: Which<'_>, limit: usize) -> Vec<String> {
    tx.waiters(which, limit).unwrap().iter().map(|waiter| view(&waiter.page).uid().to_owned()).collect()
}

pub(super) fn waiting_records_are_found_by_kind_oldest_first(w: &mut World) {
    let (people, places) = (w.table("person"), w.table("place"));
    w.within(|tx| {
        wait_as(tx, &people, "urn:1", 5, Waiting::Parked, &[("place", "urn:h")]);
        wait_as(tx, &places, "urn:2", 1, Waiting::Quarantined, &[]);
        wait_as(tx, &people, "urn:3", 1, Waiting::Parked, &[]);
        let parked = Which::Kinds(&[Waiting::Parked], 0);
        assert_eq!(uids(tx, parked, 10), ["urn:1", "urn:3"]);
        assert_eq!(uids(tx, parked, 1), ["urn:1"]);
        assert_eq!(uids(tx, Which::Kinds(&[Waiting::Parked, Waiting::Quarantined], 0), 10), ["urn:1", "urn:2", "urn:3"]);
        assert!(uids(tx, Which::Kinds(&[Waiting::Twin], 0), 10).is_empty());
        let first = tx.waiters(parked, 1).unwrap().remove(0);
        assert_eq!((first.kind, first.run, first.site, first.resource.as_str()), (Waiting::Parked, 8, PEER, "person"));
        assert_eq!(show(view(&first.page)), "urn:1 home>urn:h name=w");
        let came = sent("person", "urn:1", 5, &[]);
        assert_eq!(view(&first.page).record.version, view(&came).record.version);
        assert_eq!(uids(tx, Which::Kinds(&[Waiting::Parked], first.id), 10), ["urn:3"]);
    });
    assert!(w.db().waits().unwrap());
    let listed = w.db().waiting().unwrap();
    let told: Vec<(&str, &str, &str)> = listed.iter().map(|e| (e.uid.as_str(), e.kind.as_str(), e.resource.as_str())).collect();
    assert_eq!(told, [("urn:3", "parked", "person"), ("urn:2", "quarantined", "place"), ("urn:1", "parked", "person")]);
    assert_eq!((listed[0].reason.as_str(), listed[0].site, listed[0].at), ("because", PEER, NOW));
    w.within(|tx| listed.iter().for_each(|entry| tx.unwait(entry.id).unwrap()));
    assert!(!w.db().waits().unwrap() && w.db().waiting().unwrap().is_empty());
}

pub(super) fn waiting_records_are_found_by_what_they_wait_for(w: &mut World) {
    let people = w.table("person");
    let pair = |resource: &str, uid: &str| (resource.to_owned(), uid.to_owned());
    w.within(|tx| {
        let_wait(tx, &people, "urn:1", &[("place", "urn:h"), ("person", "urn:f")]);
        let_wait(tx, &people, "urn:2", &[("person", "urn:h")]);
        let_wait(tx, &people, "urn:3", &[("person", "urn:f"), ("place", "urn:h")]);
        assert_eq!(uids(tx, Which::For(&[pair("place", "urn:h")]), 10), ["urn:1", "urn:3"]);
        assert_eq!(uids(tx, Which::For(&[pair("person", "urn:f"), pair("place", "urn:h")]), 10), ["urn:1", "urn:3"]);
        assert!(uids(tx, Which::For(&[pair("place", "urn:f")]), 10).is_empty());
        let first = tx.waiters(Which::For(&[pair("place", "urn:h")]), 1).unwrap().remove(0);
        tx.unwait(first.id).unwrap();
        assert_eq!(uids(tx, Which::For(&[pair("place", "urn:h")]), 10), ["urn:3"]);
    });
}

pub(super) fn waiting_records_are_found_by_what_they_are(w: &mut World) {
    let (people, places) = (w.table("person"), w.table("place"));
    w.within(|tx| {
        wait_as(tx, &people, "urn:1", 1, Waiting::Parked, &[]);
        wait_as(tx, &places, "urn:1", 1, Waiting::Parked, &[]);
        wait_as(tx, &people, "urn:1", 2, Waiting::Quarantined, &[]);
        let versions = tx.waiters(Which::Of(&people, "urn:1"), 10).unwrap();
        let kinds: Vec<Waiting> = versions.iter().map(|waiter| waiter.kind).collect();
        assert_eq!(kinds, [Waiting::Parked, Waiting::Quarantined]);
        assert!(uids(tx, Which::Of(&people, "urn:2"), 10).is_empty());
    });
}

fn clash(w: &mut World, open: bool) -> i64 {
    w.take(&place("urn:a", 1, "a"));
    let (table, theirs) = (w.table("place"), place("urn:a", 2, "b"));
    w.within(|tx| {
        let locals = tx.locals(&table, &["urn:a"], OTHER).unwrap();
        let clash = Clash { ours: locals.page.view(&locals.page.records[0]), theirs: view(&theirs), rule: "MANUAL", open };
        tx.conflict(&table, "urn:a", PEER, 1, NOW, &clash).unwrap();
    });
    w.head("place")
}

fn keep(w: &mut World, release: bool) {
    let table = w.table("place");
    w.within(|tx| {
        let locals = tx.locals(&table, &["urn:a"], PEER).unwrap();
        let here = locals.page.view(&locals.page.records[0]);
        let (mut state, local) = (NewState { shared: false, ..state_of(here) }, locals.found[0]);
        if release {
            state.version = state.version.join(&place("urn:a", 2, "b").records[0].version);
        }
        let (effect, digest) = (Effect::Keep, here.digest());
        let write = Write { uid: "urn:a", local, effect, state: &state, deleted: false, heir: None, digest, release, run: RUN };
        tx.write(&table, &write, PEER, &Targets::default()).unwrap();
    });
}

pub(super) fn a_record_with_an_open_conflict_is_held_until_it_is_released(w: &mut World) {
    let head = clash(w, true);
    assert!(w.found("place", "urn:a", PEER).unwrap().held);
    assert!(w.feed("place", 0, OTHER).is_empty(), "a held record is offered to nobody");
    let (table, mut page) = (w.table("place"), Page::default());
    w.db().lookup(&table, &["urn:a".to_owned()], &mut page).unwrap();
    assert!(page.records.is_empty());
    w.name("place", 1, "edited");
    assert!(w.feed("place", 0, OTHER).is_empty(), "an edit does not release it");
    keep(w, false);
    assert!(w.found("place", "urn:a", PEER).unwrap().held);
    keep(w, true);
    assert!(!w.found("place", "urn:a", PEER).unwrap().held);
    assert_eq!(w.feed("place", head, PEER), ["urn:a name=edited size=big"]);
}

pub(super) fn a_decided_conflict_holds_nothing(w: &mut World) {
    clash(w, false);
    assert!(!w.found("place", "urn:a", PEER).unwrap().held);
    assert_eq!(w.feed("place", 0, OTHER).len(), 1);
}

pub(super) fn lost_versions_are_remembered(w: &mut World) {
    let (table, lost) = (w.table("place"), place("urn:a", 2, "b"));
    w.within(|tx| {
        for (side, rule) in [("incoming", "NEWER"), ("local", "update")] {
            tx.remember(&table, "urn:a", PEER, 1, NOW, &Lost { record: view(&lost), side, rule }).unwrap();
        }
    });
    assert_eq!(w.bench.history(), "urn:a incoming NEWER, urn:a local update");
}

/// Notes that one uid stands for another.
fn bury(tx: &mut dyn Apply, table: &Table, alias: &str, heir: &str) {
    take(tx, table, &gone("place", alias, 9, Some(heir))).unwrap();
}

pub(super) fn a_record_with_another_uid_is_the_same_record(w: &mut World) {
    w.take(&place("urn:b", 1, "b"));
    w.take(&gone("place", "urn:a", 1, None));
    w.take(&sent("person", "urn:p", 1, &[("home", Sent::To("place", "urn:b"))]));
    let table = w.table("place");
    w.within(|tx| {
        tx.rekey(&table, "urn:b", "urn:a").unwrap();
        let locals = tx.locals(&table, &["urn:a", "urn:b"], PEER).unwrap();
        assert!(locals.found[0].unwrap().living && locals.found[1].is_none());
        bury(tx, &table, "urn:b", "urn:a");
    });
    assert_eq!(w.feed("place", 0, OTHER), ["urn:a name=b size=big", "urn:b gone>urn:a"]);
    assert_eq!(
        (w.bench.column("place", "name"), w.feed("person", 0, OTHER)),
        ("1=b".into(), vec!["urn:p friend=- home>urn:a name=-".into()])
    );
}

pub(super) fn aliases_are_followed_to_the_end(w: &mut World) {
    w.take(&place("urn:a", 1, "a"));
    let table = w.table("place");
    w.within(|tx| {
        bury(tx, &table, "urn:c", "urn:b");
        bury(tx, &table, "urn:b", "urn:a");
        let locals = tx.locals(&table, &["urn:x", "urn:c", "urn:b", "urn:a"], PEER).unwrap();
        let shown = |place: usize| locals.found[place].map(|found| show(locals.page.view(&locals.page.records[found.at])));
        assert_eq!(shown(0), None);
        for place in 1..=3 {
            assert_eq!(shown(place).as_deref(), Some("urn:a name=a size=big"));
        }
        let targets = tx.resolve(&[("place", "urn:c"), ("place", "urn:b"), ("place", "urn:a")]).unwrap();
        assert!(matches!(targets.get("place", "urn:c"), Target::Here(_)));
        assert_eq!(
            (targets.get("place", "urn:c"), targets.get("place", "urn:b")),
            (targets.get("place", "urn:a"), targets.get("place", "urn:a"))
        );
    });
}

pub(super) fn an_arrival_is_never_given_twice(w: &mut World) {
    w.take(&place("urn:b", 1, "b"));
    w.take(&gone("place", "urn:a", 1, None));
    let (table, told) = (w.table("place"), w.head("place"));
    w.within(|tx| {
        tx.rekey(&table, "urn:b", "urn:a").unwrap();
        bury(tx, &table, "urn:b", "urn:a");
    });
    let told_next: Vec<String> = w.feed("place", told, OTHER);
    assert!(told_next.contains(&"urn:b gone>urn:a".to_owned()), "who was told up to {told} is told of the alias: {told_next:?}");
}

pub(super) fn a_match_is_a_living_record_with_equal_columns(w: &mut World) {
    w.name("place", 1, "a");
    w.name("place", 2, "gone");
    let uid = w.uid("place", "a");
    w.bench.delete("place", 2);
    let (places, people) = (w.table("place"), w.table("person"));
    w.within(|tx| {
        tx.fold(&places).unwrap();
        let mut twin =
            |fields: &[(&str, Sent<'_>)]| tx.twin(&places, view(&sent("place", "urn:x", 1, fields)), &Targets::default()).unwrap();
        assert_eq!(twin(&[("name", Sent::Text("a"))]), Some(uid.clone()));
        for fields in [[("name", Sent::Text("b"))], [("name", Sent::Text("gone"))], [("name", Sent::Null)], [("size", Sent::Text("a"))]] {
            assert_eq!(twin(&fields), None);
        }
        let person = sent("person", "urn:x", 1, &[("name", Sent::Text("a"))]);
        assert_eq!(tx.twin(&people, view(&person), &Targets::default()).unwrap(), None, "it has no match columns");
    });
}

pub(super) fn what_was_agreed_with_another_life_of_the_journal_has_to_be_compared(w: &mut World) {
    w.take(&place("urn:a", 1, "a"));
    let (table, head) = (w.table("place"), w.head("place"));
    let share = Share { told: 3, heard: 4, epoch: Some("e".into()), pull: "theirs:9".into(), push: 12, ..Share::default() };
    w.db().set_share(&table, PEER, Part::Passive, &share, 1).unwrap();
    let (site, before) = (SiteId(uuid::Uuid::from_u128(77)), w.db().journal().unwrap());
    w.db().renew(site, before.incarnation + 5, "next").unwrap();
    let journal = w.db().journal().unwrap();
    assert_eq!((journal.site, journal.incarnation, journal.epoch.as_str(), journal.runs), (site, before.incarnation + 5, "next", 1));
    let left = w.db().share(&table, PEER, Part::Passive).unwrap();
    let compare = Overdue { due: true, we_went_back: true, they_went_back: false, found: 1 };
    assert_eq!(left, Share { told: 0, heard: 0, compare, ..share.clone() }, "to another site nothing was told yet");
    w.db().set_share(&table, PEER, Part::Passive, &share, 0).unwrap();
    let kept = w.db().share(&table, PEER, Part::Passive).unwrap();
    assert_eq!(kept, Share { compare, ..share.clone() }, "who read it before that was found cannot undo it");
    w.db().set_share(&table, PEER, Part::Passive, &Share { compare: compare.done(), ..share.clone() }, 0).unwrap();
    assert!(!w.db().share(&table, PEER, Part::Passive).unwrap().compare.due);
    let compare = Overdue { found: 2, ..compare };
    w.db().renew(site, before.incarnation + 5, "next").unwrap();
    assert_eq!(w.db().share(&table, PEER, Part::Passive).unwrap(), Share { compare, ..share }, "run numbers are never told twice");
    assert_eq!(w.db().share(&table, OTHER, Part::Active).unwrap(), Share::default(), "nothing was agreed with it");
    w.name("place", 2, "b");
    let page = w.offered("place", head, OTHER);
    let version = &view(&page).record.version;
    assert_eq!(version.iter().map(|(actor, _)| (actor.site, actor.incarnation)).collect::<Vec<_>>(), [(site, journal.incarnation)]);
}

pub(super) fn forgetting_one_peer_leaves_the_others(w: &mut World) {
    let stranger = SiteId(uuid::Uuid::from_u128(99));
    let table = w.table("place");
    w.take(&place("urn:a", 1, "a"));
    for peer in [OTHER, stranger] {
        w.db().forget_shared(&table, peer).unwrap();
        assert!(w.found("place", "urn:a", PEER).unwrap().shared);
    }
    w.db().forget_shared(&table, PEER).unwrap();
    assert_eq!(w.feed("place", 0, PEER), ["urn:a name=a size=big"]);
    assert_eq!(w.db().share(&table, PEER, Part::Active).unwrap(), Share::default());
    assert!(Time(0) < view(&w.record("place", "urn:a")).record.modified_on);
}
