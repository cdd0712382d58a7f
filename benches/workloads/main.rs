//! The workloads on SQLite and on PostgreSQL, sites as real processes over HTTP on loopback, beside the bare limits of the same machine in the same
//! run.
//!
//! `cargo bench --bench workloads` runs N = 10,000 and 100,000, and the first load, memory and an empty run at N = 1,000,000; `-- --quick` only the first.
//! `--only W3` one workload alone (W1 to W5, capture); `--on sqlite` or `--on postgres`; `--records N`; `--json FILE` writes JSON lines, too. Nothing is
//! judged.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

mod apps;
mod limits;
#[expect(dead_code, reason = "tests use more of it")]
#[path = "../../src/postgresql/server.rs"]
mod server;
mod sites;

use std::{
    io::Write,
    time::{Duration, Instant},
};

use apps::Ground;
use comfy_table::{ContentArrangement, LineStyle, Table, presets};
use limits::Limits;
use serde_json::json;
use sites::{Caller, Hub, Sites};

/// A figure: workload, N, its value, unit, and its limit in the same unit, where it has one.
struct Figure {
    on: Ground,
    what: &'static str,
    n: u64,
    value: f64,
    unit: &'static str,
    limit: Option<f64>,
}

/// What is asked for.
struct Plan {
    grounds: Vec<Ground>,
    sizes: Vec<u64>,
    /// One workload alone.
    only: Option<String>,
    /// How often one row is sent on its way.
    single: u64,
}

impl Plan {
    fn read(args: &[String]) -> Plan {
        let has = |flag: &str| args.iter().any(|arg| arg == flag);
        let sizes = match value(args, "--records").map(|n| n.parse().unwrap()) {
            Some(n) => vec![n],
            None if has("--quick") => vec![10_000],
            None => vec![10_000, 100_000, LARGE],
        };
        let grounds = match value(args, "--on").as_deref() {
            Some("sqlite") => vec![Ground::Sqlite],
            Some("postgres") => vec![Ground::Postgres],
            Some(other) => panic!("--on sqlite or --on postgres, not {other}"),
            None => vec![Ground::Sqlite, Ground::Postgres],
        };
        let single = if has("--quick") { 3 } else { 9 };
        Plan { grounds, sizes, only: value(args, "--only").map(|word| word.to_lowercase()), single }
    }

    fn wants(&self, workload: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == workload)
    }
}

/// From so many records on only what has to stay flat is measured.
const LARGE: u64 = 1_000_000;

fn value(args: &[String], flag: &str) -> Option<String> {
    args.iter().position(|arg| arg == flag).and_then(|at| args.get(at + 1)).cloned()
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|role| role == sites::ROLE) {
        return sites::play(&args[1..]);
    }
    let plan = Plan::read(&args);
    server::DURABLE.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut figures = Vec::new();
    for (on, n) in plan.grounds.iter().flat_map(|on| plan.sizes.iter().map(|n| (*on, *n))) {
        measure(&plan, on, n, &mut figures);
    }
    print(&figures);
    if let Some(file) = value(&args, "--json") {
        let mut out = std::fs::File::create(file).unwrap();
        for figure in &figures {
            let line = json!({"on": figure.on.name(), "what": figure.what, "n": figure.n, "value": figure.value, "unit": figure.unit, "limit": figure.limit});
            writeln!(out, "{line}").unwrap();
        }
    }
}

fn measure(plan: &Plan, on: Ground, n: u64, figures: &mut Vec<Figure>) {
    let say = |what: &str| eprintln!("{}, N = {n}: {what}", on.name());
    let mut add = |what, value, unit, limit| figures.push(Figure { on, what, n, value, unit, limit });
    let large = n >= LARGE;
    let mut at_best = None;
    if !large && (plan.wants("w1") || plan.wants("capture")) {
        say("limits");
        let limits = Limits::measure(on, n);
        at_best = Some(limits.insert);
        add("limit: insert into table and journal", limits.insert, "records/s", None);
        if let Some(by_two) = limits.insert_by_two {
            add("limit: the same on two connections", by_two, "records/s", None);
        }
        add("limit: read XML", limits.parse, "records/s", None);
        add("limit: write XML", limits.write, "records/s", None);
        add("limit: zstd level 1", limits.zstd, "records/s", None);
        add("capture: single-row transactions", limits.single_captured, "x bare", Some(limits.single_bare));
        add("capture: bulk insert", limits.bulk_captured, "x bare", Some(limits.bulk_bare));
    }
    if plan.only.as_deref() == Some("capture") {
        return;
    }

    say("first load by pull");
    let sites = Sites::new(on, n);
    let hub = Hub::start(&sites);
    let mut caller = Caller::start(&sites, &hub);
    let load = caller.sync();
    if plan.wants("w1") {
        add("attach: rows journalled", n as f64 / sites.attached.as_secs_f64(), "rows/s", None);
        add("attach: longest wait of a writer", sites.longest_wait.as_secs_f64() * 1e3, "ms", None);
        add("W1 first load, pulled", n as f64 / load.seconds, "records/s", at_best);
        add("W1 bytes on the wire", load.bytes as f64 / n as f64, "bytes/record", None);
        add("memory, who serves", hub.peak(), "MB", None);
        add("memory, who calls", caller.peak(), "MB", None);
    }
    caller.sync();

    if !large && plan.wants("w2") {
        say("1 % changed on each side");
        add("W2 1 % changed on each side", both_change(&sites, &mut caller, n), "ms", None);
    }
    if !large && plan.wants("w4") {
        say("1,000 rows changed on both sides");
        sites.hub_place.open().change(101, 1_000, 0);
        sites.caller_place.open().change(102, 1_000, 0);
        let ran = caller.sync();
        let right = |place: &apps::Place| place.open().changed(102) as f64;
        add("W4 1,000 rows changed on both sides", ran.seconds * 1e3, "ms", None);
        add("W4 rows where the later edit stands", right(&sites.hub_place).min(right(&sites.caller_place)), "rows", None);
        add("W4 losers in the history", ran.conflicts as f64, "rows", None);
        caller.sync();
    }
    if plan.wants("w3") {
        say("nothing changed");
        let idle: Vec<_> = (0..20).map(|_| caller.sync()).collect();
        assert!(idle.iter().all(|ran| ran.records == 0));
        add("W3 nothing changed", median(idle.iter().map(|ran| ran.seconds * 1e3).collect()), "ms", None);
        add("W3 bytes on the wire", median(idle.iter().map(|ran| ran.bytes as f64).collect()), "bytes", None);
    }
    if !large && plan.wants("w5") {
        say("one row when idle");
        caller.follow();
        std::thread::sleep(Duration::from_secs(1));
        let one: Vec<f64> = (0..plan.single).map(|round| sites.one_row(round).as_secs_f64() * 1e3).collect();
        add("W5 one row when idle", median(one), "ms", None);
    }
    drop((caller, hub));

    if !large && plan.wants("w1") {
        say("first load by push");
        let sites = Sites::new(on, n);
        let hub = Hub::start(&sites.turned());
        let turned = sites.turned();
        let mut caller = Caller::start(&turned, &hub);
        let load = caller.sync();
        add("W1 first load, pushed", n as f64 / load.seconds, "records/s", at_best);
    }
}

/// Milliseconds of a run after 1 % changed on each side, other rows there than here: the median of five.
fn both_change(sites: &Sites, caller: &mut Caller, n: u64) -> f64 {
    let changed = n / 100;
    let round = |round| {
        sites.hub_place.open().change(round, changed, 0);
        sites.caller_place.open().change(round, changed, n / 2);
        let ran = caller.sync();
        assert!(ran.records >= 2 * changed, "{} of {}", ran.records, 2 * changed);
        caller.sync();
        ran.seconds * 1e3
    };
    median((0..5).map(round).collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn print(figures: &[Figure]) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.style_mut().row_separator = LineStyle::none();
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["on", "what", "N", "figure", "limit", "ratio"]);
    for figure in figures {
        let ratio = figure.limit.map_or(String::new(), |limit| match figure.unit {
            "x bare" => format!("{:.2} x", figure.value / limit),
            _ => format!("{:.2}", figure.value / limit),
        });
        let unit = if figure.unit == "x bare" { "s" } else { figure.unit };
        let shown = |value: f64| if value >= 1_000.0 { format!("{value:.0} {unit}") } else { format!("{value:.2} {unit}") };
        table.add_row([
            figure.on.name().to_owned(),
            figure.what.to_owned(),
            figure.n.to_string(),
            shown(figure.value),
            figure.limit.map_or(String::new(), shown),
            ratio,
        ]);
    }
    println!("{table}");
}

/// Runs `work` and tells how long it took.
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let done = work();
    (done, begun.elapsed())
}
