//! A site that serves over a real connection, and a plain way to ask it.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use entente::{
    config::{Config, Overrides, Settings as Flags},
    error::{Kind, Result},
    model::{Account, Grant, Limits, Role, SiteId},
    peer::{Entente, Settings, Timeouts},
    site::Site,
    store::{accounts, password::Hashed},
    web::{self, Changes, Listen},
};
use tokio::sync::oneshot;

/// A site that serves until it is dropped.
pub(crate) struct Served {
    pub(crate) site: Arc<Site>,
    pub(crate) address: SocketAddr,
    pub(crate) changes: Changes,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
    _dir: Arc<tempfile::TempDir>,
}

impl Served {
    pub(crate) fn plain() -> Served {
        Served::start(None)
    }

    pub(crate) fn start(tls: Option<(PathBuf, PathBuf)>) -> Served {
        let dir = tempfile::tempdir().unwrap();
        let settings = Flags { data: Some(dir.path().into()), name: Some("hub".into()), ..Flags::default() };
        let config = Config::from_layers(Overrides { settings, ..Overrides::default() }, &Default::default(), None).unwrap();
        let site = Site::open(config).unwrap();
        let password = Hashed::of(&"right".into()).unwrap();
        for (name, role) in [("anna", Role::Peer), ("root", Role::Admin)] {
            let grant = Grant { pull: true, push: true, resources: Some(vec!["team".into()]) };
            site.store.write(|c| accounts::add(c, &Account { name: name.into(), role, grant, bound: None }, &password)).unwrap();
        }
        Served::serve(site, tls, Arc::new(dir))
    }

    /// Another server on the same store.
    pub(crate) fn beside(&self) -> Served {
        Served::serve(Site::open(self.site.config.clone()).unwrap(), None, self._dir.clone())
    }

    fn serve(site: Arc<Site>, tls: Option<(PathBuf, PathBuf)>, dir: Arc<tempfile::TempDir>) -> Served {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let changes = Changes::new(16);
        let (served, changed) = (site.clone(), changes.clone());
        let thread = thread::spawn(move || {
            let listen = Listen { addr: ([127, 0, 0, 1], 0).into(), tls };
            let stopped = async { drop(stopped.await) };
            web::serve(served, listen, changed, |address| tell.send(address).unwrap(), stopped)
        });
        let address = told.recv().unwrap();
        Served { site, address, changes, stop: Some(stop), thread: Some(thread), _dir: dir }
    }

    pub(crate) fn stop(&mut self) -> Result<()> {
        drop(self.stop.take());
        self.thread.take().map_or(Ok(()), |thread| thread.join().unwrap())
    }

    /// Sends one request, headers without an end, and returns the whole answer.
    pub(crate) fn ask(&self, line: &str, headers: &str, body: &[u8]) -> Answer {
        let head = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
        exchange(self.address, &[head.as_bytes(), body].concat())
    }

    pub(crate) fn get(&self, path: &str, headers: &str) -> Answer {
        self.ask(&format!("GET {path}"), headers, b"")
    }

    pub(crate) fn post(&self, path: &str, headers: &str, body: &[u8]) -> Answer {
        self.ask(&format!("POST {path}"), &format!("{headers}Content-Length: {}\r\n", body.len()), body)
    }

    pub(crate) fn bearer(&self, site: SiteId) -> String {
        let answer = self.post(&format!("/sync/session?repository={site}"), &basic("anna", "right"), b"");
        let token = answer.json()["token"].as_str().unwrap().to_owned();
        format!("Authorization: Bearer {token}\r\n")
    }

    pub(crate) fn settings(&self, own: SiteId) -> Settings {
        Settings {
            url: format!("http://{}", self.address),
            user: Some("anna".into()),
            password: Some("right".into()),
            proxy: None,
            ca_file: None,
            own,
            formerly: None,
            clock: self.site.clock(),
            limits: Limits::default(),
            retries: 0,
            timeouts: Timeouts::default(),
        }
    }

    pub(crate) fn peer(&self, own: SiteId) -> Entente {
        Entente::new(self.settings(own)).unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let stopped = self.stop();
        if !thread::panicking() {
            stopped.unwrap();
        }
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}{}", self.head, String::from_utf8_lossy(&self.body)))
    }

    /// That it refuses, in words of the protocol.
    pub(crate) fn refuses(&self, kind: Kind) {
        assert_eq!(self.status, kind.status(), "{}", self.head);
        let json = self.json();
        assert_eq!((json["status"].as_str(), json["kind"].as_str()), (Some("failed"), Some(kind.word())));
        assert_eq!(json["statuscode"].as_str(), Some(kind.status().to_string().as_str()));
        assert!(!json["message"].as_str().unwrap().is_empty());
    }
}

pub(crate) fn exchange(address: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // A server that refuses early may stop reading.
    let _ = stream.write_all(request);
    let mut bytes = Vec::new();
    let mut buffer = [0; 65536];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..count]);
    }
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("an answer with a head");
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    Answer { status: head[9..12].parse().unwrap(), head: head.to_lowercase(), body: bytes[end + 4..].to_vec() }
}

pub(crate) fn basic(name: &str, password: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{name}:{password}")))
}

/// Where `site` pushes a page to.
pub(crate) fn page(site: SiteId) -> String {
    format!("/sync/sync.xml?resource=team&repository={site}&batch=7c0f6bb1-6c6c-4a9b-9d5c-0d9f4a7f2c11&fence=1")
}
