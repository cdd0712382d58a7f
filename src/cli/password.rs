//! Passwords: from a file or a prompt, never from the command line, where others on the machine could read them.

use std::{
    fs::File,
    io::{self, IsTerminal, Read},
    path::{Path, PathBuf},
};

use clap::Args;
use entente::{
    config::database,
    error::{Error, Result},
};
use secrecy::SecretString;

/// The most that is read of a password file.
const MOST: u64 = 4096;

/// Where a password comes from.
#[derive(Args)]
pub(super) struct Source {
    /// A file that holds the password in its first line; `-` reads it from stdin. Without it you are asked
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl Source {
    /// Whether a file was named.
    pub(super) fn is_given(&self) -> bool {
        self.password_file.is_some()
    }

    /// A password that is there already, for `what`.
    pub(super) fn existing(&self, what: &str) -> Result<SecretString> {
        self.in_file()?.map_or_else(|| ask(&format!("Password {what}: ")), Ok)
    }

    /// A new password for `what`: asked for twice.
    pub(super) fn new_one(&self, what: &str) -> Result<SecretString> {
        use secrecy::ExposeSecret;
        if let Some(password) = self.in_file()? {
            return Ok(password);
        }
        let first = ask(&format!("New password {what}: "))?;
        let again = ask("Again: ")?;
        if first.expose_secret() == again.expose_secret() {
            Ok(first)
        } else {
            Err(Error::usage("the two passwords differ").hint("Try again."))
        }
    }

    fn in_file(&self) -> Result<Option<SecretString>> {
        self.password_file.as_deref().map(in_file).transpose()
    }
}

/// The password in the first line of a file; `-` is stdin.
pub(super) fn in_file(path: &Path) -> Result<SecretString> {
    let mut text = String::new();
    let read = match path == Path::new("-") {
        true => io::stdin().lock().take(MOST).read_to_string(&mut text),
        false => File::open(path).and_then(|file| file.take(MOST).read_to_string(&mut text)),
    };
    read.map_err(|error| Error::usage(format!("The password file {} cannot be read", path.display())).because(error))?;
    let password = text.lines().next().unwrap_or_default();
    if password.is_empty() {
        return Err(Error::usage(format!("The password file {} has no password in its first line", path.display())));
    }
    Ok(SecretString::from(password))
}

/// An address from the command line, which must not have a password in it.
pub(super) fn none_in(url: &str) -> Result<String> {
    match database(url)? {
        Some(address) if address.password().is_some() => {
            Err(Error::usage("a password on the command line can be read by others on this machine").hint(
                "Write the address without it, and give it with --database-password-file, PGPASSWORD or a passfile (~/.pgpass); or give the whole \
                 address in ENTENTE_DATABASE.",
            ))
        }
        _ => Ok(url.to_owned()),
    }
}

fn ask(prompt: &str) -> Result<SecretString> {
    if !io::stdin().is_terminal() {
        return Err(Error::usage("a password is needed, and nobody is here to be asked").hint("Give it with --password-file FILE."));
    }
    let typed = rpassword::prompt_password(prompt).map_err(|error| Error::usage("The password could not be read").because(error))?;
    Ok(SecretString::from(typed))
}
