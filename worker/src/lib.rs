//! Knows when to run, and nothing of what.
//!
//! [`schedule`] says when a job is due next: pure functions, time and chance come in. [`queue`] holds the two traits that the
//! owner of the jobs fills: [`Queue`] (which job is due, who holds it) and [`Work`] (what a job does). [`runner`] ties them
//! together: it leases what is due, runs a few at a time on threads, renews their leases, stops what takes too long and drains.
//!
//! # Why not tokio-cron-scheduler
//!
//! The queue already knows what is due, for any number of processes, so all that is needed is a loop over "lease what is due".
//! A scheduler inside the process would be a second opinion on the same question, and a worse one. Measured: its repeated jobs
//! stop for ever after a stall longer than their interval, nothing keeps a job from overlapping itself, 7–9 % of the runs
//! are lost with a thousand one-second jobs, and its shutdown does not wait for what is running.

pub mod queue;
pub mod runner;
pub mod schedule;
mod stop;

pub use queue::{Queue, Renewal, Work};
pub use runner::{Clock, Options, Runner, Tick, Trouble};
pub use schedule::{Invalid, Schedule, Timing};
pub use stop::{Reason, Stop};
