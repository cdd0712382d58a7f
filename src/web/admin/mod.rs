//! What people see: server-rendered pages that work without scripts.
//!
//! [`desk`] knows who sits at a page and answers pages and forms; [`frame`] surrounds a page; each part of the site has a file. A handler makes its
//! page or its change on a blocking thread, with calls to sync and store.

mod assets;
mod attach;
mod compare;
mod conflicts;
mod counts;
mod desk;
mod door;
mod form;
mod frame;
mod history;
mod home;
mod job;
mod live;
mod log;
mod picture;
mod quarantine;
mod repository;
mod resource;
mod routes;
mod settings;
mod users;
mod whose;
mod words;

pub(super) use counts::Counts;
pub(super) use desk::{person, token};
pub(super) use routes::{pages_of, routes};
