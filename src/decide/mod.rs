//! decide(local, incoming, rules) → Decision: who wins, as one pure function (SYNC.md 4).
//!
//! It reads no clock and writes nothing. What it returns says what the record's content becomes, what its new state is,
//! which version goes into the history, and by which rule.

pub mod eden;
pub mod filter;
mod merge;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::model::{Digest, Method, NewState, Policy, RecordView, Relation, Rules, SiteId, Time, Version};

/// What is here of the record.
#[derive(Clone, Copy)]
pub struct Local<'a> {
    /// Its content and state, own edits folded into the version.
    pub view: RecordView<'a>,
    /// The peer that the incoming version comes from holds exactly this version.
    pub shared: bool,
    /// An open conflict holds it (MANUAL).
    pub held: bool,
    /// Content and version before the first local edit since agreement, where the resource merges by field.
    pub base: Option<(RecordView<'a>, &'a Version)>,
}

/// How the incoming version came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// In a page, where it may be older than what the peer holds now.
    Page,
    /// Fetched from the peer just now, before a push. Only this can take back under OTHER.
    Fetched,
}

/// Whose side something is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// This site's.
    Local,
    /// The peer's.
    Incoming,
    /// One side's in some fields, the other's in others.
    Both,
}

/// Which rule decided, for the history, the conflict inbox and the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// It was not here.
    Create,
    /// Both had the same content.
    Equal,
    /// Ours had seen theirs.
    Ahead,
    /// Theirs had seen ours.
    Update,
    /// A policy.
    Policy(Policy),
    /// Both had changed, different fields.
    Merge,
    /// The method is not in the resource's strategy.
    Strategy(Method),
}

impl Rule {
    /// The rule in a word.
    pub fn word(self) -> &'static str {
        match self {
            Rule::Create => "create",
            Rule::Equal => "equal",
            Rule::Ahead => "ahead",
            Rule::Update => "update",
            Rule::Policy(policy) => policy.word(),
            Rule::Merge => "merge",
            Rule::Strategy(_) => "strategy",
        }
    }
}

/// What becomes of the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// It stays.
    Keep,
    /// The incoming content replaces it.
    Take,
    /// These fields come from the incoming version, the others stay.
    Merge(Vec<String>),
}

/// What happens to a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What becomes of the content.
    pub content: Content,
    /// The new state; `None` = nothing at all is written.
    pub state: Option<NewState>,
    /// Whose version is lost by this and goes into the history.
    pub loser: Option<Side>,
    /// Both sides had changed: it is listed as a conflict.
    pub conflict: bool,
    /// A person decides: the incoming version is stored with the conflict, the record is held.
    pub hold: bool,
    /// An open conflict of this record is closed.
    pub release: bool,
    /// Which rule decided.
    pub rule: Rule,
}

impl Decision {
    fn nothing(rule: Rule) -> Decision {
        Decision { content: Content::Keep, state: None, loser: None, conflict: false, hold: false, release: false, rule }
    }
}

/// Everything that a decision depends on besides the local record.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// The version that came.
    pub incoming: RecordView<'a>,
    /// How it came.
    pub source: Source,
    /// The rules for this resource and peer, from our point of view.
    pub rules: Rules,
    /// Who we are.
    pub me: SiteId,
    /// Our clock.
    pub now: Time,
}

/// Decides what becomes of a record of which `local` is here and `given.incoming` came.
/// Total and deterministic: the same arguments give the same decision.
pub fn decide(local: Option<Local<'_>>, given: Given<'_>) -> Decision {
    let Some(local) = local else { return create(given) };
    let case = Case::new(local, given);
    if case.ours == case.theirs {
        return case.equal();
    }
    match case.relation {
        Relation::Ahead => case.ahead(),
        Relation::Behind => case.allowed().unwrap_or_else(|| case.behind()),
        Relation::Same if case.adds_fields() => case.allowed().unwrap_or_else(|| case.added()),
        Relation::Same | Relation::Concurrent => case.allowed().unwrap_or_else(|| case.concurrent()),
    }
}

/// Who decides: [`decide`], unless a simulation wraps it.
#[derive(Clone)]
pub struct Decider(Arc<Decide>);

type Decide = dyn Fn(Option<Local<'_>>, Given<'_>) -> Decision + Send + Sync;

impl Decider {
    /// Decides by `rule`, which has to keep the promises of [`decide`].
    pub fn new(rule: impl Fn(Option<Local<'_>>, Given<'_>) -> Decision + Send + Sync + 'static) -> Decider {
        Decider(Arc::new(rule))
    }

    /// What becomes of a record.
    pub fn decide(&self, local: Option<Local<'_>>, given: Given<'_>) -> Decision {
        (self.0)(local, given)
    }
}

impl Default for Decider {
    fn default() -> Decider {
        Decider::new(decide)
    }
}

impl std::fmt::Debug for Decider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decider")
    }
}

fn create(given: Given<'_>) -> Decision {
    let record = given.incoming.record;
    let method = if record.deleted { Method::Delete } else { Method::Create };
    if !given.rules.strategy.allows(method) {
        return Decision::nothing(Rule::Strategy(method));
    }
    let state = NewState {
        version: record.version.clone(),
        tick: false,
        origin: record.origin,
        author: record.author,
        settled: record.settled.clone(),
        modified_on: record.modified_on,
        shared: true,
    };
    Decision { content: Content::Take, state: Some(state), ..Decision::nothing(Rule::Create) }
}

/// A record that is here and came: both contents' digests and how the versions stand.
struct Case<'a> {
    local: Local<'a>,
    given: Given<'a>,
    ours: Digest,
    theirs: Digest,
    relation: Relation,
    joined: Version,
}

impl<'a> Case<'a> {
    fn new(local: Local<'a>, given: Given<'a>) -> Case<'a> {
        let (here, there) = (local.view.record, given.incoming.record);
        Case {
            ours: local.view.digest(),
            theirs: if here.deleted { given.incoming.digest() } else { given.incoming.digest_over(local.view) },
            relation: here.version.relation(&there.version),
            joined: here.version.join(&there.version),
            local,
            given,
        }
    }

    /// The decision where the strategy forbids what the incoming version would do.
    fn allowed(&self) -> Option<Decision> {
        let method = match (self.local.view.record.deleted, self.given.incoming.record.deleted) {
            (true, false) => Method::Create,
            (_, true) if self.given.incoming.record.heir.is_some() => Method::Merge,
            (_, true) => Method::Delete,
            (false, false) => Method::Update,
        };
        (!self.given.rules.strategy.allows(method)).then(|| Decision::nothing(Rule::Strategy(method)))
    }

    fn equal(&self) -> Decision {
        let (here, there) = (self.local.view.record, self.given.incoming.record);
        let settled = match self.relation {
            Relation::Ahead => here.settled.clone(),
            Relation::Behind => there.settled.clone(),
            Relation::Same | Relation::Concurrent => union(&here.settled, &there.settled, None),
        };
        let (modified_on, author) = (here.modified_on, here.author).max((there.modified_on, there.author));
        let state = NewState {
            version: self.joined.clone(),
            tick: false,
            origin: here.origin.min(there.origin),
            author,
            settled,
            modified_on,
            shared: false,
        };
        let changed = state.version != here.version
            || (state.modified_on, state.author, state.origin) != (here.modified_on, here.author, here.origin)
            || state.settled != here.settled;
        let outdated = self.local.shared && state.version != there.version;
        let write = changed || outdated || self.local.held;
        let state = write.then(|| NewState { shared: self.matches_incoming(&state), ..state });
        Decision { state, release: self.local.held, ..Decision::nothing(Rule::Equal) }
    }

    fn ahead(&self) -> Decision {
        let (here, there, rules) = (self.local.view.record, self.given.incoming.record, self.given.rules);
        let settled_by_us = here.settled.contains(&self.given.me);
        let taken_back = match rules.update {
            Policy::Other => self.given.source == Source::Fetched,
            Policy::Master => here.author != here.origin && there.author == here.origin,
            _ => false,
        };
        if taken_back && !settled_by_us {
            return self.allowed().unwrap_or_else(|| self.take_settled(rules.update, false));
        }
        let origin = here.origin.min(there.origin);
        // The peer holds something older than what it once sent: it must be offered ours again.
        let state = (self.local.shared || origin != here.origin).then(|| NewState { origin, ..self.here() });
        Decision { state, ..Decision::nothing(Rule::Ahead) }
    }

    fn behind(&self) -> Decision {
        let (here, there, rules) = (self.local.view.record, self.given.incoming.record, self.given.rules);
        let refused = match rules.update {
            Policy::This => true,
            Policy::Master => there.author != here.origin && here.author == here.origin,
            _ => false,
        };
        let decision = if refused && !there.settled.contains(&self.given.me) {
            self.keep_settled(rules.update, false)
        } else {
            self.take(there.version.clone(), Rule::Update, false)
        };
        Decision { release: self.local.held, ..decision }
    }

    fn concurrent(&self) -> Decision {
        let (here, there, rules) = (self.local.view.record, self.given.incoming.record, self.given.rules);
        let imposing = matches!(rules.conflict, Policy::This | Policy::Other | Policy::Master);
        let policy = if imposing && there.settled.contains(&self.given.me) { Policy::Newer } else { rules.conflict };
        let merged = if self.merges() { merge::three_way(self.local, self.given.incoming) } else { None };
        match merged {
            Some(merge::Merge { taken, contested }) if contested.is_empty() => return self.merged(taken),
            Some(merge::Merge { taken, contested }) if policy != Policy::Manual => return self.merged_by(policy, taken, contested),
            _ => {}
        }
        let by_origin = (here.author == here.origin, there.author == here.origin);
        match (policy, by_origin) {
            (Policy::Manual, _) => Decision { hold: true, conflict: true, ..Decision::nothing(Rule::Policy(Policy::Manual)) },
            (Policy::This, _) | (Policy::Master, (true, false)) => self.keep_settled(policy, true),
            (Policy::Other, _) | (Policy::Master, (false, true)) => self.take_settled(policy, true),
            (Policy::Newer | Policy::Master, _) if self.ours_is_greater() => self.keep_joined(policy),
            (Policy::Newer | Policy::Master, _) => self.take(self.joined.clone(), Rule::Policy(policy), true),
        }
    }

    /// Whether a merge field by field comes first. Equal vectors with different contents are no two edits of one base.
    fn merges(&self) -> bool {
        self.given.rules.merge_fields && !self.local.held && self.relation == Relation::Concurrent
    }

    /// What only they changed is taken; what both changed goes to the policy, which decides of these fields as it would of the whole record.
    fn merged_by(&self, policy: Policy, mut taken: Vec<String>, contested: Vec<String>) -> Decision {
        let (here, there) = (self.local.view.record, self.given.incoming.record);
        let (ours, settles) = match (policy, here.author == here.origin, there.author == here.origin) {
            (Policy::This, ..) | (Policy::Master, true, false) => (true, true),
            (Policy::Other, ..) | (Policy::Master, false, true) => (false, true),
            _ => (self.ours_is_greater(), false),
        };
        if !ours {
            taken.extend(contested);
        }
        let merged = self.merged(taken);
        let author = if ours { here.author } else { there.author };
        let state = if settles { Some(self.settled(author)) } else { merged.state };
        Decision { state, loser: Some(Side::Both), conflict: true, rule: Rule::Policy(policy), ..merged }
    }

    fn ours_is_greater(&self) -> bool {
        let (here, there) = (self.local.view.record, self.given.incoming.record);
        (here.modified_on, here.author, self.ours) >= (there.modified_on, there.author, self.theirs)
    }

    /// Ours stays, with the joined vector; no version of our own.
    fn keep_joined(&self, policy: Policy) -> Decision {
        let origin = self.local.view.record.origin.min(self.given.incoming.record.origin);
        let state = NewState { version: self.joined.clone(), origin, ..self.here() };
        let changed = state.version != self.local.view.record.version || origin != self.local.view.record.origin;
        Decision { state: changed.then_some(state), loser: Some(Side::Incoming), conflict: true, ..Decision::nothing(Rule::Policy(policy)) }
    }

    /// Theirs replaces ours, under `version`; no version of our own.
    /// Whether what came is what is here, and fields beside that nobody has here: a column was dropped here, or is not there yet.
    fn adds_fields(&self) -> bool {
        let (here, there) = (self.local.view, self.given.incoming);
        let same = |(field, value)| there.get(field).is_none_or(|other| other.same(value));
        here.record.lives() && there.record.lives() && here.fields().all(same)
    }

    fn added(&self) -> Decision {
        Decision { loser: None, ..self.take(self.joined.clone(), Rule::Update, false) }
    }

    fn take(&self, version: Version, rule: Rule, conflict: bool) -> Decision {
        let (here, there) = (self.local.view.record, self.given.incoming.record);
        let state = NewState {
            version,
            tick: false,
            origin: here.origin.min(there.origin),
            author: there.author,
            settled: there.settled.clone(),
            modified_on: there.modified_on,
            shared: false,
        };
        let state = NewState { shared: self.matches_incoming(&state), ..state };
        Decision {
            content: Content::Take,
            state: Some(state),
            loser: Some(Side::Local),
            conflict,
            release: self.local.held,
            ..Decision::nothing(rule)
        }
    }

    fn keep_settled(&self, policy: Policy, conflict: bool) -> Decision {
        let state = self.settled(self.local.view.record.author);
        Decision { state: Some(state), loser: Some(Side::Incoming), conflict, ..Decision::nothing(Rule::Policy(policy)) }
    }

    fn take_settled(&self, policy: Policy, conflict: bool) -> Decision {
        Decision {
            content: Content::Take,
            state: Some(self.settled(self.given.incoming.record.author)),
            loser: Some(Side::Local),
            conflict,
            release: self.local.held,
            ..Decision::nothing(Rule::Policy(policy))
        }
    }

    /// A version of our own making that has seen both.
    fn settled(&self, author: SiteId) -> NewState {
        let (here, there) = (self.local.view.record, self.given.incoming.record);
        let after_both = Time(here.modified_on.max(there.modified_on).0.saturating_add(1));
        NewState {
            version: self.joined.clone(),
            tick: true,
            origin: here.origin.min(there.origin),
            author,
            settled: union(&here.settled, &there.settled, Some(self.given.me)),
            modified_on: self.given.now.max(after_both),
            shared: false,
        }
    }

    fn merged(&self, taken: Vec<String>) -> Decision {
        let (here, there) = (self.local.view.record, self.given.incoming.record);
        let (modified_on, author) = (here.modified_on, here.author).max((there.modified_on, there.author));
        let state = NewState {
            version: self.joined.clone(),
            tick: false,
            origin: here.origin.min(there.origin),
            author,
            settled: Vec::new(),
            modified_on,
            shared: false,
        };
        Decision {
            content: Content::Merge(taken),
            state: Some(state),
            loser: Some(Side::Local),
            release: self.local.held,
            ..Decision::nothing(Rule::Merge)
        }
    }

    /// The state as it is here.
    fn here(&self) -> NewState {
        let here = self.local.view.record;
        NewState {
            version: here.version.clone(),
            tick: false,
            origin: here.origin,
            author: here.author,
            settled: here.settled.clone(),
            modified_on: here.modified_on,
            shared: false,
        }
    }

    fn matches_incoming(&self, state: &NewState) -> bool {
        let there = self.given.incoming.record;
        state.version == there.version
            && (state.modified_on, state.author, state.origin) == (there.modified_on, there.author, there.origin)
            && state.settled == there.settled
            // Fields that we have and the version does not name make what is here more than what was sent.
            && self.theirs == self.given.incoming.digest()
    }
}

/// The union of two sorted sets, with one more member perhaps.
pub fn union(a: &[SiteId], b: &[SiteId], more: Option<SiteId>) -> Vec<SiteId> {
    let mut all: Vec<SiteId> = a.iter().chain(b).copied().chain(more).collect();
    all.sort_unstable();
    all.dedup();
    all
}
