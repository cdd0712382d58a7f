//! `entente import`: records from S3XML documents and archives of them.

use std::path::PathBuf;

use clap::Args;
use entente::{
    error::{Error, Result},
    model::{Limits, eden::Document},
    store::repositories,
    sync::eden::files::{Taken, import},
    wire::eden::{read, read_archive},
};
use serde_json::{Value, json};

use super::{
    Context, Ending,
    output::{table, warn},
};

/// A file may be larger than what comes over a line.
const LARGEST: u64 = 1 << 30;

/// Take the records of a file: an S3XML document, or a ZIP archive of such
///
/// They are decided like any that come over a line: what a newer version here replaces stays, and what is replaced is in the history.
#[derive(Args)]
pub(super) struct Import {
    /// The file
    file: PathBuf,
    /// The repository that it comes from, whose rules then hold
    #[arg(long, value_name = "NAME")]
    repository: Option<String>,
    /// Only this resource; accounts only if they are named so
    #[arg(long = "resource", value_name = "R")]
    resources: Vec<String>,
}

impl Import {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        let bytes =
            std::fs::read(&self.file).map_err(|error| Error::usage(format!("{} cannot be read", self.file.display())).because(error))?;
        let limits = Limits { body: LARGEST, ..Limits::default() };
        let texts = if bytes.starts_with(b"PK") { read_archive(&bytes, &limits)? } else { vec![(self.file.display().to_string(), bytes)] };
        let site = context.site()?;
        let own = site.domain();
        let documents: Vec<Document> = texts
            .into_iter()
            .map(|(name, text)| read(&text, &[&own], &limits).map_err(|error| error.within(&name)))
            .collect::<Result<_>>()?;
        let from = self.repository.as_ref().map(|name| site.store.read(|c| repositories::get(c, site.store.key(), name))).transpose()?;
        let named = (!self.resources.is_empty()).then_some(self.resources.as_slice());
        let taken = import(&site, &documents, from.as_ref(), named)?;
        if taken.is_empty() {
            let found: Vec<&str> = documents.iter().flat_map(|document| &document.pages).map(|page| page.resource.as_str()).collect();
            return Err(Error::usage("nothing of this file is attached here").hint(if found.is_empty() {
                "It holds no records.".to_owned()
            } else {
                format!("It holds {}.", found.join(", "))
            }));
        }
        taken.iter().flat_map(|taken| &taken.outcome.warnings).for_each(|warning| warn(warning));
        context.format().print(|| text(&taken), || taken.iter().map(document).collect())?;
        Ok(Ending::Done)
    }
}

fn text(taken: &[Taken]) -> String {
    let rows = taken.iter().map(|taken| {
        let counts = taken.outcome.counts;
        let numbers = [counts.records, counts.created, counts.updated, counts.deleted, counts.kept, counts.quarantined, counts.parked];
        let mut row = vec![taken.resource.clone()];
        row.extend(numbers.iter().map(u64::to_string));
        <[String; 8]>::try_from(row).unwrap_or_default()
    });
    table(&["resource", "records", "created", "updated", "deleted", "kept", "quarantined", "parked"], &[], rows)
}

fn document(taken: &Taken) -> Value {
    let counts = taken.outcome.counts;
    json!({
        "resource": taken.resource, "records": counts.records, "created": counts.created, "updated": counts.updated, "deleted": counts.deleted,
        "unchanged": counts.unchanged, "kept": counts.kept, "conflicts": counts.conflicts, "quarantined": counts.quarantined, "parked": counts.parked,
    })
}
