//! What peers and programs call, over real connections to a real site.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where something is not as it should be")]

mod bodies;
mod clones;
mod compare;
mod doors;
mod lines;
mod pages;
mod served;
mod several;
mod v1;
