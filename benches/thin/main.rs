//! Two sites on SQLite, with a thin line between them: 256 kbit/s each way, 300 ms from one end to the other and back, 2 of 100 packets sent twice.
//!
//! `cargo bench --bench thin` moves 20,000 records, in some two minutes; `-- --quick` 1,000. Beside each figure stands what the line needs at best for
//! the bytes and one round trip. `--json FILE` writes JSON lines, too. Nothing is judged.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

#[expect(dead_code, reason = "the workloads use more of it")]
#[path = "../workloads/apps.rs"]
mod apps;
mod line;
#[expect(dead_code, reason = "tests use more of it")]
#[path = "../../src/postgresql/server.rs"]
mod server;
#[expect(dead_code, reason = "the workloads use more of it")]
#[path = "../workloads/sites.rs"]
mod sites;

use std::io::Write;

use apps::Ground;
use comfy_table::{ContentArrangement, LineStyle, Table, presets};
use line::{Line, RATE, ROUND_TRIP};
use serde_json::json;
use sites::{Caller, Hub, Ran, Sites};

/// What was done, of how many records, and how it went.
type Figure = (&'static str, u64, Ran);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|role| role == sites::ROLE) {
        return sites::play(&args[1..]);
    }
    let n = if args.iter().any(|arg| arg == "--quick") { 1_000 } else { 20_000 };
    let figures = measure(n);
    print(&figures);
    if let Some(file) = args.iter().position(|arg| arg == "--json").and_then(|at| args.get(at + 1)) {
        let mut out = std::fs::File::create(file).unwrap();
        for (what, n, ran) in &figures {
            let line = json!({"what": what, "n": n, "seconds": ran.seconds, "bytes": ran.bytes, "limit": at_best(ran)});
            writeln!(out, "{line}").unwrap();
        }
    }
}

fn measure(n: u64) -> Vec<Figure> {
    let sites = Sites::new(Ground::Sqlite, n);
    let hub = Hub::start(&sites);
    let line = Line::to(hub.url());
    let mut caller = Caller::start_at(&sites, &line.url);
    let mut figures = vec![("first load", n, caller.sync())];
    caller.sync();
    let changed = n / 100;
    sites.hub_place.open().change(1, changed, 0);
    sites.caller_place.open().change(1, changed, n / 2);
    figures.push(("1 % changed on each side", 2 * changed, caller.sync()));
    caller.sync();
    figures.push(("nothing changed", 0, caller.sync()));
    figures
}

/// Seconds that the line needs for the bytes and one round trip.
fn at_best(ran: &Ran) -> f64 {
    ran.bytes as f64 / RATE + ROUND_TRIP.as_secs_f64()
}

fn print(figures: &[Figure]) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.style_mut().row_separator = LineStyle::none();
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["256 kbit/s, 300 ms, 2 % lost", "records", "bytes", "took", "the line at best", "ratio"]);
    for (what, n, ran) in figures {
        table.add_row([
            (*what).to_owned(),
            n.to_string(),
            ran.bytes.to_string(),
            format!("{:.2} s", ran.seconds),
            format!("{:.2} s", at_best(ran)),
            format!("{:.2}", ran.seconds / at_best(ran)),
        ]);
    }
    println!("{table}");
}
