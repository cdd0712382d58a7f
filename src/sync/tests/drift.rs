//! Sites whose schemas change, one before the other.

use super::world::{TestSite, records, table};
use crate::{error::Kind, model::TableSpec, sync::run::RunReport};

const PLAIN: &str = "CREATE TABLE t (code TEXT PRIMARY KEY, v TEXT);";

fn site(name: &str, schema: &str) -> TestSite {
    let site = TestSite::new(name, schema);
    site.attach(&[table("t")]);
    site
}

fn pair(ours: &str, theirs: &str) -> (TestSite, TestSite) {
    let (a, b) = (site("a", ours), site("b", theirs));
    a.knows(&b, &["t"]);
    (a, b)
}

fn conflicts(site: &TestSite) -> String {
    site.rows("SELECT count(*) FROM entente_conflict")
}

fn quiet(a: &TestSite, b: &TestSite) {
    a.agree(b);
    assert_eq!(records(&a.agree(b)), 0, "nothing goes on moving");
    assert_eq!((conflicts(a), conflicts(b)), ("0".into(), "0".into()));
}

fn failed(report: &RunReport) -> Vec<String> {
    report.resources.iter().filter_map(|part| part.error.as_ref()).map(|error| error.chain()).collect()
}

#[test]
fn values_kept_aside_move_into_a_column_that_comes_later_and_that_is_no_edit() {
    let (a, b) = pair("CREATE TABLE t (code TEXT PRIMARY KEY, v TEXT, n INTEGER, w TEXT);", PLAIN);
    a.sql(
        "INSERT INTO t WITH RECURSIVE i(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM i WHERE x < 450) SELECT 'c' || x, 'v', x, 'w' || x FROM i;",
    );
    a.agree(&b);
    b.sql("ALTER TABLE t ADD COLUMN n INTEGER;");
    assert_eq!(records(&a.agree(&b)), 0);
    assert_eq!(b.rows("SELECT count(*), sum(n = substr(code, 2)) FROM t"), "450|450");
    b.sql("ALTER TABLE t ADD COLUMN w TEXT DEFAULT 'default';");
    assert_eq!(records(&a.agree(&b)), 0, "a default does not win over what is known");
    assert_eq!(b.rows("SELECT count(*) FROM t WHERE w = 'w' || n"), "450");
    assert_eq!(b.rows("SELECT count(*) FROM entente_state_1 WHERE extra IS NOT NULL"), "0");
    b.sql("UPDATE t SET v = 'edited' WHERE code = 'c7';");
    a.agree(&b);
    assert_eq!(a.rows("SELECT v, n, w FROM t WHERE code = 'c7'"), "edited|7|w7");
    quiet(&a, &b);
}

#[test]
fn what_an_application_writes_into_a_new_column_wins_over_what_was_kept_aside() {
    let (a, b) = pair("CREATE TABLE t (code TEXT PRIMARY KEY, v TEXT, n INTEGER);", PLAIN);
    a.sql("INSERT INTO t VALUES ('x', 'v', 1), ('y', 'v', 2), ('z', 'v', 3);");
    a.agree(&b);
    b.sql("ALTER TABLE t ADD COLUMN n INTEGER DEFAULT 0; UPDATE t SET n = 50 WHERE code = 'y'; UPDATE t SET v = 'w' WHERE code = 'z';");
    a.agree(&b);
    let all = "SELECT code, v, n FROM t ORDER BY code";
    assert_eq!(b.rows(all), "x|v|1 y|v|50 z|w|3");
    assert_eq!(a.rows(all), b.rows(all));
    quiet(&a, &b);
}

#[test]
fn a_new_column_that_cannot_hold_what_was_kept_aside_stops_the_table_until_it_can_and_loses_nothing() {
    let schema = "CREATE TABLE t (code TEXT PRIMARY KEY, v TEXT); CREATE TABLE u (code TEXT PRIMARY KEY);";
    let (a, b) = (TestSite::new("a", &schema.replace("v TEXT", "v TEXT, n INTEGER")), TestSite::new("b", schema));
    for site in [&a, &b] {
        site.attach(&[table("t"), table("u")]);
    }
    a.knows(&b, &["t", "u"]);
    a.sql("INSERT INTO t VALUES ('x', 'v', 1);");
    a.agree(&b);
    b.sql("ALTER TABLE t ADD COLUMN n TEXT;");
    a.sql("INSERT INTO u VALUES ('goes on'); UPDATE t SET v = 'w';");
    for _ in 0..2 {
        let report = a.sync(&b);
        assert_eq!(failed(&report).len(), 1, "{report:?}");
        assert_eq!(b.rows("SELECT code FROM u"), "goes on");
    }
    b.knows(&a, &["t"]);
    let told = failed(&b.sync(&a)).concat();
    assert!(told.contains("t is stopped") && told.contains("would change the integer") && told.contains("--omit"), "{told}");
    assert_eq!(b.rows("SELECT v, n FROM t"), "v|-");
    b.sql("ALTER TABLE t DROP COLUMN n; ALTER TABLE t ADD COLUMN n INTEGER;");
    a.agree(&b);
    assert_eq!(b.rows("SELECT v, n FROM t"), "w|1");
    quiet(&a, &b);
}

#[test]
fn a_column_with_a_default_reaches_the_others_and_beats_no_edit() {
    let (a, b) = pair(PLAIN, PLAIN);
    a.sql("INSERT INTO t VALUES ('x', 'v'), ('y', 'v');");
    a.agree(&b);
    b.sql("UPDATE t SET v = 'edited' WHERE code = 'y';");
    std::thread::sleep(std::time::Duration::from_millis(3));
    a.sql("ALTER TABLE t ADD COLUMN n INTEGER NOT NULL DEFAULT 5;");
    a.agree(&b);
    assert_eq!(a.rows("SELECT code, v, n FROM t ORDER BY code"), "x|v|5 y|edited|5");
    assert_eq!(b.rows("SELECT code, v FROM t ORDER BY code"), "x|v y|edited");
    a.agree(&b);
    assert_eq!(records(&a.agree(&b)), 0);
    b.sql("ALTER TABLE t ADD COLUMN n INTEGER;");
    assert_eq!(records(&a.agree(&b)), 0);
    assert_eq!(b.rows("SELECT code, v, n FROM t ORDER BY code"), "x|v|5 y|edited|5");
    // The same default added at both sites is no conflict.
    for site in [&a, &b] {
        site.sql("ALTER TABLE t ADD COLUMN m TEXT DEFAULT 'm';");
    }
    a.agree(&b);
    assert_eq!(records(&a.agree(&b)), 0);
    assert_eq!(a.rows("SELECT rule, open FROM entente_conflict"), "NEWER|0", "the edit met the default and won");
    assert_eq!(conflicts(&b), "0");
}

#[test]
fn a_dropped_column_is_no_edit_and_the_others_keep_theirs() {
    let wide = "CREATE TABLE t (code TEXT PRIMARY KEY, v TEXT, n INTEGER);";
    let (a, b) = pair(wide, wide);
    a.sql("INSERT INTO t VALUES ('x', 'v', 1), ('y', 'v', 2);");
    a.agree(&b);
    a.sql("ALTER TABLE t DROP COLUMN n;");
    assert_eq!(records(&a.agree(&b)), 0);
    a.sql("UPDATE t SET v = v WHERE code = 'y'; UPDATE t SET v = 'w' WHERE code = 'x';");
    a.agree(&b);
    assert_eq!(b.rows("SELECT code, v, n FROM t ORDER BY code"), "x|w|1 y|v|2");
    a.agree(&b);
    assert!(
        a.rows("SELECT extra FROM entente_state_1 WHERE extra IS NOT NULL").contains("\"1\""),
        "what it no longer had comes back aside"
    );
    quiet(&a, &b);
}

#[test]
fn a_relay_that_dropped_a_column_passes_later_values_on() {
    let wide = "CREATE TABLE t (code TEXT PRIMARY KEY, v TEXT, n INTEGER);";
    let (a, b, c) = (site("a", wide), site("b", wide), site("c", wide));
    a.knows(&b, &["t"]);
    b.knows(&c, &["t"]);
    a.sql("INSERT INTO t VALUES ('x', 'v', 1);");
    a.agree(&b);
    b.agree(&c);
    b.sql("ALTER TABLE t DROP COLUMN n;");
    a.sql("UPDATE t SET n = 2;");
    a.agree(&b);
    b.agree(&c);
    assert_eq!(c.rows("SELECT v, n FROM t"), "v|2");
    b.sql("UPDATE t SET v = 'from b';");
    b.agree(&c);
    a.agree(&b);
    assert_eq!((a.rows("SELECT v, n FROM t"), c.rows("SELECT v, n FROM t")), ("from b|2".into(), "from b|2".into()));
}

#[test]
fn unknown_columns_survive_a_relay_and_edits_made_there_and_are_told_once_a_run() {
    let wide = "CREATE TABLE p (id INTEGER PRIMARY KEY, name TEXT);
                CREATE TABLE t (code TEXT PRIMARY KEY, v TEXT, n INTEGER, bin BLOB, p INTEGER REFERENCES p(id));";
    let (a, b, c) = (TestSite::new("a", wide), site("b", PLAIN), TestSite::new("c", wide));
    for edge in [&a, &c] {
        edge.attach(&[table("p"), table("t")]);
        edge.knows(&b, &["t"]);
    }
    a.knows(&c, &["p"]);
    a.sql(
        "INSERT INTO p VALUES (3, 'parent');
         INSERT INTO t WITH RECURSIVE i(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM i WHERE x < 20) SELECT 'c' || x, 'v', x, x'00ff', 3 FROM i;",
    );
    let pushed = a.agree(&b);
    assert!(b.waiting().is_empty(), "what is kept aside need not lead anywhere: {:?}", b.waiting());
    assert!(pushed.warnings.is_empty());
    c.knows(&a, &["p"]);
    c.change(&c.knows(&b, &[]), "t", |resource| resource.mode = crate::model::Mode::Both);
    a.agree(&c);
    c.agree(&b);
    let all = "SELECT t.v, t.n, t.bin, p.name FROM t JOIN p ON p.id = t.p WHERE t.code = 'c7'";
    assert_eq!(c.rows(all), "v|7|x00ff|parent");
    b.sql("UPDATE t SET v = 'edited at b' WHERE code = 'c7';");
    c.agree(&b);
    a.agree(&b);
    assert_eq!((a.rows(all), c.rows(all)), ("edited at b|7|x00ff|parent".into(), "edited at b|7|x00ff|parent".into()));
    c.sql("UPDATE t SET n = n + 100;");
    c.agree(&b);
    b.knows(&a, &["t"]);
    a.agree(&b);
    assert_eq!(a.rows("SELECT sum(n) FROM t"), "2210");
    a.sql("UPDATE t SET n = 0;");
    let report = b.agree(&a);
    let told: Vec<&String> = report.warnings.iter().filter(|warning| warning.contains("kept aside")).collect();
    assert_eq!(told.len(), 3, "one for each field: {told:?}");
}

#[test]
fn a_column_renamed_here_and_mapped_goes_on_as_what_it_was() {
    let (a, b) = pair(PLAIN, PLAIN);
    a.sql("INSERT INTO t VALUES ('x', 'one'), ('y', 'two');");
    a.agree(&b);
    a.sql("ALTER TABLE t RENAME COLUMN v TO title;");
    a.attach(&[TableSpec { map: [("title".to_owned(), "v".to_owned())].into(), ..table("t") }]);
    assert_eq!(records(&a.agree(&b)), 0, "a new name at home is no edit");
    b.sql("UPDATE t SET v = 'from b' WHERE code = 'x';");
    a.sql("UPDATE t SET title = 'from a' WHERE code = 'y';");
    a.agree(&b);
    assert_eq!(a.rows("SELECT code, title FROM t ORDER BY code"), "x|from b y|from a");
    assert_eq!(b.rows("SELECT code, v FROM t ORDER BY code"), "x|from b y|from a");
    quiet(&a, &b);
}

#[test]
fn what_came_for_a_renamed_column_before_it_was_mapped_is_not_lost() {
    let (a, b) = pair(PLAIN, PLAIN);
    a.sql("INSERT INTO t VALUES ('x', 'one');");
    a.agree(&b);
    a.sql("ALTER TABLE t RENAME COLUMN v TO title;");
    b.sql("UPDATE t SET v = 'two';");
    a.agree(&b);
    a.attach(&[TableSpec { map: [("title".to_owned(), "v".to_owned())].into(), ..table("t") }]);
    a.agree(&b);
    assert_eq!((a.rows("SELECT title FROM t"), b.rows("SELECT v FROM t")), ("two".into(), "two".into()));
}

#[test]
fn a_column_that_the_peer_lacks_and_that_may_not_be_null_stops_its_table_only_and_a_default_lets_it_go_on() {
    let schema = "CREATE TABLE t (code TEXT PRIMARY KEY, v TEXT, must TEXT NOT NULL); CREATE TABLE u (code TEXT PRIMARY KEY);";
    let (a, b) = (TestSite::new("a", &schema.replace(", must TEXT NOT NULL", "")), TestSite::new("b", schema));
    for site in [&a, &b] {
        site.attach(&[table("t"), table("u")]);
    }
    b.knows(&a, &["t", "u"]);
    a.sql("INSERT INTO t VALUES ('x', 'v'); INSERT INTO u VALUES ('goes on');");
    let report = b.sync(&a);
    let told = failed(&report);
    assert!(told.len() == 1 && told[0].contains("t is stopped: its column \"must\" may not be null"), "{told:?}");
    assert_eq!((b.rows("SELECT code FROM t"), b.rows("SELECT code FROM u")), (String::new(), "goes on".into()));
    b.sql(
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = replace(sql, 'must TEXT NOT NULL', 'must TEXT NOT NULL DEFAULT ''?''') WHERE name = 't';
         PRAGMA writable_schema = RESET; CREATE TABLE bump (x); DROP TABLE bump;",
    );
    b.agree(&a);
    assert_eq!(b.rows("SELECT code, v, must FROM t"), "x|v|?");
}

#[test]
fn a_value_that_a_column_of_another_type_would_change_is_quarantined_and_the_rest_goes_on() {
    let (a, b) = pair("CREATE TABLE t (code TEXT PRIMARY KEY, v INTEGER);", PLAIN);
    a.sql("INSERT INTO t VALUES ('x', 5), ('y', 'text');");
    a.agree(&b);
    assert_eq!(b.rows("SELECT code, v FROM t"), "y|text");
    assert!(b.waiting()[0].contains("would change the integer \"5\""), "{:?}", b.waiting());
    b.sql("INSERT INTO t VALUES ('z', '007');");
    a.agree(&b);
    assert_eq!(a.rows("SELECT code, v, typeof(v) FROM t ORDER BY code"), "x|5|integer y|text|text");
    assert!(a.waiting()[0].contains("would change the text \"007\""), "{:?}", a.waiting());
}

#[test]
fn a_reference_kept_aside_leads_to_its_record_once_there_is_a_column_for_it() {
    let wide =
        "CREATE TABLE p (id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE t (code TEXT PRIMARY KEY, v TEXT, p INTEGER REFERENCES p(id));";
    let narrow = "CREATE TABLE p (id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE t (code TEXT PRIMARY KEY, v TEXT);";
    let (a, b) = (TestSite::new("a", wide), TestSite::new("b", narrow));
    for site in [&a, &b] {
        site.attach(&[table("p"), table("t")]);
    }
    a.knows(&b, &["t"]);
    a.sql("INSERT INTO p VALUES (9, 'parent'); INSERT INTO t VALUES ('x', 'v', 9);");
    a.agree(&b);
    b.sql("ALTER TABLE t ADD COLUMN p INTEGER REFERENCES p(id);");
    assert_eq!(failed(&a.sync(&b)).len(), 1, "the parent is not here yet");
    a.knows(&b, &["p"]);
    a.sync(&b);
    a.agree(&b);
    assert_eq!(b.rows("SELECT p.name FROM t JOIN p ON p.id = t.p"), "parent");
    quiet(&a, &b);
}

#[test]
fn an_interrupted_move_of_what_was_kept_aside_goes_on() {
    let (a, b) = pair("CREATE TABLE t (code TEXT PRIMARY KEY, v TEXT, n INTEGER);", PLAIN);
    a.sql("INSERT INTO t VALUES ('x', 'v', 1), ('y', 'v', 2), ('z', 'v', 3);");
    a.agree(&b);
    // The application forbids the move of one for a while.
    b.sql(
        "ALTER TABLE t ADD COLUMN n INTEGER;
         CREATE TRIGGER no BEFORE UPDATE ON t WHEN NEW.code = 'y' BEGIN SELECT RAISE(ABORT, 'not now'); END;",
    );
    let report = a.sync(&b);
    assert_eq!(failed(&report).len(), 1);
    assert!(report.resources.iter().all(|part| part.error.as_ref().is_none_or(|error| error.kind() != Kind::Internal)));
    b.sql("DROP TRIGGER no;");
    a.agree(&b);
    assert_eq!(b.rows("SELECT n FROM t ORDER BY code"), "1 2 3");
    quiet(&a, &b);
}
