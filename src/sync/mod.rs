//! Export, import, run (we call) and serve (they call).
//!
//! Import and export are written once; run and serve only use them.

pub mod admit;
pub mod attach;
pub mod clones;
pub mod compare;
pub mod conflicts;
pub mod eden;
mod edit;
mod epoch;
pub mod filters;
pub mod history;
pub mod housekeeping;
mod import;
mod order;
mod outcome;
pub mod overview;
pub mod pause;
pub mod pending;
pub mod quarantine;
pub mod register;
pub mod run;
pub mod schedule;
pub mod serve;
#[cfg(test)]
mod tests;
pub mod versions;
pub mod watch;

pub use edit::{Edited, Number};
pub use import::{Bare, Bracket, Fields, Terms, import};
pub use outcome::Outcome;

use crate::{
    connector::{Connector, Table},
    error::Result,
    model::{Cell, Page, Record, RecordView},
};

/// Begins to keep what is agreed of a table's records where they are to be merged field by field.
fn keep_bases(db: &mut dyn Connector, table: &mut Table, wanted: bool) -> Result<()> {
    if wanted && !table.bases {
        db.keep_bases(table)?;
        table.bases = true;
    }
    Ok(())
}

/// A record of which some fields come from another version, alone in a page. Its version has seen both.
fn mixed(here: RecordView<'_>, other: RecordView<'_>, taken: &[String]) -> Page {
    let mut page = Page::new(&here.page.resource);
    let uid = page.put(here.uid());
    let mark = page.mark();
    let from_other = other.fields().filter(|(field, _)| taken.iter().any(|name| name == field));
    let from_here = here.fields().filter(|(field, _)| !taken.iter().any(|name| name == field));
    for (name, value) in from_here.chain(from_other) {
        let (Some(field), resource, text) = (page.name(name), page.name_or_zero(value.resource), page.put(value.text)) else { continue };
        page.cell(Cell { field, resource, kind: value.kind, text });
    }
    let mut record = Record::new(uid, here.record.origin, here.record.modified_on.max(other.record.modified_on));
    record.version = here.record.version.join(&other.record.version);
    page.finish(record, mark);
    page
}
