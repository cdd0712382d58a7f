//! Records that become one: aliases that come in any order, to sites that hold either, both or neither.

use std::collections::{BTreeMap, BTreeSet};

use super::world::{Line, TestSite, table};
use crate::{
    connector::Table,
    model::{Actor, Cell, Identity, Kind, Mode, Page, PushRequest, Record, SiteId, Strategy, TableSpec, Time, Version},
    peer::Peer,
    sync::history,
};

const SCHEMA: &str = "
    CREATE TABLE place (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT, home INTEGER REFERENCES place);
    PRAGMA foreign_keys = ON;";

const PLACES: &str = "SELECT name FROM place ORDER BY name";
const HOMES: &str = "SELECT p.name, h.name FROM person p LEFT JOIN place h ON h.id = p.home ORDER BY p.name";

fn site(name: &str) -> TestSite {
    let site = TestSite::new(name, SCHEMA);
    site.attach(&[table("place"), table("person")]);
    site
}

/// What the author of all these versions says of a record: its `counter`th edit.
enum Says<'a> {
    /// It lives, under this name.
    Lives(&'a str),
    /// It lives at this place.
    At(&'a str),
    /// It is gone.
    Gone,
    /// It goes on as another.
    Becomes(&'a str),
}
use Says::{At, Becomes, Gone, Lives};

fn page(author: SiteId, uid: &str, counter: u64, says: &Says<'_>) -> Page {
    let mut page = Page::new(if matches!(says, At(_)) { "person" } else { "place" });
    let mark = page.mark();
    let cell = match says {
        Lives(name) => Some(("name", Kind::Text, "", *name)),
        At(home) => Some(("home", Kind::Reference, "place", *home)),
        Gone | Becomes(_) => None,
    };
    if let Some((name, kind, resource, text)) = cell {
        let (resource, field, text) = (page.name_or_zero(resource), page.name(name).unwrap(), page.put(text));
        page.cell(Cell { field, resource, kind, text });
    }
    if matches!(says, At(_)) {
        let (field, text) = (page.name("name").unwrap(), page.put(uid));
        page.cell(Cell { field, resource: 0, kind: Kind::Text, text });
    }
    let mut record = Record::new(page.put(uid), author, Time(1_000 + counter.cast_signed()));
    record.version = Version::of(Actor { site: author, incarnation: 1 }, counter);
    record.deleted = matches!(says, Gone | Becomes(_));
    if let Becomes(heir) = says {
        record.heir = Some(page.put(heir));
    }
    page.finish(record, mark);
    page
}

/// Gives the site pages in this order, each as a push of its own.
fn give(to: &TestSite, from: &TestSite, pages: &[&Page], first: u64) {
    let line = Line::new(from, to);
    for (run, page) in (first..).zip(pages) {
        let request = PushRequest {
            batch: uuid::Uuid::new_v4(),
            run,
            heard: 0,
            strategy: Strategy::default(),
            update: Default::default(),
            conflict: Default::default(),
            merge_fields: false,
            life: String::new(),
        };
        line.push(&request, page).unwrap();
    }
}

fn of(site: &TestSite, resource: &str) -> Table {
    site.site.door("app").unwrap().tables().unwrap().into_iter().find(|table| table.resource == resource).unwrap()
}

/// `uid`, with `>heir` for an alias, the last one, and `-` for what is gone; of all that was ever heard of.
fn known(site: &TestSite, uids: &[&str]) -> String {
    let mut page = Page::new("place");
    let uids: Vec<String> = uids.iter().map(|uid| (*uid).to_owned()).collect();
    let (mut door, table) = (site.site.door("app").unwrap(), of(site, "place"));
    door.lookup(&table, &uids, &mut page).unwrap();
    let heirs: BTreeMap<&str, &str> = page.views().filter_map(|view| Some((view.uid(), view.heir()?))).collect();
    let end = |heir| std::iter::successors(Some(heir), |heir| heirs.get(heir).copied()).last().unwrap_or(heir);
    let mut shown: Vec<String> = page
        .views()
        .map(|view| match (view.record.deleted, view.heir()) {
            (_, Some(heir)) => format!("{}>{}", view.uid(), end(heir)),
            (true, None) => format!("{}-", view.uid()),
            (false, None) => view.uid().to_owned(),
        })
        .collect();
    shown.sort();
    shown.join(" ")
}

fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for order in orders(count - 1) {
        for at in 0..count {
            let mut order = order.clone();
            order.insert(at, count - 1);
            all.push(order);
        }
    }
    all
}

/// Whatever the order in which these versions come, each once, the site ends with these places, homes and uids, and the same sum.
fn in_any_order(said: &[(&str, u64, Says<'_>)], places: &str, homes: &str, uids: &str) {
    let from = site("from");
    let pages: Vec<Page> = said.iter().map(|(uid, counter, says)| page(from.site.id, uid, *counter, says)).collect();
    let all: BTreeSet<&str> = said.iter().filter(|(_, _, says)| !matches!(says, At(_))).map(|(uid, ..)| *uid).collect();
    let all: Vec<&str> = all.into_iter().collect();
    let mut sums = Vec::new();
    // A dozen of them, so that it does not take long.
    let all_orders = orders(said.len());
    for order in all_orders.iter().step_by(all_orders.len().div_ceil(12)) {
        let to = site("to");
        let some: Vec<&Page> = order.iter().map(|at| &pages[*at]).collect();
        give(&to, &from, &some, 1);
        // What waited for a parent that came later is tried when the next run begins.
        give(&to, &from, &some[..1], 100);
        assert_eq!((to.rows(PLACES), to.rows(HOMES)), (places.into(), homes.into()), "{order:?}");
        assert_eq!(known(&to, &all), uids, "{order:?}");
        assert!(to.waiting().is_empty(), "{order:?} {:?}", to.waiting());
        let (mut door, table) = (to.site.door("app").unwrap(), of(&to, "place"));
        door.fold(&table).unwrap();
        sums.push(door.sum(&table).unwrap().unwrap());
    }
    sums.dedup();
    assert_eq!(sums.len(), 1, "all orders end alike");
}

#[test]
fn a_record_that_becomes_one_that_lives_too_leaves_one_with_the_later_content() {
    in_any_order(&[("urn:a", 1, Lives("old")), ("urn:b", 2, Lives("new")), ("urn:b", 3, Becomes("urn:a"))], "new", "", "urn:a urn:b>urn:a");
    in_any_order(&[("urn:a", 5, Lives("new")), ("urn:b", 2, Lives("old")), ("urn:b", 3, Becomes("urn:a"))], "new", "", "urn:a urn:b>urn:a");
}

#[test]
fn an_heir_that_is_not_known_yet_takes_the_record_over() {
    in_any_order(&[("urn:b", 2, Lives("b")), ("urn:b", 3, Becomes("urn:a")), ("urn:a", 4, Lives("b"))], "b", "", "urn:a urn:b>urn:a");
    let (from, to) = (site("from"), site("to"));
    let pages = [page(from.site.id, "urn:b", 2, &Lives("b")), page(from.site.id, "urn:b", 3, &Becomes("urn:a"))];
    give(&to, &from, &[&pages[0], &pages[1]], 1);
    assert_eq!((to.rows(PLACES).as_str(), known(&to, &["urn:a", "urn:b"]).as_str()), ("b", "urn:a urn:b>urn:a"));
}

#[test]
fn of_two_heirs_of_one_alias_the_smaller_stays() {
    let said = [
        ("urn:c", 1, Lives("c")),
        ("urn:b", 2, Lives("b")),
        ("urn:a", 3, Lives("a")),
        ("urn:c", 4, Becomes("urn:b")),
        ("urn:c", 5, Becomes("urn:a")),
    ];
    in_any_order(&said, "a", "", "urn:a urn:b>urn:a urn:c>urn:a");
}

#[test]
fn chains_of_aliases_end_in_one_record() {
    let said = [
        ("urn:d", 1, Lives("d")),
        ("urn:a", 2, Lives("a")),
        ("urn:d", 3, Becomes("urn:c")),
        ("urn:c", 4, Becomes("urn:b")),
        ("urn:b", 5, Becomes("urn:a")),
    ];
    in_any_order(&said, "a", "", "urn:a urn:b>urn:a urn:c>urn:a urn:d>urn:a");
}

#[test]
fn what_refers_to_an_alias_refers_to_its_heir() {
    let said = [
        ("urn:a", 1, Lives("a")),
        ("urn:b", 2, Lives("b")),
        ("urn:p", 3, At("urn:b")),
        ("urn:q", 4, At("urn:a")),
        ("urn:b", 5, Becomes("urn:a")),
        ("urn:a", 6, Lives("b")),
    ];
    in_any_order(&said, "b", "urn:p|b urn:q|b", "urn:a urn:b>urn:a");
}

#[test]
fn a_site_that_holds_both_joins_them_when_others_found_that_they_are_one() {
    let matched = || TableSpec { matching: vec!["name".into()], ..table("place") };
    let unique = SCHEMA.replace("name TEXT)", "name TEXT UNIQUE)");
    let (a, b, c) = (TestSite::new("a", &unique), TestSite::new("b", &unique), site("c"));
    for site in [&a, &b] {
        site.attach(&[matched(), table("person")]);
        c.knows(site, &["place", "person"]);
    }
    a.knows(&b, &["place", "person"]);
    a.sql("INSERT INTO place VALUES (1, 'Bonn')");
    b.sql("INSERT INTO place VALUES (7, 'Bonn')");
    // Only taken from: c has no way to see that they are one.
    for (other, mode) in [(&a, Mode::Pull), (&b, Mode::Pull)] {
        let there = c.knows(other, &[]);
        c.change(&there, "place", |resource| (resource.mode, resource.accept_twins) = (mode, true));
        c.agree(other);
    }
    assert_eq!(c.rows(PLACES), "Bonn Bonn");
    c.sql("INSERT INTO person SELECT id, 'lives at ' || id, id FROM place; UPDATE place SET name = 'Bonn (Rhine)' WHERE id = 2;");
    a.change(&a.knows(&b, &[]), "place", |resource| resource.accept_twins = true);
    a.agree(&b);
    a.agree(&b);
    assert_eq!((a.rows(PLACES), b.rows(PLACES)), ("Bonn".into(), "Bonn".into()));
    for other in [&a, &b] {
        c.change(&c.knows(other, &[]), "place", |resource| resource.mode = Mode::Both);
        c.change(&c.knows(other, &[]), "person", |resource| resource.accept_twins = true);
    }
    for _ in 0..3 {
        for (one, other) in [(&c, &a), (&c, &b), (&a, &b)] {
            one.agree(other);
        }
    }
    for site in [&a, &b, &c] {
        assert_eq!(site.rows(PLACES), "Bonn (Rhine)", "{}", site.site.name);
        assert_eq!(site.rows(HOMES), "lives at 1|Bonn (Rhine) lives at 2|Bonn (Rhine)", "{}", site.site.name);
        assert!(site.waiting().is_empty());
    }
    assert_eq!(c.agree(&a).verified, ["place", "person"]);
    let uid = {
        let (mut door, table) = (c.site.door("app").unwrap(), of(&c, "place"));
        door.sample(&table, 2).unwrap().pop().unwrap()
    };
    let lost = history::of(&c.site, "place", &uid).unwrap();
    assert!(lost.entries.iter().any(|entry| entry.rule == "merge"), "the other content is in the history");
}

#[test]
fn an_alias_that_its_rules_do_not_let_in_waits_for_nothing_and_changes_nothing() {
    let (from, to) = (site("from"), site("to"));
    let there = to.knows(&from, &["place"]);
    to.change(&there, "place", |resource| resource.strategy = "create,update,delete".parse().unwrap());
    let said = [("urn:a", 1, Lives("a")), ("urn:b", 2, Lives("b")), ("urn:b", 3, Becomes("urn:a"))];
    let pages: Vec<Page> = said.iter().map(|(uid, counter, says)| page(from.site.id, uid, *counter, says)).collect();
    give(&to, &from, &pages.iter().collect::<Vec<_>>(), 1);
    assert_eq!((to.rows(PLACES), to.waiting().len()), ("a b".into(), 0));
    let upwards = page(from.site.id, "urn:a", 9, &Becomes("urn:b"));
    to.change(&there, "place", |resource| resource.strategy = Strategy::default());
    give(&to, &from, &[&upwards], 50);
    assert_eq!(to.rows(PLACES), "a b", "an heir is always smaller");
    assert!(to.waiting()[0].contains("not smaller"), "{:?}", to.waiting());
    let gone = page(from.site.id, "urn:a", 10, &Gone);
    give(&to, &from, &[&gone], 60);
    assert_eq!((to.rows(PLACES), to.waiting().len()), ("b".into(), 0), "a later version takes the place of what waited");
    assert!(matches!(of(&to, "place").identity, Identity::Assigned));
}
