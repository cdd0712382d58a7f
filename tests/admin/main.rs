//! The pages as people meet them: in a browser without a window, and as those who mean harm ask for them.
//!
//! Needs Chromium and its driver: `chromium` and `chromium-driver` on Debian, or what CHROMIUM and CHROMEDRIVER name.

#![expect(clippy::unwrap_used, reason = "a test")]

mod access;
mod browser;
mod door;
mod forms;
mod http;
mod journey;
mod live;
mod pages;
mod patience;
mod pictures;
mod plain;
mod roles;
mod scripts;
mod stage;
mod verbs;

#[path = "../process/house.rs"]
#[allow(dead_code, reason = "it is shared with the tests of processes")]
mod house;
