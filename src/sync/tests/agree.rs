//! Two sites agree: what is written at one is read at the other.

use super::world::{Line, TestSite, keyed, records, table};
use crate::{
    connector::Waiting,
    model::{Identity, Mode, Policy, TableSpec},
    sync::run::Ask,
};

const HALL: &str = "
    CREATE TABLE team (id INTEGER PRIMARY KEY, number INTEGER NOT NULL UNIQUE, name TEXT);
    CREATE TABLE match (id INTEGER PRIMARY KEY, label TEXT, red INTEGER REFERENCES team(id), blue INTEGER REFERENCES team(id));
    CREATE TABLE score (id INTEGER PRIMARY KEY, match_id INTEGER NOT NULL REFERENCES match(id), team_id INTEGER NOT NULL REFERENCES team(id), points REAL);
    PRAGMA foreign_keys = ON;";

fn hall(name: &str) -> TestSite {
    let site = TestSite::new(name, HALL);
    site.attach(&[table("team"), table("match"), table("score")]);
    site
}

fn pair() -> (TestSite, TestSite) {
    let (a, b) = (hall("a"), hall("b"));
    a.knows(&b, &["score", "match", "team"]);
    (a, b)
}

const ALL: &str =
    "SELECT s.points, m.label, t.name, r.name, b.name FROM score s JOIN match m ON m.id = s.match_id JOIN team t ON t.id = s.team_id
                   LEFT JOIN team r ON r.id = m.red LEFT JOIN team b ON b.id = m.blue ORDER BY s.points";

fn fill(a: &TestSite) {
    a.sql(
        "INSERT INTO team VALUES (5, 254, 'Poofs'), (9, 1114, 'Sim'), (10, 27, 'Rush');
           INSERT INTO match VALUES (3, 'q1', 5, 9), (4, 'q2', 10, NULL);
           INSERT INTO score VALUES (1, 3, 5, 10.5), (2, 3, 9, 11.0), (7, 4, 10, 12.25);",
    );
}

#[test]
fn what_is_written_on_both_sides_is_on_both_sides_with_references_under_local_keys() {
    let (a, b) = pair();
    fill(&a);
    b.sql(
        "INSERT INTO team VALUES (1, 900, 'Zebra'); INSERT INTO match VALUES (1, 'p1', 1, NULL); INSERT INTO score VALUES (1, 1, 1, 3.5);",
    );
    // Both hold rows under assigned identity from their own hands: that is decided by an administrator elsewhere.
    for resource in ["team", "match", "score"] {
        a.change(&a.knows(&b, &[]), resource, |resource| resource.accept_twins = true);
    }
    a.agree(&b);
    let want = "3.5|p1|Zebra|Zebra|- 10.5|q1|Poofs|Poofs|Sim 11.0|q1|Sim|Poofs|Sim 12.25|q2|Rush|Rush|-";
    assert_eq!(a.rows(ALL), want);
    assert_eq!(b.rows(ALL), want);
    assert_eq!(b.rows("SELECT id FROM team ORDER BY id"), "1 2 3 4", "keys are b's own");
}

#[test]
fn a_site_that_does_not_read_ahead_moves_the_same() {
    let settings = crate::config::Settings { read_ahead: Some(false), ..Default::default() };
    let a = TestSite::with("a", "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)", settings);
    let b = TestSite::new("b", "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)");
    for (site, first) in [(&a, 1), (&b, 101)] {
        site.attach(&[table("t")]);
        site.sql(&format!(
            "WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {first} + 30) INSERT INTO t SELECT i, 'x' || i FROM n"
        ));
    }
    a.knows(&b, &["t"]);
    a.change(&a.knows(&b, &[]), "t", |resource| resource.accept_twins = true);
    assert_eq!(records(&a.agree(&b)), 62);
    let all = "SELECT count(*), count(DISTINCT x) FROM t";
    assert_eq!((a.rows(all), b.rows(all)), ("62|62".into(), "62|62".into()));
}

#[test]
fn an_idle_pair_moves_nothing_and_needs_one_call() {
    let (a, b) = pair();
    fill(&a);
    a.agree(&b);
    assert_eq!(records(&a.agree(&b)), 0);
    let line = Line::new(&a, &b);
    assert_eq!(records(&a.over(&line, &b, &Ask::default()).unwrap()), 0);
    assert_eq!(*line.calls.lock().unwrap(), ["hello"]);
}

#[test]
fn updates_and_deletions_travel_both_ways() {
    let (a, b) = pair();
    fill(&a);
    a.agree(&b);
    a.sql("UPDATE team SET name = 'Cheesy' WHERE id = 5; DELETE FROM score WHERE id = 7;");
    b.sql("UPDATE match SET label = 'q9' WHERE label = 'q1'; INSERT INTO score (match_id, team_id, points) VALUES (2, 1, 99.0);");
    a.agree(&b);
    assert_eq!(a.rows(ALL), b.rows(ALL));
    assert_eq!(b.rows("SELECT count(*) FROM score"), "3");
    assert_eq!(a.rows("SELECT label FROM match ORDER BY label"), "q2 q9");
    assert_eq!(b.rows("SELECT name FROM team ORDER BY name"), "Cheesy Rush Sim");
}

#[test]
fn a_parent_deleted_with_its_children_goes_on_the_other_side_too_whoever_calls() {
    for a_calls in [true, false] {
        let (a, b) = pair();
        b.knows(&a, &["team", "match", "score"]);
        fill(&a);
        a.agree(&b);
        a.sql("DELETE FROM score WHERE match_id = 3; DELETE FROM match WHERE id = 3; DELETE FROM team WHERE id = 9;");
        if a_calls {
            a.agree(&b)
        } else {
            b.agree(&a)
        };
        assert_eq!(b.rows("SELECT name FROM team ORDER BY name"), "Poofs Rush");
        assert_eq!(b.rows("SELECT label FROM match"), "q2");
        assert_eq!(a.rows("SELECT name FROM team ORDER BY name"), "Poofs Rush", "nothing came back");
        assert!(b.waiting().is_empty());
    }
}

#[test]
fn a_parent_that_a_new_child_refers_to_is_kept_on_both_sides() {
    for a_calls in [true, false] {
        let (a, b) = pair();
        b.knows(&a, &["team", "match", "score"]);
        a.sql("INSERT INTO team VALUES (1, 1, 'One');");
        a.agree(&b);
        a.sql("DELETE FROM team WHERE id = 1;");
        b.sql("INSERT INTO match (label, red) VALUES ('new', 1);");
        for _ in 0..3 {
            if a_calls {
                a.agree(&b)
            } else {
                b.agree(&a)
            };
        }
        for site in [&a, &b] {
            assert_eq!(site.rows("SELECT m.label, t.name FROM match m JOIN team t ON t.id = m.red"), "new|One");
            assert!(site.waiting().is_empty(), "{:?}", site.waiting());
        }
    }
}

#[test]
fn a_record_deleted_and_created_again_lives_on_both_sides() {
    let (a, b) = pair();
    a.sql("INSERT INTO team VALUES (1, 1, 'One');");
    a.agree(&b);
    a.sql("DELETE FROM team WHERE id = 1;");
    a.agree(&b);
    assert_eq!(b.rows("SELECT count(*) FROM team"), "0");
    a.sql("INSERT INTO team VALUES (1, 1, 'Again');");
    a.agree(&b);
    assert_eq!(b.rows("SELECT name FROM team"), "Again");
    b.sql("DELETE FROM team;");
    a.agree(&b);
    assert_eq!(a.rows("SELECT count(*) FROM team"), "0");
}

#[test]
fn the_later_edit_wins_a_conflict_and_the_other_is_in_the_history() {
    let (a, b) = pair();
    a.sql("INSERT INTO team VALUES (1, 1, 'One');");
    a.agree(&b);
    a.sql("UPDATE team SET name = 'from a';");
    std::thread::sleep(std::time::Duration::from_millis(3));
    b.sql("UPDATE team SET name = 'from b';");
    let report = a.agree(&b);
    assert_eq!(report.resources.iter().map(|part| part.counts.conflicts).sum::<u64>(), 1);
    for site in [&a, &b] {
        assert_eq!(site.rows("SELECT name FROM team"), "from b");
    }
    let lost = a.rows("SELECT record FROM entente_history WHERE side = 'local'");
    assert!(lost.contains("from a"), "{lost}");
    assert_eq!(a.rows("SELECT rule, open FROM entente_conflict"), "NEWER|0");
}

#[test]
fn policies_decide_from_the_callers_point_of_view_on_both_sides() {
    for (policy, want) in [(Policy::This, "from a"), (Policy::Other, "from b")] {
        let (a, b) = pair();
        let there = a.knows(&b, &[]);
        a.change(&there, "team", |resource| (resource.update, resource.conflict) = (policy, policy));
        a.sql("INSERT INTO team VALUES (1, 1, 'One');");
        a.agree(&b);
        a.sql("UPDATE team SET name = 'from a';");
        b.sql("UPDATE team SET name = 'from b';");
        for _ in 0..3 {
            a.agree(&b);
        }
        for site in [&a, &b] {
            assert_eq!(site.rows("SELECT name FROM team"), want, "{policy}");
        }
        // Only one side changes: THIS gives nothing up, OTHER takes its own back.
        let (mine, want) = if policy == Policy::This { (&b, "from a") } else { (&a, "from b") };
        mine.sql("UPDATE team SET name = 'alone';");
        for _ in 0..3 {
            a.agree(&b);
        }
        for site in [&a, &b] {
            assert_eq!(site.rows("SELECT name FROM team"), want, "{policy}, one side");
        }
        assert_eq!(records(&a.agree(&b)), 0, "{policy} comes to rest");
    }
}

#[test]
fn a_late_record_reaches_the_third_site_through_a_relay() {
    let (a, hub, c) = (hall("a"), hall("hub"), hall("c"));
    a.knows(&hub, &["team"]);
    c.knows(&hub, &["team"]);
    hub.sql("INSERT INTO team VALUES (1, 1, 'first');");
    c.agree(&hub);
    a.sql("INSERT INTO team VALUES (1, 2, 'written long ago, brought late');");
    a.change(&a.knows(&hub, &[]), "team", |resource| resource.accept_twins = true);
    a.agree(&hub);
    c.agree(&hub);
    assert_eq!(c.rows("SELECT number FROM team ORDER BY number"), "1 2");
}

#[test]
fn a_first_run_where_both_hold_rows_asks_and_changes_nothing() {
    let (a, b) = pair();
    a.sql("INSERT INTO team VALUES (1, 1, 'a');");
    b.sql("INSERT INTO team VALUES (1, 2, 'b');");
    let report = a.sync(&b);
    let error = report.resources.iter().find_map(|part| part.error.as_ref()).expect("it must ask");
    assert!(
        error.chain().contains("1 records here, 1 at b") && error.chain().contains("--match") && error.chain().contains("--accept-twins")
    );
    assert_eq!((a.rows("SELECT name FROM team"), b.rows("SELECT name FROM team")), ("a".into(), "b".into()));
}

#[test]
fn sites_that_got_the_same_records_from_a_third_are_not_asked() {
    let (a, b, c) = (hall("a"), hall("b"), hall("c"));
    a.knows(&b, &["team"]);
    c.knows(&b, &["team"]);
    a.knows(&c, &["team"]);
    b.sql("INSERT INTO team VALUES (1, 1, 'b');");
    a.agree(&b);
    c.agree(&b);
    a.agree(&c);
    assert_eq!(a.rows("SELECT name FROM team"), "b");
}

#[test]
fn match_columns_make_one_record_of_two() {
    let matched = || TableSpec { matching: vec!["number".into()], ..table("team") };
    for round in 0..4 {
        let (a, b) = (TestSite::new("a", HALL), TestSite::new("b", HALL));
        for site in [&a, &b] {
            site.attach(&[matched(), table("match"), table("score")]);
        }
        a.knows(&b, &["team", "match", "score"]);
        a.sql("INSERT INTO team VALUES (1, 254, 'Poofs'); INSERT INTO match VALUES (1, 'a1', 1, NULL);");
        b.sql("INSERT INTO team VALUES (7, 254, 'Poofs'), (8, 27, 'Rush'); INSERT INTO match VALUES (1, 'b1', 7, 8);");
        a.change(&a.knows(&b, &[]), "match", |resource| resource.accept_twins = true);
        for _ in 0..3 {
            a.agree(&b);
        }
        for site in [&a, &b] {
            assert_eq!(site.rows("SELECT number FROM team ORDER BY number"), "27 254", "round {round}");
            assert_eq!(site.rows("SELECT m.label, t.number FROM match m JOIN team t ON t.id = m.red ORDER BY 1"), "a1|254 b1|254");
            assert!(site.waiting().is_empty(), "{:?}", site.waiting());
        }
        b.sql("UPDATE team SET name = 'changed later' WHERE number = 254;");
        a.agree(&b);
        assert_eq!(a.rows("SELECT name FROM team WHERE number = 254"), "changed later");
        assert_eq!(records(&a.agree(&b)), 0);
    }
}

#[test]
fn what_refers_to_a_record_that_waits_for_its_match_waits_too() {
    let (a, b) = (TestSite::new("a", HALL), TestSite::new("b", HALL));
    for site in [&a, &b] {
        site.attach(&[TableSpec { matching: vec!["number".into()], ..table("team") }, table("match"), table("score")]);
    }
    let to_b = a.knows(&b, &["team", "match", "score"]);
    for name in ["team", "match"] {
        a.change(&to_b, name, |resource| (resource.mode, resource.accept_twins) = (Mode::Push, true));
    }
    b.sql("INSERT INTO team VALUES (7, 254, 'Poofs');");
    a.sql("INSERT INTO team VALUES (1, 254, 'Poofs'); INSERT INTO match VALUES (1, 'a1', 1, NULL);");
    for name in ["Dames", "Herren"] {
        a.sync(&b);
        let kinds: Vec<String> = b.waiting().iter().map(|waits| waits.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
        assert!(kinds.iter().all(|kind| kind == "twin team" || kind == "parked match"), "{kinds:?}: {:?}", b.waiting());
        assert_eq!(kinds.len(), 2, "{:?}", b.waiting());
        a.sql(&format!("UPDATE team SET name = '{name}';"));
    }
    for name in ["team", "match"] {
        a.change(&to_b, name, |resource| resource.mode = Mode::Both);
    }
    for _ in 0..3 {
        a.agree(&b);
    }
    assert_eq!(b.rows("SELECT m.label, t.number FROM match m JOIN team t ON t.id = m.red"), "a1|254");
    assert!(b.waiting().is_empty(), "{:?}", b.waiting());
}

#[test]
fn natural_keys_and_uuid_columns_need_no_asking() {
    let schema = "CREATE TABLE country (code TEXT PRIMARY KEY, name TEXT) WITHOUT ROWID;
                  CREATE TABLE item (uuid TEXT PRIMARY KEY, name TEXT, country TEXT REFERENCES country(code));
                  CREATE TABLE visit (country TEXT REFERENCES country(code), item TEXT REFERENCES item(uuid), note TEXT, PRIMARY KEY (country, item));";
    let (a, b) = (TestSite::new("a", schema), TestSite::new("b", schema));
    for site in [&a, &b] {
        site.attach(&[table("country"), table("item"), table("visit")]);
        site.sql("INSERT INTO country VALUES ('AF', 'Afghanistan'); INSERT INTO item VALUES ('0d1e2f30-0000-4000-8000-000000000001', 'tent', 'AF');
                  INSERT INTO visit VALUES ('AF', '0d1e2f30-0000-4000-8000-000000000001', 'same')");
    }
    a.knows(&b, &["visit", "item", "country"]);
    a.sql("INSERT INTO country VALUES ('DE', 'Germany'); INSERT INTO visit VALUES ('DE', '0d1e2f30-0000-4000-8000-000000000001', 'a')");
    a.agree(&b);
    for site in [&a, &b] {
        assert_eq!(site.rows("SELECT code FROM country ORDER BY code"), "AF DE");
        assert_eq!(site.rows("SELECT country, note FROM visit ORDER BY 1"), "AF|same DE|a");
        assert_eq!(site.rows("SELECT count(*) FROM item"), "1");
    }
    b.sql("UPDATE visit SET note = 'b' WHERE country = 'DE';");
    a.agree(&b);
    assert_eq!(a.rows("SELECT note FROM visit WHERE country = 'DE'"), "b");
}

#[test]
fn records_that_refer_to_each_other_arrive_together() {
    let schema = "CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT, spouse INTEGER NOT NULL REFERENCES person(id) DEFERRABLE INITIALLY DEFERRED);
                  PRAGMA foreign_keys = ON;";
    let (a, b) = (TestSite::new("a", schema), TestSite::new("b", schema));
    for site in [&a, &b] {
        site.attach(&[table("person")]);
    }
    a.knows(&b, &["person"]);
    a.sql("BEGIN; INSERT INTO person VALUES (1, 'Ann', 20); INSERT INTO person VALUES (20, 'Ben', 1); INSERT INTO person VALUES (3, 'Cy', 3); COMMIT;");
    // Pages of seven: a pair that is torn apart by a page's end.
    let many: String = (30..60).map(|id| format!("INSERT INTO person VALUES ({id}, 'p{id}', {});", 89 - id)).collect();
    a.sql(&format!("BEGIN; {many} COMMIT;"));
    a.agree(&b);
    let pairs = "SELECT p.name, s.name FROM person p JOIN person s ON s.id = p.spouse ORDER BY p.name";
    assert_eq!(b.rows(pairs), a.rows(pairs));
    assert_eq!(b.rows("SELECT count(*) FROM person"), "33");
    assert!(b.waiting().is_empty(), "{:?}", b.waiting());
}

#[test]
fn a_child_whose_parent_is_not_shared_is_parked_and_comes_when_the_parent_does() {
    let (a, b) = (hall("a"), hall("b"));
    let there = b.knows(&a, &["match"]);
    fill(&a);
    let report = b.agree(&a);
    assert_eq!(report.resources.iter().map(|part| part.counts.parked).sum::<u64>(), 2);
    assert_eq!(b.rows("SELECT count(*) FROM match"), "0");
    assert!(b.waiting().iter().all(|entry| entry.starts_with("parked match it refers to team")));
    b.site.store.write(|c| crate::store::resources::add(c, &crate::model::Resource::new(there.id, "team"))).unwrap();
    b.agree(&a);
    assert_eq!(b.rows("SELECT label FROM match ORDER BY label"), "q1 q2");
    assert!(b.waiting().is_empty());
    assert_eq!(Waiting::from_word("parked"), Some(Waiting::Parked));
}

#[test]
fn what_waits_to_be_sent_is_counted_and_health_follows_the_runs() {
    use crate::{model::Health, sync::overview};
    let (a, b) = pair();
    fill(&a);
    let repository = a.knows(&b, &[]);
    let state = || overview::state(&a.site, repository.clone()).unwrap();
    let waiting = || overview::waiting_here(&a.site, [&state()]).unwrap().iter().map(|found| found.records).collect::<Vec<_>>();
    assert_eq!((waiting(), state().health, state().verified), (vec![8], Health::Unknown, None));
    a.agree(&b);
    a.agree(&b);
    let seen = state();
    assert_eq!((waiting(), seen.health, seen.reason.as_str()), (vec![0], Health::Green, "Healthy"));
    assert!(seen.verified.is_some() && seen.condition.is_some_and(|condition| condition.failures == 0));
    a.sql("UPDATE team SET name = 'New' WHERE number = 27");
    assert_eq!((waiting(), overview::overview(&a.site).unwrap().states.len()), (vec![1], 1));
}

#[test]
fn a_dry_run_counts_and_changes_nothing() {
    let (a, b) = pair();
    fill(&a);
    b.sql("INSERT INTO team VALUES (1, 900, 'Zebra');");
    a.change(&a.knows(&b, &[]), "team", |resource| resource.accept_twins = true);
    let report = a.try_sync(&b, &Ask { dry_run: true, ..Ask::default() }).unwrap();
    let of = |resource: &str, direction| {
        report.resources.iter().find(|part| part.resource == resource && part.direction == direction).unwrap().counts
    };
    assert_eq!((of("team", "pull").created, of("team", "push").records), (1, 3));
    let told = a
        .site
        .store
        .read(|c| crate::store::log::list(c, &crate::store::log::LogFilter::default()))
        .unwrap()
        .into_iter()
        .filter(|entry| entry.resource.as_deref() == Some("team"))
        .map(|entry| entry.message)
        .collect::<Vec<_>>();
    assert!(told.iter().any(|text| text.contains("Would create urn:uuid:") && text.contains("name “Zebra”")), "{told:?}");
    assert!(told.iter().any(|text| text.contains("Would give urn:uuid:")), "{told:?}");
    assert_eq!((a.rows("SELECT count(*) FROM team"), b.rows("SELECT count(*) FROM team")), ("3".into(), "1".into()));
    a.agree(&b);
    assert_eq!((a.rows("SELECT count(*) FROM team"), b.rows("SELECT count(*) FROM team")), ("4".into(), "4".into()));
}

#[test]
fn the_same_url_says_which_identity_it_got() {
    let a = hall("a");
    let tables = a.site.door("app").unwrap().tables().unwrap();
    assert!(tables.iter().all(|table| table.identity == Identity::Assigned && table.ready));
    let schema = "CREATE TABLE t (a TEXT, b TEXT, UNIQUE (a, b));";
    let b = TestSite::new("b", schema);
    assert!(b.try_attach(&[table("t")]).unwrap_err().chain().contains("no primary key"));
    assert!(b.try_attach(&[keyed("t", &["a", "b"])]).unwrap_err().chain().contains("may be null"));
}

#[test]
fn what_waits_from_one_site_is_decided_by_the_rules_for_that_site() {
    let schema =
        "CREATE TABLE p (code TEXT PRIMARY KEY); CREATE TABLE c (code TEXT PRIMARY KEY, p TEXT NOT NULL REFERENCES p (code), v TEXT);";
    let site = |name: &str| {
        let site = TestSite::new(name, schema);
        site.attach(&[table("p"), table("c")]);
        site
    };
    let (hub, one, two) = (site("hub"), site("one"), site("two"));
    let (from_one, from_two) = (hub.knows(&one, &["c"]), hub.knows(&two, &["p"]));
    hub.change(&from_two, "p", |resource| resource.conflict = Policy::This);
    hub.change(&from_one, "c", |resource| resource.conflict = Policy::Other);
    // Known on both sides, then changed on both; and one that is new. Both wait for what comes from the other site.
    for site in [&hub, &one] {
        site.sql("INSERT INTO p VALUES ('old');");
    }
    one.sql("INSERT INTO c VALUES ('known', 'old', 'v');");
    hub.sync(&one);
    hub.sync(&one);
    one.sql("INSERT INTO p VALUES ('new'); UPDATE c SET p = 'new', v = 'theirs'; INSERT INTO c VALUES ('unknown', 'new', 'v');");
    hub.sql("UPDATE c SET v = 'ours';");
    hub.sync(&one);
    assert_eq!(hub.waiting().len(), 2, "{:?}", hub.waiting());
    two.sql("INSERT INTO p VALUES ('new');");
    hub.sync(&two);
    assert_eq!(hub.rows("SELECT code, v FROM c ORDER BY code"), "known|ours unknown|v");
    assert_eq!(hub.waiting().len(), 1, "what was changed here, too, is left to the rules for that site: {:?}", hub.waiting());
    hub.sync(&one);
    assert_eq!(hub.rows("SELECT code, p, v FROM c ORDER BY code"), "known|new|theirs unknown|new|v");
    assert!(hub.waiting().is_empty(), "{:?}", hub.waiting());
}
