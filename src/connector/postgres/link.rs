//! One connection: opened with the settings by which values are written in one way only, and its prepared statements.

use std::{collections::HashMap, ops::ControlFlow, thread::JoinHandle, time::Duration};

use postgres::{Client, Config, NoTls, Row, Statement, fallible_iterator::FallibleIterator as _, types::ToSql};

use super::{args::Arg, failure::Told};
use crate::{
    error::{Error, Kind, Result},
    postgresql::{self, Address},
};

/// How long we wait for another program that holds what we need.
const BUSY: &str = "10s";

/// The oldest version whose transaction numbers and snapshots can be stored.
const OLDEST: i64 = 130_000;

/// How long a server may take to say that it is there.
const ALIVE: Duration = Duration::from_secs(5);

/// The most statements that are kept prepared.
const PREPARED: usize = 256;

/// The settings that decide how values are written, how long we wait, and how long a process of ours that hangs in a transaction holds up others:
/// no transaction waits for anybody but this server. Row security off: rows that a policy hides from us would be taken for deleted, so that the
/// server is to refuse the query instead. All that we ask for is found by an index, a page at a time: so it has to be, too, while the server believes
/// that a table is empty.
const SETTINGS: &str = "SET datestyle = 'ISO, YMD'; SET intervalstyle = 'iso_8601'; SET timezone = 'UTC'; SET extra_float_digits = 3;
    SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET xmloption = 'content'; SET standard_conforming_strings = on; SET quote_all_identifiers = off;
    SET synchronous_commit = on; SET jit = off; SET enable_seqscan = off; SET random_page_cost = 1.1;
    SET idle_in_transaction_session_timeout = '20s'; SET row_security = off; SET default_transaction_isolation = 'read committed';
    SET default_transaction_read_only = off;";

/// A connection.
pub(super) struct Link {
    seat: Seat,
    /// What was done aside failed: nothing more can be done in its transaction.
    failed: bool,
    prepared: HashMap<String, Statement>,
}

/// Where the connection is.
enum Seat {
    Here(Box<Client>),
    /// With a thread that works for it.
    Aside(JoinHandle<(Box<Client>, Result<()>)>),
    Gone,
}

impl Link {
    /// Opens the database at a URL.
    pub(super) fn open(url: &str) -> Result<Link> {
        let (config, tls) = postgresql::connector(&Address::parse(url)?)?;
        let config = Config::from(config);
        let client = match tls {
            None => config.connect(NoTls),
            Some(tls) => config.connect(tls),
        };
        let client = client.map_err(|e| match e.code() {
            Some(_) => super::failure::failure(e, "open the database"),
            None => Error::new(Kind::Unreachable, "could not reach the database server")
                .because(e)
                .hint(
                    "Is the address right, is the server running, and may this machine reach it? A certificate by an authority of your own wants \
                     sslrootcert=FILE in the address, and the name that stands in it; sslmode=disable does without TLS.",
                ),
        })?;
        let mut link = Link { seat: Seat::Here(Box::new(client)), failed: false, prepared: HashMap::new() };
        link.batch(&format!("{SETTINGS} SET lock_timeout = '{BUSY}'"), "open the database")?;
        link.refuse_old()?;
        Ok(link)
    }

    fn refuse_old(&mut self) -> Result<()> {
        let row = self.one(
            "SELECT current_setting('server_version_num')::bigint, current_setting('server_version')",
            &[],
            "ask for the version",
        )?;
        use super::args::Columns;
        check_version(row.int(0)?.unwrap_or(0), row.text(1)?.unwrap_or_default())
    }

    /// Whether the connection is lost: the server is asked, since one that went while nobody spoke with it is not noticed otherwise.
    pub(super) fn lost(&mut self) -> bool {
        self.client().map_or(true, |client| client.is_valid(ALIVE).is_err())
    }

    /// The connection, once what it does aside is done; the error of that, if it failed.
    pub(super) fn client(&mut self) -> Result<&mut Client> {
        if let Seat::Aside(_) = self.seat
            && let Seat::Aside(work) = std::mem::replace(&mut self.seat, Seat::Gone)
        {
            let (client, done) = work.join().map_err(|_| Error::internal("work aside came to no end"))?;
            self.seat = Seat::Here(client);
            self.failed = done.is_err();
            done?;
        }
        match &mut self.seat {
            Seat::Here(client) => Ok(client),
            _ => Err(Error::internal("the connection is gone")),
        }
    }

    /// Has work done by a thread of its own while the caller goes on; whoever needs the connection next waits for it, and is told if it failed.
    pub(super) fn aside(&mut self, work: impl FnOnce(&mut Client) -> Result<()> + Send + 'static) -> Result<()> {
        self.client()?;
        let Seat::Here(mut client) = std::mem::replace(&mut self.seat, Seat::Gone) else {
            return Err(Error::internal("the connection is gone"));
        };
        let thread = std::thread::Builder::new().name("copy".into()).spawn(move || {
            let done = work(&mut client);
            (client, done)
        });
        let thread = thread.map_err(|e| Error::new(Kind::Busy, "no thread can be started").because(e))?;
        self.seat = Seat::Aside(thread);
        Ok(())
    }

    /// Whether what was done aside failed since the last [`Link::begin_again`].
    pub(super) fn failed(&self) -> bool {
        self.failed
    }

    /// Before a transaction ends or begins: what was done aside in the last one is over, however it ended.
    pub(super) fn begin_again(&mut self) {
        // Its error was told, or nobody wants it any more.
        let _ = self.client();
        self.failed = false;
    }

    /// Forgets all prepared statements: what they were made for changed.
    pub(super) fn forget(&mut self) {
        self.prepared.clear();
    }

    /// A statement, prepared once.
    pub(super) fn prepare(&mut self, sql: &str, doing: &str) -> Result<Statement> {
        if let Some(known) = self.prepared.get(sql) {
            return Ok(known.clone());
        }
        let statement = self.client()?.prepare(sql).told(doing)?;
        if self.prepared.len() >= PREPARED {
            self.prepared.clear();
        }
        self.prepared.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// All rows of a query.
    pub(super) fn query(&mut self, sql: &str, args: &[Arg<'_>], doing: &str) -> Result<Vec<Row>> {
        let statement = self.prepare(sql, doing)?;
        let args: Vec<&(dyn ToSql + Sync)> = args.iter().map(|arg| arg as &(dyn ToSql + Sync)).collect();
        self.client()?.query(&statement, &args).told(doing)
    }

    /// Takes the rows of a query one by one as they come, until one is the last that is wanted.
    pub(super) fn each(
        &mut self,
        sql: &str,
        args: &[Arg<'_>],
        doing: &str,
        mut take: impl FnMut(&Row) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let statement = self.prepare(sql, doing)?;
        let args = args.iter().map(|arg| arg as &(dyn ToSql + Sync));
        let mut rows = self.client()?.query_raw(&statement, args).told(doing)?;
        while let Some(row) = rows.next().told(doing)? {
            if take(&row)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The one row of a query that has at most one.
    pub(super) fn maybe(&mut self, sql: &str, args: &[Arg<'_>], doing: &str) -> Result<Option<Row>> {
        Ok(self.query(sql, args, doing)?.pop())
    }

    /// The one row of a query that has one.
    pub(super) fn one(&mut self, sql: &str, args: &[Arg<'_>], doing: &str) -> Result<Row> {
        self.maybe(sql, args, doing)?.ok_or_else(|| Error::internal(format!("could not {doing}: there is nothing")))
    }

    /// Runs a statement and tells how many rows it changed.
    pub(super) fn run(&mut self, sql: &str, args: &[Arg<'_>], doing: &str) -> Result<u64> {
        let statement = self.prepare(sql, doing)?;
        let args: Vec<&(dyn ToSql + Sync)> = args.iter().map(|arg| arg as &(dyn ToSql + Sync)).collect();
        self.client()?.execute(&statement, &args).told(doing)
    }

    /// Runs statements without values.
    pub(super) fn batch(&mut self, sql: &str, doing: &str) -> Result<()> {
        self.client()?.batch_execute(sql).told(doing)
    }
}

impl Drop for Link {
    /// Saying goodbye blocks, which a thread that runs asynchronous tasks must not do.
    fn drop(&mut self) {
        let seat = std::mem::replace(&mut self.seat, Seat::Gone);
        if tokio::runtime::Handle::try_current().is_ok() {
            drop(std::thread::spawn(move || drop(seat)));
        }
    }
}

fn check_version(number: i64, name: &str) -> Result<()> {
    if number >= OLDEST {
        return Ok(());
    }
    let message = format!("the server is PostgreSQL {name}, and 13 is the oldest that can be attached");
    Err(Error::new(Kind::Unsupported, message).hint("Upgrade the server."))
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
