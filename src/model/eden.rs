//! The words of Sahana Eden's protocol (docs/eden.md): documents, requests and answers, and what a stock Eden is known to hold.

use std::fmt::Write;

use uuid::Uuid;

use super::{Digest, Kind, Page, Policy, SiteId, Strategy, Time, Value, Version};

/// The name of the cell by which a nested element names the element it stands in.
pub const PARENT: &str = "@parent";

/// Columns that Eden keeps for itself: they travel as attributes or not at all, never as fields.
pub const META: [&str; 16] = [
    "id",
    "uuid",
    "mci",
    "deleted",
    "deleted_fk",
    "deleted_rb",
    "created_on",
    "modified_on",
    "created_by",
    "modified_by",
    "approved_by",
    "owned_by_user",
    "owned_by_group",
    "realm_entity",
    "password",
    "registration_key",
];

/// Columns of Eden's that name accounts and roles: they travel as attributes, by what those are called.
pub const ACCOUNTS: [&str; 4] = ["created_by", "modified_by", "owned_by_user", "owned_by_group"];

/// The resource and the uids of several references in one value; `None` for any other.
pub fn several(value: Value<'_>) -> Option<(&str, Vec<&str>)> {
    #[derive(serde::Deserialize)]
    struct Several<'a> {
        #[serde(borrow, rename = "@resource")]
        resource: &'a str,
        #[serde(borrow, rename = "@uuid")]
        uids: Vec<&'a str>,
    }
    let may = matches!(value.kind, Kind::Text | Kind::Json) && value.text.starts_with("{\"@resource\"");
    may.then(|| serde_json::from_str::<Several<'_>>(value.text).ok()).flatten().map(|several| (several.resource, several.uids))
}

/// Several references as one value.
pub fn one_of_several(resource: &str, uids: &[&str]) -> String {
    // In one order, whatever the maps of the library keep.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let uids: Vec<String> = uids.iter().map(|uid| quoted(uid)).collect();
    format!("{{\"@resource\":{},\"@uuid\":[{}]}}", quoted(resource), uids.join(","))
}

/// Whether a resource holds accounts or the settings of synchronization, which never travel unless a person names them.
pub fn is_private(resource: &str) -> bool {
    resource.starts_with("auth_") || resource.starts_with("sync_")
}

/// The origin of a record that came as somebody's copy: nobody said whose. It is greater than every site, so that any that is known counts.
pub const NOBODY: SiteId = SiteId(Uuid::max());

/// The time of an element that says none.
pub const UNDATED: Time = Time(i64::MIN);

/// A document as it was read.
#[derive(Debug, Default)]
pub struct Document {
    /// The records, by resource, in the order in which resources were met. The origin of a record is the nil UUID where its sender made it, else
    /// [`NOBODY`]; nothing is said of versions. An element that stood inside another names it by the cell [`PARENT`].
    pub pages: Vec<Page>,
    /// Elements that cannot be records.
    pub refused: Vec<Refused>,
}

impl Document {
    /// The page of a resource.
    pub fn page(&self, resource: &str) -> Option<&Page> {
        self.pages.iter().find(|page| page.resource == resource)
    }
}

/// An element of a document that was refused, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Of which resource it was.
    pub resource: String,
    /// Its uid, where it has one.
    pub uid: String,
    /// Why, in a sentence.
    pub reason: String,
}

/// What is asked of us, or by us, for one resource.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EdenPull {
    /// The resource.
    pub resource: String,
    /// Only what is of this second or later.
    pub since: Option<Time>,
    /// Terms of filters, without the name of the resource: `~.name__like=B*`; also paths, `~.parent_id$name=B`.
    pub filters: Vec<String>,
    /// Terms for what stands inside or comes along: its name, and the term.
    pub along: Vec<(String, String)>,
    /// Records that stand inside others come along.
    pub components: Components,
    /// From this record on, counted from 0.
    pub start: Option<usize>,
    /// So many records at most.
    pub limit: Option<usize>,
}

/// Whether components are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Components {
    /// Inside their masters.
    #[default]
    Nested,
    /// Left out.
    Omitted,
}

/// What goes with a pushed document. Policies are the sender's own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EdenPush {
    /// The resource.
    pub resource: String,
    /// What the sender holds to be the last exchange.
    pub since: Option<Time>,
    /// The methods the sender allows.
    pub strategy: Strategy,
    /// The sender's update policy.
    pub update: Policy,
    /// The sender's conflict policy.
    pub conflict: Policy,
}

/// What is given to an Eden.
#[derive(Debug, Default)]
pub struct Feed {
    /// The records that were asked for.
    pub masters: Page,
    /// Records inside them: each of a page stands in the master at the index beside it.
    pub nested: Vec<(Page, Vec<usize>)>,
    /// Records that any of them refers to, and so on.
    pub referenced: Vec<Page>,
    /// How many of the masters there are.
    pub results: usize,
    /// The first of them, where only some were wanted.
    pub start: Option<usize>,
    /// How many were wanted.
    pub limit: Option<usize>,
    /// Fields that hold unique keys, by resource: Eden compares them only as text.
    pub keys: Vec<(String, Vec<String>)>,
    /// What the columns of fields are for, by resource: not every database tells a boolean from a number, or a date from a text.
    pub kinds: Vec<(String, Vec<(String, Kind)>)>,
    /// The fields of nested records that refer to their masters, by resource.
    pub implied: Vec<(String, String)>,
    /// Fields that are not for the receiver, by resource: they refer to what it may not see.
    pub hidden: Vec<(String, String)>,
    /// Of entries in super-entities, resource and uid: the resource of the records that they stand for.
    pub instances: std::collections::HashMap<(String, String), String>,
    /// Records that are held back, resource and uid: nothing refers to them.
    pub absent: std::collections::HashSet<(String, String)>,
    /// Whose the records are, by resource.
    pub accounts: std::collections::HashMap<String, Owners>,
    /// Fields that were emptied, by uid: Eden leaves alone what is not named.
    pub cleared: std::collections::HashMap<String, Vec<String>>,
}

/// By uid: columns of [`ACCOUNTS`], and what the account or role is called that they name.
pub type Owners = std::collections::HashMap<String, Vec<(&'static str, String)>>;

/// What an Eden said of a document that was pushed to it, or we to an Eden.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EdenAnswer {
    /// Records without an error, where it says how many.
    pub records: Option<u64>,
    /// How many were new.
    pub created: u64,
    /// How many were changed.
    pub updated: u64,
    /// How many were removed.
    pub deleted: u64,
    /// Those that were refused.
    pub refused: Vec<Refused>,
    /// Its sentence.
    pub message: String,
}

/// How it is known what an Eden holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It showed it.
    Shown,
    /// It said that it took what we sent.
    Taken,
    /// We gave it, and it said nothing.
    Given,
}

/// What a stock Eden is known to hold of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// How that is known.
    pub known: Known,
    /// The content, as it was in the document.
    pub digest: Digest,
    /// Its time as the document said it, in seconds; none where it said none.
    pub modified: Option<i64>,
    /// Where it took this: the latest second of what it was known to hold until then. Nothing that it holds from before is later.
    pub before: Option<i64>,
    /// When it was exchanged, by our clock.
    pub at: Time,
    /// The version that this content stands for.
    pub version: Version,
    /// The fields that were not empty.
    pub fields: Vec<String>,
    /// The version that it refused, and why: it holds what it held before.
    pub refused: Option<(Version, String)>,
}

impl Holding {
    /// As the journal keeps it.
    pub fn write(&self) -> String {
        let known = match self.known {
            Known::Shown => 'S',
            Known::Taken => 'T',
            Known::Given => 'G',
        };
        let mut text = format!("{known} {} {} ", self.modified.map_or("-".to_owned(), |at| at.to_string()), self.at.0);
        for byte in self.digest.0 {
            // Writing into a String cannot fail.
            _ = write!(text, "{byte:02x}");
        }
        if let Some(before) = self.before {
            _ = write!(text, " {before}");
        }
        _ = write!(text, "\n{}\n{}\n", self.version, self.fields.join(" "));
        if let Some((version, reason)) = &self.refused {
            _ = write!(text, "{version}|{}", reason.replace('\n', " "));
        }
        text
    }

    /// What is known of a record that it never held.
    pub fn nothing(at: Time) -> Holding {
        let (digest, version, fields) = (Digest::DELETED, Version::default(), Vec::new());
        Holding { known: Known::Taken, digest, modified: None, before: None, at, version, fields, refused: None }
    }

    /// The latest second that the Eden may show of a record of which it held this.
    pub fn latest(&self) -> Option<i64> {
        self.modified.max(self.before)
    }

    /// What [`Holding::write`] wrote; `None` for anything else.
    pub fn read(text: &str) -> Option<Holding> {
        let mut lines = text.splitn(4, '\n');
        let (head, version, fields, refused) = (lines.next()?, lines.next()?, lines.next()?, lines.next()?);
        let mut words = head.split(' ');
        let known = match words.next()? {
            "S" => Known::Shown,
            "T" => Known::Taken,
            "G" => Known::Given,
            _ => return None,
        };
        let modified = match words.next()? {
            "-" => None,
            seconds => Some(seconds.parse().ok()?),
        };
        let at = Time(words.next()?.parse().ok()?);
        let hex = words.next()?.as_bytes();
        let before = words.next().map(str::parse).transpose().ok()?;
        let mut digest = [0; 32];
        if hex.len() != 64 {
            return None;
        }
        for (byte, pair) in digest.iter_mut().zip(hex.chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Holding {
            known,
            digest: Digest(digest),
            modified,
            before,
            at,
            version: version.parse().ok()?,
            fields: fields.split(' ').filter(|field| !field.is_empty()).map(str::to_owned).collect(),
            refused: refused.split_once('|').and_then(|(version, reason)| Some((version.parse().ok()?, reason.to_owned()))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Actor;

    #[test]
    fn several_references_are_told_from_other_texts() {
        let text = one_of_several("org_sector", &["urn:1", "urn:2"]);
        assert_eq!(text, r#"{"@resource":"org_sector","@uuid":["urn:1","urn:2"]}"#);
        let value = |kind, text| Value { kind, resource: "", text };
        assert_eq!(several(value(Kind::Text, &text)), Some(("org_sector", vec!["urn:1", "urn:2"])));
        for other in ["", "{\"@resource\":1}", "{\"@resource\":\"a\"}", "[]"] {
            assert_eq!(several(value(Kind::Text, other)), None, "{other}");
        }
    }

    #[test]
    fn a_holding_survives_being_written_and_nonsense_is_none() {
        let version = Version::of(Actor { site: SiteId(Uuid::from_u128(7)), incarnation: 1 }, 5);
        for (known, modified, before, refused) in [
            (Known::Shown, Some(1_700_000_000), None, None),
            (Known::Taken, Some(1_700_000_000), Some(i64::MIN), None),
            (Known::Given, None, None, Some((version.clone(), "year: Enter an integer|x".to_owned()))),
        ] {
            let fields = vec!["name".to_owned(), "year".to_owned()];
            let holding =
                Holding { known, digest: Digest([0xAB; 32]), modified, before, at: Time(9), version: version.clone(), fields, refused };
            assert_eq!(Holding::read(&holding.write()), Some(holding));
        }
        for bad in ["", "S", "S 1 2 ab\n\n\n", "X 1 2 \n\n\n"] {
            assert_eq!(Holding::read(bad), None, "{bad:?}");
        }
    }
}
