//! Canonical texts of numbers.

use std::fmt::Write;

/// The parts of an exact decimal number that make its value.
pub(super) struct Decimal<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
}

impl Decimal<'_> {
    pub(super) fn push(&self, out: &mut String) {
        if self.negative {
            out.push('-');
        }
        out.push_str(if self.whole.is_empty() { "0" } else { self.whole });
        if !self.fraction.is_empty() {
            out.push('.');
            out.push_str(self.fraction);
        }
    }
}

/// An exact decimal number, or one of PostgreSQL's three special ones. No exponent: a short text must not stand for a long one.
pub(super) fn decimal(text: &str) -> Option<Decimal<'_>> {
    if matches!(text, "NaN" | "Infinity") {
        return Some(Decimal { negative: false, whole: text, fraction: "" });
    }
    if text == "-Infinity" {
        return Some(Decimal { negative: true, whole: "Infinity", fraction: "" });
    }
    let (negative, digits) = sign(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let zero = whole.is_empty() && fraction.is_empty();
    Some(Decimal { negative: negative && !zero, whole, fraction })
}

fn sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

pub(super) fn push_real(value: f64, out: &mut String) {
    match value {
        _ if value.is_nan() => out.push_str("NaN"),
        f64::INFINITY => out.push_str("Infinity"),
        f64::NEG_INFINITY => out.push_str("-Infinity"),
        // Debug, unlike Display, always writes a point or an exponent; writing into a String cannot fail.
        _ => _ = write!(out, "{value:?}"),
    }
}

pub(super) fn real(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ if text.bytes().any(|byte| byte.is_ascii_alphabetic() && !matches!(byte, b'e' | b'E')) => None,
        _ => text.parse().ok().filter(|value: &f64| value.is_finite()),
    }
}
