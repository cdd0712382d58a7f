//! The last step: is what both sites hold the same? It costs one more request where something moved, and none where nothing did.

use super::{Leg, Run};
use crate::{
    error::Result,
    model::{Hello, HelloResource, Mode},
    peer::Peer,
    store::verified,
    sync::pending,
};

/// How the two sites stand to each other in one resource.
enum Standing {
    /// Their living records agree.
    Equal,
    /// They do not, though each has seen all of the other and nothing explains it.
    Apart,
    /// Not known: something is on its way, waits, or is held apart by a rule.
    Open,
}

impl<'r> Run<'r, '_> {
    /// Compares the sums of both sites and keeps when they were equal. Whatever comes of it, the run was what it was.
    pub(super) fn verify(&mut self, parts: &mut [Leg<'r>], asked: Option<Hello>, peer: &dyn Peer) {
        let moved = parts.iter().any(|part| part.begun && !part.failed);
        let last = match asked {
            Some(hello) => Ok(Some(hello)),
            None if moved => peer.greet(&pending::greeting(self.site, self.repository)).map(|contact| Some(contact.hello)),
            None => Ok(None),
        };
        let done = last.and_then(|last| self.compare(parts, last.as_ref()));
        if let Err(error) = done {
            tracing::warn!(repository = self.repository.id, "What was exchanged could not be verified: {}", error.chain());
        }
    }

    fn compare(&mut self, parts: &mut [Leg<'r>], last: Option<&Hello>) -> Result<()> {
        let mut equal = Vec::new();
        for part in parts.iter_mut().filter(|part| !part.failed) {
            let there = match last {
                Some(hello) => hello.resources.iter().find(|there| there.name == part.table.resource),
                None => Some(&part.there),
            };
            let Some(there) = there.cloned() else { continue };
            match standing(part, &there)? {
                Standing::Equal => equal.push((part.resource.id, part.table.resource.clone())),
                Standing::Apart => self.warnings.push(format!(
                    "{resource} differs from that of {name}, although both have seen everything of each other; \
                     `entente verify {name}` shows where",
                    resource = part.table.resource,
                    name = self.repository.name
                )),
                Standing::Open => {}
            }
        }
        if equal.is_empty() {
            return Ok(());
        }
        let now = self.site.now();
        self.site.store.write(|c| equal.iter().try_for_each(|(id, _)| verified::set(c, *id, now)))?;
        self.verified = equal.into_iter().map(|(_, name)| name).collect();
        Ok(())
    }
}

/// The sum is read before the head, there as here: what is written in between shows as a head that moved.
fn standing(part: &mut Leg<'_>, there: &HelloResource) -> Result<Standing> {
    let (Some(ours), Some(theirs)) = (part.door.sum(&part.table)?, there.digest) else { return Ok(Standing::Open) };
    if ours == theirs {
        return Ok(Standing::Equal);
    }
    let seen = there.head == part.share.pull && part.share.push >= part.door.head(&part.table)?;
    let explained = there.apart || there.mode != Mode::Both || part.resource.may_hold_apart() || part.door.unsettled(&part.table)?;
    Ok(if seen && !explained { Standing::Apart } else { Standing::Open })
}
