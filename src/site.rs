//! This installation, opened once: the control store, the attached databases, the peers, the clock.

use std::{
    collections::HashMap,
    ops::{Deref, DerefMut},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::Utc;

use crate::{
    config::Config,
    connector::{Connector, Postgres, Sqlite},
    decide::Decider,
    error::{Error, Kind, Result},
    model::{ApiType, Clock, Database, ItemId, Limits, Repository, RepositoryId, SiteId, Sum, Time, Uuids},
    peer::{Eden, Entente, Peer, Settings, Timeouts},
    postgresql::address,
    store::{Keys, Store, databases, site},
};

/// How many idle connections to one database are kept.
const IDLE: usize = 4;

/// How long what a comparison may need again is kept, microseconds.
const COMPARED: u64 = 120_000_000;

/// This installation.
pub struct Site {
    /// Who we are.
    pub id: SiteId,
    /// What we are called.
    pub name: String,
    /// What the user wrote.
    pub config: Config,
    /// The control store.
    pub store: Store,
    around: Surroundings,
    idle: Mutex<HashMap<String, Vec<Box<dyn Connector>>>>,
    peers: Mutex<HashMap<RepositoryId, (Repository, Arc<Entente>)>>,
    /// What a comparison needs again in its next call.
    compared: Mutex<Option<(Compared, Versions, Time)>>,
}

/// The state of a resource: its name, the filter, the sum over its records and its head.
pub type Compared = (String, String, Option<Sum>, i64);

/// The versions of living records with their arrivals, sorted.
pub type Versions = Arc<Vec<(ItemId, i64)>>;

/// Makes a connection to a database; new uids come from the UUIDs given.
pub type Connect = dyn Fn(&Database, &Uuids) -> Result<Box<dyn Connector>> + Send + Sync;

/// What a site depends on besides its store. A simulation gives its own, so that the same seed makes the same world.
#[derive(Clone)]
pub struct Surroundings {
    /// The clock.
    pub clock: Clock,
    /// Where new UUIDs come from.
    pub uuids: Uuids,
    /// How databases are opened.
    pub connect: Arc<Connect>,
    /// Who decides what becomes of a record.
    pub decider: Decider,
}

impl Default for Surroundings {
    /// The machine's clock, random UUIDs, the drivers we have, our own rules.
    fn default() -> Surroundings {
        Surroundings { clock: Arc::new(now), uuids: Uuids::default(), connect: Arc::new(connect), decider: Decider::default() }
    }
}

impl Site {
    /// Opens the site in the data directory, and makes it and its identity where there is none yet.
    pub fn open(config: Config) -> Result<Arc<Site>> {
        let store = Store::open_at(&config.data, config.database.as_ref(), Keys::Known)?;
        Site::usual(store, config)
    }

    /// As [`Site::open`], but the key of the control store is lost: from now on it is the one in the data directory.
    pub fn open_with_new_key(config: Config) -> Result<Arc<Site>> {
        let store = Store::open_at(&config.data, config.database.as_ref(), Keys::Renewed)?;
        Site::usual(store, config)
    }

    /// In the usual surroundings, but for the clock: where the store is on a server, that server's counts.
    fn usual(store: Store, config: Config) -> Result<Arc<Site>> {
        let clock = store.clone();
        Site::with(store, config, Surroundings { clock: Arc::new(move || clock.now()), ..Surroundings::default() })
    }

    /// As [`Site::open`], in surroundings of the caller's choice.
    pub fn open_in(config: Config, around: Surroundings) -> Result<Arc<Site>> {
        let store = Store::open_at(&config.data, config.database.as_ref(), Keys::Known)?;
        Site::with(store, config, around)
    }

    fn with(store: Store, config: Config, around: Surroundings) -> Result<Arc<Site>> {
        let name = config.name.clone().unwrap_or_else(host_name);
        let known = store.read(site::find)?;
        let row = match known {
            Some(row) => row,
            None => store.write(|c| site::identity(c, SiteId(around.uuids.next()), &name, (around.clock)()))?,
        };
        Ok(Arc::new(Site {
            id: row.uuid,
            name: row.name,
            config,
            store,
            around,
            idle: Mutex::default(),
            peers: Mutex::default(),
            compared: Mutex::default(),
        }))
    }

    /// The clock, to be asked later.
    pub fn clock(&self) -> Clock {
        self.around.clock.clone()
    }

    /// What time it is.
    pub fn now(&self) -> Time {
        (self.around.clock)()
    }

    /// Where new UUIDs come from.
    pub fn uuids(&self) -> &Uuids {
        &self.around.uuids
    }

    /// Who decides what becomes of a record.
    pub fn decider(&self) -> Decider {
        self.around.decider.clone()
    }

    /// A new connection to a database.
    pub fn connect(&self, database: &Database) -> Result<Box<dyn Connector>> {
        let password = self.store.read(|c| databases::password(c, self.store.key(), &database.name))?;
        match password.filter(|_| address::is_postgres(&database.url) && address::apart(&database.url).is_ok_and(|apart| apart.1.is_none()))
        {
            Some(password) => {
                let url = address::together(&database.url, &password);
                (self.around.connect)(&Database { url, ..database.clone() }, &self.around.uuids)
            }
            None => (self.around.connect)(database, &self.around.uuids),
        }
    }

    /// A connection to an attached database, from those that are idle or a new one. It goes back when it is dropped.
    pub fn door(&self, database: &str) -> Result<Door<'_>> {
        let next = || self.idle.lock().unwrap_or_else(PoisonError::into_inner).get_mut(database).and_then(Vec::pop);
        let connector = match std::iter::from_fn(next).find_map(|mut connector| (!connector.stale()).then_some(connector)) {
            Some(connector) => connector,
            None => {
                let database = self.store.read(|c| databases::get(c, database))?;
                self.connect(&database)?
            }
        };
        Ok(Door { site: self, database: database.to_owned(), connector: Some(connector) })
    }

    /// Forgets idle connections to a database whose address changed.
    pub fn forget(&self, database: &str) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).remove(database);
    }

    /// A repository as we call it. Its session is kept from call to call, until [`Site::hang_up`] or a changed setting.
    pub fn peer(&self, repository: &Repository) -> Result<Arc<Entente>> {
        if repository.kind == ApiType::Eden {
            let error = Error::new(Kind::Unsupported, format!("{} is a Sahana Eden, which can only pull and push", repository.name));
            return Err(error.hint("Exchange everything: entente sync."));
        }
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, peer)) = peers.get(&repository.id).filter(|(known, _)| same_line(known, repository)) {
            let _ = known;
            return Ok(peer.clone());
        }
        let peer = Arc::new(Entente::new(self.line(repository)?)?);
        peers.insert(repository.id, (repository.clone(), peer.clone()));
        Ok(peer)
    }

    /// What stands before our uids that are no URNs where an Eden gets them: the host we are called at, or else our UUID.
    pub fn domain(&self) -> String {
        let host = self.config.url.as_deref().and_then(|url| url.split_once("://")?.1.split(['/', ':']).next());
        host.filter(|host| !host.is_empty()).map_or_else(|| self.id.0.to_string(), str::to_owned)
    }

    /// A repository that is a stock Sahana Eden, as we call it.
    pub fn eden(&self, repository: &Repository) -> Result<Eden> {
        let mut settings = self.line(repository)?;
        settings.timeouts.idle = settings.timeouts.idle.max(Eden::PATIENCE);
        Eden::new(settings)
    }

    /// The records of a resource in this state, where it was compared a moment ago.
    pub fn compared(&self, state: &Compared) -> Option<Versions> {
        let compared = self.compared.lock().unwrap_or_else(PoisonError::into_inner);
        compared.as_ref().filter(|(known, ..)| known == state).map(|(_, versions, _)| versions.clone())
    }

    /// Remembers them in place of those of another comparison.
    pub fn set_compared(&self, state: Compared, versions: Versions) {
        *self.compared.lock().unwrap_or_else(PoisonError::into_inner) = Some((state, versions, self.now()));
    }

    /// Forgets them where no comparison has needed them for a while.
    pub fn forget_compared(&self) {
        let mut compared = self.compared.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        compared.take_if(|(_, _, since)| now.0.abs_diff(since.0) > COMPARED);
    }

    /// Gives all sessions back.
    pub fn hang_up(&self) {
        let peers = std::mem::take(&mut *self.peers.lock().unwrap_or_else(PoisonError::into_inner));
        for (_, peer) in peers.into_values() {
            peer.close();
        }
    }

    fn line(&self, repository: &Repository) -> Result<Settings> {
        repository.validate()?;
        let url = repository.url.clone().ok_or_else(|| {
            Error::usage(format!("{} has no address; it calls us", repository.name))
                .hint(format!("Give it one: entente repository set {} --url URL", repository.name))
        })?;
        let (stored, formerly) = self.store.read(|c| Ok((site::proxy(c)?, site::formerly(c)?)))?;
        Ok(Settings {
            url,
            user: repository.user.clone(),
            password: repository.password.clone(),
            proxy: repository.proxy.clone().or(stored).or_else(|| self.config.proxy.clone()),
            ca_file: self.config.ca_file.clone(),
            own: self.id,
            formerly,
            clock: self.clock(),
            limits: Limits::default(),
            retries: 3,
            timeouts: Timeouts::default(),
        })
    }
}

/// Opens a database by its URL.
pub fn connect(database: &Database, uuids: &Uuids) -> Result<Box<dyn Connector>> {
    match database.url.split_once(':') {
        Some(("sqlite", path)) => Ok(Box::new(Sqlite::open(&PathBuf::from(path.strip_prefix("//").unwrap_or(path)), uuids.clone())?)),
        _ if address::is_postgres(&database.url) => Ok(Box::new(Postgres::open(&database.url, uuids.clone())?)),
        _ => {
            Err(Error::usage(format!("{:?} is no database URL", database.url)).hint("Write sqlite:PATH or postgres://USER@HOST/DATABASE."))
        }
    }
}

fn same_line(a: &Repository, b: &Repository) -> bool {
    use secrecy::ExposeSecret;
    let secret = |r: &Repository| r.password.as_ref().map(|password| password.expose_secret().to_owned());
    (&a.url, &a.user, &a.proxy) == (&b.url, &b.user, &b.proxy) && secret(a) == secret(b)
}

fn now() -> Time {
    Time::from_utc(Utc::now())
}

fn host_name() -> String {
    let file = std::fs::read_to_string("/etc/hostname").ok();
    let name = file.as_deref().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
    name.or_else(|| std::env::var("COMPUTERNAME").ok()).unwrap_or_else(|| "site".into())
}

/// A connection on loan.
pub struct Door<'s> {
    site: &'s Site,
    database: String,
    connector: Option<Box<dyn Connector>>,
}

impl Door<'_> {
    /// The name of the database it leads to.
    pub fn database(&self) -> &str {
        &self.database
    }
}

impl Deref for Door<'_> {
    type Target = dyn Connector;

    fn deref(&self) -> &(dyn Connector + 'static) {
        match &self.connector {
            Some(connector) => connector.as_ref(),
            None => unreachable!("a door leads somewhere until it is dropped"),
        }
    }
}

impl DerefMut for Door<'_> {
    fn deref_mut(&mut self) -> &mut (dyn Connector + 'static) {
        match &mut self.connector {
            Some(connector) => connector.as_mut(),
            None => unreachable!("a door leads somewhere until it is dropped"),
        }
    }
}

impl Drop for Door<'_> {
    fn drop(&mut self) {
        // One that failed in the middle of something is not given to the next.
        if let Some(connector) = self.connector.take().filter(|_| !std::thread::panicking()) {
            let mut idle = self.site.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let waiting = idle.entry(self.database.clone()).or_default();
            if waiting.len() < IDLE {
                waiting.push(connector);
            }
        }
    }
}

/// The error of a lease that somebody else holds.
pub fn in_use(name: &str, holder: &str, since: Time) -> Error {
    Error::new(Kind::Busy, format!("{name} is in use by {holder} since {since}"))
        .hint("Wait until that run is over, or pause it with `entente pause`.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Overrides, Settings as Given},
        jobs,
        model::{Job, Repository, Timing},
        postgresql::{Address, server::TestDatabase},
        store::{jobs as stored, leases, repositories},
    };

    /// A site on a machine with such a clock, with its store on a server.
    fn site_by(server: &TestDatabase, data: &std::path::Path, machine: fn() -> Time) -> Arc<Site> {
        let settings = Given { data: Some(data.to_owned()), database: Some(server.url()), ..Given::default() };
        let config = Config::load(Overrides { config: None, settings }).unwrap();
        let store = Store::open_by(data, Some(&Address::parse(&server.url()).unwrap()), Keys::Known, machine).unwrap();
        Site::usual(store, config).unwrap()
    }

    #[test]
    fn machines_that_share_a_store_go_by_its_servers_clock() {
        let (server, data) = (TestDatabase::new(), tempfile::tempdir().unwrap());
        let right = site_by(&server, data.path(), now);
        let fast = site_by(&server, data.path(), || now().plus_seconds(300));
        let slow = site_by(&server, data.path(), || now().plus_seconds(-300));
        // Who holds a repository for a minute holds it on all machines.
        let repository = right.store.write(|c| repositories::add(c, right.store.key(), &Repository::new("hub"))).unwrap();
        let take = |site: &Site, holder: &str| {
            let now = site.now();
            site.store.write(|c| leases::take(c, repository.id, holder, now, now.plus_seconds(60))).unwrap()
        };
        assert_eq!(take(&slow, "slow:1:1"), leases::Taken::Yes(1));
        assert!(matches!(take(&fast, "fast:1:1"), leases::Taken::HeldBy { .. }));
        assert!(slow.store.write(|c| leases::release(c, repository.id, 1)).unwrap());
        // What one makes due now is due on all machines, and not what is due in two minutes.
        let add = |due: Time| {
            let job = Job { next_run: Some(due), ..Job::new(repository.id, Timing::Every(3600)) };
            fast.store.write(|c| stored::add(c, &job)).unwrap()
        };
        let (soon, later) = (add(fast.now()), add(fast.now().plus_seconds(120)));
        let runs = |id| right.store.read(|c| stored::get(c, id)).unwrap().runs;
        jobs::work_once(&fast, std::future::pending()).unwrap();
        assert_eq!((runs(soon.id), runs(later.id)), (1, 0));
        let again = add(right.now());
        jobs::work_once(&slow, std::future::pending()).unwrap();
        assert_eq!((runs(again.id), runs(later.id)), (1, 0));
    }
}
