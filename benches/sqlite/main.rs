//! The workloads on SQLite, sites as real processes over HTTP on loopback, beside the bare limits of the same machine in the same run.
//!
//! `cargo bench` runs N = 10,000 and 100,000; `-- --quick` only the first; `-- --large` adds memory at N = 1,000,000; `--json FILE` writes JSON
//! lines, too. Nothing is judged.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

mod limits;
mod sites;

use std::{
    io::Write,
    time::{Duration, Instant},
};

use comfy_table::{ContentArrangement, LineStyle, Table, presets};
use limits::Limits;
use serde_json::json;
use sites::{Caller, Hub, Sites};

/// A figure: workload, N, its value, unit, and its limit in the same unit, where it has one.
struct Figure {
    what: &'static str,
    n: u64,
    value: f64,
    unit: &'static str,
    limit: Option<f64>,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|role| role == sites::ROLE) {
        return sites::play(&args[1..]);
    }
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    let value = |flag: &str| args.iter().position(|arg| arg == flag).and_then(|at| args.get(at + 1)).cloned();
    let sizes: Vec<u64> = match value("--records").map(|n| n.parse().unwrap()) {
        Some(n) => vec![n],
        None if has("--quick") => vec![10_000],
        None if has("--large") => vec![10_000, 100_000, 1_000_000],
        None => vec![10_000, 100_000],
    };
    let mut figures = Vec::new();
    for n in sizes {
        measure(n, &mut figures);
    }
    print(&figures);
    if let Some(file) = value("--json") {
        let mut out = std::fs::File::create(file).unwrap();
        for figure in &figures {
            let line = json!({"what": figure.what, "n": figure.n, "value": figure.value, "unit": figure.unit, "limit": figure.limit});
            writeln!(out, "{line}").unwrap();
        }
    }
}

fn measure(n: u64, figures: &mut Vec<Figure>) {
    eprintln!("N = {n}: limits");
    let limits = Limits::measure(n);
    let mut add = |what, value, unit, limit| figures.push(Figure { what, n, value, unit, limit });
    add("limit: insert into table and journal", limits.insert, "records/s", None);
    add("limit: read XML", limits.parse, "records/s", None);
    add("limit: write XML", limits.write, "records/s", None);
    add("limit: zstd level 1", limits.zstd, "records/s", None);
    eprintln!("N = {n}: capture");
    add("capture: single-row transactions", limits.single_captured, "x bare", Some(limits.single_bare));
    add("capture: bulk insert", limits.bulk_captured, "x bare", Some(limits.bulk_bare));

    eprintln!("N = {n}: first load by pull");
    let sites = Sites::new(n);
    add("attach: rows journalled", n as f64 / sites.attached.as_secs_f64(), "rows/s", None);
    add("attach: longest wait of a writer", sites.longest_wait.as_secs_f64() * 1e3, "ms", None);
    let hub = Hub::start(&sites);
    let mut caller = Caller::start(&sites, &hub);
    let load = caller.sync();
    add("W1 first load, pulled", n as f64 / load.seconds, "records/s", Some(limits.insert));
    add("W1 bytes on the wire", load.bytes as f64 / n as f64, "bytes/record", None);
    add("memory, who serves", hub.peak(), "MB", None);
    add("memory, who calls", caller.peak(), "MB", None);
    caller.sync();

    eprintln!("N = {n}: 1 % changed on each side");
    let changed = n / 100;
    let rounds: Vec<f64> = (0..5)
        .map(|round| {
            sites.change(&sites.hub_file, round, changed, 0);
            sites.change(&sites.caller_file, round, changed, n / 2);
            let ran = caller.sync();
            assert!(ran.records >= 2 * changed, "{} of {}", ran.records, 2 * changed);
            caller.sync();
            ran.seconds * 1e3
        })
        .collect();
    add("W2 1 % changed on each side", median(rounds), "ms", None);

    eprintln!("N = {n}: nothing changed");
    let idle: Vec<_> = (0..20).map(|_| caller.sync()).collect();
    assert!(idle.iter().all(|ran| ran.records == 0));
    add("W3 nothing changed", median(idle.iter().map(|ran| ran.seconds * 1e3).collect()), "ms", None);
    add("W3 bytes on the wire", median(idle.iter().map(|ran| ran.bytes as f64).collect()), "bytes", None);

    eprintln!("N = {n}: one row when idle");
    caller.follow();
    std::thread::sleep(Duration::from_secs(2));
    let one: Vec<f64> = (0..9).map(|round| sites.one_row(round).as_secs_f64() * 1e3).collect();
    add("W5 one row when idle", median(one), "ms", None);
    drop((caller, hub));

    eprintln!("N = {n}: first load by push");
    let sites = Sites::new(n);
    let hub = Hub::start(&sites.turned());
    let turned = sites.turned();
    let mut caller = Caller::start(&turned, &hub);
    let load = caller.sync();
    add("W1 first load, pushed", n as f64 / load.seconds, "records/s", Some(limits.insert));
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
    table.set_header(["what", "N", "figure", "limit", "ratio"]);
    for figure in figures {
        let ratio = figure.limit.map_or(String::new(), |limit| match figure.unit {
            "x bare" => format!("{:.2} x", figure.value / limit),
            _ => format!("{:.2}", figure.value / limit),
        });
        let unit = if figure.unit == "x bare" { "s" } else { figure.unit };
        let shown = |value: f64| if value >= 1_000.0 { format!("{value:.0} {unit}") } else { format!("{value:.2} {unit}") };
        table.add_row([
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
