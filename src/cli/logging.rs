//! The program's own log, on stderr.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// For a person at a terminal: warnings only, nothing but the sentence.
pub(super) fn for_people() {
    let lines = tracing_subscriber::fmt().with_env_filter(EnvFilter::new("warn")).with_writer(io::stderr);
    let _ = lines.with_target(false).with_ansi(false).without_time().try_init();
}

/// For a process that stays: times, and as much as the configuration wants. The web server's own chatter is left out unless it is named.
pub(super) fn for_processes(level: &str) {
    let lines = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(format!("actix_server=warn,{level}"))).with_writer(io::stderr);
    let _ = lines.with_ansi(io::stderr().is_terminal()).try_init();
}
