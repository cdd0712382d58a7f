//! Whole worlds in one process: real sites on real SQLite, a clock and lines of our own, and everything that can go wrong. Then quiet, and
//! nine promises (SYNC.md 10) that have to hold. The same seed makes the same world: `cargo xtask simulate --seed N --worlds 1`.

#![expect(clippy::unwrap_used, reason = "a test")]

mod abreast;
mod clock;
mod deeds;
mod dice;
mod driver;
mod file;
mod filters;
mod fuse;
mod hands;
mod hosted;
mod house;
mod invariants;
mod line;
mod mirror;
mod oracle;
mod place;
mod plan;
mod planted;
mod raw;
mod rules;
mod shape;
mod tally;
mod world;

#[expect(dead_code, reason = "other tests need more of it")]
#[path = "../../src/postgresql/server.rs"]
mod server;

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use place::Ground;
use plan::LATER;
use planted::{ALL, Planted, SERVED as SERVED_FAULTS};
use shape::ADOPTION;
use tally::Tally;
use world::{Ended, Watch, live};

/// Lives through worlds from a seed on, on a few threads, until they are through or `enough`. What failed, and what happened.
fn worlds(ground: Ground, first: u64, count: u64, planted: Option<Planted>, enough: impl Fn(&Ended) -> bool + Sync) -> (Vec<Ended>, Tally) {
    let (next, done) = (AtomicU64::new(first), Mutex::new((Vec::new(), Tally::default())));
    let threads = std::thread::available_parallelism().map_or(2, |cores| cores.get() * 2).min(8);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    let ended = live(seed, ground, planted, Watch::End);
                    let stop = enough(&ended);
                    let mut done = done.lock().unwrap();
                    done.1.add(&ended.tally);
                    if !ended.broken.is_empty() {
                        if planted.is_none() {
                            println!("{}", ended.broken.iter().take(3).cloned().collect::<Vec<_>>().join("\n"));
                        }
                        done.0.push(ended);
                    }
                    if stop {
                        next.store(first + count, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    done.into_inner().unwrap()
}

/// Worlds that the ordinary test run lives through.
const WORLDS: u64 = 2_000;

/// Seeds that once failed, and what they showed. What is drawn for a seed may have changed since: each mend has a test of its own, too.
const ONCE: &[(u64, &str)] = &[
    (ADOPTION + 12, TWINS),
    (ADOPTION + 36, TWINS),
    (ADOPTION + 90, TWINS),
    (ADOPTION + 110, TWINS),
    (ADOPTION + 132, TWINS),
    (ADOPTION + 154, TWINS),
    (ADOPTION + 69, "what was parked for a record that waits for its match came under a key that nobody took"),
    (276, "what was deleted here was not given to a site that a backup had brought back to before"),
    (470, "a comparison passed over tombstones of records that never lived at both sites"),
    (1_329, "a retraction ended the waiting of what another site had given"),
    (7_060, "a tombstone of a record that another site never had was looked for there after a backup was restored"),
    (1_358, "a conflict decided the same way again after that was taken back: the cursor had passed the record while it was held"),
];
const TWINS: &str =
    "records that become one while both live: an alias that came twice, to two heirs, or for a record whose heir lives here";

/// The most worlds in which a planted fault has to be found.
const ENOUGH: u64 = 400;

#[test]
fn two_thousand_worlds_keep_all_promises() {
    let (failed, tally) = worlds(Ground::Sqlite, 0, WORLDS, None, |_| false);
    println!("{tally}");
    let broken: Vec<&str> = failed.iter().flat_map(|ended| ended.broken.iter().take(3).map(String::as_str)).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    for fault in ["answer lost", "body cut", "call dropped", "call twice", "push late", "peer dead", "process killed", "disk full"] {
        assert!(tally.get(fault) > 50, "{fault} happened {} times only", tally.get(fault));
    }
    for rare in [
        "database restored",
        "machine restored",
        "machine cloned",
        "late push arrived",
        "clock turned",
        "records parked",
        "records quarantined",
        "filter changed",
        "column added, dropped or renamed",
        "conflict decided",
        "decision taken back",
        "version put back",
        "run undone",
        "waiting record mended",
    ] {
        assert!(tally.get(rare) > 5, "{rare}: {} only", tally.get(rare));
    }
}

#[test]
fn what_once_failed_holds() {
    for (seed, showed) in ONCE {
        let ended = live(*seed, Ground::Sqlite, None, Watch::End);
        assert!(ended.broken.is_empty(), "{showed}: {}", ended.broken.join("\n"));
    }
}

/// Worlds on PostgreSQL alone, and worlds where it meets SQLite, that the ordinary test run lives through.
const SERVED: (u64, u64) = (20, 70);

/// Seeds that once failed there, and what they showed.
const ONCE_SERVED: &[(Ground, u64, &str)] = &[
    (
        Ground::Postgres,
        2_071,
        "a connection that the server had ended while it was idle was used for the next run, which then offered nothing",
    ),
    (Ground::Mixed, 575, "what a site had forgotten the deletion of came back by a third site, which had it from another (SYNC.md 9)"),
    (
        Ground::Mixed,
        ADOPTION + 84,
        "a page gave a record twice, as its own and as what another became, and what was agreed could not be noted",
    ),
    (
        Ground::Mixed,
        489,
        "what a site had forgotten the deletion of came back round a circle, from a site that had it from the only other holder",
    ),
    (Ground::Mixed, 3_475, "a deletion went with a backup that was put back at its site, but others had heard of it"),
];

#[test]
fn worlds_on_postgresql_and_across_keep_all_promises() {
    let (mut broken, mut tally) = (Vec::new(), Tally::default());
    for (ground, first, count) in [
        (Ground::Postgres, LATER, SERVED.0),
        (Ground::Mixed, LATER + SERVED.0, SERVED.1),
        (Ground::Postgres, ADOPTION, SERVED.0 / 10),
        (Ground::Mixed, ADOPTION + SERVED.0, SERVED.1 / 10),
    ] {
        let (failed, more) = worlds(ground, first, count, None, |_| false);
        tally.add(&more);
        broken.extend(failed.into_iter().flat_map(|ended| ended.broken.into_iter().take(3)));
    }
    println!("{tally}");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    for what in ["write in the middle of a run", "long transaction committed", "connection ended by the server", "process killed"] {
        assert!(tally.get(what) > 10, "{what}: {} only", tally.get(what));
    }
}

#[test]
fn what_once_failed_on_postgresql_holds() {
    for (ground, seed, showed) in ONCE_SERVED {
        let ended = live(*seed, *ground, None, Watch::End);
        assert!(ended.broken.is_empty(), "{showed}: {}", ended.broken.join("\n"));
    }
}

#[test]
fn the_same_seed_makes_the_same_world() {
    for seed in 0..60 {
        let (one, other) = (live(seed, Ground::Sqlite, None, Watch::End), live(seed, Ground::Sqlite, None, Watch::End));
        assert_eq!(one.digest, other.digest, "seed {seed}: I9: two worlds");
    }
}

#[test]
fn the_same_seed_makes_the_same_world_on_postgresql() {
    for (ground, seeds) in [(Ground::Postgres, 500..504), (Ground::Mixed, 504..512)] {
        for seed in seeds {
            let [one, other] = [0, 1].map(|_| live(seed, ground, None, Watch::Steps));
            let differs = one.trace.iter().zip(&other.trace).find(|(one, other)| one != other);
            assert_eq!(one.digest, other.digest, "{ground:?}, seed {seed}: I9: two worlds: {differs:?}");
        }
    }
}

#[test]
fn each_invariant_finds_its_planted_faults() {
    for (planted, invariant) in ALL {
        assert!(
            finds(Ground::Sqlite, planted.first(), planted, invariant),
            "{planted:?} was not found by {invariant} within {ENOUGH} worlds"
        );
    }
}

#[test]
fn the_faults_of_a_connector_are_found_on_postgresql() {
    for (planted, invariant, first) in SERVED_FAULTS {
        assert!(finds(Ground::Postgres, first, planted, invariant), "{planted:?} was not found by {invariant} within {ENOUGH} worlds");
    }
}

fn finds(ground: Ground, first: u64, planted: Planted, invariant: &str) -> bool {
    let breaks = |ended: &Ended| ended.broken.iter().any(|what| what.contains(&format!(": {invariant}: ")));
    let begun = Instant::now();
    if planted == Planted::RealChance {
        let digest = |seed| live(seed, ground, Some(planted), Watch::End).digest;
        return (0..ENOUGH).any(|seed| digest(seed) != digest(seed));
    }
    let (failed, tally) = worlds(ground, first, ENOUGH, Some(planted), breaks);
    let seed = failed.iter().find(|ended| breaks(ended)).map(|ended| ended.seed);
    println!("{ground:?}, {planted:?}: {invariant} after {} worlds, {:.1} s: {seed:?}", tally.get("worlds"), begun.elapsed().as_secs_f64());
    failed.iter().any(breaks)
}

/// As many worlds as the environment says, and where there is just one, everything that happens in it.
#[test]
#[ignore = "cargo xtask simulate runs it"]
fn as_many_worlds_as_wanted() {
    let number = |name: &str, otherwise: u64| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    let ground = match std::env::var("SIMULATE_GROUND").as_deref() {
        Ok("postgres") => Ground::Postgres,
        Ok("mixed") => Ground::Mixed,
        _ => Ground::Sqlite,
    };
    let (count, first) = (number("SIMULATE_WORLDS", 1_000), number("SIMULATE_SEED", 0));
    if count == 1 {
        let ended = live(first, ground, None, Watch::Steps);
        ended.trace.iter().for_each(|line| println!("{line}"));
        assert!(ended.broken.is_empty(), "{}", ended.broken.join("\n"));
        return;
    }
    let begun = Instant::now();
    let (failed, tally) = worlds(ground, first, count, None, |_| false);
    let seconds = begun.elapsed().as_secs_f64();
    println!("{tally}{:>11.1}  seconds per 1,000 worlds", seconds * 1_000.0 / count as f64);
    let mut seeds: Vec<u64> = failed.iter().map(|ended| ended.seed).collect();
    seeds.sort_unstable();
    assert!(seeds.is_empty(), "{} worlds failed, of the seeds {seeds:?}", seeds.len());
}
