//! What goes over the wire: pages and messages, against the schemas in `schemas/` and against damage.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod damage;
mod messages;
mod pages;
mod relaxng;
mod schema;
