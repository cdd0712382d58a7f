//! The records of a document as a table here takes them.

use super::coerce::coerced;
use crate::{
    connector::{Make, Table, Whose},
    model::{
        Cell, Identity, Kind, Page, Record, RecordView, SiteId, Time, Value,
        eden::{ACCOUNTS, META, PARENT, UNDATED},
    },
    sync::Outcome,
};

/// A page as a table takes it, and the second of each record as the document said it.
pub(super) struct Shaped {
    pub(super) page: Page,
    pub(super) seconds: Vec<Option<i64>>,
    /// Of records of an Eden's own: whose they are.
    pub(super) accounts: Vec<Whose>,
}

/// Makes a page of a document one of `table`, which came from `peer`. Fields that Eden keeps for itself go, what stands inside another record refers to
/// it, and times are not in the future.
pub(super) fn shaped(table: &Table, page: &Page, peer: SiteId, now: Time, outcome: &mut Outcome) -> Shaped {
    let mut made = Shaped { page: Page::new(&table.resource), seconds: Vec::with_capacity(page.records.len()), accounts: Vec::new() };
    let mut ahead = 0;
    for view in page.views() {
        let mark = made.page.mark();
        let mut record = view.record.clone();
        made.seconds.push((record.modified_on != UNDATED).then_some(record.modified_on.0.div_euclid(1_000_000)));
        if record.modified_on == UNDATED {
            record.modified_on = now;
        } else if record.modified_on > now.plus_seconds(SLACK) {
            ahead += 1;
        }
        record.modified_on = record.modified_on.min(now);
        record.author = peer;
        if record.origin.0.is_nil() {
            record.origin = peer;
        }
        record.uid = made.page.put(view.uid());
        // Of two uids of one record the smaller stays (SYNC.md 1); where Eden kept the other, the record it gave up is simply gone.
        record.heir = view.heir().filter(|heir| *heir < view.uid()).map(|heir| made.page.put(heir));
        if table.form.make == Make::Eden {
            own_columns(table, view, &mut record, &mut made.page);
            let named = |(name, value): (&str, Value<'_>)| {
                let column = ACCOUNTS.into_iter().find(|own| name.strip_prefix('@') == Some(*own))?;
                Some(Whose { uid: view.uid().to_owned(), column, name: value.text.to_owned() })
            };
            made.accounts.extend(view.fields().filter_map(named));
        }
        fields(table, view, &mut made.page);
        made.page.finish(record, mark);
    }
    if ahead > 0 {
        outcome.warn(format!(
            "{}: {} of the other site's future; its clock, or that of the site they come from, is ahead of ours",
            table.resource,
            if ahead == 1 { "1 record is".to_owned() } else { format!("{ahead} records are") }
        ));
    }
    made
}

/// By so many seconds may a clock be ahead without a word.
const SLACK: i64 = 30;

/// What Eden's own database keeps of every record. One that is gone stays as a row that says so.
fn own_columns(table: &Table, view: RecordView<'_>, record: &mut Record, page: &mut Page) {
    let gone = std::mem::replace(&mut record.deleted, false);
    record.heir = None;
    if let Some(field) = &table.form.heir {
        match view.heir().filter(|heir| gone && *heir != view.uid()) {
            Some(heir) => put(page, field, &table.resource, Kind::Reference, heir),
            None if gone => {}
            None => put(page, field, "", Kind::Null, ""),
        }
    }
    put(page, "deleted", "", Kind::Text, if gone { "T" } else { "F" });
    if let (Identity::Column { column }, false) = (&table.identity, gone) {
        put(page, column, "", Kind::Text, view.uid());
    }
    let moment = record.modified_on.to_string();
    let (kind, text) = coerced(Value { kind: Kind::Instant, resource: "", text: &moment[..19] }, table.form.kind("modified_on"));
    put(page, "modified_on", "", kind, &text);
}

/// A page of an Eden's own table as it is for others: rows that say so are gone, and name what took their place; each is of the time that its column
/// says.
pub(in crate::sync) fn as_told(table: &Table, page: &mut Page) {
    if table.form.make != Make::Eden {
        return;
    }
    for at in 0..page.records.len() {
        let view = page.view(&page.records[at]);
        let gone = is_gone(view);
        let moment = view
            .get("modified_on")
            .filter(|value| value.kind != Kind::Null)
            .and_then(|value| value.text.replacen(' ', "T", 1).parse().ok());
        let heir = table.form.heir.as_ref().filter(|_| gone).and_then(|field| view.get(field));
        let heir = heir.filter(|heir| heir.kind == Kind::Reference && heir.text != view.uid()).map(|heir| heir.text.to_owned());
        let heir = heir.map(|heir| page.put(&heir));
        let record = &mut page.records[at];
        record.deleted |= gone;
        record.heir = record.heir.or(heir);
        record.modified_on = moment.unwrap_or(record.modified_on);
    }
}

/// Whether a row of Eden's says that it is gone.
pub(super) fn is_gone(view: RecordView<'_>) -> bool {
    view.get("deleted").is_some_and(|value| matches!(value.text, "T" | "true"))
}

fn fields(table: &Table, view: RecordView<'_>, page: &mut Page) {
    for (name, value) in view.fields() {
        if name == PARENT {
            let mut able = table.references.iter().filter(|reference| table.form.heir.as_ref() != Some(&reference.field));
            let own = able.find(|reference| reference.resource == value.resource);
            // Else it stands in what has an entry in a super-entity.
            let own = own.or_else(|| table.references.iter().find(|reference| table.form.supers.contains(&reference.field)));
            if let Some(own) = own.filter(|own| view.get(&own.field).is_none()) {
                put(page, &own.field, &own.resource, Kind::Reference, value.text);
            }
        } else if let Some(name) = name.strip_prefix('@') {
            // An Eden's own database knows these columns; the accounts are named apart.
            if matches!(name, "mci" | "created_on") && table.knows(name) {
                let (kind, text) = coerced(value, table.form.kind(name));
                put(page, name, "", kind, &text);
            }
        } else if META.contains(&name) {
            // Eden's own, which the document told otherwise.
        } else if table.form.flags.iter().any(|flag| flag == name) && value.kind != Kind::Null {
            let (_, truth) = coerced(value, Some(Kind::Boolean));
            put(page, name, "", Kind::Text, if truth == "true" { "T" } else { "F" });
        } else if let Some(reference) = table.references.iter().find(|reference| reference.field == name) {
            match value.kind {
                // A record of a super-entity has the uid of its instance.
                Kind::Reference => put(page, name, &reference.resource, Kind::Reference, value.text),
                Kind::Null => put(page, name, "", Kind::Null, ""),
                _ => {}
            }
        } else if value.kind == Kind::Json && table.form.kind(name) == Some(Kind::Bytes) {
            // The address of a file, which nobody fetched.
        } else if value.kind == Kind::Reference && table.knows(name) {
            put(page, name, "", Kind::Text, value.text);
        } else {
            let (kind, text) = coerced(value, table.form.kind(name));
            put(page, name, value.resource, kind, &text);
        }
    }
}

fn put(page: &mut Page, field: &str, resource: &str, kind: Kind, text: &str) {
    let (Some(field), resource, text) = (page.name(field), page.name_or_zero(resource), page.put(text)) else { return };
    page.cell(Cell { field, resource: if kind == Kind::Reference { resource } else { 0 }, kind, text });
}
