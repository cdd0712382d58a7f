//! A private PostgreSQL for tests: one server for all tests of a process, in a temporary folder, gone when the process is. A database a test.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use postgres::{Client, NoTls};

/// Whether commits reach the disk, as they do for users. Said before the first database is made.
pub(crate) static DURABLE: AtomicBool = AtomicBool::new(false);

/// A server. It ends when this is dropped, or the process that started it is gone.
pub(crate) struct Server {
    folder: PathBuf,
    port: u16,
    /// Its stdin is kept open: the guard ends the server when that is closed.
    guard: Option<Child>,
}

/// The folder with PostgreSQL's programs.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let mut found: Vec<PathBuf> =
        versions.chain(std::env::var_os("PGBIN").map(PathBuf::from)).filter(|bin| bin.join("initdb").exists()).collect();
    found.sort();
    found.pop().unwrap_or_else(|| {
        panic!(
            "these tests need PostgreSQL: `cargo xtask test` installs it, or apt-get install postgresql, or set PGBIN to the folder of initdb"
        )
    })
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
    let fits = !DURABLE.load(Ordering::Relaxed) && left.is_some_and(|megabytes| megabytes > 6_000);
    if fits { memory.to_owned() } else { std::env::temp_dir() }
}

/// Starts a server of the caller's own.
pub(crate) fn start() -> Server {
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
    // By TLS at a port, and in the folder.
    let mut settings = std::fs::read_to_string(data.join("postgresql.conf")).unwrap()
        + "\nlisten_addresses = '127.0.0.1'\nssl = on\nmax_connections = 400\nmax_wal_size = 4GB\n"
        + if DURABLE.load(Ordering::Relaxed) { "shared_buffers = 512MB\n" } else { "shared_buffers = 64MB\n" }
        + &format!("unix_socket_directories = '{}'\nport = {port}\n", folder.display());
    if !DURABLE.load(Ordering::Relaxed) {
        settings += "fsync = off\nfull_page_writes = off\n";
    }
    std::fs::write(data.join("postgresql.conf"), settings).unwrap();
    let mut server = Server { folder, port, guard: None };
    server.guard = Some(server.guarded());
    server.wait().batch_execute("CREATE ROLE guarded LOGIN PASSWORD 'right'").unwrap();
    server
}

/// A program in a world of mounts of its own, where that can be had: what is mounted there goes when the last process there does.
fn apart() -> Command {
    let unshare = |options: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(options);
        command
    };
    let options: &[&str] = if is_root() { &["-m"] } else { &["-c", "--keep-caps", "-m"] };
    match unshare(options).arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        true => unshare(options),
        false => Command::new("env"),
    }
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
    /// Starts the server and its guard, which reads from us; when we are gone it ends the server and removes the folder. Within it is a disk of
    /// a few megabytes, where we may mount one.
    fn guarded(&self) -> Child {
        let disk = "folder=$1; shift; mkdir -p \"$folder/disk\"; mount -t tmpfs -o size=12m,mode=777 tmpfs \"$folder/disk\"; \"$@\"; umount \"$folder/disk\"; rm -rf \"$folder\"";
        let guard =
            "folder=$1; mkdir -m 700 \"$folder/disk/space\"; \"$2\" -D \"$folder/data\" </dev/null >\"$folder/log\" 2>&1 & read -r _;
                     \"$(dirname \"$2\")/pg_ctl\" -D \"$folder/data\" -m immediate stop";
        let mut command = apart();
        command.args(["sh", "-c", disk, "disk"]).arg(&self.folder);
        let plain = plainly(Path::new("/bin/sh"));
        command
            .arg(plain.get_program())
            .args(plain.get_args())
            .args(["-c", guard, "guard"])
            .arg(&self.folder)
            .arg(programs().join("postgres"));
        command.current_dir(&self.folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Waits until it answers.
    fn wait(&self) -> Client {
        let begun = Instant::now();
        loop {
            match Client::connect(&self.url("tester", "postgres"), NoTls) {
                Ok(admin) => return admin,
                Err(error) => assert!(begun.elapsed() < Duration::from_secs(30), "the server does not come up: {error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn control(&self, words: &[&str]) {
        let mut command = plainly(&programs().join("pg_ctl"));
        let data = self.folder.join("data");
        let done = command.arg("-D").arg(data).args(words).current_dir(&self.folder).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(done.unwrap().success(), "pg_ctl {words:?}");
    }

    /// The address of a database for a user, by a socket in the folder.
    pub(crate) fn url(&self, user: &str, database: &str) -> String {
        let folder = self.folder.to_str().unwrap().replace('/', "%2F");
        format!("postgresql://{user}@{folder}:{}/{database}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(guard) = &mut self.guard {
            drop(guard.stdin.take());
            let _ = guard.wait();
        }
    }
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(start)
}

/// A server of a test's own, which it may stop and start.
#[derive(Clone, Copy)]
pub(crate) struct TestServer(&'static Server);

impl TestServer {
    pub(crate) fn new() -> TestServer {
        TestServer(Box::leak(Box::new(start())))
    }

    /// An empty database of it.
    pub(crate) fn database(self) -> TestDatabase {
        TestDatabase::of(self.0)
    }

    /// Stops it as a crash does.
    pub(crate) fn crash(self) {
        self.0.control(&["-m", "immediate", "stop"]);
    }

    /// Starts it again.
    pub(crate) fn start(self) {
        self.0.control(&["-l", "again.log", "-w", "start"]);
        self.0.wait();
    }

    /// Makes it a standby: it takes no writes.
    pub(crate) fn stand_by(self) {
        self.0.control(&["-m", "fast", "stop"]);
        std::fs::write(self.0.folder.join("data").join("standby.signal"), "").unwrap();
        self.start();
    }
}

/// A database of a test's own, and an application's connection to it.
pub(crate) struct TestDatabase {
    server: &'static Server,
    name: String,
    pub(crate) app: Client,
}

impl TestDatabase {
    /// An empty one.
    pub(crate) fn new() -> TestDatabase {
        TestDatabase::of(server())
    }

    fn of(server: &'static Server) -> TestDatabase {
        static MAKING: Mutex<()> = Mutex::new(());
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        {
            let _alone = MAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let mut admin = Client::connect(&server.url("tester", "postgres"), NoTls).unwrap();
            admin.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        }
        let app = Client::connect(&server.url("tester", &name), NoTls).unwrap();
        TestDatabase { server, name, app }
    }

    /// Its name on the server.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        self.url_as("tester")
    }

    /// Its address for another user.
    pub(crate) fn url_as(&self, user: &str) -> String {
        self.server.url(user, &self.name)
    }

    /// Its address by the network, and the file with the authority that the server's certificate is by.
    pub(crate) fn by_network(&self) -> (String, String) {
        let server = self.server;
        let file = server.folder.join("data").join("ca.pem");
        (format!("postgres://tester@localhost:{}/{}", server.port, self.name), file.to_str().unwrap().to_owned())
    }

    /// Where a table may be put whose disk is full after some megabytes; `None` where this machine lets us mount none.
    pub(crate) fn small_disk(&mut self) -> Option<&'static str> {
        let space = self.server.folder.join("disk").join("space");
        let sql = format!("CREATE TABLESPACE small LOCATION '{}'", space.display());
        let known = !self.rows("SELECT 1 FROM pg_tablespace WHERE spcname = 'small'").is_empty();
        let made = known || self.app.batch_execute(&sql).is_ok();
        // The folder is there, too, where nothing is mounted: then it is as large as this machine's disk.
        let mounts = self.rows("SELECT pg_read_file('/proc/self/mounts')");
        (made && mounts.contains(&format!("{}/disk tmpfs", self.server.folder.display()))).then_some("small")
    }

    /// Makes a user of this test's own, without any privilege; returns its name.
    pub(crate) fn user(&mut self, options: &str) -> String {
        let user = format!("user_of_{}", self.name);
        self.sql(&format!("CREATE ROLE {user} LOGIN {options}"));
        user
    }

    /// Connects the application again, after the server was away.
    pub(crate) fn reconnect(&mut self) {
        self.app = self.another();
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

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Ok(mut admin) = Client::connect(&self.server.url("tester", "postgres"), NoTls) {
            let _ = admin.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
        }
    }
}
