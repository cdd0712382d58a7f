//! The real binary as processes: what stands on the command line, what is printed, how it ends.

#![expect(clippy::unwrap_used, reason = "tests")]

mod compared;
mod decided;
mod examples;
mod house;
mod killed;
mod stay;
mod sweep;
mod tour;
mod trouble;
mod verbs;
