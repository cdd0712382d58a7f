//! The scripts in examples/ do what they say.

use std::process::Command;

use crate::house::{House, Ran, Staying};

const WORDS: &str = "CREATE TABLE words (word TEXT PRIMARY KEY NOT NULL, meaning TEXT);";

fn example(house: &House, name: &str, words: &[&str]) -> Ran {
    let script = format!("{}/examples/{name}.sh", env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("sh");
    command.arg(script).args(words).current_dir(house.dir.path()).env("ENTENTE", env!("CARGO_BIN_EXE_entente"));
    command.output().unwrap().into()
}

#[test]
fn two_databases_agree_and_keep_no_trace() {
    let house = House::new();
    house.sql("a.db", &format!("{WORDS} INSERT INTO words VALUES ('entente', 'an understanding')"));
    house.sql("b.db", &format!("{WORDS} INSERT INTO words VALUES ('site', 'an installation')"));
    example(&house, "two-databases", &["a.db", "b.db", "words", "word"]).ok();
    for database in ["a.db", "b.db"] {
        assert_eq!(house.rows(database, "SELECT word FROM words ORDER BY word"), ["entente", "site"], "{database}");
        assert_eq!(house.rows(database, "SELECT name FROM sqlite_schema WHERE name LIKE 'entente%'").len(), 0, "{database}");
    }
    example(&house, "two-databases", &["a.db"]).fails(2).complains("usage");
}

#[test]
fn a_display_takes_everything_and_gives_nothing() {
    let house = House::new();
    for site in ["primary", "display"] {
        house.sql(&format!("{site}.db"), WORDS);
    }
    house.sql("primary.db", "INSERT INTO words VALUES ('keg', 'a barrel')");
    house.ok("primary", "attach app sqlite:primary.db --table words");
    house.ok("primary", "user add display --role peer --may pull --resources words --password-file password");
    let server: Staying = house.start("primary", "serve --listen 127.0.0.1:0");
    house.sql("display.db", "INSERT INTO words VALUES ('own', 'of the display')");
    example(&house, "one-way-display", &["display", "display.db", "words", &server.url(), "display", "password"]).ok();
    assert_eq!(house.rows("display.db", "SELECT word FROM words ORDER BY word"), ["keg", "own"]);
    assert_eq!(house.rows("primary.db", "SELECT word FROM words"), ["keg"]);
    house.sql("primary.db", "UPDATE words SET meaning = 'beer' WHERE word = 'keg'");
    house.ok("display", "sync primary");
    assert_eq!(house.rows("display.db", "SELECT meaning FROM words WHERE word = 'keg'"), ["beer"]);
}

#[test]
fn health_is_told_by_the_exit_status() {
    let house = House::new();
    house.ok("site", "repository add away --url http://127.0.0.1:9");
    example(&house, "watch-health", &["site"]).ok();
    house.ok("site", "resource add away t");
    for _ in 0..3 {
        house.run("site", "sync away").fails(1);
    }
    example(&house, "watch-health", &["site"]).fails(1).complains("entente --data site repository list");
}
