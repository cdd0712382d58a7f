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
mod pairs;
mod pairs_random;
mod postgres;
mod postgres_awkward;
mod postgres_keys;
mod postgres_trouble;
mod twins;
mod verified;
mod waiting;
mod watch;
mod world;
mod writers;
