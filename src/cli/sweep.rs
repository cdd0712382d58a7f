//! `entente sweep`: what no trigger noticed.

use clap::Args;
use entente::{
    error::Result,
    store::databases,
    sync::housekeeping::{self, SweptTable},
};
use serde_json::{Value, json};

use super::{
    Context, Ending,
    output::{complain, table, yes},
    progress::Line,
};

/// Find what programs wrote to attached databases without their triggers noticing
///
/// What is found becomes local edits, which travel at the next run. The worker does it every night.
#[derive(Args)]
pub(super) struct Sweep {
    /// Databases, by the names they were attached under [default: all]
    databases: Vec<String>,
}

impl Sweep {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        let site = context.site()?;
        let wanted = site.store.read(|c| match self.databases.as_slice() {
            [] => databases::list(c),
            names => names.iter().map(|name| databases::get(c, name)).collect(),
        })?;
        let (mut found, mut ending) = (Vec::new(), Ending::Done);
        let line = Line::new();
        for database in &wanted {
            match housekeeping::sweep(&site, database, &mut |what, done, of| line.show(what, done, of)) {
                Ok(tables) => found.extend(tables),
                Err(error) => {
                    complain(&format!("{}: {}", database.name, error.chain()));
                    ending = Ending::Failed;
                }
            }
        }
        drop(line);
        context.format().print(|| text(&found), || found.iter().map(document).collect())?;
        Ok(ending)
    }
}

fn text(found: &[SweptTable]) -> String {
    if found.is_empty() {
        return "No table was swept.".into();
    }
    let rows = found.iter().map(|t| {
        let counts = [t.swept.rows, t.swept.added, t.swept.changed, t.swept.removed].map(|count| count.to_string());
        [t.database.clone(), t.resource.clone()].into_iter().chain(counts).chain([yes(t.swept.mended)])
    });
    let heading = ["database", "resource", "rows", "added", "changed", "removed", "sum mended"];
    let text = table(&heading, &["rows", "added", "changed", "removed"], rows);
    let unnoticed = found.iter().any(|table| table.swept.added + table.swept.changed + table.swept.removed > 0);
    let told = if unnoticed { "What had gone unnoticed travels at the next run." } else { "Nothing had gone unnoticed." };
    format!("{text}\n{told}\n")
}

fn document(found: &SweptTable) -> Value {
    let swept = &found.swept;
    json!({
        "database": found.database, "resource": found.resource, "rows": swept.rows, "added": swept.added, "changed": swept.changed,
        "removed": swept.removed, "sum_mended": swept.mended,
    })
}
