//! Files that stand behind a record's fields: fetched from the Eden itself, where a column here holds bytes.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    connector::Table,
    model::{Cell, Kind, Page},
    peer::Eden,
    sync::Outcome,
};

/// The page with the contents of files in place of their addresses. A file that cannot be had is left out, and its record still taken.
pub(super) fn fetched(eden: &Eden, table: &Table, page: &Page, all: &mut Outcome) -> Option<Page> {
    let bytes = |field: &str| table.form.kind(field) == Some(Kind::Bytes);
    if !page.views().any(|view| view.fields().any(|(field, value)| value.kind == Kind::Json && bytes(field))) {
        return None;
    }
    let mut made = Page::new(&page.resource);
    for view in page.views() {
        let mark = made.mark();
        for (name, value) in view.fields() {
            let (mut kind, mut text) = (value.kind, std::borrow::Cow::Borrowed(value.text));
            if kind == Kind::Json && bytes(name) {
                let upload: serde_json::Value = serde_json::from_str(value.text).unwrap_or_default();
                match eden.upload(upload["url"].as_str().unwrap_or_default()) {
                    Ok(content) => (kind, text) = (Kind::Bytes, STANDARD.encode(content).into()),
                    Err(error) => {
                        all.warn(format!("{} {}: the file of {name} could not be fetched: {}", page.resource, view.uid(), error.chain()));
                        continue;
                    }
                }
            }
            let (Some(field), resource, text) = (made.name(name), made.name_or_zero(value.resource), made.put(&text)) else { continue };
            made.cell(Cell { field, resource: if kind == Kind::Reference { resource } else { 0 }, kind, text });
        }
        let mut record = view.record.clone();
        (record.uid, record.heir) = (made.put(view.uid()), view.heir().map(|heir| made.put(heir)));
        made.finish(record, mark);
    }
    Some(made)
}
