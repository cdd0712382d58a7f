//! Aliases: uids of records that are gone, which lead to those that took their place.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::error::{Error, Result};

/// How many aliases are followed before the journal is called damaged: an heir is always smaller, so there is no cycle.
const MOST: usize = 64;

/// Where uids lead by aliases.
#[derive(Default)]
pub(super) struct Heirs(HashMap<String, String>);

impl Heirs {
    /// Follows `uids` to the end; `step` tells of those uids that are aliases what they lead to.
    pub(super) fn follow(uids: &[&str], mut step: impl FnMut(&[String]) -> Result<Vec<(String, String)>>) -> Result<Heirs> {
        let mut heirs = Heirs::default();
        let mut asked: Vec<String> = uids.iter().map(|uid| (*uid).to_owned()).collect();
        for _ in 0..MOST {
            let next = step(&asked)?;
            if next.is_empty() {
                return Ok(heirs);
            }
            asked = next.iter().map(|(_, heir)| heir.clone()).collect();
            heirs.0.extend(next);
        }
        Err(Error::internal("the journal is damaged: its aliases lead in a circle"))
    }

    /// The uid that a uid leads to in the end: itself where it is no alias.
    pub(super) fn last<'h>(&'h self, uid: &'h str) -> &'h str {
        let mut uid = uid;
        while let Some(heir) = self.0.get(uid) {
            uid = heir;
        }
        uid
    }

    /// The uids that lead to the same one, by that one.
    pub(super) fn followers<'h>(&'h self, uids: &[&'h str]) -> BTreeMap<&'h str, Vec<&'h str>> {
        let mut followers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for uid in uids {
            followers.entry(self.last(uid)).or_default().push(uid);
        }
        followers
    }
}

/// What references name, in the order of names: folding gives out uids, and the same run has to give the same ones.
pub(super) fn in_order<'w>(wanted: &[(&'w str, &'w str)]) -> BTreeMap<&'w str, BTreeSet<&'w str>> {
    let mut by_resource: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (resource, uid) in wanted {
        by_resource.entry(resource).or_default().insert(uid);
    }
    by_resource
}
