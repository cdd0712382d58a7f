//! A document for a stock Sahana Eden.
//!
//! What Eden splits bodies at, `&`, is kept out of values (docs/eden.md): they are JSON between single quotes, with `\u0026` in it.

use std::{borrow::Cow, collections::BTreeSet, fmt::Write};

use serde_json::Value as Json;

use super::Sender;
use crate::{
    error::Result,
    model::{
        Kind, Page, RecordView, Time, Value,
        eden::{Feed, META},
    },
    wire::{
        value::{canonical, stamp},
        xml::carries,
    },
};

/// What a document could not carry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lossy {
    /// How many texts have characters that XML cannot carry; they were replaced by U+FFFD.
    pub replaced: usize,
    /// Fields whose values Eden cannot be given: bytes, and floats that are no numbers.
    pub unsent: BTreeSet<String>,
}

/// Appends a document to `out`. Tells what could not be carried as it is.
pub fn write(feed: &Feed, sender: &Sender, out: &mut String) -> Result<Lossy> {
    let mut writer = Writer { feed, sender, lossy: Lossy::default() };
    out.push_str("<?xml version='1.0' encoding='utf-8'?>\n<s3xml");
    let success = if feed.masters.records.is_empty() { "false" } else { "true" };
    _ = write!(out, " success=\"{success}\" results=\"{}\"", feed.results);
    if let Some(start) = feed.start {
        _ = write!(out, " start=\"{start}\"");
    }
    if let Some(limit) = feed.limit {
        _ = write!(out, " limit=\"{limit}\"");
    }
    for (name, value) in [("domain", &sender.domain), ("url", &sender.url)] {
        if !value.is_empty() {
            writer.attribute(name, value, out);
        }
    }
    out.push('>');
    let nested = inside(feed);
    for (at, master) in feed.masters.views().enumerate() {
        let within = nested.get(at).map_or(&[][..], Vec::as_slice);
        writer.record(&feed.masters, master, None, within, out);
    }
    for page in &feed.referenced {
        for view in page.views() {
            writer.record(page, view, None, &[], out);
        }
    }
    out.push_str("</s3xml>");
    Ok(writer.lossy)
}

/// For each master, where the records inside it stand: page and record.
fn inside(feed: &Feed) -> Vec<Vec<(usize, usize)>> {
    let mut inside = vec![Vec::new(); if feed.nested.is_empty() { 0 } else { feed.masters.records.len() }];
    for (page, (_, masters)) in feed.nested.iter().enumerate() {
        for (record, master) in masters.iter().enumerate() {
            if let Some(within) = inside.get_mut(*master) {
                within.push((page, record));
            }
        }
    }
    inside
}

struct Writer<'a> {
    feed: &'a Feed,
    sender: &'a Sender,
    lossy: Lossy,
}

impl Writer<'_> {
    fn record(&mut self, page: &Page, view: RecordView<'_>, implied: Option<&str>, within: &[(usize, usize)], out: &mut String) {
        out.push_str("<resource");
        self.attribute("name", &page.resource, out);
        self.attribute("uuid", &self.sender.uid(view.uid()), out);
        if view.record.deleted {
            _ = write!(out, " deleted=\"True\" modified_on=\"{}\"", seconds(view.record.modified_on));
            if let Some(heir) = view.heir() {
                self.attribute("replaced_by", &self.sender.uid(heir), out);
            }
            out.push_str("/>");
            return;
        }
        let modified = seconds(view.record.modified_on);
        let created =
            view.get("created_on").filter(|value| value.kind != Kind::Null).and_then(|value| value.text.replace(' ', "T").parse().ok());
        let created = created.map_or(modified.clone(), seconds);
        _ = write!(out, " mci=\"{}\" created_on=\"{created}\" modified_on=\"{modified}\"", self.copies(view));
        for (column, name) in self.feed.accounts.get(&page.resource).and_then(|known| known.get(view.uid())).into_iter().flatten() {
            self.attribute(column, name, out);
        }
        out.push('>');
        let kinds = self.feed.kinds.iter().find(|(resource, _)| *resource == page.resource).map_or(&[][..], |(_, kinds)| kinds);
        let keys = self.feed.keys.iter().find(|(resource, _)| *resource == page.resource).map_or(&[][..], |(_, fields)| fields);
        for (field, value) in view.fields() {
            let hidden = self.feed.hidden.iter().any(|(resource, hidden)| hidden == field && *resource == page.resource);
            if implied != Some(field) && !hidden && !META.contains(&field) && !field.starts_with('@') {
                let wanted = kinds.iter().find(|(name, _)| name == field).map(|(_, kind)| *kind);
                let mut own = String::new();
                let value =
                    wanted.and_then(|wanted| typed(value, wanted, &mut own)).map_or(value, |kind| Value { kind, resource: "", text: &own });
                self.field(field, value, keys.iter().any(|key| key == field), out);
            }
        }
        for field in self.feed.cleared.get(view.uid()).into_iter().flatten() {
            self.begin(field, out);
            out.push_str(" value=\"\"/>");
        }
        for (page, record) in within {
            let Some((page, _)) = self.feed.nested.get(*page) else { continue };
            let Some(record) = page.records.get(*record) else { continue };
            let implied = self.feed.implied.iter().find(|(resource, _)| *resource == page.resource).map(|(_, field)| field.as_str());
            self.record(page, page.view(record), implied, &[], out);
        }
        out.push_str("</resource>");
    }

    /// How many hands a record went through: 1 where this site made it.
    fn copies(&self, view: RecordView<'_>) -> i64 {
        let stored = view.get("mci").and_then(|value| value.text.parse::<i64>().ok());
        stored.map_or(if view.record.origin == self.sender.site { 1 } else { 2 }, |stored| stored.saturating_add(1))
    }

    fn field(&mut self, field: &str, value: Value<'_>, key: bool, out: &mut String) {
        match value.kind {
            Kind::Null => {}
            Kind::Bytes | Kind::Opaque => drop(self.lossy.unsent.insert(field.to_owned())),
            Kind::Real if value.text.ends_with(['N', 'y']) => drop(self.lossy.unsent.insert(field.to_owned())),
            Kind::Reference => self.reference(field, value.resource, value.text, out),
            Kind::Json => self.json(field, value.text, out),
            // Several references, in a column that is for texts.
            Kind::Text if value.text.starts_with("{\"@resource\"") => self.json(field, value.text, out),
            Kind::Text if key => {
                self.begin(field, out);
                out.push('>');
                // Eden takes the entities out twice.
                let once = escaped(&self.carried(value.text));
                push_escaped(&once, out);
                out.push_str("</data>");
            }
            Kind::Text | Kind::Uuid => {
                self.begin(field, out);
                out.push_str(" value='");
                let text = self.carried(value.text);
                push_json(&text, out);
                // An Eden of any age shows the text where it does not know better.
                out.push_str("'/>");
            }
            _ => {
                self.begin(field, out);
                let text = match value.kind {
                    Kind::Local | Kind::Instant | Kind::Clock => value.text.trim_end_matches('Z').split('.').next().unwrap_or_default(),
                    _ => value.text,
                };
                out.push_str(" value=\"");
                push_escaped(text, out);
                out.push_str("\"/>");
            }
        }
    }

    fn begin(&mut self, field: &str, out: &mut String) {
        out.push_str("<data");
        self.attribute("field", field, out);
    }

    fn reference(&mut self, field: &str, resource: &str, uid: &str, out: &mut String) {
        let instances = &self.feed.instances;
        let resource = if instances.is_empty() {
            resource
        } else {
            instances.get(&(resource.to_owned(), uid.to_owned())).map_or(resource, String::as_str)
        };
        if self.is_absent(resource, uid) {
            return;
        }
        out.push_str("<reference");
        self.attribute("field", field, out);
        self.attribute("resource", resource, out);
        self.attribute("uuid", &self.sender.uid(uid), out);
        out.push_str("/>");
    }

    /// Whether a record is held back.
    fn is_absent(&self, resource: &str, uid: &str) -> bool {
        !self.feed.absent.is_empty() && self.feed.absent.contains(&(resource.to_owned(), uid.to_owned()))
    }

    /// JSON; several references as they came.
    fn json(&mut self, field: &str, text: &str, out: &mut String) {
        let Ok(json) = serde_json::from_str::<Json>(text) else {
            self.lossy.unsent.insert(field.to_owned());
            return;
        };
        if let (Some(resource), Some(uids)) = (json.get("@resource").and_then(Json::as_str), json.get("@uuid").and_then(Json::as_array)) {
            let there = uids.iter().filter(|uid| !self.is_absent(resource, uid.as_str().unwrap_or_default()));
            let uids = Json::Array(there.map(|uid| self.sender.uid(uid.as_str().unwrap_or_default()).into()).collect());
            out.push_str("<reference");
            self.attribute("field", field, out);
            self.attribute("resource", resource, out);
            out.push_str(" uuid='");
            push_tame(&uids.to_string(), out);
            out.push_str("'/>");
            return;
        }
        if let (Some(url), true) = (json.get("url").and_then(Json::as_str), json.get("filename").is_some()) {
            self.begin(field, out);
            self.attribute("url", url, out);
            self.attribute("filename", json["filename"].as_str().unwrap_or_default(), out);
            out.push_str("/>");
            return;
        }
        let text = self.carried(text).into_owned();
        self.begin(field, out);
        out.push_str(" value='");
        push_tame(&text, out);
        out.push_str("'>");
        push_tame(&text, out);
        out.push_str("</data>");
    }

    fn attribute(&mut self, name: &str, value: &str, out: &mut String) {
        out.push(' ');
        out.push_str(name);
        out.push_str("=\"");
        let value = self.carried(value);
        push_escaped(&value, out);
        out.push('"');
    }

    /// A text without what XML cannot carry, nor Eden keep.
    fn carried<'t>(&mut self, text: &'t str) -> Cow<'t, str> {
        if text.chars().all(carries) {
            return Cow::Borrowed(text);
        }
        self.lossy.replaced += 1;
        Cow::Owned(text.chars().map(|c| if carries(c) { c } else { '\u{FFFD}' }).collect())
    }
}

/// A value as its column is declared, where the database has no kind of its own for that. Its text is in `own`.
fn typed(value: Value<'_>, wanted: Kind, own: &mut String) -> Option<Kind> {
    match (value.kind, wanted) {
        (Kind::Text, Kind::Boolean) if matches!(value.text, "T" | "F") => own.push_str(if value.text == "T" { "true" } else { "false" }),
        (Kind::Integer, Kind::Boolean) if matches!(value.text, "0" | "1") => own.push_str(if value.text == "1" { "true" } else { "false" }),
        // Of other JSON nobody can tell that it is no text.
        (Kind::Text, Kind::Json)
            if value.text.starts_with(['{', '[']) && serde_json::from_str::<serde::de::IgnoredAny>(value.text).is_ok() =>
        {
            own.push_str(value.text);
        }
        (Kind::Text, Kind::Date | Kind::Local | Kind::Clock) => canonical(wanted, &value.text.replacen(' ', "T", 1), own).ok()?,
        _ => return None,
    }
    Some(wanted)
}

/// A moment as Eden writes it: UTC, whole seconds, no zone.
fn seconds(time: Time) -> String {
    String::from_utf8_lossy(&stamp(time)[..19]).into_owned()
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_escaped(text, &mut out);
    out
}

fn push_escaped(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => _ = write!(out, "&#{};", c as u32),
            _ => out.push(c),
        }
    }
}

/// A JSON string that may stand between single quotes in an attribute.
fn push_json(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '&' | '<' | '>' | '\'' => _ = write!(out, "\\u{:04x}", c as u32),
            _ => out.push(c),
        }
    }
    out.push('"');
}

/// JSON as it is that may stand between single quotes: what XML minds stands in its strings only.
fn push_tame(json: &str, out: &mut String) {
    for c in json.chars() {
        match c {
            '&' | '<' | '>' | '\'' => _ = write!(out, "\\u{:04x}", c as u32),
            // Between its tokens: inside of strings they are spelt out.
            '\n' | '\r' | '\t' => out.push(' '),
            _ => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests;
