//! The schemas hold for real documents and say no to broken ones.

use std::sync::LazyLock;

use entente::{
    model::{Kind, Limits, Page},
    wire::read,
};

use super::{
    pages::{plain_page, written},
    relaxng::Schema,
};

const EDEN: &str = include_str!("../fixtures/eden-pull.xml");
const PAGE: &str = include_str!("../fixtures/page.xml");

pub(crate) fn s3xml() -> Schema {
    static TEXT: LazyLock<String> = LazyLock::new(|| std::fs::read_to_string("schemas/s3xml.rng").unwrap());
    Schema::parse(&TEXT)
}

fn page(document: &str) -> Page {
    read(document.as_bytes(), &Limits::default()).unwrap()
}

fn value<'a>(page: &'a Page, record: usize, field: &str) -> Option<(Kind, &'a str)> {
    page.view(&page.records[record]).get(field).map(|value| (value.kind, value.text))
}

#[test]
fn a_document_of_a_stock_eden_is_read_and_follows_the_schema() {
    assert!(s3xml().accepts(EDEN));
    let page = page(EDEN);
    assert_eq!((page.resource.as_str(), page.cursor.as_str(), page.more, page.run), ("org_office", "", false, None));
    assert_eq!(page.records.len(), 3, "components and records of other resources are passed over");
    for (field, want) in [
        ("name", Some((Kind::Text, "Haus & Hof <1>"))),
        ("code", Some((Kind::Text, "007"))),
        ("phone", Some((Kind::Text, "+49123"))),
        ("comments", Some((Kind::Text, "one\ntwo äöü 😀"))),
        ("year", Some((Kind::Integer, "1999"))),
        ("lat", Some((Kind::Real, "52.5"))),
        ("big", Some((Kind::Decimal, "12345678901234567890"))),
        ("obsolete", Some((Kind::Boolean, "false"))),
        ("opened", Some((Kind::Text, "2026-02-03"))),
        ("tags", Some((Kind::Json, "[\"x\", \"y|z\"]"))),
        ("twice", Some((Kind::Text, "last"))),
        ("organisation_id", Some((Kind::Reference, "urn:uuid:org-1"))),
        ("sector_ids", Some((Kind::Reference, "[\"urn:uuid:s1\", \"urn:uuid:s2\"]"))),
        ("nested_id", None),
        ("sector_id", None),
    ] {
        assert_eq!(value(&page, 0, field), want, "{field}");
    }
    let first = page.view(&page.records[0]);
    assert_eq!(first.get("organisation_id").unwrap().resource, "org_organisation");
    assert_eq!(first.record.modified_on.to_string(), "2026-01-06T09:30:00.000000Z");
    assert!(first.record.version.is_empty() && first.record.origin.0.is_nil() && first.record.author.0.is_nil());
    let gone = page.view(&page.records[2]);
    assert!(gone.record.deleted && gone.cells().is_empty());
    assert_eq!((gone.uid(), gone.heir()), ("urn:uuid:o-3", Some("urn:uuid:o-1")));
}

#[test]
fn a_page_on_disk_still_reads_as_it_did_and_is_written_the_same() {
    assert!(s3xml().accepts(PAGE));
    let page = page(PAGE);
    assert_eq!((page.resource.as_str(), page.cursor.as_str(), page.more, page.run), ("office", "e1;42", true, Some(7)));
    for (field, want) in [
        ("text", (Kind::Text, " a<b>&\"c\"\r\n\t ")),
        ("control", (Kind::Text, "nul \0 and \u{FFFF}")),
        ("empty", (Kind::Text, "")),
        ("null", (Kind::Null, "")),
        ("integer", (Kind::Integer, "-42")),
        ("real", (Kind::Real, "-0.0")),
        ("nan", (Kind::Real, "NaN")),
        ("yes", (Kind::Boolean, "true")),
        ("decimal", (Kind::Decimal, "123456789012345678901.5")),
        ("date", (Kind::Date, "2026-02-03")),
        ("time", (Kind::Clock, "04:05:06.000007")),
        ("local", (Kind::Local, "2026-02-03T04:05:06.000000")),
        ("instant", (Kind::Instant, "2026-02-03T04:05:06.000007Z")),
        ("uuid", (Kind::Uuid, "6f9619ff-8b86-d011-b42d-00c04fc964ff")),
        ("json", (Kind::Json, "{\"a\": [1, \"<&>\"]}")),
        ("bytes", (Kind::Bytes, "AAEC/w==")),
        ("opaque", (Kind::Opaque, "/w==")),
        ("a <field> & \"more\"", (Kind::Reference, "urn:iso:std:iso:3166:-1:code:AF")),
    ] {
        assert_eq!(value(&page, 0, field), Some(want), "{field}");
    }
    assert_eq!(page.records[0].version.iter().count(), 2);
    assert_eq!(page.records[0].settled.len(), 2);
    assert_eq!(String::from_utf8(written(&page)).unwrap(), PAGE);
}

#[test]
fn broken_documents_do_not_follow_the_schema() {
    let good = String::from_utf8(written(&plain_page())).unwrap();
    assert!(s3xml().accepts(&good));
    for (from, to) in [
        (" e:cursor=\"e1;100\"", ""),
        ("e:more=\"true\"", "e:more=\"yes\""),
        ("e:digest=\"", "e:digest=\"x"),
        ("value=\"3\"", "value=\"03\""),
        ("value=\"3\"", "e:type=\"integer\" value=\"3\""),
        ("value=\"3\"", "value=\"3\" unknown=\"\""),
        ("<data field=\"number\"", "<data"),
        ("<data field=\"number\" value=\"3\"/>", "<date/>"),
        (" uuid=\"urn:uuid:0", " uuid=\"urn uuid:0"),
        ("e:origin=\"00000000", "e:origin=\"urn:uuid:00000000"),
        ("1970-01-01T00:00:03.000000Z", "1970-01-01T00:00:03Z"),
        (".1:4\"", ".1:0\""),
        ("</s3xml>", "<resource name=\"match\"/></s3xml>"),
        ("</s3xml>", ""),
    ] {
        let broken = good.replacen(from, to, 1);
        assert_ne!(broken, good, "{from} is not in the document");
        assert!(!s3xml().accepts(&broken), "{from} → {to}");
    }
}
