//! Which characters XML 1.0 carries, which need escaping, and what a name is.

/// Whether a byte of a text may need more than being copied. `0xEF` begins the only forbidden sequences above the controls.
const fn special<const ATTRIBUTE: bool>(byte: u8) -> bool {
    let white = !ATTRIBUTE && (byte == b'\t' || byte == b'\n');
    (byte < 0x20 && !white) || byte == b'&' || byte == b'<' || byte == b'>' || byte == 0xEF || (ATTRIBUTE && byte == b'"')
}

/// Whether a byte may begin what XML cannot carry at all.
const fn suspect(byte: u8) -> bool {
    (byte < 0x20 && byte != b'\t' && byte != b'\n' && byte != b'\r') || byte == 0xEF
}

/// How many leading bytes are none of `wanted`. Blocks without branches, and bytes for flags, so that the compiler makes vectors of them.
fn clear(bytes: &[u8], wanted: impl Fn(u8) -> bool + Copy) -> usize {
    let free = |block: &&[u8; 32]| block.iter().fold(0, |any, byte| any | u8::from(wanted(*byte))) == 0;
    let at = 32 * bytes.as_chunks().0.iter().take_while(free).count();
    at + bytes[at..].iter().position(|byte| wanted(*byte)).unwrap_or(bytes.len() - at)
}

/// Whether U+FFFE or U+FFFF stands at the beginning of these UTF-8 bytes.
fn noncharacter(bytes: &[u8]) -> bool {
    matches!(bytes, [0xEF, 0xBF, 0xBE | 0xBF, ..])
}

/// Where the first character stands that XML 1.0 cannot carry: a control other than tab, LF and CR, U+FFFE or U+FFFF.
pub(super) fn uncarriable(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = clear(bytes, suspect);
    while at < bytes.len() {
        if bytes[at] != 0xEF || noncharacter(&bytes[at..]) {
            return Some(at);
        }
        at += 1;
        at += clear(&bytes[at..], suspect);
    }
    None
}

/// Whether XML 1.0 can carry a character.
pub(super) fn carries(c: char) -> bool {
    !matches!(c, '\0'..='\u{8}' | '\u{B}' | '\u{C}' | '\u{E}'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}')
}

/// What came of [`escape`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Escaped {
    /// The text was appended.
    Done,
    /// XML cannot carry the text; nothing was appended.
    Impossible,
}

/// Appends a text so that an XML parser gives it back unchanged: as an attribute's value between double quotes, or as content.
pub(super) fn escape<const ATTRIBUTE: bool>(text: &str, out: &mut Vec<u8>) -> Escaped {
    let bytes = text.as_bytes();
    let (start, mut copied) = (out.len(), 0);
    let mut at = clear(bytes, special::<ATTRIBUTE>);
    while at < bytes.len() {
        let reference: &[u8] = match bytes[at] {
            b'&' => b"&amp;",
            b'<' => b"&lt;",
            b'>' => b"&gt;",
            b'"' => b"&quot;",
            b'\t' => b"&#9;",
            b'\n' => b"&#10;",
            b'\r' => b"&#13;",
            0xEF if !noncharacter(&bytes[at..]) => b"\xEF",
            _ => {
                out.truncate(start);
                return Escaped::Impossible;
            }
        };
        out.extend_from_slice(&bytes[copied..at]);
        out.extend_from_slice(reference);
        copied = at + 1;
        at = copied + clear(&bytes[copied..], special::<ATTRIBUTE>);
    }
    out.extend_from_slice(&bytes[copied..]);
    Escaped::Done
}

/// Whether a text is a name by the grammar of XML 1.0 (fifth edition).
pub(super) fn is_name(text: &str) -> bool {
    if plain_name(text) == text.len() && !text.is_empty() {
        return true;
    }
    let mut chars = text.chars();
    chars.next().is_some_and(starts_name) && chars.all(|c| starts_name(c) || continues_name(c))
}

/// How many bytes at the beginning of a text are a name of ASCII's letters and digits, `_`, `:` and `-`.
pub(super) fn plain_name(text: &str) -> usize {
    let bytes = text.as_bytes();
    match bytes.first() {
        Some(first) if first.is_ascii_alphabetic() => bytes.iter().take_while(|byte| PLAIN[usize::from(**byte)]).count(),
        _ => 0,
    }
}

const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        plain[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'-');
        byte += 1;
    }
    plain
};

fn starts_name(c: char) -> bool {
    matches!(c, 'a'..='z' | 'A'..='Z' | '_' | ':' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
        | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}'
        | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}'
        | '\u{10000}'..='\u{EFFFF}')
}

fn continues_name(c: char) -> bool {
    matches!(c, '0'..='9' | '-' | '.' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped<const ATTRIBUTE: bool>(text: &str) -> Option<String> {
        let mut out = Vec::new();
        (escape::<ATTRIBUTE>(text, &mut out) == Escaped::Done).then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn markup_and_what_a_parser_would_normalise_is_escaped_and_the_rest_is_not() {
        let long = "x".repeat(40);
        for (text, content, attribute) in [
            ("", "", ""),
            ("a<b>&\"'", "a&lt;b&gt;&amp;\"'", "a&lt;b&gt;&amp;&quot;'"),
            ("\t\n\r", "\t\n&#13;", "&#9;&#10;&#13;"),
            ("\u{FFFD}\u{FEFF}\u{F000}é", "\u{FFFD}\u{FEFF}\u{F000}é", "\u{FFFD}\u{FEFF}\u{F000}é"),
            (&long, &long, &long),
        ] {
            assert_eq!(escaped::<false>(text).unwrap(), content);
            assert_eq!(escaped::<true>(text).unwrap(), attribute);
        }
    }

    #[test]
    fn what_xml_cannot_carry_is_found_wherever_it_stands() {
        for c in (0..0x20u8).map(char::from).chain(['\u{FFFE}', '\u{FFFF}', 'a', '\u{7F}', '\u{85}', '\u{FFFD}']) {
            for before in [0, 1, 15, 16, 17, 33] {
                let text = format!("{}{c}ä\u{FF01}{}", "y".repeat(before), "z".repeat(20));
                let found = uncarriable(&text);
                assert_eq!(found, (!carries(c)).then_some(before), "{c:?} after {before}");
                assert_eq!(escaped::<false>(&text).is_none(), found.is_some());
                assert_eq!(escaped::<true>(&text).is_none(), found.is_some());
            }
        }
    }

    #[test]
    fn names_follow_the_grammar() {
        for good in ["a", "e:type", "_x", "été", "a-b.c1"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "1a", "-a", "a b", "a/b", "a!", "×"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
