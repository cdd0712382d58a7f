//! What a dry run would do, shown by its first records.

use crate::{
    connector::{Apply, Effects, Table},
    error::Result,
    model::{Kind, Page, RecordView, SiteId},
    sync::{outcome::SAMPLES, versions::compare},
};

/// So much of a value is shown.
const LONGEST: usize = 40;

/// What a run did so far to the first records of a table, in a transaction that will be undone.
pub(super) fn of(tx: &mut dyn Apply, table: &Table, run: u64, me: SiteId) -> Result<Vec<String>> {
    let made = tx.effects(table, run, Effects::Made, 0, SAMPLES / 2)?;
    let replaced = tx.effects(table, run, Effects::Replaced, 0, SAMPLES / 2)?;
    let mut told = Vec::new();
    for effected in made.iter().chain(&replaced) {
        let locals = tx.locals(table, &[&effected.uid], me)?;
        let now = locals.page.views().next().filter(|view| !view.record.deleted);
        told.push(match (&effected.before, now) {
            (Some(before), Some(now)) => format!("Would change {}: {}", effected.uid, changes(before, now)),
            (Some(before), None) => format!("Would delete {}: {}", effected.uid, before.views().next().map(content).unwrap_or_default()),
            (None, Some(now)) => format!("Would create {}: {}", effected.uid, content(now)),
            (None, None) => continue,
        });
    }
    Ok(told)
}

/// What would be given of a page.
pub(super) fn given(page: &Page) -> Vec<String> {
    let told = |record: RecordView<'_>| match record.record.deleted {
        true => format!("Would give the deletion of {}", record.uid()),
        false => format!("Would give {}: {}", record.uid(), content(record)),
    };
    page.views().filter(|view| !view.record.retracted).take(SAMPLES).map(told).collect()
}

fn content(record: RecordView<'_>) -> String {
    let set = record.fields().filter(|(_, value)| value.kind != Kind::Null);
    set.take(4).map(|(name, value)| format!("{name} {}", short(value.text))).collect::<Vec<_>>().join(", ")
}

fn changes(before: &Page, now: RecordView<'_>) -> String {
    let mut after = Page::new(&before.resource);
    after.copy(now);
    let text =
        |value: Option<(Kind, &str)>| value.filter(|(kind, _)| *kind != Kind::Null).map_or_else(|| "–".into(), |(_, text)| short(text));
    let fields = compare(before, &after);
    let changed = fields.iter().filter(|field| field.differs()).take(4);
    changed.map(|field| format!("{} {} → {}", field.field, text(field.ours), text(field.theirs))).collect::<Vec<_>>().join(", ")
}

fn short(text: &str) -> String {
    let mut shown: String = text.chars().take(LONGEST).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("“{shown}”")
}
