//! What is kept so that nothing is lost: conflicts and their verdicts, the history, agreed contents, what a run did.

use super::world::{NOW, OTHER, PEER, RUN, World, gone, place, show, state_of, take, view};
use crate::{
    connector::{Apply, Clash, Conflicts, Effect, Effects, Lost, Table, Targets, Trouble, Verdict, Wait, Waiting, Write},
    model::{Actor, NewState, Page, SiteId, Version},
};

const ALL: Conflicts<'_> = Conflicts::All { open: false, site: None, before: None, limit: 100 };
const OPEN: Conflicts<'_> = Conflicts::All { open: true, site: None, before: None, limit: 100 };

/// Lists a conflict of what is here with a version, and says whether it was new.
fn clash(w: &mut World, theirs: &Page, peer: SiteId, open: bool) -> bool {
    let table = w.table("place");
    w.within(|tx| {
        let locals = tx.locals(&table, &["urn:a"], OTHER).unwrap();
        let rule = if open { "MANUAL" } else { "NEWER" };
        let clash = Clash { ours: locals.page.view(&locals.page.records[0]), theirs: view(theirs), rule, open };
        tx.conflict(&table, "urn:a", peer, RUN, NOW, &clash).unwrap()
    })
}

fn held(w: &mut World) -> bool {
    w.found("place", "urn:a", PEER).unwrap().held
}

/// The names in the other versions, newest first.
fn theirs(w: &mut World, which: Conflicts<'_>) -> Vec<String> {
    let found = w.db().conflicts(which).unwrap();
    found.iter().map(|entry| view(&entry.theirs).get("name").unwrap().text.to_owned()).collect()
}

fn numbers(w: &mut World, which: Conflicts<'_>) -> Vec<i64> {
    w.db().conflicts(which).unwrap().iter().map(|entry| entry.id).collect()
}

/// A version that another site wrote.
fn by(site: SiteId, counter: u64, name: &str) -> Page {
    let mut page = place("urn:a", counter, name);
    page.records[0].version = Version::of(Actor { site, incarnation: 1 }, counter);
    page
}

pub(super) fn a_conflict_is_listed_once_and_a_later_version_takes_its_place(w: &mut World) {
    w.take(&place("urn:a", 1, "here"));
    assert!(clash(w, &by(OTHER, 4, "b"), PEER, true));
    assert!(!clash(w, &by(OTHER, 4, "b"), PEER, true), "the same again");
    assert!(!clash(w, &by(OTHER, 3, "a"), PEER, true), "an older one");
    assert!(clash(w, &by(OTHER, 5, "c"), PEER, true));
    assert_eq!(theirs(w, ALL), ["c"]);
    let fourth = SiteId(uuid::Uuid::from_u128(4));
    assert!(clash(w, &by(fourth, 1, "d"), OTHER, true), "a version that neither has seen is a further one");
    assert_eq!(theirs(w, OPEN), ["d", "c"]);
    assert_eq!(theirs(w, Conflicts::All { open: true, site: Some(PEER), before: None, limit: 9 }), ["c"]);
    assert_eq!(theirs(w, Conflicts::All { open: false, site: None, before: None, limit: 1 }), ["d"]);
    let last = numbers(w, ALL)[0];
    assert_eq!(theirs(w, Conflicts::All { open: true, site: None, before: Some(last), limit: 9 }), ["c"]);
    assert_eq!(theirs(w, Conflicts::All { open: true, site: None, before: Some(1), limit: 9 }), [""; 0]);
}

pub(super) fn a_record_stays_held_by_a_conflict_that_its_new_version_has_not_seen(w: &mut World) {
    w.take(&place("urn:a", 1, "here"));
    clash(w, &by(OTHER, 4, "b"), PEER, true);
    clash(w, &by(SiteId(uuid::Uuid::from_u128(4)), 1, "d"), OTHER, true);
    let table = w.table("place");
    w.within(|tx| {
        let local = tx.locals(&table, &["urn:a"], PEER).unwrap().found[0];
        let theirs = by(OTHER, 4, "b");
        let mut state = NewState { shared: false, ..state_of(view(&theirs)) };
        state.version.set(Actor { site: PEER, incarnation: 1 }, 1);
        let (effect, digest) = (Effect::Put(view(&theirs)), view(&theirs).digest());
        let write = Write { uid: "urn:a", local, effect, state: &state, deleted: false, heir: None, digest, release: true, run: RUN };
        tx.write(&table, &write, PEER, &Targets::default()).unwrap();
    });
    assert_eq!(theirs(w, OPEN), ["d"]);
    assert!(held(w));
}

pub(super) fn a_verdict_ends_the_hold_and_can_be_taken_back(w: &mut World) {
    w.take(&place("urn:a", 1, "here"));
    clash(w, &by(OTHER, 4, "b"), PEER, true);
    let (table, id) = (w.table("place"), w.db().conflicts(ALL).unwrap()[0].id);
    let judge = |w: &mut World, verdict: Verdict<'_>| {
        let ours = place("urn:a", 1, "before");
        w.within(|tx| tx.judge(&table, id, verdict, view(&ours), NOW).unwrap());
        w.db().conflicts(Conflicts::One(id)).unwrap().remove(0)
    };
    let decided = judge(w, Verdict::Chosen("theirs"));
    assert_eq!((decided.open, decided.choice.as_deref(), decided.decided), (false, Some("theirs"), Some(NOW)));
    assert_eq!(decided.after, Some(place("urn:a", 1, "x").records[0].version.clone()), "by which a later change is seen");
    assert_eq!((show(view(&decided.ours)), held(w)), ("urn:a name=before size=big".into(), false));
    let again = judge(w, Verdict::Reopened);
    assert_eq!((again.open, again.choice, held(w)), (true, None, true));
    assert!(w.db().conflicts(Conflicts::One(id + 1)).unwrap().is_empty());
}

fn lose(tx: &mut dyn Apply, table: &Table, lost: &Page, run: u64, side: &'static str) {
    tx.remember(table, "urn:a", PEER, run, NOW, &Lost { record: view(lost), side, rule: "update" }).unwrap();
}

pub(super) fn the_history_of_a_record_is_read_newest_first_and_by_number(w: &mut World) {
    let table = w.table("place");
    w.take(&place("urn:a", 3, "now"));
    w.within(|tx| {
        lose(tx, &table, &place("urn:a", 1, "one"), 5, "local");
        lose(tx, &table, &gone("place", "urn:a", 2, None), 6, "incoming");
    });
    let past = w.db().history(&table, "urn:a").unwrap();
    let shown: Vec<String> =
        past.iter().map(|entry| format!("{} {} {} {}", entry.run, entry.side, entry.rule, show(view(&entry.page)))).collect();
    assert_eq!(shown, ["6 incoming update urn:a gone", "5 local update urn:a name=one size=big"]);
    assert_eq!((past[0].at, past[0].site, past[0].resource.as_str()), (NOW, PEER, "place"));
    w.within(|tx| {
        assert_eq!(show(view(&tx.past(past[1].id).unwrap().unwrap().page)), "urn:a name=one size=big");
        assert!(tx.past(99).unwrap().is_none());
    });
    assert!(w.db().history(&table, "urn:b").unwrap().is_empty());
}

fn effects(w: &mut World, run: u64, effects: Effects) -> Vec<String> {
    let table = w.table("place");
    let found = w.within(|tx| {
        tx.fold(&table).unwrap();
        tx.effects(&table, run, effects, 0, 10).unwrap()
    });
    found
        .iter()
        .map(|effected| {
            let before = effected.before.as_ref().map_or("nothing".to_owned(), |page| show(view(page)));
            format!("{} before={before} since={}", effected.uid, effected.since)
        })
        .collect()
}

pub(super) fn what_a_run_did_is_known_until_somebody_changes_it(w: &mut World) {
    let table = w.table("place");
    w.take(&place("urn:new", 1, "new"));
    w.within(|tx| {
        lose(tx, &table, &place("urn:a", 1, "one"), RUN, "local");
        lose(tx, &table, &place("urn:a", 2, "two"), RUN, "local");
        lose(tx, &table, &place("urn:a", 2, "other"), RUN, "incoming");
        lose(tx, &table, &place("urn:a", 2, "later"), RUN + 1, "local");
        take(tx, &table, &place("urn:a", 3, "three")).unwrap();
    });
    assert_eq!(effects(w, RUN, Effects::Made), ["urn:new before=nothing since=false", "urn:a before=nothing since=false"]);
    assert!(effects(w, RUN, Effects::Replaced).is_empty(), "what it made itself it did not replace");
    assert_eq!(effects(w, RUN + 1, Effects::Replaced), ["urn:a before=urn:a name=later size=big since=true"]);
    w.name("place", 1, "edited");
    assert_eq!(effects(w, RUN, Effects::Made), ["urn:a before=nothing since=false", "urn:new before=nothing since=true"]);
    let one = w.within(|tx| tx.effects(&table, RUN, Effects::Made, 0, 1).unwrap());
    let rest = w.within(|tx| tx.effects(&table, RUN, Effects::Made, one[0].place, 9).unwrap());
    assert_eq!((one.len(), rest.len()), (1, 1));
}

/// What `urn:a` was when it was last exchanged.
pub(super) fn what_waits_is_counted_site_by_site(w: &mut World) {
    assert_eq!(w.db().troubles().unwrap(), []);
    w.take(&place("urn:a", 1, "ours"));
    clash(w, &place("urn:a", 2, "theirs"), PEER, true);
    clash(w, &place("urn:a", 3, "decided"), OTHER, false);
    let table = w.table("place");
    for (uid, kind) in [("urn:b", Waiting::Quarantined), ("urn:c", Waiting::Quarantined), ("urn:d", Waiting::Parked)] {
        let page = place(uid, 1, "waits");
        w.within(|tx| {
            tx.wait(&table, view(&page), &Wait { kind, reason: "why", missing: &[], peer: PEER, run: RUN, now: NOW }).unwrap();
        });
    }
    assert_eq!(w.db().troubles().unwrap(), [Trouble { site: PEER, conflicts: 1, quarantined: 2, parked: 1 }]);
}

fn base(w: &mut World) -> Option<String> {
    let table = w.table("place");
    w.within(|tx| {
        tx.fold(&table).unwrap();
        let locals = tx.locals(&table, &["urn:a"], PEER).unwrap();
        locals.found[0].and_then(|found| found.base).map(|at| show(locals.bases.view(&locals.bases.records[at])))
    })
}

pub(super) fn what_was_agreed_is_kept_where_it_is_wanted(w: &mut World) {
    w.take(&place("urn:a", 1, "one"));
    assert_eq!((base(w), w.table("place").bases), (None, false), "nobody asked for it");
    let table = w.table("place");
    w.db().keep_bases(&table).unwrap();
    assert!(w.table("place").bases);
    let one = Some("urn:a name=one size=big".to_owned());
    assert_eq!(base(w), one, "what is here is noted at once");
    w.name("place", 1, "edited");
    assert_eq!(base(w), one, "an edit is not agreed yet");
    let given = w.offered("place", 0, OTHER);
    w.within(|tx| tx.set_bases(&table, &given).unwrap());
    assert_eq!(base(w).as_deref(), Some("urn:a name=edited size=big"), "what was given is");
    let mut twice = place("urn:a", 6, "first");
    twice.copy(view(&place("urn:a", 6, "last")));
    w.within(|tx| tx.set_bases(&table, &twice).unwrap());
    assert_eq!(base(w).as_deref(), Some("urn:a name=last size=big"), "the last of what was given twice is");
    w.take(&place("urn:a", 7, "taken"));
    assert_eq!(base(w).as_deref(), Some("urn:a name=taken size=big"), "what was taken is");
    w.take(&gone("place", "urn:a", 8, None));
    assert_eq!(base(w), None);
}
