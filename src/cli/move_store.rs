//! `entente move-store`: the control store to another database.

use std::path::PathBuf;

use clap::Args;
use entente::{
    config::{self, Config, Settings, remembered},
    error::Result,
    model::{Time, counted},
    postgresql::Address,
    store::moving::Move,
};
use serde_json::json;

use super::{Context, Ending, output::warn, password, progress::Line};

/// Move the control store to a PostgreSQL server, or back into the data directory
///
/// All of it goes, or nothing. The old place then refuses to be used, and the data directory remembers the new one. It wants to be alone: stop
/// `serve`, `worker` and `up` before, on every machine.
#[derive(Args)]
pub(super) struct MoveStore {
    /// Where to: postgres://USER@HOST/DATABASE, or `sqlite:` for the data directory
    #[arg(value_name = "URL")]
    url: String,
    /// A file with the password for it in its first line [environment: PGPASSWORD, PGPASSFILE]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl MoveStore {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        let config = context.config(Settings::default())?;
        let to = self.target()?;
        let line = Line::new();
        let moving = Move { dir: &config.data, from: config.database.as_ref(), to: to.as_ref() };
        let rows = moving.run(Time::from_utc(chrono::Utc::now()), &mut |what, done, of| line.show(what, done, of))?;
        drop(line);
        remembered::set(&config.data, to.as_ref())?;
        warn_of_others(context, &config, to.as_ref());
        let place = to.as_ref().map_or_else(|| "the data directory".to_owned(), ToString::to_string);
        let text = || {
            let rows = counted(rows, "row");
            format!(
                "The control store is at {place} now ({rows}). Start `serve`, `worker` or `up` again.\nOther machines on this store: entente init --name NAME --database URL"
            )
        };
        context.format().print(text, || json!({"database": to.as_ref().map(ToString::to_string), "rows": rows}))?;
        Ok(Ending::Done)
    }

    fn target(&self) -> Result<Option<Address>> {
        let to = config::place(&password::none_in(&self.url)?)?;
        match (&self.password_file, to) {
            (Some(file), Some(to)) => Ok(Some(to.with(password::in_file(file)?))),
            (_, to) => Ok(to),
        }
    }
}

/// What goes before what is remembered would lead back.
fn warn_of_others(context: &Context, before: &Config, to: Option<&Address>) {
    let now = Config::load(config::Overrides {
        config: context.everywhere.config.clone(),
        settings: Settings { data: Some(before.data.clone()), ..Settings::default() },
    });
    if now.is_ok_and(|now| now.database.as_ref().map(Address::url) != to.map(Address::url)) {
        warn(
            "ENTENTE_DATABASE or `database` in the configuration still names the old place, and goes before what is remembered: change it there",
        );
    }
}
