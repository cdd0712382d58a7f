//! `entente up`: server and worker as processes of their own, watched and started again.

use std::{
    ffi::OsString,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use entente::{
    error::{Error, Result},
    postgresql::Address,
    site::Site,
};
use sd_notify::NotifyState;
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    runtime, time,
};

use super::{
    Context, Ending,
    interrupt::Interrupt,
    output::{self, warn},
    serve::Door,
};

/// The pauses before a process that ended is started again: the first, and the longest.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// Who lived for so long did not fail at starting.
const ALIVE: Duration = Duration::from_secs(60);

/// Answer other sites and run the schedule: `serve` and `worker` together, kept alive
///
/// Each is a process of its own, and is started again when it ends. SIGTERM and Ctrl-C bring both to an end.
#[derive(Args)]
pub(super) struct Up {
    #[command(flatten)]
    door: Door,
}

/// One of the two processes.
struct Part {
    verb: &'static str,
    program: PathBuf,
    flags: Vec<OsString>,
    /// Where the control store is. Flags could be read by everybody.
    database: SecretString,
    /// It says in a line on stdout when it is ready; one that never did has not begun.
    speaks: bool,
}

impl Up {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        // What is wrong with the words or the data directory is told here, once.
        let config = context.config(self.door.clone().settings())?;
        let common = common(context, &config.data);
        let database = config.database.as_ref().map_or_else(|| "sqlite:".into(), Address::whole);
        drop(Site::open(config)?);
        let interrupt = Interrupt::listen()?;
        let program = std::env::current_exe().map_err(|e| Error::internal("This program cannot be found again").because(e))?;
        let part = |verb, flags: Vec<OsString>, speaks| Part {
            verb,
            program: program.clone(),
            flags: [common.clone(), flags].concat(),
            database: database.clone(),
            speaks,
        };
        let serve = part("serve", self.door.flags(), true);
        let worker = part("worker", Vec::new(), false);
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| Error::internal("Processes cannot be watched").because(e))?;
        runtime.block_on(async {
            let (serve, worker) = tokio::join!(keep(&serve, &interrupt), keep(&worker, &interrupt));
            serve.and(worker)
        })?;
        Ok(Ending::Done)
    }
}

fn common(context: &Context, data: &std::path::Path) -> Vec<OsString> {
    let mut flags = vec!["--data".into(), data.into()];
    if let Some(config) = &context.everywhere.config {
        flags.extend(["--config".into(), config.into()]);
    }
    let format = context.format().to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
    flags.extend(["--format".into(), format.into()]);
    flags
}

impl Door {
    fn flags(&self) -> Vec<OsString> {
        let flags = [
            ("--listen", self.listen.clone().map(OsString::from)),
            ("--tls-cert", self.tls_cert.clone().map(OsString::from)),
            ("--tls-key", self.tls_key.clone().map(OsString::from)),
        ];
        flags.into_iter().filter_map(|(flag, value)| Some([flag.into(), value?])).flatten().collect()
    }
}

/// What the GNU C library is told (mallopt(3)): how many heaps a process has at most, from how many bytes on a piece of memory has a mapping of its own,
/// and how much may lie free at the end of a heap. It keeps what each thread gave back for that thread, and large pieces in its heaps once it saw
/// some: documents and pages of records are large and pass many threads, and memory would grow with their number.
const HEAP: [(&str, &str); 3] = [("MALLOC_ARENA_MAX", "2"), ("MALLOC_MMAP_THRESHOLD_", "524288"), ("MALLOC_TRIM_THRESHOLD_", "1048576")];

impl Part {
    /// Starts it. It ends when its stdin does, so also when this process is killed.
    fn start(&self) -> Result<Child> {
        let mut command = Command::new(&self.program);
        command.arg(self.verb).args(&self.flags).arg("--until-stdin-ends").stdin(Stdio::piped()).env_remove("NOTIFY_SOCKET");
        command.env("ENTENTE_DATABASE", self.database.expose_secret());
        command.envs(HEAP.iter().filter(|(name, _)| std::env::var_os(name).is_none()).copied());
        if self.speaks {
            command.stdout(Stdio::piped());
        }
        command.spawn().map_err(|e| Error::internal(format!("`entente {}` could not be started", self.verb)).because(e))
    }
}

/// Keeps a process alive until the interrupt, then waits until it has ended. If it cannot begin at all, the interrupt is pulled.
async fn keep(part: &Part, interrupt: &Interrupt) -> Result<()> {
    let kept = keep_alive(part, interrupt).await;
    if kept.is_err() {
        interrupt.pull();
    }
    kept
}

async fn keep_alive(part: &Part, interrupt: &Interrupt) -> Result<()> {
    let mut began = !part.speaks;
    let mut failures = 0;
    loop {
        let started = Instant::now();
        let mut child = part.start()?;
        let stdin = child.stdin.take();
        let status = tokio::select! {
            status = see(&mut child, &mut began) => status,
            () = interrupt.clone().asked() => {
                drop(stdin);
                see(&mut child, &mut true).await.map(|_| ())?;
                return Ok(());
            }
        }?;
        if interrupt.was_asked() {
            return Ok(());
        }
        if !began || status.code() == Some(2) {
            return Err(Error::internal(format!("`entente {}` could not begin ({status})", part.verb)).hint("What it said stands above."));
        }
        failures = if started.elapsed() > ALIVE { 1 } else { failures + 1 };
        let pause = pause(failures);
        warn(&format!("`entente {}` ended ({status}); it is started again in {} s", part.verb, pause.as_secs()));
        tokio::select! {
            () = time::sleep(pause) => {}
            () = interrupt.clone().asked() => return Ok(()),
        }
    }
}

/// Passes on what it says, until it has begun once, and waits for its end.
async fn see(child: &mut Child, began: &mut bool) -> Result<ExitStatus> {
    let lost = |e| Error::internal("A process was lost sight of").because(e);
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout).lines();
        let first_time = !*began;
        while let Some(line) = lines.next_line().await.map_err(lost)? {
            if first_time {
                output::write(&format!("{line}\n"))?;
            }
            if !*began {
                *began = true;
                let _ = sd_notify::notify(&[NotifyState::Ready]);
            }
        }
    }
    child.wait().await.map_err(lost)
}

fn pause(failures: u32) -> Duration {
    FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_grow_to_a_minute() {
        let seconds: Vec<u64> = [1, 2, 3, 6, 7, 40].map(|failures| pause(failures).as_secs()).into();
        assert_eq!(seconds, [1, 2, 4, 32, 60, 60]);
    }
}
