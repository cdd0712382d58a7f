//! The real binary as processes: what stands on the command line, what is printed, how it ends.

#![expect(clippy::unwrap_used, reason = "tests")]

mod compared;
mod decided;
mod examples;
mod house;
mod killed;
mod killed_on_postgres;
mod on_a_server;
mod several;
mod stay;
mod sweep;
mod tour;
mod trouble;
mod verbs;

#[path = "../../src/postgresql/server.rs"]
#[allow(dead_code, clippy::expect_used, clippy::unwrap_used, reason = "it is shared with the tests inside")]
mod server;
