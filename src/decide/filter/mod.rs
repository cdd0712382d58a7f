//! Filters: which records of a resource are shared (EDEN.md 7.4, which has the text form).
//!
//! A filter divides records: each matches it or not, whatever it holds. A field that is null equals nothing but `NONE` and is neither
//! smaller nor greater than anything, and `!` turns a term into its exact opposite.

mod compare;
mod parse;
#[cfg(test)]
mod tests;

use std::{cmp::Ordering, fmt};

use crate::model::{Kind, RecordView, Value};

/// Terms that a record has to fulfil, all of them. Without terms everything matches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Sorted, each once, so that equal filters have equal texts.
    terms: Vec<Term>,
}

/// One comparison, of any of some fields with values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Term {
    fields: Vec<String>,
    operator: Operator,
    inverted: bool,
    /// `None` = null.
    values: Vec<Option<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Operator {
    /// Equal to one of the values.
    Equal,
    Less,
    AtMost,
    Greater,
    AtLeast,
    /// Like one of the patterns: `*` and `?`, letters of either case.
    Like,
    /// All the values are in it, letters of either case.
    Contains,
}

impl Filter {
    /// The terms of both.
    #[must_use]
    pub fn and(&self, other: &Filter) -> Filter {
        Filter::of(self.terms.iter().chain(&other.terms).cloned().collect())
    }

    fn of(mut terms: Vec<Term>) -> Filter {
        terms.sort();
        terms.dedup();
        Filter { terms }
    }

    /// Whether every record matches, whatever it holds.
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// The fields that it looks at.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().flat_map(|term| &term.fields).map(String::as_str)
    }

    /// Whether a record matches. One without content always does: that a record is deleted concerns everybody who ever had it.
    pub fn matches(&self, record: RecordView<'_>) -> bool {
        !record.record.lives() || self.terms.iter().all(|term| term.matches(record))
    }

    /// A short name for the filter; empty for the one that everything matches. Equal filters have equal names.
    pub fn name(&self) -> String {
        if self.is_everything() { String::new() } else { blake3::hash(self.to_string().as_bytes()).to_hex()[..12].to_owned() }
    }
}

impl Term {
    fn matches(&self, record: RecordView<'_>) -> bool {
        self.fields.iter().any(|field| self.fits(record.get(field).unwrap_or(Value::NULL))) != self.inverted
    }

    fn fits(&self, value: Value<'_>) -> bool {
        let order = |text: &Option<String>| text.as_deref().and_then(|text| compare::order(value, text));
        let ordered = |wanted: &[Ordering]| self.values.iter().any(|text| order(text).is_some_and(|found| wanted.contains(&found)));
        let text = |test: fn(&str, &str) -> bool, text: &Option<String>| {
            text.as_deref().is_some_and(|text| compare::readable(value).is_some_and(|value| test(text, &value)))
        };
        match self.operator {
            Operator::Equal if value.kind == Kind::Null => self.values.contains(&None),
            Operator::Equal => ordered(&[Ordering::Equal]),
            Operator::Less => ordered(&[Ordering::Less]),
            Operator::AtMost => ordered(&[Ordering::Less, Ordering::Equal]),
            Operator::Greater => ordered(&[Ordering::Greater]),
            Operator::AtLeast => ordered(&[Ordering::Greater, Ordering::Equal]),
            Operator::Like => self.values.iter().any(|pattern| text(compare::like, pattern)),
            Operator::Contains => self.values.iter().all(|part| text(compare::contains, part)),
        }
    }
}

/// The one spelling of a filter: [`Filter::parse`] reads it back.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, term) in self.terms.iter().enumerate() {
            write!(f, "{}{term}", if at == 0 { "" } else { "&" })?;
        }
        Ok(())
    }
}
