//! Every URL of this site. The only home of actix.
//!
//! [`serve`] binds, serves and stops. `routes` shows every URL on one page; each resource has a file under `api`, whose handler parses,
//! makes one call on a blocking thread, and answers. Whoever calls is known before a body is read.

mod admin;
mod answer;
mod api;
mod app;
mod body;
mod eden;
mod routes;
mod server;
mod tls;

pub use server::{Changes, Listen, serve};
