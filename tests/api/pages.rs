//! Pages both ways between real databases.

use entente::{
    error::Kind,
    model::{Page, PullRequest, PushRequest, Repository, Resource, SiteId, TableSpec, Want},
    peer::Peer,
    store::{repositories, resources},
    sync::{
        attach, register,
        run::{Ask, Control, run},
    },
};
use rusqlite::Connection;

use crate::served::Served;

pub(crate) const SCHEMA: &str =
    "CREATE TABLE team (number INTEGER PRIMARY KEY, name TEXT NOT NULL, notes BLOB); CREATE TABLE secret (id INTEGER PRIMARY KEY)";

/// The application's own database beside a site, attached.
pub(crate) struct Application {
    conn: Connection,
    _dir: tempfile::TempDir,
}

impl Application {
    pub(crate) fn beside(served: &Served) -> Application {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("app.db");
        let conn = Connection::open(&file).unwrap();
        conn.execute_batch(SCHEMA).unwrap();
        let specs = ["team", "secret"].map(|table| TableSpec { table: table.into(), resource: table.into(), ..TableSpec::default() });
        attach::attach(&served.site, "app", &format!("sqlite:{}", file.display()), &specs, &mut |_, _, _| {}).unwrap();
        Application { conn, _dir: dir }
    }

    pub(crate) fn insert(&self, rows: std::ops::Range<u32>) {
        let tx = self.conn.unchecked_transaction().unwrap();
        for number in rows {
            tx.execute("INSERT INTO team VALUES (?1, ?2, randomblob(20))", (number, format!("Team <{number}> & friends"))).unwrap();
        }
        tx.commit().unwrap();
    }

    pub(crate) fn write(&self, sql: &str) {
        self.conn.execute_batch(sql).unwrap();
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut statement = self.conn.prepare("SELECT name FROM team ORDER BY name").unwrap();
        let names = statement.query_map([], |row| row.get(0)).unwrap();
        names.map(|name| name.unwrap()).collect()
    }
}

pub(crate) fn pull_of(resource: &str) -> PullRequest {
    PullRequest {
        resource: resource.into(),
        cursor: String::new(),
        records: 5000,
        bytes: 4 << 20,
        run: 1,
        heard: 0,
        filters: Vec::new(),
        life: String::new(),
        want: Want::Page,
    }
}

pub(crate) fn push(batch: u128) -> PushRequest {
    let rules = Resource::new(0, "team").rules();
    PushRequest {
        batch: uuid::Uuid::from_u128(batch),
        run: 2,
        heard: 0,
        strategy: rules.strategy,
        update: rules.update,
        conflict: rules.conflict,
        merge_fields: false,
        life: String::new(),
    }
}

#[test]
fn a_page_is_pulled_packed_and_again_the_same() {
    let site = Served::plain();
    let application = Application::beside(&site);
    application.insert(0..500);
    let peer = site.peer(SiteId::random());
    let page = peer.pull(&pull_of("team")).unwrap();
    assert_eq!((page.records.len(), page.more), (500, false));
    let first = page.view(&page.records[0]);
    assert_eq!(first.get("name").unwrap().text, "Team <0> & friends");
    let before = peer.traffic();
    assert_eq!(peer.pull(&pull_of("team")).unwrap().cursor, page.cursor);
    assert!(peer.traffic() - before < page.text_len() as u64, "a page travels packed");
    let named = [first.uid().to_owned(), "urn:nobody".to_owned()];
    let fetched = peer.fetch("team", &named).unwrap();
    assert_eq!(fetched.views().map(|record| record.uid().to_owned()).collect::<Vec<_>>(), named[..1]);
}

#[test]
fn what_is_not_granted_or_not_there_is_not_given() {
    let site = Served::plain();
    let _application = Application::beside(&site);
    let peer = site.peer(SiteId::random());
    let resources = peer.hello().unwrap().hello.resources;
    assert_eq!(resources.iter().map(|resource| resource.name.as_str()).collect::<Vec<_>>(), ["team"]);
    assert_eq!(peer.pull(&pull_of("secret")).unwrap_err().kind(), Kind::Forbidden);
    assert_eq!(peer.fetch("secret", &["urn:x".into()]).unwrap_err().kind(), Kind::Forbidden);
    let page = Page::new("secret");
    assert_eq!(peer.push(&push(1), &page).unwrap_err().kind(), Kind::Forbidden);
}

#[test]
fn a_pushed_page_is_applied_once_however_often_it_comes() {
    let (from, to) = (Served::plain(), Served::plain());
    let (source, target) = (Application::beside(&from), Application::beside(&to));
    source.insert(0..300);
    let page = from.peer(SiteId::random()).pull(&pull_of("team")).unwrap();
    let peer = to.peer(from.site.id);
    peer.hello().unwrap();
    let receipt = peer.push(&push(7), &page).unwrap();
    assert_eq!((receipt.counts.created, receipt.quarantine.len()), (300, 0));
    assert_eq!(target.names(), source.names());
    assert_eq!(peer.push(&push(7), &page).unwrap(), receipt, "the stored answer comes back");
    let again = peer.push(&push(8), &page).unwrap();
    assert_eq!((again.counts.created, again.counts.unchanged), (0, 300));
    let stale = PushRequest { run: 1, ..push(9) };
    assert_eq!(peer.push(&stale, &page).unwrap_err().kind(), Kind::Fence);
    let mut other = page;
    other.resource = "secret".into();
    assert_eq!(peer.push(&push(10), &other).unwrap_err().kind(), Kind::Forbidden);
}

#[test]
fn two_sites_that_registered_agree_after_one_run() {
    let (here, there) = (Served::plain(), Served::plain());
    let (ours, theirs) = (Application::beside(&here), Application::beside(&there));
    ours.insert(0..40);
    let peer = Repository {
        url: Some(format!("http://{}/", there.address)),
        user: Some("anna".into()),
        password: Some("right".into()),
        ..Repository::new("there")
    };
    let added = register::add(&here.site, &peer).unwrap();
    assert_eq!((added.warning, added.repository.uuid), (None, Some(there.site.id)));
    let repository = added.repository;
    here.site.store.write(|c| resources::add(c, &Resource::new(repository.id, "team")).map(|_| ())).unwrap();
    let sync = || {
        let repository = here.site.store.read(|c| repositories::by_id(c, here.site.store.key(), repository.id)).unwrap();
        let report = run(&here.site, &repository, &Ask::default(), &mut Control { stop: &|| None, progress: &mut |_| {} }).unwrap();
        for part in &report.resources {
            assert!(part.error.is_none(), "{}", part.error.as_ref().unwrap().chain());
        }
    };
    sync();
    theirs.insert(100..130);
    sync();
    assert_eq!(ours.names().len(), 70);
    assert_eq!(ours.names(), theirs.names());
}
