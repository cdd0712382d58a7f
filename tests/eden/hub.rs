//! A site of ours with tables like an Eden's, that serves over a real connection, and a plain way to ask it as an Eden does.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use entente::{
    config::{Config, Overrides, Settings as Flags},
    error::Result,
    model::{Account, Component, Grant, Repository, Resource, Role, SiteId, TableSpec},
    site::Site,
    store::{accounts, password::Hashed, repositories, resources},
    sync::{
        attach, register,
        run::{Ask, Control, RunReport, run},
    },
    web::{self, Changes, Listen},
};
use rusqlite::Connection;
use tokio::sync::oneshot;

const SCHEMA: &str = "
  CREATE TABLE auth_user (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, email TEXT, password TEXT);
  CREATE TABLE org_sector (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name TEXT NOT NULL);
  CREATE TABLE org_organisation (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name TEXT NOT NULL, acronym TEXT, code TEXT UNIQUE,
    year INTEGER CHECK (year IS NULL OR year BETWEEN 1850 AND 2099), comments TEXT, active BOOLEAN, founded DATE, visited DATETIME, opens TIME,
    budget DOUBLE, logo BLOB, price DECIMAL(10,2), tags JSON, sector_ids TEXT, password TEXT, mci INTEGER,
    parent_id INTEGER REFERENCES org_organisation (id));
  CREATE TABLE org_office (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
    organisation_id INTEGER REFERENCES org_organisation (id));
  CREATE TABLE org_sector_organisation (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE,
    organisation_id INTEGER NOT NULL REFERENCES org_organisation (id), sector_id INTEGER REFERENCES org_sector (id));";

const TABLES: [&str; 5] = ["auth_user", "org_sector", "org_organisation", "org_office", "org_sector_organisation"];

/// A site with its application's database.
pub(crate) struct Hub {
    pub(crate) site: Arc<Site>,
    pub(crate) db: Connection,
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
    _dir: tempfile::TempDir,
}

/// An answer as it came.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}\n{}", self.head, self.body))
    }

    pub(crate) fn xml(&self) -> roxmltree::Document<'_> {
        assert_eq!(self.status, 200, "{}", self.body);
        assert!(self.head.contains("text/xml"), "{}", self.head);
        roxmltree::Document::parse(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The uids of the root's own elements of a resource.
    pub(crate) fn uids(&self, resource: &str) -> Vec<String> {
        let document = self.xml();
        let own = document.root_element().children().filter(|node| node.attribute("name") == Some(resource));
        own.map(|node| node.attribute("uuid").unwrap().to_owned()).collect()
    }

    pub(crate) fn fails(&self, status: u16) {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.body);
        let json = self.json();
        assert_eq!((json["status"].as_str(), json["statuscode"].as_str()), (Some("failed"), Some(status.to_string().as_str())));
    }
}

impl Hub {
    pub(crate) fn new() -> Hub {
        let belongs = |resource: &str| Component { resource: resource.into(), field: "organisation_id".into() };
        let spec = |table: &&str| TableSpec {
            table: (*table).into(),
            resource: (*table).into(),
            components: if *table == "org_organisation" { vec![belongs("org_office"), belongs("org_sector_organisation")] } else { vec![] },
            ..TableSpec::default()
        };
        Hub::with(SCHEMA, &TABLES.iter().map(spec).collect::<Vec<_>>())
    }

    /// A site with other tables.
    pub(crate) fn with(schema: &str, specs: &[TableSpec]) -> Hub {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("app.db");
        let db = Connection::open(&file).unwrap();
        db.execute_batch(schema).unwrap();
        Hub::attached(dir, db, &format!("sqlite:{}", file.display()), specs)
    }

    /// A site with tables of a database elsewhere.
    pub(crate) fn at(url: &str, specs: &[TableSpec]) -> Hub {
        Hub::attached(tempfile::tempdir().unwrap(), Connection::open_in_memory().unwrap(), url, specs)
    }

    fn attached(dir: tempfile::TempDir, db: Connection, url: &str, specs: &[TableSpec]) -> Hub {
        let settings = Flags { data: Some(dir.path().into()), name: Some("hub".into()), ..Flags::default() };
        let config = Config::from_layers(Overrides { settings, ..Overrides::default() }, &Default::default(), None).unwrap();
        let site = Site::open(config).unwrap();
        let password = Hashed::of(&"right".into()).unwrap();
        let grant = Grant { pull: true, push: true, resources: None };
        for (name, role, grant) in [
            ("eden", Role::Peer, grant.clone()),
            ("second", Role::Peer, grant.clone()),
            ("reader", Role::Peer, Grant { push: false, ..grant.clone() }),
            ("person", Role::Admin, grant),
        ] {
            site.store.write(|c| accounts::add(c, &Account { name: name.into(), role, grant, bound: None }, &password)).unwrap();
        }
        attach::attach(&site, "app", url, specs, &mut |_, _, _| {}).unwrap();
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let served = site.clone();
        let thread = thread::spawn(move || {
            let listen = Listen { addr: ([127, 0, 0, 1], 0).into(), tls: None };
            let stopped = async { drop(stopped.await) };
            web::serve(served, listen, Changes::new(16), |address| tell.send(address).unwrap(), stopped)
        });
        let address = told.recv().unwrap();
        Hub { site, db, address, stop: Some(stop), thread: Some(thread), _dir: dir }
    }

    /// Does something in the application.
    pub(crate) fn sql(&self, sql: &str) {
        self.db.execute_batch(sql).unwrap();
    }

    /// One value of the application's; `null` as text where there is none.
    pub(crate) fn one(&self, sql: &str) -> String {
        let value = self.db.query_row(sql, [], |row| row.get::<_, rusqlite::types::Value>(0));
        match value.unwrap_or(rusqlite::types::Value::Text("no row".into())) {
            rusqlite::types::Value::Null => "null".into(),
            rusqlite::types::Value::Integer(value) => value.to_string(),
            rusqlite::types::Value::Real(value) => value.to_string(),
            rusqlite::types::Value::Text(value) => value,
            rusqlite::types::Value::Blob(value) => String::from_utf8_lossy(&value).into_owned(),
        }
    }

    /// Adds an organisation with a uid that ends in `number`.
    pub(crate) fn organisation(&self, number: u32, name: &str) {
        self.sql(&format!("INSERT INTO org_organisation (uuid, name) VALUES ('{}', '{}')", uid(number), name.replace('\'', "''")));
    }

    pub(crate) fn ask(&self, line: &str, headers: &str, body: &[u8]) -> Answer {
        let head = format!("{line} HTTP/1.1\r\nAccept-Encoding: identity\r\nHost: hub.example.org\r\nConnection: close\r\n{headers}\r\n");
        exchange(self.address, &[head.as_bytes(), body].concat())
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), &basic("eden", "right"), b"")
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        let headers =
            format!("{}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n", basic("eden", "right"), body.len());
        self.ask(&format!("POST {path}"), &headers, body.as_bytes())
    }

    /// Registers as the Eden that [`eden`] is.
    pub(crate) fn register(&self) {
        let answer =
            self.post("/sync/repository/register.json", &format!(r#"{{"uuid": "{}", "name": "north:8000", "apitype": "eden"}}"#, eden()));
        assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("success")), "{}", answer.body);
    }

    /// Pulls as that Eden.
    pub(crate) fn pull(&self, resource: &str, more: &str) -> Answer {
        self.get(&format!("/sync/sync.xml?resource={resource}&repository={}&include_deleted=True{more}", eden()))
    }

    /// Pushes as that Eden.
    pub(crate) fn push(&self, resource: &str, more: &str, inside: &str) -> Answer {
        self.post(&format!("/sync/sync.xml?resource={resource}&repository={}{more}", eden()), &document(inside))
    }

    /// Adds a repository that is an Eden at this address, and registers there.
    pub(crate) fn knows(&self, address: SocketAddr) -> (Repository, Option<String>) {
        self.knows_as("north", address)
    }

    /// The same under a name.
    pub(crate) fn knows_as(&self, name: &str, address: SocketAddr) -> (Repository, Option<String>) {
        let new = Repository {
            url: Some(format!("http://{address}/eden/")),
            user: Some("admin@example.com".into()),
            password: Some("testing".into()),
            ..Repository::new(name)
        };
        let added = register::add(&self.site, &new).unwrap();
        (added.repository, added.warning)
    }

    pub(crate) fn shares(&self, repository: &Repository, resource: Resource) {
        self.site.store.write(|c| resources::add(c, &Resource { repository: repository.id, ..resource }).map(|_| ())).unwrap();
    }

    /// A run with a repository.
    pub(crate) fn sync(&self, repository: &Repository, ask: &Ask) -> Result<RunReport> {
        let known = self.site.store.read(|c| repositories::by_id(c, self.site.store.key(), repository.id)).unwrap();
        run(&self.site, &known, ask, &mut Control { stop: &|| None, progress: &mut |_| {} })
    }

    /// A run in which nothing goes wrong.
    pub(crate) fn syncs(&self, repository: &Repository) -> RunReport {
        let report = self.sync(repository, &Ask::default()).unwrap_or_else(|error| panic!("{}", error.chain()));
        for part in &report.resources {
            assert!(part.error.is_none(), "{} {}: {}", part.resource, part.direction, part.error.as_ref().unwrap().chain());
        }
        report
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !thread::panicking() {
                ended.unwrap().unwrap();
            }
        }
    }
}

/// The Eden that calls.
pub(crate) fn eden() -> SiteId {
    SiteId(uuid::Uuid::from_u128(0x371c_29bb_8e81_4397_85b3_e8ea_911b_fedd))
}

/// A record's uid.
pub(crate) fn uid(number: u32) -> String {
    format!("urn:uuid:0d1e2f30-0000-4000-8000-{number:012}")
}

/// A document around these elements.
pub(crate) fn document(inside: &str) -> String {
    format!("<?xml version='1.0' encoding='utf-8'?>\n<s3xml success=\"true\" results=\"1\" url=\"http://north/eden\">{inside}</s3xml>")
}

/// An element for an organisation.
pub(crate) fn organisation(number: u32, modified: &str, inside: &str) -> String {
    format!(
        "<resource name=\"org_organisation\" uuid=\"{}\" mci=\"1\" created_on=\"{modified}\" modified_on=\"{modified}\">{inside}</resource>",
        uid(number)
    )
}

pub(crate) fn named(name: &str) -> String {
    format!("<data field=\"name\">{name}</data>")
}

pub(crate) fn basic(name: &str, password: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{name}:{password}")))
}

pub(crate) fn exchange(address: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    // A server that refuses early may stop reading.
    let _ = stream.write_all(request);
    let mut bytes = Vec::new();
    let mut buffer = [0; 65536];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..count]);
    }
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("an answer with a head");
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
    let mut body = bytes[end + 4..].to_vec();
    if head.contains("transfer-encoding: chunked") {
        body = unchunked(&body);
    }
    Answer { status: head[9..12].parse().unwrap(), head, body: String::from_utf8(body).unwrap() }
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
    body
}
