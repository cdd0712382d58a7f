//! Where the control store of a data directory is, kept in a file that its owner alone can read: it may hold a password.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use secrecy::ExposeSecret;

use crate::{
    error::{Error, Result},
    postgresql::Address,
};

/// The file's name in the data directory.
pub const FILE: &str = "database";

/// The server that is remembered; `None` where none is.
pub fn find(data: &Path) -> Result<Option<Address>> {
    let path = data.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => super::database(text.trim()).map_err(|error| error.within(&path.display().to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound || error.kind() == io::ErrorKind::NotADirectory => Ok(None),
        Err(error) => Err(Error::internal(format!("Cannot read {}", path.display())).because(error)),
    }
}

/// Remembers a server, with its password unless that is kept elsewhere, or, for `None`, that the store is in the data directory. It is durable.
pub fn set(data: &Path, database: Option<&Address>) -> Result<()> {
    let path = data.join(FILE);
    let cannot = |error| Error::internal(format!("Cannot write {}", path.display())).because(error);
    match database {
        Some(address) => write(data, address.kept().expose_secret()).map_err(cannot),
        None => match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cannot(error)),
            _ => Ok(()),
        },
    }
}

// Written beside and moved into place, so that it is whole or not there.
fn write(data: &Path, url: &str) -> io::Result<()> {
    let draft = data.join(format!("{FILE}.{}", std::process::id()));
    let _ = fs::remove_file(&draft);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    file.write_all(format!("{url}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, data.join(FILE))?;
    #[cfg(unix)]
    File::open(data)?.sync_all()?;
    Ok(())
}
