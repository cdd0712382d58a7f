//! Two and more sites in one process: real SQLite files, the real journal, decisions and wire format, without the network between.

mod agree;
mod awkward;
mod beside;
mod clone;
mod compare;
mod decided;
mod drift;
mod filters;
mod harm;
mod housekeeping;
mod postgres;
mod postgres_awkward;
mod twins;
mod verified;
mod world;
mod writers;
