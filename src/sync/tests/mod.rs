//! Two and more sites in one process: real SQLite files, the real journal, decisions and wire format, without the network between.

mod agree;
mod awkward;
mod decided;
mod drift;
mod filters;
mod harm;
mod pairs;
mod pairs_random;
mod postgres;
mod postgres_awkward;
mod verified;
mod world;
mod writers;
