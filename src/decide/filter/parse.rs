//! Filters as text: `selector[__op][!]=value[&…]`. What Sahana Eden ignores in silence, and then sends everything, is refused here.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::{Filter, Operator, Term};
use crate::error::{Error, Result};

/// The most terms of one filter, and the most bytes of each text.
const MOST: usize = 64;
const LONGEST: usize = 1_024;

const OPERATORS: [(&str, Operator, bool); 9] = [
    ("eq", Operator::Equal, false),
    ("belongs", Operator::Equal, false),
    ("ne", Operator::Equal, true),
    ("lt", Operator::Less, false),
    ("le", Operator::AtMost, false),
    ("gt", Operator::Greater, false),
    ("ge", Operator::AtLeast, false),
    ("like", Operator::Like, false),
    ("contains", Operator::Contains, false),
];

const FORM: &str = "Write FIELD__OP=VALUE, for example ~.region=north or ~.name__like=B*; the operators are eq, ne, lt, le, gt, ge, like, \
                    belongs and contains.";

impl Filter {
    /// Reads filters for a resource; a record has to match all of them. Whether the fields exist is for the caller to see.
    pub fn parse(resource: &str, texts: &[String]) -> Result<Filter> {
        if texts.iter().map(|text| text.split('&').count()).sum::<usize>() > MOST || texts.iter().any(|text| text.len() > LONGEST) {
            let message = format!("a resource has at most {MOST} terms in its filters, of {LONGEST} bytes each");
            return Err(Error::usage(message).hint("Share less with one filter, or mark what is shared in a column of its own."));
        }
        Filter::read(resource, texts)
    }

    /// Reads a filter that was written by us, of any length.
    pub fn known(text: &str) -> Result<Filter> {
        if text.is_empty() { Ok(Filter::default()) } else { Filter::read("~", &[text.to_owned()]) }
    }

    fn read(resource: &str, texts: &[String]) -> Result<Filter> {
        let terms = texts.iter().flat_map(|text| text.split('&').map(move |term| (text, term)));
        let terms = terms.map(|(text, term)| Term::parse(resource, term).map_err(|why| refuse(text, &why)));
        Ok(Filter::of(terms.collect::<Result<_>>()?))
    }
}

fn refuse(text: &str, why: &Refusal) -> Error {
    let error = Error::usage(format!("the filter {text:?} cannot be used: {}", why.0));
    error.hint(why.1.unwrap_or(FORM))
}

/// Why, and what to do if it is not about the form.
struct Refusal(String, Option<&'static str>);

impl From<&str> for Refusal {
    fn from(why: &str) -> Refusal {
        Refusal(why.to_owned(), None)
    }
}

impl Term {
    fn parse(resource: &str, text: &str) -> Result<Term, Refusal> {
        let (key, value) = text.split_once('=').ok_or("a term without = compares nothing")?;
        let (key, inverted) = key.strip_suffix('!').map_or((key, false), |key| (key, true));
        let (selectors, (operator, negated)) = match key.rsplit_once("__") {
            None => (key, (Operator::Equal, false)),
            Some((selectors, word)) => {
                let known = OPERATORS.iter().find(|(known, ..)| *known == word);
                let (_, operator, negated) = known.ok_or_else(|| Refusal(format!("there is no operator {word:?}"), None))?;
                (selectors, (*operator, *negated))
            }
        };
        let mut fields = selectors.split('|').map(|selector| field(resource, selector)).collect::<Result<Vec<_>, _>>()?;
        fields.sort();
        fields.dedup();
        let mut values = values(&decoded(value)?)?;
        let single = matches!(operator, Operator::Less | Operator::AtMost | Operator::Greater | Operator::AtLeast);
        if operator != Operator::Equal && values.contains(&None) {
            return Err("NONE can only be compared with eq, ne and belongs".into());
        }
        if single && values.len() > 1 {
            return Err("it compares by size with more than one value; a value with a comma is written in quotes".into());
        }
        values.sort();
        values.dedup();
        Ok(Term { fields, operator, inverted: inverted != negated, values })
    }
}

/// The field that a selector names.
fn field(resource: &str, selector: &str) -> Result<String, Refusal> {
    let (of, field) = selector.split_once('.').ok_or_else(|| Refusal(format!("{selector:?} does not say whose field it is"), None))?;
    if field.contains('$') || of.contains('$') {
        let hint = "Filter by a field of the table itself; the key of the record it refers to is one.";
        return Err(Refusal(format!("{selector:?} follows a reference, which filters cannot do yet"), Some(hint)));
    }
    if of != "~" && of != resource {
        return Err(Refusal(format!("{selector:?} is no field of {resource}"), None));
    }
    if field.is_empty() || field.contains(char::is_control) {
        return Err(Refusal(format!("{selector:?} names no field"), None));
    }
    Ok(field.to_owned())
}

/// Values between commas, which may stand in quotes; `NONE` without quotes is null.
fn values(text: &str) -> Result<Vec<Option<String>>, Refusal> {
    let (mut values, mut value, mut open, mut quoted) = (Vec::new(), String::new(), false, false);
    let mut letters = text.chars().peekable();
    let end = |value: &mut String, quoted: &mut bool, values: &mut Vec<Option<String>>| {
        let null = !std::mem::take(quoted) && matches!(value.as_str(), "NONE" | "None");
        values.push(Some(std::mem::take(value)).filter(|_| !null));
    };
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if matches!(letters.peek(), Some('"' | '\\')) => value.extend(letters.next()),
            '"' => (open, quoted) = (!open, true),
            ',' if !open => end(&mut value, &mut quoted, &mut values),
            _ => value.push(letter),
        }
    }
    if open {
        return Err("a quote is not closed".into());
    }
    end(&mut value, &mut quoted, &mut values);
    Ok(values)
}

/// A value without its percent signs.
fn decoded(text: &str) -> Result<String, Refusal> {
    let plain = percent_encoding::percent_decode_str(text).decode_utf8();
    plain.map(Into::into).map_err(|_| "what its percent signs stand for is no text".into())
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<String> = self.fields.iter().map(|field| format!("~.{field}")).collect();
        let word = OPERATORS.iter().find(|(_, operator, _)| *operator == self.operator).map_or("eq", |(word, ..)| word);
        let values: Vec<String> = self.values.iter().map(|value| value.as_deref().map_or_else(|| "NONE".to_owned(), spelt)).collect();
        write!(f, "{}__{word}{}={}", fields.join("|"), if self.inverted { "!" } else { "" }, values.join(","))
    }
}

/// A value as [`decoded`] and [`values`] read it back.
fn spelt(value: &str) -> String {
    const SPELT: &AsciiSet = &CONTROLS.add(b'%').add(b'&');
    let bare = !value.contains([',', '"', '\\']) && !matches!(value, "NONE" | "None");
    let quoted = if bare { value.to_owned() } else { format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")) };
    utf8_percent_encode(&quoted, SPELT).to_string()
}
