//! What two sites say to each other while they look for differences (SYNC.md 9, WIRE.md).

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Digest, Sum, Version};
use crate::error::{Error, Result};

/// Names one version of one record: two sites have the same name only for the same uid, version and content. The first eight bytes are
/// those of the uid alone, so that the versions of one record stand side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId(pub [u8; 32]);

impl ItemId {
    /// The name of a version.
    pub fn of(uid: &str, version: &Version, digest: Digest) -> ItemId {
        let mut bytes = Sum::of(uid, version, digest).to_bytes();
        bytes[..8].copy_from_slice(&ItemId::of_uid(uid));
        ItemId(bytes)
    }

    /// What the names of all versions of a record begin with.
    pub fn of_uid(uid: &str) -> [u8; 8] {
        let mut first = [0; 8];
        first.copy_from_slice(&blake3::hash(uid.as_bytes()).as_bytes()[..8]);
        first
    }

    /// What the names of all versions of this record begin with.
    pub fn record(&self) -> [u8; 8] {
        let mut first = [0; 8];
        first.copy_from_slice(&self.0[..8]);
        first
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(self.0))
    }
}

impl FromStr for ItemId {
    type Err = Error;

    fn from_str(text: &str) -> Result<ItemId> {
        let bytes = BASE64.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(ItemId).ok_or_else(|| Error::malformed(format!("{text:?} names no version of a record")))
    }
}

impl Serialize for ItemId {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ItemId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<ItemId, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

mod base64_text {
    use super::*;

    pub(super) fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, to: S) -> std::result::Result<S::Ok, S::Error> {
        bytes.as_ref().map(|bytes| BASE64.encode(bytes)).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| BASE64.decode(text).map_err(serde::de::Error::custom)).transpose()
    }
}

/// The body of `POST /sync/compare`: what the caller wants to know, any of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CompareRequest {
    /// The caller's journal went back in time since both last agreed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub went_back: bool,
    /// Something of the answering site's was refused by the caller for good.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
    /// The cursor of the answering site's feed up to which everything is durable at the caller.
    pub cursor: String,
    /// Only records that match all of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<String>,
    /// One message of range-based set reconciliation (negentropy) over the living records.
    #[serde(with = "base64_text", skip_serializing_if = "Option::is_none")]
    pub message: Option<Vec<u8>>,
    /// Versions at the answering site whose uids are wanted, up to 1,000.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<ItemId>,
    /// Uids of which is wanted what they are at the answering site, up to 1,000.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<String>,
    /// The comparison is over, and what differed has been exchanged.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub done: bool,
}

/// The answer to it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CompareAnswer {
    /// The cursor of the caller's feed up to which everything is durable at the answering site.
    pub cursor: String,
    /// Something of the caller's was refused there for good: that it is not there does not say that it was deleted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
    /// The answer to the message.
    #[serde(with = "base64_text", skip_serializing_if = "Option::is_none")]
    pub message: Option<Vec<u8>>,
    /// The named versions that are still there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<NamedRecord>,
    /// What the uids are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<Absent>,
}

/// A version that was asked for by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedRecord {
    /// Its name.
    pub id: ItemId,
    /// Its record's uid.
    pub uid: String,
    /// The caller once had it, and nobody wrote to it since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub known: bool,
    /// It stands after the caller's cursor: the feed brings it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub later: bool,
}

/// What a uid is at a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// The uid.
    pub uid: String,
    /// What it is.
    pub state: Absence,
}

/// What a record is at a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Absence {
    /// Nothing is known of it.
    Unknown,
    /// It lives.
    Here,
    /// It was deleted.
    Deleted,
    /// It waits: it came and could not be stored yet, or cannot be sent.
    Waiting,
    /// It lives, and an open conflict holds it.
    Held,
    /// A filter keeps it back.
    Filtered,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_one_record_begin_alike_and_differ_by_version_and_content() {
        let id = |uid: &str, digest| ItemId::of(uid, &Version::default(), Digest([digest; 32]));
        assert_eq!(id("urn:a", 1), id("urn:a", 1));
        assert!(id("urn:a", 1) != id("urn:a", 2) && id("urn:a", 1) != id("urn:b", 1));
        assert_eq!(id("urn:a", 1).record(), id("urn:a", 2).record());
        assert_eq!(id("urn:a", 1).record(), ItemId::of_uid("urn:a"));
        assert_eq!(id("urn:a", 1).to_string().parse::<ItemId>().unwrap(), id("urn:a", 1));
        for broken in ["", "AAAA", "a b", &"A".repeat(44)] {
            assert!(broken.parse::<ItemId>().is_err(), "{broken:?}");
        }
    }
}
