//! The filter of a resource in a run of our own: it goes with what we ask for and holds for what we give.

use super::Leg;
use crate::{
    connector::Part,
    error::{Error, Kind, Result},
    model::Hello,
    sync::filters::{Met, give},
};

/// A peer that does not know filters would send everything, and take a retraction for a record without fields.
const FEATURE: &str = "filters";

impl Leg<'_> {
    /// The filter as it goes with a request.
    pub(super) fn asks(&self) -> Vec<String> {
        if self.filter.is_everything() { Vec::new() } else { vec![self.filter.to_string()] }
    }
}

/// Notes under which filter the peer is given what it gets.
pub(super) fn ready(part: &mut Leg<'_>, hello: &Hello) -> Result<()> {
    let filtered = !part.filter.is_everything() || !part.share.given.is_empty();
    if filtered && !hello.features.iter().any(|feature| feature == FEATURE) {
        let message = format!("{} has a filter, and the version of Entente at {} cannot filter", part.table.resource, hello.name);
        return Err(Error::new(Kind::Unsupported, message).hint("Install a newer version there, or share all of it: --no-filter."));
    }
    let table = part.table.clone();
    let passive = part.door.share(&table, hello.uuid, Part::Passive)?;
    let met = if part.share.told + passive.told + passive.heard == 0 { Met::Never } else { Met::Perhaps };
    let head = part.door.head(&table)?;
    give(&mut part.share, &part.filter, met, head);
    Ok(())
}
