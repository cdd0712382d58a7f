//! Documents and answers as a stock Sahana Eden writes and reads them (docs/eden.md).

mod answer;
mod archive;
mod body;
mod build;
mod finish;
pub mod query;
mod reader;
mod sender;
mod text;
mod writer;

pub use answer::{read_answer, write_answer};
pub use archive::{read_archive, write_archive};
pub use body::document_of;
pub use reader::read;
pub use sender::Sender;
pub use writer::{Lossy, write};
