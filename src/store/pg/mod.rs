//! The control store on PostgreSQL: how a connection is made and set up.

mod driver;
mod trouble;
mod watch;

use std::time::Duration;

use diesel_async::AsyncPgConnection;
use tokio_postgres::{Client, NoTls};

use super::conn::Use;
use crate::{
    error::{Error, Kind, Result},
    postgresql::{self, Address},
};

pub(super) use driver::PgConn;
pub(super) use watch::Watch;

use driver::runtime;
use trouble::told;

/// Our tables are in a schema of their own, so that they share a database with others.
pub(super) const SCHEMA: &str = "entente_control";

/// Takes the turn to change the store, until the end of the transaction. The number is ours.
pub(super) const ALONE: &str = "SELECT pg_advisory_xact_lock(7306934703218655489)";

/// Tells those who wait for changes, if there is a change.
pub(super) const TELL: &str = "SELECT pg_notify('entente_control', '') WHERE pg_current_xact_id_if_assigned() IS NOT NULL";
const LISTEN: &str = "LISTEN entente_control";

/// Held by every connection, shared, for as long as it lives; whoever moves the store away holds it alone.
const PRESENT: &str = "SELECT pg_try_advisory_lock_shared(7306934703218655490)";
/// The same alone.
const EXCLUSIVE: &str = "SELECT pg_try_advisory_lock(7306934703218655490)";
/// Held by the worker that follows changes.
pub(super) const FOLLOWER: &str = "pg_try_advisory_lock(7306934703218655491)";
/// Who holds it alone holds nobody up, and may wait for the other place.
const PATIENT: &str = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0";

/// How often, and with what pauses, it is tried to be there.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// The oldest version whose transaction numbers can be asked for.
const OLDEST: i32 = 130_000;

/// What all connections have in common. A process that hangs in a transaction holds up the others for so long and no longer.
const SETTINGS: &str = "SET search_path = entente_control; SET lock_timeout = '10s'; SET statement_timeout = '60s';
    SET idle_in_transaction_session_timeout = '20s'; SET synchronous_commit = on; SET client_min_messages = warning; SET jit = off;
    SET standard_conforming_strings = on; SET row_security = off;";
const READ: &str = "SET default_transaction_isolation = 'repeatable read'; SET default_transaction_read_only = on;";
const WRITE: &str = "SET default_transaction_isolation = 'read committed'; SET default_transaction_read_only = off;";

/// Whether others may have the store open meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Shared,
    Alone,
}

/// A connection, set up.
pub(super) fn connect(address: &Address, used: Use, presence: Presence) -> Result<PgConn> {
    runtime()?.block_on(open(address, used, presence)).map(PgConn::from)
}

async fn open(address: &Address, used: Use, presence: Presence) -> Result<AsyncPgConnection> {
    let (config, tls) = postgresql::connector(address)?;
    // Set up before it is diesel's, which keeps less of what an error says.
    match tls {
        None => {
            let (client, connection) = config.connect(NoTls).await.map_err(told)?;
            adopt(client, connection, used, presence).await
        }
        Some(tls) => {
            let (client, connection) = config.connect(tls).await.map_err(told)?;
            adopt(client, connection, used, presence).await
        }
    }
}

async fn adopt<S>(
    client: Client,
    connection: tokio_postgres::Connection<tokio_postgres::Socket, S>,
    used: Use,
    presence: Presence,
) -> Result<AsyncPgConnection>
where
    S: tokio_postgres::tls::TlsStream + Unpin + Send + 'static,
{
    let mut connection = connection;
    // The connection moves only while somebody drives it.
    tokio::select! {
        ready = set_up(&client, used, presence) => ready?,
        ended = std::future::poll_fn(|cx| std::pin::Pin::new(&mut connection).poll(cx)) => {
            return Err(ended.map_or_else(told, |()| Error::new(Kind::Unreachable, "The database server of the control store ended the connection")));
        }
    }
    let adopted = AsyncPgConnection::try_from_client_and_connection(client, connection).await;
    adopted.map_err(|error| Error::new(Kind::Unreachable, "The control store could not be opened").because(error))
}

async fn set_up(client: &Client, used: Use, presence: Presence) -> Result<()> {
    let version = "SELECT current_setting('server_version_num'), current_setting('server_version')";
    let row = client.query_one(version, &[]).await.map_err(told)?;
    check_version(row.get::<_, String>(0).parse().unwrap_or(0), row.get(1))?;
    client.batch_execute(SETTINGS).await.map_err(told)?;
    client.batch_execute(if used == Use::Read { READ } else { WRITE }).await.map_err(told)?;
    present(client, presence).await
}

async fn present(client: &Client, presence: Presence) -> Result<()> {
    let query = if presence == Presence::Alone { EXCLUSIVE } else { PRESENT };
    if presence == Presence::Alone {
        client.batch_execute(PATIENT).await.map_err(told)?;
    }
    // The server takes a moment to see that a process has ended.
    for _ in 0..TRIES {
        if client.query_one(query, &[]).await.map_err(told)?.get(0) {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(taken(presence))
}

fn taken(presence: Presence) -> Error {
    match presence {
        Presence::Shared => Error::new(Kind::Busy, "The control store is being moved to another place at this moment")
            .hint("Try again when `entente move-store` is done; it says where the store is then."),
        Presence::Alone => Error::new(Kind::Busy, "Somebody has this control store open")
            .hint("Stop all processes of Entente that use it (serve, worker, up), on every machine, and try again."),
    }
}

fn check_version(number: i32, name: &str) -> Result<()> {
    if number >= OLDEST {
        return Ok(());
    }
    let message = format!("The server is PostgreSQL {name}, and 13 is the oldest that can hold the control store");
    Err(Error::new(Kind::Unsupported, message).hint("Upgrade the server, or name another one."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_too_old_is_refused_by_its_version() {
        let error = check_version(120_022, "12.22").unwrap_err();
        assert!(error.kind() == Kind::Unsupported && error.to_string().contains("PostgreSQL 12.22"));
        assert!(check_version(130_000, "13.0").is_ok());
    }
}
