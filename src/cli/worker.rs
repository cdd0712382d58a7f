//! `entente worker`: the process that runs the schedule.

use clap::Args;
use entente::{config::Settings, error::Result, jobs, model::counted, site::Site};
use sd_notify::NotifyState;
use serde_json::json;

use super::{Context, Ending, interrupt::Interrupt, logging};

/// Run the schedule, until SIGTERM or Ctrl-C
///
/// Runs that are going on then stop after their page. Several workers may run at the same time.
#[derive(Args)]
pub(super) struct Worker {
    /// Run what is due now, and end
    #[arg(long)]
    once: bool,
    /// End when stdin does
    #[arg(long, hide = true)]
    until_stdin_ends: bool,
}

impl Worker {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        let config = context.config(Settings::default())?;
        logging::for_processes(&config.log_level);
        let interrupt = Interrupt::listen()?;
        if self.until_stdin_ends {
            interrupt.when_stdin_ends();
        }
        let site = Site::open(config)?;
        if !self.once {
            let _ = sd_notify::notify(&[NotifyState::Ready]);
            jobs::work(&site, interrupt.asked())?;
            return Ok(Ending::Done);
        }
        let (runs, failed) = jobs::work_once(&site, interrupt.asked())?;
        context.format().print(|| told(runs, failed), || json!({"runs": runs, "failed": failed}))?;
        Ok(if failed > 0 { Ending::Failed } else { Ending::Done })
    }
}

fn told(runs: usize, failed: usize) -> String {
    match (runs, failed) {
        (0, _) => "Nothing was due. What is planned: entente job list".into(),
        (_, 0) => format!("{}, all well. What happened: entente log", counted(runs as u64, "run")),
        _ => format!("{}, {failed} of them failed. Why: entente log", counted(runs as u64, "run")),
    }
}
