//! Programs of the system without which some tests cannot run.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Makes sure that PostgreSQL is there: installs it as root where there is apt, else says what to do.
pub(crate) fn postgres() -> Result<(), String> {
    let own = || named("PGBIN").is_some_and(|folder| folder.join("initdb").exists());
    let versions = || fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let there = || own() || versions().map(|version| version.path().join("bin/initdb")).any(|initdb| initdb.exists());
    ready(&["postgresql"], there, "install PostgreSQL, or set PGBIN to the folder of its program initdb")
}

/// The same for a browser and its driver.
pub(crate) fn browser() -> Result<(), String> {
    let one =
        |variable, paths: &[&str]| named(variable).is_some_and(|own| own.exists()) || paths.iter().any(|path| Path::new(path).exists());
    let there = || {
        one("CHROMIUM", &["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"])
            && one("CHROMEDRIVER", &["/usr/bin/chromedriver", "/usr/lib/chromium/chromedriver", "/usr/local/bin/chromedriver"])
    };
    ready(&["chromium", "chromium-driver"], there, "install Chromium and its driver, or set CHROMIUM and CHROMEDRIVER to these programs")
}

fn named(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from)
}

/// Installs packages if that is needed and can be done.
fn ready(packages: &[&str], there: impl Fn() -> bool, else_do: &str) -> Result<(), String> {
    if there() {
        return Ok(());
    }
    let root = Command::new("id").arg("-u").output().is_ok_and(|said| said.stdout == b"0\n");
    if root && Path::new("/usr/bin/apt-get").exists() {
        let install = [&["install", "-y", "--no-install-recommends"], packages].concat();
        for arguments in [&["update"][..], &install] {
            let done = Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive").status();
            if !done.is_ok_and(|status| status.success()) {
                return Err(format!("apt-get could not install {}", packages.join(" and ")));
            }
        }
    }
    if there() { Ok(()) } else { Err(else_do.to_owned()) }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn what_is_there_is_not_installed_again() {
        let asked = Cell::new(0);
        let there = || {
            asked.set(asked.get() + 1);
            true
        };
        assert_eq!((ready(&["no-such-package"], there, "do it yourself"), asked.get()), (Ok(()), 1));
    }
}
