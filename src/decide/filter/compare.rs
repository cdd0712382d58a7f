//! How a field's value stands to a value in a filter: numbers by size, moments by time, texts letter by letter.

use std::{borrow::Cow, cmp::Ordering};

use crate::model::{Kind, Value};

/// How a field's value stands to a text; `None` where they cannot be compared. It goes by the form that all databases have in common, so that
/// both sites come to the same answer.
pub(super) fn order(value: Value<'_>, text: &str) -> Option<Ordering> {
    let plain = value.plain();
    let ours = plain.text.as_ref();
    match plain.kind {
        Kind::Null | Kind::Bytes | Kind::Opaque => None,
        Kind::Integer => number(ours, boolean(text).map_or(text, |word| if word { "1" } else { "0" })),
        Kind::Real => number(ours, text),
        Kind::Reference if bare(ours) == bare(text) => Some(Ordering::Equal),
        Kind::Reference => Some(ours.cmp(text)),
        _ => as_typed(ours, text).or_else(|| Some(ours.cmp(text))),
    }
}

/// Moments, times, UUIDs and long numbers are texts that compare as what they are.
fn as_typed(ours: &str, text: &str) -> Option<Ordering> {
    if let (Some(ours), Some(theirs)) = (moment(ours), moment(text)) {
        return Some(ours.cmp(&theirs));
    }
    if let (Some(ours), Some(theirs)) = (clock(ours), clock(text)) {
        return Some(ours.cmp(&theirs));
    }
    if is_uuid(ours) && !ours.bytes().any(|byte| byte.is_ascii_uppercase()) && is_uuid(bare(text)) {
        return Some(ours.cmp(bare(text).to_ascii_lowercase().as_str()));
    }
    // Decimals of fewer digits are numbers everywhere.
    if ours.len() > 15 { digits(ours).zip(digits(text)).map(|(ours, theirs)| exact(ours, theirs)) } else { None }
}

fn is_uuid(text: &str) -> bool {
    let fits = |(at, byte): (usize, u8)| if matches!(at, 8 | 13 | 18 | 23) { byte == b'-' } else { byte.is_ascii_hexdigit() };
    text.len() == 36 && text.bytes().enumerate().all(fits)
}

/// What a pattern is held against: the text of all that people can read, in the form that all databases have in common.
pub(super) fn readable(value: Value<'_>) -> Option<Cow<'_, str>> {
    (!matches!(value.kind, Kind::Null | Kind::Bytes | Kind::Opaque)).then(|| value.plain().text)
}

/// Whether a text is like a pattern: `*` stands for any characters, `?` for one, letters for either case.
pub(super) fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (lower(pattern).chars().collect(), lower(text).chars().collect());
    let (mut p, mut t) = (0, 0);
    // The last star, and how far the text was when it was met: where the rest does not fit, the star takes one more character.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (p, t) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Whether a part is in a text, letters of either case.
pub(super) fn contains(part: &str, text: &str) -> bool {
    lower(text).contains(&lower(part))
}

fn lower(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

fn bare(uid: &str) -> &str {
    uid.strip_prefix("urn:uuid:").unwrap_or(uid)
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// Exactly where both have plain digits, else as floats.
fn number(a: &str, b: &str) -> Option<Ordering> {
    match (digits(a), digits(b)) {
        (Some(a), Some(b)) => Some(exact(a, b)),
        _ => float(a)?.partial_cmp(&float(b)?),
    }
}

fn float(text: &str) -> Option<f64> {
    let named = matches!(text, "NaN" | "Infinity" | "-Infinity");
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E'));
    if named || plain { text.parse().ok() } else { None }
}

/// Whether it is negative, the digits before the point without leading zeros, those after it without trailing ones.
type Digits<'a> = (bool, &'a str, &'a str);

fn digits(text: &str) -> Option<Digits<'_>> {
    let negative = text.starts_with('-');
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, part) = rest.split_once('.').unwrap_or((rest, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + part.len() == 0 || !all_digits(whole) || !all_digits(part) {
        return None;
    }
    let (whole, part) = (whole.trim_start_matches('0'), part.trim_end_matches('0'));
    Some((negative && !(whole.is_empty() && part.is_empty()), whole, part))
}

fn exact(a: Digits<'_>, b: Digits<'_>) -> Ordering {
    let size = |x: Digits<'_>, y: Digits<'_>| (x.1.len(), x.1, x.2).cmp(&(y.1.len(), y.1, y.2));
    match (a.0, b.0) {
        (false, true) => Ordering::Greater,
        (true, false) => Ordering::Less,
        (false, false) => size(a, b),
        (true, true) => size(b, a),
    }
}

/// A date, perhaps with a time, in one form that sorts as time does: `2026-01-02T03:04:05.000006`.
fn moment(text: &str) -> Option<String> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_at_checked(10)?;
    let shaped = date.bytes().enumerate().all(|(at, byte)| if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() });
    let time = if time.is_empty() { Cow::Borrowed("00:00:00.000000") } else { Cow::Owned(clock(time.strip_prefix(['T', ' '])?)?) };
    shaped.then(|| format!("{date}T{time}"))
}

/// A time of day in one form: `03:04:05.000006`.
fn clock(text: &str) -> Option<String> {
    let shaped = text.bytes().enumerate().all(|(at, byte)| match at {
        2 | 5 => byte == b':',
        8 => byte == b'.',
        _ => byte.is_ascii_digit(),
    });
    let rest = "00:00:00.000000".get(text.len()..)?;
    (shaped && matches!(text.len(), 5 | 8 | 10..=15)).then(|| format!("{text}{rest}"))
}
