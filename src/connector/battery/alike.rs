//! Whatever happens to two kinds of database, they come out alike.

use proptest::{prelude::*, test_runner::RngSeed};

use super::{
    kinds::{InMemory, InPostgres, InSqlite},
    sums::{kept, worked_out},
    sweep::sweep,
    world::{OTHER, PEER, Put, Sent, World, gone, sent, show, take},
};
use crate::model::Page;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Something that an application, a peer or an administrator does. Names, keys and records are few, so that they meet.
#[derive(Debug, Clone)]
enum Deed {
    /// The application names a row.
    Name { table: &'static str, key: i64, name: usize },
    /// The application lets a person refer to rows; 0 = to none.
    Refer { key: i64, home: i64, friend: i64 },
    /// The application removes a row.
    Remove { table: &'static str, key: i64 },
    /// A version of a new record comes.
    Come { table: &'static str, record: usize, name: usize },
    /// A version of a record that was seen comes.
    Change { table: &'static str, record: usize, name: usize },
    /// A person comes who refers to a person and a place that were seen.
    Meet { record: usize, home: usize, friend: usize },
    /// A deletion of a record that was seen comes.
    Go { table: &'static str, record: usize },
    /// A record that was seen is no longer shared.
    LetGo { table: &'static str, record: usize },
    /// Both are looked at, so that edits are folded.
    Look,
    /// The application names or removes a row past all triggers, and a sweep follows.
    Sneak { table: &'static str, key: i64, name: Option<usize> },
    /// The application names or removes a row while nobody watches.
    Asleep { table: &'static str, key: i64, name: Option<usize> },
}

fn deed() -> impl Strategy<Value = Deed> {
    let table = || prop::sample::select(vec!["place", "person", "code"]);
    let (key, name, record) = (1..4i64, 0..3usize, 0..4usize);
    prop_oneof![
        4 => (table(), key.clone(), name.clone()).prop_map(|(table, key, name)| Deed::Name { table, key, name }),
        3 => (key.clone(), 0..4i64, 0..4i64).prop_map(|(key, home, friend)| Deed::Refer { key, home, friend }),
        2 => (table(), key.clone()).prop_map(|(table, key)| Deed::Remove { table, key }),
        2 => (table(), record.clone(), name.clone()).prop_map(|(table, record, name)| Deed::Come { table, record, name }),
        2 => (table(), record.clone(), name.clone()).prop_map(|(table, record, name)| Deed::Change { table, record, name }),
        2 => (record.clone(), record.clone(), record.clone()).prop_map(|(record, home, friend)| Deed::Meet { record, home, friend }),
        2 => (table(), record.clone()).prop_map(|(table, record)| Deed::Go { table, record }),
        2 => (table(), record).prop_map(|(table, record)| Deed::LetGo { table, record }),
        4 => Just(Deed::Look),
        1 => (table(), key.clone(), prop::option::of(name.clone())).prop_map(|(table, key, name)| Deed::Sneak { table, key, name }),
        1 => (table(), key, prop::option::of(name)).prop_map(|(table, key, name)| Deed::Asleep { table, key, name }),
    ]
}

/// The uid of one of the records of a table, or one that is unknown.
fn seen(w: &mut World, table: &str, record: usize) -> String {
    let page = w.offered(table, 0, OTHER);
    page.views().nth(record).map_or_else(|| format!("urn:{table}:{record}"), |view| view.uid().to_owned())
}

/// Does it, and tells whether the database let it happen.
fn act(w: &mut World, deed: &Deed, counter: u64) -> bool {
    match *deed {
        Deed::Name { table, key, name } => w.bench.try_put(table, key, &[("name", Put::Text(NAMES[name]))]),
        Deed::Refer { key, home, friend } => {
            let put = |key| if key == 0 { Put::Null } else { Put::Row(key) };
            w.bench.try_put("person", key, &[("home", put(home)), ("friend", put(friend))])
        }
        Deed::Remove { table, key } => w.bench.try_delete(table, key),
        Deed::Come { table, record, name } => come(w, &named(table, &format!("urn:{record}"), counter, name)),
        Deed::Change { table, record, name } => {
            let uid = seen(w, table, record);
            come(w, &named(table, &uid, counter, name))
        }
        Deed::Meet { record, home, friend } => {
            let (home, friend) = (seen(w, "place", home), seen(w, "person", friend));
            let fields = [("home", Sent::To("place", &home)), ("friend", Sent::To("person", &friend))];
            come(w, &sent("person", &format!("urn:{record}"), counter, &fields))
        }
        Deed::Go { table, record } => {
            let uid = seen(w, table, record);
            come(w, &gone(table, &uid, counter, None))
        }
        Deed::LetGo { table, record } => {
            let (uid, table) = (seen(w, table, record), w.table(table));
            w.within(|tx| {
                tx.fold(&table).unwrap();
                let found = tx.locals(&table, &[&uid], PEER).unwrap().found[0].filter(|found| found.living);
                found.is_some_and(|found| tx.retract(&table, found).is_ok())
            })
        }
        Deed::Look => !tell(w).is_empty(),
        Deed::Sneak { table, key, name } => {
            tell(w);
            let done = w.sneak(|bench| match name {
                Some(name) => bench.try_put(table, key, &[("name", Put::Text(NAMES[name]))]),
                None => bench.try_delete(table, key),
            });
            let found = sweep(w, table);
            assert!(done || !found.any(), "{found:?}");
            tell(w);
            assert!(!sweep(w, table).any());
            found.any()
        }
        Deed::Asleep { table, key, name } => {
            // Whether attaching folds what is to be folded is its own affair.
            tell(w);
            w.db().detach(false).unwrap();
            let done = match name {
                Some(name) => w.bench.try_put(table, key, &[("name", Put::Text(NAMES[name]))]),
                None => w.bench.try_delete(table, key),
            };
            w.attach();
            tell(w);
            done
        }
    }
}

fn named(table: &str, uid: &str, counter: u64, name: usize) -> Page {
    sent(table, uid, counter, &[("name", Sent::Text(NAMES[name])), ("colour", Sent::Text("red"))])
}

fn come(w: &mut World, page: &Page) -> bool {
    let table = w.table(&page.resource);
    w.within(|tx| {
        tx.fold(&table).unwrap();
        take(tx, &table, page).is_ok()
    })
}

/// Everything that can be told of a database, but random uids and times, which are its own.
fn tell(w: &mut World) -> Vec<String> {
    let mut told = Vec::new();
    for table in ["place", "person", "code"] {
        for peer in [OTHER, PEER] {
            let page = w.offered(table, 0, peer);
            told.extend(page.views().map(|view| format!("{table} {} {} {}", show(view), view.record.version, view.record.author)));
        }
        assert_eq!(kept(w, table), Some(worked_out(w, table)), "the sum of {table}");
        let (table, names) = (w.table(table), w.bench.column(table, "name"));
        told.push(format!("{} {names} {}", table.name, w.db().count(&table).unwrap()));
    }
    let random = regex::Regex::new("urn:uuid:.{8}-.{4}-4.{3}-.{4}-.{12}").unwrap();
    told.iter().map(|line| random.replace_all(line, "?").into_owned()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, rng_seed: RngSeed::Fixed(12), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_kinds_of_database_come_out_alike(deeds in prop::collection::vec(deed(), 1..40)) {
        let (mut one, mut two) = (World::new(Box::new(InMemory::new())), World::new(Box::new(InSqlite::new())));
        for (counter, deed) in deeds.iter().enumerate() {
            let counter = counter as u64 + 1;
            prop_assert_eq!(act(&mut one, deed, counter), act(&mut two, deed, counter), "whether {:?} may be", deed);
            if matches!(deed, Deed::Look) {
                prop_assert_eq!(tell(&mut one), tell(&mut two));
            }
        }
        prop_assert_eq!(tell(&mut one), tell(&mut two));
    }
}

/// Our own counters by their order: where notes are taken over later, edits of one record between two looks count once.
fn in_order(told: Vec<String>) -> Vec<String> {
    let counter = regex::Regex::new(r"00000000-0000-0000-0000-000000000001\.[0-9]+:([0-9]+)").unwrap();
    let table = |line: &str| line.split(' ').next().unwrap().to_owned();
    let mut counters: Vec<(String, u64)> = Vec::new();
    for line in &told {
        counters.extend(counter.captures_iter(line).map(|found| (table(line), found[1].parse().unwrap())));
    }
    counters.sort();
    counters.dedup();
    let place = |line: &str, found: u64| {
        let own: Vec<&(String, u64)> = counters.iter().filter(|(known, _)| *known == table(line)).collect();
        own.iter().position(|(_, counter)| *counter == found).unwrap()
    };
    told.iter()
        .map(|line| {
            counter.replace_all(line, |found: &regex::Captures<'_>| format!("me:{}", place(line, found[1].parse().unwrap()))).into_owned()
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, rng_seed: RngSeed::Fixed(12), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn postgres_comes_out_like_the_reference(deeds in prop::collection::vec(deed(), 1..40)) {
        let (mut one, mut two) = (World::new(Box::new(InMemory::new())), World::new(Box::new(InPostgres::new())));
        for (counter, deed) in deeds.iter().enumerate() {
            let counter = counter as u64 + 1;
            prop_assert_eq!(act(&mut one, deed, counter), act(&mut two, deed, counter), "whether {:?} may be", deed);
            if matches!(deed, Deed::Look) {
                prop_assert_eq!(in_order(tell(&mut one)), in_order(tell(&mut two)));
            }
        }
        prop_assert_eq!(in_order(tell(&mut one)), in_order(tell(&mut two)));
    }
}
