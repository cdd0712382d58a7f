//! Local keys of rows that follow from their records.

use super::{
    Key, KeyPart, Make,
    links::Link,
    outline::{Data, Outline},
    shape::Shape,
};
use crate::error::{Error, Kind, Result};

/// The key that the values of a record make; `data` and `link` say what it puts into the columns of a field or a reference.
pub(super) fn key_of_content<'c, S: Shape>(
    table: &Outline<S>,
    columns: impl Iterator<Item = &'c String>,
    mut data: impl FnMut(&Data<S::Form>) -> Result<KeyPart>,
    mut link: impl FnMut(&Link) -> Result<Option<Vec<KeyPart>>>,
) -> Result<Key> {
    let part = |column: &String| {
        let held = table.references.iter().find(|link| link.columns.contains(column));
        let part = match (table.data.iter().find(|data| data.column == *column), held) {
            (Some(field), _) => data(field)?,
            (None, Some(held)) => {
                let at = held.columns.iter().position(|held| held == column).unwrap_or(0);
                link(held)?.and_then(|values| values.into_iter().nth(at)).unwrap_or(KeyPart::Null)
            }
            (None, None) => KeyPart::Null,
        };
        match part {
            KeyPart::Null => Err(Error::new(Kind::Constraint, format!("its key column {column:?} has no value"))),
            part => Ok(part),
        }
    };
    columns.map(part).collect::<Result<_>>().map(Key)
}

/// The key of a row that was written, where the row may want entries in an Eden's super-entities.
pub(super) fn key_to_enter<S: Shape>(table: &Outline<S>, key: Option<&Key>) -> Option<i64> {
    match (table.table.form.make, table.own_key, key?.0.as_slice()) {
        (Make::Eden, true, [KeyPart::Integer(key)]) => Some(*key),
        _ => None,
    }
}
