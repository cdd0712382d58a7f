//! What a person decides afterwards: conflicts, the history, a run undone, records that wait.

use super::world::{Line, TestSite, table};
use crate::{
    error::Kind,
    model::{Kind as Value, Policy},
    sync::{
        Edited, Number,
        conflicts::{self, Choice, Wanted},
        history,
        quarantine::{self, Mend, Tried},
        run::Ask,
    },
};

const TABLES: &str = "
    CREATE TABLE org (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT, town TEXT, phone TEXT UNIQUE, org INTEGER REFERENCES org(id));
    PRAGMA foreign_keys = ON;";

const PEOPLE: &str = "SELECT name, town, phone FROM person ORDER BY name";

fn pair() -> (TestSite, TestSite) {
    let site = |name| {
        let site = TestSite::new(name, TABLES);
        site.attach(&[table("org"), table("person")]);
        site
    };
    let (a, b) = (site("a"), site("b"));
    a.knows(&b, &["org", "person"]);
    b.knows(&a, &["org", "person"]);
    a.sql("INSERT INTO org VALUES (1, 'Red'); INSERT INTO person VALUES (1, 'Ada', 'Bonn', '11', 1)");
    a.agree(&b);
    (a, b)
}

fn with_policy(a: &TestSite, b: &TestSite, policy: Policy, merge: bool) {
    for (one, other) in [(a, b), (b, a)] {
        one.change(&one.knows(other, &[]), "person", |resource| (resource.conflict, resource.merge_fields) = (policy, merge));
    }
}

fn number(id: i64) -> Number {
    Number { database: "app".into(), id }
}

fn all(site: &TestSite) -> Vec<conflicts::Conflict> {
    conflicts::list(&site.site, Wanted::default()).unwrap().conflicts
}

fn open(site: &TestSite) -> Vec<conflicts::Conflict> {
    conflicts::list(&site.site, Wanted { open: true, ..Wanted::default() }).unwrap().conflicts
}

fn uid(site: &TestSite) -> String {
    let mut door = site.site.door("app").unwrap();
    let table = door.tables().unwrap().into_iter().find(|table| table.resource == "person").unwrap();
    door.sample(&table, 1).unwrap().pop().unwrap()
}

/// Both sites edit Ada under MANUAL and meet; the conflict is open at `a`.
fn held() -> (TestSite, TestSite) {
    let (a, b) = pair();
    with_policy(&a, &b, Policy::Manual, false);
    a.sql("UPDATE person SET town = 'Aachen'");
    b.sql("UPDATE person SET town = 'Berlin', phone = '99'");
    a.agree(&b);
    (a, b)
}

#[test]
fn a_conflict_for_a_person_holds_the_record_until_it_is_decided() {
    let (a, b) = held();
    assert_eq!((a.rows(PEOPLE), b.rows(PEOPLE)), ("Ada|Aachen|11".into(), "Ada|Berlin|99".into()));
    assert_eq!((open(&a).len(), open(&b).len()), (1, 0), "a held record is offered to nobody");
    a.try_sync(&b, &Ask { full: true, ..Ask::default() }).unwrap();
    assert_eq!((open(&a).len(), all(&a).len()), (1, 1), "what came again is listed once");
    let conflict = &open(&a)[0];
    assert_eq!((conflict.entry.rule.as_str(), conflict.entry.site), ("MANUAL", b.site.id));
    let town = |page: &crate::model::Page| page.views().next().unwrap().get("town").unwrap().text.to_owned();
    assert_eq!((town(&conflict.entry.ours), town(&conflict.entry.theirs)), ("Aachen".into(), "Berlin".into()));
    assert_eq!(conflicts::resolve(&a.site, &conflict.number, &Choice::Fields(vec!["phone".into()])).unwrap(), Edited::Done);
    assert!(open(&a).is_empty());
    a.agree(&b);
    assert_eq!((a.rows(PEOPLE), b.rows(PEOPLE)), ("Ada|Aachen|99".into(), "Ada|Aachen|99".into()));
    let lost: Vec<String> = history::of(&a.site, "person", &uid(&a))
        .unwrap()
        .entries
        .into_iter()
        .map(|entry| format!("{} {}", entry.side, entry.rule))
        .collect();
    assert_eq!(lost, ["incoming MANUAL", "local MANUAL"], "both were mixed, so both are kept");
}

#[test]
fn the_same_choice_made_again_after_it_was_taken_back_reaches_the_other_site() {
    let (a, b) = held();
    let number = open(&a)[0].number.clone();
    conflicts::resolve(&a.site, &number, &Choice::Ours).unwrap();
    conflicts::undo(&a.site, &number).unwrap();
    a.agree(&b);
    assert_eq!((open(&a).len(), b.rows(PEOPLE)), (1, "Ada|Berlin|99".into()), "it is held back again");
    conflicts::resolve(&a.site, &number, &Choice::Ours).unwrap();
    a.agree(&b);
    assert_eq!((a.rows(PEOPLE), b.rows(PEOPLE)), ("Ada|Aachen|11".into(), "Ada|Aachen|11".into()));
}

#[test]
fn ours_and_theirs_can_be_chosen_and_taken_back() {
    for (choice, want) in [(Choice::Ours, "Ada|Aachen|11"), (Choice::Theirs, "Ada|Berlin|99")] {
        let (a, b) = held();
        let number = open(&a)[0].number.clone();
        conflicts::resolve(&a.site, &number, &choice).unwrap();
        a.agree(&b);
        assert_eq!((a.rows(PEOPLE), b.rows(PEOPLE)), (want.into(), want.into()));
        conflicts::undo(&a.site, &number).unwrap();
        assert_eq!((a.rows(PEOPLE), open(&a).len()), ("Ada|Aachen|11".into(), 1), "it waits for a person again");
        conflicts::resolve(&a.site, &number, &Choice::Theirs).unwrap();
        a.agree(&b);
        assert_eq!((a.rows(PEOPLE), b.rows(PEOPLE)), ("Ada|Berlin|99".into(), "Ada|Berlin|99".into()));
    }
}

#[test]
fn an_edit_of_a_held_record_stays_here_until_the_conflict_is_decided() {
    let (a, b) = held();
    a.sql("UPDATE person SET name = 'Ada L.'");
    a.agree(&b);
    assert_eq!(b.rows(PEOPLE), "Ada|Berlin|99");
    conflicts::resolve(&a.site, &open(&a)[0].number, &Choice::Ours).unwrap();
    a.agree(&b);
    assert_eq!(b.rows(PEOPLE), "Ada L.|Aachen|11");
}

#[test]
fn versions_of_two_other_sites_are_both_listed_and_one_decision_has_seen_both() {
    let (a, b) = pair();
    let c = TestSite::new("c", TABLES);
    c.attach(&[table("org"), table("person")]);
    c.knows(&a, &["org", "person"]);
    a.knows(&c, &["org", "person"]);
    c.agree(&a);
    for (one, other) in [(&a, &b), (&b, &a), (&a, &c), (&c, &a)] {
        one.change(&one.knows(other, &[]), "person", |resource| resource.conflict = Policy::Manual);
    }
    for (site, town) in [(&a, "Aachen"), (&b, "Berlin"), (&c, "Celle")] {
        site.sql(&format!("UPDATE person SET town = '{town}'"));
    }
    a.agree(&b);
    a.agree(&c);
    assert_eq!(open(&a).len(), 2);
    let from_c = open(&a).into_iter().find(|conflict| conflict.entry.site == c.site.id).unwrap();
    conflicts::resolve(&a.site, &from_c.number, &Choice::Theirs).unwrap();
    assert!(open(&a).is_empty());
    a.agree(&b);
    a.agree(&c);
    for site in [&a, &b, &c] {
        assert_eq!(site.rows("SELECT town FROM person"), "Celle");
        assert!(open(site).is_empty());
    }
}

#[test]
fn a_rules_decision_can_be_turned_and_turned_back_unless_the_record_changed_since() {
    let (a, b) = pair();
    a.sql("UPDATE person SET town = 'Aachen'");
    b.sql("UPDATE person SET town = 'Berlin'");
    a.agree(&b);
    let (winner, loser) = if a.rows(PEOPLE).contains("Berlin") { ("Berlin", "Aachen") } else { ("Aachen", "Berlin") };
    let conflict = all(&a).remove(0);
    assert_eq!((conflict.entry.rule.as_str(), conflict.entry.open), ("NEWER", false));
    conflicts::undo(&a.site, &conflict.number).unwrap();
    assert_eq!(a.rows("SELECT town FROM person"), loser);
    assert_eq!(conflicts::undo(&a.site, &conflict.number).unwrap_err().kind(), Kind::Exists, "taken back already");
    let again = if winner == "Berlin" { Choice::Theirs } else { Choice::Ours };
    conflicts::resolve(&a.site, &conflict.number, &again).unwrap();
    a.agree(&b);
    assert_eq!(b.rows("SELECT town FROM person"), winner);
    a.sql("UPDATE person SET town = 'Celle'");
    let refused = conflicts::resolve(&a.site, &conflict.number, &Choice::Theirs).unwrap_err();
    assert!(refused.to_string().contains("changed since"), "{refused}");
    assert_eq!(a.rows("SELECT town FROM person"), "Celle");
}

#[test]
fn a_choice_that_makes_no_sense_is_refused_with_the_next_step() {
    let (a, b) = held();
    let here = open(&a)[0].number.clone();
    let unknown = conflicts::resolve(&a.site, &here, &Choice::Fields(vec!["shoe".into()])).unwrap_err();
    assert!(unknown.chain().contains("no field \"shoe\""), "{}", unknown.chain());
    assert_eq!(conflicts::resolve(&a.site, &number(77), &Choice::Ours).unwrap_err().kind(), Kind::NotFound);
    assert_eq!(conflicts::undo(&a.site, &here).unwrap_err().kind(), Kind::Undecided);
    assert_eq!(open(&a).len(), 1);
    b.sql("DELETE FROM person");
    b.agree(&a);
    let deleted = conflicts::resolve(&a.site, &here, &Choice::Fields(vec!["town".into()])).unwrap_err();
    assert!(deleted.chain().contains("deleted"), "{}", deleted.chain());
    conflicts::resolve(&a.site, &here, &Choice::Theirs).unwrap();
    assert_eq!(a.rows(PEOPLE), "");
}

#[test]
fn edits_of_different_fields_are_both_kept_and_contested_fields_go_to_the_policy() {
    let (a, b) = pair();
    with_policy(&a, &b, Policy::This, true);
    // `a` decides for itself; `b` leaves it to `a`.
    b.change(&b.knows(&a, &[]), "person", |resource| resource.conflict = Policy::Other);
    a.agree(&b);
    a.sql("UPDATE person SET town = 'Aachen', name = 'Ada A.'");
    b.sql("UPDATE person SET phone = '99', name = 'Ada B.'");
    a.agree(&b);
    a.agree(&b);
    let want = "Ada A.|Aachen|99";
    assert_eq!((a.rows(PEOPLE), b.rows(PEOPLE)), (want.into(), want.into()));
    assert_eq!(all(&a).len(), 1, "a contested field is a conflict");
    a.sql("UPDATE person SET town = 'Ahaus'");
    b.sql("UPDATE person SET phone = '100'");
    b.agree(&a);
    b.agree(&a);
    assert_eq!((a.rows(PEOPLE), b.rows(PEOPLE)), ("Ada A.|Ahaus|100".into(), "Ada A.|Ahaus|100".into()));
    assert_eq!(all(&a).len(), 1, "fields that only one side changed are none");
}

#[test]
fn fields_merge_three_ways_from_the_first_edit_after_it_was_asked_for() {
    let (a, b) = pair();
    with_policy(&a, &b, Policy::Newer, true);
    a.agree(&b);
    for round in 0..3 {
        a.sql(&format!("UPDATE person SET town = 'town {round}'"));
        b.sql(&format!("UPDATE person SET phone = 'phone {round}'"));
        if round % 2 == 0 {
            a.agree(&b)
        } else {
            b.agree(&a)
        };
        a.agree(&b);
        let want = format!("Ada|town {round}|phone {round}");
        assert_eq!((a.rows(PEOPLE), b.rows(PEOPLE)), (want.clone(), want));
    }
    assert!(all(&a).is_empty() && all(&b).is_empty());
}

#[test]
fn a_replaced_and_a_deleted_version_can_be_put_back_and_flow() {
    let (a, b) = pair();
    b.sql("UPDATE person SET town = 'Berlin'");
    a.agree(&b);
    let past = history::of(&a.site, "person", &uid(&a)).unwrap();
    assert_eq!((past.entries.len(), past.entries[0].rule.as_str(), past.entries[0].side.as_str()), (1, "update", "local"));
    assert!(past.entries[0].run > 0);
    let (_, done) = history::restore(&a.site, &number(past.entries[0].id)).unwrap();
    assert_eq!((done, a.rows(PEOPLE)), (Edited::Done, "Ada|Bonn|11".into()));
    assert_eq!(history::restore(&a.site, &number(past.entries[0].id)).unwrap().1, Edited::Same);
    a.agree(&b);
    assert_eq!(b.rows(PEOPLE), "Ada|Bonn|11");
    let person = uid(&a);
    b.sql("DELETE FROM person");
    a.agree(&b);
    assert_eq!(a.rows(PEOPLE), "");
    let deleted = history::of(&a.site, "person", &person).unwrap();
    history::restore(&a.site, &number(deleted.entries[0].id)).unwrap();
    a.agree(&b);
    assert_eq!((a.rows(PEOPLE), b.rows(PEOPLE)), ("Ada|Bonn|11".into(), "Ada|Bonn|11".into()));
    assert_eq!(history::of(&a.site, "person", "urn:nobody").unwrap_err().kind(), Kind::NotFound);
    assert_eq!(history::restore(&a.site, &number(999)).unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn a_version_whose_reference_is_gone_is_put_back_after_what_it_refers_to() {
    let (a, b) = pair();
    let person = uid(&a);
    b.sql("DELETE FROM person; DELETE FROM org");
    a.agree(&b);
    let entry = history::of(&a.site, "person", &person).unwrap().entries.remove(0);
    let refused = history::restore(&a.site, &number(entry.id)).unwrap_err();
    assert!(refused.chain().contains("entente history org"), "{}", refused.chain());
    assert_eq!(a.rows(PEOPLE), "");
}

#[test]
fn a_run_is_undone_and_what_changed_since_is_named() {
    let (a, b) = pair();
    a.sql("INSERT INTO person VALUES (2, 'Bea', 'Bonn', '22', NULL), (3, 'Cid', 'Bonn', '33', NULL)");
    a.agree(&b);
    b.sql(
        "UPDATE person SET town = 'Wrong'; DELETE FROM person WHERE name = 'Cid';
         INSERT INTO org VALUES (9, 'New'); INSERT INTO person VALUES (9, 'Dan', 'Wrong', '44', 9), (10, 'Eve', 'Wrong', '55', NULL)",
    );
    let report = a.agree(&b);
    assert_eq!(a.rows("SELECT name, town FROM person ORDER BY name"), "Ada|Wrong Bea|Wrong Dan|Wrong Eve|Wrong");
    a.sql("UPDATE person SET town = 'Right' WHERE name = 'Bea'; UPDATE person SET town = 'Right' WHERE name = 'Eve'");
    let undone = history::rollback(&a.site, report.run).unwrap();
    assert_eq!((undone.restored, undone.removed), (2, 2), "{undone:?}");
    let mut named: Vec<&str> = undone.refused.iter().map(|(_, _, why)| why.as_str()).collect();
    named.dedup();
    assert_eq!((undone.refused.len(), named), (2, vec!["it changed since"]));
    let want = "Ada|Bonn Bea|Right Cid|Bonn Eve|Right";
    assert_eq!(a.rows("SELECT name, town FROM person ORDER BY name"), want);
    assert_eq!(a.rows("SELECT name FROM org ORDER BY name"), "Red");
    a.agree(&b);
    assert_eq!(b.rows("SELECT name, town FROM person ORDER BY name"), want, "undoing is an edit, and flows");
    assert_eq!(history::rollback(&a.site, 12_345).unwrap_err().kind(), Kind::NotFound);
    let twice = history::rollback(&a.site, report.run).unwrap();
    assert_eq!((twice.restored, twice.removed), (0, 0));
}

#[test]
fn what_another_site_gave_in_a_run_of_its_own_is_undone_by_the_number_of_its_entry() {
    let (a, b) = pair();
    b.sql("UPDATE person SET town = 'Wrong'");
    b.agree(&a);
    let filter = crate::store::log::LogFilter { limit: 10, ..Default::default() };
    let entries = a.site.store.read(|c| crate::store::log::list(c, &filter)).unwrap();
    let taken = entries.iter().find(|entry| entry.resource.as_deref() == Some("person") && entry.counts.updated == 1).unwrap();
    assert_eq!(history::rollback(&a.site, taken.id).unwrap().restored, 1);
    assert_eq!(a.rows("SELECT town FROM person"), "Bonn");
}

/// `b` sends a person whose phone another one has at `a`.
fn clash() -> (TestSite, TestSite) {
    let (a, b) = pair();
    a.sql("INSERT INTO person VALUES (2, 'Bea', 'Bonn', '22', NULL)");
    b.sql("INSERT INTO person VALUES (2, 'Cid', 'Celle', '22', NULL)");
    a.agree(&b);
    (a, b)
}

#[test]
fn a_unique_clash_has_the_same_answer_at_both_sites_and_nothing_is_lost() {
    let (a, b) = clash();
    assert_eq!(
        (a.rows("SELECT name FROM person ORDER BY 1"), b.rows("SELECT name FROM person ORDER BY 1")),
        ("Ada Bea".into(), "Ada Cid".into())
    );
    assert_eq!((a.waiting().len(), b.waiting().len()), (1, 1));
    assert!(a.waiting()[0].starts_with("quarantined person"));
    a.agree(&b);
    assert_eq!((a.waiting().len(), b.waiting().len()), (1, 1));
    a.sql("UPDATE person SET phone = '23' WHERE name = 'Bea'");
    a.agree(&b);
    a.agree(&b);
    for site in [&a, &b] {
        assert_eq!(site.rows(PEOPLE), "Ada|Bonn|11 Bea|Bonn|23 Cid|Celle|22");
        assert!(site.waiting().is_empty(), "{:?}", site.waiting());
    }
}

fn only(site: &TestSite) -> Number {
    number(site.site.door("app").unwrap().waiting().unwrap()[0].id)
}

#[test]
fn a_quarantined_record_can_be_mended_and_is_then_ours() {
    let (a, b) = clash();
    let mend = |text: &str| [Mend { field: "phone".into(), kind: Value::Text, text: text.into() }];
    let taken = quarantine::edit(&a.site, &only(&a), &mend("11")).unwrap_err();
    assert!(taken.chain().contains("phone"), "{}", taken.chain());
    assert_eq!(
        quarantine::show(&a.site, &only(&a)).unwrap().page.views().next().unwrap().get("phone").unwrap().text,
        "22",
        "it waits as it came"
    );
    assert!(matches!(quarantine::edit(&a.site, &only(&a), &mend("33")).unwrap(), Tried::Settled(counts) if counts.created == 1));
    assert_eq!(a.rows(PEOPLE), "Ada|Bonn|11 Bea|Bonn|22 Cid|Celle|33");
    a.agree(&b);
    a.agree(&b);
    assert_eq!(b.rows(PEOPLE), a.rows(PEOPLE));
    assert!(a.waiting().is_empty() && b.waiting().is_empty());
    assert_eq!(quarantine::edit(&a.site, &number(1), &mend("1")).unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn a_quarantined_record_can_be_tried_again_and_dismissed() {
    let (a, b) = clash();
    let Tried::Waits(reason) = quarantine::retry(&a.site, &only(&a)).unwrap() else { panic!("it cannot be stored yet") };
    assert!(reason.contains("phone"), "{reason}");
    a.sql("UPDATE person SET phone = NULL WHERE name = 'Bea'");
    assert!(matches!(quarantine::retry(&a.site, &only(&a)).unwrap(), Tried::Settled(_)));
    assert_eq!(a.rows(PEOPLE), "Ada|Bonn|11 Bea|Bonn|- Cid|Celle|22");
    let other = quarantine::dismiss(&b.site, &only(&b)).unwrap();
    assert!(b.waiting().is_empty());
    let kept = history::of(&b.site, "person", &other.uid).unwrap();
    assert_eq!((kept.entries[0].rule.as_str(), kept.entries[0].side.as_str()), ("dismissed", "incoming"));
    a.agree(&b);
    assert_eq!(b.rows(PEOPLE), a.rows(PEOPLE), "a newer version comes all the same");
}

#[test]
fn a_site_that_never_calls_tries_what_waits_when_it_is_called() {
    let (a, b) = clash();
    b.sql("UPDATE person SET phone = '29' WHERE name = 'Cid'");
    assert_eq!(a.waiting().len(), 1);
    // `a` runs nothing: it is only asked for pages.
    b.over(&Line::new(&b, &a), &a, &Ask { push: false, ..Ask::default() }).unwrap();
    a.sql("UPDATE person SET phone = '28' WHERE name = 'Bea'");
    b.over(&Line::new(&b, &a), &a, &Ask { push: false, ..Ask::default() }).unwrap();
    assert_eq!(a.rows(PEOPLE), "Ada|Bonn|11 Bea|Bonn|28 Cid|Celle|22");
    assert!(a.waiting().is_empty());
}
