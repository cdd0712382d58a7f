//! A stock Sahana Eden as a peer: the checks of docs/eden.md by their numbers, `s…` where it calls us and `c…` where we call it, over real connections.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where something is not as it should be")]

mod client;
mod files;
mod golden;
mod hub;
mod own;
mod pulls;
mod pushes;
mod registration;
mod scripted;
mod trip;
