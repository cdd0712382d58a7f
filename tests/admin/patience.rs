//! Pages come at once, also while another site does not answer.

use std::{
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use crate::{
    http::Caller,
    pages::{Parts, inside},
    stage::Stage,
};

/// Longer than any page takes on a busy machine, and much shorter than a silent site is waited for.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Takes calls and never says a word. Who called is kept, so that the line stays open.
fn silent() -> (String, Arc<Mutex<Vec<TcpStream>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let callers: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    let kept = callers.clone();
    thread::spawn(move || listener.incoming().flatten().for_each(|caller| kept.lock().unwrap().push(caller)));
    (format!("http://{address}"), callers)
}

#[test]
fn no_page_and_no_look_by_the_api_waits_for_a_site_that_does_not_answer() {
    let stage = Stage::full();
    let paths = inside(&stage);
    let (url, callers) = silent();
    stage.house.sql("north/entente.db", &format!("UPDATE repository SET url = '{url}'"));
    let mut caller = Caller::signed_in(&stage.home, "root");
    let api =
        ["/site", "/repositories", "/repositories/south", "/repositories/south/resources", "/repositories/south/verified", "/runs/running"];
    let watched = ["/healthz", "/readyz", "/metrics"].map(String::from);
    for path in paths.into_iter().chain(api.map(|path| format!("/api/v1{path}"))).chain(watched) {
        let begun = Instant::now();
        let answer = caller.get(&path);
        assert!(begun.elapsed() < AT_ONCE && answer.status < 500, "{path} took {:?}: {}", begun.elapsed(), answer.status);
    }
    assert_eq!(callers.lock().unwrap().len(), 0, "nobody asked for a call");
}

#[test]
fn what_another_site_offers_is_shown_with_its_age_and_asked_again_on_request() {
    let stage = Stage::full();
    let parts = Parts::of(&stage);
    let (list, ask) = (parts.fill("/repositories/{id}/resources"), parts.fill("/repositories/{id}/offer"));
    let mut caller = Caller::signed_in(&stage.home, "root");
    let shown = caller.get(&list).body;
    assert!(shown.contains("south said what it offers") && shown.contains("Ask it now"), "{shown}");
    stage.house.sql("south.db", "CREATE TABLE tool (id INTEGER PRIMARY KEY, name TEXT)");
    stage.house.ok("south", "attach app sqlite:south.db --table tool");
    assert!(!caller.get(&list).body.contains("tool"), "it has not been asked");
    assert_eq!(caller.submit(&ask, &[]).status, 303);
    let shown = caller.get(&list).body;
    assert!(shown.contains("south offers these, too") && shown.contains("tool"), "{shown}");
    stage.house.sql("north/entente.db", "UPDATE repository SET url = 'http://127.0.0.1:9'");
    assert_eq!(caller.submit(&ask, &[]).status, 303);
    let shown = caller.get(&list).body;
    assert!(shown.contains("south could not be asked") && shown.contains("tool"), "what it said before still stands there: {shown}");
}

#[test]
fn what_waits_at_either_side_is_shown_at_both() {
    let stage = Stage::full();
    stage.house.sql("north.db", "INSERT INTO contact VALUES ('kim', 'Kim', 'Ulm', '1')");
    stage.house.sql("south.db", "INSERT INTO contact VALUES ('lea', 'Lea', 'Ulm', '2'), ('max', 'Max', 'Ulm', '3')");
    stage.house.ok("north", "repository test south");
    let mut caller = Caller::signed_in(&stage.home, "root");
    let home = caller.get("/").body;
    assert!(home.contains("1 here") && home.contains("2 there, it said"), "{home}");
    let south = stage.house.ok("south", "--format json repository list").json();
    assert_eq!((south[0]["waiting_here"].as_u64(), south[0]["waiting_there"].as_u64()), (Some(2), Some(1)), "{south}");
    stage.house.run("north", "sync south");
    let south = stage.house.ok("south", "--format json repository list").json();
    assert_eq!((south[0]["waiting_here"].as_u64(), south[0]["waiting_there"].as_u64()), (Some(0), Some(0)), "{south}");
}
