//! What is shared by a filter, what is taken back, and what stays.

use super::world::{Line, TestSite, keyed, records, table};
use crate::{
    connector::Part,
    decide::Source,
    error::Kind,
    model::{Grant, Mode, PullRequest, Rules, TableSpec, Want},
    sync::{Bare, Terms, admit::Caller, filters, import, run::Ask, serve},
};

const TEAM: &str = "CREATE TABLE team (code TEXT PRIMARY KEY, region TEXT, name TEXT);";
const ALL: &str = "SELECT code, region, name FROM team ORDER BY code";
const CODES: &str = "SELECT code FROM team ORDER BY code";
const NORTH: &str = "~.region=north";

fn site(name: &str) -> TestSite {
    let site = TestSite::new(name, TEAM);
    site.attach(&[table("team")]);
    site
}

fn filtered(a: &TestSite, b: &TestSite, filter: &str) {
    a.change(&a.knows(b, &[]), "team", |resource| resource.filters = vec![filter.to_owned()]);
}

/// `a` shares with `b` what lies in the north.
fn pair() -> (TestSite, TestSite) {
    let (a, b) = (site("a"), site("b"));
    a.knows(&b, &["team"]);
    filtered(&a, &b, NORTH);
    (a, b)
}

fn retracted(site: &TestSite) -> String {
    site.rows("SELECT count(*) FROM entente_history WHERE rule = 'retracted' AND side = 'local'")
}

fn caller(at: &TestSite, from: &TestSite) -> Caller {
    Caller { repository: at.knows(from, &[]), uuid: from.site.id, grant: Grant { pull: true, push: true, resources: None } }
}

fn asks(filters: &[&str], cursor: &str) -> PullRequest {
    let filters = filters.iter().map(|filter| (*filter).to_owned()).collect();
    PullRequest {
        resource: "team".into(),
        cursor: cursor.into(),
        records: 100,
        bytes: 1 << 20,
        run: 1,
        heard: 0,
        filters,
        life: String::new(),
        want: Want::Page,
    }
}

#[test]
fn only_what_matches_travels_either_way_and_an_idle_pair_needs_one_call() {
    let (a, b) = pair();
    a.sql("INSERT INTO team VALUES ('a1', 'north', 'x'), ('a2', 'south', 'x'), ('a3', NULL, 'x');");
    b.sql("INSERT INTO team VALUES ('b1', 'north', 'x'), ('b2', 'south', 'x');");
    assert_eq!(records(&a.agree(&b)), 2);
    assert_eq!((a.rows(CODES), b.rows(CODES)), ("a1 a2 a3 b1".into(), "a1 b1 b2".into()));
    assert_eq!(records(&a.agree(&b)), 0);
    let line = Line::new(&a, &b);
    a.over(&line, &b, &Ask::default()).unwrap();
    assert_eq!(*line.calls.lock().unwrap(), ["hello"]);
    assert_eq!((retracted(&a), retracted(&b)), ("0".into(), "0".into()));
}

#[test]
fn the_filter_of_the_site_that_is_called_holds_as_well() {
    let (a, b) = pair();
    b.knows(&a, &["team"]);
    filtered(&b, &a, "~.name__like=b*");
    b.sql("INSERT INTO team VALUES ('1', 'north', 'Bob'), ('2', 'north', 'Jim'), ('3', 'south', 'Bill');");
    a.agree(&b);
    assert_eq!(a.rows(CODES), "1");
    filtered(&b, &a, "~.name__like=j*");
    a.agree(&b);
    assert_eq!(a.rows(CODES), "2", "the changed filter of the other site gives and takes back");
    assert_eq!(b.rows(CODES), "1 2 3");
    assert_eq!(records(&a.agree(&b)), 0);
}

#[test]
fn a_record_that_stops_matching_is_let_go_there_stays_here_and_comes_back_with_its_next_match() {
    for a_calls in [true, false] {
        let (a, b) = (site("a"), site("b"));
        let (caller, called) = if a_calls { (&a, &b) } else { (&b, &a) };
        caller.knows(called, &["team"]);
        filtered(caller, called, NORTH);
        a.sql("INSERT INTO team VALUES ('1', 'north', 'one'), ('2', 'north', 'two');");
        caller.agree(called);
        a.sql("UPDATE team SET region = 'south' WHERE code = '1';");
        let report = caller.agree(called);
        assert_eq!(report.resources.iter().map(|part| part.counts.retracted).sum::<u64>(), 1);
        assert_eq!((a.rows(CODES), b.rows(CODES)), ("1 2".into(), "2".into()));
        assert_eq!((retracted(&a), retracted(&b)), ("0".into(), "1".into()));
        for _ in 0..2 {
            assert_eq!(records(&caller.agree(called)), 0, "nothing moves, and nothing is forwarded");
        }
        assert_eq!(a.rows(CODES), "1 2", "no tombstone came back");
        a.sql("UPDATE team SET region = 'north', name = 'again' WHERE code = '1';");
        caller.agree(called);
        assert_eq!(b.rows(ALL), a.rows(ALL));
        b.sql("UPDATE team SET name = 'from b' WHERE code = '1';");
        caller.agree(called);
        assert_eq!(a.rows("SELECT name FROM team WHERE code = '1'"), "from b");
    }
}

#[test]
fn a_changed_filter_gives_what_matches_now_and_takes_back_what_matched_before_only() {
    for a_calls in [true, false] {
        let (a, b) = (site("a"), site("b"));
        let (caller, called) = if a_calls { (&a, &b) } else { (&b, &a) };
        caller.knows(called, &["team"]);
        filtered(caller, called, NORTH);
        a.sql(
            "INSERT INTO team WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 49)
               SELECT printf('a%02d', i), substr('north south west  ', (i % 3) * 6 + 1, 5), 'x' FROM n;
             UPDATE team SET region = trim(region);",
        );
        b.sql("INSERT INTO team VALUES ('b1', 'north', 'x'), ('b2', 'south', 'x');");
        caller.agree(called);
        assert_eq!(b.rows("SELECT region, count(*) FROM team WHERE code LIKE 'a%' GROUP BY region"), "north|17");
        // One that changed since, matching neither filter, has to go, too.
        a.sql("UPDATE team SET region = 'east' WHERE code = 'a00';");
        filtered(caller, called, "~.region=south");
        caller.agree(called);
        assert_eq!(b.rows("SELECT region, count(*) FROM team WHERE code LIKE 'a%' GROUP BY region"), "south|17");
        assert_eq!(b.rows("SELECT code FROM team WHERE code LIKE 'b%' ORDER BY code"), "b1 b2", "each keeps what it wrote");
        assert_eq!(a.rows("SELECT count(*) FROM team WHERE code LIKE 'a%'"), "50");
        assert_eq!(a.rows("SELECT code FROM team WHERE code LIKE 'b%'"), "b2");
        assert_eq!(records(&caller.agree(called)), 0);
        caller.change(&caller.knows(called, &[]), "team", |resource| resource.filters.clear());
        caller.agree(called);
        assert_eq!(a.rows(ALL), b.rows(ALL), "without a filter everything is shared again");
        assert_eq!(a.rows("SELECT count(*) FROM team"), "52");
        filtered(caller, called, NORTH);
        caller.agree(called);
        assert_eq!(b.rows(CODES).split(' ').filter(|code| code.starts_with('a')).count(), 16);
        assert_eq!(records(&caller.agree(called)), 0);
    }
}

#[test]
fn a_changed_filter_survives_lost_answers_and_dead_lines() {
    for dies in 0..14 {
        let (a, b) = pair();
        a.sql(
            "INSERT INTO team WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20)
               SELECT 'a' || i, CASE WHEN i % 2 THEN 'north' ELSE 'south' END, 'x' FROM n",
        );
        b.sql(
            "INSERT INTO team WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20)
               SELECT 'b' || i, CASE WHEN i % 2 THEN 'north' ELSE 'south' END, 'x' FROM n",
        );
        a.agree(&b);
        filtered(&a, &b, "~.region=south");
        let line = Line::new(&a, &b);
        line.faults.lock().unwrap().dies_after = Some(dies);
        let _ = a.over(&line, &b, &Ask::default());
        let line = Line::new(&a, &b);
        line.faults.lock().unwrap().lost_answers = 1 + dies % 3;
        let _ = a.over(&line, &b, &Ask::default());
        a.agree(&b);
        let shown = "SELECT substr(code, 1, 1) || region, count(*) FROM team GROUP BY 1 ORDER BY 1";
        assert_eq!(a.rows(shown), "anorth|10 asouth|10 bsouth|10", "{dies}");
        assert_eq!(b.rows(shown), "asouth|10 bnorth|10 bsouth|10", "{dies}");
    }
}

#[test]
fn what_a_third_site_shares_stays_where_it_is() {
    for entered in [true, false] {
        let (a, b) = pair();
        let c = site("c");
        match entered {
            true => drop(b.knows(&c, &["team"])),
            false => drop(c.knows(&b, &["team"])),
        }
        let b_and_c = || if entered { b.agree(&c) } else { c.agree(&b) };
        a.sql("INSERT INTO team VALUES ('1', 'north', 'one');");
        a.agree(&b);
        b_and_c();
        a.sql("UPDATE team SET region = 'south';");
        a.agree(&b);
        b_and_c();
        assert_eq!((b.rows(CODES), c.rows(CODES)), ("1".into(), "1".into()));
        assert_eq!(b.rows(ALL), "1|north|one", "what is not shared is not told");
        let disabled = crate::model::Repository { enabled: false, ..b.knows(&c, &[]) };
        b.site.store.write(|conn| crate::store::repositories::update(conn, b.site.store.key(), &disabled)).unwrap();
        a.sql("UPDATE team SET name = 'two';");
        a.agree(&b);
        assert_eq!(b.rows(CODES), "", "nobody else shares it any longer");
    }
}

#[test]
fn an_edit_that_the_sender_has_not_seen_stays_and_is_decided_like_any_other() {
    let (a, b) = pair();
    a.sql("INSERT INTO team VALUES ('1', 'north', 'one');");
    a.agree(&b);
    a.sql("UPDATE team SET region = 'south';");
    std::thread::sleep(std::time::Duration::from_millis(3));
    b.sql("UPDATE team SET name = 'later';");
    a.agree(&b);
    a.agree(&b);
    assert_eq!(a.rows(ALL), "1|north|later");
    assert_eq!(b.rows(ALL), "1|north|later");
    b.sql("UPDATE team SET name = 'earlier';");
    std::thread::sleep(std::time::Duration::from_millis(3));
    a.sql("UPDATE team SET region = 'south';");
    a.agree(&b);
    a.agree(&b);
    assert_eq!(a.rows(ALL), "1|south|later");
    assert_eq!((b.rows(ALL), retracted(&b)), (String::new(), "1".into()));
}

#[test]
fn two_sites_that_tell_each_other_to_let_go_of_the_same_version_do_not_both() {
    let (a, b, c) = (site("a"), site("b"), site("c"));
    for spoke in [&a, &b] {
        spoke.knows(&c, &["team"]);
        c.knows(spoke, &[]);
    }
    c.sql("INSERT INTO team VALUES ('1', 'north', 'one');");
    for (one, other) in [(&a, &c), (&b, &c)] {
        one.agree(other);
    }
    for spoke in [&a, &b] {
        let gone = crate::model::Repository { enabled: false, ..spoke.knows(&c, &[]) };
        spoke.site.store.write(|conn| crate::store::repositories::update(conn, spoke.site.store.key(), &gone)).unwrap();
    }
    a.knows(&b, &["team"]);
    a.agree(&b);
    filtered(&a, &b, "~.region=south");
    // Both directions are read before either is applied.
    let page = serve::feed(&b.site, &caller(&b, &a), &asks(&["~.region=south"], "")).unwrap();
    assert!(page.records[0].retracted);
    a.over(&Line::new(&a, &b), &b, &Ask { pull: false, ..Ask::default() }).unwrap();
    let (me, now, decider) = (a.site.id, a.site.now(), a.site.decider());
    let (rules, elsewhere) = (Rules::default(), filters::Elsewhere::default());
    let terms = Terms { peer: b.site.id, rules, source: Source::Page, run: 1, me, now, decider, elsewhere, fields: Default::default() };
    let mut door = a.site.door("app").unwrap();
    let attached = door.tables().unwrap().remove(0);
    import(&mut *door, &attached, &page, &terms, &mut Bare).unwrap();
    assert_eq!(a.rows(CODES).len() + b.rows(CODES).len(), 1, "one of them keeps it");
}

#[test]
fn a_deletion_travels_whatever_the_filter_and_reaches_copies_that_were_let_go() {
    let (a, b) = pair();
    a.sql("INSERT INTO team VALUES ('1', 'north', 'one'), ('2', 'north', 'two');");
    a.agree(&b);
    a.sql("UPDATE team SET region = 'south' WHERE code = '1';");
    a.agree(&b);
    a.sql("UPDATE team SET region = 'south' WHERE code = '2'; DELETE FROM team;");
    a.agree(&b);
    assert_eq!((a.rows(CODES), b.rows(CODES)), (String::new(), String::new()));
    assert_eq!(b.rows("SELECT count(*) FROM entente_state_1 WHERE deleted = 1 AND held IS NULL"), "2", "tombstones like any other");
    let c = site("c");
    c.knows(&b, &["team"]);
    assert_eq!(records(&c.agree(&b)), 2, "and passed on");
}

#[test]
fn parents_and_children_are_let_go_together_and_a_parent_with_other_children_is_kept_and_told() {
    let schema = "CREATE TABLE p (id INTEGER PRIMARY KEY, region TEXT);
                  CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p(id), region TEXT);
                  CREATE TABLE own (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p(id) ON DELETE CASCADE);
                  PRAGMA foreign_keys = ON;";
    let (a, b) = (TestSite::new("a", schema), TestSite::new("b", schema));
    for site in [&a, &b] {
        site.attach(&[table("p"), table("c")]);
    }
    let to_b = a.knows(&b, &["p", "c"]);
    for name in ["p", "c"] {
        a.change(&to_b, name, |resource| resource.filters = vec![NORTH.into()]);
    }
    a.sql("INSERT INTO p VALUES (1, 'north'), (2, 'north'), (3, 'north'); INSERT INTO c VALUES (1, 1, 'north'), (2, 2, 'north');");
    a.agree(&b);
    assert_eq!(b.rows("SELECT count(*) FROM p"), "3");
    b.sql("INSERT INTO own SELECT 7, id FROM p WHERE id NOT IN (SELECT p FROM c)");
    // The first goes with its child; the second's child stays; a row of a table that is not attached refers to the third.
    a.sql("UPDATE p SET region = 'south'; UPDATE c SET region = 'south' WHERE id = 1;");
    let report = a.agree(&b);
    assert_eq!(b.rows("SELECT region FROM c"), "north");
    assert_eq!(b.rows("SELECT count(*) FROM p"), "2");
    assert_eq!(b.rows("SELECT count(*) FROM own"), "1", "no cascade took what is not shared");
    assert!(b.waiting().is_empty(), "{:?}", b.waiting());
    let told = b.site.store.read(|conn| crate::store::log::list(conn, &crate::store::log::LogFilter::default())).unwrap();
    assert!(told.iter().any(|entry| entry.message.contains("no longer shared with us but is still referred to")), "{report:?}");
}

#[test]
fn a_child_whose_parent_does_not_match_waits_and_says_for_whom() {
    let schema = "CREATE TABLE p (id INTEGER PRIMARY KEY, region TEXT);
                  CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p(id));";
    let (a, b) = (TestSite::new("a", schema), TestSite::new("b", schema));
    for site in [&a, &b] {
        site.attach(&[table("p"), table("c")]);
    }
    a.change(&a.knows(&b, &["p", "c"]), "p", |resource| resource.filters = vec![NORTH.into()]);
    b.sql("INSERT INTO p VALUES (1, 'south'); INSERT INTO c VALUES (1, 1);");
    a.agree(&b);
    assert_eq!(a.rows("SELECT count(*) FROM p"), "0", "asking for it by name gives no more than the filter");
    assert!(a.waiting()[0].contains("it refers to p "), "{:?}", a.waiting());
    b.sql("UPDATE p SET region = 'north'");
    a.agree(&b);
    assert_eq!(a.rows("SELECT p.region FROM c JOIN p ON p.id = c.p"), "north");
}

#[test]
fn a_new_row_under_the_key_of_one_that_was_let_go_is_another_record() {
    let schema = "CREATE TABLE team (id INTEGER PRIMARY KEY, region TEXT, name TEXT);";
    let (a, b) = (TestSite::new("a", schema), TestSite::new("b", schema));
    for site in [&a, &b] {
        site.attach(&[table("team")]);
    }
    a.knows(&b, &["team"]);
    filtered(&a, &b, NORTH);
    a.sql("INSERT INTO team VALUES (1, 'north', 'one');");
    a.agree(&b);
    a.sql("UPDATE team SET region = 'south';");
    a.agree(&b);
    b.sql("INSERT INTO team VALUES (1, 'north', 'unrelated');");
    a.agree(&b);
    assert_eq!(a.rows("SELECT region, name FROM team ORDER BY id"), "south|one north|unrelated");
    a.sql("UPDATE team SET region = 'north' WHERE name = 'one'");
    a.agree(&b);
    assert_eq!(b.rows("SELECT name FROM team ORDER BY name"), "one unrelated");
}

#[test]
fn a_record_that_was_let_go_and_typed_in_again_is_an_edit_that_travels() {
    let (a, b) = pair();
    a.sql("INSERT INTO team VALUES ('1', 'north', 'one');");
    a.agree(&b);
    a.sql("UPDATE team SET region = 'south';");
    a.agree(&b);
    std::thread::sleep(std::time::Duration::from_millis(3));
    b.sql("INSERT INTO team VALUES ('1', 'north', 'one');");
    a.agree(&b);
    assert_eq!(a.rows(ALL), "1|north|one", "the same content again, and still later than what it was let go for");
    assert_eq!(b.rows(ALL), a.rows(ALL));
    assert_eq!(b.rows("SELECT count(*) FROM entente_state_1 WHERE held IS NOT NULL"), "0");
}

#[test]
fn arrivals_go_on_after_the_last_record_was_let_go() {
    let (a, b) = pair();
    let c = site("c");
    a.sql("INSERT INTO team VALUES ('1', 'north', 'one'), ('2', 'north', 'two');");
    a.agree(&b);
    let share = |site: &TestSite| {
        let mut door = site.site.door("app").unwrap();
        let table = door.tables().unwrap().remove(0);
        (door.head(&table).unwrap(), door.share(&table, a.site.id, Part::Passive).unwrap())
    };
    let (before, _) = share(&b);
    a.sql("UPDATE team SET region = 'south';");
    a.agree(&b);
    assert_eq!(share(&b).0, before);
    b.sql("INSERT INTO team VALUES ('3', 'north', 'three');");
    a.agree(&b);
    c.knows(&b, &["team"]);
    c.agree(&b);
    assert_eq!((a.rows(CODES), c.rows(CODES)), ("1 2 3".into(), "3".into()));
}

#[test]
fn a_peer_that_never_had_a_record_is_not_told_of_it() {
    let (a, b) = (site("a"), site("b"));
    b.sql("INSERT INTO team VALUES ('1', 'north', 'one'), ('2', 'south', 'two');");
    let b_sees_a = caller(&b, &a);
    let first = serve::feed(&b.site, &b_sees_a, &asks(&[NORTH], "")).unwrap();
    assert_eq!((first.records.len(), first.records[0].retracted), (1, false));
    b.sql("UPDATE team SET name = 'other' WHERE code = '2';");
    let later = serve::feed(&b.site, &b_sees_a, &asks(&[NORTH], &first.cursor)).unwrap();
    assert!(later.records.len() == 1 && later.records[0].retracted, "what changes may have matched before");
    assert_eq!(later.view(&later.records[0]).cells().len(), 0);
    let again = serve::feed(&b.site, &b_sees_a, &asks(&["~.region=west"], &later.cursor)).unwrap();
    assert_eq!(again.records.len(), 1, "only what the former filter let through is taken back");
}

#[test]
fn what_others_hold_back_is_not_taken_for_gone_when_two_records_match() {
    let schema = "CREATE TABLE team (id INTEGER PRIMARY KEY, number INTEGER UNIQUE, region TEXT);";
    let (a, b) = (TestSite::new("a", schema), TestSite::new("b", schema));
    for site in [&a, &b] {
        site.attach(&[TableSpec { matching: vec!["number".into()], ..table("team") }]);
    }
    a.knows(&b, &["team"]);
    b.sql("INSERT INTO team VALUES (1, 7, 'south');");
    a.agree(&b);
    b.knows(&a, &["team"]);
    filtered(&b, &a, NORTH);
    a.change(&a.knows(&b, &[]), "team", |resource| resource.mode = Mode::Pull);
    // It leaves the number to another record: a, which kept it by its own edit, must not think that they are one.
    a.sql("UPDATE team SET region = 'mine';");
    b.sql("UPDATE team SET number = 8; INSERT INTO team VALUES (2, 7, 'north');");
    a.agree(&b);
    assert_eq!(a.rows("SELECT number, region FROM team"), "7|mine");
    assert_eq!(b.rows("SELECT count(*) FROM team"), "2");
    assert_eq!(a.rows("SELECT count(*) FROM entente_state_1 WHERE heir IS NOT NULL"), "0");
    assert_eq!(a.waiting().len(), 1, "it waits: {:?}", a.waiting());
}

#[test]
fn a_dry_run_tells_what_would_be_let_go_and_changes_nothing() {
    let (a, b) = pair();
    a.sql("INSERT INTO team VALUES ('1', 'north', 'one');");
    b.sql("INSERT INTO team VALUES ('2', 'north', 'two');");
    a.agree(&b);
    a.sql("UPDATE team SET region = 'south' WHERE code = '1';");
    b.sql("UPDATE team SET region = 'south' WHERE code = '2';");
    let report = a.try_sync(&b, &Ask { dry_run: true, ..Ask::default() }).unwrap();
    assert_eq!(report.resources.iter().map(|part| part.counts.retracted).collect::<Vec<_>>(), [1, 1]);
    assert_eq!((a.rows(CODES), b.rows(CODES)), ("1 2".into(), "1 2".into()));
    a.agree(&b);
    assert_eq!((a.rows(CODES), b.rows(CODES)), ("1".into(), "2".into()));
}

#[test]
fn a_strategy_without_deleting_lets_nothing_go() {
    let (a, b) = pair();
    a.change(&a.knows(&b, &[]), "team", |resource| resource.strategy = "create,update".parse().unwrap());
    b.sql("INSERT INTO team VALUES ('1', 'north', 'one');");
    a.agree(&b);
    b.sql("UPDATE team SET region = 'south';");
    let report = a.agree(&b);
    assert_eq!(a.rows(ALL), "1|north|one");
    assert!(report.warnings.iter().any(|warning| warning.contains("does not allow delete")), "{:?}", report.warnings);
}

#[test]
fn a_filter_that_cannot_be_used_is_refused_where_it_is_given_asked_for_and_run() {
    let (a, b) = pair();
    let check = |text: &str| filters::check(&a.site, "team", &[text.to_owned()]);
    assert!(check("team.region__like=n*").is_ok());
    for (bad, why) in [("region=north", "does not say whose"), ("~.size=5", "has no field \"size\""), ("~.region__near=x", "no operator")] {
        let error = check(bad).unwrap_err();
        assert!(error.to_string().contains(why) && error.next_step().is_some(), "{}", error.chain());
        let refused = serve::feed(&b.site, &caller(&b, &a), &asks(&[bad], "")).unwrap_err();
        assert_eq!(refused.kind().status(), 400, "{bad}");
    }
    assert!(filters::check(&a.site, "unattached", &["~.any=1".to_owned()]).is_ok());
    filtered(&a, &b, "~.size=5");
    b.sql("INSERT INTO team VALUES ('1', 'north', 'one');");
    let report = a.sync(&b);
    assert_eq!(report.resources[0].error.as_ref().unwrap().kind(), Kind::Usage);
    assert_eq!(a.rows(CODES), "", "never everything instead");
}

#[test]
fn a_natural_key_is_filtered_like_any_field() {
    let schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, n REAL);";
    let (a, b) = (TestSite::new("a", schema), TestSite::new("b", schema));
    for site in [&a, &b] {
        site.attach(&[keyed("t", &["code"])]);
    }
    a.change(&a.knows(&b, &["t"]), "t", |resource| resource.filters = vec!["~.code__like=x?&~.n__ge=2".into(), "~.n__lt=10".into()]);
    b.sql("INSERT INTO t VALUES (1, 'x1', 1.5), (2, 'X2', 2), (3, 'x30', 5), (4, 'x4', 9.99), (5, 'x5', 10), (6, 'y6', 5);");
    a.agree(&b);
    assert_eq!(a.rows("SELECT code FROM t ORDER BY code"), "X2 x4");
}

#[test]
fn a_retraction_leaves_what_waits_from_another_site() {
    let schema = "CREATE TABLE team (code TEXT PRIMARY KEY, region TEXT, name TEXT UNIQUE);";
    let sites = ["a", "b", "c"].map(|name| {
        let site = TestSite::new(name, schema);
        site.attach(&[table("team")]);
        site
    });
    let [a, b, c] = &sites;
    a.knows(b, &["team"]);
    c.knows(b, &["team"]);
    c.knows(a, &["team"]);
    filtered(c, a, NORTH);
    a.sql("INSERT INTO team VALUES ('x', 'north', 'old');");
    c.agree(a);
    a.agree(b);
    c.sql("INSERT INTO team VALUES ('y', 'west', 'taken');");
    b.sql("UPDATE team SET region = 'south', name = 'taken';");
    c.sync(b);
    assert_eq!(c.waiting().len(), 1, "{:?}", c.waiting());
    a.agree(b);
    c.sync(a);
    assert_eq!((c.waiting().len(), c.rows(ALL)), (1, "x|north|old y|west|taken".into()), "{:?}", c.waiting());
    c.sql("DELETE FROM team WHERE code = 'y';");
    c.sync(b);
    assert_eq!(c.rows(ALL), "x|south|taken");
}
