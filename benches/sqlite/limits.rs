//! What this machine can do at best: bare inserts, parsing, writing, compressing.

use entente::{
    model::{Limits as Bounds, SiteId, TableSpec},
    wire::{self, Encoding},
};
use rusqlite::{Connection, params};

use crate::{
    sites::{self, SCHEMA},
    timed,
};

pub(crate) struct Limits {
    pub(crate) insert: f64,
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

impl Limits {
    pub(crate) fn measure(n: u64) -> Limits {
        let folder = tempfile::tempdir().unwrap();
        let rate = |seconds: f64| n as f64 / seconds;
        let bare = open(folder.path().join("bare.db"));
        bare.execute_batch(JOURNAL).unwrap();
        let insert = insert_with_journal(&bare, n);
        let (xml, parse, write) = documents(&folder.path().join("doc"), n);
        let (_, zstd) = timed(|| xml.iter().map(|page| wire::compress(Encoding::Zstd, page).unwrap().len()).sum::<usize>());
        let single = 300;
        let plain = open(folder.path().join("plain.db"));
        let captured = folder.path().join("captured.db");
        let triggered = open(captured.clone());
        let site = sites::site(&folder.path().join("data"), "bench");
        let specs = ["org", "contact"].map(|name| TableSpec { table: name.into(), ..TableSpec::default() });
        let url = format!("sqlite:{}", captured.display());
        entente::sync::attach::attach(&site, "app", &url, &specs, &mut |_, _, _| {}).unwrap();
        let singles = |conn: &Connection| timed(|| (0..single).for_each(|row| sites::insert(conn, 10_000_000 + row))).1.as_secs_f64();
        let bulk = |conn: &Connection| timed(|| sites::fill(conn, n)).1.as_secs_f64();
        Limits {
            insert: rate(insert),
            parse: rate(parse),
            write: rate(write),
            zstd: n.min(SAMPLE) as f64 / zstd.as_secs_f64(),
            single_bare: singles(&plain),
            single_captured: singles(&triggered),
            bulk_bare: bulk(&plain),
            bulk_captured: bulk(&triggered),
        }
    }
}

fn open(path: std::path::PathBuf) -> Connection {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16384;").unwrap();
    conn.execute_batch(SCHEMA).unwrap();
    sites::orgs(&conn);
    conn
}

/// Seconds for N prepared inserts into the table and a journal like ours, 5,000 a transaction.
fn insert_with_journal(conn: &Connection, n: u64) -> f64 {
    let digest = [7u8; 32];
    timed(|| {
        for first in (0..n).step_by(5_000) {
            conn.execute_batch("BEGIN IMMEDIATE").unwrap();
            {
                let sql = "INSERT INTO state (arrival, k1, uid, deleted, modified_on, version, origin, author, received_from, digest)
                           VALUES (?1, ?2, ?3, 0, ?4, '1.1790000000:' || ?1, 1, 1, 2, ?5)";
                let mut state = conn.prepare_cached(sql).unwrap();
                for row in first..(first + 5_000).min(n) {
                    sites::insert(conn, row);
                    let uid = sites::uuid(row);
                    state
                        .execute(params![
                            row as i64 + 1,
                            uid.to_string(),
                            uid.as_bytes().as_slice(),
                            1_790_000_000_000_000_i64,
                            digest.as_slice()
                        ])
                        .unwrap();
                }
            }
            conn.execute_batch("COMMIT").unwrap();
        }
    })
    .1
    .as_secs_f64()
}

/// The documents of a feed of N records, and the seconds to read and to write them.
fn documents(folder: &std::path::Path, n: u64) -> (Vec<Vec<u8>>, f64, f64) {
    std::fs::create_dir_all(folder).unwrap();
    let file = folder.join("source.db");
    let app = open(file.clone());
    let sample = n.min(SAMPLE);
    sites::fill(&app, sample);
    let site = sites::site(&folder.join("data"), "documents");
    let specs = ["org", "contact"].map(|name| TableSpec { table: name.into(), ..TableSpec::default() });
    entente::sync::attach::attach(&site, "app", &format!("sqlite:{}", file.display()), &specs, &mut |_, _, _| {}).unwrap();
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
