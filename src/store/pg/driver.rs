//! A blocking connection of diesel's to PostgreSQL, without libpq: diesel-async inside, and the one trait more that a choice of databases wants.

use std::sync::OnceLock;

use diesel::{
    ConnectionResult, QueryResult,
    connection::{
        CacheSize, Connection, ConnectionSealed, Instrumentation, LoadConnection, MultiConnectionHelper, SimpleConnection,
        TransactionManager, TransactionManagerStatus,
    },
    expression::QueryMetadata,
    migration::MigrationConnection,
    pg::{Pg, PgMetadataLookup, PgTypeMetadata},
    query_builder::{Query, QueryFragment, QueryId},
    r2d2::R2D2Connection,
    sql_types::TypeMetadata,
};
use diesel_async::{
    AsyncPgConnection,
    async_connection_wrapper::{AsyncConnectionWrapper, BlockOn},
    pooled_connection::PoolableConnection,
};
use tokio::runtime::Runtime;

use crate::error::{Error, Result};

/// The runtime that all connections of this process live in. It is never dropped, so that a connection may be dropped anywhere.
pub(super) fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
    let built = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("control store").enable_all().build().ok();
    RUNTIME.get_or_init(built).as_ref().ok_or_else(|| Error::internal("No thread could be started for the control store"))
}

/// Waits in that runtime. Must not be used on a thread that runs asynchronous tasks.
pub struct Here;

impl BlockOn for Here {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        match runtime() {
            Ok(runtime) => runtime.block_on(future),
            Err(_) => unreachable!("a connection was made in it"),
        }
    }

    fn get_runtime() -> Here {
        Here
    }
}

type Inner = AsyncConnectionWrapper<AsyncPgConnection, Here>;
type InnerManager = <Inner as Connection>::TransactionManager;

/// A connection to PostgreSQL. It blocks.
pub struct PgConn(Inner);

impl From<AsyncPgConnection> for PgConn {
    fn from(inner: AsyncPgConnection) -> PgConn {
        PgConn(Inner::from(inner))
    }
}

impl SimpleConnection for PgConn {
    fn batch_execute(&mut self, sql: &str) -> QueryResult<()> {
        self.0.batch_execute(sql)
    }
}

impl ConnectionSealed for PgConn {}

impl Connection for PgConn {
    type Backend = Pg;
    type TransactionManager = Transactions;

    fn establish(url: &str) -> ConnectionResult<PgConn> {
        Inner::establish(url).map(PgConn)
    }

    fn execute_returning_count<T: QueryFragment<Pg> + QueryId>(&mut self, source: &T) -> QueryResult<usize> {
        self.0.execute_returning_count(source)
    }

    fn transaction_state(&mut self) -> &mut <Transactions as TransactionManager<PgConn>>::TransactionStateData {
        self.0.transaction_state()
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        self.0.instrumentation()
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.0.set_instrumentation(instrumentation);
    }

    fn set_prepared_statement_cache_size(&mut self, size: CacheSize) {
        self.0.set_prepared_statement_cache_size(size);
    }
}

impl LoadConnection for PgConn {
    type Cursor<'conn, 'query> = <Inner as LoadConnection>::Cursor<'conn, 'query>;
    type Row<'conn, 'query> = <Inner as LoadConnection>::Row<'conn, 'query>;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> QueryResult<Self::Cursor<'conn, 'query>>
    where
        T: Query + QueryFragment<Pg> + QueryId + 'query,
        Pg: QueryMetadata<T::SqlType>,
    {
        <Inner as LoadConnection>::load(&mut self.0, source)
    }
}

/// The transactions of the connection inside.
pub struct Transactions;

impl TransactionManager<PgConn> for Transactions {
    type TransactionStateData = <InnerManager as TransactionManager<Inner>>::TransactionStateData;

    fn begin_transaction(conn: &mut PgConn) -> QueryResult<()> {
        InnerManager::begin_transaction(&mut conn.0)
    }

    fn rollback_transaction(conn: &mut PgConn) -> QueryResult<()> {
        InnerManager::rollback_transaction(&mut conn.0)
    }

    fn commit_transaction(conn: &mut PgConn) -> QueryResult<()> {
        InnerManager::commit_transaction(&mut conn.0)
    }

    fn transaction_manager_status_mut(conn: &mut PgConn) -> &mut TransactionManagerStatus {
        InnerManager::transaction_manager_status_mut(&mut conn.0)
    }

    fn is_broken_transaction_manager(conn: &mut PgConn) -> bool {
        InnerManager::is_broken_transaction_manager(&mut conn.0)
    }
}

impl R2D2Connection for PgConn {
    fn ping(&mut self) -> QueryResult<()> {
        self.0.batch_execute("SELECT 1")
    }

    /// Whether it is known to be lost. Costs no round trip.
    fn is_broken(&mut self) -> bool {
        let inner: &mut AsyncPgConnection = &mut self.0;
        PoolableConnection::is_broken(inner)
    }
}

impl MigrationConnection for PgConn {
    fn setup(&mut self) -> QueryResult<usize> {
        self.0.setup()
    }
}

/// The control store uses built-in types alone, whose numbers are the same everywhere, so nothing is ever looked up.
struct NoLookup;

impl PgMetadataLookup for NoLookup {
    fn lookup_type(&mut self, name: &str, _schema: Option<&str>) -> PgTypeMetadata {
        unreachable!("the control store has no column of the type {name}")
    }

    fn as_any<'a>(&mut self) -> &mut (dyn std::any::Any + 'a)
    where
        Self: 'a,
    {
        self
    }
}

impl MultiConnectionHelper for PgConn {
    fn to_any<'a>(_lookup: &mut <Pg as TypeMetadata>::MetadataLookup) -> &mut (dyn std::any::Any + 'a) {
        // Of no size, so nothing is allocated and nothing leaks.
        Box::leak(Box::new(NoLookup))
    }

    fn from_any(lookup: &mut dyn std::any::Any) -> Option<&mut <Pg as TypeMetadata>::MetadataLookup> {
        lookup.downcast_mut::<NoLookup>().map(|lookup| lookup as &mut dyn PgMetadataLookup)
    }
}
