//! SQLite's errors as ours.

use rusqlite::ErrorCode;

use crate::error::{Error, Kind, Result};

/// Turns a driver's result into ours.
pub(super) trait Told<T> {
    /// `doing` completes "could not …".
    fn told(self, doing: &str) -> Result<T>;
}

impl<T> Told<T> for rusqlite::Result<T> {
    fn told(self, doing: &str) -> Result<T> {
        self.map_err(|e| failure(e, doing))
    }
}

fn failure(error: rusqlite::Error, doing: &str) -> Error {
    let (kind, hint) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (Kind::Busy, "Another program holds the database; this is tried again.")
        }
        Some(ErrorCode::DiskFull) => (Kind::Full, "The disk is full. Nothing of this page was kept; free some space and run again."),
        Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig) => (Kind::Constraint, ""),
        Some(ErrorCode::CannotOpen) => (Kind::NotFound, "Does the file exist, and may this user read and write it and its folder?"),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => (Kind::Forbidden, "May this user write the file and its folder?"),
        Some(ErrorCode::NotADatabase) => (Kind::Malformed, "The file is not an SQLite database, or it is encrypted."),
        Some(ErrorCode::DatabaseCorrupt) => {
            (Kind::Internal, "The database file is damaged. Stop, keep a copy, and run `PRAGMA integrity_check`.")
        }
        Some(ErrorCode::SystemIoFailure) => (Kind::Full, "The disk is full, over a limit, or failing. Nothing of this page was kept."),
        _ => (Kind::Internal, ""),
    };
    let told = Error::new(kind, format!("could not {doing}")).because(error);
    if hint.is_empty() { told } else { told.hint(hint) }
}

/// A name as SQL writes it, whatever it is.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
