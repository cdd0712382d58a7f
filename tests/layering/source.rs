//! Rust text, cut into words and paths: enough to see what is imported, without a parser.

use std::{iter::Peekable, slice::Iter};

/// All paths of a tree like `a::{b, c::{d, e}}`.
pub(crate) fn paths(words: &mut Peekable<Iter<'_, String>>) -> Vec<Vec<String>> {
    let mut path = Vec::new();
    loop {
        match words.peek().map(|word| word.as_str()) {
            Some("{") => {
                words.next();
                let mut branches = Vec::new();
                while words.peek().is_some_and(|word| *word != "}") {
                    branches.extend(paths(words));
                    // Past the comma, and past an `as name` before it.
                    while words.peek().is_some_and(|word| *word != "}" && *word != ",") {
                        words.next();
                    }
                    words.next_if(|word| *word == ",");
                }
                words.next();
                return branches.into_iter().map(|branch| [path.clone(), branch].concat()).collect();
            }
            Some(word) if is_name(word) || word == "*" => path.push(words.next().cloned().unwrap_or_default()),
            _ => return vec![path],
        }
        if words.next_if(|word| *word == "::").is_none() {
            return vec![path];
        }
    }
}

pub(crate) fn is_name(word: &str) -> bool {
    word.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
}

/// Names, `::`, and every other sign by itself.
pub(crate) fn words(code: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut letters = code.chars().peekable();
    while let Some(letter) = letters.next() {
        let mut word = String::from(letter);
        if letter.is_alphanumeric() || letter == '_' {
            while let Some(more) = letters.next_if(|next| next.is_alphanumeric() || *next == '_') {
                word.push(more);
            }
        } else if letter == ':' {
            word.extend(letters.next_if(|next| *next == ':'));
        } else if letter.is_whitespace() {
            continue;
        }
        words.push(word);
    }
    words
}

/// The text without comments and without the content of literals.
pub(crate) fn code(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let skipped = skipped(rest, code.chars().next_back());
        if skipped == 0 {
            code.push(letter);
            rest = &rest[letter.len_utf8()..];
        } else {
            code.push(' ');
            rest = &rest[skipped..];
        }
    }
    code
}

/// The length of the comment or literal that `text` begins with, or 0.
fn skipped(text: &str, before: Option<char>) -> usize {
    let within_a_name = before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    if text.starts_with("//") {
        text.find('\n').unwrap_or(text.len())
    } else if text.starts_with("/*") {
        block_comment(text)
    } else if text.starts_with('"') {
        quoted(text, '"')
    } else if !within_a_name && (text.starts_with('r') || text.starts_with("br")) {
        raw_string(text)
    } else if text.starts_with("'\\") || text.chars().nth(2) == Some('\'') && text.starts_with('\'') {
        quoted(text, '\'')
    } else {
        0
    }
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    for (at, _) in text.char_indices() {
        if text[at..].starts_with("/*") {
            depth += 1;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            if depth == 0 {
                return at + 2;
            }
        }
    }
    text.len()
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn raw_string(text: &str) -> usize {
    let opening = text.trim_start_matches('b').trim_start_matches('r');
    let hashes = opening.len() - opening.trim_start_matches('#').len();
    if !opening[hashes..].starts_with('"') {
        return 0;
    }
    let begin = text.len() - opening.len() + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    text[begin..].find(&end).map_or(text.len(), |at| begin + at + end.len())
}
