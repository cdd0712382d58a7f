//! Bytes ↔ values: S3XML reader and writer, canonical values, messages, limits, compression.
//!
//! Nothing that comes from a peer is believed before it has passed through here; what does not fit is refused whole.

pub mod eden;
mod encoding;
mod message;
pub mod query;
mod reader;
pub mod value;
mod writer;
mod xml;

pub use encoding::{Encoding, compress, decompress, pack};
pub use message::{MAX_UIDS, read_json, read_receipt, read_refusal, read_uids, refusal, write_json, write_receipt, write_uids};
pub use query::{greeting_query, pull_query, push_query};
pub use reader::read;
pub use writer::write;
