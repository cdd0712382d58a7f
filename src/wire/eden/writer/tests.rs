use super::*;
use crate::{
    model::{Cell, Limits, Record, SiteId},
    wire::eden::read,
};

fn page(resource: &str, uid: &str, cells: &[(&str, Kind, &str)]) -> Page {
    let mut page = Page::new(resource);
    let (uid, mark) = (page.put(uid), page.mark());
    for (name, kind, text) in cells {
        let (field, text) = (page.name(name).unwrap(), page.put(text));
        let resource = if *kind == Kind::Reference { page.name("org_organisation").unwrap() } else { 0 };
        page.cell(Cell { field, resource, kind: *kind, text });
    }
    page.finish(Record::new(uid, me(), "2026-01-02T03:04:05.9".parse().unwrap()), mark);
    page
}

fn me() -> SiteId {
    SiteId(uuid::Uuid::from_u128(1))
}

fn written(feed: &Feed) -> (String, Lossy) {
    let sender = Sender { site: me(), domain: "here".into(), prefix: "here".into(), url: "http://here:1".into() };
    let mut out = String::new();
    let lossy = write(feed, &sender, &mut out).unwrap();
    (out, lossy)
}

#[test]
fn an_empty_document_says_so() {
    let (text, _) = written(&Feed::default());
    let want =
        "<?xml version='1.0' encoding='utf-8'?>\n<s3xml success=\"false\" results=\"0\" domain=\"here\" url=\"http://here:1\"></s3xml>";
    assert_eq!(text, want);
}

#[test]
fn every_kind_of_value_comes_back_as_it_was() {
    let cells = [
        ("text", Kind::Text, "a <b> & \"c\" 'd' &amp;amp; \n é 😀"),
        ("empty", Kind::Text, ""),
        ("digits", Kind::Text, "007"),
        ("integer", Kind::Integer, "-42"),
        ("real", Kind::Real, "1.5"),
        ("flag", Kind::Boolean, "true"),
        ("date", Kind::Date, "2026-02-03"),
        ("moment", Kind::Local, "2026-02-03T04:05:06.000000"),
        ("clock", Kind::Clock, "13:14:15"),
        ("json", Kind::Json, r#"{"a":["x & y","<'>"]}"#),
        ("one", Kind::Reference, "urn:uuid:o"),
        ("many", Kind::Json, r#"{"@resource":"org_sector","@uuid":["urn:1","urn:2"]}"#),
        ("file", Kind::Json, r#"{"filename":"a.txt","url":"http://h/d"}"#),
    ];
    let masters = page("org_office", "urn:uuid:f", &cells);
    let (text, lossy) = written(&Feed { masters, results: 1, ..Feed::default() });
    assert_eq!(lossy, Lossy::default());
    let document = read(text.as_bytes(), &[], &Limits::default()).unwrap();
    let back = document.pages[0].views().next().unwrap();
    for (name, kind, text) in cells {
        let value = back.get(name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!((value.kind, value.text), (kind, text), "{name}");
    }
    assert!(text.contains(r#"mci="1" created_on="2026-01-02T03:04:05" modified_on="2026-01-02T03:04:05""#), "{text}");
    assert!(!text.contains('&'), "Eden's parser takes long over ampersands: {text}");
}

#[test]
fn unique_keys_are_texts_and_what_cannot_be_carried_is_told() {
    let masters = page(
        "t_t",
        "urn:t",
        &[
            ("code", Kind::Text, "A & B"),
            ("odd", Kind::Text, "a\u{1}b"),
            ("blob", Kind::Bytes, "AAAA"),
            ("none", Kind::Null, ""),
            ("password", Kind::Text, "secret"),
            ("mci", Kind::Integer, "3"),
        ],
    );
    let feed = Feed { masters, results: 1, keys: vec![("t_t".into(), vec!["code".into()])], ..Feed::default() };
    let (text, lossy) = written(&feed);
    assert!(text.contains("<data field=\"code\">A &amp;amp; B</data>"), "{text}");
    assert!(text.contains("value='\"a\u{FFFD}b\"'") && text.contains("mci=\"4\""), "{text}");
    assert!(!text.contains("none") && !text.contains("secret") && !text.contains("blob"), "{text}");
    assert_eq!((lossy.replaced, lossy.unsent.into_iter().collect::<Vec<_>>()), (1, vec!["blob".to_owned()]));
}

#[test]
fn components_stand_in_their_masters_without_naming_them_and_tombstones_say_little() {
    let masters = page("org_organisation", "urn:o", &[("name", Kind::Text, "R")]);
    let office = page("org_office", "urn:f", &[("organisation_id", Kind::Reference, "urn:o"), ("name", Kind::Text, "HQ")]);
    let mut gone = page("org_sector", "urn:s", &[]);
    gone.records[0].deleted = true;
    let implied = vec![("org_office".to_owned(), "organisation_id".to_owned())];
    let feed = Feed { masters, nested: vec![(office, vec![0])], referenced: vec![gone], results: 1, implied, ..Feed::default() };
    let (text, _) = written(&feed);
    assert!(text.contains("<resource name=\"org_office\"") && !text.contains("organisation_id"), "{text}");
    assert!(
        text.contains("<resource name=\"org_sector\" uuid=\"urn:s\" deleted=\"True\" modified_on=\"2026-01-02T03:04:05\"/></s3xml>"),
        "{text}"
    );
    let document = read(text.as_bytes(), &[], &Limits::default()).unwrap();
    assert_eq!(document.page("org_office").unwrap().views().next().unwrap().get("@parent").unwrap().text, "urn:o");
}
