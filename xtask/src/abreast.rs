//! All tests of the workspace, the longest of them beside the others: these wait a lot, for processes, pages and leases, and it never does.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use serde_json::Value;

use crate::steps::{Tally, cargo};

/// The test binary that takes as long as many others and only computes.
const LONGEST: &str = "simulate";

/// A test binary that cargo built.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Binary {
    name: String,
    executable: PathBuf,
    /// The folder of its package, where it is run, as cargo does.
    package: PathBuf,
}

/// Builds and runs everything, whatever fails, and counts.
pub(crate) fn run(tally: &mut Tally) -> Result<(), String> {
    let binaries = build()?;
    let longest = binaries.iter().find(|binary| binary.name == LONGEST).ok_or_else(|| format!("there is no test {LONGEST}"))?;
    let mut failed = BTreeMap::new();
    thread::scope(|scope| {
        let beside = scope.spawn(|| modest(longest).output());
        for binary in binaries.iter().filter(|binary| *binary != longest) {
            println!("     Running {} ({})", binary.name, binary.executable.display());
            let done = count(command(binary, &binary.executable), tally);
            failed.extend(done.err().map(|why| (binary.name.clone(), why)));
        }
        println!("     Running {} ({}), begun beside the others", longest.name, longest.executable.display());
        let why = match beside.join() {
            Ok(Ok(output)) => {
                let said = String::from_utf8_lossy(&output.stdout);
                said.lines().for_each(|line| tally.add(line));
                print!("{said}");
                eprint!("{}", String::from_utf8_lossy(&output.stderr));
                (!output.status.success()).then(|| output.status.to_string())
            }
            Ok(Err(error)) => Some(format!("cannot be started: {error}")),
            Err(_) => Some("nobody waited for its end".to_owned()),
        };
        failed.extend(why.map(|why| (longest.name.clone(), why)));
    });
    let documented = count(cargo(&["test", "--workspace", "--no-fail-fast", "--doc"]), tally);
    failed.extend(documented.err().map(|why| ("the examples in the documentation".to_owned(), why)));
    if failed.is_empty() {
        return Ok(());
    }
    Err(failed.into_iter().map(|(name, why)| format!("{name}: {why}")).collect::<Vec<_>>().join("; "))
}

/// Builds all tests and says where they are, in a fixed order.
fn build() -> Result<Vec<Binary>, String> {
    let mut command = cargo(&["test", "--workspace", "--no-run", "--message-format", "json-render-diagnostics"]);
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| format!("cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(output.status.to_string());
    }
    let mut binaries: Vec<Binary> = String::from_utf8_lossy(&output.stdout).lines().filter_map(binary).collect();
    binaries.sort();
    Ok(binaries)
}

/// The test binary that a message of cargo's is about.
fn binary(message: &str) -> Option<Binary> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_test = message["reason"] == "compiler-artifact" && message["profile"]["test"] == true;
    let executable = message["executable"].as_str().filter(|_| is_test)?;
    let package = Path::new(message["manifest_path"].as_str()?).parent()?;
    Some(Binary { name: message["target"]["name"].as_str()?.to_owned(), executable: executable.into(), package: package.to_owned() })
}

fn command(binary: &Binary, program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(&binary.package).env("CARGO_MANIFEST_DIR", &binary.package);
    command
}

/// So that others do not wait for it, where a process can be told to be modest.
fn modest(binary: &Binary) -> Command {
    let nice = Path::new("/usr/bin/nice");
    if !nice.exists() {
        return command(binary, &binary.executable);
    }
    let mut command = command(binary, nice);
    command.args(["-n", "19"]).arg(&binary.executable);
    command
}

/// Passes the output of tests on, line by line, and counts.
fn count(mut command: Command, tally: &mut Tally) -> Result<(), String> {
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| format!("cannot be started: {error}"))?;
    let output = child.stdout.take().ok_or("has no output")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = line.map_err(|error| error.to_string())?;
        let line = String::from_utf8_lossy(&line);
        tally.add(&line);
        println!("{line}");
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(status.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_cargo_built_only_tests_are_run_in_the_folder_of_their_package() {
        let message = |test: bool, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/a/worker/Cargo.toml","target":{{"name":"simulate"}},"profile":{{"test":{test}}},"executable":{executable}}}"#
            )
        };
        let found = Binary { name: "simulate".into(), executable: "/t/simulate-1".into(), package: "/a/worker".into() };
        assert_eq!(binary(&message(true, "\"/t/simulate-1\"")), Some(found));
        for other in [&message(false, "\"/t/entente\""), &message(true, "null"), r#"{"reason":"build-finished","success":true}"#, "plain"] {
            assert_eq!(binary(other), None, "{other}");
        }
    }
}
