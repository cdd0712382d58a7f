//! A connection to the control store, whatever database is behind it, and its transactions.
#![allow(missing_docs, unreachable_pub, clippy::large_enum_variant, reason = "diesel writes most of it")]

use diesel::{
    QueryResult, RunQueryDsl,
    connection::{AnsiTransactionManager, TransactionManager},
    sql_query,
    sqlite::SqliteConnection,
};

use super::pg::{self, PgConn};
use crate::error::Result;

/// A connection to the control store.
#[derive(diesel::MultiConnection)]
pub enum Conn {
    Sqlite(SqliteConnection),
    Postgres(PgConn),
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Questions: it cannot write, and a transaction sees one unchanging state.
    Read,
    /// Changes: one at a time, over all processes.
    Write,
}

/// Begins a transaction. For [`Use::Write`] it returns when nobody else changes the store.
pub(super) fn begin(conn: &mut Conn, used: Use) -> QueryResult<()> {
    match (&mut *conn, used) {
        (Conn::Sqlite(conn), Use::Write) => AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN IMMEDIATE"),
        (Conn::Postgres(_), Use::Write) => {
            Conn::begin_transaction(conn)?;
            let alone = sql_query(pg::ALONE).execute(conn);
            alone.map(|_| ()).inspect_err(|_| give_up(conn))
        }
        // Its connection was made so that it sees one state and cannot write.
        (_, Use::Read) => Conn::begin_transaction(conn),
    }
}

/// Does what is wanted in the transaction that has begun, and ends it: all of it is kept or nothing.
pub(super) fn complete<T>(conn: &mut Conn, used: Use, work: impl FnOnce(&mut Conn) -> Result<T>) -> Result<T> {
    let done = work(conn).and_then(|value| tell(conn, used).map(|()| value));
    match done {
        Ok(value) => {
            Conn::commit_transaction(conn).inspect_err(|_| give_up(conn))?;
            Ok(value)
        }
        Err(error) => {
            give_up(conn);
            Err(error)
        }
    }
}

/// Those who wait for changes hear of this one when it is committed.
fn tell(conn: &mut Conn, used: Use) -> Result<()> {
    if used == Use::Write && matches!(conn, Conn::Postgres(_)) {
        sql_query(pg::TELL).execute(conn)?;
    }
    Ok(())
}

// Where this fails the connection is lost, and the transaction with it; the pool throws it away.
fn give_up(conn: &mut Conn) {
    let _ = Conn::rollback_transaction(conn);
}
