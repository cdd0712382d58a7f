//! What peers and programs call, over real connections to a real site.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use entente::{
    config::{Config, Overrides, Settings as Flags},
    error::{Kind, Result},
    model::{Account, Grant, Limits, Registration, Role, SiteId},
    peer::{Entente, Peer, Settings, Timeouts},
    site::Site,
    store::{accounts, password::Hashed, site as control},
    web::{self, Changes, Listen},
};
use tokio::sync::oneshot;

/// A site that serves until it is dropped.
struct Served {
    site: Arc<Site>,
    address: SocketAddr,
    changes: Changes,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
    _dir: tempfile::TempDir,
}

impl Served {
    fn plain() -> Served {
        Served::start(None)
    }

    fn start(tls: Option<(PathBuf, PathBuf)>) -> Served {
        let dir = tempfile::tempdir().unwrap();
        let settings = Flags { data: Some(dir.path().into()), name: Some("hub".into()), ..Flags::default() };
        let config = Config::from_layers(Overrides { settings, ..Overrides::default() }, &Default::default(), None).unwrap();
        let site = Site::open(config).unwrap();
        let password = Hashed::of(&"right".into()).unwrap();
        for (name, role) in [("anna", Role::Peer), ("root", Role::Admin)] {
            let grant = Grant { pull: true, push: true, resources: Some(vec!["team".into()]) };
            site.store.write(|c| accounts::add(c, &Account { name: name.into(), role, grant, bound: None }, &password)).unwrap();
        }
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

    fn stop(&mut self) -> Result<()> {
        drop(self.stop.take());
        self.thread.take().map_or(Ok(()), |thread| thread.join().unwrap())
    }

    /// Sends one request, headers without an end, and returns the whole answer.
    fn ask(&self, line: &str, headers: &str, body: &[u8]) -> Answer {
        let head = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
        exchange(self.address, &[head.as_bytes(), body].concat())
    }

    fn get(&self, path: &str, headers: &str) -> Answer {
        self.ask(&format!("GET {path}"), headers, b"")
    }

    fn post(&self, path: &str, headers: &str, body: &[u8]) -> Answer {
        self.ask(&format!("POST {path}"), &format!("{headers}Content-Length: {}\r\n", body.len()), body)
    }

    fn bearer(&self, site: SiteId) -> String {
        let answer = self.post(&format!("/sync/session?repository={site}"), &basic("anna", "right"), b"");
        let token = answer.json()["token"].as_str().unwrap().to_owned();
        format!("Authorization: Bearer {token}\r\n")
    }

    fn settings(&self, own: SiteId) -> Settings {
        Settings {
            url: format!("http://{}", self.address),
            user: Some("anna".into()),
            password: Some("right".into()),
            proxy: None,
            ca_file: None,
            own,
            limits: Limits::default(),
            retries: 0,
            timeouts: Timeouts::default(),
        }
    }

    fn peer(&self, own: SiteId) -> Entente {
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

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}{}", self.head, String::from_utf8_lossy(&self.body)))
    }

    /// That it refuses, in words of the protocol.
    fn refuses(&self, kind: Kind) {
        assert_eq!(self.status, kind.status(), "{}", self.head);
        let json = self.json();
        assert_eq!((json["status"].as_str(), json["kind"].as_str()), (Some("failed"), Some(kind.word())));
        assert_eq!(json["statuscode"].as_str(), Some(kind.status().to_string().as_str()));
        assert!(!json["message"].as_str().unwrap().is_empty());
    }
}

fn exchange(address: SocketAddr, request: &[u8]) -> Answer {
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

fn basic(name: &str, password: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{name}:{password}")))
}

/// Where `site` pushes a page to.
fn page(site: SiteId) -> String {
    format!("/sync/sync.xml?resource=team&repository={site}&batch=7c0f6bb1-6c6c-4a9b-9d5c-0d9f4a7f2c11&fence=1")
}

#[test]
fn anyone_may_say_hello_and_see_that_the_process_lives() {
    let site = Served::plain();
    let hello = site.get("/sync/hello", "");
    assert_eq!(hello.json()["name"], "hub");
    assert_eq!(hello.json()["uuid"], site.site.id.to_string());
    assert_eq!(site.get("/healthz", "").body, b"ok\n");
    assert!(String::from_utf8(site.get("/", "").body).unwrap().contains("This is an Entente site."));
    assert_eq!(site.get("//sync/hello", "").status, 200);
}

#[test]
fn every_answer_carries_the_headers_that_keep_browsers_off() {
    let site = Served::plain();
    for path in ["/", "/sync/hello", "/sync/sync.xml", "/nothing"] {
        let head = site.get(path, "").head;
        for header in ["x-content-type-options: nosniff", "referrer-policy: no-referrer", "default-src 'none'", "cache-control: no-store"] {
            assert!(head.contains(header), "{path} {header}\n{head}");
        }
    }
}

#[test]
fn wrong_credentials_are_challenged() {
    let site = Served::plain();
    for headers in [
        "",
        &basic("anna", "wrong"),
        &basic("nobody", "right"),
        "Authorization: Bearer x\r\n",
        "Authorization: Basic ???\r\n",
        "Authorization: x\r\n",
    ] {
        let answer = site.get("/sync/sync.xml?resource=team", headers);
        answer.refuses(Kind::Unauthorized);
        assert!(answer.head.contains("www-authenticate: basic realm=\"entente\""), "{}", answer.head);
    }
    site.get("/sync/hello", &basic("anna", "wrong")).refuses(Kind::Unauthorized);
}

#[test]
fn too_many_wrong_passwords_have_to_wait() {
    let site = Served::plain();
    for _ in 0..5 {
        site.post("/sync/session", &basic("anna", "wrong"), b"").refuses(Kind::Unauthorized);
    }
    let answer = site.post("/sync/session", &basic("anna", "right"), b"");
    answer.refuses(Kind::Limited);
    assert!(answer.head.contains("retry-after: 1"), "{}", answer.head);
}

#[test]
fn an_account_of_another_site_or_of_a_person_is_forbidden() {
    let site = Served::plain();
    let (first, second) = (SiteId::random(), SiteId::random());
    let bearer = site.bearer(first);
    site.post(&format!("/sync/session?repository={second}"), &basic("anna", "right"), b"").refuses(Kind::Forbidden);
    site.get(&format!("/sync/hello?repository={second}"), &bearer).refuses(Kind::Forbidden);
    site.post(&format!("/sync/session?repository={first}"), &basic("root", "right"), b"").refuses(Kind::Forbidden);
    site.post(&format!("/sync/session?repository={}", site.site.id), &basic("anna", "right"), b"").refuses(Kind::Forbidden);
    site.post("/sync/session?repository=me", &basic("anna", "right"), b"").refuses(Kind::Malformed);
}

#[test]
fn a_session_ends_when_it_is_given_back() {
    let site = Served::plain();
    let bearer = site.bearer(SiteId::random());
    assert_eq!(site.get("/sync/hello", &bearer).status, 200);
    assert_eq!(site.ask("DELETE /sync/session", &bearer, b"").status, 204);
    site.get("/sync/hello", &bearer).refuses(Kind::Unauthorized);
}

#[test]
fn a_body_over_the_limit_is_refused_by_its_length_and_while_it_comes() {
    let site = Served::plain();
    let own = SiteId::random();
    let (bearer, page) = (site.bearer(own), page(own));
    let limit = Limits::default().body;
    site.ask(&format!("POST {page}"), &format!("{bearer}Content-Length: {}\r\n", limit + 1), b"").refuses(Kind::TooLarge);
    let chunk = [format!("{:x}\r\n", 1 << 20).as_bytes(), &[b'x'; 1 << 20], b"\r\n"].concat();
    let chunks = [chunk.repeat(usize::try_from(limit >> 20).unwrap() + 1).as_slice(), b"0\r\n\r\n"].concat();
    site.ask(&format!("POST {page}"), &format!("{bearer}Transfer-Encoding: chunked\r\n"), &chunks).refuses(Kind::TooLarge);
}

#[test]
fn nobody_can_make_the_site_read_a_body_before_it_knows_who_calls() {
    let site = Served::plain();
    let began = Instant::now();
    site.ask(&format!("POST {}", page(SiteId::random())), "Content-Length: 1000000\r\n", b"only the beginning").refuses(Kind::Unauthorized);
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_refusal_reaches_a_caller_who_is_still_sending() {
    let site = Served::plain();
    let body = vec![b' '; 16 << 20];
    for _ in 0..5 {
        site.post(&page(SiteId::random()), "Authorization: Bearer x\r\n", &body).refuses(Kind::Unauthorized);
    }
}

#[test]
fn bombs_unknown_encodings_and_what_is_no_page_are_refused() {
    let site = Served::plain();
    let own = SiteId::random();
    let (bearer, page) = (site.bearer(own), page(own));
    let bomb = zstd::encode_all(vec![b' '; 100 << 20].as_slice(), 1).unwrap();
    site.post(&page, &format!("{bearer}Content-Encoding: zstd\r\n"), &bomb).refuses(Kind::TooLarge);
    site.post(&page, &format!("{bearer}Content-Encoding: br\r\n"), b"<s3xml/>").refuses(Kind::Unsupported);
    site.post(&page, &format!("{bearer}Content-Encoding: gzip\r\n"), b"no gzip").refuses(Kind::Malformed);
    for body in ["", "hello", "<s3xml>", "{}"] {
        site.post(&page, &bearer, body.as_bytes()).refuses(Kind::Malformed);
    }
    site.post("/sync/sync.xml?resource=team", &bearer, b"<s3xml/>").refuses(Kind::Malformed);
}

#[test]
fn unknown_addresses_and_methods_are_told_in_words_of_the_protocol() {
    let site = Served::plain();
    site.get("/sync/nothing", "").refuses(Kind::NotFound);
    for line in ["DELETE /sync/sync.xml", "PATCH /sync/hello", "OPTIONS /sync/sync.xml", "GET /sync/session"] {
        let answer = site.ask(line, "", b"");
        assert_eq!((answer.status, answer.json()["statuscode"].as_str()), (405, Some("405")), "{line}");
    }
}

#[test]
fn raw_brackets_in_a_query_are_taken_as_they_are() {
    let site = Served::plain();
    let own = SiteId::random();
    let bearer = site.bearer(own);
    let answer = site.get(&format!("/sync/sync.xml?resource=team&[~]name__like=a%20b&repository={own}"), &bearer);
    assert!(answer.status == 200 || answer.json()["kind"] == "not_found" || answer.json()["kind"] == "forbidden", "{}", answer.head);
}

#[test]
fn a_site_registers_and_is_told_who_answers() {
    let site = Served::plain();
    let peer = site.peer(SiteId::random());
    let own = SiteId::random();
    let registration = Registration { uuid: own.to_string(), name: Some("hall".into()), apitype: None, url: None, entente: None };
    let registered = peer.register(&registration).unwrap();
    assert_eq!((registered.message.as_str(), registered.sender), ("Registration successful", site.site.id.to_string()));
    let json = format!(r#"{{"uuid": "{own}", "name": "x", "apitype": "eden"}}"#);
    let form = format!("{}Content-Type: application/x-www-form-urlencoded\r\n", basic("anna", "right"));
    assert_eq!(site.post("/sync/repository/register.json", &form, json.as_bytes()).json()["message"], "Registration update successful");
    site.post("/sync/repository/register.json", &basic("anna", "right"), b"{").refuses(Kind::Malformed);
    site.post("/sync/repository/register.json", &basic("anna", "right"), &vec![b' '; 70_000]).refuses(Kind::TooLarge);
    site.post("/sync/repository/register.json", "", json.as_bytes()).refuses(Kind::Unauthorized);
}

#[test]
fn a_paused_site_answers_hello_alone() {
    let site = Served::plain();
    let own = SiteId::random();
    let (bearer, page) = (site.bearer(own), page(own));
    site.site.store.write(|c| control::set_paused(c, true)).unwrap();
    assert_eq!(site.get("/sync/hello", &bearer).status, 200);
    for answer in [site.get("/sync/sync.xml?resource=team", &bearer), site.get("/sync/events", &bearer), site.post(&page, &bearer, b"")] {
        answer.refuses(Kind::Paused);
        assert!(answer.head.contains("retry-after: "), "{}", answer.head);
    }
}

#[test]
fn our_client_uses_one_session_for_all_its_calls_and_opens_another_when_it_is_lost() {
    let site = Served::plain();
    let peer = site.peer(SiteId::random());
    let contact = peer.hello().unwrap();
    assert_eq!(contact.hello.uuid, site.site.id);
    assert!(contact.skew.abs() < 5_000, "{}", contact.skew);
    // With the password gone, only the session can carry a second call.
    site.site.store.write(|c| entente::store::tokens::revoke_account(c, "anna")).unwrap();
    peer.hello().unwrap();
    peer.close();
    peer.hello().unwrap();
    let wrong = Entente::new(Settings { password: Some("wrong".into()), ..site.settings(SiteId::random()) }).unwrap();
    assert_eq!(wrong.hello().unwrap_err().kind(), Kind::Unauthorized);
}

#[test]
fn followers_hear_of_granted_resources_and_of_nothing_else() {
    let site = Served::plain();
    let peer = site.peer(SiteId::random());
    let (stop, changes) = (AtomicBool::new(false), site.changes.clone());
    let mut heard = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            while changes.receiver_count() == 0 {
                thread::sleep(Duration::from_millis(5));
            }
            for name in ["secret", "team"] {
                changes.send(name.into()).unwrap();
            }
        });
        peer.listen(&stop, &mut |name| {
            heard.push(name.to_owned());
            stop.store(true, Relaxed);
        })
        .unwrap();
    });
    assert_eq!(heard, ["team"]);
}

#[test]
fn a_stopping_site_ends_event_streams_and_is_gone_within_its_grace() {
    let mut site = Served::plain();
    let peer = site.peer(SiteId::random());
    let changes = site.changes.clone();
    let follower = thread::spawn(move || peer.listen(&AtomicBool::new(false), &mut |_| {}));
    while changes.receiver_count() == 0 {
        thread::sleep(Duration::from_millis(5));
    }
    let began = Instant::now();
    site.stop().unwrap();
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    follower.join().unwrap().unwrap();
    assert!(TcpStream::connect(site.address).is_err());
}

#[test]
fn an_address_in_use_is_told_with_what_to_do() {
    let site = Served::plain();
    let listen = Listen { addr: site.address, tls: None };
    let error = web::serve(site.site.clone(), listen, Changes::new(1), |_| panic!("it is in use"), async {}).unwrap_err();
    assert!(error.kind() == Kind::Exists && error.chain().contains("--listen"), "{}", error.chain());
}

/// A certificate authority's file, and a certificate by it with its key.
fn certificates(dir: &std::path::Path) -> (PathBuf, PathBuf, PathBuf) {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(vec![]).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap().pem();
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    (write("ca.pem", &ca_pem), write("cert.pem", &certificate), write("key.pem", &key.serialize_pem()))
}

#[test]
fn https_works_with_an_authority_of_ones_own_and_not_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, certificate, key) = certificates(dir.path());
    let site = Served::start(Some((certificate, key)));
    let url = format!("https://127.0.0.1:{}", site.address.port());
    let settings = || Settings { url: url.clone(), ..site.settings(SiteId::random()) };
    let trusting = Entente::new(Settings { ca_file: Some(ca), ..settings() }).unwrap();
    assert_eq!(trusting.hello().unwrap().hello.name, "hub");
    // On a machine without any authority the client says so before it calls.
    let error = Entente::new(settings()).and_then(|peer| peer.hello()).unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable, "{}", error.chain());
    assert!(error.chain().contains("certificate"), "{}", error.chain());
    let plain = site.settings(SiteId::random());
    assert!(Entente::new(plain).unwrap().hello().is_err(), "plain HTTP is not answered there");
}

#[test]
fn wrong_tls_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (_, certificate, key) = certificates(dir.path());
    let other = tempfile::tempdir().unwrap();
    let (_, _, stranger) = certificates(other.path());
    let site = Served::plain();
    let missing = dir.path().join("missing.pem");
    for (certificate, key, named) in [
        (&missing, &key, "missing.pem cannot be read"),
        (&certificate, &missing, "missing.pem cannot be read"),
        (&key, &key, "key.pem holds no certificate"),
        (&certificate, &certificate, "cert.pem holds no private key"),
        (&certificate, &stranger, "cannot be used together"),
    ] {
        let listen = Listen { addr: ([127, 0, 0, 1], 0).into(), tls: Some((certificate.clone(), key.clone())) };
        let error = web::serve(site.site.clone(), listen, Changes::new(1), |_| panic!("it must not start"), async {}).unwrap_err();
        assert!(error.kind() == Kind::Usage && error.chain().contains(named), "{named}: {}", error.chain());
    }
}

/// A line that passes on only so many bytes of each answer.
fn cutting(target: SocketAddr, allowed: Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut near, mut far) = (stream.unwrap(), TcpStream::connect(target).unwrap());
            let (mut near_read, mut far_write) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            thread::spawn(move || drop(std::io::copy(&mut near_read, &mut far_write)));
            let mut left = allowed.load(Relaxed);
            let mut byte = [0];
            while left > 0 && far.read(&mut byte).is_ok_and(|n| n == 1) && near.write_all(&byte).is_ok() {
                left -= 1;
            }
            let _ = near.shutdown(std::net::Shutdown::Both);
            let _ = far.shutdown(std::net::Shutdown::Both);
        }
    });
    address
}

#[test]
fn a_line_cut_at_any_byte_is_an_error_that_may_pass() {
    let site = Served::plain();
    let whole = {
        let answer = site.get("/sync/hello", "");
        answer.head.len() + 4 + answer.body.len()
    };
    let allowed = Arc::new(AtomicUsize::new(0));
    let url = format!("http://{}", cutting(site.address, allowed.clone()));
    let anonymous = |url: &str| Settings { url: url.into(), user: None, password: None, ..site.settings(SiteId::random()) };
    for cut in (0..whole - 40).step_by(3) {
        allowed.store(cut, Relaxed);
        let error = Entente::new(anonymous(&url)).unwrap().hello().unwrap_err();
        assert!(error.kind().retry(), "{cut}: {}", error.chain());
    }
    allowed.store(usize::MAX, Relaxed);
    Entente::new(anonymous(&url)).unwrap().hello().unwrap();
}
