//! Applying a page: what is here, where references lead, and writing.

use super::world::{ME, OTHER, PEER, Put, RUN, Sent, World, gone, place, sent, show, state_of, take, view};
use crate::{
    connector::{Effect, KeyPart, Target, Targets, Write},
    error::Kind,
    model::{Actor, Digest, NewState, Page},
};

pub(super) fn locals_come_in_the_order_asked(w: &mut World) {
    w.take(&place("urn:a", 1, "a"));
    w.take(&gone("place", "urn:b", 2, None));
    w.take(&place("urn:c", 3, "c"));
    let table = w.table("place");
    let mut tx = w.db().begin().unwrap();
    let locals = tx.locals(&table, &["urn:c", "urn:x", "urn:b", "urn:a"], PEER).unwrap();
    let shown = |place: usize| locals.found[place].map(|found| show(locals.page.view(&locals.page.records[found.at])));
    assert_eq!(locals.found.len(), 4);
    assert_eq!((shown(0).as_deref(), shown(1)), (Some("urn:c name=c size=big"), None));
    assert_eq!((shown(2).as_deref(), shown(3).as_deref()), (Some("urn:b gone"), Some("urn:a name=a size=big")));
    assert_eq!(locals.found[2].map(|found| found.living), Some(false));
    assert!(tx.locals(&table, &[], PEER).unwrap().found.is_empty());
}

pub(super) fn references_lead_to_living_deleted_and_missing_records(w: &mut World) {
    w.take(&place("urn:a", 1, "a"));
    w.take(&gone("place", "urn:b", 2, None));
    w.name("place", 9, "c");
    let local = w.uid("place", "c");
    let wanted = [("place", "urn:a"), ("place", "urn:b"), ("place", "urn:x"), ("nothing", "urn:a"), ("place", local.as_str())];
    let targets = w.db().begin().unwrap().resolve(&wanted).unwrap();
    assert!(matches!(targets.get("place", "urn:a"), Target::Here(key) if key.0.len() == 1));
    assert!(matches!(targets.get("place", &local), Target::Here(key) if key.0 == [KeyPart::Integer(9)]));
    assert_eq!(targets.get("place", "urn:b"), &Target::Deleted);
    assert_eq!((targets.get("place", "urn:x"), targets.get("nothing", "urn:a")), (&Target::Missing, &Target::Missing));
}

fn person(uid: &str, counter: u64, home: Sent<'_>, friend: Sent<'_>) -> Page {
    sent("person", uid, counter, &[("name", Sent::Text(uid)), ("home", home), ("friend", friend)])
}

pub(super) fn a_record_is_written_with_its_references(w: &mut World) {
    w.name("place", 41, "here before");
    w.take(&place("urn:a", 1, "a"));
    w.take(&person("urn:p", 1, Sent::To("place", "urn:a"), Sent::Null));
    let key = w.bench.column("place", "name");
    let key = key.split(' ').next_back().unwrap().trim_end_matches("=a").to_owned();
    assert_eq!(w.bench.column("person", "home"), format!("1={key}"));
    assert_eq!(w.feed("person", 0, OTHER), ["urn:p friend=- home>urn:a name=urn:p"]);
    w.take(&person("urn:p", 2, Sent::Null, Sent::To("person", "urn:p")));
    assert_eq!((w.bench.column("person", "home"), w.bench.column("person", "friend")), ("1=-".into(), "1=1".into()));
}

fn write(tx: &mut dyn crate::connector::Apply, page: &Page, targets: &Targets) -> crate::error::Result<Option<crate::connector::Key>> {
    let (record, table) = (view(page), tx.table(&page.resource)?.unwrap());
    let state = state_of(record);
    let (effect, digest) = (Effect::Put(record), record.digest());
    let write =
        Write { uid: record.uid(), local: None, effect, state: &state, deleted: false, heir: None, digest, release: false, run: RUN };
    tx.write(&table, &write, PEER, targets)
}

pub(super) fn records_that_refer_to_each_other_are_written_with_promised_keys(w: &mut World) {
    let pages = [person("urn:p", 1, Sent::Null, Sent::To("person", "urn:q")), person("urn:q", 2, Sent::Null, Sent::To("person", "urn:p"))];
    let table = w.table("person");
    w.within(|tx| {
        tx.defer().unwrap();
        let mut targets = Targets::default();
        for page in &pages {
            let key = tx.reserve(&table, view(page), &targets).unwrap();
            targets.set("person", view(page).uid(), Target::Here(key));
        }
        for page in &pages {
            let key = write(tx, page, &targets).unwrap().unwrap();
            assert_eq!(targets.get("person", view(page).uid()), &Target::Here(key));
        }
    });
    assert_eq!(w.bench.column("person", "friend"), "1=2 2=1");
    let feed = w.feed("person", 0, OTHER);
    assert_eq!(feed, ["urn:p friend>urn:q home=- name=urn:p", "urn:q friend>urn:p home=- name=urn:q"]);
}

pub(super) fn a_promised_key_is_given_to_no_other(w: &mut World) {
    let (early, late) = (place("urn:a", 1, "a"), place("urn:b", 2, "b"));
    let table = w.table("place");
    w.within(|tx| {
        let promised = tx.reserve(&table, view(&early), &Targets::default()).unwrap();
        let other = write(tx, &late, &Targets::default()).unwrap().unwrap();
        assert_ne!(promised, other);
        assert_eq!(write(tx, &early, &Targets::default()).unwrap(), Some(promised));
    });
    assert_eq!(w.bench.column("place", "name").split(' ').count(), 2);
}

pub(super) fn a_reference_that_still_leads_nowhere_stops_the_commit(w: &mut World) {
    let pages = [person("urn:p", 1, Sent::Null, Sent::To("person", "urn:q")), person("urn:q", 2, Sent::Null, Sent::Null)];
    let table = w.table("person");
    let mut tx = w.db().begin().unwrap();
    tx.defer().unwrap();
    let key = tx.reserve(&table, view(&pages[1]), &Targets::default()).unwrap();
    let mut targets = Targets::default();
    targets.set("person", "urn:q", Target::Here(key));
    write(tx.as_mut(), &pages[0], &targets).unwrap();
    assert_eq!(tx.commit().unwrap_err().kind(), Kind::Constraint);
    assert_eq!((w.bench.column("person", "name"), w.head("person")), (String::new(), 0));
    w.take(&pages[1]);
    w.take(&pages[0]);
    assert_eq!(w.bench.column("person", "friend"), "1=- 2=1");
}

pub(super) fn a_reference_of_another_kind_is_refused(w: &mut World) {
    w.take(&place("urn:a", 1, "a"));
    let table = w.table("person");
    let wrong = [Sent::To("person", "urn:a"), Sent::To("place", "urn:x"), Sent::Text("urn:a")];
    w.within(|tx| {
        for home in wrong {
            let refused = take(tx, &table, &person("urn:p", 1, home, Sent::Null)).unwrap_err();
            assert_eq!(refused.kind(), Kind::Constraint);
        }
    });
    assert_eq!((w.bench.column("person", "name"), w.head("person")), (String::new(), 0));
}

pub(super) fn a_record_that_others_refer_to_cannot_go(w: &mut World) {
    w.take(&place("urn:a", 1, "a"));
    w.take(&person("urn:p", 1, Sent::To("place", "urn:a"), Sent::Null));
    w.take(&person("urn:p", 2, Sent::To("place", "urn:a"), Sent::To("person", "urn:p")));
    let (places, people) = (w.table("place"), w.table("person"));
    w.within(|tx| {
        let home = tx.locals(&places, &["urn:a"], PEER).unwrap().found[0].unwrap();
        let friend = tx.locals(&people, &["urn:p"], PEER).unwrap().found[0].unwrap();
        assert!(tx.referred(&places, home).unwrap());
        assert!(!tx.referred(&people, friend).unwrap(), "what refers to itself only may go");
        assert_eq!(take(tx, &places, &gone("place", "urn:a", 3, None)).unwrap_err().kind(), Kind::Constraint);
        take(tx, &people, &gone("person", "urn:p", 3, None)).unwrap();
        let home = tx.locals(&places, &["urn:a"], PEER).unwrap().found[0].unwrap();
        assert!(home.living && !tx.referred(&places, home).unwrap());
        take(tx, &places, &gone("place", "urn:a", 4, None)).unwrap();
    });
    assert_eq!((w.bench.column("place", "name"), w.bench.column("person", "name")), (String::new(), String::new()));
}

pub(super) fn keeping_changes_the_state_alone(w: &mut World) {
    w.take(&place("urn:a", 1, "a"));
    let (table, newer) = (w.table("place"), place("urn:a", 7, "ignored"));
    let before = w.found("place", "urn:a", PEER).unwrap();
    w.within(|tx| {
        let locals = tx.locals(&table, &["urn:a"], PEER).unwrap();
        let here = locals.page.view(&locals.page.records[0]);
        let state = NewState { settled: vec![ME, PEER], shared: false, ..state_of(view(&newer)) };
        let (effect, digest) = (Effect::Keep, here.digest());
        let local = locals.found[0];
        let write = Write { uid: "urn:a", local, effect, state: &state, deleted: false, heir: None, digest, release: false, run: RUN };
        assert_eq!(tx.write(&table, &write, PEER, &Targets::default()).unwrap(), None);
    });
    let (page, after) = (w.record("place", "urn:a"), w.found("place", "urn:a", PEER).unwrap());
    assert_eq!(w.feed("place", before.arrival, PEER), ["urn:a name=a size=big"]);
    assert_eq!((&view(&page).record.version, &view(&page).record.settled), (&view(&newer).record.version, &vec![ME, PEER]));
    assert!(after.arrival > before.arrival && !after.shared);
}

pub(super) fn fields_that_are_not_named_keep_their_values(w: &mut World) {
    w.take(&place("urn:a", 1, "a"));
    w.take(&sent("place", "urn:a", 2, &[("name", Sent::Text("b"))]));
    assert_eq!(w.feed("place", 0, OTHER), ["urn:a name=b size=big"]);
    w.take(&sent("place", "urn:a", 3, &[("size", Sent::Null)]));
    assert_eq!(w.feed("place", 0, OTHER), ["urn:a name=b size=-"]);
    w.take(&sent("place", "urn:a", 4, &[]));
    assert_eq!(w.feed("place", 0, OTHER), ["urn:a name=b size=-"]);
}

pub(super) fn of_some_fields_only_the_named_are_put(w: &mut World) {
    w.take(&place("urn:a", 1, "a"));
    let theirs = sent("place", "urn:a", 2, &[("name", Sent::Text("b")), ("size", Sent::Text("small")), ("colour", Sent::Text("red"))]);
    let (table, named) = (w.table("place"), ["size".to_owned(), "colour".to_owned()]);
    w.within(|tx| {
        let local = tx.locals(&table, &["urn:a"], PEER).unwrap().found[0];
        let (state, merged) =
            (state_of(view(&theirs)), sent("place", "urn:a", 2, &[("name", Sent::Text("a")), ("size", Sent::Text("small"))]));
        let (effect, digest) = (Effect::Some(view(&theirs), &named), view(&merged).digest());
        let write = Write { uid: "urn:a", local, effect, state: &state, deleted: false, heir: None, digest, release: false, run: RUN };
        assert!(tx.write(&table, &write, PEER, &Targets::default()).unwrap().is_some());
    });
    assert_eq!(w.feed("place", 0, OTHER), ["urn:a colour=red name=a size=small"]);
}

pub(super) fn a_deleted_record_leaves_a_tombstone(w: &mut World) {
    w.take(&place("urn:a", 1, "a"));
    w.take(&gone("place", "urn:a", 2, None));
    assert_eq!((w.bench.column("place", "name"), w.feed("place", 0, OTHER)), (String::new(), vec!["urn:a gone".to_owned()]));
    assert!(w.feed("place", 0, PEER).is_empty(), "writing is not captured as an edit");
    let head = w.head("place");
    w.take(&gone("place", "urn:a", 3, None));
    assert_eq!((w.feed("place", head, OTHER).len(), w.head("place")), (1, head + 1));
    w.take(&place("urn:a", 4, "b"));
    assert_eq!(w.feed("place", 0, OTHER), ["urn:a name=b size=big"]);
    assert!(w.feed("place", 0, PEER).is_empty());
}

pub(super) fn a_tombstone_of_an_unknown_record_is_kept_and_passed_on(w: &mut World) {
    let tombstone = gone("place", "urn:a", 6, None);
    w.take(&tombstone);
    let page = w.offered("place", 0, OTHER);
    assert_eq!((show(view(&page)), &view(&page).record.version), ("urn:a gone".to_owned(), &view(&tombstone).record.version));
    assert!(w.feed("place", 0, PEER).is_empty());
}

pub(super) fn the_key_of_a_deleted_record_is_given_to_no_other(w: &mut World) {
    w.take(&place("urn:a", 1, "a"));
    w.take(&gone("place", "urn:a", 2, None));
    w.take(&place("urn:b", 1, "b"));
    assert_eq!(w.bench.column("place", "name"), "2=b");
    w.take(&place("urn:a", 3, "a"));
    assert_eq!(w.bench.column("place", "name"), "1=a 2=b");
}

pub(super) fn a_refused_record_leaves_the_transaction_usable(w: &mut World) {
    w.name("place", 1, "a");
    w.uid("place", "a");
    let (table, head) = (w.table("place"), w.head("place"));
    w.within(|tx| {
        take(tx, &table, &place("urn:b", 1, "b")).unwrap();
        for refused in [place("urn:x", 2, "a"), sent("place", "urn:x", 2, &[("name", Sent::Null)])] {
            assert_eq!(take(tx, &table, &refused).unwrap_err().kind(), Kind::Constraint);
            assert!(!tx.broken());
        }
        assert_eq!(take(tx, &table, &place("urn:b", 3, "a")).unwrap_err().kind(), Kind::Constraint);
        assert!(tx.locals(&table, &["urn:x"], PEER).unwrap().found[0].is_none());
        take(tx, &table, &place("urn:c", 4, "c")).unwrap();
    });
    assert_eq!(w.bench.column("place", "name").split(' ').map(|row| &row[2..]).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(w.feed("place", head, OTHER), ["urn:b name=b size=big", "urn:c name=c size=big"]);
}

pub(super) fn a_second_record_under_one_uid_is_refused(w: &mut World) {
    w.take(&place("urn:a", 1, "a"));
    let second = place("urn:a", 2, "b");
    w.within(|tx| assert_eq!(write(tx, &second, &Targets::default()).unwrap_err().kind(), Kind::Constraint));
    assert_eq!((w.bench.column("place", "name"), w.feed("place", 0, OTHER).len()), ("1=a".to_owned(), 1));
}

pub(super) fn a_dropped_transaction_leaves_everything_as_it_was(w: &mut World) {
    use crate::connector::{Part, Share};
    w.take(&place("urn:a", 1, "a"));
    w.name("place", 5, "unfolded");
    let (table, head) = (w.table("place"), w.head("place"));
    {
        let mut tx = w.db().begin().unwrap();
        tx.fold(&table).unwrap();
        take(tx.as_mut(), &table, &place("urn:a", 2, "changed")).unwrap();
        take(tx.as_mut(), &table, &place("urn:b", 1, "new")).unwrap();
        tx.rekey(&table, "urn:a", "urn:0").unwrap();
        tx.set_share(&table, PEER, Part::Active, &Share { told: 3, ..Share::default() }).unwrap();
        tx.set_answer(uuid::Uuid::from_u128(7), PEER, super::world::NOW, "yes").unwrap();
        super::agree::let_wait(tx.as_mut(), &table, "urn:w", &[]);
    }
    assert_eq!((w.bench.column("place", "name"), w.head("place")), ("1=a 5=unfolded".to_owned(), head));
    assert_eq!(w.db().share(&table, PEER, Part::Active).unwrap(), Share::default());
    assert!(!w.db().waits().unwrap() && w.found("place", "urn:0", PEER).is_none());
    assert_eq!(w.db().begin().unwrap().answer(uuid::Uuid::from_u128(7)).unwrap(), None);
    assert_eq!(w.feed("place", 0, OTHER)[0], "urn:a name=a size=big");
}

pub(super) fn a_version_of_our_own_is_counted_by_its_arrival(w: &mut World) {
    w.name("place", 1, "first");
    let (table, came, me) = (w.table("place"), place("urn:a", 5, "a"), w.me());
    let head = w.within(|tx| {
        tx.fold(&table).unwrap();
        let state = NewState { tick: true, ..state_of(view(&came)) };
        let digest = Digest([0; 32]);
        let write = Write {
            uid: "urn:a",
            local: None,
            effect: Effect::Keep,
            state: &state,
            deleted: true,
            heir: None,
            digest,
            release: false,
            run: RUN,
        };
        tx.write(&table, &write, PEER, &Targets::default()).unwrap();
        assert_eq!(tx.head(&table).unwrap().1, me);
        tx.head(&table).unwrap().0
    });
    let page = w.record("place", "urn:a");
    let version = &view(&page).record.version;
    assert_eq!((version.get(me), version.get(Actor { site: PEER, incarnation: 1 })), (head.unsigned_abs(), 5));
    assert_eq!((head, w.head("place")), (2, 2));
    w.bench.put("place", 1, &[("size", Put::Text("x"))]);
    assert_eq!(w.head("place"), 3);
}
