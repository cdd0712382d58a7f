use std::time::{Duration, Instant};

use diesel::sql_query;

use super::*;
use crate::{
    error::Kind,
    store::{leases, test_store::TestStore},
};

fn entry_at(time: i64, action: Action, outcome: Outcome) -> LogEntry {
    LogEntry { outcome, ..LogEntry::new(Time(time), action, Direction::Outgoing) }
}

fn add(store: &TestStore, entry: &LogEntry) -> LogId {
    store.write(|c| append(c, entry)).unwrap()
}

fn ids(store: &TestStore, filter: &LogFilter) -> Vec<LogId> {
    store.read(|c| list(c, filter)).unwrap().iter().map(|entry| entry.id).collect()
}

#[test]
fn an_entry_is_read_as_it_was_written_and_changed() {
    TestStore::each(|new| {
        let store = new();
        let mut full = LogEntry {
            run: Some(3),
            duration: 4,
            repository: Some(5),
            repository_name: Some("hub".into()),
            resource: Some("t".into()),
            remote: true,
            message: "5 records came".into(),
            counts: Counts {
                records: 1,
                created: 2,
                updated: 3,
                deleted: 4,
                unchanged: 5,
                kept: 6,
                conflicts: 7,
                quarantined: 8,
                parked: 9,
                retracted: 11,
                bytes: 10,
            },
            ..entry_at(1, Action::Pull, Outcome::Warning)
        };
        full.id = add(&store, &full);
        assert_eq!(store.read(|c| get(c, full.id)).unwrap(), full);
        let plain = LogEntry { id: full.id, ..entry_at(2, Action::Push, Outcome::Error) };
        store.write(|c| update(c, &plain)).unwrap();
        assert_eq!(store.read(|c| get(c, full.id)).unwrap(), plain);
        let odd = LogEntry { id: full.id, message: "a\0b\u{1F600}".into(), ..plain.clone() };
        store.write(|c| update(c, &odd)).unwrap();
        assert_eq!(store.read(|c| get(c, full.id)).unwrap().message, "a\u{FFFD}b\u{1F600}");
        let gone = LogEntry { id: 99, ..plain };
        assert_eq!(store.write(|c| update(c, &gone)).unwrap_err().kind(), Kind::NotFound);
    });
}

#[test]
fn each_part_of_a_filter_filters_and_pages_follow_each_other() {
    TestStore::each(|new| {
        let store = new();
        let base = entry_at(10, Action::Run, Outcome::Success);
        let run = add(&store, &base);
        let entries = [
            LogEntry { repository: Some(7), ..base.clone() },
            LogEntry { resource: Some("match".into()), ..base.clone() },
            LogEntry { outcome: Outcome::Fatal, ..base.clone() },
            LogEntry { action: Action::Login, ..base.clone() },
            LogEntry { direction: Direction::Incoming, ..base.clone() },
            LogEntry { run: Some(run), ..base.clone() },
            LogEntry { message: "Half 100% of it_".into(), ..base.clone() },
            LogEntry { time: Time(20), ..base.clone() },
            LogEntry { time: Time(5), ..base },
        ]
        .map(|entry| add(&store, &entry));
        let all = LogFilter::default();
        for (filter, want) in [
            (LogFilter { repository: Some(7), ..all.clone() }, vec![entries[0]]),
            (LogFilter { resource: Some("match".into()), ..all.clone() }, vec![entries[1]]),
            (LogFilter { outcome: Some(Outcome::Fatal), ..all.clone() }, vec![entries[2]]),
            (LogFilter { action: Some(Action::Login), ..all.clone() }, vec![entries[3]]),
            (LogFilter { direction: Some(Direction::Incoming), ..all.clone() }, vec![entries[4]]),
            (LogFilter { run: Some(run), ..all.clone() }, vec![entries[5], run]),
            (LogFilter { text: Some("HALF 100%".into()), ..all.clone() }, vec![entries[6]]),
            (LogFilter { text: Some("it_".into()), ..all.clone() }, vec![entries[6]]),
            (LogFilter { text: Some("atc".into()), ..all.clone() }, vec![entries[1]]),
            (LogFilter { text: Some("1%0".into()), ..all.clone() }, vec![]),
            (LogFilter { from: Some(Time(11)), ..all.clone() }, vec![entries[7]]),
            (LogFilter { to: Some(Time(10)), ..all.clone() }, vec![entries[8]]),
            (LogFilter { limit: 2, ..all.clone() }, vec![entries[8], entries[7]]),
            (LogFilter { limit: 2, before: Some(entries[7]), ..all.clone() }, vec![entries[6], entries[5]]),
            (LogFilter { repository: Some(7), outcome: Some(Outcome::Fatal), ..all }, vec![]),
        ] {
            assert_eq!(ids(&store, &filter), want, "{filter:?}");
        }
    });
}

#[test]
fn runs_are_those_of_the_repository_that_ended_newest_first() {
    TestStore::each(|new| {
        let store = new();
        let of = |repository, action, outcome| LogEntry { repository: Some(repository), ..entry_at(1, action, outcome) };
        let first = add(&store, &of(1, Action::Run, Outcome::Error));
        add(&store, &of(2, Action::Run, Outcome::Success));
        add(&store, &of(1, Action::Pull, Outcome::Success));
        let second = add(&store, &of(1, Action::Run, Outcome::Success));
        add(&store, &of(1, Action::Run, Outcome::Running));
        let runs = |limit| store.read(|c| runs_of(c, 1, limit)).unwrap().iter().map(|run| run.id).collect::<Vec<_>>();
        assert_eq!((runs(9), runs(1)), (vec![second, first], vec![second]));
    });
}

#[test]
fn what_ran_in_a_process_that_is_gone_was_interrupted() {
    TestStore::each(|new| {
        let store = new();
        let ended = add(&store, &entry_at(0, Action::Run, Outcome::Success));
        let running = add(&store, &LogEntry { message: "Pull from hub".into(), ..entry_at(1_000_000, Action::Run, Outcome::Running) });
        let interrupt = |alive: bool| store.write(|c| interrupt_running(c, &|_| alive, Time(3_000_000))).unwrap();
        assert_eq!(interrupt(true), 0);
        assert_eq!(interrupt(false), 1);
        let entry = store.read(|c| get(c, running)).unwrap();
        assert_eq!((entry.outcome, entry.duration), (Outcome::Interrupted, 2000));
        assert_eq!(entry.message, "Pull from hub; its process ended in the middle of it");
        assert_eq!(store.read(|c| get(c, ended)).unwrap().outcome, Outcome::Success);
        assert_eq!(interrupt(false), 0, "once");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_whose_process_cannot_be_seen_goes_on_as_long_as_it_holds_its_repository() {
    TestStore::each(|new| {
        let store = new();
        let repository = store.repository("a");
        let now = Time(0).plus_seconds(1000);
        let seen = add(&store, &LogEntry { repository: Some(repository), ..entry_at(0, Action::Run, Outcome::Running) });
        let unseen = add(&store, &LogEntry { repository: Some(repository), ..entry_at(0, Action::Run, Outcome::Running) });
        store.write(|c| Ok(diesel::update(log::table.find(unseen)).set(log::holder.eq("elsewhere:1:1")).execute(c)?)).unwrap();
        let interrupt = |now| store.write(|c| interrupt_running(c, &|_| true, now)).unwrap();
        store.write(|c| leases::take(c, repository, "elsewhere:1:1", Time(0), now)).unwrap();
        assert_eq!(interrupt(Time(now.0 - 1)), 0);
        assert_eq!(interrupt(now), 1);
        let taken = LogEntry { direction: Direction::Incoming, ..entry_at(0, Action::Pull, Outcome::Running) };
        let incoming = add(&store, &taken);
        store.write(|c| Ok(diesel::update(log::table.find(incoming)).set(log::holder.eq("elsewhere:1:1")).execute(c)?)).unwrap();
        let hour = Time(0).plus_seconds(INCOMING);
        assert_eq!((interrupt(hour), interrupt(Time(hour.0 + 1))), (0, 1), "a page is not taken in for an hour");
        let outcome = |id| store.read(|c| get(c, id)).unwrap().outcome;
        assert_eq!((outcome(seen), outcome(unseen)), (Outcome::Running, Outcome::Interrupted), "one that is seen to live goes on");
    });
}

#[test]
fn old_entries_go_a_few_at_a_time_and_running_ones_stay() {
    TestStore::each(|new| {
        let store = new();
        for time in 0..6 {
            add(&store, &entry_at(time, Action::Run, if time == 1 { Outcome::Running } else { Outcome::Success }));
        }
        let purge = || store.write(|c| purge(c, Time(5), 3)).unwrap();
        assert_eq!([purge(), purge(), purge()], [3, 1, 0]);
        let left = store.read(|c| list(c, &LogFilter::default())).unwrap();
        assert_eq!(left.iter().map(|entry| entry.time.0).collect::<Vec<_>>(), [5, 1]);
        assert!(add(&store, &entry_at(9, Action::Run, Outcome::Success)) > left[0].id);
    });
}

#[test]
fn a_page_of_a_large_log_comes_at_once_whatever_is_asked() {
    TestStore::each(|new| {
        let store = new();
        let fill = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
        INSERT INTO log (run, time, duration, repository, resource, action, direction, outcome, remote, message, records, created, updated, deleted,
            unchanged, kept, conflicts, quarantined, parked, bytes)
        SELECT i / 10, i, 0, i % 1000, 'resource' || (i % 7), CASE WHEN i % 9 = 0 THEN 'run' ELSE 'pull' END, 'outgoing',
            CASE WHEN i = 77 THEN 'fatal' ELSE 'success' END, FALSE, 'message ' || i, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM n";
        store.write(|c| Ok(sql_query(fill).execute(c)?)).unwrap();
        let all = LogFilter::default();
        for (filter, want) in [
            (all.clone(), 50),
            (LogFilter { repository: Some(3), ..all.clone() }, 50),
            (LogFilter { repository: Some(3), outcome: Some(Outcome::Fatal), ..all.clone() }, 0),
            (LogFilter { outcome: Some(Outcome::Fatal), ..all.clone() }, 1),
            (LogFilter { action: Some(Action::Login), ..all.clone() }, 0),
            (LogFilter { run: Some(5), ..all.clone() }, 11),
            (LogFilter { resource: Some("resource3".into()), before: Some(1000), ..all }, 50),
        ] {
            let started = Instant::now();
            assert_eq!(ids(&store, &filter).len(), want, "{filter:?}");
            assert!(started.elapsed() < Duration::from_millis(500), "{filter:?} took {:?}", started.elapsed());
        }
        assert_eq!(store.read(|c| runs_of(c, 9, 3)).unwrap().len(), 3);
    });
}
