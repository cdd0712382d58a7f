//! Wrong rules, so that each check is known to be able to fail. They stand here and nowhere in the product.

use entente::{
    connector::{Wait, Waiting},
    decide::{Content, Decider, Decision, Given, Local, Rule, Side, decide},
    model::{NewState, Policy, Relation},
};

use crate::{
    place::Place,
    plan::{LATER, Plan},
};

/// A fault that the simulation has to find, named by the invariant it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Planted {
    /// I1: in a conflict each side keeps its own.
    EachKeepsItsOwn,
    /// I1: a version that comes is never joined with what is here.
    NoJoin,
    /// I1: what is taken back stays.
    LetsNothingGo,
    /// I1: who was silent for long does not compare.
    NobodyCompares,
    /// I2: what is replaced does not go into the history.
    NoHistory,
    /// I2: whatever comes replaces what is here, as if it had been seen.
    LastArrivalWins,
    /// I3: in a conflict fields of both are mixed.
    Mixture,
    /// I3: whatever a peer does not know is believed to have been deleted there.
    BelievesAnything,
    /// I4: an edit beats a deletion that has seen it.
    DeletionsLose,
    /// I5: rows are removed to make room, constraints switched off.
    MakesRoom,
    /// I6: equal content is a new version.
    AlwaysNew,
    /// I7: what cannot be applied is dropped.
    DropsWhatWaits,
    /// I8: what waited is kept for ever.
    NeverEnds,
    /// I9: uids are random.
    RealChance,
    /// I1, on PostgreSQL: what a transaction wrote that is still open when others were taken over is passed over.
    PassesWhatIsOpen,
    /// I1, on PostgreSQL: TRUNCATE is not noticed.
    EmptiedUnseen,
}

impl Planted {
    /// Makes a world one in which it can show often enough.
    pub(crate) fn suit(self, plan: &mut Plan) {
        if matches!(self, Planted::NobodyCompares | Planted::BelievesAnything) {
            plan.perils.months = true;
        }
        plan.abreast |= self == Planted::PassesWhatIsOpen;
    }

    /// Whether it is a fault of a journal on PostgreSQL.
    pub(crate) fn is_served(self) -> bool {
        matches!(self, Planted::PassesWhatIsOpen | Planted::EmptiedUnseen)
    }

    /// The first seed of worlds in which it can show.
    pub(crate) fn first(self) -> u64 {
        match self {
            Planted::LetsNothingGo => LATER + 446,
            Planted::NobodyCompares => LATER + 26,
            Planted::BelievesAnything => LATER + 35,
            Planted::NoJoin => 40,
            Planted::NoHistory => 18,
            Planted::MakesRoom => 30,
            // Such a world goes on for long, so those are looked at first that have two sites only.
            Planted::AlwaysNew => 43,
            _ => 0,
        }
    }
}

pub(crate) const ALL: [(Planted, &str); 14] = [
    (Planted::NobodyCompares, "I1"),
    (Planted::BelievesAnything, "I3"),
    (Planted::EachKeepsItsOwn, "I1"),
    (Planted::NoJoin, "I1"),
    (Planted::LetsNothingGo, "I1"),
    (Planted::NoHistory, "I2"),
    (Planted::LastArrivalWins, "I2"),
    (Planted::Mixture, "I3"),
    (Planted::DeletionsLose, "I4"),
    (Planted::MakesRoom, "I5"),
    (Planted::AlwaysNew, "I6"),
    (Planted::DropsWhatWaits, "I7"),
    (Planted::NeverEnds, "I8"),
    (Planted::RealChance, "I9"),
];

/// Those of the connector, which have to be found on PostgreSQL, too, and those that are only there; and where to look for them.
pub(crate) const SERVED: [(Planted, &str, u64); 10] = [
    (Planted::PassesWhatIsOpen, "I1", LATER + 9),
    (Planted::EmptiedUnseen, "I1", LATER + 48),
    (Planted::NobodyCompares, "I1", LATER + 141),
    (Planted::LetsNothingGo, "I1", LATER + 10),
    (Planted::NoHistory, "I2", LATER + 10),
    (Planted::LastArrivalWins, "I2", LATER + 48),
    (Planted::BelievesAnything, "I3", LATER + 8),
    (Planted::MakesRoom, "I5", LATER + 26),
    (Planted::DropsWhatWaits, "I7", LATER + 3),
    (Planted::NeverEnds, "I8", LATER + 3),
];

/// The rules of a world, right or wrong.
pub(crate) fn decider(planted: Option<Planted>) -> Decider {
    match planted {
        Some(planted) => Decider::new(move |local, given| wrong(planted, local, given)),
        None => Decider::default(),
    }
}

fn wrong(planted: Planted, local: Option<Local<'_>>, given: Given<'_>) -> Decision {
    let mut right = decide(local, given);
    let Some(local) = local else { return right };
    let (here, there) = (local.view.record, given.incoming.record);
    let relation = here.version.relation(&there.version);
    match planted {
        Planted::EachKeepsItsOwn if right.rule == Rule::Policy(Policy::Newer) => {
            right = Decision { content: Content::Keep, state: None, loser: Some(Side::Incoming), ..right };
        }
        Planted::NoJoin if relation == Relation::Concurrent => {
            if let Some(state) = right.state.as_mut() {
                state.version = if right.content == Content::Keep { here.version.clone() } else { there.version.clone() };
            }
        }
        Planted::LastArrivalWins if relation == Relation::Concurrent && !there.deleted => {
            right = Decision { content: Content::Take, loser: None, conflict: false, hold: false, rule: Rule::Update, ..right };
            right.state.get_or_insert_with(|| state_of(there)).clone_from(&state_of(there));
        }
        Planted::Mixture if right.conflict && !right.hold && !here.deleted && !there.deleted => {
            right.content = Content::Merge(vec!["name".into(), "label".into(), "chief".into(), "org".into()]);
        }
        Planted::DeletionsLose if there.deleted && !here.deleted && relation == Relation::Behind => {
            let state = NewState { version: here.version.join(&there.version), tick: true, shared: false, ..state_of(here) };
            right = Decision { content: Content::Keep, state: Some(state), loser: Some(Side::Incoming), ..right };
        }
        Planted::AlwaysNew if right.rule == Rule::Equal => {
            let state = NewState { version: here.version.join(&there.version), tick: true, shared: false, ..state_of(here) };
            right.state = Some(state);
        }
        _ => {}
    }
    right
}

fn state_of(record: &entente::model::Record) -> NewState {
    NewState {
        version: record.version.clone(),
        tick: false,
        origin: record.origin,
        author: record.author,
        settled: record.settled.clone(),
        modified_on: record.modified_on,
        shared: false,
    }
}

/// The faults of a journal, within one transaction.
pub(crate) struct Journalled {
    planted: Option<Planted>,
    place: Place,
    crowded: bool,
}

impl Journalled {
    pub(crate) fn new(planted: Option<Planted>, place: &Place) -> Journalled {
        Journalled { planted, place: place.clone(), crowded: false }
    }

    pub(crate) fn state(&self, state: &NewState) -> NewState {
        state.clone()
    }

    pub(crate) fn forgets(&self) -> bool {
        self.planted == Some(Planted::NoHistory)
    }

    /// How often a record is put among those that wait.
    pub(crate) fn waits(&mut self, waits: &Wait<'_>) -> u32 {
        self.crowded |= matches!(waits.kind, Waiting::Quarantined | Waiting::Deletion);
        if self.planted == Some(Planted::DropsWhatWaits) { 0 } else { 1 }
    }

    pub(crate) fn keeps_all(&self) -> bool {
        self.planted == Some(Planted::LetsNothingGo)
    }

    pub(crate) fn never_ends(&self) -> bool {
        self.planted == Some(Planted::NeverEnds)
    }

    pub(crate) fn committed(&self) {
        if self.planted == Some(Planted::MakesRoom) && self.crowded {
            self.place.make_room();
        }
    }
}
