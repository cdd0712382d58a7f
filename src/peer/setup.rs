//! What it takes to call a site: address, proxy, certificate authorities, time limits.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::{Client, Url, redirect};

use crate::{
    error::{Error, Kind, Result},
    model::Limits,
};

/// How long each step may take. There is no limit to a whole exchange: a large page over a slow line takes its time.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// To connect, the TLS handshake included.
    pub connect: Duration,
    /// Without a byte in either direction.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts { connect: Duration::from_secs(10), idle: Duration::from_secs(60) }
    }
}

/// What it takes to open a line.
pub(super) struct LineSettings {
    pub(super) url: String,
    pub(super) proxy: Option<String>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) limits: Limits,
    pub(super) retries: u32,
    pub(super) timeouts: Timeouts,
}

/// Sites close connections that were idle for longer.
const KEEP: Duration = Duration::from_secs(30);

/// The URL under which everything is, ending in a slash.
pub(super) fn base(text: &str) -> Result<Url> {
    let wrong = || Error::usage("the address of a repository is a URL like https://example.org/entente");
    let url = Url::parse(&format!("{}/", text.trim().trim_end_matches('/'))).map_err(|e| wrong().because(e))?;
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() || !plain {
        return Err(wrong().hint("User and password are given beside it, not in it."));
    }
    Ok(url)
}

pub(super) fn client(url: &Url, settings: &LineSettings) -> Result<Client> {
    // A second installation is refused and changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .user_agent(concat!("entente/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .connect_timeout(settings.timeouts.connect)
        .pool_idle_timeout(KEEP)
        .pool_max_idle_per_host(4)
        .tcp_nodelay(true)
        .referer(false)
        .http1_only();
    builder = match &settings.proxy {
        Some(proxy) => builder.proxy(reqwest::Proxy::all(proxy).map_err(|_| bad_proxy())?),
        None if is_loopback(url) => builder.no_proxy(),
        None => builder,
    };
    builder = match &settings.ca_file {
        Some(file) => builder.tls_certs_merge(certificates(file)?),
        // Without TLS no authority is needed, and a machine that has none would fail here.
        None if url.scheme() == "http" && settings.proxy.is_none() => builder.tls_certs_only([]),
        None => builder,
    };
    builder.build().map_err(|e| {
        let hint = "A machine without certificate authorities needs them installed (package ca-certificates), or a file of its own.";
        Error::new(Kind::Unreachable, "the HTTP client could not be set up").because(e).hint(hint)
    })
}

fn bad_proxy() -> Error {
    // The proxy's URL may hold a password: it is not repeated.
    Error::usage("the proxy is not a URL like http://proxy:3128 or socks5://proxy:1080")
}

fn certificates(file: &Path) -> Result<Vec<reqwest::Certificate>> {
    let wrong = || Error::usage(format!("{} holds no certificates in PEM form", file.display()));
    let pem = std::fs::read(file).map_err(|e| Error::usage(format!("{} cannot be read", file.display())).because(e))?;
    let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| wrong().because(e))?;
    if certificates.is_empty() { Err(wrong()) } else { Ok(certificates) }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.ends_with(".localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
