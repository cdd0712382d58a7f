//! The three-way merge of two versions of a record, field by field.

use std::collections::BTreeSet;

use super::Local;
use crate::model::{RecordView, Value};

/// Merges against the base, where there is one and it is the common ancestor: its vector is the component-wise minimum of both
/// (a base that is not would undo edits without a trace), and gives the fields that only the other side changed.
/// `None` where the whole record has to go to the conflict policy: a field changed on both sides, or one side deleted the record.
pub(super) fn three_way(local: Local<'_>, incoming: RecordView<'_>) -> Option<Vec<String>> {
    let (base, base_version) = local.base?;
    let (here, there) = (local.view.record, incoming.record);
    if here.deleted || there.deleted || here.version.meet(&there.version) != *base_version {
        return None;
    }
    let value =
        |view: RecordView<'_>, field: &str| view.get(field).map(|value| (value.kind, value.resource.to_owned(), value.text.to_owned()));
    let null = || Some((Value::NULL.kind, String::new(), String::new()));
    let mut taken = Vec::new();
    for field in incoming.fields().map(|(field, _)| field).collect::<BTreeSet<_>>() {
        let theirs = value(incoming, field);
        let ours = value(local.view, field).or_else(null);
        let before = value(base, field).or_else(null);
        match (theirs == before, ours == before) {
            _ if ours == theirs => {}
            (true, _) => {}
            (false, true) => taken.push(field.to_owned()),
            (false, false) => return None,
        }
    }
    Some(taken)
}
