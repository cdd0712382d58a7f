//! PostgreSQL's programs, without which the tests of its connector cannot run.

use std::{fs, path::Path, process::Command};

/// Makes sure that they are there: installs them as root where there is apt, else says what to do.
pub(crate) fn ready() -> Result<(), String> {
    if there() {
        return Ok(());
    }
    let root = Command::new("id").arg("-u").output().is_ok_and(|said| said.stdout == b"0\n");
    if root && Path::new("/usr/bin/apt-get").exists() {
        for arguments in [&["update"][..], &["install", "-y", "--no-install-recommends", "postgresql"]] {
            let done = Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive").status();
            if !done.is_ok_and(|status| status.success()) {
                return Err("apt-get could not install postgresql".into());
            }
        }
    }
    if there() { Ok(()) } else { Err("install PostgreSQL, or set PGBIN to the folder of its program initdb".into()) }
}

fn there() -> bool {
    let own = std::env::var_os("PGBIN").is_some_and(|folder| Path::new(&folder).join("initdb").exists());
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    own || versions.map(|version| version.path().join("bin/initdb")).any(|initdb| initdb.exists())
}
