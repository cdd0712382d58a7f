//! A stock Sahana Eden, called over HTTP (docs/eden.md).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, Url};
use secrecy::SecretString;

use super::{
    entente::Settings,
    line::{Answer, Call, Credentials, Line},
    setup::LineSettings,
};
use crate::{
    error::{Error, Kind, Result},
    model::{
        Limits, Registered, Registration, SiteId, Time,
        eden::{Document, EdenAnswer, EdenPull, EdenPush, Feed},
    },
    wire::{
        self, Encoding,
        eden::{Lossy, Sender},
    },
};

/// The largest JSON answer that is read.
const JSON: usize = 1 << 20;

/// The largest document of an Eden, and the largest uploaded file that is fetched.
const DOCUMENT: u64 = 256 << 20;
const UPLOAD: u64 = 32 << 20;

/// A filter's value as Eden spells it.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// At which of its doors an Eden is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// That of synchronization, which drops policies and strategies.
    Sync,
    /// The controller of the resource itself, which honours them. Not every resource has one.
    Controller,
}

/// A Sahana Eden.
pub struct Eden {
    line: Line,
    own: SiteId,
    login: Option<(String, SecretString)>,
    limits: Limits,
}

impl Eden {
    /// So long it may say nothing: it works on a table in one go.
    pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(600);

    /// Prepares to call the site; nothing is sent yet. [`Kind::Usage`] if an address, the proxy or the file makes no sense.
    pub fn new(settings: Settings) -> Result<Eden> {
        let timeouts = settings.timeouts;
        let limits = Limits { body: DOCUMENT.max(settings.limits.body), ..settings.limits };
        let (url, proxy, ca_file, retries) = (settings.url, settings.proxy, settings.ca_file, settings.retries);
        let line = Line::open(LineSettings { url, proxy, ca_file, limits, retries, timeouts })?;
        Ok(Eden { line, own: settings.own, login: settings.user.zip(settings.password), limits })
    }

    /// Makes us known there; `name` is what we are called, without a scheme. An Eden of before 2016, which does not know this way, is asked the old one.
    pub fn register(&self, name: &str) -> Result<SiteId> {
        let registration = Registration {
            uuid: self.own.to_string(),
            name: Some(name.to_owned()),
            apitype: Some("eden".into()),
            url: None,
            entente: None,
        };
        let body = wire::write_json(&registration);
        let body = Some(("application/json", Encoding::Identity, body.as_slice()));
        let target = "/sync/repository/register.json".to_owned();
        let answer = match self.call(Method::POST, target, body) {
            Err(error) if is_absent(&error) => {
                let name = utf8_percent_encode(name, VALUE);
                self.call(Method::GET, format!("/sync/repository/register.xml?repository={}&name={name}", self.own), None)?
            }
            answer => answer?,
        };
        let registered: Registered = wire::read_json(&answer.body, JSON)?;
        if registered.status != "success" {
            return Err(Error::forbidden(format!("the other site refused: {}", registered.message)));
        }
        registered.sender.parse()
    }

    /// Whether it is there and takes our account: a table that no Eden has is asked for.
    pub fn test(&self) -> Result<()> {
        match self.call(
            Method::GET,
            format!("/sync/sync.xml?resource=entente_test&repository={}&msince=2999-01-01T00:00:00", self.own),
            None,
        ) {
            Err(error) if error.kind() == Kind::Malformed && !is_absent(&error) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Ok(()),
        }
    }

    /// All that it has of a resource from a second on, with what that refers to. `own` is what stands before our uids there.
    pub fn pull(&self, pull: &EdenPull, own: &str) -> Result<Document> {
        let mut target = format!("/sync/sync.xml?resource={}&repository={}", pull.resource, self.own);
        if let Some(since) = pull.since {
            target.push_str(&format!("&msince={}", seconds(since)));
        }
        target.push_str("&include_deleted=True");
        for term in pull.filters.iter().flat_map(|filter| filter.split('&')) {
            let (key, value) = term.split_once('=').unwrap_or((term, ""));
            let plain = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
            target.push_str(&format!("&[~]{key}={}", utf8_percent_encode(&plain, VALUE)));
        }
        let answer = self.call(Method::GET, target, None)?;
        if answer.body.trim_ascii_start().first() == Some(&b'{') {
            return Err(wire::read_refusal(400, &answer.body));
        }
        wire::eden::read(&answer.body, &[own], &self.limits)
    }

    /// Gives a document. What became of each record is in the answer; an error says nothing of any.
    pub fn push(&self, push: &EdenPush, feed: &Feed, sender: &Sender, door: Door) -> Result<(EdenAnswer, Lossy)> {
        let path = match (door, push.resource.split_once('_')) {
            (Door::Controller, Some((prefix, name))) => format!("/{prefix}/{name}/sync.xml"),
            _ => "/sync/sync.xml".to_owned(),
        };
        let mut target = format!(
            "{path}?resource={}&repository={}&strategy={}&update_policy={}&conflict_policy={}",
            push.resource, self.own, push.strategy, push.update, push.conflict
        );
        if let Some(since) = push.since {
            target.push_str(&format!("&msince={}", seconds(since)));
        }
        let mut text = String::new();
        let lossy = wire::eden::write(feed, sender, &mut text)?;
        // Its parser chokes on other types (docs/eden.md).
        let body = Some(("application/x-www-form-urlencoded", Encoding::Identity, text.as_bytes()));
        let answer = self.call(Method::POST, target, body)?;
        Ok((wire::eden::read_answer(&answer.body)?, lossy))
    }

    /// An uploaded file. Only from its own host, and of limited size.
    pub fn upload(&self, url: &str) -> Result<Vec<u8>> {
        let base = Url::parse(&self.line.place.url).map_err(|error| Error::usage("the repository's address is no URL").because(error))?;
        let url = base.join(url).map_err(|error| Error::malformed("an upload has an address that is no URL").because(error))?;
        let same =
            (url.scheme(), url.host_str(), url.port_or_known_default()) == (base.scheme(), base.host_str(), base.port_or_known_default());
        let below = url.path().strip_prefix(base.path().trim_end_matches('/'));
        let Some(path) = below.filter(|_| same && url.username().is_empty()) else {
            return Err(Error::forbidden(format!("{} is not a file of {}", shown(url.as_str()), self.line.place.url)));
        };
        let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
        let answer = self.call(Method::GET, format!("{path}{query}"), None)?;
        if answer.body.len() as u64 > UPLOAD {
            return Err(Error::new(Kind::TooLarge, format!("an uploaded file has more than {UPLOAD} bytes")));
        }
        Ok(answer.body)
    }

    /// Bytes of bodies sent and received so far.
    pub fn traffic(&self) -> u64 {
        self.line.traffic()
    }

    fn call(&self, method: Method, target: String, body: Option<(&str, Encoding, &[u8])>) -> Result<Answer> {
        let credentials = self.login.clone().map_or(Credentials::Nobody, |(user, password)| Credentials::Basic(user, password));
        self.line.call(&Call { method, target, credentials, body })
    }
}

/// Whether an address is not there at all.
pub(super) fn is_absent(error: &Error) -> bool {
    let text = error.to_string();
    error.kind() == Kind::NotFound || ["status 404", "status 405", "status 410"].iter().any(|status| text.contains(status))
}

impl Eden {
    /// Whether an error means that a door is not there.
    pub fn has_no_door(error: &Error) -> bool {
        is_absent(error)
    }
}

/// UTC, whole seconds, no zone: whatever else it is, an Eden ignores.
fn seconds(time: Time) -> String {
    time.utc().format("%Y-%m-%dT%H:%M:%S").to_string()
}

fn shown(text: &str) -> String {
    text.chars().take(120).collect()
}
