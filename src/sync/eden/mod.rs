//! A stock Sahana Eden as a peer, in both directions (docs/eden.md): what it shows becomes versions, what it is given is remembered.

mod closure;
mod coerce;
mod feed;
pub mod files;
mod ledger;
mod noted;
mod receive;
mod shape;
mod sieve;
mod take;

pub(in crate::sync) use closure::{Tables, close};
pub use feed::feed;
pub(in crate::sync) use feed::{held, holding};
pub use receive::receive;
pub(in crate::sync) use shape::as_told;
pub(in crate::sync) use sieve::Filters;
pub(in crate::sync) use take::{Exchange, take};
