//! `entente demo`: two sites of a scouting hall, kept in agreement before your eyes.

mod desk;
mod hall;
mod tell;

use std::{
    thread::{self, Scope},
    time::Duration,
};

use clap::Args;
use entente::{
    error::{Error, Kind, Result},
    jobs,
    model::{Job, LogEntry, LogId, Timing},
    store::{self, log::LogFilter},
    sync::{
        run::{Ask, Control, run},
        schedule,
    },
};

use self::{
    desk::{House, add_hall, share},
    hall::{Desk, EDITS, TABLES},
    tell::Story,
};
use super::{Context, Ending, interrupt::Interrupt, output::warn};

/// How long the scheduled run may take before something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// The job runs so often, seconds.
const EVERY: u32 = 10;

/// See two sites with example data agree: nothing to prepare, nothing left behind
///
/// Makes two databases of a scouting hall in a temporary folder, with servers, accounts, a registration, a job and a worker; edits both, and shows what
/// a scheduled run exchanges. Then it stays up, for you to look and try, until Ctrl-C ends it and removes the folder.
#[derive(Args)]
pub(super) struct Demo {
    /// Where the first site listens [default: 127.0.0.1:8080, or a free port if that is taken]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// End when all is told
    #[arg(long)]
    once: bool,
}

impl Demo {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        let folder = tempfile::Builder::new().prefix("entente-demo-").tempdir();
        let folder = folder.map_err(|e| Error::new(Kind::Full, "A temporary folder could not be made").because(e))?;
        let interrupt = Interrupt::listen()?;
        let mut story = Story::begin(context.format());
        let hall = House::open(folder.path(), Desk::Hall, self.listen.as_deref())?;
        let stand = House::open(folder.path(), Desk::Stand, None)?;
        let told = thread::scope(|scope| {
            let told = self.tell(&mut story, &hall, &stand, &interrupt, scope);
            if matches!(told, Ok(Ending::Done)) && !self.once {
                wait(&interrupt);
            }
            interrupt.pull();
            told
        });
        // The worker has ended: nobody calls any more.
        let closed = hall.close().and(stand.close());
        let ending = told?;
        closed?;
        Ok(ending)
    }

    fn tell<'s>(
        &self,
        story: &mut Story,
        hall: &House,
        stand: &'s House,
        interrupt: &Interrupt,
        scope: &'s Scope<'s, '_>,
    ) -> Result<Ending> {
        story.two_sites(hall, stand)?;
        let repository = add_hall(stand, hall)?;
        share(stand, repository.id)?;
        let first = run(&stand.site, &repository, &Ask::default(), &mut Control { stop: &|| None, progress: &mut |_| {} })?;
        story.first_run(&parts(stand, first.run)?)?;
        for edit in &EDITS {
            hall::edit(if edit.desk == Desk::Hall { &hall.database } else { &stand.database }, edit)?;
        }
        story.edits()?;
        let job = schedule::planned(Job { on_change: true, ..Job::new(repository.id, Timing::Every(EVERY)) }, stand.site.now())?;
        stand.site.store.write(|c| store::jobs::add(c, &job))?;
        let stop = interrupt.clone();
        scope.spawn(move || jobs::work(&stand.site, stop.asked()).inspect_err(|error| warn(&error.chain())));
        let second = scheduled(stand, repository.id, first.run, interrupt)?;
        story.second_run(&parts(stand, second)?)?;
        let agreed = hall::meaning(&hall.database)? == hall::meaning(&stand.database)?;
        story.agreement(hall, stand, agreed)?;
        story.end(hall, stand, if self.once { tell::After::Ends } else { tell::After::Stays })?;
        Ok(if agreed { Ending::Done } else { Ending::Failed })
    }
}

/// What became of each table in a run, in the order in which it happened.
fn parts(stand: &House, run: LogId) -> Result<Vec<LogEntry>> {
    let filter = LogFilter { run: Some(run), limit: 4 * TABLES.len() as u32, ..LogFilter::default() };
    let mut parts = stand.site.store.read(|c| store::log::list(c, &filter))?;
    parts.retain(|part| part.id != run);
    parts.reverse();
    Ok(parts)
}

/// Waits until the worker has ended a run after `before`.
fn scheduled(stand: &House, repository: i64, before: LogId, interrupt: &Interrupt) -> Result<LogId> {
    let pause = Duration::from_millis(50);
    for _ in 0..PATIENCE.as_millis() / pause.as_millis() {
        let runs = stand.site.store.read(|c| store::log::runs_of(c, repository, 100))?;
        if let Some(run) = runs.iter().rev().find(|run| run.id > before) {
            return if run.outcome.failed() { Err(Error::internal(run.message.clone())) } else { Ok(run.id) };
        }
        if interrupt.was_asked() {
            return Err(Error::new(Kind::Stopped, "The demo was stopped"));
        }
        thread::sleep(pause);
    }
    Err(Error::new(Kind::Timeout, "The worker did not run its job in time"))
}

fn wait(interrupt: &Interrupt) {
    while !interrupt.was_asked() {
        thread::sleep(Duration::from_millis(100));
    }
}
