//! Entente keeps databases at many sites in agreement, over networks that come and go.

pub mod config;
pub mod connector;
pub mod decide;
pub mod error;
pub mod jobs;
pub mod model;
pub mod peer;
pub mod site;
pub mod store;
pub mod sync;
pub mod web;
pub mod wire;
