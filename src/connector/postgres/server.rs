//! A private PostgreSQL for tests: one server for all tests of a process, in a temporary folder, gone when the process is. A database a test.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use postgres::{Client, NoTls};

struct Server {
    folder: PathBuf,
    port: u16,
    /// Kept open: the server's guard ends it when this process is gone.
    _guard: std::process::Child,
}

/// The folder with PostgreSQL's programs.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let mut found: Vec<PathBuf> =
        versions.chain(std::env::var_os("PGBIN").map(PathBuf::from)).filter(|bin| bin.join("initdb").exists()).collect();
    found.sort();
    found.pop().expect(
        "these tests need PostgreSQL: `cargo xtask test` installs it, or apt-get install postgresql, or set PGBIN to the folder of initdb",
    )
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|said| said.stdout == b"0\n")
}

/// A program as somebody who is not root: PostgreSQL refuses to run as root.
fn plainly(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

/// In memory where there is room for hundreds of databases.
fn place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let left = Command::new("df").args(["--output=avail", "-m"]).arg(memory).output();
    let left = left.ok().and_then(|said| String::from_utf8_lossy(&said.stdout).lines().last()?.trim().parse::<u64>().ok());
    if left.is_some_and(|megabytes| megabytes > 6_000) { memory.to_owned() } else { std::env::temp_dir() }
}

fn start() -> Server {
    let folder = tempfile::Builder::new().prefix("entente-pg-").tempdir_in(place()).unwrap().keep();
    if is_root() {
        assert!(Command::new("chown").arg("postgres").arg(&folder).status().unwrap().success());
    }
    let (bin, data) = (programs(), folder.join("data"));
    let made = plainly(&bin.join("initdb"))
        .current_dir(&folder)
        .args(["-A", "trust", "-U", "tester", "-N", "-E", "UTF8", "--locale=C", "-D"])
        .arg(&data)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    // One user needs a password.
    let gates = std::fs::read_to_string(data.join("pg_hba.conf")).unwrap();
    std::fs::write(data.join("pg_hba.conf"), format!("local all guarded scram-sha-256\n{gates}")).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    certify(&data);
    // By TLS at a port and by in the folder. The guard reads from us; when we are gone it ends the server and removes the folder.
    let guard =
        "folder=$1; shift; \"$@\" </dev/null >\"$folder/log\" 2>&1 & pid=$!; read -r _; kill -INT $pid; wait $pid; rm -rf \"$folder\"";
    let mut command = plainly(Path::new("/bin/sh"));
    command
        .args(["-c", guard, "guard"])
        .arg(&folder)
        .arg(bin.join("postgres"))
        .arg("-D")
        .arg(&data)
        .arg("-k")
        .arg(&folder)
        .arg("-p")
        .arg(port.to_string());
    for setting in [
        "listen_addresses=127.0.0.1",
        "ssl=on",
        "fsync=off",
        "full_page_writes=off",
        "max_connections=400",
        "shared_buffers=64MB",
        "max_wal_size=4GB",
    ] {
        command.args(["-c", setting]);
    }
    let guard = command.current_dir(&folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let server = Server { folder, port, _guard: guard };
    let begun = Instant::now();
    let mut admin = loop {
        match Client::connect(&server.url("tester", "postgres"), NoTls) {
            Ok(admin) => break admin,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(30), "the server does not come up: {error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    admin.batch_execute("CREATE ROLE guarded LOGIN PASSWORD 'right'").unwrap();
    server
}

/// Gives the server a certificate for `localhost`, by an authority of its own.
fn certify(data: &Path) {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(vec![]).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = ca.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    for (file, text) in [("ca.pem", authority.pem()), ("server.crt", certificate.pem()), ("server.key", key.serialize_pem())] {
        let path = data.join(file);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        assert!(!is_root() || Command::new("chown").arg("postgres").arg(&path).status().unwrap().success());
    }
}

impl Server {
    fn url(&self, user: &str, database: &str) -> String {
        let folder = self.folder.to_str().unwrap().replace('/', "%2F");
        format!("postgresql://{user}@{folder}:{}/{database}", self.port)
    }
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(start)
}

/// A database of a test's own, and an application's connection to it.
pub(crate) struct TestDatabase {
    name: String,
    pub(crate) app: Client,
}

impl TestDatabase {
    /// An empty one.
    pub(crate) fn new() -> TestDatabase {
        static MAKING: Mutex<()> = Mutex::new(());
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        {
            let _alone = MAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let mut admin = Client::connect(&server().url("tester", "postgres"), NoTls).unwrap();
            admin.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        }
        let app = Client::connect(&server().url("tester", &name), NoTls).unwrap();
        TestDatabase { name, app }
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        self.url_as("tester")
    }

    /// Its address for another user.
    pub(crate) fn url_as(&self, user: &str) -> String {
        server().url(user, &self.name)
    }

    /// Its address by the network, and the file with the authority that the server's certificate is by.
    pub(crate) fn by_network(&self) -> (String, String) {
        let server = server();
        let file = server.folder.join("data").join("ca.pem");
        (format!("postgres://tester@localhost:{}/{}", server.port, self.name), file.to_str().unwrap().to_owned())
    }

    /// Makes a user of this test's own, without any privilege; returns its name.
    pub(crate) fn user(&mut self, options: &str) -> String {
        let user = format!("user_of_{}", self.name);
        self.sql(&format!("CREATE ROLE {user} LOGIN {options}"));
        user
    }

    /// A further connection of an application's.
    pub(crate) fn another(&self) -> Client {
        Client::connect(&self.url(), NoTls).unwrap()
    }

    /// Runs statements as the application.
    pub(crate) fn sql(&mut self, sql: &str) {
        self.app.batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {:?}", error.as_db_error()));
    }

    /// The rows of a query, values joined by `|`, rows by a space.
    pub(crate) fn rows(&mut self, sql: &str) -> String {
        let rows = self.app.simple_query(sql).unwrap();
        let rows = rows.iter().filter_map(|message| match message {
            postgres::SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|at| row.get(at).unwrap_or("-")).collect::<Vec<_>>().join("|"))
            }
            _ => None,
        });
        rows.collect::<Vec<_>>().join(" ")
    }
}
