//! A laptop and its hub: what an administrator's program does from the first day on.

use entente::{
    jobs::work_once,
    model::{Account, ApiToken, Grant, Role, Scope},
    store::{accounts, api_tokens, password::Hashed},
};
use rusqlite::Connection;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::book::{Book, bearer};
use crate::{
    pages::Application,
    served::{Answer, Served},
};

/// Long names are refused here, and not at the hub.
const SCHEMA: &str = "CREATE TABLE team (number INTEGER PRIMARY KEY, name TEXT NOT NULL CHECK (length(name) < 20), notes BLOB); CREATE TABLE spare (id INTEGER PRIMARY KEY)";

/// A token of the site itself.
pub(super) fn token(site: &Served, name: &str, scope: Scope, account: Option<&str>) -> String {
    let new = ApiToken { name: name.into(), account: account.map(str::to_owned), scope, created_on: site.site.now(), expires_on: None };
    bearer(site.site.store.write(|c| api_tokens::add(c, &new)).unwrap().expose_secret())
}

/// An account for a person, with the password `right`.
pub(super) fn person(site: &Served, name: &str, role: Role) {
    let grant = Grant { pull: false, push: false, resources: None };
    let account = Account { name: name.into(), role, grant, bound: None };
    let hash = Hashed::of(&"right".into()).unwrap();
    site.site.store.write(|c| accounts::add(c, &account, &hash)).unwrap();
}

/// The laptop, which the story is about, and its hub.
pub(super) struct Story {
    pub(super) laptop: Served,
    pub(super) hub: Served,
    pub(super) there: Application,
    pub(super) here: Connection,
    pub(super) admin: String,
    pub(super) book: Book,
    url: String,
    _dir: tempfile::TempDir,
}

impl Story {
    pub(super) fn new() -> Story {
        let (laptop, hub) = (Served::plain(), Served::plain());
        let there = Application::beside(&hub);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("app.db");
        let here = Connection::open(&file).unwrap();
        here.execute_batch(SCHEMA).unwrap();
        let admin = token(&laptop, "program", Scope::Admin, None);
        let book = Book::of(&laptop);
        Story { laptop, hub, there, here, admin, book, url: format!("sqlite:{}", file.display()), _dir: dir }
    }

    /// A request as the administrator's program, held against the document.
    pub(super) fn send(&self, line: &str, body: Value) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        self.book.send(&self.laptop, &self.admin, &format!("{method} /api/v1{path}"), &body)
    }

    /// A request that is to go well.
    pub(super) fn well(&self, line: &str, body: Value) -> Value {
        let answer = self.send(line, body);
        assert!(answer.status < 300, "{line} {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    /// A request that is to fail.
    pub(super) fn fails(&self, line: &str, body: Value, status: u16) -> Value {
        let answer = self.send(line, body);
        assert_eq!(answer.status, status, "{line}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    /// What the worker does.
    pub(super) fn work(&self) {
        work_once(&self.laptop.site, std::future::pending()).unwrap();
    }

    /// Attaches, registers, shares and schedules.
    pub(super) fn begin(&self) {
        let attach = json!({"name": "app", "url": self.url, "tables": [{"table": "team"}]});
        self.well("POST /databases", attach);
        let hub = json!({"name": "hub", "url": format!("http://{}/", self.hub.address), "user": "anna", "password": "right"});
        assert_eq!(self.well("POST /repositories", hub)["warning"], Value::Null);
        let rules = json!({"conflict": "MANUAL"});
        self.well("POST /repositories/hub/resources", json!({"name": "team", "rules": rules}));
        self.well("POST /jobs", json!({"repository": "hub", "plan": {"every": 3600}}));
    }

    /// Asks for a run and lets the worker make it. Returns its entry in the log.
    pub(super) fn sync(&self) -> Value {
        self.well("POST /runs", json!({"repository": "hub"}));
        self.work();
        self.well("GET /runs?limit=1", Value::Null)["items"][0].clone()
    }

    /// Where the laptop's database is.
    pub(super) fn url(&self) -> &str {
        &self.url
    }
}
