//! Help, wrong words, empty states, and answers for programs.

use crate::house::{House, Ran, binary};

const VERBS: &[(&str, &str)] = &[
    ("demo", "--once"),
    ("init", "--name"),
    ("up", "--listen"),
    ("serve", "--tls-cert"),
    ("worker", "--once"),
    ("site", "--new-identity"),
    ("attach", "--table"),
    ("detach", "--drop-journal"),
    ("user add", "--password-file"),
    ("user list", "--format"),
    ("user remove", "<NAME>"),
    ("user password", "--password-file"),
    ("token add", "--scope"),
    ("token list", "--format"),
    ("token remove", "<NAME>"),
    ("repository add", "--accept-pushes"),
    ("repository list", "--format"),
    ("repository show", "<NAME>"),
    ("repository test", "<NAME>"),
    ("repository set", "--enabled"),
    ("repository remove", "<NAME>"),
    ("resource add", "--accept-twins"),
    ("resource add", "--filter"),
    ("resource list", "[REPOSITORY]"),
    ("resource set", "--conflict"),
    ("resource remove", "<NAME>"),
    ("job add", "--every"),
    ("job list", "--format"),
    ("job set", "--enabled"),
    ("job remove", "<ID>"),
    ("job now", "<ID>"),
    ("sync", "--dry-run"),
    ("sweep", "[DATABASES]"),
    ("export", "Usage"),
    ("import", "<FILE>"),
    ("log", "--result"),
    ("log show", "<ID>"),
    ("conflicts", "--open"),
    ("conflicts resolve", "<CHOICE>"),
    ("conflicts undo", "<ID>"),
    ("quarantine", "--format"),
    ("quarantine show", "<ID>"),
    ("quarantine retry", "<ID>"),
    ("quarantine edit", "--null"),
    ("quarantine dismiss", "<ID>"),
    ("history", "[RESOURCE]"),
    ("history restore", "<ID>"),
    ("rollback", "<RUN>"),
    ("pause", "--data"),
    ("resume", "--data"),
];

#[test]
fn a_token_is_shown_once_and_ends_when_it_is_removed() {
    let house = House::new();
    let made = house.ok("s", "--format json token add backup --scope write --expires 90d").json();
    let text = made["token"].as_str().unwrap();
    assert!(text.starts_with("entente_") && made["expires_on"].is_string() && made["scope"] == "write", "{made}");
    house.run("s", "token add backup").fails(1).complains("already");
    house.run("s", "token add x --scope root").fails(2).complains("Scopes are read, write and admin");
    house.run("s", "token add x --account nobody").fails(1).complains("no account");
    house.ok("s", "user add vera --role viewer --password-file password");
    house.run("s", "token add x --account vera --scope write").fails(2).complains("vera may not have a token with the scope write");
    assert_eq!(house.ok("s", "--format json token add y --account vera --expires 1h").json()["account"], "vera");
    house.ok("s", "token remove y");
    let listed = house.ok("s", "token list").says("backup").says("write");
    assert!(!listed.out.contains(text) && !house.ok("s", "--format json token list").out.contains(text));
    house.ok("s", "token remove backup");
    house.ok("s", "token list").says("No tokens yet");
    house.run("s", "token remove backup").fails(1).complains("there is none at all");
}

#[test]
fn every_verb_explains_itself() {
    for (verb, part) in VERBS {
        for words in [format!("help {verb}"), format!("{verb} --help")] {
            let ran: Ran = binary().args(words.split(' ')).output().unwrap().into();
            let ran = ran.ok().says("Usage: entente").says(part);
            assert_eq!(ran.err, "", "{words}");
        }
    }
    let all: Ran = binary().arg("--help").output().unwrap().into();
    for (verb, _) in VERBS {
        assert!(all.out.contains(verb.split(' ').next().unwrap()), "{verb}");
    }
}

#[test]
fn wrong_words_end_with_2_and_say_what_to_do_on_stderr_alone() {
    let house = House::new();
    for (words, part) in [
        ("", "Usage"),
        ("sink", "unrecognized"),
        ("init", "--name"),
        ("sync", "Usage"),
        ("sync hub --all", "--all"),
        ("sync hub --pull-only --push-only", "--push-only"),
        ("user add x --role root --password-file password", "admin, operator, viewer and peer"),
        ("user add x --role admin --may pull --password-file password", "--role peer"),
        ("user add x --role peer --password secret", "--password"),
        ("user add x --role peer", "--password-file"),
        ("--database postgres://me:tops3cret@h/x site", "--database-password-file"),
        ("--database mysql://h/x site", "postgres://USER@HOST/DATABASE"),
        ("--database-password-file password site", "--database"),
        ("user add x --role peer --password-file nowhere", "nowhere"),
        ("repository add hub --url ftp://x", "http"),
        ("repository add hub --url http://u:p@x", "--password-file"),
        ("repository add hub --url http://x --accept-pushes maybe", "yes"),
        ("repository add hub --uuid 17", "UUID"),
        ("repository set hub", "repository set"),
        ("resource add hub t --mode sideways", "pull, push, both and none"),
        ("resource add hub t --update FIRST", "THIS, OTHER, NEWER"),
        ("resource add hub t --strategy crete", "create, update, delete and merge"),
        ("resource add hub t --filter region=north", "~.region=north"),
        ("resource set hub t --filter ~.a=1 --no-filter", "cannot be used with"),
        ("resource set hub t", "resource set"),
        ("job add hub", "--every"),
        ("job add hub --every soon", "5m"),
        ("job add hub --every 5m --cron '* * * * *'", "--cron"),
        ("job now one", "<ID>"),
        ("attach app sqlite:x.db --identity assigned", "--table"),
        ("attach app sqlite:x.db --table a --table b --omit c", "exactly one"),
        ("attach app sqlite:x.db --table a --identity uuid", "column:C"),
        ("attach app sqlite:x.db --table a --map b", "OLD=NEW"),
        ("log --result good", "success"),
        ("serve --tls-cert x", "--tls-key"),
        ("serve --listen nowhere", "127.0.0.1:8080"),
        ("--format xml site", "json"),
    ] {
        let ran = house.run("site", words).fails(2).complains(part);
        assert_eq!(ran.out, "", "{words}");
    }
}

#[test]
fn every_answer_is_one_document_and_lists_are_arrays_also_when_empty() {
    let house = House::new();
    for words in ["init --name here", "site", "pause", "resume", "worker --once"] {
        assert!(house.ok("site", &format!("{words} --format json")).json().is_object(), "{words}");
    }
    house.sql("app.db", "CREATE TABLE t (id INTEGER PRIMARY KEY)");
    for words in ["user list", "repository list", "resource list", "job list", "quarantine", "sync --all", "attach app sqlite:app.db"] {
        assert!(house.ok("site", &format!("--format json {words}")).json().is_array(), "{words}");
    }
    let ran = house.run("site", "--format json repository show nobody").fails(1).complains("nobody");
    assert_eq!(ran.out, "");
}

#[test]
fn an_empty_state_names_the_next_step() {
    let house = House::new();
    for (words, next) in [
        ("user list", "entente user add"),
        ("repository list", "entente repository add NAME --url URL"),
        ("resource list", "entente resource add"),
        ("job list", "entente job add"),
        ("log", "entente sync"),
        ("site", "entente attach"),
        ("sync --all", "entente repository add"),
        ("worker --once", "entente job list"),
        ("quarantine", "Nothing waits"),
    ] {
        house.ok("site", words).says(next);
    }
}

#[test]
fn a_site_is_made_once_and_keeps_its_identity_until_it_takes_another() {
    let house = House::new();
    let first = house.ok("site", "--format json init --name hall").json();
    let code = first["setup_code"].as_str().unwrap();
    assert_eq!(code.len(), 19, "{code}");
    let again = house.ok("site", "--format json init --name stage").json();
    assert_eq!((&again["uuid"], &again["name"]), (&first["uuid"], &"stage".into()));
    house.ok("site", "user add root --role admin --password-file password");
    assert!(house.ok("site", "--format json init --name hall").json()["setup_code"].is_null(), "there is an administrator");
    let seen = house.ok("site", "--format json site").json();
    assert_eq!((&seen["uuid"], &seen["name"]), (&first["uuid"], &"hall".into()));
    let renewed = house.ok("site", "--format json site --new-identity").json();
    assert_ne!(renewed["uuid"], first["uuid"]);
}

#[test]
fn the_data_directory_comes_from_the_environment_too() {
    let house = House::new();
    let uuid = |command: &mut std::process::Command| Ran::from(command.output().unwrap()).ok().json()["uuid"].clone();
    let flag = uuid(&mut house.command("site", "--format json site"));
    let environment = uuid(binary().current_dir(house.dir.path()).env("ENTENTE_DATA", "site").args(["--format", "json", "site"]));
    assert_eq!(flag, environment);
}

#[test]
fn accounts_and_jobs_are_listed_changed_and_removed() {
    let house = House::new();
    house.ok("s", "user add a --role peer --may pull --resources t,u --password-file password").says("may pull t, u");
    house.ok("s", "user add b --role viewer --password-file password");
    house.run("s", "user add b --role viewer --password-file password").fails(1).complains("already");
    let users = house.ok("s", "--format json user list").json();
    assert_eq!(
        (users[0]["pull"].as_bool(), users[0]["push"].as_bool(), users[1]["role"].as_str()),
        (Some(true), Some(false), Some("viewer"))
    );
    house.ok("s", "user password a --password-file password");
    house.ok("s", "user remove a");
    house.run("s", "user remove a").fails(1).complains("known are b");

    house.ok("s", "repository add hub");
    house.ok("s", "job add hub --every 5m").says("every 5 minutes").says("at once, in 5 minutes, in 10 minutes, and so on");
    house.ok("s", "job add hub --cron '0 3 * * *' --zone Europe/Berlin --repeat 2").says("and then never again");
    house.run("s", "job add hub --cron 'at noon'").fails(2).complains("at noon");
    house.run("s", "job add hub --every 9s").fails(2).complains("10 seconds");
    house.ok("s", "job set 1 --every 1h --enabled no --on-change").says("entente job set 1 --enabled yes");
    house.run("s", "job now 1").fails(2).complains("disabled");
    let jobs = house.ok("s", "--format json job list").json();
    assert_eq!(
        (jobs[0]["every"].as_i64(), jobs[0]["on_change"].as_bool(), jobs[1]["zone"].as_str()),
        (Some(3600), Some(true), Some("Europe/Berlin"))
    );
    let planned = jobs[1]["next_run"].clone();
    house.ok("s", "job set 2 --priority -3");
    assert_eq!(house.ok("s", "--format json job list").json()[1]["next_run"], planned, "its times stay");
    house.ok("s", "job remove 1");
    house.run("s", "job remove 1").fails(1).complains("no job 1");
}
