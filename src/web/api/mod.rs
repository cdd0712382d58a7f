//! What peers and programs call: one file a resource.

pub(super) mod compare;
pub(super) mod events;
pub(super) mod feed;
pub(super) mod fetch;
pub(super) mod hello;
pub(super) mod push;
pub(super) mod register;
pub(super) mod session;
pub(super) mod v1;
pub(in crate::web) mod who;
