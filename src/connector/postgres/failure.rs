//! PostgreSQL's errors as ours.

use postgres::error::{Error as Driver, SqlState};

use crate::error::{Error, Kind, Result};

/// Turns a driver's result into ours.
pub(super) trait Told<T> {
    /// `doing` completes "could not …".
    fn told(self, doing: &str) -> Result<T>;
}

impl<T> Told<T> for std::result::Result<T, Driver> {
    fn told(self, doing: &str) -> Result<T> {
        self.map_err(|e| failure(e, doing))
    }
}

/// What a class of states (its first two characters) stands for where no single state says more.
const CLASSES: &[(&str, Kind)] = &[
    ("08", Kind::Unreachable),
    ("09", Kind::Constraint),
    ("22", Kind::Constraint),
    ("23", Kind::Constraint),
    ("27", Kind::Constraint),
    ("28", Kind::Unauthorized),
    ("2F", Kind::Constraint),
    ("38", Kind::Constraint),
    ("39", Kind::Constraint),
    ("40", Kind::Busy),
    ("44", Kind::Constraint),
    ("P0", Kind::Constraint),
];

/// What single states stand for, and what to do.
const STATES: &[(&str, Kind, &str)] = &[
    ("40001", Kind::Busy, "Another program changed the same rows at this moment; this is tried again."),
    ("40P01", Kind::Busy, "Another program waited for us as we waited for it; this is tried again."),
    ("55P03", Kind::Busy, "Another program holds what is needed; this is tried again."),
    (
        "57014",
        Kind::Timeout,
        "The server's statement_timeout for this role is too short for this; give it more: ALTER ROLE … SET statement_timeout.",
    ),
    ("42501", Kind::Forbidden, "See docs/postgresql.md for the privileges that are needed."),
    ("25006", Kind::Forbidden, "The server takes no writes: it is a standby, or the role or database is set to read only."),
    ("28P01", Kind::Unauthorized, "The password is wrong, or missing in the address: postgres://USER:PASSWORD@HOST/DATABASE."),
    ("28000", Kind::Unauthorized, "The server does not let this user in from here; see its pg_hba.conf."),
    ("3D000", Kind::NotFound, "The server has no database of that name."),
    ("53100", Kind::Full, "The disk of the database server is full. Nothing of this page was kept; free some space and run again."),
    ("53200", Kind::Full, "The database server is out of memory."),
    ("53300", Kind::Busy, "The server has no connection left; raise max_connections, or wait."),
    ("57P01", Kind::Unreachable, "The server is being shut down or ended our connection."),
    ("57P02", Kind::Unreachable, "The server crashed and starts again."),
    ("57P03", Kind::Unreachable, "The server is just starting, or shutting down."),
    ("58030", Kind::Full, "The disk of the database server fails."),
];

pub(super) fn failure(error: Driver, doing: &str) -> Error {
    let (kind, hint) = kind_of(&error);
    let told = match error.as_db_error() {
        Some(said) => {
            let detail = said.detail().filter(|_| kind == Kind::Constraint).map_or_else(String::new, |detail| format!(" ({detail})"));
            Error::new(kind, format!("could not {doing}: {}{detail}", said.message()))
        }
        None => Error::new(kind, format!("could not {doing}")).because(error),
    };
    if hint.is_empty() { told } else { told.hint(hint) }
}

fn kind_of(error: &Driver) -> (Kind, &'static str) {
    let Some(state) = error.code().map(SqlState::code) else {
        let lost = error.is_closed() || std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>());
        return if lost {
            (Kind::Unreachable, "The database server ended the connection, or cannot be reached.")
        } else {
            (Kind::Internal, "")
        };
    };
    if let Some((_, kind, hint)) = STATES.iter().find(|(known, ..)| *known == state) {
        return (*kind, hint);
    }
    let class = CLASSES.iter().find(|(class, _)| state.starts_with(class));
    (class.map_or(Kind::Internal, |(_, kind)| *kind), "")
}

/// A name as SQL writes it, whatever it is.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL writes it.
pub(super) fn literal(text: &str) -> String {
    let escape = if text.contains('\\') { "E" } else { "" };
    format!("{escape}'{}'", text.replace('\'', "''").replace('\\', "\\\\"))
}
