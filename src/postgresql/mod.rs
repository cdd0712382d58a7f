//! What everything that speaks to a PostgreSQL server needs: where it is, the password, TLS. No SQL.

pub mod address;
pub mod password;
pub mod settings;
mod tls;

#[cfg(test)]
pub(crate) mod server;

pub use address::Address;
pub use settings::connector;
