//! SIGTERM and Ctrl-C: the first asks to come to an end, the second one ends at once.

use std::{io::Read, process, sync::mpsc, thread};

use entente::error::{Error, Result};
use tokio::{runtime, sync::watch};

/// The exit status of a process that was interrupted twice.
const AT_ONCE: i32 = 130;

/// Whether this process was asked to come to an end. Clones hear of the same.
#[derive(Clone)]
pub(super) struct Interrupt {
    asked: watch::Receiver<bool>,
    ask: watch::Sender<bool>,
}

impl Interrupt {
    /// From now on signals are heard, and no longer end the process by themselves.
    pub(super) fn listen() -> Result<Interrupt> {
        let (ask, asked) = watch::channel(false);
        let (ready, begun) = mpsc::channel();
        let sender = ask.clone();
        let off = |error| Error::internal("Signals cannot be heard").because(error);
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(off)?;
        thread::spawn(move || runtime.block_on(hear(&sender, &ready)));
        begun.recv().map_err(|error| Error::internal("Signals cannot be heard").because(error))?.map_err(off)?;
        Ok(Interrupt { asked, ask })
    }

    /// One that hears no signals and is only ever pulled from inside.
    pub(super) fn by_hand() -> Interrupt {
        let (ask, asked) = watch::channel(false);
        Interrupt { asked, ask }
    }

    /// Besides, the end of stdin asks for it: whoever started this process has ended or closed it.
    pub(super) fn when_stdin_ends(&self) {
        let ask = self.ask.clone();
        thread::spawn(move || {
            let mut stdin = std::io::stdin().lock();
            let mut bytes = [0; 64];
            while matches!(stdin.read(&mut bytes), Ok(1..)) {}
            ask.send_replace(true);
        });
    }

    /// Asks for it from inside.
    pub(super) fn pull(&self) {
        self.ask.send_replace(true);
    }

    /// Whether it was asked for.
    pub(super) fn was_asked(&self) -> bool {
        *self.asked.borrow()
    }

    /// Returns when it is asked for.
    pub(super) async fn asked(mut self) {
        let _ = self.asked.wait_for(|asked| *asked).await;
    }
}

async fn hear(ask: &watch::Sender<bool>, ready: &mpsc::Sender<std::io::Result<()>>) {
    let mut signals = match Signals::new() {
        Ok(signals) => {
            let _ = ready.send(Ok(()));
            signals
        }
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    signals.next().await;
    ask.send_replace(true);
    signals.next().await;
    process::exit(AT_ONCE);
}

#[cfg(unix)]
struct Signals(tokio::signal::unix::Signal, tokio::signal::unix::Signal);

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals(signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals)
    }

    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
