//! The project's own chores: `cargo xtask --help`.

use std::process::ExitCode;

mod abreast;
mod licences;
mod programs;
mod simulate;
mod steps;

use steps::{Step, Task};

const HELP: &str = "\
The project's own chores.

cargo xtask test             everything that must pass, in order, up to the first failure;
                             the last line is the sum: N passed, N failed
cargo xtask bench [-- ARGS]  cargo bench, with these arguments for the benchmarks
cargo xtask simulate [ARGS]  whole worlds of sites, from seeds; see cargo xtask simulate --help
cargo xtask --help           this";

/// What must pass. A new requirement (say, packages of the system that a test needs) is one more line.
const TEST: &[Step] = &[
    Step::new("cargo fmt --all --check", Task::Cargo(&["fmt", "--all", "--check"], &[])),
    Step::new(
        "cargo clippy --workspace --all-targets -- -D warnings",
        Task::Cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &[]),
    ),
    Step::new(
        "RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps",
        Task::Cargo(&["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")]),
    ),
    Step::new("licences of the dependencies, from cargo metadata", Task::Licences),
    Step::new("PostgreSQL, for the tests: apt-get install postgresql", Task::Needs(programs::postgres)),
    Step::new(
        "Chromium and its driver, for the tests of the pages: apt-get install chromium chromium-driver",
        Task::Needs(programs::browser),
    ),
    Step::new("cargo test --workspace --no-fail-fast, the longest beside the others", Task::Tests),
    Step::new("cargo run -- demo --once", Task::Cargo(&["run", "--", "demo", "--once"], &[])),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test"] => steps::run_all(TEST),
        ["bench"] | ["bench", "--"] => steps::bench(&[]),
        ["bench", "--", rest @ ..] => steps::bench(rest),
        ["simulate", rest @ ..] => simulate::run(rest),
        ["--help" | "-h" | "help"] => {
            println!("{HELP}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{HELP}");
            ExitCode::from(2)
        }
    }
}
