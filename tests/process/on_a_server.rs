//! The control store on a PostgreSQL server.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use crate::{
    house::{House, Ran, Staying, until},
    server::TestDatabase,
};

/// Runs a verb with variables set.
fn with(house: &House, site: &str, words: &str, variables: &[(&str, &str)]) -> Ran {
    house.command(site, words).envs(variables.iter().copied()).output().unwrap().into()
}

#[test]
fn a_site_with_its_store_on_a_server_does_all_that_others_do_and_init_remembers_where() {
    let (house, mut database) = (House::new(), TestDatabase::new());
    house.ok("hub", &format!("--database {} init --name hub", database.url())).says("Its control store is at postgres://tester@");
    assert!(!house.path("hub/entente.db").exists());
    assert_eq!(fs::metadata(house.path("hub/database")).unwrap().permissions().mode() & 0o777, 0o600);
    house.ok("laptop", "init --name laptop");
    for site in ["hub", "laptop"] {
        house.sql(&format!("{site}.db"), "CREATE TABLE t (code TEXT PRIMARY KEY, n INTEGER)");
        house.ok(site, &format!("attach app sqlite:{site}.db --table t --identity key:code"));
    }
    house.ok("hub", "user add laptop --role peer --password-file password");
    let server = house.start("hub", "serve --listen 127.0.0.1:0");
    house.ok("laptop", &format!("repository add hub --url {} --user laptop --password-file password", server.url()));
    house.ok("laptop", "resource add hub t");
    house.sql("hub.db", "INSERT INTO t VALUES ('a', 1)");
    house.sql("laptop.db", "INSERT INTO t VALUES ('b', 2)");
    house.ok("laptop", "sync hub");
    for site in ["hub.db", "laptop.db"] {
        assert_eq!(house.rows(site, "SELECT code, n FROM t ORDER BY code"), ["a|1", "b|2"]);
    }
    let log = house.ok("hub", "log --format json").json();
    assert!(log.as_array().unwrap().iter().any(|entry| entry["action"] == "pull" || entry["action"] == "push"), "{log}");
    assert_eq!(database.rows("SELECT name FROM entente_control.site"), "hub");
    let site = house.ok("hub", "site --format json").json();
    assert!(site["database"].as_str().unwrap().starts_with("postgres://tester@"), "{site}");
    house.ok("hub", "site").says("control store  postgres://tester@");
}

#[test]
fn a_password_is_taken_from_wherever_it_may_be_and_shown_nowhere() {
    let (house, mut database) = (House::new(), TestDatabase::new());
    database.sql(&format!("GRANT CREATE ON DATABASE {} TO guarded", database.name().to_owned()));
    let bare = database.url_as("guarded");
    let whole = bare.replace("guarded@", "guarded:right@");
    fs::write(house.path("right"), "right\n").unwrap();
    fs::write(house.path("passfile"), "*:*:*:guarded:right\n").unwrap();
    fs::set_permissions(house.path("passfile"), fs::Permissions::from_mode(0o600)).unwrap();
    let passfile = house.path("passfile");
    let words = format!("--database {bare} site");
    with(&house, "s", &words, &[]).fails(1).complains("wants a password").complains("--database-password-file");
    let wrong = with(&house, "s", &words, &[("PGPASSWORD", "tops3cret")]).fails(1).complains("refuses the password");
    assert!(!wrong.err.contains("tops3cret"));
    for told in [
        with(&house, "s", &format!("--database-password-file right {words}"), &[]),
        with(&house, "s", &words, &[("PGPASSWORD", "right")]),
        with(&house, "s", &words, &[("PGPASSFILE", passfile.to_str().unwrap())]),
        with(&house, "s", "site", &[("ENTENTE_DATABASE", &whole)]),
        with(&house, "s", "init --name s --format json", &[("ENTENTE_DATABASE", &whole)]),
        house.run("s", "site --format json"),
    ] {
        let told = told.ok();
        assert!(told.out.contains("guarded@") && !told.out.contains("right@") && !told.err.contains("right@"), "{told:?}");
    }
    let up = house.start("s", "up --listen 127.0.0.1:0");
    let processes = Command::new("ps").args(["-eo", "args", "-ww"]).output().unwrap();
    let processes = String::from_utf8(processes.stdout).unwrap();
    assert!(processes.contains("entente serve") && !processes.contains("guarded:right"), "{processes}");
    up.signal("TERM");
    let (status, said) = up.ends();
    assert!(status.success() && !said.contains("guarded:right"), "{said}");
}

#[test]
fn a_data_directory_with_a_site_gets_no_second_one_by_another_address() {
    let (house, database) = (House::new(), TestDatabase::new());
    house.ok("s", "init --name first");
    let words = format!("--database {} init --name second", database.url());
    house.run("s", &words).fails(1).complains("(first) is in the data directory").complains("move-store");
    house.ok("s", "site").says("control store  in the data directory");
    house.ok("t", &words).says("second");
    house.run("t", "--database sqlite: init --name third").fails(1).complains("(second) is at postgres://tester@");
}

#[test]
fn two_machines_share_a_store_if_they_share_its_key() {
    let (house, database) = (House::new(), TestDatabase::new());
    let init = format!("--database {} init --name hub", database.url());
    let first = house.ok("one", &format!("{init} --format json")).json();
    house.run("two", &init).fails(1).complains("copy the file `key`");
    fs::copy(house.path("one/key"), house.path("two/key")).unwrap();
    let second = house.ok("two", &format!("{init} --format json")).json();
    assert_eq!(first["uuid"], second["uuid"]);
    house.ok("two", "user add laptop --role peer --password-file password");
    assert_eq!(house.ok("one", "user list --format json").json()[0]["name"], "laptop");
    house.run("three", &init).fails(1);
    house.ok("three", &format!("{init} --new-key"));
    house.run("one", "site").fails(1).complains("is not the one that this control store was sealed with");
}

#[test]
fn a_worker_hears_at_once_of_a_job_made_due() {
    let (house, server) = House::hub_and_laptop("CREATE TABLE t (code TEXT PRIMARY KEY)", "--table t --identity key:code");
    house.ok("laptop", "resource add hub t");
    let database = TestDatabase::new();
    let init = format!("--database {} init --name central", database.url());
    for command in ["central", "laptop"] {
        if command == "central" {
            house.ok("central", &init);
            house.sql("central.db", "CREATE TABLE t (code TEXT PRIMARY KEY)");
            house.ok("central", "attach app sqlite:central.db --table t --identity key:code");
            house.ok("hub", "user add central --role peer --password-file password");
            house.ok("central", &format!("repository add hub --url {} --user central --password-file password", server.url()));
            house.ok("central", "resource add hub t");
        }
        house.ok(command, "job add hub --cron '0 0 1 1 *'");
        let _worker = Staying::start(house.command(command, "worker"));
        let runs = || {
            let log = house.ok(command, "log --limit 50 --format json").json();
            log.as_array().unwrap().iter().filter(|entry| entry["action"] == "run").cloned().collect::<Vec<_>>()
        };
        house.ok(command, "job now 1");
        until("a first run", || runs().len() == 1);
        std::thread::sleep(std::time::Duration::from_secs(1));
        let mut took = Vec::new();
        for round in 2..7 {
            house.ok(command, "job now 1");
            let asked = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
            until("another run", || runs().len() == round);
            let begun: chrono::DateTime<chrono::Utc> = runs()[0]["time"].as_str().unwrap().parse().unwrap();
            took.push((begun.timestamp_micros() as u128).saturating_sub(asked));
            std::thread::sleep(std::time::Duration::from_millis(300));
        }
        took.sort_unstable();
        println!("{command}: begun after {took:?} microseconds");
        // Some milliseconds where nothing else runs. A worker that does not hear looks once a minute.
        assert!(took[2] < 10_000_000, "{command}: {took:?} microseconds");
    }
}

#[test]
fn a_store_moves_to_a_server_and_back_and_the_old_place_says_where_it_is() {
    let (house, database) = (House::new(), TestDatabase::new());
    let url = database.url();
    let first = house.ok("s", "init --name s --format json").json();
    house.ok("s", "user add laptop --role peer --password-file password");
    house.ok("s", "repository add hub --url http://127.0.0.1:9 --user u --password-file password");
    let up = house.start("s", "up --listen 127.0.0.1:0");
    house.run("s", &format!("move-store {url}")).fails(1).complains("Somebody has this control store open").complains("serve, worker, up");
    up.signal("TERM");
    assert!(up.ends().0.success());

    house.ok("s", &format!("move-store {url}")).says("The control store is at postgres://tester@").says("rows");
    let site = house.ok("s", "site --format json").json();
    assert_eq!((&site["uuid"], site["repositories"].as_i64()), (&first["uuid"], Some(1)));
    assert!(site["database"].as_str().is_some_and(|place| place.starts_with("postgres://tester@")), "{site}");
    assert_eq!(house.ok("s", "user list --format json").json()[0]["name"], "laptop");
    house.run("s", "--database sqlite: site").fails(1).complains("was moved from here to postgres://tester@");
    house.run("s", &format!("move-store {url}")).fails(2).complains("there already");

    let up = house.start("s", "up --listen 127.0.0.1:0");
    house.run("s", "move-store sqlite:").fails(1).complains("Somebody has this control store open");
    up.signal("KILL");
    drop(up);
    until("both have ended", || house.run("s", "move-store sqlite: --format json").code == Some(0));
    let site = house.ok("s", "site --format json").json();
    assert_eq!((&site["uuid"], site["database"].is_null()), (&first["uuid"], true));
    house.run("s", &format!("--database {url} site")).fails(1).complains("was moved from here to the data directory");
    let log = house.ok("s", "log --format json").json();
    assert_eq!(log.to_string().matches("The control store was moved from").count(), 2);

    let warned = with(&house, "s", &format!("move-store {url}"), &[("ENTENTE_DATABASE", "sqlite:")]).ok();
    warned.complains("ENTENTE_DATABASE");
    house.run("t", &format!("move-store {url}")).fails(1).complains("no control store that could be moved");
    house.ok("t", "init --name t");
    house.run("t", &format!("move-store {url}")).fails(1).complains("another site, s");
    house.run("t", "move-store postgres://me:tops3cret@h/x").fails(2).complains("--database-password-file");
}
