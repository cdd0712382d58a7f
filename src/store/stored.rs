//! Columns back to values.

use std::str::FromStr;

use crate::error::{Error, Result};

/// A word that we wrote, as what it stands for. One that we do not know means that something else wrote to the store.
pub(super) fn known<T>(word: &str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| Error::internal(format!("The control store holds a word that is not known here: {word:?}")))
}

/// A text that we wrote, as what it was.
pub(super) fn read<T: FromStr>(text: &str) -> Result<T> {
    known(text, text.parse().ok())
}

/// A number that is never negative, as the database holds it. What does not fit becomes the greatest there is.
pub(super) fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Such a number back from the database.
pub(super) fn count<T: TryFrom<i64> + Default>(n: i64) -> T {
    T::try_from(n).unwrap_or_default()
}

/// Names for a message: `a, b, c`, twenty at most.
pub(super) fn listed(names: &[String]) -> String {
    const MOST: usize = 20;
    let shown = names.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > MOST { format!("{shown} and {} more", names.len() - MOST) } else { shown }
}
