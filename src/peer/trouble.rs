//! What went wrong on the line, told so that a person knows where to look.

use std::{error::Error as StdError, io, time::Duration};

use super::retry::{Again, Failed};
use crate::error::{Error, Kind};

/// The most characters of a peer's own words that go into a message.
const QUOTED: usize = 200;

/// Where a call went, as messages name it: no user, no password, no query.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) url: String,
    pub(super) proxied: bool,
}

impl Place {
    /// A failure of the line itself: no answer, or not all of it.
    pub(super) fn broken(&self, error: reqwest::Error) -> Failed {
        let (url, cause) = (&self.url, cause(&error));
        let told = |kind, sentence: String, hint: &str| Error::new(kind, sentence).hint(self.through(hint));
        let failed = match cause {
            Cause::Certificate => Failed::lasting(told(
                Kind::Unreachable,
                format!("the certificate of {url} is not trusted"),
                "If it comes from a certificate authority of your own, give that authority's certificate file.",
            )),
            Cause::NotTls => Failed::lasting(told(
                Kind::Unreachable,
                format!("{url} does not speak TLS"),
                "Perhaps its address begins with http:// instead of https://.",
            )),
            Cause::Name => Failed::new(told(
                Kind::Unreachable,
                format!("the host of {url} is not known"),
                "Check the address, and whether the network is up.",
            )),
            Cause::Refused => Failed::new(told(
                Kind::Unreachable,
                format!("{url} refused the connection"),
                "Check the port, and whether Entente is running there.",
            )),
            Cause::Slow => self.late("connect"),
            Cause::Other => {
                Failed::new(told(Kind::Unreachable, format!("the connection to {url} broke off"), "It is tried again at the next run."))
            }
        };
        // The address would be told twice, with its query.
        Failed { error: failed.error.because(error.without_url()), ..failed }
    }

    /// Nothing came for longer than allowed while waiting for `what`.
    pub(super) fn late(&self, what: &str) -> Failed {
        let hint = self.through("Check the network, and whether the other site is overloaded.");
        Failed::new(Error::new(Kind::Timeout, format!("{} took too long to {what}", self.url)).hint(hint))
    }

    /// An answer larger than we take.
    pub(super) fn too_large(&self, limit: u64) -> Failed {
        Failed::lasting(Error::new(Kind::TooLarge, format!("{} answered with more than {limit} bytes", self.url)))
    }

    /// An answer that is not one of our protocol's.
    pub(super) fn stranger(&self, what: &str) -> Error {
        Error::malformed(format!("{} answered with {what}; is this the address of an Entente or Eden site?", self.url))
    }

    /// Redirects are refused: a followed one turns a push into a request without a body, and may carry credentials elsewhere.
    pub(super) fn redirected(&self, target: &str) -> Failed {
        let target: String = target.chars().filter(|c| !c.is_control()).take(QUOTED).collect();
        let error = Error::malformed(format!("{} sends callers on to {target:?}", self.url));
        Failed::lasting(error.hint("Give the repository the address it really has."))
    }

    /// An answer that is no success and does not say why in words of our protocol.
    pub(super) fn status(&self, status: u16, asked: Option<Duration>) -> Failed {
        let kind = match status {
            400 => Kind::Malformed,
            401 => Kind::Unauthorized,
            403 | 407 => Kind::Forbidden,
            413 => Kind::TooLarge,
            415 => Kind::Unsupported,
            429 => Kind::Limited,
            502 => Kind::Unreachable,
            503 => Kind::Busy,
            408 | 504 => Kind::Timeout,
            404 | 405 | 410 => return Failed::lasting(self.stranger(&format!("status {status}"))),
            _ => Kind::Internal,
        };
        asking(Failed::new(Error::new(kind, format!("{} answered with status {status}", self.url))), asked)
    }

    fn through(&self, hint: &str) -> String {
        if self.proxied { format!("{hint} The call went through a proxy, which may be the reason.") } else { hint.to_owned() }
    }
}

/// The same failure with the pause that the other side asked for, where trying again helps at all.
pub(super) fn asking(failed: Failed, asked: Option<Duration>) -> Failed {
    match (failed.again, asked) {
        (Again::Soon, Some(pause)) => Failed { again: Again::After(pause), ..failed },
        _ => failed,
    }
}

enum Cause {
    Certificate,
    NotTls,
    Name,
    Refused,
    Slow,
    Other,
}

fn cause(error: &reqwest::Error) -> Cause {
    if error.is_timeout() {
        return Cause::Slow;
    }
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(link) = next {
        match link.downcast_ref() {
            Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => return Cause::Certificate,
            Some(rustls::Error::InvalidMessage(_)) => return Cause::NotTls,
            _ => {}
        }
        let io = link.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused) {
            return Cause::Refused;
        }
        // hyper names a failed look-up in words only.
        if link.to_string().contains("dns error") {
            return Cause::Name;
        }
        // `source` of an io::Error skips what it wraps.
        next = io.and_then(io::Error::get_ref).map_or_else(|| link.source(), |wrapped| Some(wrapped));
    }
    Cause::Other
}
