//! A site of the simulation: a real one, with a database of an application's own, both in memory files.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock},
};

use entente::{
    config::{Config, Overrides, Settings},
    connector::{Connector, Sqlite},
    model::{AttachedTable, Database, Grant, Repository, SiteId, Time, Uuids},
    site::{Connect, Site, Surroundings},
    store::{Store, attached, databases, repositories},
    sync::{admit::Caller, attach, serve},
};
use rusqlite::{Connection, functions::FunctionFlags};

use crate::{
    clock::Clock,
    driver::{Driver, Seen},
    fuse::Fuse,
    planted::{Planted, decider},
    raw,
    shape::Shape,
};

/// The name of the database at every site.
pub(crate) const APP: &str = "app";

pub(crate) struct House {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) clock: Clock,
    pub(crate) fuse: Fuse,
    pub(crate) asserted: Seen,
    pub(crate) page: u32,
    folder: PathBuf,
    lives: u32,
    around: Surroundings,
    site: Option<Arc<Site>>,
    app: Option<Connection>,
    pub(crate) backup: Option<Backup>,
    /// How many writes there had been in the world.
    pub(crate) backed_up: usize,
    /// Its runs, by their numbers in its log.
    pub(crate) runs: Vec<i64>,
}

/// A copy of everything of a site.
pub(crate) struct Backup {
    app: PathBuf,
    data: PathBuf,
}

/// What of a backup is put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restore {
    /// The application's database alone.
    Database,
    /// The whole machine.
    Machine,
}

impl House {
    /// A new site with empty tables.
    pub(crate) fn new(root: &Path, name: &str, shape: Shape, page: u32, clock: Clock, uuids: Uuids, planted: Option<Planted>) -> House {
        let folder = root.join(name);
        fs::create_dir_all(folder.join("data-0")).unwrap();
        let template = template(shape);
        fs::copy(template.join("app.db"), folder.join("app.db")).unwrap();
        copy_folder(&template.join("data"), &folder.join("data-0"));
        let mut house = House::closed(folder, name, shape, page, clock, uuids, planted);
        house.open();
        let site = house.site().clone();
        let mut connector = Sqlite::open(&house.file(), site.uuids().clone()).unwrap();
        let seconds = u32::try_from(site.now().0 / 1_000_000).unwrap();
        connector.renew(site.id, seconds, &site.uuids().next().simple().to_string()).unwrap();
        let database = Database { name: APP.into(), url: house.url() };
        site.store
            .write(|c| {
                databases::put(c, &database)?;
                let entry = |table: &str| AttachedTable { resource: table.into(), database: APP.into(), table: table.into() };
                house.shape.tables.iter().try_for_each(|table| attached::put(c, &entry(table)))
            })
            .unwrap();
        house
    }

    fn closed(folder: PathBuf, name: &str, shape: Shape, page: u32, clock: Clock, uuids: Uuids, planted: Option<Planted>) -> House {
        let (fuse, asserted) = (Fuse::default(), Seen::default());
        let connect: Arc<Connect> = {
            let (clock, fuse, asserted, file) = (clock.clone(), fuse.clone(), asserted.clone(), folder.join("app.db"));
            Arc::new(move |database: &Database, uuids: &Uuids| {
                let path = database.url.strip_prefix("sqlite:").unwrap_or_default();
                let (inner, clock) = (Sqlite::open(Path::new(path), uuids.clone())?, clock.clone());
                inner.keep_time(move || clock.now())?;
                let (fuse, asserted, file) = (fuse.clone(), asserted.clone(), file.clone());
                Ok(Box::new(Driver { inner: Box::new(inner), fuse, planted, asserted, file }) as Box<dyn Connector>)
            })
        };
        let now = clock.clone();
        let uuids = if planted == Some(Planted::RealChance) { Uuids::default() } else { uuids };
        let around = Surroundings { clock: Arc::new(move || now.now()), uuids, connect, decider: decider(planted) };
        House {
            name: name.into(),
            shape,
            clock,
            fuse,
            asserted,
            page,
            folder,
            lives: 0,
            around,
            site: None,
            app: None,
            backup: None,
            backed_up: 0,
            runs: Vec::new(),
        }
    }

    pub(crate) fn site(&self) -> &Arc<Site> {
        self.site.as_ref().unwrap()
    }

    pub(crate) fn id(&self) -> SiteId {
        self.site().id
    }

    pub(crate) fn app(&self) -> &Connection {
        self.app.as_ref().unwrap()
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join("app.db")
    }

    pub(crate) fn read(&self) -> raw::Journal {
        raw::read(self.app(), self.shape)
    }

    /// The numbers of what a table of the journal holds.
    pub(crate) fn numbers(&self, table: &str) -> Vec<i64> {
        let mut statement = self.app().prepare_cached(&format!("SELECT id FROM {table} ORDER BY id")).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(|row| row.unwrap()).collect()
    }

    /// Purges all tombstones that are there now, as if more than a month had passed.
    pub(crate) fn forget_tombstones(&self) {
        const DAY: i64 = 86_400_000_000;
        let site = self.site();
        let mut door = site.door("app").unwrap();
        for table in door.tables().unwrap() {
            let now = site.now();
            door.purge(&table, now, Time(0)).unwrap();
            door.purge(&table, Time(now.0 + 40 * DAY), Time(now.0 + DAY)).unwrap();
        }
    }

    /// The last arrival of each table.
    pub(crate) fn heads(&self) -> Vec<i64> {
        let head = |id| format!("SELECT COALESCE(MAX(arrival), 0) FROM entente_state_{id}");
        (1..=self.shape.tables.len())
            .map(|id| self.app().prepare_cached(&head(id)).unwrap().query_row([], |row| row.get(0)).unwrap())
            .collect()
    }

    /// All rows by table and key.
    pub(crate) fn rows(&self) -> BTreeMap<(&'static str, String), BTreeMap<String, String>> {
        let of = |table: &'static str| {
            raw::rows(self.app(), table, self.shape.key(table)).into_iter().map(move |(key, row)| ((table, key), row))
        };
        self.shape.tables.iter().copied().flat_map(of).collect()
    }

    /// The columns of a table that were not there from the beginning.
    pub(crate) fn extras(&self, table: &str) -> Vec<String> {
        let mut statement = self.app().prepare("SELECT name FROM pragma_table_info(?1) WHERE name LIKE 'x%'").unwrap();
        let rows = statement.query_map([table], |row| row.get(0)).unwrap();
        rows.map(|row| row.unwrap()).collect()
    }

    /// The keys of a table's rows.
    pub(crate) fn keys(&self, table: &str) -> Vec<String> {
        raw::rows(self.app(), table, self.shape.key(table)).into_keys().collect()
    }

    /// The uids of records by table and local key.
    pub(crate) fn uids(&self) -> HashMap<(&'static str, String), String> {
        raw::uids(self.app(), self.shape)
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.file().display())
    }

    fn data(&self) -> PathBuf {
        self.folder.join(format!("data-{}", self.lives))
    }

    /// Starts the process, after whatever ended it.
    pub(crate) fn open(&mut self) {
        self.site = None;
        let settings = Settings {
            data: Some(self.data()),
            name: Some(self.name.clone()),
            page_records: Some(self.page),
            read_ahead: Some(false),
            ..Settings::default()
        };
        let config = Config::from_layers(Overrides { config: None, settings }, &BTreeMap::new(), None).unwrap();
        self.site = Some(Site::open_in(config, self.around.clone()).unwrap());
        if self.app.is_none() {
            self.app = Some(self.open_app());
        }
    }

    fn open_app(&self) -> Connection {
        let app = Connection::open(self.file()).unwrap();
        app.execute_batch("PRAGMA foreign_keys = ON; PRAGMA synchronous = OFF;").unwrap();
        app.set_prepared_statement_cache_capacity(64);
        let clock = self.clock.clone();
        let day = move |_: &rusqlite::functions::Context<'_>| Ok(clock.now().0 as f64 / 86_400e6 + 2_440_587.5);
        app.create_scalar_function("julianday", 1, FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS, day).unwrap();
        app
    }

    /// The repository that another site is here; it is made where it is new.
    pub(crate) fn knows(&self, other: &House) -> Repository {
        let (store, uuid) = (&self.site().store, other.id());
        if let Some(known) = store.read(|c| repositories::by_uuid(c, store.key(), uuid)).unwrap() {
            return known;
        }
        let new = Repository { uuid: Some(uuid), ..Repository::new(&other.name) };
        store.write(|c| repositories::add(c, store.key(), &new)).unwrap()
    }

    /// Gives every row its uid.
    pub(crate) fn fold(&self) {
        let repository = Repository { uuid: Some(self.id()), ..Repository::new("a look") };
        let caller = Caller { repository, uuid: self.id(), grant: Grant { pull: true, push: true, resources: None } };
        for table in self.shape.tables {
            serve::fetch(self.site(), &caller, table, &[]).unwrap();
        }
    }

    /// Copies everything; there are so many writes by now.
    pub(crate) fn back_up(&mut self, writes: usize) {
        self.backed_up = writes;
        // A row that has no uid in the copy would get another one than it got since.
        if self.read().nameless > 0 {
            self.fold();
        }
        let to = self.folder.join("backup");
        if to.exists() {
            fs::remove_dir_all(&to).unwrap();
        }
        self.copy_to(&to);
        self.backup = Some(Backup { app: to.join("app.db"), data: to.join("data") });
    }

    fn copy_to(&self, to: &Path) {
        fs::create_dir_all(to.join("data")).unwrap();
        fs::copy(self.file(), to.join("app.db")).unwrap();
        copy_store(&self.data(), &to.join("data"));
    }

    /// Puts a copy back.
    pub(crate) fn restore(&mut self, what: Restore) {
        let Some(backup) = &self.backup else { return };
        self.app = None;
        let new = self.folder.join("app.new");
        fs::copy(&backup.app, &new).unwrap();
        fs::rename(new, self.file()).unwrap();
        if what == Restore::Machine {
            let from = backup.data.clone();
            self.lives += 1;
            copy_folder(&from, &self.data());
        }
        self.open();
    }

    /// A copy of this machine that becomes a site of its own.
    pub(crate) fn cloned(&self, root: &Path, name: &str, uuids: Uuids, planted: Option<Planted>) -> House {
        let folder = root.join(name);
        self.copy_to(&folder);
        fs::rename(folder.join("data"), folder.join("data-0")).unwrap();
        let mut clone = House::closed(folder, name, self.shape, self.page, self.clock.another(), uuids, planted);
        clone.open();
        let database = Database { name: APP.into(), url: clone.url() };
        clone.site().store.write(|c| databases::put(c, &database)).unwrap();
        attach::new_identity(clone.site()).unwrap();
        clone.open();
        clone
    }
}

/// A folder in memory where there is such a thing.
pub(crate) fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.unwrap()
}

/// Tables of this shape, attached and empty, and a store without an identity: made once, copied for each site.
fn template(shape: Shape) -> PathBuf {
    static ROOT: OnceLock<tempfile::TempDir> = OnceLock::new();
    static MADE: OnceLock<Mutex<HashMap<Shape, PathBuf>>> = OnceLock::new();
    let mut made = MADE.get_or_init(Mutex::default).lock().unwrap();
    let root = ROOT.get_or_init(scratch).path();
    let count = made.len();
    made.entry(shape).or_insert_with(|| make_template(shape, &root.join(count.to_string()))).clone()
}

fn make_template(shape: Shape, folder: &Path) -> PathBuf {
    let (data, first) = (folder.join("data"), folder.join("first"));
    fs::create_dir_all(&data).unwrap();
    drop(Store::open(&first).unwrap());
    copy_store(&first, &data);
    let file = folder.join("app.db");
    Connection::open(&file).unwrap().execute_batch(&shape.schema()).unwrap();
    let mut db = Sqlite::open(&file, Uuids::default()).unwrap();
    let nobody = SiteId(uuid::Uuid::from_u128(1));
    db.attach(&shape.specs(), nobody, entente::model::Time(1_000_000), &mut |_, _, _| {}).unwrap();
    folder.to_owned()
}

/// Copies a control store that is in use.
fn copy_store(from: &Path, to: &Path) {
    let store = Connection::open(from.join(Store::FILE)).unwrap();
    store.execute("VACUUM INTO ?1", [to.join(Store::FILE).display().to_string()]).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        if !entry.file_name().to_string_lossy().starts_with(Store::FILE) {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
