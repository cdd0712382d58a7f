//! Runs beside each other, as several workers begin them.

use std::{sync::Barrier, thread, time::Duration};

use super::world::{TestSite, table};
use crate::{
    connector::Part,
    model::SiteId,
    store::databases,
    sync::epoch::{begin, check, door},
};

/// How many connections ask the store at a time; one more waits.
const READERS: usize = 16;

#[test]
fn a_run_that_begins_while_another_looks_at_the_journal_is_not_taken_for_a_restored_one() {
    let site = TestSite::new("a", "CREATE TABLE t (code TEXT PRIMARY KEY)");
    site.attach(&[table("t")]);
    let site = &*site.site;
    let (mut looking, table) = door(site, "t").unwrap();
    let (mut beginning, _) = door(site, "t").unwrap();
    let mut share = beginning.share(&table, SiteId::random(), Part::Active).unwrap();
    let before = looking.journal().unwrap();
    let (busy, free) = (&Barrier::new(READERS + 1), &Barrier::new(READERS + 1));
    thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(move || {
                site.store.read(|_| {
                    busy.wait();
                    free.wait();
                    Ok(())
                })
            });
        }
        busy.wait();
        // It has to wait for the store; what it saw before is old when it goes on.
        let checked = scope.spawn(move || check(site, &mut looking));
        thread::sleep(Duration::from_millis(300));
        begin(site, &mut beginning, &table, SiteId::random(), Part::Active, &mut share).unwrap();
        free.wait();
        checked.join().unwrap().unwrap();
    });
    let (mut after, _) = door(site, "t").unwrap();
    let after = after.journal().unwrap();
    assert_eq!((after.incarnation, &after.epoch, after.runs), (before.incarnation, &before.epoch, before.runs + 1));
    assert_eq!(site.store.read(|c| databases::mark(c, "app")).unwrap().unwrap().runs, after.runs);
}
