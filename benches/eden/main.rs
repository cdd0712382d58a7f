//! What a stock Sahana Eden with 10,000 organisations and as many offices costs us: it pulls from us and pushes to us, we pull from it and push to it.
//!
//! `cargo bench --bench eden` takes some seconds; `-- --quick` has a tenth of the records. Prints for each exchange the seconds that passed and those that
//! this process computed, its part as the other side among them: that answers with documents that were ready before. `--json FILE` writes JSON lines, too.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that cannot go on ends")]

#[path = "../../tests/eden/hub.rs"]
#[allow(dead_code, reason = "it is shared with the tests")]
mod hub;

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Instant,
};

use entente::model::Resource;
use hub::{Hub, document, eden, uid};
use serde_json::json;

/// What an exchange cost.
struct Figure {
    exchange: &'static str,
    records: u32,
    seconds: f64,
    computed: f64,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let records = if args.iter().any(|arg| arg == "--quick") { 1_000 } else { 10_000 };
    let mut figures = given(records);
    figures.extend(received(records));
    figures.extend(fetched(records));
    println!("{:<64} {:>8} {:>10} {:>10}", "seconds", "records", "passed", "computed");
    for figure in &figures {
        println!("{:<64} {:>8} {:>10.3} {:>10.2}", figure.exchange, figure.records, figure.seconds, figure.computed);
    }
    if let Some(file) = args.iter().position(|arg| arg == "--json").and_then(|at| args.get(at + 1)) {
        let mut out = std::fs::File::create(file).unwrap();
        for figure in &figures {
            let (seconds, computed) = (figure.seconds, figure.computed);
            writeln!(out, "{}", json!({"exchange": figure.exchange, "records": figure.records, "seconds": seconds, "computed": computed}))
                .unwrap();
        }
    }
}

/// Processor seconds of this process so far, where the system tells: in hundredths.
fn computed() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn measured(exchange: &'static str, records: u32, work: impl FnOnce()) -> Figure {
    let (clock, before) = (Instant::now(), computed());
    work();
    let figure = Figure { exchange, records, seconds: clock.elapsed().as_secs_f64(), computed: computed() - before };
    eprintln!("{exchange}");
    figure
}

/// An organisation as people fill it in.
fn fill(hub: &Hub, records: u32) {
    hub.sql(&format!(
        "WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n + 1 < {records})
         INSERT INTO org_organisation (uuid, name, acronym, code, year, comments, active, founded, budget)
           SELECT printf('urn:uuid:0d1e2f30-0000-4000-8000-%012d', n), 'Organisation ' || n, 'O' || n, 'code-' || n, 1900 + n % 100,
             'Works in the north & the south since long ago, with some <help>.', n % 2, '2001-02-03', n * 1.5 FROM n;
         WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n + 1 < {records})
         INSERT INTO org_office (uuid, name, organisation_id)
           SELECT printf('urn:uuid:0d1e2f31-0000-4000-8000-%012d', n), 'Office ' || n, n + 1 FROM n;"
    ));
}

/// It pulls from us.
fn given(records: u32) -> Vec<Figure> {
    let hub = Hub::new();
    hub.register();
    fill(&hub, records);
    // What was just written becomes versions at the first question, whoever asks it.
    let folded = measured("what was written becomes versions, organisations", records, || {
        assert_eq!(hub.pull("org_organisation", "&mcomponents=None&limit=1").status, 200);
    });
    let mut newest = String::new();
    let bare = measured("it pulls organisations", records, || {
        let answer = hub.pull("org_organisation", "&mcomponents=None");
        assert!(answer.body.len() > 100 * records as usize, "{}", answer.head);
        newest = newest_in(&answer.body);
    });
    let since = format!("&mcomponents=None&msince={}", after(&newest));
    let again = measured("it pulls organisations again, nothing is new", 0, || {
        assert!(hub.pull("org_organisation", &since).body.contains("results=\"0\""));
    });
    let office = measured("it pulls offices, and their organisations along", 2 * records, || {
        assert!(hub.pull("org_office", "").body.len() > 100 * records as usize);
    });
    let whole = measured("it pulls organisations with their offices inside", 2 * records, || {
        let answer = hub.pull("org_organisation", "");
        assert_eq!(answer.body.matches("name=\"org_office\"").count(), records as usize);
    });
    hub.pull("org_organisation", &format!("&msince={}", after(&newest)));
    hub.sql("UPDATE org_organisation SET name = 'Changed' WHERE id = 5");
    let one = measured("it pulls organisations with their offices inside, one is new", 2, || {
        let answer = hub.pull("org_organisation", &format!("&msince={}", after(&newest)));
        assert!(answer.body.contains("Changed"));
    });
    vec![folded, bare, again, office, whole, one]
}

/// It pushes to us.
fn received(records: u32) -> Vec<Figure> {
    let hub = Hub::new();
    hub.register();
    let (body, office) = (document(&organisations(records)), document(&offices(records)));
    let push = |resource: &str, body: &str, created: u32| {
        let answer = hub.post(&format!("/sync/sync.xml?resource={resource}&repository={}", eden()), body).json();
        assert_eq!((answer["records"].as_u64(), answer.get("tree")), (Some(u64::from(records)), None));
        assert_eq!(answer["created"].as_array().map_or(0, Vec::len), created as usize);
    };
    vec![
        measured("it pushes organisations", records, || push("org_organisation", &body, records)),
        measured("it pushes the same organisations again", records, || push("org_organisation", &body, 0)),
        measured("it pushes offices", records, || push("org_office", &office, records)),
    ]
}

/// We pull from it and push to it.
fn fetched(records: u32) -> Vec<Figure> {
    let other = Canned::new();
    other.answers("GET /eden/sync/sync.xml?resource=org_organisation", &document(&organisations(records)));
    other.answers("GET /eden/sync/sync.xml?resource=org_office", &document(&offices(records)));
    let hub = Hub::new();
    let (repository, warning) = hub.knows(other.address);
    assert_eq!(warning, None);
    let mut figures = Vec::new();
    for (resource, exchange) in [("org_organisation", "we pull organisations"), ("org_office", "we pull offices")] {
        hub.shares(&repository, Resource::new(0, resource));
        figures.push(measured(exchange, records, || drop(hub.syncs(&repository))));
    }
    assert_eq!(hub.one("SELECT count(*) FROM org_office WHERE organisation_id IS NOT NULL"), records.to_string());
    figures.push(measured("we pull everything again, nothing is new", 2 * records, || drop(hub.syncs(&repository))));
    hub.sql("UPDATE org_organisation SET name = name || '!'");
    figures.push(measured("we push organisations", records, || drop(hub.syncs(&repository))));
    figures
}

fn organisations(records: u32) -> String {
    let one = |number: u32| {
        format!(
            "<resource name=\"org_organisation\" uuid=\"{}\" mci=\"1\" created_on=\"2026-01-01T00:00:00\" modified_on=\"2026-01-01T00:00:00\" created_by=\"a@example.org\">\
             <data field=\"name\">Organisation {number}</data><data field=\"acronym\">O{number}</data><data field=\"code\">code-{number}</data>\
             <data field=\"year\" value=\"{}\">x</data><data field=\"comments\" value=\"&quot;Works in the north &amp;amp; south since long ago.&quot;\">x</data>\
             <data field=\"active\" value=\"true\">Yes</data><data field=\"founded\" value=\"2001-02-03\">03-02-2001</data><data field=\"budget\" value=\"1.5\">1.5</data></resource>",
            uid(number),
            1900 + number % 100
        )
    };
    (0..records).map(one).collect()
}

fn offices(records: u32) -> String {
    let one = |number: u32| {
        format!(
            "<resource name=\"org_office\" uuid=\"urn:uuid:0d1e2f31-0000-4000-8000-{number:012}\" mci=\"1\" modified_on=\"2026-01-01T00:00:00\">\
             <data field=\"name\">Office {number}</data><reference field=\"organisation_id\" resource=\"org_organisation\" uuid=\"{}\">Organisation {number}</reference></resource>",
            uid(number)
        )
    };
    (0..records).map(one).collect()
}

fn newest_in(document: &str) -> String {
    document.split("modified_on=\"").skip(1).filter_map(|rest| rest.get(..19)).max().unwrap_or_default().to_owned()
}

fn after(second: &str) -> String {
    let moment: chrono::NaiveDateTime = second.parse().unwrap();
    (moment + chrono::Duration::seconds(1)).format("%Y-%m-%dT%H:%M:%S").to_string()
}

/// An Eden that knows its answers by heart.
struct Canned {
    address: SocketAddr,
    answers: Arc<Mutex<HashMap<String, String>>>,
}

impl Canned {
    fn new() -> Canned {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, answers) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(HashMap::new())));
        let known = Arc::clone(&answers);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let known = Arc::clone(&known);
                thread::spawn(move || serve(stream.unwrap(), &known));
            }
        });
        Canned { address, answers }
    }

    fn answers(&self, what: &str, answer: &str) {
        self.answers.lock().unwrap().insert(what.to_owned(), answer.to_owned());
    }
}

fn serve(mut stream: TcpStream, known: &Mutex<HashMap<String, String>>) {
    const REGISTERED: &str =
        r#"{"status": "success", "statuscode": "200", "message": "", "sender": "urn:uuid:b06d0b48-f028-4fe8-ac44-8103fc951582"}"#;
    const EMPTY: &str = "<?xml version='1.0' encoding='utf-8'?>\n<s3xml success=\"false\" results=\"0\"/>";
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:").map(|rest| rest.trim().parse().unwrap()));
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).unwrap();
        let known = known.lock().unwrap();
        // It counts what it takes, as an Eden does: the records of the resource.
        let resource = head.split(['?', '&', ' ']).find_map(|part| part.strip_prefix("resource=")).unwrap_or_default();
        let taken = String::from_utf8_lossy(&body).matches(&format!("<resource name=\"{resource}\"")).count();
        let taken = format!(r#"{{"status": "success", "statuscode": "200", "records": {taken}}}"#);
        let (media, answer) = if head.starts_with("POST /eden/sync/repository") {
            ("application/json", REGISTERED)
        } else if head.starts_with("POST") {
            ("text/html", taken.as_str())
        } else {
            ("text/xml", known.iter().find(|(what, _)| head.starts_with(what.as_str())).map_or(EMPTY, |(_, answer)| answer))
        };
        let head = format!("HTTP/1.1 200 OK\r\nX-Powered-By: web2py\r\nContent-Type: {media}\r\nContent-Length: {}\r\n\r\n", answer.len());
        if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(answer.as_bytes())).is_err() {
            return;
        }
    }
}
