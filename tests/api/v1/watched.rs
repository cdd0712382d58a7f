//! What those see who watch a site: that it lives, that it can work, and its numbers.

use std::fs;

use entente::{model::Scope, store::log};
use serde_json::json;

use super::{
    book::is_problem,
    story::{Story, token},
};
use crate::served::Served;

/// As a proxy on this machine passes on what others ask.
const PROXIED: &str = "X-Forwarded-For: 192.0.2.1\r\n";

#[test]
fn a_site_is_ready_while_its_store_and_its_databases_can_be_opened() {
    let story = Story::new();
    story.begin();
    let ready = story.laptop.get("/readyz", "");
    assert_eq!(ready.status, 200);
    let checks = json!([{"name": "store", "ready": true}, {"name": "migrations", "ready": true}, {"name": "database app", "ready": true}]);
    assert_eq!(ready.json(), json!({"ready": true, "checks": checks}));
    assert_eq!(story.laptop.get("/readyz", PROXIED).status, 200);
    let file = story.url().strip_prefix("sqlite:").unwrap();
    fs::remove_file(file).unwrap();
    let ready = story.laptop.get("/readyz", "");
    assert_eq!((ready.status, ready.json()["ready"].as_bool()), (503, Some(false)));
    let broken = &ready.json()["checks"][2];
    assert_eq!((broken["name"].as_str(), broken["ready"].as_bool()), (Some("database app"), Some(false)));
    assert!(broken["error"].as_str().unwrap().contains("app.db"), "{broken}");
    // Who asks in a loop from outside is told what was seen a moment ago.
    assert_eq!(story.laptop.get("/readyz", PROXIED).status, 200);
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    let metrics = String::from_utf8(story.laptop.get("/metrics", "").body).unwrap();
    assert_eq!((number(&metrics, "entente_databases_unread"), number(&metrics, "entente_repositories")), (1.0, 1.0));
    let outside = story.laptop.get("/readyz", PROXIED);
    assert_eq!((outside.status, outside.json()["checks"][2].clone()), (503, json!({"name": "databases", "ready": false})));
    assert_eq!(story.laptop.get("/healthz", PROXIED).body, b"ok\n");
}

/// The number of a line of the metrics.
fn number(text: &str, line: &str) -> f64 {
    let found = text.lines().find_map(|one| one.strip_prefix(line)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {line} in\n{text}")).parse().unwrap()
}

#[test]
fn the_metrics_tell_what_the_runs_did_and_what_waits() {
    let story = Story::new();
    story.begin();
    story.there.insert(0..7);
    story.sync();
    story.there.write("INSERT INTO team VALUES (50, 'a name that is too long for it', NULL)");
    story.there.write("UPDATE team SET name = 'there' WHERE name LIKE '%<1>%'");
    story.here.execute_batch("UPDATE team SET name = 'here' WHERE name LIKE '%<1>%'").unwrap();
    let metrics = || String::from_utf8(story.laptop.get("/metrics", "").body).unwrap();
    let before = metrics();
    assert_eq!(number(&before, r#"entente_runs_total{repository="hub",result="success"}"#), 1.0);
    assert_eq!(number(&before, r#"entente_records_total{repository="hub",direction="pull",caller="outgoing",result="created"}"#), 7.0);
    let at = number(&before, r#"entente_last_success_timestamp_seconds{repository="hub"}"#);
    assert!((at - story.laptop.site.now().0 as f64 / 1e6).abs() < 60.0, "{at}");
    story.sync();
    let text = metrics();
    assert_eq!(number(&text, r#"entente_runs_total{repository="hub",result="success"}"#), 1.0);
    assert_eq!(number(&text, r#"entente_runs_total{repository="hub",result="warning"}"#), 1.0);
    assert_eq!(number(&text, r#"entente_conflicts_open{repository="hub"}"#), 1.0);
    assert_eq!(number(&text, r#"entente_quarantine{repository="hub"}"#), 1.0);
    assert!(number(&text, r#"entente_bytes_total{repository="hub",direction="pull",caller="outgoing"}"#) > 100.0);
    assert!(number(&text, r#"entente_last_run_duration_seconds{repository="hub"}"#) >= 0.0);
    assert_eq!(number(&text, r#"entente_pending_changes{repository="hub",resource="team"}"#), 0.0);
    story.here.execute_batch("INSERT INTO team (name) VALUES ('new'), ('newer')").unwrap();
    assert_eq!(number(&metrics(), r#"entente_pending_changes{repository="hub",resource="team"}"#), 2.0);
    let job = story.well("GET /jobs", serde_json::Value::Null)["items"][0]["id"].clone();
    story.well(&format!("POST /jobs/{job}/now"), serde_json::Value::Null);
    let text = metrics();
    assert_eq!((number(&text, "entente_jobs_due"), number(&text, "entente_paused")), (1.0, 0.0));
    assert!(number(&text, r#"entente_http_requests_total{class="2xx"}"#) > 10.0);
    assert!(text.ends_with("# EOF\n"));
    // Counters never go back, also when the log forgets.
    let store = &story.laptop.site.store;
    assert!(store.write(|c| log::purge(c, story.laptop.site.now(), 10_000)).unwrap() > 5);
    assert_eq!(number(&metrics(), r#"entente_runs_total{repository="hub",result="success"}"#), 1.0);
}

#[test]
fn the_metrics_are_for_this_machine_and_for_who_shows_a_token() {
    let site = Served::plain();
    assert_eq!(site.get("/metrics", "").status, 200);
    is_problem(&site.get("/metrics", PROXIED), 401, "unauthorized");
    let reader = token(&site, "prometheus", Scope::Read, None);
    let answer = site.get("/metrics", &format!("{PROXIED}{reader}"));
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: application/openmetrics-text"), "{}", answer.head);
}
