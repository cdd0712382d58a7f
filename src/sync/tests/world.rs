use std::{
    cell::{Cell, RefCell},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use crate::{
    config::{Config, Overrides, Settings},
    connector::{Postgres, Sqlite, TestDatabase},
    error::{Error, Kind, Result},
    model::{
        CompareAnswer, CompareRequest, Grant, Greeting, Hello, Identity, Limits, Page, PullRequest, PushRequest, Receipt, Registered,
        Registration, Repository, Resource, TableSpec, Time, Uuids,
    },
    peer::{Contact, Peer},
    site::{Site, Surroundings},
    store::{repositories, resources},
    sync::{
        admit::Caller,
        attach, compare,
        run::{Ask, Control, RunReport, run_with},
        serve,
    },
    wire,
};

thread_local! {
    /// How many machines a test has restored or cloned.
    static LATER: Cell<i64> = const { Cell::new(1) };
}

/// A site with one SQLite file of an application's own.
pub(super) struct TestSite {
    pub(super) site: Arc<Site>,
    pub(super) app: rusqlite::Connection,
    pub(super) file: PathBuf,
    /// In place of that file: a database of PostgreSQL's.
    postgres: Option<RefCell<TestDatabase>>,
    _folder: tempfile::TempDir,
}

impl TestSite {
    /// A site whose application has these tables.
    pub(super) fn new(name: &str, schema: &str) -> TestSite {
        TestSite::with(name, schema, Settings::default())
    }

    /// The same with settings of its own.
    pub(super) fn with(name: &str, schema: &str, settings: Settings) -> TestSite {
        TestSite::within(name, schema, settings, Surroundings::default())
    }

    /// The same by a clock that stands still, at so many microseconds, until the test moves it.
    pub(super) fn by_clock(name: &str, schema: &str, settings: Settings, clock: &Arc<AtomicI64>) -> TestSite {
        TestSite::within(name, schema, settings, by(clock))
    }

    fn within(name: &str, schema: &str, settings: Settings, around: Surroundings) -> TestSite {
        let folder = tempfile::tempdir().unwrap();
        let page_records = settings.page_records.or(Some(7));
        let settings = Settings { data: Some(folder.path().join("data")), name: Some(name.into()), page_records, ..settings };
        let site = Site::open_in(Config::load(Overrides { config: None, settings }).unwrap(), around).unwrap();
        let file = folder.path().join("app.db");
        let app = rusqlite::Connection::open(&file).unwrap();
        app.execute_batch(schema).unwrap();
        TestSite { site, app, file, postgres: None, _folder: folder }
    }

    /// A site whose application has these tables in a PostgreSQL database.
    pub(super) fn on_postgres(name: &str, schema: &str) -> TestSite {
        TestSite::on_postgres_with(name, schema, Settings::default())
    }

    /// The same with settings of its own.
    pub(super) fn on_postgres_with(name: &str, schema: &str, settings: Settings) -> TestSite {
        TestSite::on_database(name, schema, settings, TestDatabase::new())
    }

    /// The same in a database that is there.
    pub(super) fn on_database(name: &str, schema: &str, settings: Settings, mut database: TestDatabase) -> TestSite {
        database.sql(schema);
        let mut site = TestSite::with(name, "", settings);
        site.postgres = Some(RefCell::new(database));
        site
    }

    /// Another machine with all that is here: a clone, or what a backup brings back later.
    pub(super) fn cloned(&self) -> TestSite {
        let folder = tempfile::tempdir().unwrap();
        let (data, file) = (folder.path().join("data"), folder.path().join("app.db"));
        std::fs::create_dir(&data).unwrap();
        let own = &self.site.config.data;
        std::fs::copy(own.join("key"), data.join("key")).unwrap();
        for (from, to) in [(own.join("entente.db"), data.join("entente.db")), (self.file.clone(), file.clone())] {
            rusqlite::Connection::open(from).unwrap().execute("VACUUM INTO ?1", [to.to_str().unwrap()]).unwrap();
        }
        let control = rusqlite::Connection::open(data.join("entente.db")).unwrap();
        control.execute("UPDATE database SET url = ?1", [format!("sqlite:{}", file.display())]).unwrap();
        let settings = Settings { data: Some(data), page_records: Some(7), ..Settings::default() };
        // No machine is restored twice within a second: by the second the next incarnation is named.
        let later = 10 * LATER.with(|later| later.replace(later.get() + 1));
        let clock = Arc::new(move || Time::from_utc(chrono::Utc::now()).plus_seconds(later));
        let around = Surroundings { clock, ..Surroundings::default() };
        let site = Site::open_in(Config::load(Overrides { config: None, settings }).unwrap(), around).unwrap();
        let app = rusqlite::Connection::open(&file).unwrap();
        TestSite { site, app, file, postgres: None, _folder: folder }
    }

    pub(super) fn url(&self) -> String {
        match &self.postgres {
            Some(database) => database.borrow().url(),
            None => format!("sqlite:{}", self.file.display()),
        }
    }

    pub(super) fn attach(&self, specs: &[TableSpec]) {
        self.try_attach(specs).unwrap();
    }

    pub(super) fn try_attach(&self, specs: &[TableSpec]) -> Result<()> {
        attach::attach(&self.site, "app", &self.url(), specs, &mut |_, _, _| {}).map(|_| ())
    }

    pub(super) fn sql(&self, sql: &str) {
        match &self.postgres {
            Some(database) => database.borrow_mut().sql(sql),
            None => self.app.execute_batch(sql).unwrap(),
        }
    }

    /// The PostgreSQL database.
    pub(super) fn database(&self) -> std::cell::RefMut<'_, TestDatabase> {
        self.postgres.as_ref().unwrap().borrow_mut()
    }

    /// The address of the PostgreSQL database for another user.
    pub(super) fn url_as(&self, user: &str) -> String {
        self.postgres.as_ref().unwrap().borrow().url_as(user)
    }

    /// A further connection to the PostgreSQL database.
    pub(super) fn another(&self) -> ::postgres::Client {
        self.postgres.as_ref().unwrap().borrow().another()
    }

    /// The rows of a query, values joined by `|`, rows by a space.
    pub(super) fn rows(&self, sql: &str) -> String {
        if let Some(database) = &self.postgres {
            return database.borrow_mut().rows(sql);
        }
        let mut statement = self.app.prepare(sql).unwrap();
        let columns = statement.column_count();
        let rows = statement
            .query_map([], |row| {
                let text = |at| {
                    row.get_ref(at).map(|value| match value {
                        rusqlite::types::ValueRef::Null => "-".to_owned(),
                        rusqlite::types::ValueRef::Integer(value) => value.to_string(),
                        rusqlite::types::ValueRef::Real(value) => format!("{value:?}"),
                        rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                        rusqlite::types::ValueRef::Blob(bytes) => {
                            format!("x{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
                        }
                    })
                };
                (0..columns).map(text).collect::<rusqlite::Result<Vec<_>>>().map(|values| values.join("|"))
            })
            .unwrap();
        rows.collect::<rusqlite::Result<Vec<_>>>().unwrap().join(" ")
    }

    /// A repository for `other`, with these resources.
    pub(super) fn knows(&self, other: &TestSite, shared: &[&str]) -> Repository {
        self.site
            .store
            .write(|c| {
                let key = self.site.store.key();
                let known = repositories::by_uuid(c, key, other.site.id)?;
                let repository = match known {
                    Some(repository) => repository,
                    None => repositories::add(c, key, &Repository { uuid: Some(other.site.id), ..Repository::new(&other.site.name) })?,
                };
                for name in shared {
                    resources::add(c, &Resource::new(repository.id, name))?;
                }
                Ok(repository)
            })
            .unwrap()
    }

    pub(super) fn change(&self, repository: &Repository, resource: &str, change: impl FnOnce(&mut Resource)) {
        self.site
            .store
            .write(|c| {
                let mut resource = resources::get(c, repository.id, resource)?.unwrap();
                change(&mut resource);
                resources::update(c, &resource)
            })
            .unwrap();
    }

    /// One run with another site.
    pub(super) fn sync(&self, other: &TestSite) -> RunReport {
        self.try_sync(other, &Ask::default()).unwrap()
    }

    pub(super) fn try_sync(&self, other: &TestSite, ask: &Ask) -> Result<RunReport> {
        self.over(&Line::new(self, other), other, ask)
    }

    pub(super) fn over(&self, line: &Line, other: &TestSite, ask: &Ask) -> Result<RunReport> {
        let repository = self.knows(other, &[]);
        let mut control = Control { stop: &|| None, progress: &mut |_| {} };
        run_with(&self.site, &repository, line, ask, &mut control)
    }

    /// A run in which every part went well.
    pub(super) fn agree(&self, other: &TestSite) -> RunReport {
        let report = self.sync(other);
        for part in &report.resources {
            assert!(part.error.is_none(), "{} {}: {}", part.direction, part.resource, part.error.as_ref().unwrap().chain());
        }
        report
    }

    /// What waits, as `kind uid reason`.
    pub(super) fn waiting(&self) -> Vec<String> {
        let entries = self.site.door("app").unwrap().waiting().unwrap();
        entries.into_iter().map(|entry| format!("{} {} {}", entry.kind, entry.resource, entry.reason)).collect()
    }
}

/// Surroundings with that clock.
pub(super) fn by(clock: &Arc<AtomicI64>) -> Surroundings {
    let clock = clock.clone();
    Surroundings { clock: Arc::new(move || Time(clock.load(Ordering::Relaxed))), ..Surroundings::default() }
}

impl Drop for TestSite {
    /// Whatever happened, the running sums are those of the records.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let hold = match &self.postgres {
                Some(database) => Postgres::open(&database.borrow().url(), Uuids::default()).and_then(|mut db| db.sums_hold()),
                None => Sqlite::open(&self.file, Uuids::default()).and_then(|mut db| db.sums_hold()),
            };
            assert!(hold.unwrap(), "the sums of {}", self.site.name);
        }
    }
}

pub(super) fn table(name: &str) -> TableSpec {
    TableSpec { table: name.into(), resource: name.into(), ..TableSpec::default() }
}

pub(super) fn keyed(name: &str, columns: &[&str]) -> TableSpec {
    let columns = columns.iter().map(|column| (*column).to_owned()).collect();
    TableSpec { identity: Some(Identity::Key { columns }), ..table(name) }
}

/// The total of what a run moved.
pub(super) fn records(report: &RunReport) -> u64 {
    report.resources.iter().map(|part| part.counts.records).sum()
}

/// What can go wrong on a line, for the next calls.
#[derive(Default)]
pub(super) struct Faults {
    /// Answers are lost after the other side did its work, this many times.
    pub(super) lost_answers: u32,
    /// A page is cut after this share of its bytes, once.
    pub(super) cut: Option<f64>,
    /// Calls until the line is dead for good.
    pub(super) dies_after: Option<u32>,
}

/// Another site, called without a network: pages pass through the real writer and reader.
pub(super) struct Line {
    to: Arc<Site>,
    caller: Caller,
    pub(super) faults: Mutex<Faults>,
    pub(super) calls: Mutex<Vec<String>>,
}

impl Line {
    pub(super) fn new(from: &TestSite, to: &TestSite) -> Line {
        let repository = to.knows(from, &[]);
        let grant = Grant { pull: true, push: true, resources: None };
        let caller = Caller { repository, uuid: from.site.id, grant };
        Line { to: to.site.clone(), caller, faults: Mutex::default(), calls: Mutex::default() }
    }

    fn call<T>(&self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.calls.lock().unwrap().push(name.to_owned());
        let gone = || Error::new(Kind::Unreachable, "the line is dead");
        {
            let mut faults = self.faults.lock().unwrap();
            if let Some(left) = faults.dies_after.as_mut() {
                *left = left.checked_sub(1).ok_or_else(gone)?;
            }
        }
        let answer = work()?;
        let mut faults = self.faults.lock().unwrap();
        if faults.lost_answers > 0 {
            faults.lost_answers -= 1;
            return Err(gone());
        }
        Ok(answer)
    }

    fn travel(&self, page: &Page, from: &Site) -> Result<Page> {
        let mut body = Vec::new();
        wire::write(page, from.id, &mut body)?;
        if let Some(share) = self.faults.lock().unwrap().cut.take() {
            body.truncate((body.len() as f64 * share) as usize);
        }
        wire::read(&body, &Limits::default())
    }
}

impl Peer for Line {
    fn greet(&self, greeting: &Greeting) -> Result<Contact> {
        let hello: Hello = self.call("hello", || serve::hello(&self.to, Some(&self.caller), greeting))?;
        Ok(Contact { hello, skew: 0 })
    }

    fn register(&self, _: &Registration) -> Result<Registered> {
        Err(Error::forbidden("not here"))
    }

    fn pull(&self, request: &PullRequest) -> Result<Page> {
        self.call("pull", || self.travel(&serve::feed(&self.to, &self.caller, request)?, &self.to))
    }

    fn push(&self, request: &PushRequest, page: &Page) -> Result<Receipt> {
        self.call("push", || serve::receive(&self.to, &self.caller, request, &self.travel(page, &self.to)?))
    }

    fn fetch(&self, resource: &str, uids: &[String]) -> Result<Page> {
        self.call("fetch", || self.travel(&serve::fetch(&self.to, &self.caller, resource, uids)?, &self.to))
    }

    fn compare(&self, resource: &str, request: &CompareRequest) -> Result<CompareAnswer> {
        let request = wire::read_json(&wire::write_json(request), 1 << 20)?;
        self.call("compare", || compare::answer(&self.to, &self.caller, resource, &request))
    }

    fn listen(&self, stop: &AtomicBool, _: &mut dyn FnMut(&str)) -> Result<()> {
        assert!(stop.load(Ordering::Relaxed), "nothing here listens");
        Ok(())
    }

    fn close(&self) {}

    fn traffic(&self) -> u64 {
        0
    }
}
