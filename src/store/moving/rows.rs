//! Every table with every column, copied a page at a time.

use diesel::{
    QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Nullable},
};

use super::Progress;
use crate::{error::Result, store::Conn};

/// Rows that are held in memory at a time.
const PAGE: i64 = 500;

/// Tables whose numbers are counted on, and never given twice.
const COUNTED: [&str; 4] = ["repository", "resource", "job", "log"];

/// Copies all rows from the first to the second, and says after each page how many it had.
type Copy = fn(&mut Conn, &mut Conn, &mut dyn FnMut(u64)) -> Result<()>;

/// One table, and how it is copied.
pub(super) struct Table {
    pub(super) name: &'static str,
    #[cfg_attr(not(test), expect(dead_code, reason = "a test compares them with what the databases have"))]
    pub(super) columns: &'static [&'static str],
    count: fn(&mut Conn) -> Result<u64>,
    clear: fn(&mut Conn) -> Result<()>,
    copy: Copy,
}

macro_rules! tables {
    ($($table:ident by $key:ident: $key_type:ty { $($column:ident: $type:ty,)* })*) => {
        $(
            mod $table {
                use diesel::prelude::*;

                use super::PAGE;
                use crate::{error::Result, store::{Conn, conn::MultiBackend, schema::$table}};

                #[derive(Queryable, Selectable, Insertable)]
                #[diesel(table_name = $table, treat_none_as_default_value = false)]
                struct Row { $($column: $type,)* }

                pub(super) fn count(conn: &mut Conn) -> Result<u64> {
                    Ok($table::table.count().get_result::<i64>(conn)?.unsigned_abs())
                }

                pub(super) fn clear(conn: &mut Conn) -> Result<()> {
                    diesel::delete($table::table).execute(conn)?;
                    Ok(())
                }

                pub(super) fn copy(from: &mut Conn, to: &mut Conn, done: &mut dyn FnMut(u64)) -> Result<()> {
                    let mut last: Option<$key_type> = None;
                    loop {
                        let mut page = $table::table.select(Row::as_select()).order($table::$key).limit(PAGE).into_boxed::<MultiBackend>();
                        if let Some(last) = &last {
                            page = page.filter($table::$key.gt(last));
                        }
                        let rows: Vec<Row> = page.load(from)?;
                        let Some(row) = rows.last() else { return Ok(()) };
                        last = Some(row.$key.clone());
                        match to {
                            Conn::Sqlite(to) => diesel::insert_into($table::table).values(&rows).execute(to)?,
                            Conn::Postgres(to) => diesel::insert_into($table::table).values(&rows).execute(to)?,
                        };
                        done(rows.len() as u64);
                    }
                }
            }
        )*

        /// All tables; what refers to another stands after it.
        pub(super) const TABLES: &[Table] = &[$(
            Table { name: stringify!($table), columns: &[$(stringify!($column)),*], count: $table::count, clear: $table::clear, copy: $table::copy },
        )*];
    };
}

tables! {
    site by id: i64 {
        id: i64, uuid: String, name: String, created_on: i64, paused: bool, proxy: Option<String>, formerly: Option<String>,
        moved_to: Option<String>,
    }
    clone by uuid: String { uuid: String, since: i64, }
    moved by uuid: String { uuid: String, former: String, }
    database by name: String { name: String, url: String, password: Option<Vec<u8>>, }
    journal_mark by database: String { database: String, epoch: String, incarnation: i64, runs: i64, }
    attached by resource: String { resource: String, database: String, table_name: String, }
    repository by id: i64 {
        id: i64, uuid: Option<String>, name: String, url: Option<String>, username: Option<String>, password: Option<Vec<u8>>,
        proxy: Option<String>, accept_pushes: bool, enabled: bool, kind: String, offered_name: Option<String>,
    }
    resource by id: i64 {
        id: i64, repository: i64, name: String, mode: String, strategy: String, update_policy: String, conflict_policy: String,
        merge_fields: bool, accept_twins: bool, filters: String,
    }
    job by id: i64 {
        id: i64, repository: i64, enabled: bool, every: Option<i64>, cron: Option<String>, on_change: bool, zone: String,
        start_on: Option<i64>, end_on: Option<i64>, times: i64, timeout: i64, priority: i32, retries: i64, next_run: Option<i64>, runs: i64,
        failures: i64, lease_holder: Option<String>, lease_since: Option<i64>, lease_until: Option<i64>, fence: i64, ask: Option<String>,
    }
    lease by repository: i64 { repository: i64, holder: Option<String>, since: Option<i64>, until: Option<i64>, fence: i64, }
    log by id: i64 {
        id: i64, run: Option<i64>, time: i64, duration: i64, repository: Option<i64>, repository_name: Option<String>,
        resource: Option<String>, action: String, direction: String, outcome: String, remote: bool, message: String, records: i64,
        created: i64, updated: i64, deleted: i64, unchanged: i64, kept: i64, conflicts: i64, quarantined: i64, parked: i64, bytes: i64,
        holder: Option<String>, retracted: i64,
    }
    account by name: String {
        name: String, role: String, may_pull: bool, may_push: bool, resources: Option<String>, bound: Option<String>, password: String,
    }
    token by digest: Vec<u8> { digest: Vec<u8>, account: String, repository: i64, expires_on: i64, }
    api_token by digest: Vec<u8> {
        digest: Vec<u8>, name: String, account: Option<String>, scope: String, created_on: i64, expires_on: Option<i64>,
    }
    setup_code by id: i64 { id: i64, digest: Vec<u8>, created_on: i64, }
    key_check by id: i64 { id: i64, sealed: Vec<u8>, }
    guess by digest: Vec<u8> { digest: Vec<u8>, count: i64, last: i64, }
    visit by entry: i64 { entry: i64, repository: i64, resource: String, run: i64, }
    browser_session by digest: Vec<u8> {
        digest: Vec<u8>, account: String, created_on: i64, seen_on: i64, expires_on: i64, address: String, agent: String,
    }
    progress by repository: i64 {
        repository: i64, run: i64, resource: String, direction: String, records: i64, total: Option<i64>, begun: i64, at: i64,
    }
    traffic by hour: i64 { hour: i64, received: i64, sent: i64, bytes: i64, }
    condition by repository: i64 {
        repository: i64, run: i64, time: i64, outcome: String, message: String, failures: i64, last_success: Option<i64>, skew: Option<i64>,
        version: Option<String>,
    }
    met by repository: i64 {
        repository: i64, waiting: Option<i64>, waiting_on: Option<i64>, taken: String, offer: Option<String>, offer_on: Option<i64>,
    }
    verified by resource: i64 { resource: i64, at: i64, }
    housekeeping by id: i64 { id: i64, last: Option<i64>, holder: Option<String>, until: Option<i64>, }
}

/// How many rows a store has.
pub(super) fn count(conn: &mut Conn) -> Result<u64> {
    TABLES.iter().try_fold(0, |sum, table| Ok(sum + (table.count)(conn)?))
}

/// Makes the target hold what the source holds. Returns how many rows that are.
pub(super) fn copy(from: &mut Conn, to: &mut Conn, progress: Progress<'_>) -> Result<u64> {
    let (mut done, all) = (0, count(from)?);
    TABLES.iter().rev().try_for_each(|table| (table.clear)(to))?;
    for table in TABLES {
        progress(table.name, done, all);
        (table.copy)(from, to, &mut |more| {
            done += more;
            progress(table.name, done, all);
        })?;
    }
    for table in COUNTED {
        let number = last_number(from, table)?;
        set_last_number(to, table, number)?;
    }
    Ok(done)
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = Nullable<BigInt>)]
    number: Option<i64>,
}

/// The greatest number that was ever given in a table.
pub(super) fn last_number(conn: &mut Conn, table: &str) -> Result<i64> {
    let query = match conn {
        Conn::Sqlite(_) => format!("SELECT MAX(seq) AS number FROM sqlite_sequence WHERE name = '{table}'"),
        Conn::Postgres(_) => format!("SELECT CASE WHEN is_called THEN last_value END AS number FROM {table}_id_seq"),
    };
    Ok(sql_query(query).get_result::<Number>(conn)?.number.unwrap_or(0))
}

fn set_last_number(conn: &mut Conn, table: &str, number: i64) -> Result<()> {
    match conn {
        Conn::Sqlite(_) => {
            sql_query(format!("DELETE FROM sqlite_sequence WHERE name = '{table}'")).execute(conn)?;
            sql_query(format!("INSERT INTO sqlite_sequence (name, seq) VALUES ('{table}', {number})")).execute(conn)?;
        }
        Conn::Postgres(_) => {
            sql_query(format!("SELECT setval('{table}_id_seq', {}, {})", number.max(1), number > 0)).execute(conn)?;
        }
    }
    Ok(())
}
