//! What a value is, whatever a database calls it (docs/types.md): not every database has a kind of its own for a date or a boolean, so two
//! values are the same where their plain forms are. Digests, comparisons and natural keys go by it.
//!
//! | kind | plain form |
//! |---|---|
//! | boolean | the integer 1 or 0 |
//! | decimal | an integer, where it is one of 64 bits; the real that is written with just these digits, where there is one; else its text |
//! | date, time, UUID, JSON | its text |
//! | datetime, instant | `2026-01-02 03:04:05`, and `.000006` where that is not zero; an instant in UTC |
//! | all others | as they are |
//!
//! Two different values of one kind never have the same plain form.

use std::borrow::Cow;

use super::{Kind, Value};

/// A value in the form that all kinds of databases have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain<'a> {
    /// Null, integer, real, text, bytes, opaque or reference.
    pub kind: Kind,
    /// Of a reference: the resource of its target. Else empty.
    pub resource: &'a str,
    /// Its canonical text.
    pub text: Cow<'a, str>,
}

impl<'a> Value<'a> {
    /// The form that decides what it is.
    pub fn plain(self) -> Plain<'a> {
        let (kind, text) = match self.kind {
            Kind::Boolean => (Kind::Integer, Cow::Borrowed(if self.text == "true" { "1" } else { "0" })),
            Kind::Decimal => number(self.text),
            Kind::Date | Kind::Clock | Kind::Uuid | Kind::Json => (Kind::Text, Cow::Borrowed(self.text)),
            Kind::Local | Kind::Instant => (Kind::Text, moment(self.text)),
            kind => (kind, Cow::Borrowed(self.text)),
        };
        Plain { kind, resource: self.resource, text }
    }

    /// Whether it is the same value as another, of whatever kinds they are.
    pub fn same(self, other: Value<'_>) -> bool {
        self == other || self.plain() == other.plain()
    }
}

fn number(text: &str) -> (Kind, Cow<'_, str>) {
    if text.parse::<i64>().is_ok() {
        return (Kind::Integer, Cow::Borrowed(text));
    }
    if matches!(text, "NaN" | "Infinity" | "-Infinity") {
        return (Kind::Real, Cow::Borrowed(text));
    }
    match text.parse::<f64>() {
        // Displayed, a float has neither an exponent nor more digits than it takes to tell it from the others.
        Ok(real) if real.to_string() == text => (Kind::Real, Cow::Owned(format!("{real:?}"))),
        _ => (Kind::Text, Cow::Borrowed(text)),
    }
}

/// `2026-01-02T03:04:05.000006Z` → `2026-01-02 03:04:05.000006`.
fn moment(text: &str) -> Cow<'_, str> {
    let bare = text.strip_suffix('Z').unwrap_or(text);
    match bare.strip_suffix(".000000").unwrap_or(bare).split_once('T') {
        Some((date, time)) => Cow::Owned(format!("{date} {time}")),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(kind: Kind, text: &str) -> (Kind, String) {
        let plain = Value { kind, resource: "", text }.plain();
        (plain.kind, plain.text.into_owned())
    }

    #[test]
    fn each_value_has_one_plain_form() {
        for (kind, text, want) in [
            (Kind::Boolean, "true", (Kind::Integer, "1")),
            (Kind::Boolean, "false", (Kind::Integer, "0")),
            (Kind::Integer, "-5", (Kind::Integer, "-5")),
            (Kind::Decimal, "5", (Kind::Integer, "5")),
            (Kind::Decimal, "9223372036854775807", (Kind::Integer, "9223372036854775807")),
            (Kind::Decimal, "9223372036854775808", (Kind::Text, "9223372036854775808")),
            (Kind::Decimal, "100000000000000000000", (Kind::Real, "1e20")),
            (Kind::Decimal, "-0.1", (Kind::Real, "-0.1")),
            (Kind::Decimal, "0.0000001", (Kind::Real, "1e-7")),
            (Kind::Decimal, "0.10000000000000000555", (Kind::Text, "0.10000000000000000555")),
            (Kind::Decimal, "NaN", (Kind::Real, "NaN")),
            (Kind::Real, "5.0", (Kind::Real, "5.0")),
            (Kind::Date, "2026-01-02", (Kind::Text, "2026-01-02")),
            (Kind::Local, "2026-01-02T03:04:05.000000", (Kind::Text, "2026-01-02 03:04:05")),
            (Kind::Instant, "2026-01-02T03:04:05.500000Z", (Kind::Text, "2026-01-02 03:04:05.500000")),
            (Kind::Json, "{}", (Kind::Text, "{}")),
            (Kind::Bytes, "AAE=", (Kind::Bytes, "AAE=")),
            (Kind::Null, "", (Kind::Null, "")),
        ] {
            assert_eq!(plain(kind, text), (want.0, want.1.to_owned()), "{kind:?} {text:?}");
        }
    }

    proptest! {
        #[test]
        fn different_decimals_stay_different(whole in any::<u64>(), part in 0u32..1000, more in 0u32..3, nines in 0usize..8) {
            let text = |step: u32| format!("{whole}.{}{:04}1", "9".repeat(nines), part + step);
            let (one, two) = (plain(Kind::Decimal, &text(0)), plain(Kind::Decimal, &text(more)));
            prop_assert_eq!(one == two, more == 0);
        }

        #[test]
        fn a_real_that_stands_for_a_decimal_has_its_digits(value in any::<f64>()) {
            let text = value.to_string();
            let form = plain(Kind::Decimal, &text);
            if form.0 == Kind::Real && value.is_finite() {
                prop_assert_eq!(form.1.parse::<f64>().unwrap().to_string(), text);
            }
        }
    }
}
