//! Who is who: sites and records.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::error::{Error, Result};

/// The UUID of a site, made at its first run. Written as `urn:uuid:…`; read with or without that prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteId(pub Uuid);

impl SiteId {
    /// A new random identity.
    pub fn random() -> SiteId {
        SiteId(Uuid::new_v4())
    }
}

/// Where new UUIDs come from: random ones, unless a simulation gives its own.
#[derive(Clone)]
pub struct Uuids(Arc<dyn Fn() -> Uuid + Send + Sync>);

impl Uuids {
    /// UUIDs that `next` gives. It must never give one twice.
    pub fn new(next: impl Fn() -> Uuid + Send + Sync + 'static) -> Uuids {
        Uuids(Arc::new(next))
    }

    /// A new one.
    pub fn next(&self) -> Uuid {
        (self.0)()
    }
}

impl Default for Uuids {
    /// Random ones.
    fn default() -> Uuids {
        Uuids::new(Uuid::new_v4)
    }
}

impl fmt::Display for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "urn:uuid:{}", self.0.hyphenated())
    }
}

impl FromStr for SiteId {
    type Err = Error;

    fn from_str(text: &str) -> Result<SiteId> {
        let plain = text.strip_prefix("urn:uuid:").unwrap_or(text);
        Uuid::try_parse(plain).map(SiteId).map_err(|_| Error::malformed(format!("{:?} is not a site's UUID", cut(text))))
    }
}

impl Serialize for SiteId {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl schemars::JsonSchema for SiteId {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SiteId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^(urn:uuid:)?[0-9a-fA-F-]{32,36}$", "description": "A site's UUID, urn:uuid:…"})
    }
}

impl<'de> Deserialize<'de> for SiteId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<SiteId, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The name of a record that never changes: any URN up to 128 characters (SYNC.md 1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(String);

impl Uid {
    /// The longest uid, in characters.
    pub const MAX: usize = 128;

    /// A new random uid, `urn:uuid:…`.
    pub fn random() -> Uid {
        Uid::of(Uuid::new_v4())
    }

    /// The uid `urn:uuid:…` of a UUID.
    pub fn of(uuid: Uuid) -> Uid {
        Uid(format!("urn:uuid:{}", uuid.hyphenated()))
    }

    /// Checks a uid that came from outside: not empty, at most [`Uid::MAX`] characters, no white space or control
    /// characters, nor U+FFFE or U+FFFF, which XML cannot carry.
    pub fn check(text: &str) -> Result<&str> {
        let plain = text.bytes().fold(0, |any, byte| any | u8::from(!byte.is_ascii_graphic())) == 0;
        if plain && (1..=Uid::MAX).contains(&text.len()) {
            return Ok(text);
        }
        let fits = text.len() <= 4 * Uid::MAX && text.chars().count() <= Uid::MAX;
        if text.is_empty() || !fits || text.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '\u{FFFE}' | '\u{FFFF}')) {
            return Err(Error::malformed(format!("{:?} is not a record's uid", cut(text))));
        }
        Ok(text)
    }

    /// The uid as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Uid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Uid> {
        Uid::check(text).map(|text| Uid(text.to_owned()))
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The first characters of a text that may be long or hostile, for a message.
fn cut(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_read_with_and_without_its_prefix() {
        let site = SiteId::random();
        assert_eq!(site.to_string().parse::<SiteId>().unwrap(), site);
        assert_eq!(site.0.to_string().parse::<SiteId>().unwrap(), site);
        assert!("urn:uuid:nobody".parse::<SiteId>().is_err());
    }

    #[test]
    fn a_uid_is_a_short_text_without_spaces() {
        for good in ["urn:iso:std:iso:3166:-1:code:AF", "a", &"x".repeat(128), "urn:x:é"] {
            assert!(Uid::check(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a\n", "a\u{0}", "a\u{FFFF}", &"x".repeat(129)] {
            assert!(Uid::check(bad).is_err(), "{bad:?}");
        }
    }
}
