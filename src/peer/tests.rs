//! The client against a scripted server: what sites, strangers and broken lines may answer.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    error::Kind,
    model::{Hello, Limits, PROTOCOL, Registration, SiteId, Time},
    peer::{Entente, Peer, Settings, Timeouts},
    wire,
};

/// A server that answers each request, one a connection, by a script and remembers what it was asked.
struct Script {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Script {
    /// `answer` is given the request's head and how many came before, and returns the raw answer.
    fn run(answer: impl Fn(&str, usize) -> Vec<u8> + Send + 'static) -> Script {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let told = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let head = head(&mut stream);
                let count = told.lock().unwrap().len();
                told.lock().unwrap().push(head.clone());
                let _ = stream.write_all(&answer(&head, count));
                let _ = stream.shutdown(Shutdown::Write);
            }
        });
        Script { address, asked }
    }

    fn settings(&self) -> Settings {
        Settings {
            url: format!("http://{}", self.address),
            user: Some("anna".into()),
            password: Some("secret".into()),
            proxy: None,
            ca_file: None,
            formerly: None,
            clock: Arc::new(|| Time::from_utc(chrono::Utc::now())),
            own: SiteId::random(),
            limits: Limits::default(),
            retries: 0,
            timeouts: Timeouts::default(),
        }
    }

    fn peer(&self) -> Entente {
        Entente::new(self.settings()).unwrap()
    }

    fn asked(&self, beginning: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|head| head.starts_with(beginning)).count()
    }
}

fn head(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    head
}

fn answer(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn session(token: &str) -> Vec<u8> {
    answer(200, "", format!(r#"{{"token":"{token}","expires":3600}}"#).as_bytes())
}

fn hello() -> Hello {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
    Hello {
        uuid: SiteId::random(),
        name: "far".into(),
        version: "1".into(),
        protocol: PROTOCOL,
        time: Time(i64::try_from(now).unwrap()).plus_seconds(90),
        features: vec!["zstd".into()],
        limits: Limits::default(),
        paused: false,
        resources: vec![],
        unavailable: vec![],
    }
}

fn hello_body() -> Vec<u8> {
    serde_json::to_vec(&hello()).unwrap()
}

/// A server whose sessions are fine and whose hello is `body`.
fn greeting(status: u16, headers: &'static str, body: impl Into<Vec<u8>>) -> Script {
    let body = body.into();
    Script::run(move |head, _| if head.contains("/sync/session") { session("t") } else { answer(status, headers, &body) })
}

#[test]
fn a_hello_tells_who_is_there_and_how_far_its_clock_is_off() {
    let script = greeting(200, "", hello_body());
    let contact = script.peer().hello().unwrap();
    assert_eq!(contact.hello.name, "far");
    assert!((85_000..=90_500).contains(&contact.skew), "{}", contact.skew);
}

#[test]
fn one_session_serves_many_calls_and_is_given_back() {
    let script = greeting(200, "", hello_body());
    let peer = script.peer();
    for _ in 0..3 {
        peer.hello().unwrap();
    }
    peer.close();
    assert_eq!(script.asked("POST /sync/session"), 1);
    assert_eq!(script.asked("DELETE /sync/session"), 1);
    let asked = script.asked.lock().unwrap();
    assert!(asked[0].contains("authorization: Basic YW5uYTpzZWNyZXQ="), "{}", asked[0]);
    assert!(asked[1..].iter().all(|head| head.contains("authorization: Bearer t\r\n")), "{asked:?}");
}

#[test]
fn without_an_account_a_hello_shows_no_credentials_and_the_rest_is_refused_here() {
    let script = greeting(200, "", hello_body());
    let peer = Entente::new(Settings { user: None, password: None, ..script.settings() }).unwrap();
    peer.hello().unwrap();
    assert_eq!(peer.fetch("t", &["urn:x".into()]).unwrap_err().kind(), Kind::Unauthorized);
    assert_eq!(script.asked.lock().unwrap().len(), 1);
    assert!(!script.asked.lock().unwrap()[0].contains("authorization"));
}

#[test]
fn a_lost_session_is_opened_again_once() {
    let refuse = || answer(401, "", &wire::refusal(Kind::Unauthorized, "The session has ended"));
    let script = Script::run(move |head, count| match count {
        _ if head.contains("/sync/session") => session(&format!("t{count}")),
        1 => refuse(),
        _ => answer(200, "", &hello_body()),
    });
    script.peer().hello().unwrap();
    assert_eq!(script.asked("POST /sync/session"), 2);

    let never = Script::run(move |head, _| if head.contains("/sync/session") { session("t") } else { refuse() });
    assert_eq!(never.peer().hello().unwrap_err().kind(), Kind::Unauthorized);
    assert_eq!(never.asked("POST /sync/session"), 2);
}

#[test]
fn a_slash_at_the_end_of_the_address_does_not_matter() {
    let script = greeting(200, "", hello_body());
    for end in ["", "/", "//"] {
        let url = format!("http://{}/base{end}", script.address);
        Entente::new(Settings { url, ..script.settings() }).unwrap().hello().unwrap();
    }
    assert_eq!(script.asked("GET /base/sync/hello?"), 3);
}

#[test]
fn addresses_that_make_no_sense_or_carry_a_password_are_refused() {
    let script = greeting(200, "", hello_body());
    for url in ["", "ftp://host", "host:80", "http://", "http://u:p@host", "http://host/?a=b"] {
        let error = Entente::new(Settings { url: url.into(), ..script.settings() }).err().unwrap();
        assert_eq!(error.kind(), Kind::Usage, "{url}");
    }
    for proxy in ["http://us:pass word@[", "::"] {
        let error = Entente::new(Settings { proxy: Some(proxy.into()), ..script.settings() }).err().unwrap();
        assert!(error.kind() == Kind::Usage && !error.chain().contains("pass"), "{}", error.chain());
    }
}

#[test]
fn web_pages_and_nothing_are_told_apart_from_answers() {
    for body in ["<!DOCTYPE html><html>Welcome</html>", "  <html>", "", "<xml/>", "Welcome"] {
        let error = greeting(200, "", body).peer().hello().unwrap_err();
        assert_eq!(error.kind(), Kind::Malformed, "{body}");
        assert!(error.to_string().contains("is this the address of an Entente or Eden site?"), "{error}");
    }
    let error = greeting(404, "", "<html>Not here</html>").peer().hello().unwrap_err();
    assert!(error.kind() == Kind::Malformed && error.to_string().contains("status 404"), "{error}");
}

#[test]
fn a_redirect_is_refused_and_named() {
    let script = greeting(302, "Location: https://elsewhere.example/\r\n", "");
    let error = script.peer().hello().unwrap_err();
    assert!(error.to_string().contains("https://elsewhere.example/"), "{error}");
    assert_eq!((error.kind(), script.asked("GET")), (Kind::Malformed, 1));
}

#[test]
fn a_refusal_keeps_its_kind_and_its_words() {
    for kind in [Kind::Forbidden, Kind::Fence, Kind::Epoch, Kind::Undecided, Kind::Paused, Kind::TooLarge] {
        let error = greeting(kind.status(), "", wire::refusal(kind, "Because of that")).peer().hello().unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains("Because of that"), "{error}");
    }
}

#[test]
fn what_may_pass_is_tried_again_and_nothing_else() {
    for (status, kind, tries) in
        [(503, Kind::Busy, 3), (429, Kind::Limited, 3), (502, Kind::Unreachable, 3), (403, Kind::Forbidden, 1), (503, Kind::Paused, 1)]
    {
        let body = wire::refusal(kind, "x");
        let script = Script::run(move |head, _| if head.contains("/sync/session") { session("t") } else { answer(status, "", &body) });
        let error = Entente::new(Settings { retries: 2, ..script.settings() }).unwrap().hello().unwrap_err();
        assert_eq!((error.kind(), script.asked("GET")), (kind, tries), "{status}");
    }
    let gateway = greeting(504, "", "<html>Gateway</html>");
    let error = Entente::new(Settings { retries: 1, ..gateway.settings() }).unwrap().hello().unwrap_err();
    assert_eq!((error.kind(), gateway.asked("GET")), (Kind::Timeout, 2));
}

#[test]
fn a_peer_that_asks_for_a_pause_gets_it() {
    let script = Script::run(|head, count| match count {
        _ if head.contains("/sync/session") => session("t"),
        1 => answer(429, "Retry-After: 1\r\n", &wire::refusal(Kind::Limited, "x")),
        _ => answer(200, "", &hello_body()),
    });
    let began = Instant::now();
    Entente::new(Settings { retries: 1, ..script.settings() }).unwrap().hello().unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[test]
fn an_answer_cut_at_any_byte_is_an_error() {
    let (whole, cut) = (answer(200, "", &hello_body()), Arc::new(Mutex::new(0)));
    let (script_cut, answered) = (cut.clone(), whole.clone());
    let script = Script::run(
        move |head, _| {
            if head.contains("/sync/session") { session("t") } else { answered[..*script_cut.lock().unwrap()].to_vec() }
        },
    );
    let peer = script.peer();
    for at in 0..whole.len() {
        *cut.lock().unwrap() = at;
        let error = peer.hello().unwrap_err();
        assert!(error.kind().retry(), "{at}: {}", error.chain());
    }
    *cut.lock().unwrap() = whole.len();
    peer.hello().unwrap();
}

#[test]
fn a_peer_that_never_answers_is_left_after_the_time_limit() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let script = greeting(200, "", "");
    let url = format!("http://{}", silent.local_addr().unwrap());
    let timeouts = Timeouts { idle: Duration::from_millis(200), ..Timeouts::default() };
    let began = Instant::now();
    let error = Entente::new(Settings { url, timeouts, ..script.settings() }).unwrap().hello().unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout, "{}", error.chain());
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_body_over_the_limit_is_not_read_to_its_end() {
    let limits = Limits { body: 1000, ..Limits::default() };
    let endless =
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".iter().copied().chain(std::iter::repeat_n(b' ', 5000)).collect::<Vec<u8>>();
    for whole in [answer(200, "", &[b' '; 5000]), endless] {
        let script = Script::run(move |head, _| if head.contains("/sync/session") { session("t") } else { whole.clone() });
        let error = Entente::new(Settings { limits, ..script.settings() }).unwrap().hello().unwrap_err();
        assert_eq!(error.kind(), Kind::TooLarge, "{}", error.chain());
    }
}

#[test]
fn packed_answers_are_unpacked_within_limits_and_unknown_packings_refused() {
    let packed = zstd::encode_all(hello_body().as_slice(), 1).unwrap();
    greeting(200, "Content-Encoding: zstd\r\n", packed).peer().hello().unwrap();
    let error = greeting(200, "Content-Encoding: br\r\n", hello_body()).peer().hello().unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    let bomb = zstd::encode_all(vec![b' '; 100 << 20].as_slice(), 1).unwrap();
    let error = greeting(200, "Content-Encoding: zstd\r\n", bomb).peer().hello().unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge);
}

#[test]
fn a_closed_port_and_an_unknown_host_are_told_without_secrets() {
    let script = greeting(200, "", "");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (url, words) in [(format!("http://{closed}"), "refused the connection"), ("http://nobody.invalid".into(), "is not known")] {
        let error = Entente::new(Settings { url: url.clone(), ..script.settings() }).unwrap().hello().unwrap_err();
        let told = error.chain();
        assert_eq!(error.kind(), Kind::Unreachable, "{told}");
        assert!(told.contains(&url) && told.contains(words) && error.next_step().is_some(), "{told}");
        assert!(!told.contains("secret") && !told.contains("repository="), "{told}");
    }
}

#[test]
fn a_proxy_is_asked_in_place_of_the_site_and_its_password_stays_untold() {
    let script = greeting(200, "", hello_body());
    let through = |proxy: String| {
        let settings = Settings { url: "http://far.example/base".into(), proxy: Some(proxy), ..script.settings() };
        Entente::new(settings).unwrap().hello()
    };
    through(format!("http://user:hidden@{}", script.address)).unwrap();
    assert_eq!(script.asked("GET http://far.example/base/sync/hello?"), 1);
    assert!(script.asked.lock().unwrap().iter().all(|head| head.contains("proxy-authorization: Basic dXNlcjpoaWRkZW4=")));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for scheme in ["http", "socks5"] {
        let told = through(format!("{scheme}://user:hidden@{closed}")).unwrap_err().chain();
        assert!(told.contains("proxy") && !told.contains("hidden"), "{told}");
    }
}

#[test]
fn bodies_both_ways_are_counted() {
    let script = greeting(200, "", hello_body());
    let peer = script.peer();
    peer.hello().unwrap();
    let before = peer.traffic();
    assert!(before >= hello_body().len() as u64);
    let registration = Registration { uuid: "urn:x".into(), name: None, apitype: None, url: None, entente: None };
    let _ = peer.register(&registration);
    let sent = serde_json::to_vec(&registration).unwrap().len() + hello_body().len();
    assert!((peer.traffic() - before).abs_diff(sent as u64) < 4);
}

#[test]
fn calls_work_on_a_blocking_thread_of_another_runtime() {
    let script = greeting(200, "", hello_body());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let peer = script.peer();
    let name = runtime.block_on(async { tokio::task::spawn_blocking(move || peer.hello().unwrap().hello.name).await.unwrap() });
    assert_eq!(name, "far");
}

#[test]
fn a_listener_hears_changes_and_stops_within_a_second() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let script = greeting(200, "", "");
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let mut first = listener.accept().unwrap().0;
        head(&mut first);
        first.write_all(&session("t")).unwrap();
        let mut second = listener.accept().unwrap().0;
        assert!(head(&mut second).starts_with("GET /sync/events?"));
        second.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: changed\ndata: team\n\n").unwrap();
        thread::sleep(Duration::from_secs(20));
    });
    let peer = Entente::new(Settings { url, ..script.settings() }).unwrap();
    let stop = AtomicBool::new(false);
    let (mut heard, mut began) = (Vec::new(), None);
    peer.listen(&stop, &mut |name| {
        heard.push(name.to_owned());
        began = Some(Instant::now());
        stop.store(true, Relaxed);
    })
    .unwrap();
    assert_eq!(heard, ["team"]);
    assert!(began.unwrap().elapsed() < Duration::from_secs(1));
}
