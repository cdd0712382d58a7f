use std::fs;

use super::*;
use crate::{
    model::{Account, ApiToken, Grant, Job, Repository, Resource, Role, Scope, SiteId, Timing},
    store::{
        accounts, api_tokens, attached, clones, conditions, databases, guesses, housekeeping, jobs, leases, met, password::Hashed,
        progress, repositories, resources, sessions, setup_code, test_store::TestStore, tokens, traffic, verified, visits,
    },
};

/// A store with something in every table, and numbers that were given and are free again.
fn full() -> TestStore {
    let store = TestStore::in_a_file();
    store
        .write(|c| {
            site::identity(c, SiteId::random(), "hall", Time(1))?;
            site::new_identity(c, SiteId::random(), Time(2))?;
            clones::note(c, SiteId::random(), Time(3))?;
            clones::moved(c, SiteId::random(), SiteId::random())?;
            databases::put(c, &crate::model::Database { name: "app".into(), url: "sqlite:ä.db".into() })?;
            databases::set_password(c, store.key(), "app", &"tops3cret".into())?;
            databases::set_mark(c, "app", &databases::JournalMark { epoch: "e".into(), incarnation: 1, runs: 7 })?;
            attached::put(c, &crate::model::AttachedTable { resource: "r".into(), database: "app".into(), table: "t".into() })?;
            for number in 0..3 {
                let peer =
                    Repository { user: Some("u".into()), password: Some("secret".into()), ..Repository::new(&format!("hub{number}")) };
                let repository = repositories::add(c, store.key(), &peer)?.id;
                let resource = resources::add(c, &Resource::new(repository, "t"))?;
                verified::set(c, resource.id, Time(5))?;
                jobs::add(c, &Job { next_run: Some(Time(9)), ..Job::new(repository, Timing::Every(60)) })?;
                leases::take(c, repository, "elsewhere:1:1", Time(1), Time(99))?;
            }
            repositories::remove(c, "hub2")?;
            let grant = Grant { pull: true, push: false, resources: Some(vec!["t".into()]) };
            accounts::add(c, &Account { name: "a".into(), role: Role::Peer, grant, bound: None }, &Hashed::decoy())?;
            tokens::issue(c, "a", 1, Time(0), 60)?;
            let token = ApiToken {
                name: "t".into(),
                account: Some("a".into()),
                scope: Scope::Read,
                created_on: Time(1),
                expires_on: Some(Time(2)),
            };
            api_tokens::add(c, &token)?;
            setup_code::make(c, Time(1))?;
            guesses::set(c, "who", guesses::Failures { count: 3, last: Time(4) })?;
            visits::set(c, 1, "t", 7, 12)?;
            sessions::begin(c, "a", "127.0.0.1", "Firefox", Time(3))?;
            jobs::ask(c, 1, crate::model::Ask { full: true, ..Default::default() }, Time(4))?;
            conditions::note(c, 1, 12, Time(8), crate::model::Outcome::Error, "ended", Some((7, "0.1.0")))?;
            let at = crate::model::Advance {
                repository: 1,
                run: 12,
                resource: "t".into(),
                direction: "pull".into(),
                records: 1,
                total: Some(2),
                begun: Time(1),
                at: Time(2),
            };
            progress::set(c, &at)?;
            let offer = crate::model::Offer { name: "t".into(), mode: crate::model::Mode::Both };
            let said =
                crate::model::Met { waiting: Some((5, Time(6))), taken: [("t".to_owned(), 7)].into(), offer: Some((vec![offer], Time(8))) };
            met::set(c, 1, &said)?;
            traffic::add(c, Time(1), crate::model::Traffic { received: 1, sent: 2, bytes: 3 })?;
            housekeeping::done(c, Time(7))?;
            for number in 0..1234 {
                let message = format!("entry {number} \u{1F600}");
                log::append(c, &LogEntry { message, ..LogEntry::new(Time(number), Action::Run, Direction::Outgoing) })?;
            }
            log::purge(c, Time(1), 1).map(|_| ())
        })
        .unwrap();
    store
}

/// All that is in a store, table by table.
fn everything(store: &Store) -> Vec<String> {
    let conn = &mut store.inner.place.connect(Use::Read).unwrap();
    let word = |table: &rows::Table| {
        let columns = table.columns.iter().map(|column| match (*column, &*conn) {
            ("password" | "digest" | "sealed", Conn::Sqlite(_)) if table.name != "account" => {
                format!("iif({column} IS NULL, '-', lower(hex({column})))")
            }
            ("password" | "digest" | "sealed", Conn::Postgres(_)) if table.name != "account" => {
                format!("coalesce(encode({column}, 'hex'), '-')")
            }
            (name, Conn::Postgres(_)) if BOOLEANS.contains(&name) => format!("CAST({name}::int AS TEXT)"),
            (name, _) => format!("coalesce(CAST({name} AS TEXT), '-')"),
        });
        let columns = columns.collect::<Vec<_>>().join(" || '|' || ");
        format!("SELECT {columns} AS word FROM {}", table.name)
    };
    let queries: Vec<String> = rows::TABLES.iter().map(word).collect();
    let mut found = Vec::new();
    for (table, query) in rows::TABLES.iter().zip(queries) {
        let mut rows = crate::store::tests::words(conn, &query);
        rows.sort();
        found.extend(rows.into_iter().map(|row| format!("{}: {row}", table.name)));
    }
    found
}

/// They are long, so only what differs is shown.
fn same(found: &[String], wanted: &[String]) {
    let more = |these: &[String], than: &[String]| these.iter().filter(|row| !than.contains(row)).cloned().collect::<Vec<_>>();
    assert_eq!((more(found, wanted), more(wanted, found)), (vec![], vec![]));
    assert_eq!(found.len(), wanted.len());
}

const BOOLEANS: [&str; 9] =
    ["paused", "accept_pushes", "enabled", "merge_fields", "accept_twins", "on_change", "remote", "may_pull", "may_push"];

fn run(dir: &Path, from: Option<&Address>, to: Option<&Address>) -> Result<u64> {
    Move { dir, from, to }.run(Time(5000), &mut |_, _, _| {})
}

/// A data directory on its own, and a server to move to.
fn away(store: TestStore) -> (tempfile::TempDir, TestStore, Address) {
    let there = TestStore::on_a_server();
    let address = there.database().unwrap().clone();
    let TestStore { store, dir, .. } = store;
    drop(store);
    (dir, there, address)
}

#[test]
fn all_tables_with_all_columns_are_moved() {
    for store in [TestStore::in_a_file(), TestStore::on_a_server()] {
        let mut known: Vec<String> =
            rows::TABLES.iter().flat_map(|table| table.columns.iter().map(move |column| format!("{}.{column}", table.name))).collect();
        known.sort();
        let mut there = crate::store::tests::columns(&store);
        there.retain(|name| !name.starts_with("__diesel"));
        there.sort();
        assert_eq!(known, there);
    }
}

#[test]
fn a_store_that_moves_to_a_server_and_back_is_what_it_was_and_goes_on_counting() {
    let store = full();
    let before = everything(&store);
    let tables = rows::TABLES.iter().filter(|table| before.iter().any(|row| row.starts_with(&format!("{}: ", table.name))));
    assert_eq!(tables.count(), rows::TABLES.len(), "something is in every table");
    let (dir, there, address) = away(store);
    drop(there.store);
    let mut seen = Vec::new();
    let moved = Move { dir: dir.path(), from: None, to: Some(&address) }
        .run(Time(5000), &mut |what, done, of| seen.push((what.to_owned(), done, of)));
    assert_eq!(moved.unwrap() as usize, before.len());
    assert_eq!(seen.last().map(|(_, done, of)| (*done, *of)), Some((before.len() as u64, before.len() as u64)));
    let refused = Store::open(dir.path()).unwrap_err();
    assert!(refused.to_string().contains(&format!("moved from here to {address}")), "{refused}");

    let store = Store::open_at(dir.path(), Some(&address), Keys::Known).unwrap();
    let mut after = everything(&store);
    let told = after.iter().position(|row| row.contains("The control store was moved from the data directory")).unwrap();
    after.remove(told);
    same(&after, &before);
    let repository = store.write(|c| repositories::add(c, store.key(), &Repository::new("new"))).unwrap();
    assert_eq!(repository.id, 4, "the number of one that was removed is not given again");
    let there = everything(&store);
    drop(store);

    assert_eq!(run(dir.path(), Some(&address), None).unwrap() as usize, there.len());
    assert!(
        Store::open_at(dir.path(), Some(&address), Keys::Known).unwrap_err().to_string().contains("moved from here to the data directory")
    );
    let store = Store::open(dir.path()).unwrap();
    let mut back = everything(&store);
    back.retain(|row| !row.contains(&format!("moved from {address} to")));
    same(&back, &there);
    assert_eq!(store.write(|c| repositories::add(c, store.key(), &Repository::new("newer"))).unwrap().id, 5);
}

#[test]
fn a_place_that_somebody_has_open_or_that_holds_something_else_is_refused() {
    let store = full();
    let server = TestStore::on_a_server();
    let address = server.database().unwrap().clone();
    let busy = run(store.dir.path(), None, Some(&address)).unwrap_err();
    assert!(busy.kind() == Kind::Busy && busy.next_step().unwrap().contains("serve, worker, up"), "{}", busy.chain());
    let before = everything(&store);
    let (dir, _other, _) = away(store);
    server.read(site::find).unwrap();
    let busy = run(dir.path(), None, Some(&address)).unwrap_err();
    assert!(busy.kind() == Kind::Busy && busy.next_step().unwrap().contains("on every machine"), "{}", busy.chain());
    server.write(|c| site::identity(c, SiteId::random(), "other", Time(1))).unwrap();
    let TestStore { store: open, server: _kept, .. } = server;
    drop(open);
    let other = run(dir.path(), None, Some(&address)).unwrap_err();
    assert!(other.kind() == Kind::Exists && other.to_string().contains("another site, other"), "{}", other.chain());
    same(&everything(&Store::open(dir.path()).unwrap()), &before);
    assert_eq!(run(dir.path(), None, None).unwrap_err().kind(), Kind::Usage);
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(run(empty.path(), None, Some(&address)).unwrap_err().kind(), Kind::NotFound);
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0);
}

#[test]
fn a_move_that_was_interrupted_anywhere_is_finished_by_the_same_words() {
    for after in ["the target was written", "the source was marked", "all was done"] {
        let store = full();
        let before = everything(&store);
        let (dir, there, address) = away(store);
        let TestStore { store: open, server: _kept, .. } = there;
        drop(open);
        {
            let mut from = hold(dir.path(), None).unwrap();
            let mut to = hold(dir.path(), Some(&address)).unwrap();
            transfer(&mut from, &mut to, dir.path(), Time(5000), &mut |_, _, _| {}).unwrap();
            if after == "the target was written" {
                site::set_moved_to(&mut from.conn, None).unwrap();
            }
            if after == "all was done" {
                site::set_moved_to(&mut to.conn, None).unwrap();
            }
        }
        if after != "all was done" {
            let early = Store::open_at(dir.path(), Some(&address), Keys::Known).unwrap_err();
            assert!(early.to_string().contains("has not arrived here yet"), "{early}");
        }
        run(dir.path(), None, Some(&address)).unwrap();
        let store = Store::open_at(dir.path(), Some(&address), Keys::Known).unwrap();
        let mut found = everything(&store);
        found.retain(|row| !row.contains("The control store was moved"));
        same(&found, &before);
        assert!(Store::open(dir.path()).is_err());
    }
}

#[test]
fn a_move_that_fails_leaves_both_places_as_they_were() {
    let store = full();
    let before = everything(&store);
    let (dir, there, address) = away(store);
    let TestStore { store: open, server, .. } = there;
    drop(open);
    let mut server = server.unwrap();
    server.sql(
        "CREATE FUNCTION entente_control.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53100',
            MESSAGE = 'could not extend file \"base/1/2\": No space left on device'; END $$;
        CREATE TRIGGER refuse AFTER INSERT ON entente_control.verified EXECUTE FUNCTION entente_control.refuse()",
    );
    let error = run(dir.path(), None, Some(&address)).unwrap_err();
    assert_eq!(error.kind(), Kind::Full, "{}", error.chain());
    assert_eq!(server.rows("SELECT count(*) FROM entente_control.log"), "0");
    same(&everything(&Store::open(dir.path()).unwrap()), &before);
}
