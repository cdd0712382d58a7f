//! Every operation of the document is called, well and badly, and answers what the document says.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{
    book::{Book, basic, is_problem, send},
    story::Story,
};
use crate::served::Served;

const NONE: Value = Value::Null;

#[test]
fn every_operation_answers_what_the_document_says() {
    let story = Story::new();
    attached(&story);
    people(&story);
    registered(&story);
    shared(&story);
    scheduled(&story);
    ran(&story);
    asked(&story);
    quarantined(&story);
    decided(&story);
    undone(&story);
    compared(&story);
    removed(&story);
    badly(&story);
    assert_eq!(story.book.missed(), Vec::<String>::new());
}

fn attached(story: &Story) {
    let site = story.well("GET /site", NONE);
    assert_eq!((site["uuid"].as_str(), site["paused"].as_bool()), (Some(story.laptop.site.id.to_string().as_str()), Some(false)));
    assert_eq!(story.well("POST /site/pause", NONE)["paused"], true);
    assert_eq!(story.well("GET /site", NONE)["paused"], true);
    assert_eq!(story.well("POST /site/resume", NONE)["paused"], false);
    let named = story.well("PATCH /site", json!({"name": "field station", "proxy": "http://me:tops3cret@proxy:3128"}));
    assert_eq!((named["name"].as_str(), named["proxy"].as_str()), (Some("field station"), Some("http://…@proxy:3128")));
    assert_eq!(story.well("PATCH /site", json!({"name": "laptop", "proxy": null}))["proxy"], NONE);
    story.fails("PATCH /site", json!({}), 400);
    story.fails("PATCH /site", json!({"name": ""}), 400);
    let survey = story.well("POST /survey", json!({"url": story.url()}));
    assert_eq!((survey[1]["table"].as_str(), survey[1]["identity"].as_str()), (Some("team"), Some("assigned")), "{survey}");
    story.begin();
    assert_eq!(story.well("POST /survey", json!({"database": "app"}))[1]["attached"], "team");
    assert_eq!(story.well("GET /databases", NONE)[0]["tables"][0]["resource"], "team");
    assert_eq!(story.well("GET /databases/app", NONE)["tables"][0]["records"], 0);
    assert_eq!(story.well("GET /tables", NONE), json!([{"resource": "team", "database": "app", "table": "team"}]));
    story.fails("POST /databases", json!({"name": "app", "url": story.url(), "tables": []}), 400);
    story.fails("POST /databases", json!({"name": "b", "url": "sqlite:/nowhere/x.db", "tables": [{"table": "t"}]}), 404);
}

fn people(story: &Story) {
    let new = json!({"name": "vera", "role": "viewer", "password": "right"});
    assert_eq!(story.well("POST /accounts", new.clone())["role"], "viewer");
    story.fails("POST /accounts", new, 409);
    story.fails("POST /accounts", json!({"name": "v", "role": "viewer", "password": "x", "pull": true}), 400);
    let peer =
        story.well("POST /accounts", json!({"name": "field", "role": "peer", "password": "x", "push": false, "resources": ["team"]}));
    assert_eq!((peer["pull"].as_bool(), peer["push"].as_bool()), (Some(true), Some(false)));
    assert_eq!(story.well("GET /accounts", NONE)["items"].as_array().unwrap().len(), 4);
    let first = story.well("GET /accounts?limit=3", NONE);
    let rest = story.well(&format!("GET /accounts?after={}", first["next"].as_str().unwrap()), NONE);
    assert_eq!(
        (rest["items"].as_array().unwrap().len(), rest["items"][0]["name"].as_str(), rest["next"].is_null()),
        (1, Some("vera"), true)
    );
    story.well("PUT /accounts/vera/password", json!({"password": "other"}));
    story.well("DELETE /accounts/field", NONE);
    let made = story.book.send(&story.laptop, &basic("root"), "POST /api/v1/tokens", &json!({"name": "backup", "scope": "read"}));
    assert_eq!(made.status, 201);
    assert!(made.json()["token"].as_str().unwrap().starts_with("entente_"));
    let own = story.book.send(&story.laptop, &basic("root"), "GET /api/v1/tokens", &NONE).json();
    assert_eq!((own["items"][0]["name"].as_str(), own["items"].as_array().unwrap().len()), (Some("backup"), 1));
    story.fails("POST /tokens", json!({"name": "child", "scope": "read"}), 403);
    story.fails("DELETE /tokens/backup", NONE, 404);
    assert_eq!(story.book.send(&story.laptop, &basic("root"), "DELETE /api/v1/tokens/backup", &NONE).status, 204);
}

fn registered(story: &Story) {
    let page = story.well("GET /repositories", NONE);
    assert_eq!((page["items"][0]["name"].as_str(), page["items"][0]["health"].as_str()), (Some("hub"), Some("unknown")));
    let tested = story.well("POST /repositories/hub/test", NONE);
    assert_eq!(tested["uuid"], story.hub.site.id.to_string());
    assert_eq!(tested["resources"], json!([{"name": "team", "mode": "both"}]));
    let known = story.well("GET /repositories/hub", NONE);
    assert_eq!((known["offer"].clone(), known["type"].as_str()), (json!([{"name": "team", "mode": "both"}]), Some("entente")));
    assert!(known["offer_said"].is_string() && known["waiting_there_said"].is_string(), "{known}");
    assert_eq!(story.well("PATCH /repositories/hub", json!({"type": "eden"}))["type"], "eden");
    assert_eq!(story.well("PATCH /repositories/hub", json!({"type": "entente"}))["type"], "entente");
    story.fails("PATCH /repositories/hub", json!({"type": "fax"}), 400);
    assert_eq!(story.well("PATCH /repositories/hub", json!({"accept_pushes": false, "proxy": null}))["accept_pushes"], false);
    story.fails("PATCH /repositories/hub", json!({}), 400);
    story.fails("PATCH /repositories/hub", json!({"user": "other"}), 400);
    let away = json!({"name": "away", "url": "http://127.0.0.1:1", "user": "u", "password": "tops3cret", "proxy": "http://me:tops3cret@127.0.0.1:1"});
    let added = story.send("POST /repositories", away);
    assert_eq!(added.status, 201);
    assert!(added.json()["warning"].as_str().unwrap().contains("register by hand"), "{}", added.json());
    story.fails("POST /repositories/away/test", NONE, 502);
    let (first, second) = (story.send("GET /repositories?limit=1", NONE), story.send("GET /repositories/away", NONE));
    assert_eq!(first.json()["next"], "away");
    assert_eq!(story.well("GET /repositories?limit=1&after=away", NONE)["items"][0]["name"], "hub");
    for answer in [added, first, second] {
        assert!(!String::from_utf8_lossy(&answer.body).contains("tops3cret"));
    }
    story.well("DELETE /repositories/away", NONE);
}

fn shared(story: &Story) {
    assert_eq!(story.well("GET /repositories/hub/resources", NONE)["items"][0]["conflict"], "MANUAL");
    let rules = json!({"strategy": "create,update,delete", "filters": ["~.name__like=T*"]});
    assert_eq!(story.well("PATCH /repositories/hub/resources/team", rules)["strategy"], "create,update,delete");
    story.well("PATCH /repositories/hub/resources/team", json!({"filters": [], "strategy": "create,update,delete,merge"}));
    assert_eq!(story.well("GET /repositories/hub/resources/team", NONE)["filters"], json!([]));
    let bad = story.fails("PATCH /repositories/hub/resources/team", json!({"modus": "pull"}), 400);
    assert!(bad["detail"].as_str().unwrap().contains("unknown field `modus`"), "{bad}");
    story.fails("PATCH /repositories/hub/resources/team", json!({"filters": ["~.nothing=1"]}), 400);
    let spare = story.well("POST /repositories/hub/resources", json!({"name": "spare"}));
    assert!(spare["warning"].as_str().unwrap().contains("no table is attached"));
    let page = story.well("GET /repositories/hub/resources?limit=1", NONE);
    assert_eq!((page["items"][0]["name"].as_str(), page["next"].as_str()), (Some("spare"), Some("spare")));
    assert_eq!(story.well("GET /repositories/hub/resources?after=spare", NONE)["items"][0]["name"], "team");
    let page = story.well("GET /resources?limit=1", NONE);
    let rest = story.well(&format!("GET /resources?after={}", page["next"].as_str().unwrap()), NONE);
    assert_eq!(
        (page["items"][0]["name"].as_str(), rest["items"][0]["name"].as_str(), rest["next"].is_null()),
        (Some("team"), Some("spare"), true)
    );
    story.well("DELETE /repositories/hub/resources/spare", NONE);
    assert_eq!(story.well("GET /resources", NONE)["items"].as_array().unwrap().len(), 1);
}

fn scheduled(story: &Story) {
    let jobs = story.well("GET /jobs?repository=hub", NONE);
    let jobs = &jobs["items"];
    let id = jobs[0]["id"].as_i64().unwrap();
    assert_eq!(jobs[0]["next_runs"].as_array().unwrap().len(), 5);
    let set = story.well(&format!("PATCH /jobs/{id}"), json!({"priority": -3, "start": "2020-01-01T00:00:00+01:00", "end": null}));
    assert_eq!((set["priority"].as_i64(), set["start"].as_str()), (Some(-3), Some("2019-12-31T23:00:00.000000Z")));
    assert_eq!(story.well(&format!("GET /jobs/{id}"), NONE)["every"], 3600);
    assert_eq!(story.well("GET /jobs/preview?cron=0%203%20*%20*%20*&zone=Europe/Berlin&count=3", NONE).as_array().unwrap().len(), 3);
    for bad in ["cron=never", "every=5", "every=60&cron=0%203%20*%20*%20*", "", "every=60&count=0", "every=60&zone=Nowhere"] {
        story.fails(&format!("GET /jobs/preview?{bad}"), NONE, 400);
    }
    story.fails("POST /jobs", json!({"repository": "hub", "plan": {"every": 60, "cron": "* * * * *"}}), 400);
    let second = story.well("POST /jobs", json!({"repository": "hub", "plan": {"cron": "0 3 * * *", "enabled": false}}));
    let page = story.well("GET /jobs?limit=1", NONE);
    assert_eq!((page["items"][0]["id"].clone(), page["next"].as_str()), (json!(id), Some(id.to_string().as_str())));
    assert_eq!(story.well(&format!("GET /jobs?limit=1&after={id}"), NONE), json!({"items": [second], "next": null}));
    story.fails("GET /jobs?after=soon", NONE, 400);
    story.well(&format!("DELETE /jobs/{}", second["id"]), NONE);
    assert_eq!(story.well(&format!("POST /jobs/{id}/now"), NONE)["id"], id);
    story.work();
}

fn compared(story: &Story) {
    story.there.insert(70..72);
    story.well("POST /repositories/hub/test", NONE);
    assert_eq!(story.well("GET /repositories", NONE)["items"][0]["waiting_there"], 2);
    let found = story.well("POST /repositories/hub/verify", json!({"limit": 1}));
    assert_eq!((found[0]["resource"].as_str(), found[0]["error"].is_null()), (Some("team"), true));
    assert!(found[0]["differing"].as_i64() >= Some(2) && found[0]["reasons"].is_array(), "{found}");
    assert_eq!(found[0]["differences"].as_array().unwrap().len(), 1);
    let shown = story.well("POST /repositories/hub/resources/team/compare", json!({}));
    let missing =
        shown["differences"].as_array().unwrap().iter().find(|one| one["theirs"]["fields"]["name"] == "Team <70> & friends").unwrap();
    assert_eq!((missing["how"].as_str(), missing["ours"].is_null()), (Some("missing_here"), true), "{shown}");
    story.fails("POST /repositories/hub/verify", json!({"resources": ["nothing"]}), 404);
    story.fails("POST /repositories/hub/resources/nothing/compare", json!({}), 404);
    story.sync();
    let known = story.well("GET /repositories/hub", NONE);
    assert_eq!((known["waiting_here"].as_i64(), known["waiting_there"].as_i64()), (Some(0), Some(0)), "{known}");
    let swept = story.well("POST /databases/app/sweep", NONE);
    assert_eq!((swept[0]["resource"].as_str(), swept[0]["added"].as_i64()), (Some("team"), Some(0)));
    story.fails("POST /databases/nothing/sweep", NONE, 404);
}

fn ran(story: &Story) {
    story.there.insert(1..4);
    let run = story.sync();
    assert_eq!((run["result"].as_str(), run["counts"]["created"].as_i64()), (Some("success"), Some(3)), "{run}");
    let shown = story.well(&format!("GET /runs/{}", run["id"]), NONE);
    assert!(shown["parts"].as_array().unwrap().iter().any(|part| part["action"] == "pull"), "{shown}");
    story.well(&format!("GET /log/{}", run["id"]), NONE);
    let first = story.well("GET /log?limit=2&repository=hub", NONE);
    let second = story.well(&format!("GET /log?limit=2&repository=hub&before={}", first["next"].as_str().unwrap()), NONE);
    assert!(second["items"][0]["id"].as_i64() < first["items"][1]["id"].as_i64());
    assert_eq!(story.well("GET /log?text=no+such+words", NONE), json!({"items": [], "next": null}));
    assert_eq!(story.well("GET /runs?result=error", NONE)["items"], json!([]));
    let exported = story.well("GET /log/export.json?action=run", NONE);
    assert_eq!(exported[0]["id"], run["id"]);
    let csv = story.send("GET /log/export.csv?action=run", NONE);
    let lines = String::from_utf8(csv.body).unwrap();
    assert_eq!(lines.lines().count(), exported.as_array().unwrap().len() + 1);
    assert!(lines.lines().nth(1).unwrap().starts_with(&run["id"].to_string()), "{lines}");
    assert!(story.well("GET /repositories/hub/verified", NONE)[0]["verified_at"].is_string());
    let hub = story.well("GET /repositories/hub", NONE);
    assert_eq!((hub["health"].as_str(), hub["runs"].as_array().unwrap().len()), (Some("green"), 2));
    let known = story.laptop.site.now();
    let changes = story.well("GET /log?action=change&text=Sync+now", NONE);
    assert!(changes["items"][0]["message"].as_str().unwrap().contains("by the token \"program\""), "{known} {changes}");
}

/// The worker makes what was asked for, and nothing else.
fn asked(story: &Story) {
    story.there.insert(60..62);
    let tried = story.well("POST /repositories/hub/resources/team/dry-run", NONE);
    assert_eq!((tried["dry_run"].as_bool(), tried["resources"].clone()), (Some(true), json!(["team"])));
    assert_eq!(story.well("GET /runs/asked", NONE)[0]["job"], tried["job"]);
    story.fails(&format!("GET /jobs/{}", tried["job"]), NONE, 404);
    story.work();
    assert_eq!(story.well("GET /runs/asked", NONE), json!([]));
    let run =
        story.well(&format!("GET /runs?limit=1&repository=hub&from={}", tried["asked_on"].as_str().unwrap()), NONE)["items"][0].clone();
    assert!(run["message"].as_str().unwrap().starts_with("Dry run: 2 records would travel"), "{run}");
    assert_eq!(story.here.query_row("SELECT count(*) FROM team", [], |row| row.get::<_, i64>(0)).unwrap(), 3);
    story.here.execute_batch("INSERT INTO team (name) VALUES ('ours')").unwrap();
    story.well("POST /runs", json!({"repository": "hub", "push": false, "resources": ["team"]}));
    story.work();
    assert!(!story.there.names().contains(&"ours".to_owned()));
    let full = story.well("POST /runs", json!({"repository": "hub", "full": true}));
    assert_eq!(story.well("POST /runs", json!({"repository": "hub", "full": true}))["job"], full["job"]);
    story.work();
    assert!(story.there.names().contains(&"ours".to_owned()));
    assert_eq!(story.well("GET /runs/running", NONE), json!([]));
    for bad in [json!({"pull": false, "push": false}), json!({"resources": []}), json!({"named": ["urn:x"]})] {
        let mut wanted = json!({"repository": "hub"});
        wanted.as_object_mut().unwrap().extend(bad.as_object().unwrap().clone());
        story.fails("POST /runs", wanted, 400);
    }
    assert!(story.well("GET /site/traffic?hours=2", NONE)[1]["received"].as_i64().unwrap() >= 5);
    story.fails("GET /site/traffic?hours=0", NONE, 400);
}

fn quarantined(story: &Story) {
    for number in 10..15 {
        story.there.write(&format!("INSERT INTO team VALUES ({number}, 'a name that is too long for {number}', NULL)"));
    }
    assert_eq!(story.sync()["counts"]["quarantined"], 5);
    let first = story.well("GET /quarantine?limit=2", NONE);
    let next = first["next"].as_str().unwrap();
    let rest = story.well(&format!("GET /quarantine?after={next}"), NONE);
    let numbers: Vec<String> = [&first, &rest]
        .iter()
        .flat_map(|page| page["items"].as_array().unwrap())
        .map(|one| one["number"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(numbers.len(), 5);
    let shown = story.well(&format!("GET /quarantine/{}", numbers[0]), NONE);
    assert!(shown["version"]["fields"]["name"].as_str().unwrap().contains("too long"), "{shown}");
    assert_eq!(story.well(&format!("POST /quarantine/{}/retry", numbers[0]), NONE)["settled"], false);
    story.fails(&format!("POST /quarantine/{}/edit", numbers[0]), json!({"values": {"name": "this is far too long again"}}), 409);
    story.fails(&format!("POST /quarantine/{}/edit", numbers[0]), json!({"values": {"nothing": "x"}}), 400);
    assert_eq!(
        story.well(&format!("POST /quarantine/{}/edit", numbers[0]), json!({"values": {"name": "short", "notes": null}}))["settled"],
        true
    );
    assert_eq!(story.well(&format!("POST /quarantine/{}/dismiss", numbers[1]), NONE)["settled"], true);
    let several = story.well("POST /quarantine", json!({"action": "dismiss", "numbers": [&numbers[2], &numbers[0]]}));
    assert_eq!((several[0]["settled"].as_bool(), several[1]["settled"].as_bool()), (Some(true), Some(false)));
    assert_eq!(story.well("POST /quarantine", json!({"action": "retry", "numbers": [&numbers[3]]}))[0]["settled"], false);
    story.fails("POST /quarantine", json!({"action": "retry", "numbers": []}), 400);
    assert_eq!(story.well("GET /quarantine", NONE)["items"].as_array().unwrap().len(), 2);
}

fn decided(story: &Story) {
    story.sync();
    for number in 1..4 {
        story.there.write(&format!("UPDATE team SET name = 'there' WHERE number = {number}"));
        story.here.execute("UPDATE team SET name = 'here' WHERE number = ?1", [number]).unwrap();
    }
    story.sync();
    let first = story.well("GET /conflicts?limit=2&open=true&repository=hub", NONE);
    let rest = story.well(&format!("GET /conflicts?before={}", first["next"].as_str().unwrap()), NONE);
    assert_eq!((first["items"].as_array().unwrap().len(), rest["items"].as_array().unwrap().len()), (2, 1));
    let number = rest["items"][0]["number"].as_str().unwrap();
    let shown = story.well(&format!("GET /conflicts/{number}"), NONE);
    let name = shown["fields"].as_array().unwrap().iter().find(|field| field["field"] == "name").unwrap();
    assert_eq!((name["ours"].as_str(), name["theirs"].as_str(), name["differs"].as_bool()), (Some("here"), Some("there"), Some(true)));
    for bad in
        [json!({}), json!({"keep": "ours", "fields": {"name": "ours"}}), json!({"keep": "both"}), json!({"fields": {"nothing": "theirs"}})]
    {
        story.fails(&format!("POST /conflicts/{number}/resolve"), bad, 400);
    }
    let decided = story.well(&format!("POST /conflicts/{number}/resolve"), json!({"fields": {"name": "theirs", "notes": "ours"}}));
    assert_eq!((decided["changed"].as_bool(), decided["conflict"]["choice"].as_str()), (Some(true), Some("name=theirs")));
    assert_eq!(story.well(&format!("POST /conflicts/{number}/undo"), NONE)["conflict"]["open"], true);
    story.fails(&format!("POST /conflicts/{number}/undo"), NONE, 409);
    story.well(&format!("POST /conflicts/{number}/resolve"), json!({"keep": "theirs"}));
    let uid = shown["uid"].as_str().unwrap();
    let history = story.well(&format!("GET /history?resource=team&uid={uid}"), NONE);
    assert_eq!(history["now"]["fields"]["name"], "there");
    let past = history["entries"].as_array().unwrap().iter().find(|entry| entry["version"]["fields"]["name"] == "here").unwrap();
    assert_eq!(story.well(&format!("POST /history/{}/restore", past["number"].as_str().unwrap()), NONE)["changed"], true);
    let name: String = story.here.query_row("SELECT name FROM team WHERE name = 'here' LIMIT 1", [], |row| row.get(0)).unwrap();
    assert_eq!(name, "here");
    assert!(!story.there.names().contains(&"here".to_owned()));
    let moved = story.well("POST /runs", json!({"repository": "hub", "resources": ["team"], "records": [uid], "pull": false}));
    assert_eq!(moved["records"], json!([uid]));
    story.work();
    assert!(story.there.names().contains(&"here".to_owned()));
    story.fails("POST /runs", json!({"repository": "hub", "records": [uid]}), 400);
    story.fails("POST /runs", json!({"repository": "hub", "resources": ["team"], "records": ["no uid"]}), 400);
}

fn undone(story: &Story) {
    story.there.insert(30..32);
    let run = story.sync();
    let undone = story.well(&format!("POST /runs/{}/rollback", run["id"]), NONE);
    assert_eq!(undone["removed"], 2, "{undone}");
    let change = story.well("GET /log?action=change&limit=1", NONE)["items"][0]["id"].clone();
    story.fails(&format!("GET /runs/{change}"), NONE, 404);
}

fn removed(story: &Story) {
    let job = story.well("GET /jobs", NONE)["items"][0]["id"].clone();
    story.well(&format!("PATCH /jobs/{job}"), json!({"enabled": false}));
    story.fails("POST /runs", json!({"repository": "nobody"}), 404);
    story.well("POST /site/pause", NONE);
    story.fails("POST /runs", json!({"repository": "hub"}), 503);
    story.well("POST /site/resume", NONE);
    story.well("DELETE /repositories/hub/resources/team", NONE);
    story.well("DELETE /repositories/hub", NONE);
    story.well("DELETE /databases/app?drop_journal=true", NONE);
    story.well("DELETE /accounts/vera", NONE);
    let before = story.laptop.site.id.to_string();
    assert_ne!(story.well("POST /site/new-identity", NONE)["uuid"], before);
}

/// No operation takes a parameter that it does not know.
fn badly(story: &Story) {
    for operation in story.book.operations() {
        let line = format!("{} {}?nonsense=1", operation.method, operation.filled("1"));
        let answer = story.book.send(&story.laptop, &story.admin, &line, &NONE);
        is_problem(&answer, 400, "usage");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("nonsense"), "{line}: {detail}");
    }
}

#[test]
fn a_body_is_json_within_limits_and_its_fields_are_known() {
    let story = Story::new();
    let line = "POST /api/v1/repositories";
    let ask =
        |headers: &str, body: &[u8]| story.laptop.ask(line, &format!("{}{headers}Content-Length: {}\r\n", story.admin, body.len()), body);
    let json = "Content-Type: application/json; charset=utf-8\r\n";
    is_problem(&ask(json, b"{"), 400, "malformed");
    is_problem(&ask(json, b""), 400, "malformed");
    is_problem(&ask("", b"{}"), 415, "unsupported");
    is_problem(&ask("Content-Type: application/x-www-form-urlencoded\r\n", b"name=x"), 415, "unsupported");
    is_problem(&ask(json, &vec![b' '; (1 << 20) + 1]), 413, "too_large");
    is_problem(&ask(&format!("{json}Content-Encoding: rot13\r\n"), b"{}"), 415, "unsupported");
    let deep = [br#"{"name": "#.as_slice(), "[".repeat(100_000).as_bytes()].concat();
    assert_eq!(ask(json, &deep).status, 400);
    is_problem(&ask(json, br#"["hub", null, null, null, null, null, null]"#), 400, "usage");
    let unknown = ask(json, br#"{"name": "x", "colour": "red"}"#);
    is_problem(&unknown, 400, "usage");
    assert!(unknown.json()["detail"].as_str().unwrap().contains("unknown field `colour`"));
}

#[test]
fn names_of_all_kinds_are_found_in_a_path() {
    let story = Story::new();
    for (name, path) in [("A/B 100%", "A%2FB%20100%25"), ("Büro +1", "B%C3%BCro%20+1"), ("..", "%2E%2E"), ("a?b#c", "a%3Fb%23c")] {
        story.well("POST /repositories", json!({"name": name}));
        assert_eq!(story.well(&format!("GET /repositories/{path}"), NONE)["name"], name);
        story.well(&format!("DELETE /repositories/{path}"), NONE);
    }
    story.fails("GET /repositories/%FF%FE", NONE, 404);
}

#[test]
fn the_routes_are_those_of_the_document_and_all_else_is_a_problem() {
    let site = Served::plain();
    let book = Book::of(&site);
    let all = book.operations();
    let paths: HashSet<&str> = all.iter().map(|operation| operation.path.as_str()).collect();
    for path in paths {
        let own: Vec<_> = all.iter().filter(|operation| operation.path == path).collect();
        let answer = send(&site, "", &format!("OPTIONS {}", own[0].filled("1")), &NONE);
        is_problem(&answer, 405, "usage");
        let line = answer.head.lines().find_map(|line| line.strip_prefix("allow: ")).unwrap().to_uppercase();
        let allowed: HashSet<&str> = line.split(", ").collect();
        assert_eq!(allowed, own.iter().map(|operation| operation.method.as_str()).collect::<HashSet<_>>(), "{path}");
    }
    for path in ["/api", "/api/", "/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v2/site", "/api/v1/site/x", "/api/v1/jobs/x/y"] {
        is_problem(&site.get(path, ""), 404, "not_found");
    }
    is_problem(&send(&site, "", "POST /api/docs", &NONE), 405, "usage");
    is_problem(&send(&site, "", "DELETE /api/v1/openapi.json", &NONE), 405, "usage");
}

#[test]
fn the_document_is_whole() {
    let site = Served::plain();
    let book = Book::of(&site);
    let ids: HashSet<String> = book.operations().iter().map(|operation| operation.described["operationId"].to_string()).collect();
    assert_eq!(ids.len(), book.operations().len());
    assert!(ids.len() > 50, "{}", ids.len());
    let mut waiting = vec![&book.document];
    let mut references = 0;
    while let Some(value) = waiting.pop() {
        match value {
            Value::Object(fields) => {
                if let Some(path) = fields.get("$ref").and_then(Value::as_str) {
                    references += 1;
                    assert!(book.document.pointer(path.strip_prefix('#').unwrap()).is_some(), "{path}");
                }
                waiting.extend(fields.values());
            }
            Value::Array(items) => waiting.extend(items),
            _ => {}
        }
    }
    assert!(references > 200, "{references}");
    for (name, schema) in book.document["components"]["schemas"].as_object().unwrap() {
        assert!(jsonschema::draft202012::meta::is_valid(schema), "{name}");
    }
    for operation in book.operations() {
        let named: HashSet<&str> = operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        let parameters = operation.described["parameters"].as_array().unwrap();
        let told: HashSet<&str> = parameters.iter().filter(|one| one["in"] == "path").map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(named, told, "{}", operation.path);
        assert!(parameters.iter().all(|one| one["description"].as_str().is_some_and(|text| !text.is_empty())), "{}", operation.path);
    }
}
