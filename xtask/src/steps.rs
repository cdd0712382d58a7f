//! Steps that run one after the other, each with its command and time printed.

use std::{
    env,
    path::PathBuf,
    process::{Command, ExitCode},
    time::Instant,
};

use crate::{abreast, licences};

/// One thing that must succeed.
pub(crate) struct Step {
    command: &'static str,
    task: Task,
}

/// How a step is done.
pub(crate) enum Task {
    /// Cargo with arguments and environment variables.
    Cargo(&'static [&'static str], &'static [(&'static str, &'static str)]),
    /// All tests, which are counted.
    Tests,
    /// The licences of all dependencies.
    Licences,
    /// Programs that tests start; installed where that can be done.
    Needs(fn() -> Result<(), String>),
}

impl Step {
    /// A step and the words that announce it.
    pub(crate) const fn new(command: &'static str, task: Task) -> Step {
        Step { command, task }
    }
}

/// How many tests there were.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
}

impl Tally {
    /// Adds what a test binary says of itself: `test result: ok. 3 passed; 0 failed; …`. Any other line adds nothing.
    pub(crate) fn add(&mut self, line: &str) {
        let Some(result) = line.trim_start().strip_prefix("test result: ") else { return };
        let words: Vec<&str> = result.split_whitespace().collect();
        for pair in words.windows(2) {
            let count = pair[0].parse().unwrap_or(0);
            match pair[1] {
                "passed;" => self.passed += count,
                "failed;" => self.failed += count,
                _ => {}
            }
        }
    }
}

/// Runs the steps up to the first failure and prints the sum of all tests as the last line. A step that failed without a
/// failed test counts as one.
pub(crate) fn run_all(steps: &[Step]) -> ExitCode {
    let begin = Instant::now();
    let mut tally = Tally::default();
    let mut code = ExitCode::SUCCESS;
    for step in steps {
        println!("==> {}", step.command);
        let begin = Instant::now();
        let result = run(&step.task, &mut tally);
        println!("    {:.1} s", begin.elapsed().as_secs_f64());
        if let Err(why) = result {
            println!("FAILED: {}: {why}", step.command);
            tally.failed = tally.failed.max(1);
            code = ExitCode::FAILURE;
            break;
        }
    }
    println!("{:.1} s in all", begin.elapsed().as_secs_f64());
    println!("{} passed, {} failed", tally.passed, tally.failed);
    code
}

/// Runs the benchmarks with these arguments.
pub(crate) fn bench(arguments: &[&str]) -> ExitCode {
    let mut command = cargo(&["bench"]);
    if !arguments.is_empty() {
        command.arg("--").args(arguments);
    }
    match finish(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("FAILED: cargo bench: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Cargo, at the root of the repository.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    // What cargo told this program of itself makes some dependencies be built anew, and once more when somebody runs cargo by hand.
    let own = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    env::vars_os().map(|(name, _)| name).filter(|name| name.to_str().is_some_and(own)).for_each(|name| {
        command.env_remove(name);
    });
    command
}

fn root() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| ".".into(), |own| PathBuf::from(own).join(".."))
}

fn run(task: &Task, tally: &mut Tally) -> Result<(), String> {
    match task {
        Task::Cargo(arguments, environment) => {
            let mut command = cargo(arguments);
            command.envs(environment.iter().copied());
            finish(command)
        }
        Task::Tests => abreast::run(tally),
        Task::Licences => licences::check(),
        Task::Needs(ready) => ready(),
    }
}

/// Runs a command to its end.
pub(crate) fn finish(mut command: Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("cannot be started: {error}"))?;
    if status.success() { Ok(()) } else { Err(status.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tally_is_the_sum_over_all_test_binaries() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test a ... ok",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "I passed; 7 failed; is not a result",
            "test result: FAILED. 40 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s",
        ] {
            tally.add(line);
        }
        assert_eq!(tally, Tally { passed: 43, failed: 2 });
    }
}
