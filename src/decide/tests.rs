use super::*;
use crate::model::{Actor, Cell, Kind, Page, Record, Strategy};

const A: SiteId = SiteId(uuid::Uuid::from_u128(1));
const B: SiteId = SiteId(uuid::Uuid::from_u128(2));
const NOW: Time = Time(1_000);

fn version(entries: &[(SiteId, u64)]) -> Version {
    entries.iter().map(|(site, counter)| (Actor { site: *site, incarnation: 1 }, *counter)).collect()
}

/// One record in a page of its own: version, author, time, fields; no fields = deleted. The origin is A.
fn page(seen: &[(SiteId, u64)], author: SiteId, time: i64, fields: &[(&str, &str)]) -> Page {
    let mut page = Page::new("t");
    let uid = page.put("urn:x");
    let mark = page.mark();
    for (name, text) in fields {
        let (field, text) = (page.name(name).unwrap(), page.put(text));
        page.cell(Cell { field, resource: 0, kind: Kind::Text, text });
    }
    let mut record = Record::new(uid, A, Time(time));
    (record.version, record.author, record.deleted) = (version(seen), author, fields.is_empty());
    page.finish(record, mark);
    page
}

fn settled_by(mut page: Page, sites: &[SiteId]) -> Page {
    page.records[0].settled = sites.to_vec();
    page
}

fn local(page: &Page) -> Local<'_> {
    Local { view: page.view(&page.records[0]), shared: false, held: false, base: None }
}

fn given(page: &Page, update: Policy, conflict: Policy) -> Given<'_> {
    let rules = Rules { update, conflict, ..Rules::default() };
    Given { incoming: page.view(&page.records[0]), source: Source::Page, rules, me: B, now: NOW }
}

#[derive(Debug, PartialEq)]
enum Want {
    Nothing,
    Keep,
    KeepSettled,
    Take,
    TakeSettled,
    Hold,
}

fn what(decision: &Decision) -> Want {
    match (&decision.content, decision.hold, decision.state.as_ref().map(|state| state.tick)) {
        (_, true, _) => Want::Hold,
        (Content::Keep, _, None) => Want::Nothing,
        (Content::Keep, _, Some(false)) => Want::Keep,
        (Content::Keep, _, Some(true)) => Want::KeepSettled,
        (_, _, Some(true)) => Want::TakeSettled,
        _ => Want::Take,
    }
}

#[test]
fn an_unknown_record_is_created_under_every_policy_tombstones_too() {
    for fields in [&[("x", "1")][..], &[]] {
        let theirs = page(&[(A, 1)], A, 5, fields);
        for policy in [Policy::This, Policy::Other, Policy::Newer, Policy::Master] {
            let decision = decide(None, given(&theirs, policy, policy));
            assert_eq!(what(&decision), Want::Take);
            assert!(decision.state.unwrap().shared && decision.loser.is_none());
        }
    }
}

/// The table of SYNC.md 4. We are B; the origin is A.
#[test]
fn who_wins() {
    use Policy::*;
    let (old, ours, theirs) = ([(A, 1)], [(A, 1), (B, 1)], [(A, 2)]);
    // relation: our vector, our author, our time; their vector, author, time; update, conflict; what is wanted; whose version is lost
    let ahead = (&ours[..], &old[..]);
    let behind = (&old[..], &[(A, 1), (B, 9)][..]);
    let concurrent = (&ours[..], &theirs[..]);
    let (l, i) = (Some(Side::Local), Some(Side::Incoming));
    for (at, ((here, there), (our_author, our_time), (their_author, their_time), update, conflict, want, loser)) in [
        (ahead, (B, 9), (A, 5), Newer, Newer, Want::Nothing, None),
        (ahead, (B, 9), (A, 5), This, Newer, Want::Nothing, None),
        (ahead, (B, 9), (A, 5), Other, Newer, Want::Nothing, None), // from a page OTHER takes nothing back
        (ahead, (B, 9), (A, 5), Master, Newer, Want::TakeSettled, l),
        (ahead, (A, 9), (A, 5), Master, Newer, Want::Nothing, None),
        (ahead, (B, 9), (B, 5), Master, Newer, Want::Nothing, None),
        (behind, (A, 5), (A, 3), Newer, This, Want::Take, l), // causally newer, whatever the clock says
        (behind, (A, 5), (A, 9), Other, This, Want::Take, l),
        (behind, (A, 5), (A, 9), This, Other, Want::KeepSettled, i),
        (behind, (A, 5), (A, 9), Master, This, Want::Take, l),
        (behind, (A, 5), (B, 9), Master, This, Want::KeepSettled, i),
        (behind, (B, 5), (B, 9), Master, This, Want::Take, l),
        (concurrent, (B, 9), (A, 5), This, Newer, Want::Keep, i),
        (concurrent, (B, 5), (A, 9), This, Newer, Want::Take, l),
        (concurrent, (B, 5), (A, 5), This, Newer, Want::Keep, i), // equal times: the greater author
        (concurrent, (B, 1), (A, 9), Newer, This, Want::KeepSettled, i),
        (concurrent, (B, 9), (A, 1), Newer, Other, Want::TakeSettled, l),
        (concurrent, (B, 9), (A, 1), Newer, Master, Want::TakeSettled, l),
        (concurrent, (A, 1), (B, 9), Newer, Master, Want::KeepSettled, i),
        (concurrent, (A, 1), (A, 9), Newer, Master, Want::Take, l), // both by the origin: NEWER
        (concurrent, (B, 9), (B, 1), Newer, Master, Want::Keep, i), // neither: NEWER
        (concurrent, (B, 9), (A, 1), Newer, Manual, Want::Hold, None),
    ]
    .into_iter()
    .enumerate()
    {
        for (mine, other) in [([("x", "1")].as_slice(), [("x", "2")].as_slice()), (&[], &[("x", "2")]), (&[("x", "1")], &[])] {
            let (here, there) = (page(here, our_author, our_time, mine), page(there, their_author, their_time, other));
            let decision = decide(Some(local(&here)), given(&there, update, conflict));
            assert_eq!(what(&decision), want, "row {at}: {decision:?}");
            assert_eq!(decision.loser, loser, "row {at}");
        }
    }
}

#[test]
fn equal_vectors_with_different_content_are_a_conflict_that_both_sides_decide_alike() {
    let (here, there) = (page(&[(A, 1)], A, 5, &[("x", "1")]), page(&[(A, 1)], A, 5, &[("x", "2")]));
    let one = decide(Some(local(&here)), given(&there, Policy::Newer, Policy::Newer));
    let other = decide(Some(local(&there)), given(&here, Policy::Newer, Policy::Newer));
    assert_ne!(one.content, other.content);
}

#[test]
fn other_takes_back_only_what_was_fetched_and_only_once() {
    let (here, there) = (page(&[(A, 1), (B, 1)], B, 9, &[("x", "1")]), page(&[(A, 1)], A, 5, &[("x", "2")]));
    let fetched = |page| Given { source: Source::Fetched, ..given(page, Policy::Other, Policy::Other) };
    let decision = decide(Some(local(&here)), fetched(&there));
    assert_eq!(what(&decision), Want::TakeSettled);
    let state = decision.state.unwrap();
    assert_eq!((state.author, state.settled), (A, vec![B]));
    let here = settled_by(here, &[B]);
    assert_eq!(what(&decide(Some(local(&here)), fetched(&there))), Want::Nothing);
}

#[test]
fn nobody_settles_twice_against_the_same_edit() {
    let ours = page(&[(A, 1), (B, 1)], B, 9, &[("x", "1")]);
    let concurrent = settled_by(page(&[(A, 2)], A, 20, &[("x", "2")]), &[B]);
    let behind = settled_by(page(&[(A, 2), (B, 1)], A, 20, &[("x", "2")]), &[A, B]);
    for policy in [Policy::This, Policy::Other, Policy::Master] {
        assert_eq!(what(&decide(Some(local(&ours)), given(&concurrent, policy, policy))), Want::Take, "{policy}: NEWER decides");
        assert_eq!(what(&decide(Some(local(&ours)), given(&behind, policy, policy))), Want::Take, "{policy}: accepted");
    }
}

#[test]
fn a_settled_version_has_seen_both_is_later_than_both_and_keeps_the_authors_name() {
    let (here, there) = (page(&[(A, 1), (B, 1)], B, 5_000, &[("x", "1")]), page(&[(A, 2)], A, 7_000, &[("x", "2")]));
    let state = decide(Some(local(&here)), given(&there, Policy::Newer, Policy::This)).state.unwrap();
    assert_eq!(state.version, version(&[(A, 2), (B, 1)]));
    assert!(state.tick && state.modified_on == Time(7_001) && state.author == B && state.settled == vec![B] && !state.shared);
}

#[test]
fn equal_content_joins_everything_and_writes_only_what_changed() {
    let here = page(&[(A, 1), (B, 1)], B, 9, &[("x", "1")]);
    let there = page(&[(A, 2)], A, 20, &[("x", "1")]);
    let state = decide(Some(local(&here)), given(&there, Policy::This, Policy::Manual)).state.unwrap();
    assert_eq!((state.version, state.modified_on, state.author), (version(&[(A, 2), (B, 1)]), Time(20), A));
    assert!(!state.shared, "the peer lacks our edit");
    assert_eq!(decide(Some(local(&here)), given(&here, Policy::Newer, Policy::Newer)), Decision::nothing(Rule::Equal));
    let same = page(&[(A, 3), (B, 1)], B, 30, &[("x", "1")]);
    assert!(decide(Some(local(&here)), given(&same, Policy::Newer, Policy::Newer)).state.unwrap().shared);
}

#[test]
fn a_peer_that_went_back_is_offered_what_it_once_sent() {
    let here = page(&[(A, 2)], A, 9, &[("x", "1")]);
    let older = page(&[(A, 1)], A, 5, &[("x", "0")]);
    let shared = Local { shared: true, ..local(&here) };
    let state = decide(Some(shared), given(&older, Policy::Newer, Policy::Newer)).state.unwrap();
    assert!(!state.shared && state.version == version(&[(A, 2)]));
    let older_equal = page(&[(A, 1)], A, 9, &[("x", "1")]);
    assert!(!decide(Some(shared), given(&older_equal, Policy::Newer, Policy::Newer)).state.unwrap().shared);
}

#[test]
fn what_the_strategy_does_not_name_is_refused() {
    let strategy = |text: &str| text.parse::<Strategy>().unwrap();
    let (here, gone) = (page(&[(A, 1)], A, 5, &[("x", "1")]), page(&[(A, 1)], A, 5, &[]));
    let (newer, deleted) = (page(&[(A, 2)], A, 9, &[("x", "2")]), page(&[(A, 2)], A, 9, &[]));
    for (local_page, incoming, allowed, method) in [
        (None, &newer, "update", Method::Create),
        (Some(&here), &newer, "create,delete", Method::Update),
        (Some(&here), &deleted, "create,update", Method::Delete),
        (Some(&gone), &newer, "update,delete", Method::Create),
    ] {
        let mut given = given(incoming, Policy::Newer, Policy::Newer);
        given.rules.strategy = strategy(allowed);
        assert_eq!(decide(local_page.map(local), given), Decision::nothing(Rule::Strategy(method)));
    }
}

#[test]
fn a_held_record_is_released_by_a_version_that_dominates_or_equals_it() {
    let here = page(&[(A, 1), (B, 1)], B, 9, &[("x", "1")]);
    let held = Local { held: true, ..local(&here) };
    let dominating = page(&[(A, 2), (B, 1)], A, 20, &[("x", "2")]);
    let equal = page(&[(A, 1)], A, 5, &[("x", "1")]);
    let concurrent = page(&[(A, 2)], A, 20, &[("x", "3")]);
    for (incoming, released) in [(&dominating, true), (&equal, true), (&concurrent, false)] {
        let decision = decide(Some(held), given(incoming, Policy::Newer, Policy::Manual));
        assert_eq!(decision.release, released);
        assert_eq!(decision.state.is_some(), released, "closing always gives a new arrival");
    }
}

#[test]
fn fields_changed_on_one_side_only_merge_and_contested_ones_go_to_the_policy() {
    let base = page(&[(A, 1)], A, 1, &[("x", "0"), ("y", "0")]);
    let ours = page(&[(A, 1), (B, 1)], B, 9, &[("x", "1"), ("y", "0")]);
    let theirs = page(&[(A, 2)], A, 20, &[("x", "0"), ("y", "2")]);
    let contested = page(&[(A, 2)], A, 20, &[("x", "2"), ("y", "2")]);
    let seen = version(&[(A, 1)]);
    let with_base = Local { base: Some((base.view(&base.records[0]), &seen)), ..local(&ours) };
    let merging = |page| {
        let mut given = given(page, Policy::Newer, Policy::Newer);
        given.rules.merge_fields = true;
        given
    };
    let decision = decide(Some(with_base), merging(&theirs));
    assert_eq!(decision.content, Content::Merge(vec!["y".into()]));
    let state = decision.state.unwrap();
    assert!(!state.tick && state.version == version(&[(A, 2), (B, 1)]) && (state.modified_on, state.author) == (Time(20), A));
    assert_eq!(what(&decide(Some(with_base), merging(&contested))), Want::Take);
    let wrong = version(&[(A, 2)]);
    let not_the_ancestor = Local { base: Some((base.view(&base.records[0]), &wrong)), ..local(&ours) };
    assert_eq!(decide(Some(not_the_ancestor), merging(&theirs)).content, Content::Take, "the whole record goes to the policy");
}
