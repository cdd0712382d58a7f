//! The store as a whole: opening, processes together, what goes wrong.

use std::{
    collections::HashSet,
    fs,
    path::Path,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use diesel::{QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_query, sql_types::Text};
use diesel_migrations::MigrationHarness;
use secrecy::SecretString;

use super::{conn::Use, test_store::TestStore, *};
use crate::{
    error::{Error, Kind},
    model::{Job, Repository, SiteId, Time, Timing},
    postgresql::server,
};

mod server_trouble;

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Text)]
    word: String,
}

pub(super) fn words(conn: &mut Conn, query: &str) -> Vec<String> {
    sql_query(query).load::<Word>(conn).unwrap().into_iter().map(|row| row.word).collect()
}

const SQLITE_TABLES: &str =
    "SELECT sql AS word FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE '\\_\\_diesel%' ESCAPE '\\' AND name NOT LIKE 'sqlite%'
    ORDER BY name";
const POSTGRES_TABLES: &str =
    "SELECT table_name || '.' || column_name || ' ' || data_type || is_nullable || coalesce(column_default, '') AS word
    FROM information_schema.columns WHERE table_schema = 'entente_control' AND table_name NOT LIKE '\\_\\_diesel%'
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'entente_control' AND tablename NOT LIKE '\\_\\_diesel%'
    UNION ALL SELECT conrelid::regclass || pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'entente_control'::regnamespace AND conname NOT LIKE '\\_\\_diesel%' ORDER BY 1";

#[test]
fn migrations_go_up_down_and_up_again_to_the_same_tables() {
    TestStore::each(|new| {
        let store = new();
        let mut conn = store.inner.place.connect(Use::Write).unwrap();
        let query = if store.server.is_some() { POSTGRES_TABLES } else { SQLITE_TABLES };
        let first = words(&mut conn, query);
        assert!(first.len() > 12);
        match &mut conn {
            Conn::Sqlite(conn) => conn.revert_all_migrations(open::SQLITE).map(|_| ()),
            Conn::Postgres(conn) => conn.revert_all_migrations(open::POSTGRES).map(|_| ()),
        }
        .unwrap();
        assert_eq!(words(&mut conn, query), Vec::<String>::new());
        open::migrate(&mut conn).unwrap();
        assert_eq!(words(&mut conn, query), first);
    });
}

#[test]
fn both_kinds_have_migrations_of_the_same_names_and_tables_with_the_same_columns() {
    let names = |kind: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/control").join(kind);
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names("sqlite"), names("postgres"));
    assert_eq!(columns(&TestStore::in_a_file()), columns(&TestStore::on_a_server()));
}

/// `TABLE.COLUMN`, for all that there is.
pub(super) fn columns(store: &TestStore) -> Vec<String> {
    let query = if store.server.is_some() {
        "SELECT table_name || '.' || column_name AS word FROM information_schema.columns WHERE table_schema = 'entente_control'
            ORDER BY table_name COLLATE \"C\", ordinal_position"
    } else {
        "SELECT t.name || '.' || c.name AS word FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
            WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' ORDER BY t.name, c.cid"
    };
    store.read(|c| Ok(words(c, query))).unwrap()
}

#[test]
fn many_that_open_a_new_folder_at_once_all_get_in_with_one_key_and_one_identity() {
    many_open_at_once(None);
    let server = server::TestDatabase::new();
    many_open_at_once(Some(&Address::parse(&server.url()).unwrap()));
}

fn many_open_at_once(database: Option<&Address>) {
    let dir = tempfile::tempdir().unwrap();
    let (dir, start) = (dir.path().join("new/folder"), Barrier::new(8));
    let seen: Vec<(String, Vec<u8>)> = thread::scope(|scope| {
        let open = || {
            start.wait();
            let store = Store::open_at(&dir, database, Keys::Known).unwrap();
            let uuid = store.write(|c| site::identity(c, SiteId::random(), "hall", Time(1))).unwrap().uuid;
            (uuid.to_string(), store.key().seal(&SecretString::from("x"), "p").unwrap())
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let store = Store::open_at(&dir, database, Keys::Known).unwrap();
    assert_eq!(seen.iter().map(|(uuid, _)| uuid).collect::<HashSet<_>>().len(), 1);
    assert!(seen.iter().all(|(_, sealed)| store.key().unseal(sealed, "p").is_some()));
}

#[test]
fn two_processes_with_four_threads_each_lease_400_jobs_without_an_error_and_none_twice() {
    TestStore::each(|new| {
        let first = new();
        let second = first.again().unwrap();
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
    });
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_left_as_it_is() {
    TestStore::each(|new| {
        let store = new();
        store.write(|c| Ok(sql_query("INSERT INTO __diesel_schema_migrations (version) VALUES ('9999')").execute(c)?)).unwrap();
        let error = store.again().unwrap_err();
        assert_eq!(error.kind(), Kind::Newer);
        assert_eq!(error.to_string(), "The control store was made by a newer version of Entente");
        assert!(store.read(site::find).is_ok());
    });
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
    let store = TestStore::in_a_file();
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
fn a_held_store_is_busy() {
    TestStore::each(|new| {
        let store = new();
        let mut other = store.inner.place.connect(Use::Write).unwrap();
        other.batch_execute(if store.server.is_some() { "SET lock_timeout = 1" } else { "PRAGMA busy_timeout = 1" }).unwrap();
        let error = store.write(|_| Ok(Error::from(conn::begin(&mut other, Use::Write).unwrap_err()))).unwrap();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (Kind::Busy, "Another process holds the control store"),
            "{}",
            error.chain()
        );
    });
}

#[test]
fn a_change_in_a_question_is_refused() {
    TestStore::each(|new| {
        let store = new();
        let error = store.read(|c| store.add_repository(c, "a")).unwrap_err();
        assert_eq!(error.to_string(), "The control store cannot be written");
        store.repository("a");
    });
}

#[test]
fn a_question_sees_one_state_while_others_change_it() {
    TestStore::each(|new| {
        let store = new();
        let names = |c: &mut Conn| Ok(repositories::list(c, store.key())?.len());
        let seen = store
            .read(|c| {
                let before = names(c)?;
                store.repository("a");
                Ok((before, names(c)?))
            })
            .unwrap();
        assert_eq!((seen, store.read(names).unwrap()), ((0, 0), 1));
    });
}

#[test]
fn changes_come_one_after_the_other_over_all_processes() {
    TestStore::each(|new| {
        let first = new();
        let second = first.again().unwrap();
        first.write(|c| site::identity(c, SiteId::random(), "0", Time(1))).unwrap();
        // Each reads a number and writes the next; two at the same moment would write the same.
        let count = |store: &Store| {
            for _ in 0..50 {
                store
                    .write(|c| {
                        let number: u32 = site::find(c)?.unwrap().name.parse().unwrap();
                        site::rename(c, &(number + 1).to_string())
                    })
                    .unwrap();
            }
        };
        thread::scope(|scope| {
            for store in [&*first, &second, &first, &second] {
                scope.spawn(move || count(store));
            }
        });
        assert_eq!(first.read(site::find).unwrap().unwrap().name, "200");
    });
}

#[test]
fn a_change_that_fails_changes_nothing() {
    TestStore::each(|new| {
        let store = new();
        let error = store
            .write(|c| {
                store.add_repository(c, "a")?;
                Err::<(), _>(Error::usage("no"))
            })
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(store.read(|c| repositories::list(c, store.key())).unwrap().is_empty());
    });
}

#[test]
fn a_change_by_another_process_is_noticed_at_once_and_quiet_is_quiet() {
    TestStore::each(|new| {
        let store = new();
        let other = store.again().unwrap();
        let mut seen = store.changed_since(0).unwrap().unwrap();
        // A server is listened to after a moment, which counts as a change.
        thread::sleep(Duration::from_millis(300));
        seen = store.changed_since(seen).unwrap().unwrap_or(seen);
        let quiet = |seen| {
            thread::sleep(Duration::from_millis(100));
            assert_eq!(store.changed_since(seen).unwrap(), None);
        };
        quiet(seen);
        other.read(site::find).unwrap();
        other.write(site::find).unwrap();
        quiet(seen);
        let noticed = |seen| {
            let begun = Instant::now();
            loop {
                if let Some(now) = store.changed_since(seen).unwrap() {
                    return now;
                }
                assert!(begun.elapsed() < Duration::from_millis(100), "not within a tenth of a second");
                thread::sleep(Duration::from_millis(1));
            }
        };
        other.write(|c| site::identity(c, SiteId::random(), "hall", Time(1))).unwrap();
        seen = noticed(seen);
        store.write(|c| site::rename(c, "stage")).unwrap();
        noticed(seen);
    });
}

#[test]
fn no_secret_is_in_the_bytes_of_the_data_directory() {
    let store = TestStore::in_a_file();
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
    store.write(|c| site::identity(c, SiteId::random(), "hall", Time(1))).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for file in fs::read_dir(&dir).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}
