//! Pages of every shape, written and read.

use entente::{
    model::{Actor, Cell, Kind, Limits, Page, Record, SiteId, Time, Uid, Version},
    wire::{read, value, write},
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use uuid::Uuid;

use super::schema::s3xml;

/// Any characters, the awkward ones often.
fn text() -> impl Strategy<Value = String> {
    let awkward = select("<>&\"'\r\n\t ]\0\u{1}\u{1F}\u{7F}\u{85}\u{2028}\u{FEFF}\u{FFFD}\u{FFFE}\u{FFFF}".chars().collect::<Vec<_>>());
    vec(prop_oneof![awkward, any::<char>(), proptest::char::range('a', 'z')], 0..40).prop_map(String::from_iter)
}

fn carried(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '\0'..='\u{8}' | '\u{B}' | '\u{C}' | '\u{E}'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}')).collect()
}

fn name() -> impl Strategy<Value = String> {
    text().prop_map(|text| carried(&text)).prop_filter("a name is not empty", |name| !name.is_empty())
}

fn uid() -> impl Strategy<Value = String> {
    let odd = text().prop_filter("a uid is one", |text| Uid::check(text).is_ok());
    prop_oneof![any::<u128>().prop_map(|n| format!("urn:uuid:{}", Uuid::from_u128(n))), odd]
}

fn site() -> impl Strategy<Value = SiteId> {
    prop_oneof![(0u128..3), any::<u128>()].prop_map(|n| SiteId(Uuid::from_u128(n)))
}

fn json() -> impl Strategy<Value = String> {
    let strings = text().prop_map(|text| serde_json::to_string(&text).unwrap());
    prop_oneof![strings, "[ ]{0,2}\\[1, -0\\.50e7 ,\\{\"a\":null\\}\\]\n?", Just("{}".to_owned())]
}

fn value() -> impl Strategy<Value = (Kind, String)> {
    let pushed = |kind, push: fn(u64, &mut String)| {
        any::<u64>().prop_map(move |bits| {
            let mut text = String::new();
            push(bits, &mut text);
            (kind, text)
        })
    };
    let spelt = |kind, regex| proptest::string::string_regex(regex).unwrap().prop_map(move |text: String| (kind, text));
    let canonical = prop_oneof![
        pushed(Kind::Integer, |bits, out| value::push_integer(bits.cast_signed(), out)),
        pushed(Kind::Real, |bits, out| value::push_real(f64::from_bits(bits), out)),
        pushed(Kind::Instant, |bits, out| value::push_instant(Time((bits >> 16).cast_signed()), out)),
        pushed(Kind::Bytes, |bits, out| value::push_bytes(&bits.to_le_bytes()[..(bits % 8) as usize], out)),
        pushed(Kind::Opaque, |bits, out| value::push_bytes(&[&[0xFF], &bits.to_le_bytes()[..]].concat(), out)),
        pushed(Kind::Uuid, |bits, out| value::push_uuid(Uuid::from_u64_pair(bits, bits), out)),
        select(vec!["NaN", "Infinity", "-Infinity", "-0.0", "1.0", "1e300"]).prop_map(|text| (Kind::Real, text.to_owned())),
        spelt(Kind::Decimal, "-?[0-9]{1,30}(\\.[0-9]{1,9})?|NaN|-Infinity"),
        spelt(Kind::Date, "[0-9]{3}[1-9]-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"),
        spelt(Kind::Clock, "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{6})?|24:00:00"),
        spelt(Kind::Local, "[0-9]{3}[1-9]-0[1-9]-0[1-9]T0[0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?"),
        spelt(Kind::Boolean, "true|false"),
        Just((Kind::Null, String::new())),
        json().prop_map(|text| (Kind::Json, text)),
        uid().prop_map(|uid| (Kind::Reference, uid)),
    ];
    let canonical = canonical.prop_map(|(kind, spelling)| {
        let mut text = String::new();
        value::canonical(kind, &spelling, &mut text).unwrap();
        (kind, text)
    });
    prop_oneof![1 => text().prop_map(|text| (Kind::Text, text)), 3 => canonical]
}

#[derive(Debug)]
struct Sketch {
    uid: String,
    version: Vec<(SiteId, u32, i64)>,
    sites: (SiteId, SiteId, Vec<SiteId>),
    modified_on: i64,
    heir: Option<Option<String>>,
    values: Vec<Option<(Kind, String)>>,
    retracted: bool,
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let version = vec((site(), any::<u32>(), 1i64..), 0..4);
    let sites = (site(), site(), vec(site(), 0..3));
    let heir = option::weighted(0.2, option::of(uid()));
    let values = vec(option::weighted(0.8, value()), 0..7);
    let retracted = proptest::bool::weighted(0.2);
    (uid(), version, sites, Time::RANGE, heir, values, retracted).prop_map(|(uid, version, sites, modified_on, heir, values, retracted)| {
        Sketch { uid, version, sites, modified_on, retracted: retracted && heir.is_none(), heir, values }
    })
}

fn add(page: &mut Page, names: &[String], sketch: Sketch) {
    let mark = page.mark();
    if sketch.heir.is_none() && !sketch.retracted {
        for (at, value) in sketch.values.iter().enumerate() {
            let Some((kind, text)) = value else { continue };
            let resource = if *kind == Kind::Reference { page.name(&names[0]).unwrap() } else { 0 };
            let (field, text) = (page.name(&format!("{}{at}", names[at % names.len()])).unwrap(), page.put(text));
            page.cell(Cell { field, resource, kind: *kind, text });
        }
    }
    let (origin, author, mut settled) = sketch.sites;
    settled.sort_unstable();
    settled.dedup();
    let mut record = Record::new(page.put(&sketch.uid), origin, Time(sketch.modified_on));
    record.author = author;
    record.settled = settled;
    record.version =
        sketch.version.iter().map(|(site, incarnation, n)| (Actor { site: *site, incarnation: *incarnation }, n.cast_unsigned())).collect();
    record.deleted = sketch.heir.is_some();
    record.retracted = sketch.retracted;
    record.heir = sketch.heir.flatten().map(|heir| page.put(&heir));
    page.finish(record, mark);
}

/// A page of up to six records with fields of every kind.
pub(crate) fn page() -> impl Strategy<Value = Page> {
    let heading = (name(), text().prop_map(|text| carried(&text)), any::<bool>(), option::of(any::<u64>()));
    (heading, vec(name(), 1..4), vec(sketch(), 0..6)).prop_map(|((resource, cursor, more, run), names, sketches)| {
        let mut page = Page::new(&resource);
        (page.cursor, page.more, page.run) = (cursor, more, run);
        sketches.into_iter().for_each(|sketch| add(&mut page, &names, sketch));
        page
    })
}

/// A page of a hundred plain records, as most pages are.
pub(crate) fn plain_page() -> Page {
    let site = SiteId(Uuid::from_u128(7));
    let mut page = Page::new("match");
    (page.cursor, page.more, page.run) = ("e1;100".to_owned(), true, Some(3));
    for n in 0..100u32 {
        let mark = page.mark();
        for (field, kind, value) in [("number", Kind::Integer, n.to_string()), ("place", Kind::Text, format!("Halle {n} & Söhne"))] {
            let (field, text) = (page.name(field).unwrap(), page.put(&value));
            page.cell(Cell { field, resource: 0, kind, text });
        }
        let mut record = Record::new(page.put(&format!("urn:uuid:{}", Uuid::from_u128(n.into()))), site, Time(1_000_000 * i64::from(n)));
        record.version = Version::of(Actor { site, incarnation: 1 }, (n + 1).into());
        page.finish(record, mark);
    }
    page
}

pub(crate) fn written(page: &Page) -> Vec<u8> {
    let mut out = b"before".to_vec();
    write(page, SiteId(Uuid::from_u128(1)), &mut out).unwrap();
    out.split_off(6)
}

/// Everything that a page says, to compare pages by.
pub(crate) fn told(page: &Page) -> String {
    let mut told = format!("{:?}", (&page.resource, &page.cursor, page.more, page.run));
    for view in page.views() {
        let record = view.record;
        let state = (
            view.uid(),
            view.heir(),
            (record.deleted, record.retracted),
            record.modified_on,
            record.origin,
            record.author,
            &record.settled,
        );
        told += &format!("\n{state:?} {} {:?} {:?}", record.version, view.digest(), view.fields().collect::<Vec<_>>());
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_page_is_read_as_it_was_written_and_written_as_it_was_read(page in page()) {
        let document = written(&page);
        let back = read(&document, &Limits::default()).unwrap();
        prop_assert_eq!(told(&back), told(&page));
        prop_assert_eq!(written(&back), document);
    }

    #[test]
    fn every_page_follows_the_schema(page in page()) {
        let document = String::from_utf8(written(&page)).unwrap();
        prop_assert!(s3xml().accepts(&document), "{}", document);
    }
}

#[test]
fn a_page_of_plain_records_is_read_as_it_was_written_and_follows_the_schema() {
    let page = plain_page();
    let document = written(&page);
    assert_eq!(told(&read(&document, &Limits::default()).unwrap()), told(&page));
    assert!(s3xml().accepts(std::str::from_utf8(&document).unwrap()));
}

#[test]
fn what_no_attribute_can_carry_is_refused_and_leaves_no_bytes_behind() {
    let page = |resource: &str, field: &str, uid: &str| {
        let mut page = Page::new(resource);
        let (field, text) = (page.name(field).unwrap(), page.put("x"));
        page.cell(Cell { field, resource: 0, kind: Kind::Text, text });
        let record = Record::new(page.put(uid), SiteId(Uuid::nil()), Time(0));
        page.finish(record, 0);
        page
    };
    for bad in [page("r\0", "f", "u"), page("r", "f\u{FFFF}", "u"), page("r", "f", "u\u{1}"), page("r", "", "u")] {
        let mut out = b"before".to_vec();
        assert!(write(&bad, SiteId(Uuid::nil()), &mut out).is_err());
        assert_eq!(out, b"before");
    }
    assert!(read(&written(&page("r", "f", "u")), &Limits::default()).is_ok());
}
