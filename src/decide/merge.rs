//! The three-way merge of two versions of a record, field by field.

use std::collections::BTreeSet;

use super::Local;
use crate::model::{RecordView, Value};

/// A three-way merge, by the names of fields. What is in neither list stays as it is here.
pub(super) struct Merge {
    /// Only the other side changed them.
    pub(super) taken: Vec<String>,
    /// Both sides changed them, differently.
    pub(super) contested: Vec<String>,
}

/// Merges against the base, where there is one and it is the common ancestor: its vector is the component-wise minimum of both
/// (a base that is not would undo edits without a trace). `None` where the whole record has to go to the conflict policy: there is no
/// such base, or one side deleted the record.
pub(super) fn three_way(local: Local<'_>, incoming: RecordView<'_>) -> Option<Merge> {
    let (base, base_version) = local.base?;
    let (here, there) = (local.view.record, incoming.record);
    if here.deleted || there.deleted || here.version.meet(&there.version) != *base_version {
        return None;
    }
    let mut merge = Merge { taken: Vec::new(), contested: Vec::new() };
    for field in incoming.fields().map(|(field, _)| field).collect::<BTreeSet<_>>() {
        let [ours, theirs, before] = [local.view, incoming, base].map(|view| view.get(field).unwrap_or(Value::NULL).plain());
        if ours == theirs || theirs == before {
            continue;
        }
        let list = if ours == before { &mut merge.taken } else { &mut merge.contested };
        list.push(field.to_owned());
    }
    Some(merge)
}
