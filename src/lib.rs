//! Entente keeps databases at many sites in agreement, over networks that come and go.
//!
//! # The map, from the ground up
//!
//! Ground, no I/O and no clock: [`error`], [`config`], [`model`] (the words), [`decide`] (who wins), [`wire`] (bytes ↔ values),
//! [`postgresql`] (what it takes to reach a PostgreSQL server).
//! First floor, one door to each part of the world: [`store`] (the control store), [`connector`] (the users' data and its journal),
//! [`peer`] (other sites as we call them). Second floor: [`site`] (this installation, opened once) and [`sync`] (the engine).
//! Roof: [`web`] (other sites as they call us) and [`jobs`] (what the worker does).
//!
//! # The flows
//!
//! 1. The worker leases a job ([`jobs`]) and runs it ([`sync::run`]): pages are pulled from the [`peer`] and applied, each in one
//!    transaction with journal and cursor: what is here of its records is looked up in one query, [`decide`] says what becomes of
//!    each, the [`connector`] does it. Then pages of what changed here are read and pushed, and the log is written.
//! 2. Another site asks ([`web`]) for a page, which the [`connector`] reads, or gives one, which is applied just so ([`sync::serve`]).
//! 3. A person says something on the command line, which makes one call into [`sync`], [`store`] or [`site`].

pub mod config;
pub mod connector;
pub mod decide;
pub mod error;
pub mod jobs;
pub mod model;
pub mod peer;
pub mod postgresql;
pub mod site;
pub mod store;
pub mod sync;
pub mod web;
pub mod wire;
