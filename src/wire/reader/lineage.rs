//! Where a record comes from: version, origin, author, settled, time.

use super::{build::no, tag::Attributes};
use crate::{
    error::{Error, Kind as Trouble, Result},
    model::{Actor, Record, SiteId, Time, Version},
    wire::value,
};

/// Who wrote a record and what it has seen, as our documents say it.
pub(super) fn lineage(attributes: &Attributes<'_>, record: &mut Record) -> Result<()> {
    if let Some(text) = attributes.get("e:version")? {
        record.version = version(&text).ok_or_else(|| no("version"))?;
    }
    if let Some(origin) = attributes.raw("e:origin") {
        record.origin = origin.parse()?;
    }
    record.author = attributes.raw("e:author").map_or(Ok(record.origin), str::parse)?;
    if let Some(sites) = attributes.raw("e:settled") {
        record.settled = sites.split_ascii_whitespace().take(Version::MAX_ACTORS + 1).map(str::parse).collect::<Result<_>>()?;
        if record.settled.len() > Version::MAX_ACTORS {
            return Err(Error::new(Trouble::TooLarge, "A record names too many sites"));
        }
        record.settled.sort_unstable();
        record.settled.dedup();
    }
    Ok(())
}

/// A version as [`Version`]'s `Display` writes it. In the order of actors only: another order would cost a hostile page's reader
/// time that grows with the square of its length.
fn version(text: &str) -> Option<Version> {
    let mut version = Version::default();
    let mut last = None;
    for (at, entry) in text.split(' ').filter(|_| !text.is_empty()).enumerate() {
        let (actor, counter) = entry.split_once(':')?;
        let (site, incarnation) = actor.split_once('.')?;
        let site = SiteId(uuid::Uuid::try_parse(site).ok()?);
        let actor = Actor { site, incarnation: number(incarnation).and_then(|number| u32::try_from(number).ok())? };
        let counter = number(counter).filter(|counter| (1..=i64::MAX as u64).contains(counter))?;
        if last.is_some_and(|last| last >= actor) || at >= Version::MAX_ACTORS {
            return None;
        }
        last = Some(actor);
        version.set(actor, counter);
    }
    Some(version)
}

/// A number in its one spelling.
pub(super) fn number(digits: &str) -> Option<u64> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits.len() == 1 || !digits.starts_with('0'));
    plain.then(|| digits.parse().ok()).flatten()
}

/// A time as we write it or, more slowly, as others do.
pub(super) fn time(text: &str) -> Result<Time> {
    value::instant(text).or_else(|_| text.parse())
}
