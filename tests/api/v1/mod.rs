//! The REST API for programs.

mod book;
mod contract;
mod docs;
mod rights;
mod story;
mod watched;
