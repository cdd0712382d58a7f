//! Bytes of any encoding as text, and what a value in a document means.

use std::borrow::Cow;

use crate::{
    error::{Error, Kind as Trouble, Result},
    model::{Kind, Time},
    wire::{reader::field::guess, value},
};

/// A document as text: UTF-8, UTF-16, or what its declaration names.
pub(super) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>> {
    let named = || {
        let head = bytes.get(..bytes.len().min(200)).unwrap_or_default();
        let head = String::from_utf8_lossy(head);
        let declaration = head.strip_prefix("<?xml")?.split_once("?>")?.0.to_owned();
        let (_, rest) = declaration.split_once("encoding")?;
        let rest = rest.trim_start().strip_prefix('=')?.trim_start();
        let quote = rest.chars().next()?;
        Some(rest.get(1..)?.split_once(quote)?.0.to_owned())
    };
    if let Some((encoding, mark)) = encoding_rs::Encoding::for_bom(bytes) {
        let (text, wrong) = encoding.decode_without_bom_handling(&bytes[mark..]);
        return if wrong { Err(undecodable(encoding.name())) } else { Ok(text) };
    }
    let encoding = match named() {
        None => encoding_rs::UTF_8,
        Some(name) => encoding_rs::Encoding::for_label(name.as_bytes())
            .ok_or_else(|| Error::new(Trouble::Malformed, "The document announces an encoding that is not known"))?,
    };
    let (text, wrong) = encoding.decode_without_bom_handling(bytes);
    if wrong { Err(undecodable(encoding.name())) } else { Ok(text) }
}

fn undecodable(name: &str) -> Error {
    Error::malformed(format!("The document is not in the encoding {name} that it announces"))
}

/// What the attribute `value` means: JSON, a moment, or the text it is. Empty is nothing.
pub(super) fn meant(text: &str) -> (Kind, Cow<'_, str>) {
    if text.is_empty() {
        return (Kind::Null, Cow::Borrowed(""));
    }
    match guess(text) {
        (Kind::Text, raw) if !text.trim_start().starts_with('"') => {
            let mut own = String::new();
            for kind in [Kind::Date, Kind::Local, Kind::Instant, Kind::Clock] {
                if raw.len() >= 8 && value::canonical(kind, &raw, &mut own).is_ok() {
                    return (kind, Cow::Owned(own));
                }
            }
            (Kind::Text, raw)
        }
        (Kind::Real | Kind::Integer | Kind::Decimal, raw) => {
            let kind = guess(&raw).0;
            let mut own = String::new();
            match value::canonical(kind, &raw, &mut own) {
                Ok(()) => (kind, Cow::Owned(own)),
                Err(_) => (Kind::Text, Cow::Owned(raw.into_owned())),
            }
        }
        (Kind::Json, raw) => (Kind::Json, Cow::Owned(untamed(&raw))),
        other => other,
    }
}

/// JSON with the characters that the writer of a document spelt out.
fn untamed(json: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(json.len()), json);
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let known = [("\\u0026", "&"), ("\\u003c", "<"), ("\\u003e", ">"), ("\\u0027", "'")];
        let (taken, plain) = match known.iter().find(|(spelt, _)| rest[at..].starts_with(spelt)) {
            Some((spelt, plain)) => (spelt.len(), *plain),
            None => {
                let next = rest[at + 1..].chars().next().map_or(0, char::len_utf8);
                (1 + next, &rest[at..at + 1 + next])
            }
        };
        out.push_str(plain);
        rest = &rest[at + taken..];
    }
    out.push_str(rest);
    out
}

/// A time in any spelling that an Eden takes: with a space, or a mere date.
pub(super) fn moment(text: &str) -> Result<Time> {
    let text = text.trim();
    let whole = || if text.len() == 10 { format!("{text}T00:00:00") } else { text.replacen(' ', "T", 1) };
    text.parse::<Time>().or_else(|_| whole().parse())
}

/// A text as Eden reads it where there is no `value`: the five entities once more.
pub(super) fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let known = [("amp;", '&'), ("lt;", '<'), ("gt;", '>'), ("quot;", '"'), ("apos;", '\''), ("#39;", '\''), ("#x27;", '\'')];
        match known.iter().find(|(name, _)| after.starts_with(name)) {
            Some((name, c)) => {
                out.push(*c);
                rest = &after[name.len()..];
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_json_or_a_moment_or_the_text_it_is() {
        for (text, kind, want) in [
            ("", Kind::Null, ""),
            ("null", Kind::Null, ""),
            ("\"007\"", Kind::Text, "007"),
            ("\"2026-01-02\"", Kind::Text, "2026-01-02"),
            ("\"a\\nb\"", Kind::Text, "a\nb"),
            ("007", Kind::Text, "007"),
            ("hello", Kind::Text, "hello"),
            ("42", Kind::Integer, "42"),
            ("-1.50", Kind::Real, "-1.5"),
            ("1e3", Kind::Real, "1000.0"),
            ("true", Kind::Boolean, "true"),
            ("[1, 2]", Kind::Json, "[1, 2]"),
            ("{\"a\": 1}", Kind::Json, "{\"a\": 1}"),
            ("2026-02-03", Kind::Date, "2026-02-03"),
            ("2026-02-03T04:05:06", Kind::Local, "2026-02-03T04:05:06.000000"),
            ("2026-02-03T04:05:06-05:00", Kind::Instant, "2026-02-03T09:05:06.000000Z"),
            ("13:14:15", Kind::Clock, "13:14:15"),
        ] {
            let (found, meant) = meant(text);
            assert_eq!((found, meant.as_ref()), (kind, want), "{text}");
        }
    }

    #[test]
    fn a_text_is_unescaped_once_more() {
        assert_eq!(unescaped("a &amp;amp; b &lt;c&gt; &x; & d"), "a &amp; b <c> &x; & d");
    }

    #[test]
    fn documents_in_other_encodings_are_read() {
        let utf16: Vec<u8> = [0xFF, 0xFE].into_iter().chain("<a>é</a>".encode_utf16().flat_map(u16::to_le_bytes)).collect();
        assert_eq!(decode(&utf16).unwrap(), "<a>é</a>");
        assert_eq!(decode(b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xE9</a>").unwrap().rsplit_once("?>").unwrap().1, "<a>é</a>");
        assert!(decode(b"<?xml version='1.0' encoding='latin-1'?><a/>").is_err());
        assert!(decode(b"<a>\xE9</a>").is_err());
    }
}
