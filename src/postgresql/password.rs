//! The password for a server where the address has none: from `PGPASSWORD`, or from a passfile as PostgreSQL's own programs read it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use secrecy::SecretString;
use tokio_postgres::{Config, config::Host};

use super::{Address, settings};
use crate::error::Result;

/// The variables that are looked at: a password, a passfile, and where the user's own passfile is.
pub const VARIABLES: [&str; 3] = ["PGPASSWORD", "PGPASSFILE", "HOME"];

/// The address with the password that the environment knows for it; one in the address goes first.
pub fn found(address: Address, env: &BTreeMap<String, String>) -> Result<Address> {
    if address.password().is_some() {
        return Ok(address);
    }
    let known = |name: &str| env.get(name).filter(|value| !value.is_empty());
    if let Some(password) = known("PGPASSWORD") {
        return Ok(address.lent(SecretString::from(password.as_str())));
    }
    let own = || known("HOME").map(|home| PathBuf::from(home).join(".pgpass"));
    let file = known("PGPASSFILE").map(PathBuf::from).or_else(own);
    let password = match file {
        Some(file) => in_file(&file, &settings::read(&address)?.0),
        None => None,
    };
    Ok(match password {
        Some(password) => address.lent(password),
        None => address,
    })
}

/// The password of the first line `HOST:PORT:DATABASE:USER:PASSWORD` that fits. A file that others can read is left alone.
fn in_file(file: &Path, config: &Config) -> Option<SecretString> {
    if !is_private(file) {
        return None;
    }
    let text = fs::read_to_string(file).ok()?;
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        _ => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432).to_string();
    let user = config.get_user().unwrap_or_default();
    let wanted = [host.as_str(), &port, config.get_dbname().unwrap_or(user), user];
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = fields(line);
        let fits = fields.len() == 5 && wanted.iter().zip(&fields).all(|(wanted, field)| field == "*" || field == wanted);
        fits.then(|| SecretString::from(fields[4].as_str()))
    })
}

/// The fields of a line; `\` keeps the colon or the `\` that follows.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        let letter = match letter {
            ':' if fields.len() < 5 => {
                fields.push(String::new());
                continue;
            }
            '\\' => letters.next().unwrap_or('\\'),
            other => other,
        };
        if let Some(field) = fields.last_mut() {
            field.push(letter);
        }
    }
    fields
}

#[cfg(unix)]
fn is_private(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let Ok(seen) = fs::metadata(file) else { return false };
    let private = seen.permissions().mode() & 0o077 == 0;
    if !private {
        tracing::warn!("Others can read the password file {}, so it is not used; chmod 600 makes it yours alone", file.display());
    }
    private
}

#[cfg(not(unix))]
fn is_private(file: &Path) -> bool {
    file.exists()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn password(url: &str, env: &[(&str, &str)]) -> Option<String> {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        found(Address::parse(url).unwrap(), &env).unwrap().password().map(|password| password.expose_secret().to_owned())
    }

    #[test]
    fn the_address_goes_before_the_environment_and_that_before_the_passfile() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(".pgpass");
        fs::write(&file, "# ours\nother:*:*:*:no\ndb:5433:app:me:from \\: the file:\n*:*:*:me:any\n").unwrap();
        let (path, home) = (file.to_str().unwrap(), home.path().to_str().unwrap());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
            assert_eq!(password("postgres://me@db:5433/app", &[("HOME", home)]), None, "others can read it");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        }
        for (url, env, want) in [
            ("postgres://me:own@db:5433/app", vec![("PGPASSWORD", "x"), ("HOME", home)], Some("own")),
            ("postgres://me@db:5433/app", vec![("PGPASSWORD", "x"), ("HOME", home)], Some("x")),
            ("postgres://me@db:5433/app", vec![("HOME", home)], Some("from : the file:")),
            ("postgres://me@db/app", vec![("PGPASSFILE", path)], Some("any")),
            ("postgres://you@db/app", vec![("PGPASSFILE", path)], None),
            ("postgres://me@%2Frun/app", vec![("PGPASSFILE", path)], Some("any")),
            ("postgres://me@db/app", vec![("PGPASSFILE", "/nowhere")], None),
        ] {
            assert_eq!(password(url, &env).as_deref(), want, "{url} {env:?}");
        }
    }
}
