use proptest::prelude::*;

use super::*;

fn read(kind: Kind, text: &str) -> Option<String> {
    let mut out = String::from("before ");
    let good = canonical(kind, text, &mut out).is_ok();
    let added = out.strip_prefix("before ").unwrap().to_owned();
    assert!(good || added.is_empty(), "a refused value left {added:?}");
    good.then_some(added)
}

#[test]
fn other_spellings_of_a_value_become_its_one_text() {
    for (kind, text, want) in [
        (Kind::Null, "", ""),
        (Kind::Boolean, "true", "true"),
        (Kind::Integer, "+007", "7"),
        (Kind::Integer, "-0", "0"),
        (Kind::Integer, "-9223372036854775808", "-9223372036854775808"),
        (Kind::Decimal, "+0012.3400", "12.34"),
        (Kind::Decimal, "-0.00", "0"),
        (Kind::Decimal, "-.5", "-0.5"),
        (Kind::Decimal, "5.", "5"),
        (Kind::Decimal, "100", "100"),
        (Kind::Decimal, "-Infinity", "-Infinity"),
        (Kind::Decimal, "NaN", "NaN"),
        (Kind::Real, "1", "1.0"),
        (Kind::Real, "-0", "-0.0"),
        (Kind::Real, "1E16", "1e16"),
        (Kind::Real, "0.1000", "0.1"),
        (Kind::Real, "5e-324", "5e-324"),
        (Kind::Real, "-Infinity", "-Infinity"),
        (Kind::Text, " \r\n\0", " \r\n\0"),
        (Kind::Date, "2024-02-29", "2024-02-29"),
        (Kind::Clock, "24:00:00", "24:00:00"),
        (Kind::Clock, "01:02:03.000000", "01:02:03"),
        (Kind::Clock, "01:02:03.5", "01:02:03.500000"),
        (Kind::Clock, "01:02:03.1234560", "01:02:03.123456"),
        (Kind::Local, "2026-01-02 03:04:05", "2026-01-02T03:04:05.000000"),
        (Kind::Instant, "2026-01-02T03:04:05.5+02:30", "2026-01-02T00:34:05.500000Z"),
        (Kind::Uuid, "{6F9619FF-8B86-D011-B42D-00C04FC964FF}", "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
        (Kind::Json, "{ \"a\": [1, 1.50] }", "{ \"a\": [1, 1.50] }"),
        (Kind::Bytes, "AAE=", "AAE="),
        (Kind::Opaque, "/w==", "/w=="),
        (Kind::Reference, "urn:uuid:x", "urn:uuid:x"),
    ] {
        assert_eq!(read(kind, text).as_deref(), Some(want), "{kind:?} {text:?}");
    }
}

#[test]
fn what_is_no_value_or_would_change_is_refused() {
    for (kind, texts) in [
        (Kind::Null, &["x", " "][..]),
        (Kind::Boolean, &["", "1", "True", "yes"]),
        (Kind::Integer, &["", "1.0", "1e3", " 1", "9223372036854775808", "0x1", "--1", "१"]),
        (Kind::Decimal, &["", ".", "-", "1e5", "1_0", "1.2.3", "Inf", "+Infinity", "nan", " 1"]),
        (Kind::Real, &["", "nan", "inf", "+Infinity", "1e999", "-1e999", "0x1p3", "1,5", " 1.0"]),
        (Kind::Date, &["", "2026-1-2", "2023-02-29", "0000-01-01", "10000-01-01", "2026/01/02", "2026-01-02T"]),
        (Kind::Clock, &["", "1:02:03", "24:00:01", "24:00:00.000001", "01:60:00", "01:02:60", "01:02:03.", "01:02:03.1234567"]),
        (Kind::Local, &["", "2026-01-02", "2026-01-02T24:00:00", "2026-01-02T03:04:05Z", "2026-01-02é3:04:05", "éééééééééé"]),
        (
            Kind::Instant,
            &["", "2026-01-02T03:04:05", "0001-01-01T00:00:00+00:01", "2026-01-02T03:04:05+0200", "2026-01-02T03:04:05.1234567Z"],
        ),
        (Kind::Uuid, &["", "6f9619ff", "6f9619ff-8b86-d011-b42d-00c04fc964fg"]),
        (Kind::Json, &["", "{", "[1,]", "nul", "'a'", "1 2"]),
        (Kind::Bytes, &["A", "AAE", "AAF=", "AA E=", "_w==", "AAE=\n"]),
        (Kind::Opaque, &["YQ==", "", "?"]),
        (Kind::Reference, &["", "a b", "\u{7}"]),
    ] {
        for text in texts {
            assert_eq!(read(kind, text), None, "{kind:?} {text:?}");
        }
    }
}

#[test]
fn deeply_nested_json_is_checked_without_deep_recursion() {
    let whole = format!("{}{}", "[".repeat(500_000), "]".repeat(500_000));
    assert!(read(Kind::Json, &whole) == Some(whole));
    assert!(read(Kind::Json, &"[".repeat(1_000_000)).is_none());
}

proptest! {
    #[test]
    fn a_float_reads_back_bit_for_bit_and_is_never_taken_for_an_integer(bits: u64) {
        let value = f64::from_bits(bits);
        let mut text = String::new();
        push_real(value, &mut text);
        let back = real(&text).unwrap();
        prop_assert!(back.to_bits() == bits || (value.is_nan() && back.is_nan()));
        prop_assert!(integer(&text).is_err(), "{}", text);
        prop_assert_eq!(read(Kind::Real, &text), Some(text));
    }

    #[test]
    fn integers_bytes_and_instants_read_back(number: i64, data: Vec<u8>, micros in Time::RANGE) {
        let (mut a, mut b, mut c) = (String::new(), String::new(), String::new());
        push_integer(number, &mut a);
        push_bytes(&data, &mut b);
        push_instant(Time(micros), &mut c);
        prop_assert_eq!(integer(&a).unwrap(), number);
        prop_assert_eq!(bytes(&b).unwrap(), data);
        prop_assert_eq!(instant(&c).unwrap(), Time(micros));
        prop_assert_eq!(&c, &Time(micros).to_string());
    }

    #[test]
    fn a_canonical_text_is_its_own_canonical_text(text in "\\PC*|[-+0-9.:TZ eENaIfinty]{0,30}") {
        for kind in [Kind::Null, Kind::Boolean, Kind::Integer, Kind::Decimal, Kind::Real, Kind::Text, Kind::Date, Kind::Clock,
            Kind::Local, Kind::Instant, Kind::Uuid, Kind::Json, Kind::Bytes, Kind::Opaque, Kind::Reference] {
            if let Some(once) = read(kind, &text) {
                prop_assert_eq!(read(kind, &once), Some(once));
            }
        }
    }

    #[test]
    fn equal_decimals_have_equal_texts(number: i64, scale in 0usize..6, zeros in 0usize..4) {
        let digits = format!("{:0>7}", number.unsigned_abs());
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let sign = if number < 0 { "-" } else { "" };
        let plain = read(Kind::Decimal, &format!("{sign}{whole}.{fraction}"));
        prop_assert!(plain.is_some());
        prop_assert_eq!(read(Kind::Decimal, &format!("{sign}00{whole}.{fraction}{}", "0".repeat(zeros))), plain);
    }
}
