//! What goes wrong while a connection is made, in our words.

use tokio_postgres::{Error as Driver, error::SqlState};

use crate::error::{Error, Kind};

/// What single states stand for, what we say, and what to do.
const STATES: &[(SqlState, Kind, &str, &str)] = &[
    (SqlState::INVALID_PASSWORD, Kind::Unauthorized, "The database server refuses the password for the control store", PASSWORD),
    (
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        Kind::Unauthorized,
        "The database server does not let this user in from here",
        "See its pg_hba.conf, and the user in the address.",
    ),
    (
        SqlState::INVALID_CATALOG_NAME,
        Kind::NotFound,
        "The database server has no database of that name",
        "Make it first: CREATE DATABASE entente OWNER the_user.",
    ),
    (
        SqlState::INSUFFICIENT_PRIVILEGE,
        Kind::Forbidden,
        "The user of the control store may not do that",
        "It needs CONNECT on the database, and CREATE on it or a schema entente_control of its own.",
    ),
    (
        SqlState::TOO_MANY_CONNECTIONS,
        Kind::Busy,
        "The database server has no connection left",
        "Raise its max_connections, or stop what holds them.",
    ),
    (SqlState::CANNOT_CONNECT_NOW, Kind::Unreachable, "The database server is just starting, or shutting down", "Try again in a moment."),
    (SqlState::ADMIN_SHUTDOWN, Kind::Unreachable, "The database server ended the connection", "Try again in a moment."),
    (SqlState::CRASH_SHUTDOWN, Kind::Unreachable, "The database server crashed and starts again", "Try again in a moment."),
    (SqlState::DISK_FULL, Kind::Full, "There is no space left on the database server", "Make room on its disk."),
];

const PASSWORD: &str =
    "Give the right one: with --database-password-file, in PGPASSWORD or a passfile (~/.pgpass), or in the address in ENTENTE_DATABASE.";

const REACH: &str = "Is the address right, is the server running, and may this machine reach it? A certificate by an authority of your own wants \
    sslrootcert=FILE in the address and the name that stands in it; sslmode=disable does without TLS.";

/// A driver's error as ours.
pub(super) fn told(error: Driver) -> Error {
    if let Some(said) = error.as_db_error() {
        let (state, message) = (said.code().clone(), said.message().to_owned());
        let known = STATES.iter().find(|(known, ..)| *known == state);
        let (kind, sentence, hint) =
            known.map_or((Kind::Internal, "The control store cannot be opened", ""), |(_, kind, sentence, hint)| (*kind, *sentence, *hint));
        let error = Error::new(kind, sentence).because(message);
        return if hint.is_empty() { error } else { error.hint(hint) };
    }
    let wanted = std::error::Error::source(&error).is_some_and(|source| source.to_string() == "password missing");
    if wanted {
        return Error::new(Kind::Unauthorized, "The database server wants a password for the control store").hint(PASSWORD);
    }
    Error::new(Kind::Unreachable, "The database server of the control store cannot be reached").because(error).hint(REACH)
}
