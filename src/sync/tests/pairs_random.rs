//! Random tables and values on SQLite and PostgreSQL, synchronized both ways until nothing moves: every record is the same at both, or waits
//! with the reason.

use proptest::{prelude::*, test_runner::Config};

use super::{
    pairs::{all_agree, pair},
    world::{TestSite, records},
};

/// A column: its type in PostgreSQL, how it is declared in SQLite, and values of the applications there and here. `#` is any whole number.
type Column = (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

const COLUMNS: &[Column] = &[
    ("boolean", "BOOLEAN", &["true", "false"], &["1", "0", "'t'", "2", "1.0"]),
    ("integer", "INTEGER", &["#", "2147483647"], &["#", "2147483648", "'x'", "7.5"]),
    ("bigint", "INTEGER", &["#", "-9223372036854775808"], &["#", "9223372036854775807", "x'00'"]),
    ("numeric", "DECIMAL", &["#", "#.5", "1.50", "1e20", "#123456789.#25", "'NaN'"], &["#", "#.5", "'1.10'", "1e20", "'abc'", "9e999"]),
    ("numeric(8,2)", "NUMERIC(8,2)", &["#.25", "'NaN'"], &["#.25", "0.125", "123456789"]),
    ("numeric", "REAL", &["#", "#.5"], &["#", "#.5"]),
    ("double precision", "DOUBLE", &["#", "#.1e-7", "'NaN'", "'-0'", "'-Infinity'"], &["#", "#.1e-7", "9e999", "-0.0", "'x'"]),
    ("real", "REAL", &["#", "0.1", "16777217"], &["#", "0.1", "0.123456789"]),
    ("text", "TEXT", &["''", "'00#'", "E'\\x01\\r\\n'"], &["''", "'00#'", "#", "x'ff'", "'a' || char(0)", "CAST(x'ff' AS TEXT)"]),
    ("text", "", &["'#'", "'x'"], &["#", "'#'", "5.0", "x'05'"]),
    ("varchar(3)", "VARCHAR(3)", &["'abc'", "'ä  '"], &["'abc'", "'abcd'", "'a '"]),
    ("char(4)", "CHAR(4)", &["'ab'"], &["'ab'", "'ab  '"]),
    ("date", "DATE", &["'2024-02-29'", "'infinity'", "'0044-03-15 BC'"], &["'2024-02-29'", "'2024-2-9'", "#"]),
    ("time", "TIME", &["'10:00'", "'24:00:00'"], &["'10:00:00'", "'10:00'", "'24:00:00'"]),
    (
        "timestamp",
        "DATETIME",
        &["'2024-01-01 10:00:00.#'", "'-infinity'"],
        &["'2024-01-01 10:00:00'", "'2024-01-01T10:00'", "datetime('now')"],
    ),
    ("timestamptz", "TIMESTAMP", &["'2024-01-01 10:00+05'", "now()"], &["CURRENT_TIMESTAMP", "'2024-01-01 10:00:00Z'"]),
    ("uuid", "UUID", &["'6F9619FF-8B86-D011-B42D-00C04FC964FF'"], &["'6f9619ff-8b86-d011-b42d-00c04fc964ff'", "x'00'", "'x'"]),
    ("json", "TEXT", &["'{ \"b\": #, \"a\":1.50 }'", "'5'"], &["'{\"b\":#}'", "'{'", "'5'"]),
    ("jsonb", "JSON", &["'{ \"b\": #, \"a\":1.50 }'"], &["'{\"b\": #}'", "'{\"b\":#}'"]),
    ("bytea", "BLOB", &["'\\x00ff'", "''"], &["x'00ff'", "x''", "'text'", "#"]),
    ("integer[]", "TEXT", &["'{#,NULL}'", "'{{1},{2}}'"], &["'{#}'", "'[#]'"]),
    ("int4range", "TEXT", &["'[1,#)'", "'empty'"], &["'[1,5)'", "'[1,4]'"]),
    ("interval", "TEXT", &["'1 day -# seconds'"], &["'P1D'", "'1 day'"]),
    ("inet", "TEXT", &["'10.0.0.1'"], &["'10.0.0.1/24'", "'::1/128'", "'nowhere'"]),
];

/// What an application does: at which site (`true` = PostgreSQL), to which row, in which column, with which value; `None` = it deletes the row.
type Deed = (bool, u8, prop::sample::Index, Option<(prop::sample::Index, u16)>);

/// Two tables, and what is done to them between the times that the sites synchronize.
#[derive(Debug, Clone)]
struct World {
    lite: String,
    post: String,
    rounds: Vec<Vec<Done>>,
}

#[derive(Debug, Clone)]
enum Done {
    InSqlite(String),
    InPostgres(String),
}

impl Done {
    fn of(columns: &[Column], (in_postgres, row, at, value): &Deed) -> Done {
        let at = at.index(columns.len());
        let sql = |pool: &[&str]| match value {
            None => format!("DELETE FROM thing WHERE cell = 'r{row}'"),
            Some((which, number)) => {
                // A range that ends before it begins is none.
                let value = pool[which.index(pool.len())].replace('#', &(2 + number % 5_000).to_string());
                format!(
                    "INSERT INTO thing (cell, v{at}) VALUES ('r{row}', {value}) ON CONFLICT (cell) DO UPDATE SET v{at} = excluded.v{at}"
                )
            }
        };
        if *in_postgres { Done::InPostgres(sql(columns[at].2)) } else { Done::InSqlite(sql(columns[at].3)) }
    }
}

fn worlds() -> impl Strategy<Value = World> {
    let value = prop::option::weighted(0.9, any::<(prop::sample::Index, u16)>());
    let deed = (any::<bool>(), 0u8..6, any::<prop::sample::Index>(), value);
    let rounds = prop::collection::vec(prop::collection::vec(deed, 1..12), 1..4);
    (prop::sample::subsequence(COLUMNS, 3..=7), rounds).prop_map(|(columns, rounds)| {
        let declared = |of: fn(&Column) -> &str| {
            columns.iter().enumerate().map(|(at, column)| format!("v{at} {}", of(column))).collect::<Vec<_>>().join(", ")
        };
        let rounds = rounds.iter().map(|deeds| deeds.iter().map(|deed| Done::of(&columns, deed)).collect()).collect();
        World { lite: declared(|column| column.1), post: declared(|column| column.0), rounds }
    })
}

fn until_quiet(a: &TestSite, b: &TestSite) {
    let moved: Vec<u64> = (0..12).map(|_| records(&a.agree(b))).take_while(|moved| *moved > 0).collect();
    assert!(moved.len() < 12, "they never come to rest: {moved:?}");
}

/// Each world is a database of its own: a few, and more where PROPTEST_CASES says so.
fn cases() -> Config {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(8);
    Config { cases, failure_persistence: None, max_shrink_iters: 20, ..Config::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn whatever_is_written_on_both_kinds_ends_the_same_or_waits_with_a_reason(world in worlds()) {
        let (lite, post) = pair(&world.lite, &world.post);
        for round in &world.rounds {
            for done in round {
                match done {
                    Done::InSqlite(sql) => lite.sql(sql),
                    Done::InPostgres(sql) => post.sql(sql),
                }
            }
            until_quiet(&lite, &post);
            if all_agree(&lite, &post) == 0 {
                assert_eq!(lite.agree(&post).verified, ["thing"]);
            }
        }
    }
}
