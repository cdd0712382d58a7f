//! What can happen to a store on a server, and to none in a file.

use postgres::{Client, NoTls};
use secrecy::ExposeSecret;

use super::*;
use crate::postgresql::server::TestDatabase;

fn address(url: &str) -> Address {
    Address::parse(url).unwrap()
}

fn refused(dir: &tempfile::TempDir, url: &str) -> Error {
    Store::open_at(dir.path(), Some(&address(url)), Keys::Known).unwrap_err()
}

#[test]
fn what_keeps_a_store_from_being_opened_is_said_with_what_to_do() {
    let (dir, mut database) = (tempfile::tempdir().unwrap(), TestDatabase::new());
    let plain = database.user("");
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (network, authority) = database.by_network();
    let guarded = database.url_as("guarded");
    for (url, kind, part, hint) in [
        (guarded.replace("guarded@", "guarded:wrong@"), Kind::Unauthorized, "refuses the password", "--database-password-file"),
        (guarded, Kind::Unauthorized, "wants a password", "PGPASSWORD"),
        (database.url().replace(database.name(), "nothing"), Kind::NotFound, "no database of that name", "CREATE DATABASE"),
        (database.url_as("nobody"), Kind::Unauthorized, "does not let this user in", "pg_hba.conf"),
        (format!("postgres://me:tops3cret@{nowhere}/x"), Kind::Unreachable, "cannot be reached", "is the server running"),
        (database.url_as(&plain), Kind::Forbidden, "may not do that", "GRANT CREATE ON DATABASE"),
        (format!("{network}?sslmode=verify-full"), Kind::Unreachable, "cannot be reached", "sslrootcert"),
    ] {
        let error = refused(&dir, &url);
        assert_eq!(error.kind(), kind, "{url}: {}", error.chain());
        assert!(error.to_string().contains(part) && error.next_step().unwrap_or_default().contains(hint), "{url}: {}", error.chain());
        assert!(!error.chain().contains("wrong@") && !error.chain().contains("tops3cret"), "{}", error.chain());
    }
    let with_tls = address(&format!("{network}?sslmode=verify-full&sslrootcert={authority}"));
    let store = Store::open_at(dir.path(), Some(&with_tls), Keys::Known).unwrap();
    assert!(store.read(site::find).unwrap().is_none());
}

#[test]
fn a_plain_user_with_a_schema_of_its_own_is_enough() {
    let (dir, mut database) = (tempfile::tempdir().unwrap(), TestDatabase::new());
    let user = database.user("");
    database.sql(&format!("CREATE SCHEMA entente_control AUTHORIZATION {user}"));
    let store = Store::open_at(dir.path(), Some(&address(&database.url_as(&user))), Keys::Known).unwrap();
    store.write(|c| site::identity(c, SiteId::random(), "hall", Time(1))).unwrap();
    assert_eq!(database.rows("SELECT name FROM entente_control.site"), "hall");
}

#[test]
fn a_user_that_lost_its_rights_is_told_which() {
    let mut store = TestStore::on_a_server();
    let server = store.server.as_mut().unwrap();
    let user = server.user("");
    server.sql(&format!("GRANT USAGE ON SCHEMA entente_control TO {user}"));
    let url = server.url_as(&user);
    let error = refused(&store.dir, &url);
    assert!(error.kind() == Kind::Forbidden && error.next_step().unwrap().contains("own the schema entente_control"), "{}", error.chain());
}

#[test]
fn connections_that_the_server_ended_are_made_anew_and_nobody_notices() {
    let mut store = TestStore::on_a_server();
    let mut seen = store.changed_since(0).unwrap().unwrap();
    for round in 0..3 {
        store.repository(&format!("r{round}"));
        store.read(|c| repositories::list(c, store.key())).unwrap();
        let end =
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        store.server.as_mut().unwrap().sql(end);
        store.read(|c| repositories::list(c, store.key())).unwrap();
        store.repository(&format!("s{round}"));
        // The listener, too.
        thread::sleep(Duration::from_millis(500));
        seen = store.changed_since(seen).unwrap().unwrap_or(seen);
        store.again().unwrap().write(|c| store.add_repository(c, &format!("t{round}"))).unwrap();
        thread::sleep(Duration::from_millis(100));
        seen = store.changed_since(seen).unwrap().expect("it is listened to again");
    }
    assert_eq!(store.read(|c| repositories::list(c, store.key())).unwrap().len(), 9);
}

#[test]
fn a_server_that_crashes_and_starts_again_is_waited_for() {
    let server = server::start();
    let dir = tempfile::tempdir().unwrap();
    let url = server.url("tester", "postgres");
    let store = Store::open_at(dir.path(), Some(&address(&url)), Keys::Known).unwrap();
    store.write(|c| site::identity(c, SiteId::random(), "hall", Time(1))).unwrap();
    // A backend that is killed makes the server end all others, and recover.
    let [mut victim, mut witness] = [0, 1].map(|_| Client::connect(&url, NoTls).unwrap());
    let process: i32 = victim.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    assert!(std::process::Command::new("kill").args(["-9", &process.to_string()]).status().unwrap().success());
    while witness.batch_execute("SELECT 1").is_ok() {
        thread::sleep(Duration::from_millis(5));
    }
    store.write(|c| site::rename(c, "stage")).unwrap();
    assert_eq!(store.read(site::find).unwrap().unwrap().name, "stage");
}

#[test]
fn a_server_that_is_gone_is_said_to_be_gone() {
    let server = server::start();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_at(dir.path(), Some(&address(&server.url("tester", "postgres"))), Keys::Known).unwrap();
    drop(server);
    let error = store.read(site::find).unwrap_err();
    assert!(error.kind() == Kind::Unreachable && error.kind().retry(), "{}", error.chain());
}

#[test]
fn a_change_in_whose_middle_the_connection_is_lost_fails_and_changes_nothing() {
    let store = TestStore::on_a_server();
    let error = store
        .write(|c| {
            store.add_repository(c, "a")?;
            // As long as it is our own, it ends after this statement.
            let _ = c.batch_execute("SELECT pg_terminate_backend(pg_backend_pid())");
            store.add_repository(c, "b").map(|_| ())
        })
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable, "{}", error.chain());
    assert!(store.read(|c| repositories::list(c, store.key())).unwrap().is_empty());
    store.repository("a");
}

#[test]
fn a_full_disk_of_the_server_says_so_and_undoes_the_change() {
    let mut store = TestStore::on_a_server();
    store.server.as_mut().unwrap().sql(
        "CREATE FUNCTION entente_control.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION USING ERRCODE = '53100', MESSAGE = 'could not extend file \"base/1/2\": No space left on device'; END $$;
        CREATE TRIGGER refuse AFTER INSERT ON entente_control.resource EXECUTE FUNCTION entente_control.refuse()",
    );
    let error = store
        .write(|c| {
            let repository = store.add_repository(c, "a")?;
            resources::add(c, &crate::model::Resource::new(repository, "t"))
        })
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Full, "{}", error.chain());
    assert!(store.read(|c| repositories::list(c, store.key())).unwrap().is_empty());
}

#[test]
fn a_process_that_hangs_in_a_change_holds_up_the_others_for_a_while_only() {
    let store = TestStore::on_a_server();
    let mut stuck = store.inner.place.connect(Use::Write).unwrap();
    conn::begin(&mut stuck, Use::Write).unwrap();
    // Last: what comes between could take as long on a busy machine.
    stuck.batch_execute("SET idle_in_transaction_session_timeout = '300ms'").unwrap();
    store.repository("a");
    let error = conn::complete(&mut stuck, Use::Write, |c| site::rename(c, "x")).unwrap_err();
    assert!(error.kind().retry(), "{}", error.chain());
}

#[test]
fn a_machine_with_another_key_or_none_is_refused_until_the_key_is_given_up() {
    let first = TestStore::on_a_server();
    let peer = Repository { user: Some("u".into()), password: Some("tops3cret".into()), ..Repository::new("hub") };
    first.write(|c| repositories::add(c, first.key(), &peer)).unwrap();
    let (bare, other) = (tempfile::tempdir().unwrap(), TestStore::in_a_file());
    let open = |dir: &tempfile::TempDir, keys| Store::open_at(dir.path(), first.database(), keys);
    for dir in [&bare, &other.dir] {
        let error = open(dir, Keys::Known).unwrap_err();
        assert!(error.kind() == Kind::Forbidden && error.next_step().unwrap().contains("the file `key`"), "{}", error.chain());
    }
    assert!(!bare.path().join("key").exists(), "no key is made that fits nothing");
    fs::copy(first.dir.path().join("key"), bare.path().join("key")).unwrap();
    let second = open(&bare, Keys::Known).unwrap();
    let found = second.read(|c| repositories::get(c, second.key(), "hub")).unwrap();
    assert_eq!(found.password.unwrap().expose_secret(), "tops3cret");
    let renewed = open(&other.dir, Keys::Renewed).unwrap();
    assert!(renewed.read(|c| repositories::get(c, renewed.key(), "hub")).unwrap().password.is_none());
    assert!(open(&bare, Keys::Known).is_err() && open(&other.dir, Keys::Known).is_ok());
}

#[test]
fn no_secret_is_in_the_database_or_shown() {
    let mut store = TestStore::on_a_server();
    let peer = Repository { user: Some("u".into()), password: Some("tops3cret".into()), ..Repository::new("hub") };
    let code = store.write(|c| {
        repositories::add(c, store.key(), &peer)?;
        setup_code::make(c, Time(1))
    });
    let all = store
        .server
        .as_mut()
        .unwrap()
        .rows("SELECT query_to_xml('SELECT * FROM entente_control.repository, entente_control.setup_code', true, false, '')");
    assert!(all.contains("hub") && !all.contains("tops3cret") && !all.contains(&code.unwrap()));
}
