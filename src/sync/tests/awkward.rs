//! Tables as they are found: odd names, odd types, odd keys, and an application that goes on writing.

use super::world::{TestSite, keyed, records, table};
use crate::model::TableSpec;

#[test]
fn every_value_of_every_storage_class_arrives_as_it_was() {
    let schema = "CREATE TABLE v (id INTEGER PRIMARY KEY, x, t TEXT, i INTEGER, r REAL, n NUMERIC, b BLOB);";
    let (a, b) = (TestSite::new("a", schema), TestSite::new("b", schema));
    for site in [&a, &b] {
        site.attach(&[table("v")]);
    }
    a.knows(&b, &["v"]);
    let values = [
        "NULL",
        "0",
        "-9223372036854775808",
        "9223372036854775807",
        "1.5",
        "-1e300",
        "1e-320",
        "0.1",
        "9007199254740993.0",
        "1e400",
        "-1e400",
        "''",
        "' a '",
        "'a<b>&\"''c'",
        "x''",
        "x'00ff'",
        "char(0)",
        "'a' || char(0) || 'b'",
        "char(10,13,9)",
        "char(13)",
        "char(65534)",
        "char(1,31)",
        "'007'",
        "'1e5'",
        "CAST(x'ff41' AS TEXT)",
        "'é\u{1F600}'",
        "']]>'",
        "'12345678901234567890123'",
        "'+5'",
        "'null'",
        "'&amp;'",
    ];
    for value in values {
        a.sql(&format!("INSERT INTO v (x, t, i, r, n, b) VALUES ({value}, {value}, {value}, {value}, {value}, {value});"));
    }
    a.agree(&b);
    let all = "SELECT quote(x), typeof(x), hex(x), typeof(t), hex(t), typeof(i), hex(i), typeof(r), hex(r), typeof(n), hex(n), typeof(b), hex(b) FROM v ORDER BY id";
    assert_eq!(b.rows(all), a.rows(all));
    assert!(b.waiting().is_empty(), "{:?}", b.waiting());
}

#[test]
fn odd_names_and_reserved_words_are_quoted() {
    let schema = r#"CREATE TABLE "select" ("group" INTEGER PRIMARY KEY, "a b" TEXT, "quo""te" TEXT, "Ü" TEXT);
                    CREATE TABLE "table 'x'" ("order" TEXT PRIMARY KEY, "from" INTEGER REFERENCES "select"("group"));"#;
    let (a, b) = (TestSite::new("a", schema), TestSite::new("b", schema));
    for site in [&a, &b] {
        site.attach(&[table("select"), TableSpec { resource: "odd".into(), ..table("table 'x'") }]);
    }
    a.knows(&b, &["select", "odd"]);
    a.sql(r#"INSERT INTO "select" VALUES (4, 'x', 'y', 'z'); INSERT INTO "table 'x'" VALUES ('k', 4); UPDATE "select" SET "a b" = 'x2';"#);
    a.agree(&b);
    assert_eq!(
        b.rows(r#"SELECT s."a b", s."quo""te", s."Ü", o."order" FROM "select" s JOIN "table 'x'" o ON o."from" = s."group""#),
        "x2|y|z|k"
    );
}

#[test]
fn keys_of_every_kind_are_followed() {
    let schema = "CREATE TABLE w (a TEXT, b INTEGER, v TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID;
                  CREATE TABLE s (id BLOB PRIMARY KEY NOT NULL, v TEXT) STRICT;
                  CREATE TABLE g (id INTEGER PRIMARY KEY, x INTEGER, twice INTEGER GENERATED ALWAYS AS (x * 2) STORED, thrice INTEGER AS (x * 3));
                  CREATE TABLE f (id REAL PRIMARY KEY, v TEXT);
                  CREATE TABLE line (w_a TEXT, w_b INTEGER, n INTEGER, v TEXT, PRIMARY KEY (w_a, w_b, n), FOREIGN KEY (w_a, w_b) REFERENCES w(a, b));
                  CREATE TABLE u (code TEXT NOT NULL UNIQUE, v TEXT);
                  CREATE TABLE auto (id INTEGER PRIMARY KEY AUTOINCREMENT, v TEXT);
                  CREATE TABLE by_code (id INTEGER PRIMARY KEY, code TEXT REFERENCES u(code));";
    let (a, b) = (TestSite::new("a", schema), TestSite::new("b", schema));
    let specs = [table("w"), table("s"), table("g"), table("f"), table("line"), keyed("u", &["code"]), table("auto"), table("by_code")];
    for site in [&a, &b] {
        site.attach(&specs);
    }
    a.knows(&b, &["w", "s", "g", "f", "line", "u", "auto", "by_code"]);
    b.sql("INSERT INTO auto VALUES (41, 'b'); DELETE FROM auto;");
    a.sql(
        "INSERT INTO w VALUES ('p', 1, 'one'), ('p', 2, 'two'); INSERT INTO s VALUES (x'00', 'zero'), (x'01', 'one');
           INSERT INTO g (x) VALUES (5); INSERT INTO f VALUES (1.5, 'x'); INSERT INTO line VALUES ('p', 2, 7, 'seven');
           INSERT INTO u VALUES ('c', 'see'); INSERT INTO auto (v) VALUES ('first'); INSERT INTO by_code (code) VALUES ('c'), (NULL);",
    );
    a.agree(&b);
    let dump = |site: &TestSite| {
        [
            "SELECT * FROM w ORDER BY b",
            "SELECT * FROM s ORDER BY id",
            "SELECT x, twice, thrice FROM g",
            "SELECT * FROM f",
            "SELECT * FROM line",
            "SELECT * FROM u",
            "SELECT v FROM auto",
            "SELECT code FROM by_code ORDER BY 1",
        ]
        .map(|sql| site.rows(sql))
    };
    assert_eq!(dump(&b), dump(&a));
    assert_eq!(b.rows("SELECT id FROM auto"), "42", "a key that was used is not given again");
    a.sql("UPDATE w SET v = 'TWO' WHERE b = 2; UPDATE line SET v = 'SEVEN'; DELETE FROM s WHERE id = x'01'; UPDATE g SET x = 6; UPDATE u SET v = 'C';
           UPDATE w SET b = 9 WHERE b = 1;");
    a.agree(&b);
    assert_eq!(dump(&b), dump(&a));
}

#[test]
fn what_cannot_be_attached_is_refused_by_name_with_the_reason() {
    let schema = "CREATE TABLE parent (id INTEGER PRIMARY KEY); CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES parent(id), v TEXT);
                  CREATE VIEW seen AS SELECT * FROM child; CREATE VIRTUAL TABLE words USING fts5(w); CREATE TABLE bare (a TEXT);
                  CREATE TABLE loose (k TEXT PRIMARY KEY, v TEXT); INSERT INTO loose VALUES (NULL, 'x'); CREATE TABLE plain (id INTEGER PRIMARY KEY, code TEXT);";
    let a = TestSite::new("a", schema);
    for (spec, why) in [
        (table("seen"), "\"seen\" cannot be attached: it is a view"),
        (table("words"), "\"words\" cannot be attached: it is a virtual table"),
        (table("bare"), "\"bare\" cannot be attached: it has no primary key"),
        (table("child"), "\"child\" cannot be attached: its column parent_id refers to table \"parent\", which is not attached"),
        (table("loose"), "\"loose\" cannot be attached: it has rows whose key is null"),
        (table("gone"), "there is no table \"gone\""),
        (keyed("plain", &["code"]), "nothing makes code unique"),
        (TableSpec { matching: vec!["code".into()], ..table("plain") }, "nothing makes code unique"),
        (TableSpec { omit: vec!["nope".into()], ..table("plain") }, "no column \"nope\""),
    ] {
        let error = a.try_attach(&[spec]).unwrap_err().chain();
        assert!(error.contains(why), "{error}");
    }
    assert_eq!(a.rows("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'entente%'"), "0", "a refused attaching leaves nothing behind");
    a.attach(&[TableSpec { omit: vec!["parent_id".into()], ..table("child") }]);
    let survey = crate::sync::attach::survey(&a.site, &a.url()).unwrap();
    let of = |name: &str| survey.iter().find(|entry| entry.table == name).unwrap();
    assert_eq!(of("child").attached.as_deref(), Some("child"));
    assert!(of("seen").identity.as_ref().unwrap_err().contains("view"));
    assert!(survey.iter().all(|entry| !entry.table.starts_with("entente_") && !entry.table.starts_with("words_")));
}

#[test]
fn omitted_columns_stay_and_mapped_ones_change_their_name() {
    let a = TestSite::new("a", "CREATE TABLE t (code TEXT PRIMARY KEY, name TEXT, secret TEXT DEFAULT 'none');");
    let b = TestSite::new("b", "CREATE TABLE t (code TEXT PRIMARY KEY, title TEXT, secret TEXT DEFAULT 'none');");
    let spec = || TableSpec { omit: vec!["secret".into()], ..table("t") };
    a.attach(&[spec()]);
    b.attach(&[TableSpec { map: [("title".to_owned(), "name".to_owned())].into(), ..spec() }]);
    a.knows(&b, &["t"]);
    a.sql("INSERT INTO t VALUES ('x', 'first', 'hush');");
    a.agree(&b);
    assert_eq!(b.rows("SELECT * FROM t"), "x|first|none");
    b.sql("UPDATE t SET title = 'second';");
    a.sql("UPDATE t SET secret = 'still here';");
    a.agree(&b);
    assert_eq!(a.rows("SELECT * FROM t"), "x|second|still here");
}

#[test]
fn columns_that_one_side_lacks_survive_there() {
    let a = TestSite::new("a", "CREATE TABLE t (code TEXT PRIMARY KEY, name TEXT, extra TEXT, parent TEXT REFERENCES t(code));");
    let b = TestSite::new("b", "CREATE TABLE t (code TEXT PRIMARY KEY, name TEXT, own TEXT);");
    let c = TestSite::new("c", "CREATE TABLE t (code TEXT PRIMARY KEY, name TEXT, extra TEXT, parent TEXT REFERENCES t(code));");
    for site in [&a, &b, &c] {
        site.attach(&[table("t")]);
    }
    a.knows(&b, &["t"]);
    c.knows(&b, &["t"]);
    a.sql("INSERT INTO t VALUES ('x', 'n', 'kept aside', NULL);");
    a.agree(&b);
    b.sql("UPDATE t SET name = 'changed', own = 'local';");
    a.agree(&b);
    c.agree(&b);
    assert_eq!(a.rows("SELECT code, name, extra FROM t"), "x|changed|kept aside");
    assert_eq!(c.rows("SELECT code, name, extra FROM t"), "x|changed|kept aside");
    assert_eq!(b.rows("SELECT own FROM t"), "local");
}

#[test]
fn a_column_that_new_rows_need_and_the_peer_lacks_stops_that_table_only() {
    let a = TestSite::new("a", "CREATE TABLE t (code TEXT PRIMARY KEY); CREATE TABLE ok (code TEXT PRIMARY KEY);");
    let b = TestSite::new("b", "CREATE TABLE t (code TEXT PRIMARY KEY, needed TEXT NOT NULL); CREATE TABLE ok (code TEXT PRIMARY KEY);");
    for site in [&a, &b] {
        site.attach(&[table("t"), table("ok")]);
    }
    b.knows(&a, &["t", "ok"]);
    a.sql("INSERT INTO t VALUES ('x'); INSERT INTO ok VALUES ('y');");
    let report = b.sync(&a);
    let stopped = report.resources.iter().find(|part| part.error.is_some()).expect("t stops");
    assert!(stopped.resource == "t" && stopped.error.as_ref().unwrap().chain().contains("\"needed\""));
    assert_eq!(b.rows("SELECT code FROM ok"), "y");
    b.sql("ALTER TABLE t RENAME COLUMN needed TO wanted; ALTER TABLE t ADD COLUMN later TEXT;");
    a.sql("ALTER TABLE t ADD COLUMN wanted TEXT DEFAULT 'w';");
    a.sql("UPDATE t SET wanted = 'now';");
    b.agree(&a);
    assert_eq!(b.rows("SELECT code, wanted FROM t"), "x|now");
}

#[test]
fn an_applications_schema_changes_go_on_and_are_captured() {
    let schema = "CREATE TABLE t (code TEXT PRIMARY KEY, old TEXT, v TEXT);";
    let (a, b) = (TestSite::new("a", schema), TestSite::new("b", schema));
    for site in [&a, &b] {
        site.attach(&[table("t")]);
        site.sql("ALTER TABLE t DROP COLUMN old; ALTER TABLE t ADD COLUMN fresh TEXT;");
    }
    a.knows(&b, &["t"]);
    a.sql("INSERT INTO t VALUES ('x', 'v', 'f');");
    a.agree(&b);
    a.sql("UPDATE t SET fresh = 'g';");
    a.agree(&b);
    assert_eq!(b.rows("SELECT * FROM t"), "x|v|g");
}

#[test]
fn replacing_upserting_and_renaming_are_captured_by_key() {
    let schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, code TEXT UNIQUE, v TEXT);";
    let (a, b) = (TestSite::new("a", schema), TestSite::new("b", schema));
    for site in [&a, &b] {
        site.attach(&[table("t")]);
    }
    a.knows(&b, &["t"]);
    a.sql("INSERT INTO t VALUES (1, 'a', '1'), (2, 'b', '2'), (3, 'c', '3');");
    a.agree(&b);
    a.sql(
        "INSERT OR REPLACE INTO t VALUES (1, 'a', 'replaced');
           INSERT INTO t VALUES (2, 'b', 'up') ON CONFLICT (id) DO UPDATE SET v = excluded.v || 'serted';
           UPDATE t SET id = 30 WHERE id = 3;
           INSERT OR IGNORE INTO t VALUES (1, 'zzz', 'ignored');",
    );
    a.agree(&b);
    let all = "SELECT code, v FROM t ORDER BY code";
    assert_eq!(a.rows(all), "a|replaced b|upserted c|3");
    assert_eq!(b.rows(all), a.rows(all));
    // A replacement that takes another row's unique value removes that row without firing its delete trigger.
    a.sql("INSERT OR REPLACE INTO t VALUES (7, 'a', 'took over');");
    a.sql("UPDATE t SET v = v || '!' WHERE id <> 7;");
    a.agree(&b);
    assert_eq!(b.rows(all), "a|took over b|upserted! c|3!");
    assert_eq!(b.rows(all), a.rows(all));
}

#[test]
fn saving_without_changing_anything_is_no_edit() {
    let schema = "CREATE TABLE t (code TEXT PRIMARY KEY, v TEXT);";
    let (a, b) = (TestSite::new("a", schema), TestSite::new("b", schema));
    for site in [&a, &b] {
        site.attach(&[table("t")]);
    }
    a.knows(&b, &["t"]);
    a.sql("INSERT INTO t VALUES ('x', 'same');");
    a.agree(&b);
    b.sql("UPDATE t SET v = 'real edit';");
    std::thread::sleep(std::time::Duration::from_millis(3));
    a.sql("UPDATE t SET v = v;");
    let report = a.agree(&b);
    assert_eq!(a.rows("SELECT v FROM t"), "real edit");
    assert_eq!(report.resources.iter().map(|part| part.counts.conflicts).sum::<u64>(), 0);
}

#[test]
fn cascades_and_the_users_triggers_are_captured_beside_what_is_applied() {
    let schema = "CREATE TABLE p (id INTEGER PRIMARY KEY, v TEXT);
                  CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p(id) ON UPDATE CASCADE, v TEXT);
                  CREATE TABLE audit (id INTEGER PRIMARY KEY, what TEXT);
                  PRAGMA foreign_keys = ON;";
    let (a, b) = (TestSite::new("a", schema), TestSite::new("b", schema));
    for site in [&a, &b] {
        site.attach(&[table("p"), table("c"), table("audit")]);
    }
    b.sql("CREATE TRIGGER note AFTER INSERT ON p BEGIN INSERT INTO audit (what) VALUES ('b saw ' || NEW.v); END;");
    a.knows(&b, &["p", "c", "audit"]);
    a.sql("INSERT INTO p VALUES (1, 'x');");
    a.agree(&b);
    assert_eq!(b.rows("SELECT what FROM audit"), "b saw x");
    a.agree(&b);
    assert_eq!(a.rows("SELECT what FROM audit"), "b saw x", "what a trigger wrote beside the page travels as b's own edit");
    assert_eq!(records(&a.agree(&b)), 0);
}

#[test]
fn rows_that_were_there_are_journalled_and_detaching_forgets_nothing_that_changed() {
    let schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1000) SELECT x, 'v' || x FROM n;";
    let (a, b) = (TestSite::new("a", schema), TestSite::new("b", "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);"));
    for site in [&a, &b] {
        site.attach(&[table("t")]);
    }
    a.knows(&b, &["t"]);
    a.agree(&b);
    let all = "SELECT v FROM t ORDER BY v";
    assert_eq!(b.rows(all), a.rows(all));
    crate::sync::attach::detach(&a.site, "app", crate::sync::attach::Journal::Keep).unwrap();
    assert_eq!(a.rows("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'"), "0");
    a.sql("UPDATE t SET v = 'unwatched' WHERE id = 5; DELETE FROM t WHERE id = 6; INSERT INTO t VALUES (5000, 'new');");
    a.attach(&[table("t")]);
    a.agree(&b);
    assert_eq!(b.rows(all), a.rows(all));
    assert_eq!(b.rows("SELECT count(*) FROM t WHERE v = 'unwatched'"), "1");
    crate::sync::attach::detach(&a.site, "app", crate::sync::attach::Journal::Drop).unwrap();
    assert_eq!(a.rows("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'entente%'"), "0");
}
