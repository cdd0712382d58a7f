//! Where a database is: its URL, and the password, which is kept apart from it.

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

use crate::error::{Error, Result};

/// Whether a URL is that of a PostgreSQL database.
pub fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres:") || url.starts_with("postgresql:")
}

/// Where a database is. Shown, it is without its password.
#[derive(Clone)]
pub struct Address {
    url: String,
    password: Option<SecretString>,
    /// Whether the password is part of it, and was not found elsewhere.
    own: bool,
}

impl Address {
    /// Reads a URL: `postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE[?OPTION=VALUE&…]`. An error does not repeat it.
    pub fn parse(url: &str) -> Result<Address> {
        let (url, password) = apart(url)?;
        let address = Address { url, password, own: true };
        super::settings::read(&address).map(|_| address)
    }

    /// The URL without its password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The password, where it is known.
    pub fn password(&self) -> Option<&SecretString> {
        self.password.as_ref()
    }

    /// The same place with this password.
    #[must_use]
    pub fn with(self, password: SecretString) -> Address {
        Address { password: Some(password), own: true, ..self }
    }

    /// The same place with a password that is kept elsewhere.
    #[must_use]
    pub(super) fn lent(self, password: SecretString) -> Address {
        Address { password: Some(password), own: false, ..self }
    }

    /// The URL with its password, unless that is kept elsewhere.
    pub fn kept(&self) -> SecretString {
        if self.own { self.whole() } else { self.url.clone().into() }
    }

    /// The URL with its password.
    pub fn whole(&self) -> SecretString {
        self.password.as_ref().map_or_else(|| self.url.clone(), |password| together(&self.url, password)).into()
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Address) -> bool {
        self.whole().expose_secret() == other.whole().expose_secret()
    }
}

impl Eq for Address {}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.url)
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.url)
    }
}

/// The parts of a URL: `postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE[?OPTION=VALUE&…]`.
struct Parts<'u> {
    user: &'u str,
    password: Option<&'u str>,
    place: &'u str,
    options: Vec<(&'u str, &'u str)>,
}

fn parts(url: &str) -> Result<Parts<'_>> {
    let wrong = || Error::usage("that is no address of a PostgreSQL database").hint("Write postgres://USER@HOST/DATABASE.");
    let rest = url.split_once("://").filter(|_| is_postgres(url)).map(|(_, rest)| rest).ok_or_else(wrong)?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (who, place) = rest.rsplit_once('@').ok_or_else(wrong)?;
    let (user, password) = who.split_once(':').map_or((who, None), |(user, password)| (user, Some(password)));
    if user.is_empty() || place.split_once('/').is_none_or(|(_, database)| database.is_empty()) {
        return Err(wrong());
    }
    let option = |pair: &'_ str| -> Result<(usize, usize)> { pair.find('=').map(|at| (at, pair.len())).ok_or_else(wrong) };
    let mut options = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (at, _) = option(pair)?;
        options.push((&pair[..at], &pair[at + 1..]));
    }
    let hidden = options.iter().position(|(name, _)| *name == "password").map(|at| options.remove(at).1);
    Ok(Parts { user, password: password.or(hidden), place, options })
}

/// Splits a URL into one without password, which is the same for everyone who means the same database, and the password.
pub fn apart(url: &str) -> Result<(String, Option<SecretString>)> {
    let parts = parts(url)?;
    let password = parts.password.map(|password| percent_decode_str(password).decode_utf8_lossy().into_owned().into());
    let mut bare = format!("postgres://{}@{}", parts.user, parts.place);
    for (at, (name, value)) in parts.options.iter().enumerate() {
        let mut value = (*value).to_owned();
        if *name == "sslrootcert" {
            let file = percent_decode_str(&value).decode_utf8_lossy().into_owned();
            let full = std::fs::canonicalize(&file).map_err(|e| {
                Error::not_found(format!("there is no file {file}"))
                    .because(e)
                    .hint("sslrootcert names a file with certificate authorities (PEM).")
            })?;
            value = full.display().to_string().replace('%', "%25").replace('&', "%26");
        }
        bare.push_str(&format!("{}{name}={value}", if at == 0 { '?' } else { '&' }));
    }
    Ok((bare, password))
}

/// A URL that [`apart`] gave, with its password again.
pub fn together(url: &str, password: &SecretString) -> String {
    let secret = utf8_percent_encode(password.expose_secret(), NON_ALPHANUMERIC);
    match url.rsplit_once('@') {
        Some((who, place)) => format!("{who}:{secret}@{place}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_taken_out_of_an_address_and_put_back() {
        for (url, bare, password) in [
            (
                "postgresql://me:p%40ss:w@db.example:5433/app?sslmode=require",
                "postgres://me@db.example:5433/app?sslmode=require",
                Some("p@ss:w"),
            ),
            ("postgres://me@%2Fvar%2Frun/app", "postgres://me@%2Fvar%2Frun/app", None),
            ("postgres://me@h/app?password=x%26y&sslmode=disable", "postgres://me@h/app?sslmode=disable", Some("x&y")),
        ] {
            let (told, secret) = apart(url).unwrap();
            assert_eq!((told.as_str(), secret.as_ref().map(|secret| secret.expose_secret())), (bare, password), "{url}");
            let Some(secret) = secret else { continue };
            let again = apart(&together(&told, &secret)).unwrap();
            assert_eq!((again.0, again.1.unwrap().expose_secret()), (told, secret.expose_secret()));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_showing_it() {
        for url in [
            "postgres:",
            "postgres://host/app",
            "postgres://me:secret@host",
            "postgres://me:secret@host/",
            "postgres://:secret@host/app",
            "postgres://me:secret@host/app?x",
        ] {
            let error = apart(url).unwrap_err();
            assert!(!error.chain().contains("secret") && error.next_step().is_some_and(|hint| hint.contains("postgres://USER")), "{url}");
        }
        let error = apart("postgres://me@host/app?sslrootcert=/nowhere.pem").unwrap_err();
        assert!(error.chain().contains("/nowhere.pem"));
    }
}
