//! `entente init`: makes this site.

use clap::Args;
use entente::{
    config::{Config, Settings, remembered},
    error::{Error, Kind, Result},
    model::Role,
    site::Site,
    store::{Store, accounts, setup_code, site as control},
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
    /// The key of the control store is lost: take the one in the data directory from now on. The passwords of repositories have to be set again
    #[arg(long)]
    new_key: bool,
}

impl Init {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        let config = context.config(Settings { name: Some(self.name.clone()), ..Settings::default() })?;
        let elsewhere = remembered::find(&config.data)? != config.database;
        if elsewhere {
            refuse_second_site(&config)?;
        }
        let site = if self.new_key { Site::open_with_new_key(config)? } else { Site::open(config)? };
        if elsewhere {
            remembered::set(&site.config.data, site.config.database.as_ref())?;
        }
        let code = site.store.write(|c| {
            control::rename(c, &self.name)?;
            let administered = accounts::list(c)?.iter().any(|account| account.role == Role::Admin);
            if administered { Ok(None) } else { setup_code::make(c, site.now()).map(Some) }
        })?;
        let document =
            || json!({"uuid": site.id, "name": self.name, "data": site.config.data, "database": place(&site), "setup_code": code});
        context.format().print(|| text(&site, &self.name, code.as_deref()), document)?;
        Ok(Ending::Done)
    }
}

/// The server of the control store, without the password.
fn place(site: &Site) -> Option<String> {
    site.store.database().map(ToString::to_string)
}

/// Refuses another place for the control store of a data directory that has a site already, unless the same site is there.
fn refuse_second_site(config: &Config) -> Result<()> {
    let known = remembered::find(&config.data)?;
    if known.is_none() && !config.data.join(Store::FILE).exists() {
        return Ok(());
    }
    // One that nobody can reach any more is in nobody's way.
    let Ok(Some(ours)) = Store::peek(&config.data, known.as_ref()) else { return Ok(()) };
    if Store::peek(&config.data, config.database.as_ref())?.is_some_and(|theirs| theirs.uuid == ours.uuid) {
        return Ok(());
    }
    let at = known.map_or_else(|| "in the data directory".to_owned(), |server| format!("at {server}"));
    Err(Error::new(Kind::Exists, format!("The control store of this site ({}) is {at}", ours.name))
        .hint("Take it along with `entente move-store URL`, or choose another data directory with --data."))
}

fn text(site: &Site, name: &str, code: Option<&str>) -> String {
    let mut text = format!("This site is {name} ({}), in {}.\n", site.id, site.config.data.display());
    if let Some(server) = place(site) {
        text.push_str(&format!(
            "Its control store is at {server}. Other machines that share it need the file `key` of this data directory.\n"
        ));
    }
    if let Some(code) = code {
        text.push_str(&format!(
            "One-time set-up code for the first administrator: {code}\nIt is shown only now; `entente init` makes another as long as there is no administrator.\n"
        ));
    }
    text.push_str("Next, attach a database: entente attach NAME sqlite:PATH\n");
    text
}
