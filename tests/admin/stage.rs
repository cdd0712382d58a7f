//! Two sites for a play: `north`, whose pages are looked at, and `south`, which it runs with.

use crate::{
    browser::Browser,
    house::{House, PASSWORD, Staying, until},
};

/// The tables of `north` hold no town longer than twenty letters; those of `south` do.
const NORTH: &str = "CREATE TABLE contact (code TEXT PRIMARY KEY, name TEXT NOT NULL, town TEXT CHECK (length(town) <= 20), phone TEXT);
     CREATE TABLE visit (id INTEGER PRIMARY KEY, contact TEXT REFERENCES contact (code), note TEXT);";
const SOUTH: &str = "CREATE TABLE contact (code TEXT PRIMARY KEY, name TEXT NOT NULL, town TEXT, phone TEXT);
     CREATE TABLE visit (id INTEGER PRIMARY KEY, contact TEXT REFERENCES contact (code), note TEXT);";

/// The sites.
pub(crate) struct Stage {
    pub(crate) house: House,
    /// Dropped and started again where the line is to break.
    pub(crate) north: Option<Staying>,
    pub(crate) south: Staying,
    pub(crate) home: String,
    /// The set-up code of `north`.
    pub(crate) code: String,
}

impl Stage {
    /// `north` as it is just after `init`, and `south` with an account for it and three contacts.
    pub(crate) fn empty() -> Stage {
        let house = House::new();
        house.sql("north.db", NORTH);
        house.sql("south.db", SOUTH);
        house.sql(
            "south.db",
            "INSERT INTO contact VALUES ('ada', 'Ada', 'Bonn', '100'), ('bob', 'Bob', 'Celle', '200'), ('eve', 'Eve', NULL, '300')",
        );
        let code = house.ok("north", "--format json init --name north").json()["setup_code"].as_str().unwrap().to_owned();
        house.ok("south", "init --name south");
        house.ok("south", "attach app sqlite:south.db --table contact --table visit");
        house.ok("south", "user add north --role peer --may pull,push --password-file password");
        let south = house.start("south", "serve --listen 127.0.0.1:0");
        let north = house.start("north", "up --listen 127.0.0.1:0");
        let home = north.url();
        Stage { house, north: Some(north), south, home, code }
    }

    /// The same, after everything that can happen happened once: accounts of all roles, a database, a repository, resources, a schedule, runs, one
    /// conflict that waits and one record in quarantine.
    pub(crate) fn full() -> Stage {
        let stage = Stage::empty();
        let house = &stage.house;
        for (name, role) in [("root", "admin"), ("olga", "operator"), ("vera", "viewer"), ("depot", "peer")] {
            house.ok("north", &format!("user add {name} --role {role} --password-file password"));
        }
        house.ok("north", "attach app sqlite:north.db --table contact --table visit");
        let url = stage.south.url();
        house.ok("north", &format!("repository add south --url {url} --user north --password-file password"));
        house.ok("north", "resource add south contact --conflict MANUAL");
        house.ok("north", "resource add south visit --filter '~.note__like=*'");
        // Later than any test lasts, so that no run comes between others.
        let start = chrono::Utc::now() + chrono::TimeDelta::hours(1);
        house.ok("north", &format!("job add south --every 1h --start {}", start.format("%Y-%m-%dT%H:%M:%SZ")));
        house.ok("north", "sync south");
        stage.disagree();
        house.sql("south.db", "INSERT INTO contact VALUES ('long', 'Lo', 'Llanfairpwllgwyngyllgogerychwyrndrobwll', '9')");
        house.run("north", "sync south");
        stage
    }

    /// Both sites change Ada.
    pub(crate) fn disagree(&self) {
        self.house.sql("north.db", "UPDATE contact SET town = 'Aachen', phone = '117' WHERE code = 'ada'");
        self.house.sql("south.db", "UPDATE contact SET town = 'Berlin', phone = '125' WHERE code = 'ada'");
    }

    /// Signs in by the form.
    pub(crate) fn sign_in(&self, browser: &Browser, name: &str) {
        browser.go("/login");
        browser.fill("name", name);
        browser.fill("password", PASSWORD);
        browser.press("Sign in");
        assert_eq!(browser.at(), "/");
    }

    /// Waits until a database holds these rows.
    pub(crate) fn holds(&self, database: &str, sql: &str, rows: &[&str]) {
        until(&format!("{database}: {sql} is {rows:?}"), || self.house.rows(database, sql) == rows);
    }
}
