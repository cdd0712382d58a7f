//! Runs the simulation of `tests/simulate` for as many worlds as wanted.

use std::process::ExitCode;

use crate::steps::{cargo, finish};

const HELP: &str = "\
Lives through whole worlds: sites, lines, crashes, restored backups, and at last quiet,
when nine promises (docs/SYNC.md) have to hold. The same seed makes the same world.

cargo xtask simulate [--worlds N] [--seed S] [--ground G] [--release]

  --worlds N   so many worlds, of the seeds S, S+1, … (1000); of a single one
               everything that happens is printed, line by line
  --seed S     the first seed (0); from 1099511627776 on, worlds are about adoption
  --ground G   what the databases of the sites are: sqlite (the default), postgres, or
               mixed, where some are on the one and some on the other
  --release    optimized: slow to build, worth it from some 10,000 worlds on

At the end: what happened how often, seconds per 1,000 worlds and the seeds that failed.
To see why a seed failed: cargo xtask simulate --worlds 1 --seed SEED";

/// What is wanted.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    worlds: u64,
    seed: u64,
    ground: String,
    release: bool,
}

/// What the databases of the sites may be.
const GROUNDS: [&str; 3] = ["sqlite", "postgres", "mixed"];

/// `None` = help; the error names the argument that is not understood.
fn read(arguments: &[&str]) -> Result<Option<Wanted>, String> {
    let mut wanted = Wanted { worlds: 1_000, seed: 0, ground: GROUNDS[0].to_owned(), release: false };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let (name, value) = argument.split_once('=').map_or((*argument, None), |(name, value)| (name, Some(value)));
        let mut text = || value.or_else(|| rest.next().copied());
        let mut number = || -> Result<u64, String> {
            let text = text().ok_or(format!("{name} needs a number"))?;
            text.replace('_', "").parse().map_err(|_| format!("{name} needs a number, not {text:?}"))
        };
        match name {
            "--worlds" => wanted.worlds = number()?,
            "--seed" => wanted.seed = number()?,
            "--ground" => match text() {
                Some(ground) if GROUNDS.contains(&ground) => wanted.ground = ground.to_owned(),
                other => return Err(format!("--ground needs one of {}, not {:?}", GROUNDS.join(", "), other.unwrap_or_default())),
            },
            "--release" => wanted.release = true,
            "--help" | "-h" | "help" => return Ok(None),
            other => return Err(format!("{other:?} is not known here")),
        }
    }
    if wanted.worlds == 0 { Err("--worlds needs one world at least".into()) } else { Ok(Some(wanted)) }
}

/// Runs as many worlds as the arguments say.
pub(crate) fn run(arguments: &[&str]) -> ExitCode {
    let wanted = match read(arguments) {
        Ok(Some(wanted)) => wanted,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("{why}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let mut words = vec!["test", "--quiet", "--test", "simulate"];
    words.extend(wanted.release.then_some("--release"));
    words.extend(["--", "--exact", "--ignored", "--nocapture", "as_many_worlds_as_wanted"]);
    let mut command = cargo(&words);
    command.env("SIMULATE_GROUND", &wanted.ground);
    command.env("SIMULATE_WORLDS", wanted.worlds.to_string()).env("SIMULATE_SEED", wanted.seed.to_string());
    match finish(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("FAILED: {why}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_in_any_order_and_what_is_wrong_is_named() {
        let on = |ground: &str, worlds, seed, release| Ok(Some(Wanted { worlds, seed, ground: ground.into(), release }));
        let wanted = |worlds, seed, release| on("sqlite", worlds, seed, release);
        assert_eq!(read(&[]), wanted(1_000, 0, false));
        assert_eq!(read(&["--worlds", "5", "--seed=1_000"]), wanted(5, 1_000, false));
        assert_eq!(read(&["--release", "--seed", "7", "--worlds=1"]), wanted(1, 7, true));
        assert_eq!(read(&["--ground=mixed", "--worlds", "9"]), on("mixed", 9, 0, false));
        assert_eq!(read(&["--ground", "postgres"]), on("postgres", 1_000, 0, false));
        assert_eq!(read(&["--seed", "7", "--help"]), Ok(None));
        for (arguments, named) in [
            (&["--worlds"] as &[&str], "--worlds"),
            (&["--worlds", "many"], "many"),
            (&["--worlds", "0"], "--worlds"),
            (&["--sed", "1"], "--sed"),
            (&["--ground", "oracle"], "oracle"),
            (&["--ground"], "--ground"),
        ] {
            assert!(read(arguments).unwrap_err().contains(named), "{arguments:?}");
        }
    }
}
