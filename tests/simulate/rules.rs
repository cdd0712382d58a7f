//! Deciding, over a tiny universe in which everything meets everything: three sites, three contents, few times, every policy.

use entente::{
    decide::{Content, Decision, Given, Local, Rule, Source, decide},
    model::{Actor, Cell, Kind, Page, Policy, Record, RecordView, Rules, SiteId, Strategy, Time, Version},
};

use crate::dice::Dice;

const SITES: [SiteId; 3] = [SiteId(uuid::Uuid::from_u128(1)), SiteId(uuid::Uuid::from_u128(2)), SiteId(uuid::Uuid::from_u128(3))];
const POLICIES: [Policy; 5] = [Policy::Newer, Policy::This, Policy::Other, Policy::Master, Policy::Manual];

/// One version of the one record, alone in its page.
#[derive(Clone)]
struct One(Page);

impl One {
    fn new(content: Option<&str>, version: Version, author: SiteId, time: i64) -> One {
        let mut page = Page::new("t");
        let uid = page.put("urn:x");
        let mark = page.mark();
        if let Some(content) = content {
            for (name, text) in [("a", &content[..1]), ("b", &content[1..])] {
                let (field, text) = (page.name(name).unwrap(), page.put(text));
                page.cell(Cell { field, resource: 0, kind: Kind::Text, text });
            }
        }
        let mut record = Record::new(uid, SITES[0], Time(time));
        (record.version, record.author, record.deleted) = (version, author, content.is_none());
        page.finish(record, mark);
        One(page)
    }

    fn view(&self) -> RecordView<'_> {
        self.0.view(&self.0.records[0])
    }

    fn record(&self) -> &Record {
        &self.0.records[0]
    }

    fn content(&self) -> Option<String> {
        (!self.record().deleted).then(|| self.view().fields().map(|(_, value)| value.text).collect())
    }

    /// What two sites have to agree on.
    fn state(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        let Record { version, author, origin, modified_on, settled, .. } = self.record();
        (self.content(), version.to_string(), *author, *origin, *modified_on, settled.clone())
    }

    /// What becomes of it. `tick` is the arrival of the next change.
    fn after(&self, decision: &Decision, incoming: &One, me: SiteId, tick: u64) -> One {
        let mut next = match &decision.content {
            Content::Keep => self.clone(),
            Content::Take => incoming.clone(),
            Content::Merge(fields) => {
                let pick = |name: &str| {
                    let from = if fields.iter().any(|field| field == name) { incoming } else { self };
                    from.view().get(name).unwrap().text.to_owned()
                };
                One::new(Some(&(pick("a") + &pick("b"))), Version::default(), me, 0)
            }
        };
        let state = decision.state.clone();
        let record = &mut next.0.records[0];
        let now = self.record().clone();
        (record.version, record.author, record.origin) = (now.version, now.author, now.origin);
        (record.modified_on, record.settled) = (now.modified_on, now.settled);
        if let Some(state) = state {
            record.version = state.version;
            if state.tick {
                record.version.set(actor(me), tick);
            }
            (record.author, record.origin, record.modified_on, record.settled) =
                (state.author, state.origin, state.modified_on, state.settled);
        }
        next
    }
}

fn actor(site: SiteId) -> Actor {
    Actor { site, incarnation: 1 }
}

fn covers(big: &Version, small: &Version) -> bool {
    big.join(small) == *big
}

/// Any version at all, consistent with the others or not.
fn any(dice: &mut Dice) -> One {
    let version = SITES.into_iter().map(|site| (actor(site), dice.below(3) as u64)).filter(|(_, counter)| *counter > 0).collect();
    let content = *dice.pick(&[None, Some("xx"), Some("xy"), Some("yx"), Some("yy")]);
    let mut one = One::new(content, version, *dice.pick(&SITES), dice.between(1, 4));
    let record = &mut one.0.records[0];
    record.origin = *dice.pick(&SITES);
    record.settled = SITES.into_iter().filter(|_| dice.percent(20)).collect();
    one
}

fn any_rules(dice: &mut Dice) -> Rules {
    let strategy: Strategy =
        if dice.percent(85) { Strategy::default() } else { dice.pick(&["create", "update", "delete,merge"]).parse().unwrap() };
    Rules { strategy, update: *dice.pick(&POLICIES[..4]), conflict: *dice.pick(&POLICIES), merge_fields: dice.percent(30) }
}

/// Twelve hundred versions, each pair of them under changing rules: 1.4 million cases.
#[test]
fn deciding_is_total_and_repeatable_loses_no_part_of_a_vector_and_a_second_time_changes_nothing() {
    let mut dice = Dice::new(1);
    let all: Vec<One> = (0..1_200).map(|_| any(&mut dice)).collect();
    let mut cases = 0;
    for here in &all {
        let rules = any_rules(&mut dice);
        let (me, base) = (*dice.pick(&SITES), dice.pick(&all));
        let source = if dice.percent(50) { Source::Page } else { Source::Fetched };
        let (shared, held) = (dice.percent(30), dice.percent(20));
        let seen = base.record().version.clone();
        let base = Some((base.view(), &seen)).filter(|(base, _)| rules.merge_fields && !base.record.deleted);
        for there in &all {
            let given = Given { incoming: there.view(), source, rules, me, now: Time(3) };
            let local = Local { view: here.view(), shared, held, base };
            let decision = decide(Some(local), given);
            cases += 1;
            once(here, there, &decision, given);
            if cases % 16 == 0 {
                assert_eq!(decide(Some(local), given), decision, "the same arguments, another decision");
                twice(here, there, &decision, given, held);
            }
        }
    }
    assert!(cases >= 1_000_000, "{cases} cases only");
}

fn once(here: &One, there: &One, decision: &Decision, given: Given<'_>) {
    let (ours, theirs) = (&here.record().version, &there.record().version);
    let refused = decision.hold || matches!(decision.rule, Rule::Strategy(_));
    match &decision.state {
        Some(state) => {
            assert!(covers(&state.version, ours), "{ours} + {theirs} became {}", state.version);
            assert!(covers(&state.version, theirs), "{ours} + {theirs} became {}", state.version);
            assert!(!state.tick || state.settled.contains(&given.me), "a version of our own names us");
            assert!(!state.tick || state.modified_on > here.record().modified_on.max(there.record().modified_on));
        }
        None => assert!(refused || covers(ours, theirs), "{theirs} was dropped for {ours} without a trace: {decision:?}"),
    }
    assert!(decision.content == Content::Keep || decision.state.is_some(), "content without a state: {decision:?}");
    assert!(!refused || decision.content == Content::Keep && decision.state.is_none());
}

/// The same version again changes nothing; only a policy that takes back when we are ahead may do so now, once, with what a
/// conflict left as it was.
fn twice(here: &One, there: &One, decision: &Decision, given: Given<'_>, held: bool) {
    let by_origin = [given.rules.update, given.rules.conflict].contains(&Policy::Master);
    if by_origin && here.record().origin != there.record().origin {
        // The first time joins the origins; what MASTER makes of that is another question.
        return;
    }
    let shared = decision.state.as_ref().is_some_and(|state| state.shared);
    let next = here.after(decision, there, given.me, 9);
    let local = Local { view: next.view(), shared, held: held && !decision.release, base: None };
    let again = decide(Some(local), given);
    if again.content == Content::Keep && again.state.is_none() {
        return;
    }
    let takes_back = matches!(given.rules.update, Policy::Master | Policy::Other);
    assert!(takes_back && again.state.as_ref().is_some_and(|state| state.tick), "{decision:?}, and then {again:?}");
    let last = next.after(&again, there, given.me, 10);
    let third = decide(Some(Local { view: last.view(), shared: false, held: false, base: None }), given);
    assert!(third.content == Content::Keep && third.state.is_none(), "{decision:?}, then {again:?}, and then {third:?}");
}

/// Two sites that give each other what they have, one after the other, until nothing changes. Whether that ends, and both have.
fn exchange(mut ours: One, mut theirs: One, rules: [Rules; 2]) -> (One, One) {
    let (mut tick, mut counted) = ([10, 10], 0);
    loop {
        let before = (ours.state(), theirs.state());
        for (source, taker) in [(Source::Page, 0), (Source::Fetched, 0), (Source::Page, 1)] {
            let (to, from) = if taker == 0 { (&ours, &theirs) } else { (&theirs, &ours) };
            let given = Given { incoming: from.view(), source, rules: rules[taker], me: SITES[taker], now: Time(5) };
            let decision = decide(Some(Local { view: to.view(), shared: false, held: false, base: None }), given);
            tick[taker] += 1;
            let next = to.after(&decision, from, SITES[taker], tick[taker]);
            *(if taker == 0 { &mut ours } else { &mut theirs }) = next;
        }
        if (ours.state(), theirs.state()) == before {
            return (ours, theirs);
        }
        counted += 1;
        assert!(counted < 8, "{rules:?}: it goes on for ever: {:?} and {:?}", ours.state(), theirs.state());
    }
}

#[test]
fn two_sites_that_exchange_end_equal_under_every_pair_of_policies() {
    let mut dice = Dice::new(2);
    for _ in 0..60_000 {
        let (ours, theirs) = (any(&mut dice), any(&mut dice));
        let mut side = || Rules { update: *dice.pick(&POLICIES[..4]), conflict: *dice.pick(&POLICIES[..4]), ..Rules::default() };
        let rules = [side(), side()];
        let (a, b) = exchange(ours, theirs, rules);
        assert_eq!(a.state(), b.state(), "{rules:?}");
    }
}

/// Versions of one record as sites really make them: edits of what they have, with clocks that are off, and joins by NEWER.
fn history(dice: &mut Dice) -> Vec<One> {
    let skew: Vec<i64> = SITES.iter().map(|_| dice.between(-6, 6)).collect();
    let first = One::new(Some("xx"), Version::of(actor(SITES[0]), 1), SITES[0], 20);
    let mut has: Vec<One> = vec![first.clone(); 3];
    let mut all = vec![first];
    for step in 2..10 {
        let at = dice.below(3);
        let next = if dice.percent(60) {
            let before = has[at].record();
            let mut version = before.version.clone();
            version.set(actor(SITES[at]), step);
            let time = (20 + step as i64 + skew[at]).max(before.modified_on.0 + 1);
            let (origin, content) = (before.origin, *dice.pick(&[None, Some("xy"), Some("yx"), Some("yy")]));
            let mut one = One::new(content, version, SITES[at], time);
            one.0.records[0].origin = origin;
            one
        } else {
            newer(&has[at], dice.pick(&has), SITES[at])
        };
        has[at] = next.clone();
        all.push(next);
    }
    all
}

fn newer(here: &One, there: &One, me: SiteId) -> One {
    let given = Given { incoming: there.view(), source: Source::Page, rules: Rules::default(), me, now: Time(99) };
    let decision = decide(Some(Local { view: here.view(), shared: false, held: false, base: None }), given);
    assert!(!decision.state.as_ref().is_some_and(|state| state.tick), "NEWER makes no version");
    here.after(&decision, there, me, 0)
}

#[test]
fn newer_is_one_order_whatever_meets_first_and_agrees_with_what_was_seen() {
    let mut dice = Dice::new(3);
    for _ in 0..4_000 {
        let all = history(&mut dice);
        for _ in 0..6 {
            let [a, b, c] = [dice.pick(&all), dice.pick(&all), dice.pick(&all)];
            let joined = |one: &One, other: &One, me: usize| newer(one, other, SITES[me]);
            let one = joined(&joined(a, b, 0), c, 0);
            for other in [
                joined(a, &joined(b, c, 1), 0),
                joined(&joined(c, a, 2), b, 2),
                joined(&joined(b, c, 1), a, 1),
                joined(&joined(c, b, 2), &joined(a, c, 0), 2),
            ] {
                assert_eq!(one.state(), other.state(), "{:?} {:?} {:?}", a.state(), b.state(), c.state());
            }
            let relation = covers(&a.record().version, &b.record().version) && a.record().version != b.record().version;
            assert!(!relation || joined(b, a, 0).content() == a.content(), "an older version beat one that had seen it");
        }
    }
}

#[test]
fn what_is_unknown_here_is_created_with_all_it_says() {
    let mut dice = Dice::new(4);
    for _ in 0..20_000 {
        let (there, rules) = (any(&mut dice), any_rules(&mut dice));
        let given = Given { incoming: there.view(), source: Source::Page, rules, me: SITES[1], now: Time(3) };
        let decision = decide(None, given);
        match &decision.state {
            Some(state) => {
                assert_eq!((&decision.content, &state.version, state.tick), (&Content::Take, &there.record().version, false));
                assert_eq!((state.author, state.modified_on, state.shared), (there.record().author, there.record().modified_on, true));
            }
            None => assert!(matches!(decision.rule, Rule::Strategy(_))),
        }
    }
}
