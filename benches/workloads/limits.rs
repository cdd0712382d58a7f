//! What this machine can do at best: bare inserts, parsing, writing, compressing.

use std::io::Write as _;

use entente::{
    model::{Limits as Bounds, SiteId},
    wire::{self, Encoding},
};
use rusqlite::params;

use crate::{
    apps::{self, App, Ground, Place},
    sites, timed,
};

pub(crate) struct Limits {
    pub(crate) insert: f64,
    /// The same on two connections at once, where a database takes what two write.
    pub(crate) insert_by_two: Option<f64>,
    pub(crate) parse: f64,
    pub(crate) write: f64,
    pub(crate) zstd: f64,
    pub(crate) single_bare: f64,
    pub(crate) single_captured: f64,
    pub(crate) bulk_bare: f64,
    pub(crate) bulk_captured: f64,
}

/// Documents are made of so many records at most.
const SAMPLE: u64 = 20_000;

const JOURNAL: &str = "CREATE TABLE state (arrival INTEGER PRIMARY KEY, k1, uid, deleted INTEGER, modified_on INTEGER, own INTEGER, version TEXT, origin INTEGER,
                         author INTEGER, settled TEXT, received_from INTEGER, held INTEGER, heir, extra TEXT, digest BLOB);
                       CREATE UNIQUE INDEX state_key ON state (k1); CREATE UNIQUE INDEX state_uid ON state (uid);";

const SERVER_JOURNAL: &str = "CREATE TABLE state (arrival bigint PRIMARY KEY, k1 uuid, uid text COLLATE \"C\", deleted boolean, modified_on bigint, own bigint,
                                version text, origin bigint, author bigint, settled text, received_from bigint, held bigint, heir text, extra text, digest bytea);
                              CREATE UNIQUE INDEX state_key ON state (k1); CREATE UNIQUE INDEX state_uid ON state (uid);";

impl Limits {
    pub(crate) fn measure(ground: Ground, n: u64) -> Limits {
        let folder = tempfile::tempdir().unwrap();
        let rate = |seconds: f64| n as f64 / seconds;
        let bare = Place::new(ground, &folder.path().join("bare.db"));
        let insert = insert_with_journal(&bare, n, 1);
        let insert_by_two = (ground == Ground::Postgres).then(|| {
            let bare = Place::new(ground, &folder.path().join("two.db"));
            rate(insert_with_journal(&bare, n, 2))
        });
        let (xml, parse, write) = documents(ground, &folder.path().join("doc"), n);
        let (_, zstd) = timed(|| xml.iter().map(|page| wire::compress(Encoding::Zstd, page).unwrap().len()).sum::<usize>());
        let single = 300;
        let bare = Place::new(ground, &folder.path().join("plain.db"));
        let mut plain = bare.open();
        let captured = Place::new(ground, &folder.path().join("captured.db"));
        let mut triggered = captured.open();
        captured.attach(&sites::site(&folder.path().join("data"), "bench"));
        for app in [&mut plain, &mut triggered] {
            app.orgs();
        }
        let singles = |app: &mut App| timed(|| (0..single).for_each(|row| app.insert(10_000_000 + row))).1.as_secs_f64();
        let bulk = |app: &mut App| timed(|| app.fill(n)).1.as_secs_f64();
        Limits {
            insert: rate(insert),
            insert_by_two,
            parse: rate(parse),
            write: rate(write),
            zstd: n.min(SAMPLE) as f64 / zstd.as_secs_f64(),
            single_bare: singles(&mut plain),
            single_captured: singles(&mut triggered),
            bulk_bare: bulk(&mut plain),
            bulk_captured: bulk(&mut triggered),
        }
    }
}

/// Seconds to write N rows into the table and a journal like ours, 5,000 a transaction, in the fastest way there is: prepared inserts, or COPY; by so
/// many connections at once.
fn insert_with_journal(place: &Place, n: u64, connections: u64) -> f64 {
    let mut app = place.open();
    app.orgs();
    app.sql(if matches!(app, App::Sqlite(_)) { JOURNAL } else { SERVER_JOURNAL });
    let share = n.div_ceil(connections);
    let mut apps: Vec<(App, u64)> = (0..connections).map(|at| (place.open(), at * share)).collect();
    let both = timed(|| {
        std::thread::scope(|scope| {
            for (app, first) in &mut apps {
                scope.spawn(|| write_with_journal(app, *first..(*first + share).min(n)));
            }
        });
    });
    both.1.as_secs_f64()
}

fn write_with_journal(app: &mut App, rows: std::ops::Range<u64>) {
    for first in rows.clone().step_by(5_000) {
        let rows = first..(first + 5_000).min(rows.end);
        app.sql("BEGIN");
        match app {
            App::Sqlite(_) => rows.clone().for_each(|row| app.insert(row)),
            App::Postgres(client) => copy(client, "contact", &apps::lines(rows.clone())),
        }
        match app {
            App::Sqlite(conn) => states(conn, rows),
            App::Postgres(client) => {
                let zeros = "07".repeat(32);
                let line = |row| {
                    let uid = apps::uuid(row);
                    format!("{}\t{uid}\turn:uuid:{uid}\tf\t1790000000000000\t1.1790000000:{row}\t1\t1\t2\t\\\\x{zeros}\n", row + 1)
                };
                let columns = "state (arrival, k1, uid, deleted, modified_on, version, origin, author, received_from, digest)";
                copy(client, columns, &rows.map(line).collect::<String>());
            }
        }
        app.sql("COMMIT");
    }
}

fn copy(client: &mut postgres::Client, into: &str, lines: &str) {
    let mut copy = client.copy_in(&format!("COPY {into} FROM STDIN")).unwrap();
    copy.write_all(lines.as_bytes()).unwrap();
    copy.finish().unwrap();
}

fn states(conn: &rusqlite::Connection, rows: std::ops::Range<u64>) {
    let digest = [7u8; 32];
    let sql = "INSERT INTO state (arrival, k1, uid, deleted, modified_on, version, origin, author, received_from, digest)
               VALUES (?1, ?2, ?3, 0, ?4, '1.1790000000:' || ?1, 1, 1, 2, ?5)";
    let mut state = conn.prepare_cached(sql).unwrap();
    for row in rows {
        let uid = apps::uuid(row);
        let values = params![row as i64 + 1, uid.to_string(), uid.as_bytes().as_slice(), 1_790_000_000_000_000_i64, digest.as_slice()];
        state.execute(values).unwrap();
    }
}

/// The documents of a feed of N records, and the seconds to read and to write them.
fn documents(ground: Ground, folder: &std::path::Path, n: u64) -> (Vec<Vec<u8>>, f64, f64) {
    std::fs::create_dir_all(folder).unwrap();
    let source = Place::new(ground, &folder.join("source.db"));
    let sample = n.min(SAMPLE);
    let mut app = source.open();
    app.orgs();
    app.fill(sample);
    let site = sites::site(&folder.join("data"), "documents");
    source.attach(&site);
    let mut door = site.door("app").unwrap();
    let table = door.tables().unwrap().into_iter().find(|table| table.resource == "contact").unwrap();
    let (mut pages, mut after) = (Vec::new(), 0);
    loop {
        let mut page = entente::model::Page::new("contact");
        let extent = entente::connector::Extent { records: 5_000, bytes: 4 << 20 };
        let (upto, more) = door.export(&table, after, SiteId::random(), extent, site.now(), &mut page).unwrap();
        pages.push(page);
        after = upto;
        if !more {
            break;
        }
    }
    let scale = n as f64 / sample as f64;
    let (xml, write) = timed(|| {
        let written = |page| {
            let mut body = Vec::new();
            wire::write(page, SiteId::random(), &mut body).unwrap();
            body
        };
        pages.iter().map(written).collect::<Vec<_>>()
    });
    let (read, parse) = timed(|| xml.iter().map(|body| wire::read(body, &Bounds::default()).unwrap().records.len() as u64).sum::<u64>());
    assert_eq!(read, sample);
    (xml, parse.as_secs_f64() * scale, write.as_secs_f64() * scale)
}
