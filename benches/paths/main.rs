//! How many instructions the paths take that every record goes: counted by valgrind's callgrind, so that the figures are the same on a busy machine and
//! on an idle one, and from run to run.
//!
//! `cargo bench --bench paths` counts all; `-- --quick` two of them on smaller pages; `--json FILE` writes JSON lines, too. Nothing is judged. Needs valgrind.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

#[expect(dead_code, reason = "the workloads use more of it")]
#[path = "../workloads/apps.rs"]
mod apps;
#[expect(dead_code, reason = "tests use more of it")]
#[path = "../../src/postgresql/server.rs"]
mod server;
#[expect(dead_code, reason = "the workloads use more of it")]
#[path = "../workloads/sites.rs"]
mod sites;

use std::{io::Write as _, path::Path, process::Command, sync::Arc};

use apps::{Ground as Kind, Place};
use comfy_table::{ContentArrangement, LineStyle, Table, presets};
use entente::{
    connector::Extent,
    decide::{Decider, Source},
    model::{Limits, Page, Policy, Rules, SiteId},
    site::Site,
    sync::{Bare, Fields, Terms, filters::Elsewhere, import},
    wire::{self, Encoding},
};
use serde_json::json;

/// The first argument of the process that is counted: then a path, how many pages go it, and how many records are in a page.
const ROLE: &str = "go";

/// A path: its name, and what goes it with each of the pages, after everything was made ready for as many pages as there are.
type Walk = (&'static str, fn(&mut Ground, usize));

const PATHS: &[Walk] = &[
    ("an application adds a row, and it is noted", |ground, at| ground.add_rows(at)),
    ("the same, and it becomes a version", |ground, at| {
        ground.add_rows(at);
        ground.fold();
    }),
    ("feed: read from SQLite", |ground, at| drop(ground.export(at))),
    ("write XML", |ground, at| drop(ground.write(at))),
    ("compress (zstd 1)", |ground, at| drop(wire::compress(Encoding::Zstd, &ground.written[at]).unwrap())),
    ("decompress", |ground, at| drop(wire::decompress(Encoding::Zstd, &ground.packed[at], &Limits::default()).unwrap())),
    ("read XML", |ground, at| drop(wire::read(&ground.written[at], &Limits::default()).unwrap())),
    ("decide and apply to SQLite: new", |ground, at| ground.apply(at)),
    ("decide and apply to SQLite: changed", |ground, at| ground.apply_changed(at)),
    ("decide and apply to SQLite: known already", |ground, at| ground.apply_again(at)),
];

/// Pages that are ready before anything is counted. One goes the path, or two: the difference is what a page takes.
const PAGES: usize = 2;

/// Two sites and the pages between them.
struct Ground {
    records: u64,
    from: (Arc<Site>, Place),
    to: (Arc<Site>, Place),
    pages: Vec<Page>,
    changed: Vec<Page>,
    written: Vec<Vec<u8>>,
    packed: Vec<Vec<u8>>,
    _folder: tempfile::TempDir,
}

impl Ground {
    fn new(path: &str, records: u64) -> Ground {
        let folder = tempfile::tempdir().unwrap();
        let side = |name: &str, rows: u64| {
            let place = Place::new(Kind::Sqlite, &folder.path().join(format!("{name}.db")));
            let mut app = place.open();
            app.orgs();
            app.fill(rows);
            let site = sites::site(&folder.path().join(name), name);
            place.attach(&site);
            (site, place)
        };
        let (from, to) = (side("from", records * PAGES as u64), side("to", 0));
        let mut ground = Ground { records, from, to, pages: vec![], changed: vec![], written: vec![], packed: vec![], _folder: folder };
        ground.share_orgs();
        ground.pages = (0..PAGES).map(|at| ground.export(at)).collect();
        ground.written = (0..PAGES).map(|at| ground.write(at)).collect();
        ground.packed = ground.written.iter().map(|body| wire::compress(Encoding::Zstd, body).unwrap()).collect();
        if path.contains("changed") || path.contains("known") {
            (0..PAGES).for_each(|at| ground.apply(at));
        }
        if path.contains("changed") {
            ground.from.1.open().change(1, records * PAGES as u64, 0);
            ground.fold();
            let first = (records * PAGES as u64) as i64;
            ground.changed = (0..PAGES).map(|at| ground.feed("contact", first + (at as u64 * records) as i64)).collect();
        }
        ground
    }

    /// A page of what arrived after this.
    fn feed(&self, resource: &str, after: i64) -> Page {
        let site = &self.from.0;
        let mut door = site.door("app").unwrap();
        let table = door.tables().unwrap().into_iter().find(|table| table.resource == resource).unwrap();
        let extent = Extent { records: self.records as usize, bytes: 64 << 20 };
        let mut page = Page::new(resource);
        door.export(&table, after, SiteId::random(), extent, site.now(), &mut page).unwrap();
        page
    }

    fn export(&self, at: usize) -> Page {
        self.feed("contact", (at as u64 * self.records) as i64)
    }

    fn write(&self, at: usize) -> Vec<u8> {
        let mut body = Vec::new();
        wire::write(&self.pages[at], self.from.0.id, &mut body).unwrap();
        body
    }

    /// Adds rows as the application does.
    fn add_rows(&mut self, at: usize) {
        let mut app = self.from.1.open();
        app.sql("BEGIN IMMEDIATE");
        (0..self.records).for_each(|row| app.insert(10_000_000 + at as u64 * self.records + row));
        app.sql("COMMIT");
    }

    fn fold(&mut self) {
        let mut door = self.from.0.door("app").unwrap();
        let table = door.tables().unwrap().into_iter().find(|table| table.resource == "contact").unwrap();
        door.fold(&table).unwrap();
    }

    fn share_orgs(&mut self) {
        let orgs = self.feed("org", 0);
        self.take(&orgs);
    }

    fn apply(&mut self, at: usize) {
        let page = std::mem::take(&mut self.pages[at]);
        self.take(&page);
        self.pages[at] = page;
    }

    fn apply_changed(&mut self, at: usize) {
        let page = std::mem::take(&mut self.changed[at]);
        self.take(&page);
    }

    fn apply_again(&mut self, at: usize) {
        self.apply(at);
    }

    fn take(&self, page: &Page) {
        let site = &self.to.0;
        let mut door = site.door("app").unwrap();
        let table = door.tables().unwrap().into_iter().find(|table| table.resource == page.resource).unwrap();
        let rules = Rules {
            strategy: "create,update,delete,merge".parse().unwrap(),
            update: Policy::Newer,
            conflict: Policy::Newer,
            merge_fields: false,
        };
        let terms = Terms {
            peer: self.from.0.id,
            rules,
            source: Source::Page,
            run: 1,
            me: site.id,
            now: site.now(),
            decider: Decider::default(),
            elsewhere: Elsewhere::default(),
            fields: Fields::All,
        };
        let outcome = import(&mut *door, &table, page, &terms, &mut Bare).unwrap();
        assert!(outcome.counts.records > 0, "nothing came of {} records of {:?}", page.records.len(), page.resource);
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [role, path, pages, records] = args.as_slice()
        && role == ROLE
    {
        return go(path, pages.parse().unwrap(), records.parse().unwrap());
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("Instructions are counted by valgrind, which is not here (apt-get install valgrind): nothing was counted.");
        return;
    }
    let (records, step) = if args.iter().any(|arg| arg == "--quick") { (200, PATHS.len() / 2) } else { (2_000, 1) };
    let counts: Vec<(&str, f64)> = PATHS
        .iter()
        .enumerate()
        .step_by(step)
        .map(|(at, (name, _))| {
            eprintln!("{name}");
            let (one, two) = std::thread::scope(|scope| {
                let one = scope.spawn(|| count(at, 1, records));
                let two = count(at, 2, records);
                (one.join().unwrap(), two)
            });
            (*name, (two - one) as f64 / records as f64)
        })
        .collect();
    print(&counts, records);
    if let Some(file) = args.iter().position(|arg| arg == "--json").and_then(|at| args.get(at + 1)) {
        let mut out = std::fs::File::create(file).unwrap();
        for (what, value) in &counts {
            writeln!(out, "{}", json!({"what": what, "value": value, "unit": "instructions/record", "compiler": compiler()})).unwrap();
        }
    }
}

/// Goes a path with so many pages.
fn go(path: &str, pages: usize, records: u64) {
    let (name, walk) = PATHS[path.parse::<usize>().unwrap()];
    let mut ground = Ground::new(name, records);
    (0..pages).for_each(|at| walk(&mut ground, at));
}

/// All instructions of a process that goes a path.
fn count(path: usize, pages: usize, records: u64) -> i64 {
    let out = tempfile::NamedTempFile::new().unwrap();
    let counted = Command::new("valgrind")
        .args(["--tool=callgrind", "-q", "--error-exitcode=1"])
        .arg(format!("--callgrind-out-file={}", out.path().display()))
        .arg(std::env::current_exe().unwrap())
        .args([ROLE, &path.to_string(), &pages.to_string(), &records.to_string()])
        .output()
        .unwrap();
    assert!(counted.status.success(), "{}", String::from_utf8_lossy(&counted.stderr));
    totals(out.path())
}

/// The line `totals: N` or `summary: N` of callgrind's file.
fn totals(file: &Path) -> i64 {
    let text = String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")));
    line.unwrap().trim().parse().unwrap()
}

fn compiler() -> String {
    let said = Command::new("rustc").arg("--version").output();
    said.map_or_else(|_| "an unknown compiler".into(), |said| String::from_utf8_lossy(&said.stdout).trim().to_owned())
}

fn print(counts: &[(&str, f64)], records: u64) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.style_mut().row_separator = LineStyle::none();
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header([&format!("{}, pages of {records} records", compiler()), "instructions a record"]);
    for (what, value) in counts {
        table.add_row([(*what).to_owned(), format!("{value:.0}")]);
    }
    println!("{table}");
}
