//! An address as the driver wants it.

use std::{path::Path, time::Duration};

use secrecy::ExposeSecret;
use tokio_postgres::{Config, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Address, tls};
use crate::error::{Error, Result};

/// How long a server may take to answer a first call.
const CONNECT: Duration = Duration::from_secs(10);

/// A server that is gone without a word is noticed after so much, or twice that while nothing is asked.
const QUIET: Duration = Duration::from_secs(30);

/// An address as the driver wants it, and the file with certificate authorities, which the driver does not know.
pub fn read(address: &Address) -> Result<(Config, Option<String>)> {
    let wrong = || Error::usage("that is no address of a PostgreSQL database").hint("Write postgres://USER@HOST/DATABASE.");
    let (plain, query) = address.url().split_once('?').unwrap_or((address.url(), ""));
    let (mut kept, mut roots) = (Vec::new(), None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
        let value = percent_encoding::percent_decode_str(value).decode_utf8().map_err(|e| wrong().because(e))?;
        match (name, value.as_ref()) {
            ("sslrootcert", file) => roots = Some(file.to_owned()),
            // The driver checks certificates wherever it uses TLS; these ask for just that.
            ("sslmode", "verify-full" | "verify-ca") => kept.push("sslmode=require".to_owned()),
            _ => kept.push(pair.to_owned()),
        }
    }
    let url = if kept.is_empty() { plain.to_owned() } else { format!("{plain}?{}", kept.join("&")) };
    // The driver's own words name what is wrong with an option, and not its value.
    let mut config: Config = url.parse().map_err(|e: tokio_postgres::Error| wrong().because(e))?;
    if let Some(password) = address.password() {
        config.password(password.expose_secret());
    }
    if let Some(file) = roots.as_deref().filter(|file| !Path::new(file).exists()) {
        return Err(
            Error::not_found(format!("there is no file {file}")).hint("sslrootcert names a file with certificate authorities (PEM).")
        );
    }
    if config.get_application_name().is_none() {
        config.application_name("entente");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT);
    }
    config.keepalives_idle(QUIET).keepalives_interval(QUIET / 3).keepalives_retries(3).tcp_user_timeout(QUIET);
    Ok((config, roots))
}

/// What makes connections to an address: its settings, and TLS where the address wants it.
pub fn connector(address: &Address) -> Result<(Config, Option<MakeRustlsConnect>)> {
    let (config, roots) = read(address)?;
    let tls = match config.get_ssl_mode() {
        SslMode::Disable => None,
        _ => Some(MakeRustlsConnect::new(tls::client(roots.as_deref())?)),
    };
    Ok((config, tls))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_its_authority_and_its_password_apart() {
        let address = Address::parse("postgres://me:p%40ss@db.example:5433/app?sslmode=verify-full&connect_timeout=3").unwrap();
        let (config, roots) = read(&address).unwrap();
        assert_eq!((config.get_password(), config.get_ssl_mode(), roots), (Some(&b"p@ss"[..]), SslMode::Require, None));
        assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(3)));
        assert_eq!(format!("{address} {address:?}").matches("p%40ss").count(), 0);
    }

    #[test]
    fn an_unknown_option_is_refused_and_no_secret_is_shown() {
        let error = Address::parse("postgres://me:tops3cret@h/app?sslmode=perhaps").unwrap_err();
        assert!(!error.chain().contains("tops3cret"), "{}", error.chain());
        assert_eq!(error.kind(), crate::error::Kind::Usage);
    }
}
