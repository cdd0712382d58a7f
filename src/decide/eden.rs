//! What version the content that a stock Sahana Eden shows stands for (docs/eden.md): it speaks of none, so it follows from what was last agreed
//! with it, and from times only where nothing was.

use crate::model::{
    Actor, Digest, Policy, RecordView, Rules, SiteId, Version,
    eden::{Holding, Known},
};

/// A record as an Eden shows it.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    /// Its content.
    pub view: RecordView<'a>,
    /// Its second.
    pub second: i64,
    /// The second that the Eden counts as the last exchange, where it says one.
    pub since: Option<i64>,
    /// Whether it showed since that it has what we gave it last.
    pub given: Given,
}

/// Whether an Eden has what it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// It showed so.
    Arrived,
    /// Nobody knows.
    Unknown,
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stands {
    /// It is what was agreed, or what is here; the Eden holds this version.
    For(Version),
    /// It is this version, which has to be decided.
    Decide(Version),
}

/// The life of an Eden in which its clock goes forward, and the one that stands for whatever it shows from an earlier time.
const FORWARD: u32 = 1;
const BACK: u32 = 2;

/// The version of what `peer` shows, of which `local` is here and `held` is what it was last known to hold.
pub fn version(local: Option<RecordView<'_>>, held: Option<&Holding>, shown: &Shown<'_>, rules: Rules, peer: SiteId) -> Stands {
    let case = Case { local, held, shown, rules, peer };
    if let Some(local) = local.filter(|local| case.theirs(*local) == local.digest()) {
        return Stands::For(local.record.version.clone());
    }
    match held {
        Some(held) => case.after(held),
        None => case.met(),
    }
}

struct Case<'a> {
    local: Option<RecordView<'a>>,
    held: Option<&'a Holding>,
    shown: &'a Shown<'a>,
    rules: Rules,
    peer: SiteId,
}

impl Case<'_> {
    /// The digest of what is shown, over what is here.
    fn theirs(&self, local: RecordView<'_>) -> Digest {
        if local.record.deleted { self.shown.view.digest() } else { self.shown.view.digest_over(local) }
    }

    fn after(&self, held: &Holding) -> Stands {
        let second = self.shown.second;
        let taken_back = matches!(self.rules.update, Policy::Other | Policy::Master);
        // The same content of a later time was written again, over something else.
        let again = self.local.is_some() && held.known == Known::Shown && held.modified.is_some_and(|before| before < second);
        if held.digest == self.shown.view.digest() && !again {
            let moved = self.local.is_none_or(|local| taken_back && local.record.version != held.version);
            return if moved { Stands::Decide(held.version.clone()) } else { Stands::For(held.version.clone()) };
        }
        match held.modified {
            // Eden keeps the time of what it takes; what it makes of a value is no edit.
            Some(modified) if modified == second && held.known != Known::Shown => Stands::For(held.version.clone()),
            // It took ours, and shows neither that nor what it had before: its clock is behind ours, and this was edited after it.
            Some(modified) if modified > second && held.known == Known::Taken && held.before.is_some_and(|before| before < second) => {
                Stands::Decide(self.next(held.version.clone(), FORWARD))
            }
            Some(modified) if modified > second => self.older(),
            _ => {
                // What it wrote before it had ours did not see it, whatever it answered.
                let before = held.known != Known::Shown && second <= held.at.0.div_euclid(1_000_000);
                let unseen = before || held.known == Known::Given && self.shown.given == Given::Unknown;
                let base = if unseen { Version::default() } else { held.version.clone() };
                Stands::Decide(self.next(base, FORWARD))
            }
        }
    }

    /// Nothing was ever agreed about it.
    fn met(&self) -> Stands {
        let second = self.shown.second;
        let Some(local) = self.local else { return Stands::Decide(self.next(Version::default(), FORWARD)) };
        let here = local.record.modified_on.0.div_euclid(1_000_000);
        let both = self.shown.since.is_some_and(|since| second >= since && here >= since);
        match second.cmp(&here) {
            std::cmp::Ordering::Less => self.older(),
            std::cmp::Ordering::Greater if !both => Stands::Decide(self.next(local.record.version.clone(), FORWARD)),
            _ => Stands::Decide(self.next(Version::default(), BACK)),
        }
    }

    /// What is older than what is known did not see it, nor did what is here see it. Only who lets the other side win takes it as what it holds now.
    fn older(&self) -> Stands {
        match self.rules.update {
            Policy::Other | Policy::Master => Stands::Decide(Version::default()),
            _ => Stands::Decide(self.next(Version::default(), BACK)),
        }
    }

    /// `base` with one more edit of the peer's: the second, so that all who see it there know the same version.
    fn next(&self, base: Version, incarnation: u32) -> Version {
        let actor = Actor { site: self.peer, incarnation };
        let here = self.local.map_or(0, |local| local.record.version.get(actor));
        let known = self.held.map_or(0, |held| held.version.get(actor)).max(here);
        let mut version = base;
        version.set(actor, u64::try_from(self.shown.second).unwrap_or(1).max(known + 1));
        version
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cell, Kind, Page, Record, Relation, Time};

    const PEER: SiteId = SiteId(uuid::Uuid::from_u128(2));

    fn us(counter: u64) -> Version {
        Version::of(Actor { site: SiteId(uuid::Uuid::from_u128(1)), incarnation: 1 }, counter)
    }

    fn page(name: &str, second: i64, version: Version) -> Page {
        let mut page = Page::new("t");
        let (uid, mark) = (page.put("urn:a"), page.mark());
        let (field, text) = (page.name("name").unwrap(), page.put(name));
        page.cell(Cell { field, resource: 0, kind: Kind::Text, text });
        let mut record = Record::new(uid, PEER, Time(second * 1_000_000));
        record.version = version;
        record.deleted = name.is_empty();
        page.finish(record, mark);
        page
    }

    fn view(page: &Page) -> RecordView<'_> {
        page.view(&page.records[0])
    }

    fn holding(known: Known, content: &Page, second: i64, at: i64, version: Version) -> Holding {
        let digest = view(content).digest();
        Holding {
            known,
            digest,
            modified: Some(second),
            before: None,
            at: Time(at * 1_000_000),
            version,
            fields: Vec::new(),
            refused: None,
        }
    }

    fn rules(update: Policy) -> Rules {
        Rules { update, ..Rules::default() }
    }

    /// How what is here stands to what is shown; `None` = nothing is to be decided.
    fn relation(local: &Page, held: Option<&Holding>, name: &str, second: i64, update: Policy) -> Option<Relation> {
        let shown = page(name, second, Version::default());
        let shown = Shown { view: view(&shown), second, since: None, given: Given::Arrived };
        match version(Some(view(local)), held, &shown, rules(update), PEER) {
            Stands::For(_) => None,
            Stands::Decide(version) => Some(view(local).record.version.relation(&version)),
        }
    }

    #[test]
    fn what_was_agreed_says_who_changed() {
        let (agreed, edited) = (page("a", 10, us(1)), page("b", 20, us(2)));
        let held = holding(Known::Shown, &agreed, 10, 10, us(1));
        for (local, name, second, update, want) in [
            (&agreed, "a", 10, Policy::Newer, None),
            (&edited, "a", 10, Policy::Newer, None),
            (&edited, "a", 10, Policy::Other, Some(Relation::Ahead)),
            (&agreed, "c", 11, Policy::Newer, Some(Relation::Behind)),
            (&agreed, "c", 10, Policy::Newer, Some(Relation::Behind)),
            (&edited, "c", 11, Policy::Newer, Some(Relation::Concurrent)),
            (&edited, "b", 99, Policy::Newer, None),
            (&edited, "a", 11, Policy::Newer, Some(Relation::Concurrent)),
            (&agreed, "a", 11, Policy::Newer, None),
            (&agreed, "c", 9, Policy::Newer, Some(Relation::Concurrent)),
            (&agreed, "c", 9, Policy::Other, Some(Relation::Ahead)),
            (&agreed, "", 11, Policy::Newer, Some(Relation::Behind)),
        ] {
            assert_eq!(relation(local, Some(&held), name, second, update), want, "{name} at {second} under {update:?}");
        }
    }

    #[test]
    fn what_an_eden_makes_of_what_it_was_given_is_no_edit() {
        let ours = page("1.50", 10, us(1));
        let held = holding(Known::Given, &ours, 10, 30, us(1));
        assert_eq!(relation(&ours, Some(&held), "1.5", 10, Policy::Newer), None);
        assert_eq!(relation(&ours, Some(&held), "2", 40, Policy::Newer), Some(Relation::Behind));
        assert_eq!(relation(&ours, Some(&held), "2", 20, Policy::Newer), Some(Relation::Concurrent), "edited before it was given");
    }

    #[test]
    fn an_eden_whose_clock_is_behind_has_seen_what_it_took() {
        let ours = page("a", 10, us(1));
        for (known, before, want) in [
            (Known::Taken, Some(5), Relation::Behind),
            (Known::Taken, Some(i64::MIN), Relation::Behind),
            // It may be what it had before, which it did not give up for ours.
            (Known::Taken, Some(8), Relation::Concurrent),
            (Known::Taken, None, Relation::Concurrent),
            (Known::Given, Some(5), Relation::Concurrent),
        ] {
            let held = Holding { before, ..holding(known, &ours, 10, 30, us(1)) };
            assert_eq!(relation(&ours, Some(&held), "c", 8, Policy::Newer), Some(want), "{known:?} {before:?}");
            let edited = page("b", 40, us(2));
            assert_eq!(relation(&edited, Some(&held), "c", 8, Policy::Newer), Some(Relation::Concurrent), "we edited, too");
        }
    }

    #[test]
    fn where_nothing_was_agreed_the_time_says_it() {
        let local = page("a", 10, us(1));
        for (second, update, want) in [
            (11, Policy::Newer, Relation::Behind),
            (10, Policy::Newer, Relation::Concurrent),
            (9, Policy::Newer, Relation::Concurrent),
            (9, Policy::Other, Relation::Ahead),
        ] {
            assert_eq!(relation(&local, None, "b", second, update), Some(want), "{second} under {update:?}");
        }
        let shown = page("b", 20, Version::default());
        let both = Shown { view: view(&shown), second: 20, since: Some(5), given: Given::Arrived };
        let Stands::Decide(version) = version(Some(view(&local)), None, &both, rules(Policy::Newer), PEER) else { panic!("it differs") };
        assert_eq!(us(1).relation(&version), Relation::Concurrent, "both changed since the last exchange");
    }

    #[test]
    fn two_sites_that_see_one_edit_of_an_eden_know_one_version() {
        let shown = page("b", 20, Version::default());
        let shown = Shown { view: view(&shown), second: 20, since: None, given: Given::Unknown };
        let one = version(None, None, &shown, rules(Policy::Newer), PEER);
        assert_eq!(one, version(None, None, &shown, rules(Policy::Other), PEER));
        assert_eq!(one, Stands::Decide(Version::of(Actor { site: PEER, incarnation: 1 }, 20)));
    }
}
