//! The store as a whole: opening, processes together, what goes wrong.

use std::{collections::HashSet, fs, sync::Barrier, thread};

use diesel::{QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_query, sql_types::Text};
use diesel_migrations::MigrationHarness;
use secrecy::SecretString;

use super::{test_store::TestStore, *};
use crate::model::{Job, Repository, Time, Timing};

#[derive(QueryableByName)]
struct Sql {
    #[diesel(sql_type = Text)]
    sql: String,
}

fn tables(conn: &mut Conn) -> Vec<String> {
    let query = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE '\\_\\_diesel%' ESCAPE '\\' AND name NOT LIKE 'sqlite%' ORDER BY name";
    sql_query(query).load::<Sql>(conn).unwrap().into_iter().map(|row| row.sql).collect()
}

#[test]
fn migrations_go_up_down_and_up_again_to_the_same_tables() {
    let mut conn = open::connect(":memory:").unwrap();
    open::migrate(&mut conn).unwrap();
    let first = tables(&mut conn);
    assert!(first.len() > 12);
    conn.revert_all_migrations(open::MIGRATIONS).unwrap();
    assert_eq!(tables(&mut conn), Vec::<String>::new());
    open::migrate(&mut conn).unwrap();
    assert_eq!(tables(&mut conn), first);
}

#[test]
fn many_that_open_a_new_folder_at_once_all_get_in_with_one_key_and_one_identity() {
    let dir = tempfile::tempdir().unwrap();
    let (dir, start) = (dir.path().join("new/folder"), Barrier::new(8));
    let seen: Vec<(String, Vec<u8>)> = thread::scope(|scope| {
        let open = || {
            start.wait();
            let store = Store::open(&dir).unwrap();
            let uuid = store.write(|c| site::identity(c, crate::model::SiteId::random(), "hall", Time(1))).unwrap().uuid;
            (uuid.to_string(), store.key().seal(&SecretString::from("x"), "p").unwrap())
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let store = Store::open(&dir).unwrap();
    assert_eq!(seen.iter().map(|(uuid, _)| uuid).collect::<HashSet<_>>().len(), 1);
    assert!(seen.iter().all(|(_, sealed)| store.key().unseal(sealed, "p").is_some()));
}

#[test]
fn two_processes_with_four_threads_each_lease_400_jobs_without_an_error_and_none_twice() {
    let first = TestStore::new();
    let second = Store::open(first.dir.path()).unwrap();
    first
        .write(|c| {
            (0..400).try_for_each(|n| {
                let repository = first.add_repository(c, &format!("r{n}"))?;
                jobs::add(c, &Job { next_run: Some(Time(1)), ..Job::new(repository, Timing::Every(60)) }).map(|_| ())
            })
        })
        .unwrap();
    let (stores, start): ([&Store; 2], _) = ([&first, &second], Barrier::new(8));
    let work = |worker: usize| {
        start.wait();
        let (store, name) = (stores[worker % 2], format!("w:{worker}:1"));
        let mut leased = Vec::new();
        while let Some(next) = store.write(|c| jobs::lease_due(c, &name, Time(2), Time(100))).unwrap() {
            let id = next.job.id;
            assert!(store.write(|c| jobs::finish(c, id, next.fence, Some(Time(50)), 0, jobs::Ran::Yes)).unwrap());
            leased.push(id);
        }
        leased
    };
    let leased: Vec<i64> = thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..8).map(|worker| scope.spawn(move || work(worker))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!((leased.len(), leased.iter().collect::<HashSet<_>>().len()), (400, 400));
    assert!(first.read(jobs::list).unwrap().iter().all(|job| job.runs == 1));
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_left_as_it_is() {
    let store = TestStore::new();
    store.write(|c| Ok(sql_query("INSERT INTO __diesel_schema_migrations (version) VALUES ('9999')").execute(c)?)).unwrap();
    let error = Store::open(store.dir.path()).unwrap_err();
    assert_eq!(error.kind(), Kind::Newer);
    assert_eq!(error.to_string(), "The control store was made by a newer version of Entente");
    assert!(store.read(site::find).is_ok());
}

#[test]
fn a_file_that_is_no_store_is_refused_with_a_sentence_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(Store::FILE);
    fs::write(&file, "certainly not a database ".repeat(100)).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert!(error.chain().starts_with("The control store is damaged or no control store"), "{}", error.chain());
    assert!(fs::read_to_string(&file).unwrap().starts_with("certainly"));
}

#[test]
fn a_place_that_cannot_hold_a_store_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    fs::create_dir_all(dir.path().join("b").join(Store::FILE)).unwrap();
    for place in ["file", "file/below", "b"] {
        let error = Store::open(&dir.path().join(place)).unwrap_err();
        assert!(error.to_string().contains(&dir.path().join(place).display().to_string()), "{error}");
        assert!(error.next_step().unwrap().contains("--data"));
    }
}

#[test]
fn a_full_disk_says_so_and_undoes_the_change() {
    let store = TestStore::new();
    let error = store
        .write(|c| {
            c.batch_execute("PRAGMA max_page_count = 1")?;
            (0..10_000).try_for_each(|n| store.add_repository(c, &format!("a name that takes some room {n}")).map(|_| ()))
        })
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Full, "{}", error.chain());
    assert!(store.read(|c| repositories::list(c, store.key())).unwrap().is_empty());
}

#[test]
fn a_held_store_is_busy_and_a_change_in_a_question_is_refused() {
    let store = TestStore::new();
    let mut other = open::connect(store.dir().join(Store::FILE).to_str().unwrap()).unwrap();
    other.batch_execute("PRAGMA busy_timeout = 1").unwrap();
    let error = store.write(|_| Ok(other.immediate_transaction(|_| Ok(())).map_err(|error: Error| error.kind()).unwrap_err())).unwrap();
    assert_eq!(error, Kind::Busy);
    let error = store.read(|c| store.add_repository(c, "a")).unwrap_err();
    assert_eq!(error.to_string(), "The control store cannot be written");
    store.repository("a");
}

#[test]
fn a_change_that_fails_changes_nothing() {
    let store = TestStore::new();
    let error = store
        .write(|c| {
            store.add_repository(c, "a")?;
            Err::<(), _>(Error::usage("no"))
        })
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(store.read(|c| repositories::list(c, store.key())).unwrap().is_empty());
}

#[test]
fn a_change_by_another_process_is_noticed_and_quiet_is_quiet() {
    let store = TestStore::new();
    let other = Store::open(store.dir.path()).unwrap();
    let first = store.changed_since(0).unwrap().unwrap();
    assert_eq!(store.changed_since(first).unwrap(), None);
    other.read(site::find).unwrap();
    assert_eq!(store.changed_since(first).unwrap(), None);
    other.write(|c| site::identity(c, crate::model::SiteId::random(), "hall", Time(1))).unwrap();
    let second = store.changed_since(first).unwrap().unwrap();
    store.write(|c| site::rename(c, "stage")).unwrap();
    assert!(store.changed_since(second).unwrap().is_some(), "our own changes too");
}

#[test]
fn no_secret_is_in_the_bytes_of_the_data_directory() {
    let store = TestStore::new();
    let peer = Repository { user: Some("u".into()), password: Some(SecretString::from("tops3cret-of-the-hub")), ..Repository::new("hub") };
    store.write(|c| repositories::add(c, store.key(), &peer)).unwrap();
    let code = store.write(|c| setup_code::make(c, Time(1))).unwrap();
    for file in fs::read_dir(store.dir.path()).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        for secret in ["tops3cret-of-the-hub", &code, &code.replace('-', "")] {
            assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()));
        }
    }
}

#[cfg(unix)]
#[test]
fn what_the_store_makes_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    let store = Store::open(&dir).unwrap();
    store.write(|c| site::identity(c, crate::model::SiteId::random(), "hall", Time(1))).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for file in fs::read_dir(&dir).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}
