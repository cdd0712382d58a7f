use super::Filter;
use crate::model::{Cell, Kind, Page, Record, SiteId, Time};

fn page(fields: &[(&str, Kind, &str)]) -> Page {
    let mut page = Page::new("team");
    let mark = page.mark();
    for (name, kind, text) in fields {
        let (field, text) = (page.name(name).unwrap(), page.put(text));
        page.cell(Cell { field, resource: 0, kind: *kind, text });
    }
    let uid = page.put("urn:x:1");
    page.finish(Record::new(uid, SiteId(uuid::Uuid::nil()), Time(0)), mark);
    page
}

fn parse(text: &str) -> Filter {
    Filter::parse("team", &[text.to_owned()]).unwrap_or_else(|error| panic!("{text}: {}", error.chain()))
}

fn matches(text: &str, page: &Page) -> bool {
    parse(text).matches(page.view(&page.records[0]))
}

#[test]
fn a_term_compares_as_its_operator_says_and_values_as_their_kind_wants() {
    let page = page(&[
        ("name", Kind::Text, "Böb, the \"Builder\""),
        ("code", Kind::Text, "007"),
        ("points", Kind::Integer, "-12"),
        ("active", Kind::Integer, "1"),
        ("weight", Kind::Real, "10.0"),
        ("price", Kind::Decimal, "99999999999999999999.5"),
        ("flag", Kind::Boolean, "true"),
        ("day", Kind::Date, "2026-03-04"),
        ("at", Kind::Instant, "2026-03-04T05:06:07.000008Z"),
        ("clock", Kind::Clock, "05:06:07"),
        ("id", Kind::Uuid, "0d1e2f30-0000-4000-8000-00000000000a"),
        ("home", Kind::Reference, "urn:uuid:0d1e2f30-0000-4000-8000-00000000000a"),
        ("data", Kind::Bytes, "AAAA"),
        ("none", Kind::Null, ""),
        ("a__b", Kind::Text, "x"),
        ("amp", Kind::Text, "a&b%41"),
        ("empty", Kind::Text, ""),
        ("word", Kind::Text, "NONE"),
    ]);
    for (yes, no) in [
        ("~.code=007", "~.code=7"),
        ("team.code=007", "~.code!=007"),
        ("~.code__ne=7", "~.code__ne!=7"),
        ("~.points=-12", "~.points=12"),
        ("~.points=-012.0", "~.points=twelve"),
        ("~.points__lt=-11.99", "~.points__lt=-12"),
        ("~.points__le=-12", "~.points__gt=-12"),
        ("~.points__ge=-100", "~.points__ge=9"),
        ("~.active=True", "~.active=false"),
        ("~.weight=10", "~.weight=10.1"),
        ("~.weight__gt=9e0", "~.weight__gt=1e1"),
        ("~.price__gt=99999999999999999999.4", "~.price__gt=99999999999999999999.5"),
        ("~.flag=true", "~.flag=0"),
        ("~.day=2026-03-04", "~.day__gt=2026-03-04"),
        ("~.day__ge=2026-03-03T12:00", "~.day__ge=2026-03-04 00:01"),
        ("~.at__gt=2026-03-04", "~.at__lt=2026-03-04T05:06:07"),
        ("~.at__le=2026-03-04 05:06:07.000008", "~.at=yesterday"),
        ("~.clock__lt=05:07", "~.clock__lt=05:06:07"),
        ("~.id=urn:uuid:0D1E2F30-0000-4000-8000-00000000000A", "~.id=0d1e2f30-0000-4000-8000-00000000000b"),
        ("~.home=0d1e2f30-0000-4000-8000-00000000000a", "~.home=urn:uuid:0d1e2f30-0000-4000-8000-00000000000b"),
        ("~.none=NONE", "~.none!=NONE"),
        ("~.none__ne=5", "~.none=5"),
        ("~.none__lt!=5", "~.none__lt=5"),
        ("~.missing=NONE", "~.code=NONE"),
        ("~.code=1,007,3", "~.code__belongs!=1,007,3"),
        ("~.none__belongs=1,NONE", "~.none__belongs=1,\"NONE\""),
        ("~.word=\"NONE\"", "~.word=NONE"),
        ("~.empty=", "~.none="),
        ("~.name=\"Böb, the \\\"Builder\\\"\"", "~.name=Böb"),
        ("~.name__like=BÖB*", "~.name__like=b?b"),
        ("~.name__like=x,*build*", "~.name__like!=*"),
        ("~.name__like=?öb??the*r?", "~.name__like=?öb*x"),
        ("~.points__like=-1?", "~.points__like=-1"),
        ("~.name__contains=builder,BÖB", "~.name__contains=builder,bub"),
        ("~.none__contains!=x", "~.none__like=*"),
        ("~.code|~.name=007", "~.code|~.name__like!=0*"),
        ("~.code=007&~.points__lt=0", "~.code=007&~.points__gt=0"),
        ("~.a__b__eq=x", "~.a__b__ne=x"),
        ("~.amp=a%26b%2541", "~.amp=a%26bA"),
        ("~.data!=AAAA", "~.data__like=A*"),
    ] {
        assert!(matches(yes, &page), "{yes}");
        assert!(!matches(no, &page), "{no}");
    }
}

#[test]
fn a_filter_says_the_same_of_a_value_whatever_its_database_calls_it() {
    for (kind, text, filters) in [
        (Kind::Boolean, "true", &["=true", "=1", "=0", "__like=1", "__like=true"][..]),
        (Kind::Decimal, "1.5", &["=1.50", "__lt=2", "__like=1.5"]),
        (Kind::Decimal, "100000000000000000000", &["__gt=5", "=1e20", "__like=1*"]),
        (Kind::Decimal, "12345678901234567890.5", &["__gt=5", "=012345678901234567890.50", "__lt=12345678901234567890.6"]),
        (Kind::Date, "2026-03-04", &["=2026-03-04", "=2026-03-04T00:00", "__lt=2026-03-04 00:01", "__gt=2026", "__like=2026-03*"]),
        (Kind::Clock, "05:06:00", &["=05:06", "__lt=05:06:00.1", "__contains=05"]),
        (
            Kind::Local,
            "2026-03-04T05:06:07.000000",
            &["=2026-03-04T05:06:07", "__gt=2026-03-04", "__lt=2026-03-04 05:07", "__like=2026-03-04 05*", "__like=*T*"],
        ),
        (Kind::Instant, "2026-03-04T05:06:07.500000Z", &["=2026-03-04T05:06:07.5Z", "__ge=2026-03-04T05:06", "__like=*Z"]),
        (
            Kind::Uuid,
            "0d1e2f30-0000-4000-8000-00000000000a",
            &["=0D1E2F30-0000-4000-8000-00000000000A", "__gt=0d1e2f30-0000-4000-8000-000000000009", "=x"],
        ),
    ] {
        let plain = crate::model::Value { kind, resource: "", text }.plain();
        let (typed, untyped) = (page(&[("v", kind, text)]), page(&[("v", plain.kind, &plain.text)]));
        for filter in filters.iter().map(|filter| format!("~.v{filter}")) {
            assert_eq!(matches(&filter, &typed), matches(&filter, &untyped), "{kind:?} {text:?} {filter}");
        }
        assert!(matches(&format!("~.v{}", filters[0]), &typed), "{kind:?}");
    }
}

#[test]
fn several_filters_are_one_that_wants_them_all() {
    let page = page(&[("a", Kind::Integer, "1"), ("b", Kind::Integer, "2")]);
    let (one, two) = (parse("~.a=1"), parse("~.b=3"));
    let view = page.view(&page.records[0]);
    assert!(one.matches(view) && !two.matches(view) && !one.and(&two).matches(view));
    let both = Filter::parse("team", &["~.b=3".into(), "team.a=1".into(), "~.a=1".into()]).unwrap();
    assert_eq!(both, one.and(&two));
    assert_eq!(both.fields().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn equal_filters_have_one_spelling_and_one_name_and_others_have_others() {
    for same in [
        ["~.a=1&~.b__ne=2", "~.b!=2&team.a__belongs=1&~.a=1"],
        ["~.b|~.a__like=x", "~.a|~.b|~.a__like=x,x"],
        ["~.a=2,1", "~.a=1,2"],
        ["~.a=%41", "~.a=A"],
    ] {
        assert_eq!(parse(same[0]).to_string(), parse(same[1]).to_string());
        assert_eq!(parse(same[0]).name(), parse(same[1]).name());
    }
    for text in ["~.a=\"x,y\"", "~.a=\"NONE\",NONE,", "~.a=\"q\\\"\\\\\",b%25c%26d%0A", "~.a__contains!=é*", "~.x__y__lt=5"] {
        let filter = parse(text);
        assert_eq!(parse(&filter.to_string()), filter, "{text} as {filter}");
        assert_ne!(filter.name(), parse("~.a=1").name());
    }
    assert_eq!((Filter::default().name().as_str(), Filter::default().to_string().as_str()), ("", ""));
}

#[test]
fn what_cannot_be_understood_is_refused_with_a_reason_and_a_hint() {
    for (bad, why) in [
        ("", "without ="),
        ("~.a", "without ="),
        ("a=1", "does not say whose field"),
        ("name__like=B*", "does not say whose field"),
        ("~.a|b=1", "does not say whose field"),
        ("office.a=1", "no field of team"),
        ("~.=1", "names no field"),
        ("~.fk$name=1", "follows a reference"),
        ("~.a__near=1", "no operator \"near\""),
        ("~.a__b=1", "no operator \"b\""),
        ("~.a__lt=1,2", "more than one value"),
        ("~.a__lt=NONE", "NONE can only"),
        ("~.a__like=x,None", "NONE can only"),
        ("~.a=\"x", "not closed"),
        ("~.a=%FF", "no text"),
        ("~.a=1&", "without ="),
        (&format!("~.a={}", "x".repeat(2_000)), "at most"),
    ] {
        let error = Filter::parse("team", &[bad.to_owned()]).unwrap_err();
        assert!(error.to_string().contains(why), "{bad}: {error}");
        assert!(error.next_step().is_some(), "{bad}");
    }
    assert!(Filter::parse("team", &vec!["~.a=1".to_owned(); 65]).is_err());
}

#[test]
fn a_deleted_record_matches_whatever_the_filter() {
    let mut page = page(&[]);
    assert!(!matches("~.a=1", &page));
    page.records[0].deleted = true;
    assert!(matches("~.a=1", &page));
}

#[test]
fn a_hostile_pattern_does_not_take_for_ever() {
    let pattern = format!("~.a__like={}b", "*a".repeat(400));
    assert!(!matches(&pattern, &page(&[("a", Kind::Text, &"a".repeat(20_000))])));
}
