//! A stock Sahana Eden as a peer: the checks of docs/eden.md by their numbers, `s…` where it calls us and `c…` where we call it, over real connections.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where something is not as it should be")]

mod both;
mod calls;
mod cases;
mod client;
mod files;
mod golden;
mod hub;
mod own;
mod postgres;
mod pulls;
mod pushes;
mod registration;
mod scripted;
mod trip;

#[path = "../../src/postgresql/server.rs"]
#[allow(dead_code, clippy::expect_used, clippy::unwrap_used, reason = "it is shared with the tests inside")]
mod server;
