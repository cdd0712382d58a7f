//! What a changed schema makes of records although nobody wrote.

use std::collections::HashSet;

use super::{outline::Outline, seen::Seen, shape::Shape};
use crate::model::{Digest, Kind, RecordView};

/// What it made of one.
pub(super) enum Drift {
    /// Nothing that can be told.
    Nothing,
    /// It holds less than it did, and its digest is another: no edit.
    Same(Digest),
    /// A column that came has a value of its own.
    Gained,
}

/// What became of a record of which the fields `before` were known.
pub(super) fn drifted<S: Shape>(table: &Outline<S>, seen: &Seen, record: RecordView<'_>, before: &HashSet<&str>) -> Drift {
    if !seen.present || !seen.whole() {
        return Drift::Nothing;
    }
    let digest = record.digest();
    let gained =
        |(field, value): (&str, crate::model::Value<'_>)| value.kind != Kind::Null && table.knows(field) && !before.contains(field);
    match seen.digest == Some(digest) {
        true => Drift::Nothing,
        false if record.fields().any(gained) => Drift::Gained,
        false => Drift::Same(digest),
    }
}
