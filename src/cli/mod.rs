//! The command line: flags and verbs, one file a verb. Each reads its words, makes one call, and prints.

mod attach;
mod compare;
mod conflicts;
mod demo;
mod detach;
mod export;
mod history;
mod import;
mod init;
mod interrupt;
mod job;
mod log;
mod logging;
mod move_store;
mod output;
mod password;
mod pause;
mod progress;
mod quarantine;
mod repository;
mod resource;
mod serve;
mod site;
mod sweep;
mod sync;
mod token;
mod up;
mod user;
mod verify;
mod versions;
mod words;
mod worker;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Args, Parser, Subcommand};
use entente::{
    config::{Config, Overrides, Settings},
    error::{Error, Kind, Result},
    site::Site,
};
use output::{Format, complain};

/// Keeps databases at many sites in agreement, over networks that come and go.
#[derive(Parser)]
#[command(name = "entente", version, arg_required_else_help = true, max_term_width = 110)]
#[command(after_help = "See it work: entente demo\nOne verb in full: entente help VERB\n\n\
    Exit status: 0 done, 1 something failed, is paused or in use, 2 wrong usage.")]
struct Cli {
    #[command(flatten)]
    everywhere: Everywhere,
    #[command(subcommand)]
    verb: Verb,
}

/// Flags of every verb.
#[derive(Args)]
struct Everywhere {
    /// The data directory of the site [environment: ENTENTE_DATA; default: the user's data directory]
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The configuration file [environment: ENTENTE_CONFIG; default: entente.toml in the data directory]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The control store on a PostgreSQL server, postgres://USER@HOST/DATABASE, or `sqlite:` for the data directory; `init` remembers it
    /// [environment: ENTENTE_DATABASE]
    #[arg(long, global = true, value_name = "URL")]
    database: Option<String>,
    /// A file with the password for it in its first line [environment: PGPASSWORD, PGPASSFILE]
    #[arg(long, global = true, value_name = "FILE")]
    database_password_file: Option<PathBuf>,
    /// What is printed: text for people, or one JSON document
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Subcommand)]
enum Verb {
    Demo(demo::Demo),
    Init(init::Init),
    Up(up::Up),
    Serve(serve::Serve),
    Worker(worker::Worker),
    Site(site::ShowSite),
    Attach(attach::Attach),
    Detach(detach::Detach),
    #[command(subcommand)]
    User(user::User),
    #[command(subcommand)]
    Token(token::Token),
    #[command(subcommand)]
    Repository(repository::Verb),
    #[command(subcommand)]
    Resource(resource::Verb),
    #[command(subcommand)]
    Job(job::Verb),
    Sync(sync::Sync),
    Verify(verify::Verify),
    Compare(compare::Compare),
    Transfer(compare::Transfer),
    Sweep(sweep::Sweep),
    Log(log::Log),
    Conflicts(conflicts::Conflicts),
    Quarantine(quarantine::Quarantine),
    History(history::History),
    Rollback(history::Rollback),
    Export(export::Export),
    Import(import::Import),
    Pause(pause::Pause),
    Resume(pause::Resume),
    MoveStore(move_store::MoveStore),
}

/// How a verb ended that did what it could.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Done,
    Failed,
}

/// What every verb has at hand.
struct Context {
    everywhere: Everywhere,
}

impl Context {
    fn config(&self, flags: Settings) -> Result<Config> {
        let Everywhere { data, config, database, database_password_file, .. } = &self.everywhere;
        let database = database.as_deref().map(password::none_in).transpose()?.or(flags.database);
        let settings = Settings { data: data.clone().or(flags.data), database, ..flags };
        let mut config = Config::load(Overrides { config: config.clone(), settings })?;
        if let Some(file) = database_password_file {
            let server = config.database.ok_or_else(|| {
                Error::usage("--database-password-file is for a control store on a server, and none is named")
                    .hint("Name it with --database.")
            })?;
            config.database = Some(server.with(password::in_file(file)?));
        }
        Ok(config)
    }

    fn site(&self) -> Result<Arc<Site>> {
        Site::open(self.config(Settings::default())?)
    }

    fn format(&self) -> Format {
        self.everywhere.format
    }
}

/// Does what the command line says.
pub(crate) fn main() -> ExitCode {
    let Cli { everywhere, verb } = Cli::parse();
    let context = Context { everywhere };
    // Processes that stay begin their log when they have read how much of it is wanted.
    if !matches!(verb, Verb::Serve(_) | Verb::Worker(_)) {
        logging::for_people();
    }
    match run(verb, &context) {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Failed) => ExitCode::FAILURE,
        Err(error) => {
            complain(&error.chain());
            ExitCode::from(if error.kind() == Kind::Usage { 2 } else { 1 })
        }
    }
}

fn run(verb: Verb, context: &Context) -> Result<Ending> {
    match verb {
        Verb::Demo(verb) => verb.run(context),
        Verb::Init(verb) => verb.run(context),
        Verb::Up(verb) => verb.run(context),
        Verb::Serve(verb) => verb.run(context),
        Verb::Worker(verb) => verb.run(context),
        Verb::Site(verb) => verb.run(context),
        Verb::Attach(verb) => verb.run(context),
        Verb::Detach(verb) => verb.run(context),
        Verb::User(verb) => verb.run(context),
        Verb::Token(verb) => verb.run(context),
        Verb::Repository(verb) => verb.run(context),
        Verb::Resource(verb) => verb.run(context),
        Verb::Job(verb) => verb.run(context),
        Verb::Sync(verb) => verb.run(context),
        Verb::Verify(verb) => verb.run(context),
        Verb::Compare(verb) => verb.run(context),
        Verb::Transfer(verb) => verb.run(context),
        Verb::Sweep(verb) => verb.run(context),
        Verb::Log(verb) => verb.run(context),
        Verb::Conflicts(verb) => verb.run(context),
        Verb::Quarantine(verb) => verb.run(context),
        Verb::History(verb) => verb.run(context),
        Verb::Rollback(verb) => verb.run(context),
        Verb::Export(verb) => verb.run(context),
        Verb::Import(verb) => verb.run(context),
        Verb::Pause(verb) => verb.run(context),
        Verb::Resume(verb) => verb.run(context),
        Verb::MoveStore(verb) => verb.run(context),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_flags_of_all_verbs_fit_together() {
        super::Cli::command().debug_assert();
    }
}
