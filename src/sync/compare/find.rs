//! The caller's part: asking until it is known where both sides differ.

use std::collections::HashSet;

use negentropy::{Id, Negentropy};

use super::{FRAME, Items, confused};
use crate::{
    error::{Error, Result},
    model::{CompareRequest, ItemId},
    peer::Peer,
};

/// The most round trips: many times what sites need that hold nothing in common.
const ROUNDS: usize = 20_000;

/// The most differences that are taken in: 32 bytes each.
const MOST: usize = 20_000_000;

/// Versions that only one of both sites has.
#[derive(Debug, Default)]
pub(in crate::sync) struct Differences {
    /// Only we.
    pub(in crate::sync) ours: Vec<ItemId>,
    /// Only they.
    pub(in crate::sync) theirs: Vec<ItemId>,
    /// How many round trips it took.
    pub(in crate::sync) rounds: usize,
}

impl Differences {
    /// The records of which both sites have different versions.
    pub(in crate::sync) fn in_both(&self) -> HashSet<[u8; 8]> {
        let ours: HashSet<[u8; 8]> = self.ours.iter().map(ItemId::record).collect();
        self.theirs.iter().map(ItemId::record).filter(|record| ours.contains(record)).collect()
    }
}

/// Finds the versions that only one side has. `ask` is what goes with each message; `goes_on` is asked before each.
pub(in crate::sync) fn find(
    items: &Items,
    peer: &dyn Peer,
    resource: &str,
    ask: &CompareRequest,
    goes_on: &dyn Fn() -> Result<()>,
) -> Result<Differences> {
    let mut negentropy = Negentropy::borrowed(items, FRAME).map_err(confused)?;
    let mut message = negentropy.initiate().map_err(confused)?;
    let (mut ours, mut theirs) = (Vec::<Id>::new(), Vec::<Id>::new());
    for rounds in 1..=ROUNDS {
        goes_on()?;
        let request = CompareRequest { message: Some(std::mem::take(&mut message)), ..ask.clone() };
        let answer = peer.compare(resource, &request)?;
        let answer = answer.message.ok_or_else(|| Error::malformed("the other site did not answer the comparison"))?;
        let next = negentropy.reconcile_with_ids(&answer, &mut ours, &mut theirs).map_err(confused)?;
        if ours.len() + theirs.len() > MOST {
            return Err(Error::malformed(format!("the other site names more than {MOST} differences")));
        }
        match next {
            Some(next) => message = next,
            None => return Ok(Differences { ours: sorted(ours), theirs: sorted(theirs), rounds }),
        }
    }
    Err(Error::malformed("the comparison with the other site comes to no end"))
}

/// In the order of the records, each once.
fn sorted(ids: Vec<Id>) -> Vec<ItemId> {
    let mut ids: Vec<ItemId> = ids.into_iter().map(|id| ItemId(*id.as_bytes())).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
