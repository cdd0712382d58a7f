//! Export, import, run (we call) and serve (they call).
//!
//! Import and export are written once; run and serve only use them.

pub mod admit;
pub mod attach;
mod epoch;
pub mod housekeeping;
mod import;
mod order;
mod outcome;
pub mod register;
pub mod run;
pub mod serve;
#[cfg(test)]
mod tests;
pub mod watch;

pub use import::{Bare, Bracket, Terms, import};
pub use outcome::Outcome;

use crate::model::{Digest, Page, RecordView};

/// The digest of a record of which some fields come from another version.
fn merged_digest(here: RecordView<'_>, incoming: RecordView<'_>, taken: &[String]) -> Digest {
    let mut page = Page::new(&here.page.resource);
    let uid = page.put(here.uid());
    let mark = page.mark();
    let from_them = incoming.fields().filter(|(field, _)| taken.iter().any(|name| name == field));
    let from_us = here.fields().filter(|(field, _)| !taken.iter().any(|name| name == field));
    for (name, value) in from_us.chain(from_them) {
        let (Some(field), resource, text) = (page.name(name), page.name_or_zero(value.resource), page.put(value.text)) else { continue };
        page.cell(crate::model::Cell { field, resource, kind: value.kind, text });
    }
    page.finish(crate::model::Record::new(uid, here.record.origin, here.record.modified_on), mark);
    page.view(&page.records[0]).digest()
}
