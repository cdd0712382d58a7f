//! What happens once a day: unnoticed writes are found, old things go.

use std::sync::{
    Arc, Barrier,
    atomic::{AtomicI64, Ordering::Relaxed},
};

use chrono::Utc;
use rusqlite::config::DbConfig;

use super::world::{TestSite, by, records, table};
use crate::{
    config::Settings,
    connector::Conflicts,
    model::{Action, LogEntry, Outcome, Policy, Time},
    site::Site,
    store::{
        self, databases,
        log::{self, LogFilter},
    },
    sync::housekeeping::{run, run_when_due, sweep},
};

const SCHEMA: &str = "CREATE TABLE t (code TEXT PRIMARY KEY, v TEXT); CREATE TABLE u (id INTEGER PRIMARY KEY, v TEXT);";
const DAY: i64 = 86_400_000_000;

fn attached(site: TestSite) -> TestSite {
    site.attach(&[table("t"), table("u")]);
    site
}

/// What a program does that switches triggers off.
fn unnoticed(site: &TestSite, sql: &str) {
    site.app.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    site.sql(sql);
    site.app.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true).unwrap();
}

fn swept(site: &Site) -> Vec<LogEntry> {
    let filter = LogFilter { action: Some(Action::Sweep), ..LogFilter::default() };
    site.store.read(|c| log::list(c, &filter)).unwrap()
}

#[test]
fn what_was_written_without_triggers_is_found_travels_and_stands_in_the_log() {
    let (a, b) = (attached(TestSite::new("a", SCHEMA)), attached(TestSite::new("b", SCHEMA)));
    a.knows(&b, &["t", "u"]);
    a.sql("INSERT INTO t VALUES ('stays', '1'), ('changes', '1'), ('goes', '1')");
    a.agree(&b);
    unnoticed(&a, "INSERT INTO t VALUES ('comes', '1'); UPDATE t SET v = '2' WHERE code = 'changes'; DELETE FROM t WHERE code = 'goes';");
    a.agree(&b);
    let all = "SELECT code, v FROM t ORDER BY code";
    assert_eq!(b.rows(all), "changes|1 goes|1 stays|1", "nobody noticed");
    let database = a.site.store.read(|c| databases::get(c, "app")).unwrap();
    let found = sweep(&a.site, &database, &mut |_, _, _| {}).unwrap();
    let counts: Vec<_> = found.iter().map(|t| (t.resource.as_str(), t.swept.added, t.swept.changed, t.swept.removed)).collect();
    assert_eq!(counts, [("t", 1, 1, 1), ("u", 0, 0, 0)]);
    a.agree(&b);
    assert_eq!(b.rows(all), "changes|2 comes|1 stays|1");
    let told = swept(&a.site);
    assert_eq!(told.len(), 1, "only where something was found");
    let entry = &told[0];
    assert_eq!((entry.outcome, entry.resource.as_deref()), (Outcome::Warning, Some("t")));
    assert_eq!((entry.counts.created, entry.counts.updated, entry.counts.deleted), (1, 1, 1));
    assert!(entry.message.contains("1 rows added, 1 changed, 1 removed"), "{}", entry.message);
    assert!(sweep(&a.site, &database, &mut |_, _, _| {}).unwrap().iter().all(|table| !table.swept.any()));
}

/// A site at midnight, and its clock.
fn at_midnight() -> (TestSite, Arc<AtomicI64>, i64) {
    let midnight = "2026-05-01T00:00:00Z".parse::<Time>().unwrap().0;
    let clock = Arc::new(AtomicI64::new(midnight));
    (attached(TestSite::by_clock("a", SCHEMA, Settings::default(), &clock)), clock, midnight)
}

#[test]
fn the_sweep_is_done_once_a_night_and_not_while_everything_is_paused() {
    let (a, clock, midnight) = at_midnight();
    let due = || run_when_due(&a.site, &Utc).unwrap();
    assert!(!due(), "a new site has nothing to tidy up");
    unnoticed(&a, "INSERT INTO t VALUES ('night', '1')");
    assert!(!due());
    a.site.store.write(|c| store::site::set_paused(c, true)).unwrap();
    clock.store(midnight + DAY / 4, Relaxed);
    assert!(!due(), "it is paused");
    a.site.store.write(|c| store::site::set_paused(c, false)).unwrap();
    assert!(due() && swept(&a.site).len() == 1);
    assert!(!due());
    clock.store(midnight + DAY, Relaxed);
    assert!(!due(), "not before three");
    clock.store(midnight + 9 * DAY, Relaxed);
    assert!(due(), "nights on which nobody worked are made up for once");
    assert!(!due());
}

#[test]
fn of_two_workers_one_does_the_housekeeping_and_a_dead_one_is_followed() {
    let (a, clock, midnight) = at_midnight();
    let other = Site::open_in(a.site.config.clone(), by(&clock)).unwrap();
    let workers = [&a.site, &other];
    workers.iter().for_each(|site| assert!(!run_when_due(site, &Utc).unwrap()));
    unnoticed(&a, "INSERT INTO t VALUES ('night', '1')");
    for night in 1..=5 {
        clock.store(midnight + night * DAY + DAY / 4, Relaxed);
        let begin = Barrier::new(workers.len());
        let done: usize = std::thread::scope(|scope| {
            let work = |site| {
                begin.wait();
                usize::from(run_when_due(site, &Utc).unwrap())
            };
            let threads = workers.map(|site| scope.spawn(move || work(site)));
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(done, 1, "night {night}");
    }
    assert_eq!(swept(&a.site).len(), 1);
    let now = midnight + 7 * DAY;
    clock.store(now, Relaxed);
    let last = a.site.store.read(store::housekeeping::last).unwrap().unwrap();
    let taken = a.site.store.write(|c| store::housekeeping::take(c, "elsewhere:1:1", last, Time(now), Time(now + 30_000_000)));
    assert!(taken.unwrap());
    assert!(!run_when_due(&other, &Utc).unwrap(), "a machine elsewhere is at it");
    clock.store(now + 30_000_000, Relaxed);
    assert!(run_when_due(&other, &Utc).unwrap(), "it has not been heard of for so long");
}

#[test]
fn what_is_older_than_the_settings_say_is_forgotten_and_nothing_else() {
    let clock = Arc::new(AtomicI64::new("2026-05-01T00:00:00Z".parse::<Time>().unwrap().0));
    let settings = || Settings { history_days: Some(10), history_versions: Some(2), log_days: Some(20), ..Settings::default() };
    let site = |name| attached(TestSite::by_clock(name, SCHEMA, settings(), &clock));
    let (a, b) = (site("a"), site("b"));
    a.knows(&b, &["t", "u"]);
    a.change(&a.knows(&b, &[]), "u", |resource| resource.conflict = Policy::Manual);
    a.sql("INSERT INTO t VALUES ('x', '0'), ('y', '0'); INSERT INTO u VALUES (1, '0');");
    a.agree(&b);
    let pass = |days: i64| clock.fetch_add(days * DAY, Relaxed);
    let both_edit = |code: &str, round: i64| {
        pass(1);
        a.sql(&format!("UPDATE t SET v = 'a{round}' WHERE code = '{code}'"));
        b.sql(&format!("UPDATE t SET v = 'b{round}' WHERE code = '{code}'"));
        a.agree(&b);
    };
    a.sql("UPDATE u SET v = 'a'");
    b.sql("UPDATE u SET v = 'b'");
    both_edit("x", 0);
    pass(20);
    (1..5).for_each(|round| both_edit("y", round));
    let kept = "SELECT uid, count(*) FROM entente_history GROUP BY tab, uid";
    let held = |site: &TestSite, open| {
        let all = Conflicts::All { open, site: None, before: None, limit: 100 };
        site.site.door("app").unwrap().conflicts(all).unwrap().len()
    };
    let answers = |site: &TestSite| site.rows("SELECT count(*) FROM entente_batch").parse::<u32>().unwrap();
    let lost: i64 = a.rows("SELECT count(*) FROM entente_history").parse().unwrap();
    assert!(lost >= 5 && held(&a, false) >= 6 && held(&a, true) == 1 && answers(&b) >= 1, "{lost} {}", answers(&b));
    run(&a.site, a.site.now()).unwrap();
    run(&b.site, b.site.now()).unwrap();
    let counts: Vec<String> = a.rows(kept).split(' ').map(|row| row.rsplit('|').next().unwrap().to_owned()).collect();
    assert_eq!(counts, ["2"], "the two last of y, none of x");
    assert_eq!((held(&a, true), held(&a, false)), (1, 5), "an open conflict is never forgotten");
    assert!(answers(&b) >= 1, "an answer of today may be asked for again");
    let oldest = a
        .site
        .store
        .read(|c| log::list(c, &LogFilter { limit: 1_000, ..LogFilter::default() }))
        .unwrap()
        .iter()
        .map(|entry| entry.time)
        .min();
    assert!(oldest.unwrap() >= a.site.now().plus_seconds(-20 * 86_400));
    pass(11);
    run(&a.site, a.site.now()).unwrap();
    run(&b.site, b.site.now()).unwrap();
    assert_eq!((a.rows(kept), held(&a, false), answers(&b)), (String::new(), 1, 0));
    assert_eq!(records(&a.agree(&b)), 0, "what was forgotten is not missed");
}
