//! A record as the journal keeps it: in the history, with a conflict, while it waits. JSON, so that a person can read it too.

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    model::{Cell, Kind, Page, Record, RecordView, SiteId, Time},
};

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    uid: &'a str,
    version: String,
    origin: SiteId,
    author: SiteId,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    settled: Vec<SiteId>,
    modified_on: Time,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    retracted: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    heir: Option<String>,
    fields: Fields,
}

/// Field, kind, text and, of a reference, the resource.
type Fields = Vec<(String, String, String, String)>;

/// Writes a record.
pub(super) fn write(record: RecordView<'_>) -> Result<String> {
    let stored = Stored {
        uid: record.uid(),
        version: record.record.version.to_string(),
        origin: record.record.origin,
        author: record.record.author,
        settled: record.record.settled.clone(),
        modified_on: record.record.modified_on,
        deleted: record.record.deleted,
        retracted: record.record.retracted,
        heir: record.heir().map(str::to_owned),
        fields: fields(record.fields()),
    };
    serde_json::to_string(&stored).map_err(|e| Error::internal("a record could not be written to the journal").because(e))
}

/// Reads a record to the end of a page.
pub(super) fn read(text: &str, page: &mut Page) -> Result<()> {
    #[derive(Deserialize)]
    struct Owned {
        uid: String,
        version: String,
        origin: SiteId,
        author: SiteId,
        #[serde(default)]
        settled: Vec<SiteId>,
        modified_on: Time,
        #[serde(default)]
        deleted: bool,
        #[serde(default)]
        retracted: bool,
        #[serde(default)]
        heir: Option<String>,
        fields: Fields,
    }
    let stored: Owned = serde_json::from_str(text).map_err(|e| Error::internal("a record in the journal cannot be read").because(e))?;
    let mark = page.mark();
    push_fields(stored.fields, page)?;
    let mut record = Record::new(page.put(&stored.uid), stored.origin, stored.modified_on);
    record.version = stored.version.parse()?;
    (record.author, record.settled, record.deleted) = (stored.author, stored.settled, stored.deleted);
    record.retracted = stored.retracted;
    record.heir = stored.heir.map(|heir| page.put(&heir));
    page.finish(record, mark);
    Ok(())
}

/// Writes fields that the table here has no column for; `None` where there are none.
pub(super) fn write_extra<'a>(extra: impl Iterator<Item = (&'a str, crate::model::Value<'a>)>) -> Result<Option<String>> {
    let extra = fields(extra);
    if extra.is_empty() {
        return Ok(None);
    }
    serde_json::to_string(&extra).map(Some).map_err(|e| Error::internal("fields could not be written to the journal").because(e))
}

/// Reads such fields as further cells of the record that is being built, but those that the table has a column for by now.
pub(super) fn read_extra(text: &str, page: &mut Page, known: impl Fn(&str) -> bool) -> Result<()> {
    let mut extra: Fields = serde_json::from_str(text).map_err(|e| Error::internal("fields in the journal cannot be read").because(e))?;
    extra.retain(|(field, ..)| !known(field));
    push_fields(extra, page)
}

fn fields<'a>(fields: impl Iterator<Item = (&'a str, crate::model::Value<'a>)>) -> Fields {
    fields.map(|(name, value)| (name.to_owned(), value.kind.word().to_owned(), value.text.to_owned(), value.resource.to_owned())).collect()
}

fn push_fields(fields: Fields, page: &mut Page) -> Result<()> {
    let broken = || Error::internal("a field in the journal cannot be read");
    for (name, kind, text, resource) in fields {
        let (field, kind) = (page.name(&name).ok_or_else(broken)?, Kind::from_word(&kind).ok_or_else(broken)?);
        let (resource, text) = (page.name_or_zero(&resource), page.put(&text));
        page.cell(Cell { field, resource, kind, text });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_the_journal() {
        let mut page = Page::new("t");
        let uid = page.put("urn:x:é\"");
        let mark = page.mark();
        for (name, kind, text) in [("a", Kind::Text, "\u{1}\"'<"), ("b", Kind::Null, ""), ("r", Kind::Reference, "urn:y")] {
            let (field, resource, text) = (page.name(name).unwrap(), page.name("u").unwrap(), page.put(text));
            page.cell(Cell { field, resource, kind, text });
        }
        let mut record = Record::new(uid, SiteId::random(), Time(5));
        record.settled = vec![SiteId::random()];
        record.retracted = true;
        page.finish(record, mark);
        let text = write(page.view(&page.records[0])).unwrap();
        let mut back = Page::new("t");
        read(&text, &mut back).unwrap();
        let (one, two) = (page.view(&page.records[0]), back.view(&back.records[0]));
        assert_eq!((one.uid(), one.digest(), &one.record.settled), (two.uid(), two.digest(), &two.record.settled));
        assert_eq!(two.get("r").unwrap().resource, "u");
        assert!(two.record.retracted);
    }
}
