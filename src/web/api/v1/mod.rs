//! The REST API for programs, `/api/v1`: one file a resource, each with its operations.
//!
//! An operation ([`operation`]) is a method, a path, the scope it needs, the types that it takes and answers, and a function. The routes and the
//! OpenAPI document are both made of these, so neither can tell anything that the other does not know.

mod accounts;
mod compare;
mod conflicts;
mod databases;
mod docs;
mod document;
mod health;
mod history;
mod jobs;
mod log;
mod metrics;
mod operation;
mod page;
mod person;
mod problem;
mod quarantine;
mod repositories;
mod resources;
mod routes;
mod runs;
mod site;
mod tokens;
mod version;

pub(in crate::web) use metrics::{Meter, tally};
pub(in crate::web) use routes::routes;
