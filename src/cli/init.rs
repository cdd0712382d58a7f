//! `entente init`: makes this site.

use clap::Args;
use entente::{
    config::Settings,
    error::Result,
    model::Role,
    site::Site,
    store::{accounts, setup_code, site as control},
};
use serde_json::json;

use super::{Context, Ending};

/// Make this site and its identity, or give it another name
///
/// The site gets a UUID that never changes, and a one-time code with which the first administrator makes an account in the browser. Other verbs make
/// the site by themselves where there is none, named after this machine.
#[derive(Args)]
pub(super) struct Init {
    /// What the site is called
    #[arg(long)]
    name: String,
}

impl Init {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        let site = Site::open(context.config(Settings { name: Some(self.name.clone()), ..Settings::default() })?)?;
        let code = site.store.write(|c| {
            control::rename(c, &self.name)?;
            let administered = accounts::list(c)?.iter().any(|account| account.role == Role::Admin);
            if administered { Ok(None) } else { setup_code::make(c, site.now()).map(Some) }
        })?;
        let document = || json!({"uuid": site.id, "name": self.name, "data": site.config.data, "setup_code": code});
        context.format().print(|| text(&site, &self.name, code.as_deref()), document)?;
        Ok(Ending::Done)
    }
}

fn text(site: &Site, name: &str, code: Option<&str>) -> String {
    let mut text = format!("This site is {name} ({}), in {}.\n", site.id, site.config.data.display());
    if let Some(code) = code {
        text.push_str(&format!(
            "One-time set-up code for the first administrator: {code}\nIt is shown only now; `entente init` makes another as long as there is no administrator.\n"
        ));
    }
    text.push_str("Next, attach a database: entente attach NAME sqlite:PATH\n");
    text
}
