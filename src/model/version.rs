//! Version vectors: which edits a version of a record has seen.

use std::{fmt, str::FromStr};

use smallvec::SmallVec;

use super::SiteId;
use crate::error::{Error, Result};

/// One life of a site's journal. A new incarnation begins when a journal went back in time, so that counters are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Actor {
    /// The site.
    pub site: SiteId,
    /// Its incarnation, from 1.
    pub incarnation: u32,
}

/// How one version stands to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// Both have seen the same edits.
    Same,
    /// Ours has seen all of theirs and more.
    Ahead,
    /// Theirs has seen all of ours and more.
    Behind,
    /// Each has seen an edit that the other has not.
    Concurrent,
}

/// A version vector: for each actor that wrote the record, the counter of its last edit. Sorted by actor, no counter is 0.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct Version(SmallVec<[(Actor, u64); 2]>);

impl Version {
    /// The most actors a vector from outside may name.
    pub const MAX_ACTORS: usize = 4096;

    /// The vector with one edit.
    pub fn of(actor: Actor, counter: u64) -> Version {
        let mut version = Version::default();
        version.set(actor, counter);
        version
    }

    /// The counter of `actor`, 0 if it never wrote.
    pub fn get(&self, actor: Actor) -> u64 {
        self.0.binary_search_by_key(&actor, |(a, _)| *a).map_or(0, |at| self.0[at].1)
    }

    /// Raises the counter of `actor` to `counter`; a lower one changes nothing.
    pub fn set(&mut self, actor: Actor, counter: u64) {
        match self.0.binary_search_by_key(&actor, |(a, _)| *a) {
            Ok(at) => self.0[at].1 = self.0[at].1.max(counter),
            Err(at) if counter > 0 => self.0.insert(at, (actor, counter)),
            Err(_) => {}
        }
    }

    /// How this version stands to `other`.
    pub fn relation(&self, other: &Version) -> Relation {
        let covers = |a: &Version, b: &Version| b.0.iter().all(|(actor, counter)| a.get(*actor) >= *counter);
        match (covers(self, other), covers(other, self)) {
            (true, true) => Relation::Same,
            (true, false) => Relation::Ahead,
            (false, true) => Relation::Behind,
            (false, false) => Relation::Concurrent,
        }
    }

    /// The least vector that has seen all that both have seen.
    #[must_use]
    pub fn join(&self, other: &Version) -> Version {
        let mut joined = self.clone();
        for (actor, counter) in &other.0 {
            joined.set(*actor, *counter);
        }
        joined
    }

    /// The component-wise minimum: what both have seen.
    #[must_use]
    pub fn meet(&self, other: &Version) -> Version {
        let common = self.0.iter().map(|(actor, counter)| (*actor, (*counter).min(other.get(*actor))));
        Version(common.filter(|(_, counter)| *counter > 0).collect())
    }

    /// Whether nobody has written.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The actors and counters, in the order of actors.
    pub fn iter(&self) -> impl Iterator<Item = (Actor, u64)> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<(Actor, u64)> for Version {
    fn from_iter<I: IntoIterator<Item = (Actor, u64)>>(entries: I) -> Version {
        let mut version = Version::default();
        for (actor, counter) in entries {
            version.set(actor, counter);
        }
        version
    }
}

/// `SITE.INCARNATION:COUNTER …`, sites as bare UUIDs, in the order of actors.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (actor, counter)) in self.0.iter().enumerate() {
            let space = if at == 0 { "" } else { " " };
            write!(f, "{space}{}.{}:{counter}", actor.site.0.hyphenated(), actor.incarnation)?;
        }
        Ok(())
    }
}

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Version> {
        let mut version = Version::default();
        for (at, entry) in text.split_ascii_whitespace().enumerate() {
            let parsed = entry.split_once(':').and_then(|(actor, counter)| {
                let (site, incarnation) = actor.split_once('.')?;
                let actor = Actor { site: site.parse().ok()?, incarnation: incarnation.parse().ok()? };
                Some((actor, counter.parse::<u64>().ok().filter(|c| (1..=i64::MAX as u64).contains(c))?))
            });
            let (actor, counter) = parsed
                .ok_or_else(|| Error::malformed(format!("{:?} is not part of a version", entry.chars().take(80).collect::<String>())))?;
            if at >= Version::MAX_ACTORS {
                return Err(Error::new(crate::error::Kind::TooLarge, "a version names too many sites"));
            }
            version.set(actor, counter);
        }
        Ok(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(entries: &[(u128, u64)]) -> Version {
        entries.iter().map(|(site, counter)| (Actor { site: SiteId(uuid::Uuid::from_u128(*site)), incarnation: 1 }, *counter)).collect()
    }

    #[test]
    fn relation_join_and_meet() {
        for (a, b, want) in [
            (v(&[(1, 1)]), v(&[(1, 1)]), Relation::Same),
            (v(&[(1, 2)]), v(&[(1, 1)]), Relation::Ahead),
            (v(&[(1, 1)]), v(&[(1, 1), (2, 1)]), Relation::Behind),
            (v(&[(1, 2)]), v(&[(1, 1), (2, 1)]), Relation::Concurrent),
            (v(&[]), v(&[]), Relation::Same),
        ] {
            assert_eq!(a.relation(&b), want, "{a} {b}");
            assert_ne!(a.join(&b).relation(&a), Relation::Behind);
            assert_ne!(a.meet(&b).relation(&a), Relation::Ahead);
        }
        assert_eq!(v(&[(1, 2), (3, 1)]).meet(&v(&[(1, 1), (2, 1)])), v(&[(1, 1)]));
    }

    #[test]
    fn a_version_survives_being_written_and_nonsense_is_refused() {
        let version = v(&[(1, 15), (7, 3)]);
        assert_eq!(version.to_string().parse::<Version>().unwrap(), version);
        for bad in ["x", "x.1:2", "00000000-0000-0000-0000-000000000001.1:0", "00000000-0000-0000-0000-000000000001:4", ":", "a.b:c"] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }
}
