//! Which values a column of each form takes.

use super::*;

fn value(kind: Kind, text: &str) -> Value<'_> {
    Value { kind, resource: "", text }
}

#[test]
fn a_value_that_a_column_would_change_does_not_fit() {
    let money = Form::of(Some("numeric"), ((10 << 16) | 2) + 4);
    let hundreds = Form::of(Some("numeric"), ((5 << 16) | (-2 & 0x7ff)) + 4);
    assert_eq!((&money, &hundreds), (&Form::Decimal(Some((8, 2))), &Form::Decimal(Some((7, -2)))));
    for (form, value, want) in [
        (Form::Boolean, value(Kind::Boolean, "true"), Fit::Yes),
        (Form::Boolean, value(Kind::Integer, "2"), Fit::No),
        (Form::Integer, value(Kind::Text, "1"), Fit::No),
        (Form::Local(6), value(Kind::Instant, "2026-01-02T03:04:05.000000Z"), Fit::No),
        (Form::Instant(6), value(Kind::Local, "2026-01-02T03:04:05.000000"), Fit::No),
        (Form::Text(None), value(Kind::Opaque, "/w=="), Fit::No),
        (Form::Text(None), value(Kind::Integer, "1"), Fit::No),
        (Form::Text(None), value(Kind::Text, "a\0b"), Fit::No),
        (Form::Text(Some(3)), value(Kind::Text, "äöü"), Fit::Yes),
        (Form::Text(Some(3)), value(Kind::Text, "abc "), Fit::No),
        (Form::Padded(Some(3)), value(Kind::Text, "ab "), Fit::No),
        (Form::Padded(Some(3)), value(Kind::Text, "ab"), Fit::Yes),
        (money.clone(), value(Kind::Decimal, "1.25"), Fit::Yes),
        (money.clone(), value(Kind::Decimal, "1.255"), Fit::No),
        (money, value(Kind::Decimal, "Infinity"), Fit::No),
        (hundreds.clone(), value(Kind::Decimal, "1200"), Fit::Yes),
        (hundreds, value(Kind::Decimal, "1250"), Fit::No),
        (Form::Decimal(None), value(Kind::Decimal, "1.2555555555555555555555555"), Fit::Yes),
        (Form::Real4, value(Kind::Real, "0.1"), Fit::Yes),
        (Form::Real4, value(Kind::Real, "0.123456789"), Fit::No),
        (Form::Real8, value(Kind::Real, "NaN"), Fit::Yes),
        (Form::Instant(0), value(Kind::Instant, "2026-01-02T03:04:05.000000Z"), Fit::Yes),
        (Form::Instant(0), value(Kind::Instant, "2026-01-02T03:04:05.500000Z"), Fit::No),
        (Form::Clock(3), value(Kind::Clock, "03:04:05"), Fit::Yes),
        (Form::Clock(3), value(Kind::Clock, "03:04:05.123400"), Fit::No),
        (Form::Jsonb, value(Kind::Json, "{}"), Fit::Ask),
        (Form::Other, value(Kind::Text, "x"), Fit::Ask),
        (Form::Other, value(Kind::Null, ""), Fit::Yes),
    ] {
        assert_eq!(form.take(value).map_or(Fit::No, |(_, fit)| fit), want, "{form:?} {value:?}");
    }
}

#[test]
fn a_value_of_another_kind_is_taken_where_it_is_the_same_value_and_in_no_other_spelling() {
    for (form, given, want) in [
        (Form::Boolean, value(Kind::Integer, "1"), Some("t")),
        (Form::Boolean, value(Kind::Text, "t"), None),
        (Form::Integer, value(Kind::Boolean, "true"), Some("1")),
        (Form::Integer, value(Kind::Decimal, "7"), Some("7")),
        (Form::Integer, value(Kind::Real, "7.0"), None),
        (Form::Decimal(None), value(Kind::Integer, "-7"), Some("-7")),
        (Form::Decimal(None), value(Kind::Real, "1.5"), Some("1.5")),
        (Form::Decimal(None), value(Kind::Real, "1e20"), Some("100000000000000000000")),
        (Form::Decimal(None), value(Kind::Real, "5.0"), None),
        (Form::Decimal(None), value(Kind::Real, "-0.0"), None),
        (Form::Decimal(None), value(Kind::Text, "0.12345678901234567890123456789"), Some("0.12345678901234567890123456789")),
        (Form::Decimal(None), value(Kind::Text, "1.5"), None),
        (Form::Decimal(None), value(Kind::Text, "1.50"), None),
        (Form::Real8, value(Kind::Decimal, "0.1"), Some("0.1")),
        (Form::Real8, value(Kind::Decimal, "5"), None),
        (Form::Text(None), value(Kind::Uuid, "6f9619ff-8b86-d011-b42d-00c04fc964ff"), Some("6f9619ff-8b86-d011-b42d-00c04fc964ff")),
        (Form::Text(None), value(Kind::Local, "2026-01-02T03:04:05.000000"), Some("2026-01-02 03:04:05")),
        (Form::Uuid, value(Kind::Text, "6F9619FF-8b86-d011-b42d-00c04fc964ff"), None),
        (Form::Date, value(Kind::Text, "2026-01-02"), Some("2026-01-02")),
        (Form::Date, value(Kind::Text, "2026-1-2"), None),
        (Form::Clock(6), value(Kind::Text, "03:04:05"), Some("03:04:05")),
        (Form::Clock(6), value(Kind::Text, "03:04"), None),
        (Form::Local(6), value(Kind::Text, "2026-01-02 03:04:05"), Some("2026-01-02T03:04:05.000000")),
        (Form::Local(6), value(Kind::Text, "2026-01-02T03:04:05"), None),
        (Form::Local(6), value(Kind::Text, "2026-01-02 03:04"), None),
        (Form::Instant(6), value(Kind::Text, "2026-01-02 03:04:05.500000"), Some("2026-01-02T03:04:05.500000Z")),
        (Form::Instant(6), value(Kind::Text, "2026-01-02 03:04:05+00:00"), None),
        (Form::Json, value(Kind::Text, "{\"a\":1}"), Some("{\"a\":1}")),
        (Form::Json, value(Kind::Text, "{"), None),
        (Form::Bytes, value(Kind::Text, "AAE="), None),
    ] {
        let (arg, fit) = form.take(given).unwrap();
        let mut text = String::new();
        arg.write(&mut text);
        let text = if form == Form::Boolean && fit == Fit::Yes { text[..1].to_owned() } else { text };
        assert_eq!((fit == Fit::Yes).then_some(text.as_str()), want, "{form:?} {given:?}");
    }
}

#[test]
fn what_has_no_canonical_form_travels_as_it_is_written() {
    for (form, raw) in [
        (Form::Instant(6), "infinity"),
        (Form::Local(6), "0044-03-15 00:00:00 BC"),
        (Form::Date, "20000-01-01"),
        (Form::Instant(6), "20000-01-01 00:00:00+00"),
    ] {
        let mut page = Page::default();
        let field = page.name("v").unwrap();
        let mark = page.mark();
        form.push(&mut page, field, Some(raw.as_bytes())).unwrap();
        let uid = page.put("");
        page.finish(crate::model::Record::new(uid, crate::model::SiteId::random(), crate::model::Time(0)), mark);
        let came = page.view(&page.records[0]).get("v").unwrap();
        assert_eq!((came.kind, came.text), (Kind::Text, raw));
        assert_eq!(form.take(came).unwrap(), (Arg::text(raw), Fit::Ask));
    }
    // But what has a canonical form has no other spelling.
    for (form, text) in
        [(Form::Instant(6), "2026-01-02 03:04:05+00"), (Form::Local(6), "2026-01-02 03:04:05.5"), (Form::Decimal(None), "1.50")]
    {
        assert_eq!(form.take(value(Kind::Text, text)).unwrap().1, Fit::No, "{text}");
    }
}
