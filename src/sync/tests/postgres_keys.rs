//! Records that SQLite and PostgreSQL keep under keys of their own.

use super::world::{TestSite, keyed, records, table};
use crate::model::TableSpec;

/// Nothing is left to do or to explain. Returns what the run verified to be the same.
fn settled(a: &TestSite, b: &TestSite) -> Vec<String> {
    // Records that are found to be one want a run more, where it is the other side's uid that goes.
    let runs = [a.agree(b), a.agree(b), a.agree(b)];
    let last = &runs[2];
    assert_eq!((records(last), a.waiting(), b.waiting(), &last.warnings), (0, Vec::new(), Vec::new(), &Vec::new()));
    last.verified.clone()
}

fn agreed(a: &TestSite, b: &TestSite) {
    let known = a.site.door("app").unwrap().tables().unwrap();
    let mut verified = settled(a, b);
    verified.sort();
    let mut all: Vec<String> = known.into_iter().map(|table| table.resource).collect();
    all.sort();
    assert_eq!(verified, all);
}

#[test]
fn rows_with_integer_keys_here_have_uuids_there_and_references_follow() {
    let lite = TestSite::new(
        "lite",
        "CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT NOT NULL, boss INTEGER REFERENCES person(id));
         CREATE TABLE visit (id INTEGER PRIMARY KEY, person INTEGER NOT NULL REFERENCES person(id), day DATE, at DATETIME DEFAULT CURRENT_TIMESTAMP, paid BOOLEAN, price DECIMAL(9,2));",
    );
    let post = TestSite::on_postgres(
        "post",
        "CREATE TABLE person (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name varchar(40) NOT NULL, boss uuid REFERENCES person);
         CREATE TABLE visit (id bigint GENERATED ALWAYS AS IDENTITY (START WITH 1000) PRIMARY KEY, person uuid NOT NULL REFERENCES person, day date, at timestamptz DEFAULT now(),
           paid boolean, price numeric(9,2), total numeric GENERATED ALWAYS AS (price * 2) STORED);",
    );
    for site in [&lite, &post] {
        site.attach(&[table("person"), table("visit")]);
    }
    lite.knows(&post, &["person", "visit"]);
    for resource in ["person", "visit"] {
        lite.change(&lite.knows(&post, &[]), resource, |resource| resource.accept_twins = true);
    }
    lite.sql(
        "INSERT INTO person (name) VALUES ('Ada'); INSERT INTO person (name, boss) VALUES ('Bob', 1);
         INSERT INTO visit (person, day, paid, price) VALUES (2, '2024-02-29', 1, 12.50), (1, NULL, 0, 3)",
    );
    post.sql(
        "INSERT INTO person (name) VALUES ('Cyd'); INSERT INTO person (name, boss) SELECT 'Dan', id FROM person;
         INSERT INTO visit (person, day, paid, price) SELECT id, '2024-03-01', true, 99.95 FROM person WHERE name = 'Dan'",
    );
    agreed(&lite, &post);
    let people = "SELECT p.name, b.name FROM person p LEFT JOIN person b ON b.id = p.boss ORDER BY 1";
    assert_eq!([lite.rows(people), post.rows(people)], ["Ada|- Bob|Ada Cyd|- Dan|Cyd"; 2]);
    let visits = "SELECT p.name, v.day, v.price * 100 FROM visit v JOIN person p ON p.id = v.person WHERE v.paid ORDER BY 1";
    assert_eq!(lite.rows(visits).replace(".0 ", " ").replace("9995.0", "9995"), "Bob|2024-02-29|1250 Dan|2024-03-01|9995");
    assert_eq!(post.rows(visits), "Bob|2024-02-29|1250.00 Dan|2024-03-01|9995.00");
    assert_eq!(post.rows("SELECT min(id) >= 1000, sum(total) FROM visit"), "t|230.90");
    assert_eq!(lite.rows("SELECT at FROM visit ORDER BY id"), post.rows("SELECT to_char(at AT TIME ZONE 'UTC', CASE WHEN date_part('microseconds', at)::bigint % 1000000 = 0 THEN 'YYYY-MM-DD HH24:MI:SS' ELSE 'YYYY-MM-DD HH24:MI:SS.US' END) FROM visit ORDER BY person = (SELECT id FROM person WHERE name = 'Dan'), price DESC"));
    lite.sql(
        "UPDATE person SET boss = 2 WHERE name = 'Cyd'; DELETE FROM visit WHERE price = 3; UPDATE visit SET paid = 0 WHERE price > 50",
    );
    post.sql("UPDATE person SET name = 'Robert' WHERE name = 'Bob'; UPDATE visit SET price = 13 WHERE price = 12.5");
    agreed(&lite, &post);
    assert_eq!([lite.rows(people), post.rows(people)], ["Ada|- Cyd|Robert Dan|Cyd Robert|Ada"; 2]);
    assert_eq!(lite.rows("SELECT price, paid FROM visit ORDER BY price"), "13|1 99.95|0");
    assert_eq!(post.rows("SELECT price, paid FROM visit ORDER BY price"), "13.00|t 99.95|f");
}

#[test]
fn rows_with_integer_keys_here_have_composite_ones_there() {
    let lite = TestSite::new(
        "lite",
        "CREATE TABLE stay (id INTEGER PRIMARY KEY, room TEXT NOT NULL, day DATE NOT NULL, guest TEXT, UNIQUE (room, day));
         CREATE TABLE meal (id INTEGER PRIMARY KEY, stay INTEGER REFERENCES stay(id), dish TEXT);",
    );
    let post = TestSite::on_postgres(
        "post",
        "CREATE TABLE stay (room varchar(9), day date, guest text, PRIMARY KEY (room, day));
         CREATE TABLE meal (id serial PRIMARY KEY, room varchar(9), day date, dish text, FOREIGN KEY (room, day) REFERENCES stay ON UPDATE CASCADE);",
    );
    let map = [("stay".to_owned(), "room+day".to_owned())].into();
    lite.attach(&[keyed("stay", &["room", "day"]), TableSpec { map, ..table("meal") }]);
    post.attach(&[table("stay"), table("meal")]);
    lite.knows(&post, &["stay", "meal"]);
    lite.change(&lite.knows(&post, &[]), "meal", |resource| resource.accept_twins = true);
    // Both entered the first stay by themselves: its key tells that it is one.
    lite.sql("INSERT INTO stay (id, room, day, guest) VALUES (7, 'blue', '2024-02-29', 'Ada'), (8, 'red', '2024-02-29', 'Bob'); INSERT INTO meal (stay, dish) VALUES (8, 'soup')");
    post.sql("INSERT INTO stay VALUES ('blue', '2024-02-29', 'Ada'), ('blue', '2024-03-01', 'Cyd'); INSERT INTO meal (room, day, dish) VALUES ('blue', '2024-03-01', 'fish')");
    agreed(&lite, &post);
    let here = "SELECT s.room, s.day, s.guest, m.dish FROM stay s LEFT JOIN meal m ON m.stay = s.id ORDER BY 1, 2";
    let there = "SELECT s.room, s.day, s.guest, m.dish FROM stay s LEFT JOIN meal m USING (room, day) ORDER BY 1, 2";
    assert_eq!([lite.rows(here), post.rows(there)], ["blue|2024-02-29|Ada|- blue|2024-03-01|Cyd|fish red|2024-02-29|Bob|soup"; 2]);
    lite.sql("UPDATE meal SET stay = 7 WHERE dish = 'fish'; UPDATE stay SET guest = 'Eve' WHERE id = 8");
    post.sql("UPDATE meal SET dish = 'stew' WHERE dish = 'soup'");
    agreed(&lite, &post);
    assert_eq!([lite.rows(here), post.rows(there)], ["blue|2024-02-29|Ada|fish blue|2024-03-01|Cyd|- red|2024-02-29|Eve|stew"; 2]);
}

#[test]
fn records_that_two_kinds_of_database_entered_separately_are_matched_by_their_values() {
    let lite = TestSite::new(
        "lite",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, day DATE, active BOOLEAN, price DECIMAL, v TEXT, UNIQUE (day, active, price))",
    );
    let post = TestSite::on_postgres(
        "post",
        "CREATE TABLE t (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), day date, active boolean, price numeric(9,2), v text, UNIQUE (day, active, price))",
    );
    let matching: Vec<String> = ["day", "active", "price"].map(str::to_owned).into();
    for site in [&lite, &post] {
        site.attach(&[TableSpec { matching: matching.clone(), ..table("t") }]);
    }
    lite.knows(&post, &["t"]);
    lite.sql("INSERT INTO t (day, active, price, v) VALUES ('2024-02-29', 1, 1.5, 'x'), ('2024-02-29', 0, 1.5, 'y')");
    post.sql("INSERT INTO t (day, active, price, v) VALUES ('2024-02-29', true, 1.50, 'x'), ('2024-02-28', false, 2, 'z')");
    agreed(&lite, &post);
    assert_eq!(lite.rows("SELECT day, active, price, v FROM t ORDER BY v"), "2024-02-29|1|1.5|x 2024-02-29|0|1.5|y 2024-02-28|0|2|z");
    assert_eq!(post.rows("SELECT day, active, price, v FROM t ORDER BY v"), "2024-02-29|t|1.50|x 2024-02-29|f|1.50|y 2024-02-28|f|2.00|z");
}

#[test]
fn fields_merge_and_filters_hold_alike_on_both_kinds() {
    let lite = TestSite::new("lite", "CREATE TABLE t (code TEXT PRIMARY KEY, at DATETIME, done BOOLEAN, price DECIMAL)");
    let post = TestSite::on_postgres("post", "CREATE TABLE t (code text PRIMARY KEY, at timestamp, done boolean, price numeric)");
    for site in [&lite, &post] {
        site.attach(&[table("t")]);
    }
    for (one, other) in [(&lite, &post), (&post, &lite)] {
        one.change(&one.knows(other, &["t"]), "t", |resource| {
            resource.merge_fields = true;
            resource.filters = vec!["~.at__ge=2024-01-01T10:00&~.done=true".into()];
        });
    }
    lite.sql("INSERT INTO t VALUES ('x', '2024-01-01 10:00:00', 1, 1.5), ('early', '2024-01-01 09:59:59', 1, 1)");
    post.sql("INSERT INTO t VALUES ('y', '2024-01-01 10:00', true, 2), ('open', '2024-01-02', false, 2)");
    settled(&lite, &post);
    assert_eq!([lite.rows("SELECT code FROM t ORDER BY 1"), post.rows("SELECT code FROM t ORDER BY 1")], ["early x y", "open x y"]);
    // Each changes another field; then both the same one, to the same value.
    lite.sql("UPDATE t SET price = 7.25 WHERE code = 'x'; UPDATE t SET at = '2025-01-01 00:00:00' WHERE code = 'y'");
    post.sql("UPDATE t SET at = '2024-06-01' WHERE code = 'x'; UPDATE t SET at = '2025-01-01', price = 9 WHERE code = 'y'");
    settled(&lite, &post);
    assert_eq!(lite.rows("SELECT * FROM t WHERE code IN ('x', 'y') ORDER BY 1"), "x|2024-06-01 00:00:00|1|7.25 y|2025-01-01 00:00:00|1|9");
    assert_eq!(post.rows("SELECT * FROM t WHERE code IN ('x', 'y') ORDER BY 1"), "x|2024-06-01 00:00:00|t|7.25 y|2025-01-01 00:00:00|t|9");
}
