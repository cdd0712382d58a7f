//! `entente site`: who we are.

use clap::Args;
use entente::{
    error::Result,
    model::{AttachedTable, Database},
    site::Site,
    store::{attached, databases, repositories, setup_code, site as control},
    sync,
};
use serde_json::json;

use super::{
    Context, Ending,
    output::{facts, table, yes},
};

/// Show this site: UUID, name, version, data directory, what is attached
#[derive(Args)]
pub(super) struct ShowSite {
    /// Take a new identity first: for the clone of a machine, so that it is not taken for the original
    #[arg(long)]
    new_identity: bool,
}

impl ShowSite {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        let mut site = context.site()?;
        if self.new_identity {
            sync::attach::new_identity(&site)?;
            site = context.site()?;
        }
        show(&site, context)
    }
}

fn show(site: &Site, context: &Context) -> Result<Ending> {
    let (paused, attached, databases, repositories, code) = site.store.read(|c| {
        let repositories = repositories::list(c, site.store.key())?.len();
        Ok((control::paused(c)?, attached::list(c)?, databases::list(c)?, repositories, setup_code::exists(c)?))
    })?;
    let document = || {
        let tables = |database: &Database| attached.iter().filter(|table| table.database == database.name).map(named).collect::<Vec<_>>();
        let databases: Vec<_> = databases.iter().map(|d| json!({"name": d.name, "url": d.url, "tables": tables(d)})).collect();
        json!({
            "uuid": site.id, "name": site.name, "version": env!("CARGO_PKG_VERSION"), "data": site.config.data,
            "database": site.store.database().map(ToString::to_string), "url": site.config.url,
            "paused": paused, "setup_code_open": code, "repositories": repositories, "databases": databases,
        })
    };
    let text = || {
        let mut text = facts(&[
            ("name", site.name.clone()),
            ("UUID", site.id.to_string()),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("data", site.config.data.display().to_string()),
            ("control store", site.store.database().map_or_else(|| "in the data directory".into(), ToString::to_string)),
            ("own address", site.config.url.clone().unwrap_or_else(|| "not told to others (`url` in entente.toml)".into())),
            ("paused", yes(paused)),
            ("repositories", repositories.to_string()),
        ]);
        text.push_str(&tables_in_text(&attached, &databases));
        text
    };
    context.format().print(text, document)?;
    Ok(Ending::Done)
}

fn named(table: &AttachedTable) -> serde_json::Value {
    json!({"table": table.table, "resource": table.resource})
}

fn tables_in_text(attached: &[AttachedTable], databases: &[Database]) -> String {
    if attached.is_empty() {
        return "Nothing is attached yet. See what could be: entente attach NAME sqlite:PATH\n".into();
    }
    let url =
        |name: &str| databases.iter().find(|database| database.name == name).map_or_else(String::new, |database| database.url.clone());
    let rows = attached.iter().map(|t| [t.resource.clone(), t.table.clone(), t.database.clone(), url(&t.database)]);
    table(&["resource", "table", "database", "address"], &[], rows)
}
