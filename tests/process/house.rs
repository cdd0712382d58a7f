//! A folder with data directories and databases, and the binary to be run in it.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::Value;

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// A folder that goes with the test.
pub(crate) struct House {
    pub(crate) dir: tempfile::TempDir,
}

/// How a process ended and what it said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn ok(self) -> Ran {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    pub(crate) fn fails(self, code: i32) -> Ran {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    pub(crate) fn says(self, part: &str) -> Ran {
        assert!(self.out.contains(part), "{part:?} is not in {self:#?}");
        self
    }

    pub(crate) fn complains(self, part: &str) -> Ran {
        assert!(self.err.contains(part), "{part:?} is not in {self:#?}");
        self
    }

    /// Its stdout, which is one document.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// The binary, in a clean environment.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_entente"));
    command.env_clear().env("TZ", "UTC").stdin(Stdio::null());
    command
}

impl House {
    pub(crate) fn new() -> House {
        let house = House { dir: tempfile::tempdir().unwrap() };
        std::fs::write(house.path("password"), format!("{PASSWORD}\n")).unwrap();
        house
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn command(&self, site: &str, words: &str) -> Command {
        let mut command = binary();
        command.current_dir(self.dir.path()).args(["--data", site]).args(split(words));
        command
    }

    /// Runs `entente --data SITE WORDS`; words in single quotes are one.
    pub(crate) fn run(&self, site: &str, words: &str) -> Ran {
        self.command(site, words).output().unwrap().into()
    }

    pub(crate) fn ok(&self, site: &str, words: &str) -> Ran {
        self.run(site, words).ok()
    }

    /// Runs SQL in a database of the folder, as its application would.
    pub(crate) fn sql(&self, database: &str, sql: &str) {
        open(&self.path(database)).execute_batch(sql).unwrap();
    }

    /// The rows of a query, columns joined by `|`.
    pub(crate) fn rows(&self, database: &str, sql: &str) -> Vec<String> {
        let database = open(&self.path(database));
        let mut statement = database.prepare(sql).unwrap();
        let columns = statement.column_count();
        let cell = |row: &rusqlite::Row<'_>, at| match row.get::<_, rusqlite::types::Value>(at).unwrap() {
            rusqlite::types::Value::Null => String::new(),
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => format!("{other:?}"),
        };
        let rows = statement.query_map([], |row| Ok((0..columns).map(|at| cell(row, at)).collect::<Vec<_>>().join("|"))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// Starts a process that stays and says where it listens.
    pub(crate) fn start(&self, site: &str, words: &str) -> Staying {
        Staying::start(self.command(site, words)).waits_for("listening on ")
    }

    /// The site `hub` with `hub.db` attached and served, and the site `laptop` with `laptop.db` attached, that knows it. Both databases are made by
    /// `schema`, and `attach` is what follows `attach app sqlite:…`.
    pub(crate) fn hub_and_laptop(schema: &str, attach: &str) -> (House, Staying) {
        let house = House::new();
        for site in ["hub", "laptop"] {
            house.sql(&format!("{site}.db"), schema);
        }
        let server = house.introduce("sqlite:hub.db", "sqlite:laptop.db", attach);
        (house, server)
    }

    /// The site `hub` with a database attached and served, and the site `laptop` with another attached, that knows it.
    pub(crate) fn introduce(&self, hub: &str, laptop: &str, attach: &str) -> Staying {
        for (site, url) in [("hub", hub), ("laptop", laptop)] {
            self.ok(site, &format!("init --name {site}"));
            self.ok(site, &format!("attach app {url} {attach}"));
        }
        self.ok("hub", "user add laptop --role peer --password-file password");
        let server = self.start("hub", "serve --listen 127.0.0.1:0");
        self.ok("laptop", &format!("repository add hub --url {} --user laptop --password-file password", server.url()));
        server
    }
}

fn open(path: &Path) -> Connection {
    let database = Connection::open(path).unwrap();
    database.busy_timeout(Duration::from_secs(10)).unwrap();
    database.pragma_update(None, "foreign_keys", true).unwrap();
    database
}

fn split(words: &str) -> Vec<String> {
    let parts = words.split('\'').enumerate();
    parts
        .flat_map(|(at, part)| if at % 2 == 1 { vec![part.to_owned()] } else { part.split_whitespace().map(str::to_owned).collect() })
        .collect()
}

/// A process that stays until it is asked to end. Killed when it is dropped.
pub(crate) struct Staying {
    child: Child,
    first: String,
}

impl Staying {
    pub(crate) fn start(mut command: Command) -> Staying {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Staying { child, first: String::new() }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The address it listens on.
    pub(crate) fn url(&self) -> String {
        self.first.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{:?}", self.first)).to_owned()
    }

    /// Waits for a line with that in it.
    pub(crate) fn waits_for(mut self, part: &str) -> Staying {
        let out = self.child.stdout.take().unwrap();
        let mut lines = BufReader::new(out);
        loop {
            self.first.clear();
            let read = lines.read_line(&mut self.first).unwrap();
            assert!(read > 0, "it ended without saying {part:?}");
            if self.first.contains(part) {
                break;
            }
        }
        // Read on, so that it never waits for us.
        thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        self
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// Waits for its end.
    pub(crate) fn ends(mut self) -> (ExitStatus, String) {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            thread::sleep(Duration::from_millis(20));
        };
        let mut said = String::new();
        std::io::Read::read_to_string(&mut self.child.stderr.take().unwrap(), &mut said).unwrap();
        (status, said)
    }
}

impl Drop for Staying {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal by name.
pub(crate) fn signal(process: u32, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &process.to_string()]).status().unwrap().success());
}

/// Waits until it is so.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}
