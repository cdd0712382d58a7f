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
use rusqlite::Connection;

use crate::{
    clock::Clock,
    driver::{Driver, Seen},
    fuse::Fuse,
    place::{Application, Kind, Place},
    planted::{Planted, decider},
    raw::{self, Source},
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
    pub(crate) place: Place,
    app: Option<Box<dyn Application>>,
    pub(crate) backup: Option<Backup>,
    /// How many writes there had been in the world.
    pub(crate) backed_up: usize,
    /// Its runs, by their numbers in its log.
    pub(crate) runs: Vec<i64>,
}

/// A copy of everything of a site.
pub(crate) struct Backup {
    app: Place,
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
    #[expect(clippy::too_many_arguments, reason = "all that a site is")]
    pub(crate) fn new(
        root: &Path,
        name: &str,
        kind: Kind,
        shape: Shape,
        page: u32,
        clock: Clock,
        uuids: Uuids,
        planted: Option<Planted>,
    ) -> House {
        let folder = root.join(name);
        fs::create_dir_all(folder.join("data-0")).unwrap();
        let template = template(shape);
        let place = Place::make(kind, &folder, shape, &template);
        planted.iter().filter(|planted| planted.is_served()).for_each(|planted| place.plant(shape, *planted));
        copy_folder(&template.join("data"), &folder.join("data-0"));
        let mut house = House::closed(folder, place, name, shape, page, clock, uuids, planted);
        house.open();
        let site = house.site().clone();
        let mut connector = Place::connect(&house.place.url(), site.uuids().clone(), &house.clock).unwrap();
        let seconds = u32::try_from(site.now().0 / 1_000_000).unwrap();
        connector.renew(site.id, seconds, &site.uuids().next().simple().to_string()).unwrap();
        let database = Database { name: APP.into(), url: house.place.url() };
        site.store
            .write(|c| {
                databases::put(c, &database)?;
                let entry = |table: &str| AttachedTable { resource: table.into(), database: APP.into(), table: table.into() };
                house.shape.tables.iter().try_for_each(|table| attached::put(c, &entry(table)))
            })
            .unwrap();
        house
    }

    #[expect(clippy::too_many_arguments, reason = "all that a site is")]
    fn closed(
        folder: PathBuf,
        place: Place,
        name: &str,
        shape: Shape,
        page: u32,
        clock: Clock,
        uuids: Uuids,
        planted: Option<Planted>,
    ) -> House {
        let (fuse, asserted) = (Fuse::default(), Seen::default());
        let connect: Arc<Connect> = {
            let (clock, fuse, asserted, place) = (clock.clone(), fuse.clone(), asserted.clone(), place.clone());
            Arc::new(move |database: &Database, uuids: &Uuids| {
                let inner = Place::connect(&database.url, uuids.clone(), &clock)?;
                let (fuse, asserted, place) = (fuse.clone(), asserted.clone(), place.clone());
                Ok(Box::new(Driver { inner, fuse, planted, asserted, place }) as Box<dyn Connector>)
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
            place,
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

    pub(crate) fn app(&self) -> &dyn Application {
        self.app.as_deref().unwrap()
    }

    /// Tables and journal, as SQLite has them.
    fn source(&self) -> Source<'_> {
        self.app().source()
    }

    pub(crate) fn read(&self) -> raw::Journal {
        raw::read(&self.source(), self.shape)
    }

    /// The numbers of what a table of the journal holds.
    pub(crate) fn numbers(&self, table: &str) -> Vec<i64> {
        let source = self.source();
        let mut statement = source.prepare_cached(&format!("SELECT id FROM {table} ORDER BY id")).unwrap();
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

    /// All rows by table and key.
    pub(crate) fn rows(&self) -> BTreeMap<(&'static str, String), BTreeMap<String, String>> {
        let of = |table: &'static str| self.app().rows(table, self.shape.key(table)).into_iter().map(move |(key, row)| ((table, key), row));
        self.shape.tables.iter().copied().flat_map(of).collect()
    }

    /// The keys of a table's rows.
    pub(crate) fn keys(&self, table: &str) -> Vec<String> {
        self.app().rows(table, self.shape.key(table)).into_keys().collect()
    }

    /// The uids of records by table and local key.
    pub(crate) fn uids(&self) -> HashMap<(&'static str, String), String> {
        raw::uids(&self.source(), self.shape)
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
        self.come_back();
    }

    /// Tells the triggers what time it is here.
    pub(crate) fn tell_time(&self) {
        self.app().tell_time(self.clock.now());
    }

    /// Ends everything that is connected to the database on a server: such a database is copied alone.
    fn leave(&mut self) {
        if matches!(self.place, Place::Server(_)) {
            self.app = None;
            self.site().forget(APP);
        }
    }

    /// The application comes back.
    fn come_back(&mut self) {
        if self.app.is_none() {
            self.app = Some(self.place.application(self.shape, self.clock.clone()));
            self.tell_time();
        }
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
        if let Some(former) = self.backup.take() {
            former.app.remove();
        }
        let app = self.copy_to(&to);
        self.backup = Some(Backup { app, data: to.join("data") });
    }

    fn copy_to(&mut self, to: &Path) -> Place {
        fs::create_dir_all(to.join("data")).unwrap();
        self.leave();
        let app = self.place.copy(to);
        self.come_back();
        copy_store(&self.data(), &to.join("data"));
        app
    }

    /// Puts a copy back.
    pub(crate) fn restore(&mut self, what: Restore) {
        let Some(backup) = &self.backup else { return };
        self.app = None;
        if matches!(self.place, Place::Server(_)) {
            self.site().forget(APP);
        }
        self.place.replace_by(&backup.app);
        if what == Restore::Machine {
            let from = backup.data.clone();
            self.lives += 1;
            copy_folder(&from, &self.data());
        }
        self.open();
    }

    /// A copy of this machine that becomes a site of its own.
    pub(crate) fn cloned(&mut self, root: &Path, name: &str, uuids: Uuids, planted: Option<Planted>) -> House {
        let folder = root.join(name);
        let place = self.copy_to(&folder);
        fs::rename(folder.join("data"), folder.join("data-0")).unwrap();
        let mut clone = House::closed(folder, place, name, self.shape, self.page, self.clock.another(), uuids, planted);
        clone.open();
        let database = Database { name: APP.into(), url: clone.place.url() };
        clone.site().store.write(|c| databases::put(c, &database)).unwrap();
        attach::new_identity(clone.site()).unwrap();
        clone.open();
        clone
    }
}

impl Drop for House {
    fn drop(&mut self) {
        (self.app, self.site) = (None, None);
        self.place.remove();
        self.backup.iter().for_each(|backup| backup.app.remove());
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
