//! What the user wrote (file, environment, flags) → what the program needs.
//!
//! Four layers, each over the one before: defaults, the file (`entente.toml` in the data directory, or the one named by `--config` or
//! `ENTENTE_CONFIG`), the environment (`ENTENTE_` and the key in capitals; an empty variable counts as absent), flags.
//! `schemas/config.json` describes the file.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::Deserialize;

use crate::error::{Error, Result};

/// The file's name in the data directory.
const FILE: &str = "entente.toml";

/// What the program needs, checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// The data directory, absolute.
    pub data: PathBuf,
    /// The name this site is given when it is first used.
    pub name: Option<String>,
    /// Where the web server listens.
    pub listen: SocketAddr,
    /// Certificate chain and key of the web server, PEM files. Without them it speaks plain HTTP.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// A PEM file with certificate authorities that are trusted in peers beside the public ones.
    pub ca_file: Option<PathBuf>,
    /// The proxy for all peers; the one kept in the store, where there is one, comes first. May hold a password.
    pub proxy: Option<String>,
    /// The address that others call us at, without a trailing slash.
    pub url: Option<String>,
    /// How long a peer's session lasts, seconds.
    pub session_seconds: u32,
    /// The most records we put into a page.
    pub page_records: u32,
    /// The most bytes of text we put into a page.
    pub page_bytes: u64,
    /// Whether the next page is fetched or read while one is applied or sent; it costs the memory of a second page.
    pub read_ahead: bool,
    /// How many runs a worker does at a time.
    pub workers: u32,
    /// How many days log entries are kept.
    pub log_days: u32,
    /// How many days replaced and deleted versions are kept.
    pub history_days: u32,
    /// How many replaced versions of one record are kept.
    pub history_versions: u32,
    /// How many days it is remembered at least that a record was deleted. A site that was silent for longer compares first.
    pub tombstone_days: u32,
    /// What is written to the program's own log: `info`, or a list like `warn,entente::sync=debug`.
    pub log_level: String,
}

/// What stands on the command line.
#[derive(Clone, Default)]
pub struct Overrides {
    /// `--config`: the file to read in place of the data directory's.
    pub config: Option<PathBuf>,
    /// Flags that are settings.
    pub settings: Settings,
}

macro_rules! settings {
    ($($(#[$doc:meta])* $key:ident: $type:ty,)*) => {
        /// One layer of settings; what it does not say is `None`. Paths in a file are relative to its folder.
        #[derive(Clone, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Settings { $($(#[$doc])* pub $key: Option<$type>,)* }

        impl Settings {
            #[cfg(test)]
            const KEYS: &[&str] = &[$(stringify!($key)),*];

            fn over(self, lower: Settings) -> Settings {
                Settings { $($key: self.$key.or(lower.$key),)* }
            }

            fn from_env(env: &BTreeMap<String, String>) -> Result<Settings> {
                Ok(Settings { $($key: variable(env, stringify!($key))?,)* })
            }
        }
    };
}

settings! {
    /// The data directory.
    data: PathBuf,
    /// The site's name.
    name: String,
    /// `ADDRESS:PORT`.
    listen: String,
    /// A PEM file.
    tls_cert: PathBuf,
    /// A PEM file.
    tls_key: PathBuf,
    /// A PEM file.
    ca_file: PathBuf,
    /// A URL.
    proxy: String,
    /// A URL.
    url: String,
    /// 60 to 86,400.
    session_seconds: u32,
    /// 1 to 20,000.
    page_records: u32,
    /// 4,096 to 67,108,864.
    page_bytes: u64,
    /// `true` or `false`.
    read_ahead: bool,
    /// 1 to 64.
    workers: u32,
    /// 1 to 36,500.
    log_days: u32,
    /// 1 to 36,500.
    history_days: u32,
    /// 1 to 1,000,000.
    history_versions: u32,
    /// 1 to 36,500.
    tombstone_days: u32,
    /// A list of levels.
    log_level: String,
}

impl Config {
    /// Reads the file and the environment of this process, and lays `overrides` over them.
    ///
    /// Errors ([`crate::error::Kind::Usage`]) name the key and where it stands: an unknown key, a value outside its range, a file that cannot be read.
    pub fn load(overrides: Overrides) -> Result<Config> {
        let ours = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ENTENTE_"));
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            let name = name.to_string_lossy().into_owned();
            let value = value.into_string().map_err(|_| Error::usage(format!("{name} is not Unicode")))?;
            Ok((name, value))
        };
        let home = directories::ProjectDirs::from("", "", "entente").map(|dirs| dirs.data_dir().to_owned());
        Config::from_layers(overrides, &ours.map(text).collect::<Result<_>>()?, home)
    }

    /// The same from what is given: flags, the environment, and the data directory where neither names one.
    pub fn from_layers(overrides: Overrides, env: &BTreeMap<String, String>, home: Option<PathBuf>) -> Result<Config> {
        let upper = overrides.settings.over(Settings::from_env(env)?);
        let (file, home) = match overrides.config.map_or_else(|| variable(env, "config"), |config| Ok(Some(config)))? {
            Some(named) => (read(&named)?, home),
            None => {
                let home = upper.data.clone().or(home);
                (home.as_deref().map(read_own).transpose()?.unwrap_or_default(), home)
            }
        };
        check(upper.over(file), home)
    }
}

impl std::fmt::Debug for Config {
    // Not all of it: a proxy's URL may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("data", &self.data).field("listen", &self.listen).finish_non_exhaustive()
    }
}

fn variable<T: FromStr<Err: std::fmt::Display>>(env: &BTreeMap<String, String>, key: &str) -> Result<Option<T>> {
    let name = format!("ENTENTE_{}", key.to_uppercase());
    let value = env.get(&name).filter(|value| !value.is_empty());
    value.map(|value| value.parse().map_err(|error: T::Err| Error::usage(format!("{name} is off: {error}")))).transpose()
}

/// The file in a data directory; without one, nothing is set.
fn read_own(data: &Path) -> Result<Settings> {
    let path = data.join(FILE);
    if !path.exists() {
        return Ok(Settings::default());
    }
    let settings = read(&path)?;
    if settings.data.is_some() {
        return Err(Error::usage(format!("{} lies in the data directory and cannot name another with `data`", path.display()))
            .hint("Use --data or ENTENTE_DATA, or name a file elsewhere with --config."));
    }
    Ok(settings)
}

fn read(path: &Path) -> Result<Settings> {
    let shown = path.display();
    let text =
        std::fs::read_to_string(path).map_err(|error| Error::usage(format!("Cannot read the configuration {shown}")).because(error))?;
    let mut settings: Settings = toml::from_str(&text).map_err(|error| {
        let line = 1 + error.span().map_or(0, |span| text.bytes().take(span.start).filter(|byte| *byte == b'\n').count());
        Error::usage(format!("{shown}, line {line}: {}", error.message()))
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    for relative in [&mut settings.data, &mut settings.tls_cert, &mut settings.tls_key, &mut settings.ca_file].into_iter().flatten() {
        *relative = folder.join(&*relative);
    }
    Ok(settings)
}

fn check(all: Settings, home: Option<PathBuf>) -> Result<Config> {
    let data = all.data.or(home).ok_or_else(|| Error::usage("No data directory is known for this user").hint("Name one with --data."))?;
    Ok(Config {
        data: std::path::absolute(&data)
            .map_err(|error| Error::usage(format!("{} is no data directory", data.display())).because(error))?,
        name: all.name.map(name).transpose()?,
        listen: address(all.listen.as_deref().unwrap_or("127.0.0.1:8080"))?,
        tls: pair(all.tls_cert, all.tls_key)?,
        ca_file: all.ca_file,
        proxy: all.proxy.map(proxy).transpose()?,
        url: all.url.map(url).transpose()?,
        session_seconds: within("session_seconds", all.session_seconds.unwrap_or(3600), 60..=86_400)?,
        page_records: within("page_records", all.page_records.unwrap_or(5000), 1..=20_000)?,
        page_bytes: within("page_bytes", all.page_bytes.unwrap_or(4 << 20), 4096..=64 << 20)?,
        read_ahead: all.read_ahead.unwrap_or(true),
        workers: within("workers", all.workers.unwrap_or(4), 1..=64)?,
        log_days: within("log_days", all.log_days.unwrap_or(90), 1..=36_500)?,
        history_days: within("history_days", all.history_days.unwrap_or(365), 1..=36_500)?,
        tombstone_days: within("tombstone_days", all.tombstone_days.unwrap_or(30), 1..=36_500)?,
        history_versions: within("history_versions", all.history_versions.unwrap_or(100), 1..=1_000_000)?,
        log_level: level(all.log_level.unwrap_or_else(|| "info".into()))?,
    })
}

fn name(name: String) -> Result<String> {
    if name.is_empty() || name.chars().count() > 128 || name.chars().any(char::is_control) {
        return Err(Error::usage("`name` has 1 to 128 characters and no control characters"));
    }
    Ok(name)
}

fn address(text: &str) -> Result<SocketAddr> {
    let local = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    local.as_deref().unwrap_or(text).parse().map_err(|_| {
        Error::usage(format!("`listen` is no address with a port: {text:?}"))
            .hint("Write it like 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080.")
    })
}

fn pair(cert: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<(PathBuf, PathBuf)>> {
    if cert.is_some() != key.is_some() {
        return Err(Error::usage("`tls_cert` and `tls_key` go together"));
    }
    Ok(cert.zip(key))
}

// The value is not repeated: it may hold a password.
fn proxy(text: String) -> Result<String> {
    let known =
        ["http://", "https://", "socks5://", "socks5h://"].iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
    if known { Ok(text) } else { Err(Error::usage("`proxy` begins with http://, https://, socks5:// or socks5h:// and names a host")) }
}

fn url(text: String) -> Result<String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split('/').next()).filter(|host| !host.is_empty() && !host.contains('@'));
    if host.is_none() || text.contains(['?', '#']) {
        return Err(Error::usage("`url` begins with http:// or https:// and names a host, without user, query or fragment"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn within<T: PartialOrd + std::fmt::Display>(key: &str, value: T, range: RangeInclusive<T>) -> Result<T> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(Error::usage(format!("`{key}` is {value}; it can be {} to {}", range.start(), range.end())))
}

fn level(text: String) -> Result<String> {
    match tracing_subscriber::EnvFilter::builder().parse(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(Error::usage(format!("`log_level` is no list of levels: {text:?}"))
            .because(error)
            .hint("Write info, or warn,entente::sync=debug.")),
    }
}

#[cfg(test)]
mod tests;
