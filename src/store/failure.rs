//! What the database says, in our words. The only place where diesel's errors are read.

use diesel::result::{DatabaseErrorKind, Error as Diesel};

use crate::error::{Error, Kind};

/// Parts of the databases' own sentences, which is all that diesel tells of these, and what they mean: SQLite's, then PostgreSQL's.
const SENTENCES: [(&str, Kind, &str, &str); 19] = [
    ("is locked", Kind::Busy, "Another process holds the control store", "Try again in a moment."),
    ("disk is full", Kind::Full, "There is no space left for the control store", "Make room on the disk of the data directory."),
    ("file is not a database", Kind::Internal, "The control store is damaged or no control store", RESTORE),
    ("malformed", Kind::Internal, "The control store is damaged", RESTORE),
    ("readonly", Kind::Internal, "The control store cannot be written", OWNER),
    ("unable to open", Kind::Internal, "The control store cannot be opened", OWNER),
    ("disk I/O error", Kind::Internal, "The disk of the control store fails", "Check the disk and the space left on it."),
    ("no such table", Kind::Internal, "The control store lacks a table", RESTORE),
    (
        "permission denied for database",
        Kind::Forbidden,
        DENIED,
        "Let the user make a schema: GRANT CREATE ON DATABASE … TO …; or make it: CREATE SCHEMA entente_control AUTHORIZATION ….",
    ),
    ("permission denied", Kind::Forbidden, DENIED, "It must own the schema entente_control and all that is in it."),
    ("must be owner", Kind::Forbidden, DENIED, "It must own the schema entente_control and all that is in it."),
    ("No space left", Kind::Full, "There is no space left on the database server of the control store", "Make room on its disk."),
    ("due to lock timeout", Kind::Busy, "Another process holds the control store", "Try again in a moment."),
    ("due to statement timeout", Kind::Timeout, "The control store did not answer in time", "Try again in a moment."),
    ("idle-in-transaction timeout", Kind::Busy, "This process hung while it held the control store, which was taken from it", "Try again."),
    ("terminating connection", Kind::Unreachable, LOST, AGAIN),
    ("database system is", Kind::Unreachable, LOST, AGAIN),
    ("out of memory", Kind::Full, "The database server of the control store is out of memory", AGAIN),
    ("does not exist", Kind::Internal, "The control store lacks a table", "Restore its database from a backup."),
];
const DENIED: &str = "The user of the control store may not do that";
const LOST: &str = "The connection to the control store was lost";
const AGAIN: &str = "Nothing is lost; try again in a moment.";
const RESTORE: &str = "Restore entente.db in the data directory from a backup.";
const OWNER: &str = "Check that the data directory belongs to you and can be written.";

impl From<Diesel> for Error {
    fn from(error: Diesel) -> Error {
        let told = match &error {
            Diesel::DatabaseError(kind, info) => from_kind(kind).or_else(|| from_sentence(info.message())),
            Diesel::NotFound => Some(Error::not_found("It is not in the control store")),
            _ => None,
        };
        told.unwrap_or_else(|| Error::internal("The control store failed")).because(error)
    }
}

fn from_kind(kind: &DatabaseErrorKind) -> Option<Error> {
    Some(match kind {
        DatabaseErrorKind::UniqueViolation => Error::new(Kind::Exists, "It exists already"),
        DatabaseErrorKind::ForeignKeyViolation => Error::not_found("What it belongs to does not exist"),
        DatabaseErrorKind::UnableToSendCommand | DatabaseErrorKind::ClosedConnection => Error::new(Kind::Unreachable, LOST).hint(AGAIN),
        DatabaseErrorKind::ReadOnlyTransaction => {
            Error::internal("The control store cannot be written").hint("Check that its database server is no standby and takes writes.")
        }
        DatabaseErrorKind::SerializationFailure => Error::new(Kind::Busy, "Another process changed the same thing").hint("Try again."),
        _ => return None,
    })
}

fn from_sentence(said: &str) -> Option<Error> {
    let known = SENTENCES.iter().find(|(part, ..)| said.contains(part));
    known.map(|(_, kind, message, hint)| Error::new(*kind, *message).hint(*hint))
}
