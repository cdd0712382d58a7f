//! Every type of PostgreSQL meets every kind of column of SQLite: what docs/types.md says is what happens.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, types::ValueRef};

use super::world::{TestSite, records, table};
use crate::{
    config::Settings,
    connector::WaitingEntry,
    model::{Page, Time},
};

const DOCS: &str = include_str!("../../../docs/types.md");

/// Types that the tables of the docs name.
const OWN_TYPES: &str =
    "CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('a b', 'sad'); CREATE DOMAIN positive AS integer CHECK (VALUE > 0);";

/// What stands for a value that is quarantined.
const REFUSED: &str = "✗";

/// The columns of SQLite in the first table of the docs.
const AFFINITIES: [&str; 5] = ["TEXT", "NUMERIC", "INTEGER", "REAL", "BLOB"];

/// The rows of the table of the docs whose header begins so; cells without backticks.
fn documented(header: &str) -> Vec<Vec<String>> {
    let cell = |cell: &str| cell.trim().trim_matches('`').to_owned();
    let cells = |line: &str| line.trim_matches('|').split(" | ").map(cell).collect();
    let rows: Vec<Vec<String>> =
        DOCS.lines().skip_while(|line| !line.starts_with(header)).skip(2).take_while(|line| line.starts_with('|')).map(cells).collect();
    assert!(rows.len() > 20, "docs/types.md has no table {header}");
    rows
}

/// A pair of sites with these columns in one table.
pub(super) fn pair(lite: &str, post: &str) -> (TestSite, TestSite) {
    let schema = |columns: &str| format!("CREATE TABLE thing (cell text PRIMARY KEY, note text, {columns})");
    let lite = TestSite::with("lite", &schema(lite), large());
    let post = TestSite::on_postgres_with("post", &(OWN_TYPES.to_owned() + &schema(post)), large());
    for site in [&lite, &post] {
        site.attach(&[table("thing")]);
    }
    lite.knows(&post, &["thing"]);
    (lite, post)
}

fn large() -> Settings {
    Settings { page_records: Some(100), ..Settings::default() }
}

fn waiting(site: &TestSite) -> Vec<WaitingEntry> {
    site.site.door("app").unwrap().waiting().unwrap()
}

/// The digests of all records of all tables, read from the rows, which are as the journal knows them.
fn digests(site: &TestSite) -> BTreeMap<(String, String), crate::model::Digest> {
    let mut door = site.site.door("app").unwrap();
    let mut all = BTreeMap::new();
    for table in door.tables().unwrap() {
        let found = door.sweep(&table, Time(1 << 52), &mut |_, _, _| {}).unwrap();
        assert!(!found.any(), "{} at {}: {found:?}", table.name, site.site.name);
        let uids = door.sample(&table, 10_000).unwrap();
        let mut page = Page::default();
        door.lookup(&table, &uids, &mut page).unwrap();
        all.extend(page.views().map(|view| ((table.name.clone(), view.uid().to_owned()), view.digest())));
    }
    all
}

/// Each record is the same at both sites, or waits with a reason at one of them. Returns how many wait.
pub(super) fn all_agree(a: &TestSite, b: &TestSite) -> usize {
    let held = [a, b].map(digests);
    let waits = [a, b].map(waiting);
    for (at, other) in [(0, 1), (1, 0)] {
        for (record, digest) in &held[at] {
            let of_it = |entry: &&WaitingEntry| entry.resource == record.0 && entry.uid == record.1;
            let waits = waits.iter().flatten().find(of_it).is_some_and(|entry| !entry.reason.is_empty());
            assert!(waits || held[other].get(record) == Some(digest), "{record:?}");
        }
    }
    waits.map(|entries| entries.len()).iter().sum()
}

/// What stands in a column of SQLite's, as SQL writes it; `None` where there is no such row.
fn literal(lite: &TestSite, column: &str, cell: &str) -> Option<String> {
    let sql = format!("SELECT {column} FROM thing WHERE cell = ?1");
    let read = lite.app.query_row(&sql, [cell], |row| {
        Ok(match row.get_ref(0)? {
            ValueRef::Null => "NULL".to_owned(),
            ValueRef::Integer(value) => value.to_string(),
            ValueRef::Real(value) => format!("{value:?}").replace("inf", "9e999"),
            ValueRef::Text(text) => format!("'{}'", String::from_utf8_lossy(text).replace('\'', "''")),
            ValueRef::Blob(bytes) => format!("x'{}'", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
        })
    });
    read.optional().unwrap()
}

/// The columns of a row of the first table of the docs, one for each affinity, of these types.
fn columns(at: usize, declared: impl Fn(&str) -> String) -> String {
    AFFINITIES.map(|affinity| format!("{} {}", column(at, affinity), declared(affinity))).join(", ")
}

fn column(at: usize, affinity: &str) -> String {
    format!("v{at}_{}", affinity.to_lowercase())
}

#[test]
fn a_value_of_postgres_is_in_sqlite_what_the_docs_say_and_comes_back_as_it_was() {
    let mut rows = documented("| PostgreSQL | value |");
    // The letter after a refusal says why.
    rows.iter_mut().flatten().filter(|cell| cell.starts_with(REFUSED)).for_each(|cell| REFUSED.clone_into(cell));
    let all = |declared: &dyn Fn(usize, &str) -> String| {
        (0..rows.len()).map(|at| columns(at, |affinity| declared(at, affinity))).collect::<Vec<_>>().join(", ")
    };
    let (lite, post) = pair(&all(&|_, affinity| affinity.to_owned()), &all(&|at, _| rows[at][0].clone()));
    let places: Vec<(usize, usize, String)> =
        (0..rows.len()).flat_map(|at| (0..5).map(move |of| (at, of, column(at, AFFINITIES[of])))).collect();
    for (at, _, column) in &places {
        post.sql(&format!("INSERT INTO thing (cell, {column}) VALUES ('{column}', {})", rows[*at][1]));
    }
    lite.agree(&post);
    let mut told: Vec<Vec<String>> = rows.iter().map(|row| row[..2].to_vec()).collect();
    for (at, _, column) in &places {
        told[*at].push(literal(&lite, column, column).unwrap_or_else(|| REFUSED.to_owned()));
    }
    let refused = told.iter().flatten().filter(|cell| *cell == REFUSED).count();
    let waits = waiting(&lite);
    assert_eq!(waits.len(), refused, "what is not there waits");
    assert!(waits.iter().all(|entry| entry.reason.contains("would change")), "{waits:?}");
    let table = |rows: &[Vec<String>]| rows.iter().map(|cells| format!("| `{}` |", cells.join("` | `"))).collect::<Vec<_>>().join("\n");
    assert!(told == rows, "docs/types.md should say:\n{}", table(&told));
    // Back: the same literals, written by the application of SQLite; where PostgreSQL's value was refused, what the column makes of it.
    for (at, of, column) in &places {
        let cells = &rows[*at][2..];
        let Some(literal) = [&cells[*of]].into_iter().chain(cells).find(|cell| *cell != REFUSED) else { continue };
        lite.sql(&format!("INSERT INTO thing (cell, {column}) VALUES ('back {column}', {literal})"));
    }
    lite.sql("UPDATE thing SET note = 'edited' WHERE cell NOT LIKE 'back %'");
    lite.agree(&post);
    let exact = || places.iter().filter(|(at, of, _)| rows[*at][2 + of] != REFUSED);
    for (at, _, column) in exact() {
        let first = post.rows(&format!("SELECT (({})::{})::text", rows[*at][1], rows[*at][0]));
        let all = post.rows(&format!("SELECT {column}::text FROM thing WHERE cell IN ('{column}', 'back {column}')"));
        assert_eq!(all, format!("{first} {first}"), "{column} {:?}", rows[*at]);
    }
    let waits = all_agree(&lite, &post);
    assert_eq!(records(&lite.agree(&post)), 0);
    // What PostgreSQL says of a record that it has from SQLite changes nothing there.
    post.sql("UPDATE thing SET note = 'again' WHERE cell LIKE 'back %'");
    lite.agree(&post);
    for (at, of, column) in exact() {
        let cells = [column.clone(), format!("back {column}")].map(|cell| literal(&lite, column, &cell));
        assert_eq!(cells, [Some(rows[*at][2 + of].clone()), Some(rows[*at][2 + of].clone())], "{column} {:?}", rows[*at]);
    }
    assert_eq!(all_agree(&lite, &post), waits);
}

#[test]
fn what_an_application_writes_in_sqlite_is_in_postgres_what_the_docs_say_or_waits() {
    let rows = documented("| SQLite | written |");
    let all = |of: usize| rows.iter().enumerate().map(|(at, row)| format!("v{at} {}", row[of])).collect::<Vec<_>>().join(", ");
    let (lite, post) = pair(&all(0), &all(2));
    for (at, row) in rows.iter().enumerate() {
        lite.sql(&format!("INSERT INTO thing (cell, v{at}) VALUES ('{at}', {})", row[1]));
    }
    let held = || (0..rows.len()).map(|at| literal(&lite, &format!("v{at}"), &at.to_string())).collect::<Vec<_>>();
    let before = held();
    lite.agree(&post);
    let waits = waiting(&post);
    let of = |at: usize| lite.rows(&format!("SELECT quote(s.uid) FROM entente_state_1 s WHERE s.k1 = '{at}'"));
    for (at, row) in rows.iter().enumerate() {
        let (uid, held) = (of(at), post.rows(&format!("SELECT v{at}::text FROM thing WHERE cell = '{at}'")));
        let plain = |uid: &str| format!("X'{}'", uid.trim_start_matches("urn:uuid:").replace('-', "").to_uppercase());
        let reason = waits.iter().find(|entry| plain(&entry.uid) == uid).map(|entry| entry.reason.as_str());
        match row[3].strip_prefix(REFUSED) {
            Some(why) => assert!(reason.is_some_and(|reason| reason.contains(why.trim())), "{row:?}: {held} {reason:?}"),
            None => assert_eq!((held.as_str(), reason), (row[3].as_str(), None), "{row:?}"),
        }
    }
    post.sql("UPDATE thing SET note = 'edited'");
    lite.agree(&post);
    assert_eq!(before, held());
    assert_eq!(all_agree(&lite, &post), waits.len());
}
