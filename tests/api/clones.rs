//! Two machines with one identity, over real connections.

use std::{path::Path, sync::Arc};

use entente::{
    config::{Config, Overrides, Settings as Flags},
    error::{Error, Kind, Result},
    model::{Account, Grant, Repository, Resource, Role, TableSpec, Time},
    site::{Site, Surroundings},
    store::{accounts, password::Hashed, repositories, resources},
    sync::{
        attach, register,
        run::{Ask, Control, run},
    },
};
use rusqlite::Connection;

use crate::{
    pages::Application,
    served::{Served, basic},
};

/// A machine in a folder of its own, with a clock that is ahead by so many seconds: within one second no machine is restored twice.
fn machine(folder: &Path, ahead: i64) -> Arc<Site> {
    let settings = Flags { data: Some(folder.into()), name: Some("desk".into()), ..Flags::default() };
    let config = Config::from_layers(Overrides { settings, ..Overrides::default() }, &Default::default(), None).unwrap();
    let clock = Arc::new(move || Time::from_utc(chrono::Utc::now()).plus_seconds(ahead));
    Site::open_in(config, Surroundings { clock, ..Surroundings::default() }).unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    std::fs::copy(from.join("key"), to.join("key")).unwrap();
    for name in ["entente.db", "app.db"] {
        Connection::open(from.join(name)).unwrap().execute("VACUUM INTO ?1", [to.join(name).to_str().unwrap()]).unwrap();
    }
    let url = format!("sqlite:{}", to.join("app.db").display());
    Connection::open(to.join("entente.db")).unwrap().execute("UPDATE database SET url = ?1", [url]).unwrap();
}

fn sync(site: &Site) -> Result<()> {
    let repository = site.store.read(|c| repositories::get(c, site.store.key(), "hub"))?;
    let report = run(site, &repository, &Ask::default(), &mut Control { stop: &|| None, progress: &mut |_| {} });
    report?.resources.into_iter().find_map(|part| part.error).map_or(Ok(()), Err)
}

/// An edit, and a run.
fn meets(site: &Site, folder: &Path, team: u32) -> Result<()> {
    let app = Connection::open(folder.join("app.db")).unwrap();
    app.execute("INSERT INTO team (name) VALUES (?1)", [team.to_string()]).unwrap();
    sync(site)
}

fn is_refused(done: Result<()>) {
    let error: Error = done.unwrap_err();
    assert_eq!(error.kind(), Kind::Exists, "{}", error.chain());
    assert!(error.to_string().contains("give one of them a new identity: entente site --new-identity"), "{error}");
}

#[test]
fn two_machines_with_one_identity_get_409_until_one_takes_another() {
    let hub = Served::plain();
    let there = Application::beside(&hub);
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let first = machine(&one, 0);
    Connection::open(one.join("app.db")).unwrap().execute_batch(crate::pages::SCHEMA).unwrap();
    let team = TableSpec { table: "team".into(), resource: "team".into(), ..TableSpec::default() };
    attach::attach(&first, "app", &format!("sqlite:{}", one.join("app.db").display()), &[team], &mut |_, _, _| {}).unwrap();
    let url = Some(format!("http://{}", hub.address));
    let line = Repository { url, user: Some("anna".into()), password: Some("right".into()), ..Repository::new("hub") };
    let added = register::add(&first, &line).unwrap().repository;
    first.store.write(|c| resources::add(c, &Resource::new(added.id, "team")).map(|_| ())).unwrap();
    meets(&first, &one, 1).unwrap();

    copy(&one, &two);
    let second = machine(&two, 10);
    assert_eq!(second.id, first.id);
    let bearer = hub.bearer(first.id);
    meets(&first, &one, 2).unwrap();
    meets(&second, &two, 3).unwrap();
    meets(&first, &one, 4).unwrap();
    is_refused(meets(&second, &two, 5));
    is_refused(meets(&first, &one, 6));
    for path in ["/sync/hello", "/sync/sync.xml"] {
        let answer = hub.get(&format!("{path}?resource=team&repository={}", first.id), &bearer);
        answer.refuses(Kind::Exists);
        assert_eq!(answer.status, 409);
        assert!(answer.json()["message"].as_str().unwrap().contains("two machines present themselves as"));
    }

    let former = second.id;
    let new = attach::new_identity(&second).unwrap();
    drop(second);
    let second = machine(&two, 20);
    assert_eq!(second.id, new);
    // The account belongs to the other, but it shows that the one that was taken for it has moved.
    assert_eq!(sync(&second).unwrap_err().kind(), Kind::Forbidden);
    sync(&first).unwrap();
    let grant = Grant { pull: true, push: true, resources: Some(vec!["team".into()]) };
    let bert = Account { name: "bert".into(), role: Role::Peer, grant, bound: None };
    hub.site.store.write(|c| accounts::add(c, &bert, &Hashed::of(&"left".into()).unwrap())).unwrap();
    let known = second.store.read(|c| repositories::get(c, second.store.key(), "hub")).unwrap();
    let own = Repository { user: Some("bert".into()), password: Some("left".into()), ..known };
    assert_eq!(register::change(&second, &own).unwrap().warning, None);
    for turn in 0..3 {
        meets(&first, &one, 10 + turn).unwrap();
        meets(&second, &two, 20 + turn).unwrap();
    }
    assert_eq!(there.names().len(), 12, "nothing that either wrote is lost");
    let odd = hub.post(&format!("/sync/session?repository={former}&formerly=nobody"), &basic("anna", "right"), b"");
    odd.refuses(Kind::Malformed);
}
