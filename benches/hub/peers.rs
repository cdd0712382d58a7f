//! A thousand sites that are none: one server that speaks the protocol in all their names, with a record that changed for each time it is asked.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use entente::{
    model::{Actor, Cell, Hello, HelloResource, Kind, Limits, Mode, PROTOCOL, Page, Record, Session, SiteId, Time, Version},
    wire,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// How many records a site has.
pub(crate) const RECORDS: u64 = 100;

/// What a site remembers.
#[derive(Clone, Default)]
struct Memory {
    /// As far as it was read.
    given: u64,
    told: u64,
    heard: u64,
}

/// The sites.
pub(crate) struct Peers {
    pub(crate) address: SocketAddr,
    memory: Arc<Vec<Mutex<Memory>>>,
}

/// The UUID of a site.
pub(crate) fn site(number: usize) -> SiteId {
    SiteId(uuid::Uuid::from_u128(0x1000_0000_0000_4000_8000_0000_0000_0000 + number as u128))
}

impl Peers {
    /// Serves that many sites for as long as this process lives.
    pub(crate) fn serve(count: usize) -> Peers {
        let memory = Arc::new((0..count).map(|_| Mutex::default()).collect::<Vec<_>>());
        let (tell, told) = std::sync::mpsc::channel();
        let known = memory.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let known = known.clone();
                    tokio::spawn(async move { converse(stream, &known).await });
                }
            });
        });
        Peers { address: told.recv().unwrap(), memory }
    }

    /// How many sites gave all that they had at first.
    pub(crate) fn loaded(&self) -> usize {
        self.memory.iter().filter(|memory| memory.lock().unwrap().given >= RECORDS).count()
    }

    /// How many changes were fetched since then.
    pub(crate) fn changes(&self) -> u64 {
        self.memory.iter().map(|memory| memory.lock().unwrap().given.saturating_sub(RECORDS)).sum()
    }
}

/// Answers requests of one connection until it ends.
async fn converse(stream: TcpStream, known: &[Mutex<Memory>]) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut line, mut length) = (String::new(), 0_usize);
        stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).await.ok().filter(|read| *read > 0)?;
            if header.trim().is_empty() {
                break;
            }
            if let Some((_, value)) = header.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let mut words = line.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let (kind, body) = answer(method, target, known)?;
        let status = if body.is_empty() { "204 No Content" } else { "200 OK" };
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.get_mut().write_all(&[head.as_bytes(), &body].concat()).await.ok()?;
    }
}

/// `/s/NUMBER/sync/…`: what that site says.
fn answer(method: &str, target: &str, known: &[Mutex<Memory>]) -> Option<(&'static str, Vec<u8>)> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (number, path) = path.strip_prefix("/s/")?.split_once('/')?;
    let number: usize = number.parse().ok()?;
    let mut memory = known[number].lock().unwrap();
    match (method, path) {
        ("POST", "sync/session") => Some((JSON, wire::write_json(&Session { token: format!("token-{number}"), expires: 3600 }))),
        ("GET", "sync/hello") => Some((JSON, wire::write_json(&hello(number, &memory)))),
        ("GET", "sync/sync.xml") => Some(("text/xml", feed(number, &mut memory, query))),
        _ => Some((JSON, Vec::new())),
    }
}

const JSON: &str = "application/json";

fn hello(number: usize, memory: &Memory) -> Hello {
    let resource = HelloResource {
        name: "contact".into(),
        kind: "table".into(),
        mode: Mode::Pull,
        fingerprint: "simulated".into(),
        head: format!("e{number}:{}", (memory.given + 1).max(RECORDS)),
        records: None,
        assigned: false,
        epoch: format!("e{number}"),
        told: memory.told,
        heard: memory.heard,
        digest: None,
        apart: true,
        compare: false,
        waiting: None,
    };
    Hello {
        uuid: site(number),
        name: format!("site {number}"),
        version: env!("CARGO_PKG_VERSION").into(),
        protocol: PROTOCOL,
        time: now(),
        features: Vec::new(),
        limits: Limits::default(),
        paused: false,
        resources: vec![resource],
        unavailable: Vec::new(),
    }
}

pub(crate) fn now() -> Time {
    Time::from_utc(chrono::Utc::now())
}

/// All records at first, and after that one that changed.
fn feed(number: usize, memory: &mut Memory, query: &str) -> Vec<u8> {
    let value =
        |name: &str| query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map_or("", |(_, value)| value);
    let run: u64 = value("run").parse().unwrap_or(0);
    if run > memory.heard {
        (memory.heard, memory.told) = (run, memory.told + 1);
    }
    let cursor = value("cursor").replace("%3A", ":");
    let after: u64 = cursor.split(':').nth(1).and_then(|after| after.parse().ok()).unwrap_or(0);
    let last = (after + 1).max(RECORDS);
    let mut page = Page::new("contact");
    for arrival in after + 1..=last {
        record(&mut page, number, arrival);
    }
    memory.given = memory.given.max(last);
    page.cursor = format!("e{number}:{last}");
    page.run = Some(memory.told);
    let mut bytes = Vec::new();
    wire::write(&page, site(number), &mut bytes).unwrap();
    bytes
}

fn record(page: &mut Page, number: usize, arrival: u64) {
    let row = arrival % RECORDS;
    let uid = uuid::Uuid::from_u128((number as u128) << 32 | u128::from(row) | 0x2000_0000_0000_4000_8000_0000_0000_0000);
    let mark = page.mark();
    let fields = [
        ("name", format!("Contact {row} of site {number}")),
        ("email", format!("contact{row}@site{number}.example.org")),
        ("note", format!("met in the harbour hall, asked for tents, wants to be called back; change {arrival}")),
    ];
    for (field, text) in fields {
        let (field, text) = (page.name(field).unwrap(), page.put(&text));
        page.cell(Cell { field, resource: 0, kind: Kind::Text, text });
    }
    let mut record = Record::new(page.put(&format!("urn:uuid:{uid}")), site(number), now());
    record.version = Version::of(Actor { site: site(number), incarnation: 1 }, arrival);
    page.finish(record, mark);
}
