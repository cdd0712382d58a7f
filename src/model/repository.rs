//! Peer sites that an administrator registered.

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{SiteId, resource::check_name};
use crate::error::{Error, Result};

/// The number of a repository in the control store.
pub type RepositoryId = i64;

/// A peer site.
#[derive(Debug, Clone)]
pub struct Repository {
    /// Its number.
    pub id: RepositoryId,
    /// Its UUID, known after registration or when a person gave it.
    pub uuid: Option<SiteId>,
    /// The name we call it by, unique.
    pub name: String,
    /// Its base URL without a trailing slash; `None` for a peer that only calls us.
    pub url: Option<String>,
    /// Our account there.
    pub user: Option<String>,
    /// Our password there. Sealed at rest.
    pub password: Option<SecretString>,
    /// A proxy of its own; `None` = the site's.
    pub proxy: Option<String>,
    /// Whether it may push to us.
    pub accept_pushes: bool,
    /// Whether we run with it at all.
    pub enabled: bool,
    /// The protocol it speaks.
    pub kind: ApiType,
    /// The name that it gave itself when it registered.
    pub offered_name: Option<String>,
}

/// Which protocol a site speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ApiType {
    /// Ours.
    #[default]
    Entente,
    /// That of a stock Sahana Eden.
    Eden,
}

impl ApiType {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            ApiType::Entente => "entente",
            ApiType::Eden => "eden",
        }
    }
}

impl std::str::FromStr for ApiType {
    type Err = Error;

    fn from_str(text: &str) -> Result<ApiType> {
        let known = [ApiType::Entente, ApiType::Eden].into_iter().find(|known| known.word() == text);
        known.ok_or_else(|| Error::usage(format!("{text:?} is no kind of repository")).hint("Say entente or eden."))
    }
}

/// How a repository is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Nothing is known yet.
    Unknown,
    /// Well.
    Green,
    /// An administrator should look.
    Yellow,
    /// It does not work.
    Red,
}

impl Health {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Health::Unknown => "unknown",
            Health::Green => "green",
            Health::Yellow => "yellow",
            Health::Red => "red",
        }
    }
}

impl Repository {
    /// A repository with a name and nothing else, not yet stored.
    pub fn new(name: &str) -> Repository {
        Repository {
            id: 0,
            uuid: None,
            name: name.to_owned(),
            url: None,
            user: None,
            password: None,
            proxy: None,
            accept_pushes: true,
            enabled: true,
            kind: ApiType::default(),
            offered_name: None,
        }
    }

    /// Its proxy without the user and password that the address may carry.
    pub fn bare_proxy(&self) -> Option<String> {
        let bare = |url: &str| match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?.1))) {
            Some((scheme, host)) => format!("{scheme}://…@{host}"),
            None => url.to_owned(),
        };
        self.proxy.as_deref().map(bare)
    }

    /// Whether it makes sense: a name, an http or https URL without password, user and password together.
    pub fn validate(&self) -> Result<()> {
        check_name(&self.name)?;
        if let Some(url) = &self.url {
            let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            let authority = rest.and_then(|rest| rest.split('/').next()).filter(|authority| !authority.is_empty());
            let authority = authority.ok_or_else(|| Error::usage("a URL begins with https:// or http:// and names a host"))?;
            if authority.contains('@') {
                return Err(Error::usage("a URL must not carry a user or password").hint("Give them with --user and --password-file."));
            }
        }
        if self.user.is_some() != self.password.is_some() {
            return Err(Error::usage("a user needs a password, and a password a user"));
        }
        Ok(())
    }

    /// Whether its URL sends passwords in the clear over a network that others may read:
    /// http to a host that is neither loopback nor private.
    pub fn exposed(&self) -> bool {
        let Some(rest) = self.url.as_deref().and_then(|url| url.strip_prefix("http://")) else { return false };
        let authority = rest.split('/').next().unwrap_or("");
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host).trim_matches(['[', ']']);
        match host.parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V4(ip)) => !(ip.is_loopback() || ip.is_private() || ip.is_link_local()),
            Ok(std::net::IpAddr::V6(ip)) => !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()),
            Err(_) => !(host == "localhost" || host.ends_with(".local") || host.ends_with(".localhost") || !host.contains('.')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked() {
        for (url, good) in [("https://a", true), ("http://a:1/x", true), ("ftp://a", false), ("http://", false), ("http://u:p@a", false)] {
            let repository = Repository { url: Some(url.into()), ..Repository::new("n") };
            assert_eq!(repository.validate().is_ok(), good, "{url}");
        }
    }

    #[test]
    fn a_proxy_is_shown_without_its_password() {
        for (url, want) in [("http://proxy:3128", "http://proxy:3128"), ("socks5://u:p@ss@host:1", "socks5://…@host:1"), ("odd", "odd")] {
            let repository = Repository { proxy: Some(url.into()), ..Repository::new("n") };
            assert_eq!(repository.bare_proxy().as_deref(), Some(want));
        }
    }

    #[test]
    fn clear_text_is_fine_at_home_only() {
        for (url, exposed) in [
            ("http://127.0.0.1:8080", false),
            ("http://192.168.1.5", false),
            ("http://[::1]:8080", false),
            ("http://raspberrypi.local", false),
            ("http://example.org", true),
            ("http://8.8.8.8", true),
            ("https://example.org", false),
        ] {
            assert_eq!(Repository { url: Some(url.into()), ..Repository::new("n") }.exposed(), exposed, "{url}");
        }
    }
}
