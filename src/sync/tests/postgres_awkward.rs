//! What users do to their PostgreSQL databases, and what these refuse.

use super::world::{TestSite, keyed, records, table};

fn pair(schema: &str) -> (TestSite, TestSite) {
    let (a, b) = (TestSite::on_postgres("a", schema), TestSite::on_postgres("b", schema));
    a.knows(&b, &["t"]);
    (a, b)
}

#[test]
fn one_bad_record_of_a_page_is_quarantined_and_the_others_come() {
    let (a, b) = pair("CREATE TABLE t (code text PRIMARY KEY, v text, u text UNIQUE)");
    b.sql("ALTER TABLE t ADD CHECK (v <> 'bad'); INSERT INTO t VALUES ('here', 'v', 'taken')");
    for site in [&a, &b] {
        site.attach(&[table("t")]);
    }
    a.sql("INSERT INTO t SELECT 'c' || i, CASE i WHEN 3 THEN 'bad' ELSE 'v' || i END, CASE i WHEN 5 THEN 'taken' ELSE 'u' || i END FROM generate_series(1, 20) i");
    a.agree(&b);
    let waiting = b.waiting();
    assert!(waiting.len() == 2 && waiting.iter().any(|entry| entry.contains("t_v_check")), "{waiting:?}");
    assert!(waiting.iter().any(|entry| entry.contains("t_u_key")), "{waiting:?}");
    assert_eq!((b.rows("SELECT count(*) FROM t"), a.rows("SELECT count(*) FROM t")), ("19".into(), "20".into()));
    a.sql("UPDATE t SET v = 'good' WHERE v = 'bad'; UPDATE t SET u = 'free' WHERE u = 'taken' AND code <> 'here'");
    a.agree(&b);
    a.agree(&b);
    let all = "SELECT * FROM t ORDER BY code";
    assert_eq!((a.rows(all), b.waiting().len(), a.waiting().len()), (b.rows(all), 0, 0));
}

#[test]
fn unique_values_that_records_hand_on_arrive() {
    let (a, b) = pair("CREATE TABLE t (code text PRIMARY KEY, u text UNIQUE)");
    for site in [&a, &b] {
        site.attach(&[table("t")]);
    }
    a.sql("INSERT INTO t VALUES ('1', 'a'), ('2', 'b'), ('3', 'c')");
    a.agree(&b);
    a.sql("UPDATE t SET u = 'x' WHERE code = '1'; UPDATE t SET u = 'a' WHERE code = '2'; UPDATE t SET u = 'b' WHERE code = '3'; INSERT INTO t VALUES ('4', 'c')");
    a.agree(&b);
    a.sql("DELETE FROM t WHERE code = '4'; INSERT INTO t VALUES ('5', 'c')");
    a.agree(&b);
    let all = "SELECT * FROM t ORDER BY code";
    assert_eq!((a.rows(all), b.waiting()), (b.rows(all), Vec::new()));
}

#[test]
fn what_the_users_triggers_write_beside_a_page_is_an_edit_of_this_site() {
    let schema = "CREATE TABLE t (code text PRIMARY KEY, v text); CREATE TABLE audit (code text PRIMARY KEY, n integer)";
    let (a, b) = pair(schema);
    b.sql(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
           'BEGIN INSERT INTO audit VALUES (NEW.code, 1) ON CONFLICT (code) DO UPDATE SET n = audit.n + 1; RETURN NULL; END';
         CREATE TRIGGER note AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note();",
    );
    for site in [&a, &b] {
        site.attach(&[table("t"), keyed("audit", &["code"])]);
    }
    a.knows(&b, &["audit"]);
    a.sql("INSERT INTO t VALUES ('x', '1'), ('y', '1')");
    a.agree(&b);
    a.sql("UPDATE t SET v = '2' WHERE code = 'y'");
    a.agree(&b);
    a.agree(&b);
    let all = "SELECT * FROM audit ORDER BY code";
    assert_eq!((b.rows(all).as_str(), a.rows(all).as_str()), ("x|1 y|2", "x|1 y|2"));
    assert_eq!(records(&a.agree(&b)), 0);
}

#[test]
fn values_kept_aside_move_into_a_column_that_comes_later_unless_the_application_wrote_there() {
    let a = TestSite::on_postgres("a", "CREATE TABLE t (code text PRIMARY KEY, v text, n integer, at timestamptz)");
    let b = TestSite::on_postgres("b", "CREATE TABLE t (code text PRIMARY KEY, v text)");
    for site in [&a, &b] {
        site.attach(&[table("t")]);
    }
    a.knows(&b, &["t"]);
    a.sql("INSERT INTO t VALUES ('x', 'v', 1, '2024-01-01Z'), ('y', 'v', 2, '2024-01-02Z')");
    a.agree(&b);
    b.sql("ALTER TABLE t ADD COLUMN n integer, ADD COLUMN at timestamptz; UPDATE t SET n = 50 WHERE code = 'y'");
    a.agree(&b);
    let all = "SELECT code, n, at AT TIME ZONE 'UTC' FROM t ORDER BY code";
    assert_eq!(b.rows(all), "x|1|2024-01-01 00:00:00 y|50|2024-01-02 00:00:00");
    assert_eq!(a.rows(all), b.rows(all), "the application's value is an edit");
    b.sql("ALTER TABLE t DROP COLUMN n; ALTER TABLE t ADD COLUMN kind text NOT NULL DEFAULT 'plain'; ALTER TABLE t ALTER COLUMN v TYPE varchar(40)");
    a.sql("UPDATE t SET n = 7, v = 'w' WHERE code = 'x'");
    a.agree(&b);
    assert_eq!(
        (b.rows("SELECT code, v, kind FROM t ORDER BY code"), a.rows("SELECT n FROM t WHERE code = 'y'")),
        ("x|w|plain y|v|plain".into(), "50".into())
    );
}

#[test]
fn records_that_refer_to_each_other_in_a_circle_arrive_although_no_constraint_can_wait() {
    let (a, b) =
        pair("CREATE TABLE t (id serial PRIMARY KEY, name text, friend integer REFERENCES t, boss integer REFERENCES t DEFERRABLE)");
    for site in [&a, &b] {
        site.attach(&[table("t")]);
    }
    a.sql(
        "INSERT INTO t VALUES (10, 'x'), (20, 'y'), (30, 'z'); UPDATE t SET friend = CASE id WHEN 30 THEN 10 ELSE id + 10 END, boss = 30",
    );
    a.agree(&b);
    let all = "SELECT t.name, f.name, b.name FROM t JOIN t f ON f.id = t.friend JOIN t b ON b.id = t.boss ORDER BY 1";
    assert_eq!((b.rows(all).as_str(), b.waiting()), ("x|y|z y|z|z z|x|z", Vec::new()));
    assert_eq!(records(&a.agree(&b)), 0, "nothing of it was taken for an edit");
    b.sql("UPDATE t SET friend = NULL, boss = NULL; DELETE FROM t WHERE name <> 'x'");
    a.agree(&b);
    assert_eq!(a.rows("SELECT name, friend FROM t"), "x|-");
}

#[test]
fn a_record_whose_local_key_is_renamed_elsewhere_is_the_same_record() {
    use crate::model::{Identity, TableSpec};
    // What refers to it goes along by itself; that child is not shared.
    let schema = "CREATE TABLE t (code varchar(9) PRIMARY KEY, uuid varchar(36) NOT NULL UNIQUE, v varchar(9));
        CREATE TABLE child (id integer PRIMARY KEY, code varchar(9) REFERENCES t ON UPDATE CASCADE)";
    for (a, b) in [
        (TestSite::new("a", schema), TestSite::new("b", schema)),
        (TestSite::on_postgres("a", schema), TestSite::on_postgres("b", schema)),
        (TestSite::new("a", schema), TestSite::on_postgres("b", schema)),
    ] {
        for site in [&a, &b] {
            site.attach(&[TableSpec { identity: Some(Identity::Column { column: "uuid".into() }), ..table("t") }]);
        }
        a.knows(&b, &["t"]);
        a.sql("INSERT INTO t VALUES ('old', '6f9619ff-8b86-d011-b42d-00c04fc964ff', 'x'), ('other', '6f9619ff-8b86-d011-b42d-00c04fc964fe', 'y')");
        a.agree(&b);
        // Another record was there under the key that is to come, and is gone.
        b.sql("INSERT INTO t VALUES ('new', '6f9619ff-8b86-d011-b42d-00c04fc964fd', 'was here')");
        let mut door = b.site.door("app").unwrap();
        let known = door.tables().unwrap().remove(0);
        door.fold(&known).unwrap();
        b.sql("DELETE FROM t WHERE code = 'new'; INSERT INTO child VALUES (1, 'old')");
        a.agree(&b);
        a.sql("UPDATE t SET code = 'new' WHERE code = 'old'");
        a.agree(&b);
        assert_eq!((b.rows("SELECT code FROM child").as_str(), b.waiting()), ("new", Vec::new()));
        // A third site is offered what b has.
        let c = TestSite::new("c", schema);
        c.attach(&[TableSpec { identity: Some(Identity::Column { column: "uuid".into() }), ..table("t") }]);
        b.knows(&c, &["t"]);
        b.agree(&c);
        a.agree(&b);
        let all = "SELECT code, v FROM t ORDER BY code";
        assert_eq!([a.rows(all), b.rows(all), c.rows(all)], ["new|x other|y"; 3]);
        b.sql("UPDATE t SET v = 'z' WHERE code = 'new'");
        a.agree(&b);
        a.agree(&b);
        assert_eq!((a.rows(all).as_str(), b.rows(all).as_str()), ("new|z other|y", "new|z other|y"));
    }
}

#[test]
fn a_row_with_another_uuid_under_a_key_that_was_free_again_is_another_record() {
    use crate::model::{Identity, TableSpec};
    let schema = "CREATE TABLE t (id integer PRIMARY KEY, uuid varchar(36) NOT NULL UNIQUE, v varchar(9))";
    for (a, b) in
        [(TestSite::on_postgres("a", schema), TestSite::on_postgres("b", schema)), (TestSite::new("a", schema), TestSite::new("b", schema))]
    {
        for site in [&a, &b] {
            site.attach(&[TableSpec { identity: Some(Identity::Column { column: "uuid".into() }), ..table("t") }]);
        }
        a.knows(&b, &["t"]);
        a.sql("INSERT INTO t VALUES (1, '6f9619ff-8b86-d011-b42d-00c04fc964fa', 'x')");
        a.agree(&b);
        let all = "SELECT uuid, v FROM t ORDER BY uuid";
        for seen in [false, true] {
            a.sql("DELETE FROM t WHERE v = 'x'");
            if seen {
                a.agree(&b);
            }
            a.sql(if seen {
                "INSERT INTO t VALUES (1, '6f9619ff-8b86-d011-b42d-00c04fc964fc', 'x')"
            } else {
                "INSERT INTO t VALUES (1, '6f9619ff-8b86-d011-b42d-00c04fc964fb', 'x')"
            });
            a.agree(&b);
            assert_eq!(a.rows(all), b.rows(all));
        }
        a.sql("UPDATE t SET uuid = '6f9619ff-8b86-d011-b42d-00c04fc964fd'");
        a.agree(&b);
        assert_eq!(a.rows(all), b.rows(all));
        // What no trigger noticed is found, too.
        a.site.door("app").unwrap().detach(false).unwrap();
        a.sql("DELETE FROM t; INSERT INTO t VALUES (1, '6f9619ff-8b86-d011-b42d-00c04fc964fe', 'x')");
        a.attach(&[TableSpec { identity: Some(Identity::Column { column: "uuid".into() }), ..table("t") }]);
        a.agree(&b);
        assert_eq!(a.rows(all), b.rows(all));
    }
}

#[test]
fn an_adopted_record_that_keeps_its_uuid_in_its_row_is_no_other_record() {
    use crate::model::{Identity, TableSpec};
    let schema = "CREATE TABLE t (id integer PRIMARY KEY, uuid varchar(36) NOT NULL UNIQUE, code varchar(9) UNIQUE, v varchar(9))";
    for (a, b) in
        [(TestSite::on_postgres("a", schema), TestSite::on_postgres("b", schema)), (TestSite::new("a", schema), TestSite::new("b", schema))]
    {
        for (site, last) in [(&a, 'a'), (&b, 'b')] {
            let identity = Some(Identity::Column { column: "uuid".into() });
            site.attach(&[TableSpec { identity, matching: vec!["code".into()], ..table("t") }]);
            site.sql(&format!("INSERT INTO t VALUES (1, '6f9619ff-8b86-d011-b42d-00c04fc964f{last}', 'same', 'x')"));
        }
        a.knows(&b, &["t"]);
        a.agree(&b);
        a.agree(&b);
        b.sql("UPDATE t SET v = 'y'");
        a.agree(&b);
        a.sql("UPDATE t SET v = v || 'z'");
        a.agree(&b);
        let all = "SELECT code, v FROM t";
        assert_eq!((a.rows(all).as_str(), b.rows(all).as_str(), a.waiting(), b.waiting()), ("same|yz", "same|yz", Vec::new(), Vec::new()));
    }
}
