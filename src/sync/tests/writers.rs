//! Many applications write to PostgreSQL at once while a site pulls.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
    time::{Duration, Instant},
};

use super::world::{TestSite, table};
use crate::config::Settings;

/// How long they write; longer where somebody wants to know.
fn seconds() -> u64 {
    std::env::var("ENTENTE_WRITERS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6)
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn up_to(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// Writes with pauses, now and then in a long transaction or in vain, until it is told to stop.
fn write(app: &mut ::postgres::Client, mut dice: Dice, stop: &AtomicBool, committed: &AtomicI64) {
    while !stop.load(Ordering::Relaxed) {
        let mut work = app.transaction().unwrap();
        let rows = 1 + dice.up_to(3);
        for _ in 0..rows {
            work.execute("INSERT INTO thing (v) VALUES ('new')", &[]).unwrap();
            std::thread::sleep(Duration::from_millis(dice.up_to(40)));
        }
        let edit = "UPDATE thing SET v = v || '.' WHERE id = (SELECT id FROM thing ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED)";
        work.execute(edit, &[]).unwrap();
        if dice.up_to(20) == 0 {
            std::thread::sleep(Duration::from_millis(400 + dice.up_to(600)));
        }
        if dice.up_to(10) == 0 {
            work.rollback().unwrap();
        } else {
            work.commit().unwrap();
            committed.fetch_add(rows.cast_signed(), Ordering::Relaxed);
        }
    }
}

/// What one sees who asks again and again for what is greater than the greatest so far.
fn look_naively(app: &mut ::postgres::Client, stop: &AtomicBool) -> BTreeSet<i64> {
    let (mut seen, mut cursor) = (BTreeSet::new(), 0i64);
    loop {
        let last = stop.load(Ordering::Relaxed);
        for row in app.query("SELECT id FROM thing WHERE id > $1 ORDER BY id", &[&cursor]).unwrap() {
            cursor = row.get(0);
            seen.insert(cursor);
        }
        if last {
            return seen;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn every_row_of_sixteen_writers_arrives_where_a_naive_cursor_loses_some() {
    let settings = || Settings { page_records: Some(1_000), ..Settings::default() };
    let a = TestSite::on_postgres_with("a", "CREATE TABLE thing (id bigserial PRIMARY KEY, v text)", settings());
    let b = TestSite::with("b", "CREATE TABLE thing (id INTEGER PRIMARY KEY, v TEXT)", settings());
    for site in [&a, &b] {
        site.attach(&[table("thing")]);
    }
    b.knows(&a, &["thing"]);
    let (writing, looking, committed) = (AtomicBool::new(false), AtomicBool::new(false), AtomicI64::new(0));
    let mut writers: Vec<::postgres::Client> = (0..16).map(|_| a.another()).collect();
    let mut naive = a.another();
    let (seen, runs) = std::thread::scope(|scope| {
        let (writing, committed, looking) = (&writing, &committed, &looking);
        let control = scope.spawn(move || look_naively(&mut naive, looking));
        let handles: Vec<_> = writers
            .iter_mut()
            .enumerate()
            .map(|(at, app)| scope.spawn(move || write(app, Dice(at as u64 + 1), writing, committed)))
            .collect();
        let (begun, mut runs) = (Instant::now(), 0);
        while begun.elapsed() < Duration::from_secs(seconds()) {
            b.agree(&a);
            runs += 1;
        }
        writing.store(true, Ordering::Relaxed);
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        looking.store(true, Ordering::Relaxed);
        (control.join().unwrap(), runs)
    });
    b.agree(&a);
    let total = committed.load(Ordering::Relaxed);
    println!("{total} rows in {} s, {runs} runs; the naive cursor saw {}", seconds(), seen.len());
    assert!(total > 100 && runs > 3, "{total} rows, {runs} runs");
    let told = |site: &TestSite| {
        let mut rows: Vec<String> = site.rows("SELECT v, count(*) FROM thing GROUP BY v").split(' ').map(str::to_owned).collect();
        rows.sort();
        rows
    };
    assert_eq!(told(&a), told(&b));
    assert_eq!(b.rows("SELECT count(*) FROM thing"), total.to_string());
    assert!((seen.len() as i64) < total, "the naive cursor lost nothing, so this proves nothing");
}
