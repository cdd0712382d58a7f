//! `entente export`: records as S3XML documents in a file.

use std::path::PathBuf;

use clap::Args;
use entente::{
    error::{Error, Result},
    model::eden::Components,
    sync::eden::files::{Deleted, Wanted, export},
    wire::eden::{Sender, write, write_archive},
};
use serde_json::json;

use super::{Context, Ending, output::warn};

/// Write records of resources to a file: an S3XML document, or a ZIP archive with one document a resource
///
/// For a first load elsewhere, and for sites with no network. What the records refer to comes along; accounts do not.
#[derive(Args)]
pub(super) struct Export {
    /// The file: NAME.xml for one resource, NAME.zip for any number
    file: PathBuf,
    /// A resource
    #[arg(long = "resource", required = true, value_name = "R")]
    resources: Vec<String>,
    /// Only records that match, for example ~.region=north
    #[arg(long = "filter", value_name = "F")]
    filters: Vec<String>,
    /// Word of records that are gone, too
    #[arg(long)]
    deleted: bool,
    /// Without the records that belong to others
    #[arg(long)]
    no_components: bool,
}

impl Export {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        let archive = self.file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zip"));
        if !archive && self.resources.len() > 1 {
            return Err(Error::usage("one document holds one resource").hint("Name a file that ends in .zip for several."));
        }
        let site = context.site()?;
        let url = site.config.url.clone().unwrap_or_default();
        let domain = url.split_once("://").map_or("", |(_, rest)| rest.split(['/', ':']).next().unwrap_or_default()).to_owned();
        // A site of our own kind may load it, and know the same uids over the line.
        let sender = Sender { site: site.id, domain, prefix: String::new(), url };
        let (mut documents, mut told) = (Vec::new(), Vec::new());
        for resource in &self.resources {
            let components = if self.no_components { Components::Omitted } else { Components::Nested };
            let deleted = if self.deleted { Deleted::Told } else { Deleted::Omitted };
            let feed = export(&site, &Wanted { resource: resource.clone(), filters: self.filters.clone(), components, deleted })?;
            let mut text = String::new();
            let lossy = write(&feed, &sender, &mut text)?;
            if lossy.replaced > 0 {
                warn(&format!("{resource}: characters that XML cannot carry were replaced in {} texts", lossy.replaced));
            }
            if !lossy.unsent.is_empty() {
                let fields: Vec<&str> = lossy.unsent.iter().map(String::as_str).collect();
                warn(&format!("{resource}: such a document cannot hold the values of {}", fields.join(", ")));
            }
            told.push((resource.clone(), feed.results));
            documents.push((resource.clone(), text.into_bytes()));
        }
        let bytes = if archive { write_archive(&documents)? } else { documents.remove(0).1 };
        std::fs::write(&self.file, bytes)
            .map_err(|error| Error::usage(format!("{} cannot be written", self.file.display())).because(error))?;
        let text = || told.iter().map(|(resource, records)| format!("{resource}: {records} records")).collect::<Vec<_>>().join("\n");
        let document = || json!({"file": self.file, "resources": told.iter().map(|(name, records)| json!({"resource": name, "records": records})).collect::<Vec<_>>()});
        context.format().print(text, document)?;
        Ok(Ending::Done)
    }
}
