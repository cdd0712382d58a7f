//! `entente detach`.

use clap::Args;
use entente::{
    error::Result,
    sync::attach::{self, Journal},
};
use serde_json::json;

use super::{Context, Ending};

/// Detach a database: our triggers go, its tables stay as they are
#[derive(Args)]
pub(super) struct Detach {
    /// The database, by the name it was attached under
    name: String,
    /// Remove the journal too; attached again, its records count as new ones
    #[arg(long)]
    drop_journal: bool,
}

impl Detach {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        let journal = if self.drop_journal { Journal::Drop } else { Journal::Keep };
        attach::detach(&*context.site()?, &self.name, journal)?;
        let kept = if self.drop_journal { "and its journal is removed" } else { "its journal stays, so that it can be attached again" };
        context
            .format()
            .print(|| format!("{} is detached; {kept}.", self.name), || json!({"name": self.name, "journal_kept": !self.drop_journal}))?;
        Ok(Ending::Done)
    }
}
