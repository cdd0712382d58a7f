//! A site of the demo: a data directory, a database, a server.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use entente::{
    config::{Config, Overrides, Settings},
    error::{Error, Kind, Result},
    model::{Account, Grant, Identity, Repository, RepositoryId, Resource, Role, TableSpec},
    site::Site,
    store::{accounts, password::Hashed, resources},
    sync::{attach, register},
    web::Listen,
};
use secrecy::SecretString;

use super::hall::{self, Desk, TABLES};
use crate::cli::{interrupt::Interrupt, serve::serve};

/// The account that the stand has at the hall.
const ACCOUNT: &str = "stand";

/// The account with which a person looks at a site of the demo.
pub(super) const VISITOR: &str = "demo";

/// A site of the demo.
pub(super) struct House {
    pub(super) site: Arc<Site>,
    pub(super) database: PathBuf,
    pub(super) url: String,
    /// The password of the account [`VISITOR`].
    pub(super) password: String,
    server: JoinHandle<Result<()>>,
    stop: Interrupt,
}

impl House {
    /// Makes its files and opens its doors.
    pub(super) fn open(folder: &Path, desk: Desk, listen: Option<&str>) -> Result<House> {
        let (name, folder) = match desk {
            Desk::Hall => ("Hall", folder.join("hall")),
            Desk::Stand => ("Stand", folder.join("stand")),
        };
        std::fs::create_dir(&folder).map_err(|e| Error::new(Kind::Full, "The demo's folder could not be made").because(e))?;
        let database = folder.join("scouting.db");
        hall::create(&database, desk)?;
        let listen_at = listen.or((desk == Desk::Stand).then_some("127.0.0.1:0")).map(str::to_owned);
        let settings =
            Settings { data: Some(folder.join("entente")), name: Some(name.to_owned()), listen: listen_at, ..Settings::default() };
        // The example is the same whatever this user's environment says.
        let config = Config::from_layers(Overrides { settings, config: None }, &BTreeMap::new(), None)?;
        let address = config.listen;
        let site = Site::open(config)?;
        attach_all(&site, &database)?;
        let password = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
        let visitor = Account {
            name: VISITOR.to_owned(),
            role: Role::Admin,
            grant: Grant { pull: false, push: false, resources: None },
            bound: None,
        };
        let hash = Hashed::of(&SecretString::from(password.clone()))?;
        site.store.write(|c| accounts::add(c, &visitor, &hash))?;
        let stop = Interrupt::by_hand();
        let (address, server) = match doors(&site, address, &stop) {
            Err(error) if error.kind() == Kind::Exists && listen.is_none() => doors(&site, SocketAddr::new(address.ip(), 0), &stop)?,
            opened => opened?,
        };
        Ok(House { site, database, url: format!("http://{address}"), password, server, stop })
    }

    /// Closes its doors.
    pub(super) fn close(self) -> Result<()> {
        self.stop.pull();
        join(self.server)
    }
}

fn join(thread: JoinHandle<Result<()>>) -> Result<()> {
    thread.join().unwrap_or_else(|_| Err(Error::internal("A part of the demo broke off")))
}

/// Teams are known by their number and matches by their code, at both desks. Scores have no name of their own: a score of the same team in the same
/// match is the same score.
fn attach_all(site: &Site, database: &Path) -> Result<()> {
    let key = |column: &str| Some(Identity::Key { columns: vec![column.to_owned()] });
    let spec = |table: &str| TableSpec { table: table.to_owned(), resource: table.to_owned(), ..TableSpec::default() };
    let specs = [
        TableSpec { identity: key("number"), ..spec(TABLES[0]) },
        TableSpec { identity: key("code"), ..spec(TABLES[1]) },
        TableSpec { matching: vec!["match_id".to_owned(), "team_id".to_owned()], ..spec(TABLES[2]) },
    ];
    attach::attach(site, "scouting", &format!("sqlite:{}", database.display()), &specs, &mut |_, _, _| {}).map(|_| ())
}

fn doors(site: &Arc<Site>, addr: SocketAddr, interrupt: &Interrupt) -> Result<(SocketAddr, JoinHandle<Result<()>>)> {
    let (ready, opened) = mpsc::channel();
    let (site, interrupt) = (site.clone(), interrupt.clone());
    let server = thread::spawn(move || {
        serve(site, Listen { addr, tls: None }, interrupt, move |address| {
            let _ = ready.send(address);
        })
    });
    match opened.recv() {
        Ok(address) => Ok((address, server)),
        Err(_) => Err(join(server).err().unwrap_or_else(|| Error::internal("The server ended before it began"))),
    }
}

/// The stand gets an account at the hall, and adds the hall, which registers it there.
pub(super) fn add_hall(stand: &House, hall: &House) -> Result<Repository> {
    let password = SecretString::from(uuid::Uuid::new_v4().simple().to_string());
    let hash = Hashed::of(&password)?;
    let grant = Grant { pull: true, push: true, resources: None };
    let account = Account { name: ACCOUNT.to_owned(), role: Role::Peer, grant, bound: None };
    hall.site.store.write(|c| accounts::add(c, &account, &hash))?;
    let new = Repository {
        url: Some(hall.url.clone()),
        user: Some(ACCOUNT.to_owned()),
        password: Some(password),
        ..Repository::new(&hall.site.name)
    };
    let added = register::add(&stand.site, &new)?;
    added.warning.map_or(Ok(added.repository), |warning| Err(Error::internal(warning)))
}

/// The stand shares everything with the hall, both ways.
pub(super) fn share(stand: &House, repository: RepositoryId) -> Result<()> {
    stand.site.store.write(|c| TABLES.iter().try_for_each(|table| resources::add(c, &Resource::new(repository, table)).map(|_| ())))
}
