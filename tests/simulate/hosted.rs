//! An application whose database is on a PostgreSQL server: a server for all worlds, a database a site, made from a template.
//!
//! The application is a role of its own, which owns the tables; the engine is another, and no superuser. Triggers read the server's clock: in the
//! templates their functions read the world's instead.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use entente::{
    connector::{Connector, Postgres},
    model::{SiteId, Time, Uuids},
};
use postgres::{Client, NoTls, SimpleQueryMessage, SimpleQueryRow};

use crate::{
    mirror,
    oracle::{Fields, Rows},
    place::Application,
    planted::Planted,
    raw::Source,
    server::TestDatabase,
    shape::Shape,
};

const CLERK: &str = "clerk";
const ENGINE: &str = "courier";

/// How long the application waits for the engine: nothing goes on while it does.
const PATIENCE: &str = "30ms";

/// A superuser's connection to the server.
fn admin() -> MutexGuard<'static, TestDatabase> {
    static ADMIN: OnceLock<Mutex<TestDatabase>> = OnceLock::new();
    let start = || {
        let mut admin = TestDatabase::new();
        // What comes when it likes to makes two worlds of one seed.
        for sql in ["ALTER SYSTEM SET autovacuum = off", "ALTER SYSTEM SET max_wal_size = '256MB'", "SELECT pg_reload_conf()"] {
            admin.sql(sql);
        }
        admin.sql(&format!(
            "CREATE ROLE {CLERK} LOGIN; CREATE ROLE {ENGINE} LOGIN; GRANT {CLERK} TO {ENGINE};
             ALTER ROLE {ENGINE} SET plan_cache_mode = force_generic_plan;
             ALTER ROLE {CLERK} SET lock_timeout = '{PATIENCE}'; ALTER ROLE {CLERK} SET synchronous_commit = off"
        ));
        Mutex::new(admin)
    };
    ADMIN.get_or_init(start).lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn url(user: &str, database: &str) -> String {
    let known = admin().url_as(user);
    format!("{}/{database}", known.rsplit_once('/').unwrap().0)
}

/// The address by which the engine knows a database.
pub(crate) fn engine_url(database: &str) -> String {
    format!("{}?sslmode=disable", url(ENGINE, database))
}

/// A superuser's connection to a database.
pub(crate) fn admin_of(database: &str) -> Client {
    Client::connect(&url("tester", database), NoTls).unwrap()
}

fn new_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("world_{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Makes a copy of a database that nobody is connected to any longer. Returns its name.
pub(crate) fn copy(database: &str) -> String {
    let new = new_name();
    await_end(database, "true");
    admin().sql(&format!("CREATE DATABASE {new} TEMPLATE {database}"));
    new
}

/// Puts a copy of `copy` in the place of a database.
pub(crate) fn replace(database: &str, copy: &str) {
    drop_now(database);
    admin().sql(&format!("CREATE DATABASE {database} TEMPLATE {copy}"));
}

/// Removes a database that nobody is connected to any longer, sooner or later: the first of many takes a checkpoint, the others hardly anything.
pub(crate) fn remove(database: &str) {
    static GONE: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut gone = GONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    gone.push(database.to_owned());
    if gone.len() >= 25 {
        gone.drain(..).for_each(|database| drop_now(&database));
    }
}

fn drop_now(database: &str) {
    admin().sql(&format!("DROP DATABASE {database} WITH (FORCE)"));
}

/// Kills the engine's connections to a database.
pub(crate) fn kill_engine(database: &str) {
    let ours = "application_name = 'entente'";
    admin().rows(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}' AND {ours}"));
    await_end(database, ours);
}

/// Makes the journal of a database a wrong one.
pub(crate) fn plant(database: &str, shape: Shape, planted: Planted) {
    let mut app = admin_of(database);
    match planted {
        Planted::PassesWhatIsOpen => app
            .batch_execute(
                "CREATE FUNCTION sim.pass() RETURNS trigger LANGUAGE plpgsql AS $$
                 DECLARE last text := pg_snapshot_xmax(NEW.gathered)::text;
                 BEGIN NEW.gathered := (last || ':' || last || ':')::pg_snapshot; RETURN NEW; END $$;
                 CREATE TRIGGER pass BEFORE UPDATE ON entente.mark FOR EACH ROW EXECUTE FUNCTION sim.pass()",
            )
            .unwrap(),
        Planted::EmptiedUnseen => {
            let unseen = |(at, table)| format!("ALTER TABLE {table} DISABLE TRIGGER entente_{}_truncate;", at + 1);
            app.batch_execute(&shape.tables.iter().enumerate().map(unseen).collect::<String>()).unwrap();
        }
        _ => {}
    }
}

/// Changes the functions of the triggers.
fn rewrite(app: &mut Client, shape: Shape, from: &str, to: &str) {
    for id in 1..=shape.tables.len() {
        let sql = format!("SELECT pg_get_functiondef('entente.capture_{id}()'::regprocedure)");
        let function: String = app.query_one(&sql, &[]).unwrap().get(0);
        let changed = function.replace(from, to);
        assert_ne!(function, changed, "the triggers do not say {from:?} by now");
        app.batch_execute(&changed).unwrap();
    }
}

/// Waits until connections have ended: that takes a moment after they were closed.
fn await_end(database: &str, which: &str) {
    let begun = Instant::now();
    let open = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND {which}");
    while admin().rows(&open) != "0" {
        assert!(begun.elapsed() < Duration::from_secs(20), "somebody is still connected to {database}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A database with tables of this shape, attached and empty: made once, copied for each site.
pub(crate) fn template(shape: Shape) -> String {
    static MADE: OnceLock<Mutex<HashMap<Shape, String>>> = OnceLock::new();
    let mut made = MADE.get_or_init(Mutex::default).lock().unwrap();
    made.entry(shape).or_insert_with(|| make_template(shape)).clone()
}

fn make_template(shape: Shape) -> String {
    let name = new_name();
    admin().sql(&format!("CREATE DATABASE {name}"));
    let mut app = admin_of(&name);
    app.batch_execute(&format!(
        "GRANT CREATE ON SCHEMA public TO {CLERK}; CREATE SCHEMA entente AUTHORIZATION {ENGINE};
         SET ROLE {CLERK}; {} RESET ROLE;
         CREATE SCHEMA sim; GRANT USAGE ON SCHEMA sim TO PUBLIC;
         CREATE TABLE sim.clock (at bigint NOT NULL); INSERT INTO sim.clock VALUES (0); GRANT SELECT, UPDATE ON sim.clock TO PUBLIC;
         CREATE FUNCTION sim.now() RETURNS timestamptz LANGUAGE sql AS
           'SELECT timestamptz ''epoch'' + at * interval ''1 microsecond'' FROM sim.clock'",
        shape.schema_on_postgres()
    ))
    .unwrap();
    let mut db = Postgres::open(&engine_url(&name), Uuids::default()).unwrap();
    let nobody = SiteId(uuid::Uuid::from_u128(1));
    db.attach(&shape.specs(), nobody, Time(1_000_000), &mut |_, _, _| {}).unwrap();
    // The checks look with the application's eyes.
    app.batch_execute(&format!("GRANT USAGE ON SCHEMA entente TO {CLERK}; GRANT SELECT ON ALL TABLES IN SCHEMA entente TO {CLERK}"))
        .unwrap();
    rewrite(&mut app, shape, "clock_timestamp()", "sim.now()");
    name
}

/// One of the application's connections.
#[derive(Clone)]
pub(crate) struct Session(Arc<Mutex<Client>>);

impl Session {
    fn open(database: &str) -> Session {
        Session(Arc::new(Mutex::new(Client::connect(&url(CLERK, database), NoTls).unwrap())))
    }

    /// Runs statements; where one is refused, the reason, and what was begun is undone.
    fn run(&self, sql: &str) -> Result<(), String> {
        let mut client = self.0.lock().unwrap();
        let done = client.batch_execute(sql);
        done.map_err(|error| {
            client.batch_execute("ROLLBACK").unwrap();
            error.as_db_error().map_or_else(|| error.to_string(), |said| said.message().to_owned())
        })
    }

    /// The rows of several queries.
    fn ask(&self, sql: &str) -> Vec<Vec<SimpleQueryRow>> {
        let mut answers = vec![Vec::new()];
        for message in self.0.lock().unwrap().simple_query(sql).unwrap() {
            match message {
                SimpleQueryMessage::Row(row) => answers.last_mut().unwrap().push(row),
                SimpleQueryMessage::CommandComplete(_) => answers.push(Vec::new()),
                _ => {}
            }
        }
        answers.pop();
        answers
    }

    fn all_rows(&self, shape: Shape) -> Rows {
        let sql: String = shape.tables.iter().map(|table| format!("SELECT * FROM {table};")).collect();
        let of = |(rows, table): (Vec<SimpleQueryRow>, &&'static str)| {
            let key = shape.key(table);
            rows.iter().map(fields).map(|row| ((*table, row[key].clone()), row)).collect::<Vec<_>>()
        };
        self.ask(&sql).into_iter().zip(shape.tables).flat_map(of).collect()
    }
}

fn fields(row: &SimpleQueryRow) -> Fields {
    let named = row.columns().iter().enumerate();
    named.filter_map(|(at, column)| Some((column.name().to_owned(), row.get(at)?.to_owned()))).collect()
}

/// What the application did while others were at work.
pub(crate) struct Happened {
    pub(crate) what: String,
    /// For the tally.
    pub(crate) kind: &'static str,
    pub(crate) before: Rows,
    pub(crate) after: Rows,
}

/// An application that does several things at once: one session for what is done at once, and one for what takes long.
#[derive(Clone)]
pub(crate) struct Hosted {
    database: String,
    shape: Shape,
    session: Session,
    long: Session,
    /// A transaction is open there.
    open: Arc<AtomicBool>,
    happened: Arc<Mutex<Vec<Happened>>>,
}

impl Hosted {
    pub(crate) fn open(database: &str, shape: Shape) -> Hosted {
        let [session, long] = [0, 1].map(|_| Session::open(database));
        Hosted { database: database.to_owned(), shape, session, long, open: Arc::default(), happened: Arc::default() }
    }

    /// Whether a transaction is open.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Goes on with the long transaction, or begins one.
    pub(crate) fn write_long(&self, sql: &str) -> Result<(), String> {
        let begin = if self.open.swap(true, Ordering::Relaxed) { "" } else { "BEGIN;" };
        self.long.run(&format!("{begin} {sql}")).inspect_err(|_| self.open.store(false, Ordering::Relaxed))
    }

    /// Ends the long transaction.
    pub(crate) fn end_long(&self, how: &str) {
        if self.open.swap(false, Ordering::Relaxed) {
            self.noting(&self.long, if how == "COMMIT" { "long transaction committed" } else { "long transaction undone" }, how);
        }
    }

    /// Runs statements, and notes what came of them.
    pub(crate) fn meanwhile(&self, sql: &str) {
        self.noting(&self.session, "write in the middle of a run", sql);
    }

    fn noting(&self, session: &Session, kind: &'static str, sql: &str) {
        let before = self.session.all_rows(self.shape);
        let done = session.run(sql);
        let after = self.session.all_rows(self.shape);
        let what = done.map_or_else(|error| format!("{sql} -- refused: {error}"), |()| sql.to_owned());
        self.happened.lock().unwrap().push(Happened { what, kind, before, after });
    }

    /// What happened since this was last asked.
    pub(crate) fn happened(&self) -> Vec<Happened> {
        std::mem::take(&mut *self.happened.lock().unwrap())
    }

    /// The server ends the engine's connections.
    pub(crate) fn kill_engine(&self) {
        kill_engine(&self.database);
        let happened = Happened {
            what: "the server ends our connections".into(),
            kind: "connection ended by the server",
            before: Rows::new(),
            after: Rows::new(),
        };
        self.happened.lock().unwrap().push(happened);
    }
}

impl Application for Hosted {
    fn run(&self, sql: &str) -> Result<(), String> {
        self.session.run(sql)
    }

    fn rows(&self, table: &str, key: &str) -> BTreeMap<String, Fields> {
        let rows = self.session.ask(&format!("SELECT * FROM {table}"));
        rows.iter().flatten().map(fields).map(|row| (row[key].clone(), row)).collect()
    }

    fn extras(&self, table: &str) -> Vec<String> {
        let sql = format!(
            "SELECT attname FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attname LIKE 'x%' AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        );
        self.session.ask(&sql).iter().flatten().map(|row| row.get(0).unwrap().to_owned()).collect()
    }

    fn source(&self) -> Source<'_> {
        Source::Copy(mirror::make(self.shape, |sql| self.session.ask(sql)))
    }

    fn heads(&self) -> Vec<i64> {
        let head = |id| format!("SELECT COALESCE(MAX(arrival), 0) FROM entente.state_{id};");
        let sql: String = (1..=self.shape.tables.len()).map(head).collect();
        self.session.ask(&sql).iter().map(|rows| rows[0].get(0).unwrap().parse().unwrap()).collect()
    }

    fn unsound(&self) -> Vec<String> {
        let mut broken = Vec::new();
        if self.shape.tables.contains(&"person") {
            let key = self.shape.key("org");
            let sql = format!(
                "SELECT count(*) FROM person p WHERE NOT EXISTS (SELECT 1 FROM org o WHERE o.{key} = p.org)
                 OR chief IS NOT NULL AND NOT EXISTS (SELECT 1 FROM person c WHERE c.id = p.chief)"
            );
            broken.extend(self.more_than_none(&sql).map(|dangling| format!("{dangling} rows refer to nothing")));
        }
        if self.shape.unique {
            let sql = "SELECT count(*) FROM (SELECT 1 FROM org GROUP BY name HAVING count(name) > 1) twice";
            broken.extend(self.more_than_none(sql).map(|twice| format!("{twice} names are there twice")));
        }
        broken
    }

    fn tell_time(&self, now: Time) {
        self.run(&format!("UPDATE sim.clock SET at = {}", now.0)).unwrap();
    }

    fn hosted(&self) -> Option<&Hosted> {
        Some(self)
    }
}

impl Hosted {
    fn more_than_none(&self, count: &str) -> Option<String> {
        self.session.ask(count)[0][0].get(0).filter(|count| *count != "0").map(str::to_owned)
    }
}
