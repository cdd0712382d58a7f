//! Everything that the command line can do can be done in pages and by the API: each of its verbs and options says where.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;

use crate::{
    house::binary,
    http::Caller,
    pages::{Parts, templates},
    stage::Stage,
};

/// The verbs that stay with whoever sits at the machine, and why.
const AT_THE_MACHINE: [(&str, &str); 8] = [
    ("demo", "it makes sites of its own"),
    ("init", "there is no site before it; the name is set like any other setting"),
    ("up", "a process"),
    ("serve", "a process"),
    ("worker", "a process"),
    ("move-store", "it wants all processes to be stopped"),
    ("export", "it writes a file of the machine"),
    ("import", "it reads a file of the machine"),
];

/// A verb, the operation of the API, the page that does it, and where on both each of its options is: option, field of the API, field of the page.
/// A field that begins with a slash is an address of its own.
struct Verb(&'static str, &'static str, &'static str, &'static [(&'static str, &'static str, &'static str)]);

const REACH: [(&str, &str, &str); 7] = [
    ("url", "url", "url"),
    ("user", "user", "user"),
    ("password-file", "password", "password"),
    ("proxy", "proxy", "proxy"),
    ("uuid", "uuid", "uuid"),
    ("type", "type", "type"),
    ("accept-pushes", "accept_pushes", "accept_pushes"),
];
const RULES: [(&str, &str, &str); 8] = [
    ("mode", "mode", "mode"),
    ("strategy", "strategy", "strategy"),
    ("update", "update", "update"),
    ("conflict", "conflict", "conflict"),
    ("merge-fields", "merge_fields", "merge_fields"),
    ("accept-twins", "accept_twins", "accept_twins"),
    ("filter", "filters", "filters"),
    ("no-filter", "filters", "filters"),
];
const PLAN: [(&str, &str, &str); 12] = [
    ("every", "every", "every"),
    ("cron", "cron", "cron"),
    ("zone", "zone", "zone"),
    ("on-change", "on_change", "on_change"),
    ("start", "start", "start"),
    ("end", "end", "end"),
    ("repeat", "repeat", "repeat"),
    ("timeout", "timeout", "timeout"),
    ("retries", "retries", "retries"),
    ("priority", "priority", "priority"),
    ("disabled", "enabled", "enabled"),
    ("enabled", "enabled", "enabled"),
];

const VERBS: [Verb; 50] = [
    Verb("site", "GET /site", "/settings", &[("new-identity", "/site/new-identity", "/settings/identity")]),
    Verb(
        "attach",
        "POST /databases",
        "/attach/new",
        &[
            ("password-file", "url", "password"),
            ("table", "tables", "table"),
            ("identity", "identity", "identity-visit"),
            ("match", "match", "match-visit"),
            ("omit", "omit", "omit-visit"),
            ("components", "components", "components-visit"),
            ("map", "map", "map-visit"),
        ],
    ),
    Verb("detach", "DELETE /databases/{database}", "/attach/{name}/detach", &[("drop-journal", "drop_journal", "drop")]),
    Verb("sweep", "POST /databases/{database}/sweep", "POST /attach/{name}/sweep", &[]),
    Verb(
        "user add",
        "POST /accounts",
        "/users/new",
        &[
            ("role", "role", "role"),
            ("may", "pull", "pull"),
            ("resources", "resources", "resources"),
            ("password-file", "password", "password"),
        ],
    ),
    Verb("user list", "GET /accounts", "/users", &[]),
    Verb("user remove", "DELETE /accounts/{account}", "/users/{name}/remove", &[]),
    Verb("user password", "PUT /accounts/{account}/password", "/users/{name}/password", &[("password-file", "password", "password")]),
    // A token stands for whoever makes it; one for somebody else is made by them.
    Verb(
        "token add",
        "POST /tokens",
        "/users",
        &[("scope", "scope", "scope"), ("expires", "expires_on", "expires"), ("account", "/tokens", "/users")],
    ),
    Verb("token list", "GET /tokens", "/users", &[]),
    Verb("token remove", "DELETE /tokens/{token}", "POST /tokens/remove", &[]),
    Verb("repository add", "POST /repositories", "/repositories/new", &REACH),
    Verb("repository list", "GET /repositories", "/repositories", &[]),
    Verb("repository show", "GET /repositories/{repository}", "/repositories/{id}", &[]),
    Verb("repository test", "POST /repositories/{repository}/test", "POST /repositories/{id}/test", &[]),
    Verb(
        "repository set",
        "PATCH /repositories/{repository}",
        "/repositories/{id}",
        &[("name", "name", "name"), ("enabled", "enabled", "enabled")],
    ),
    Verb("repository set", "PATCH /repositories/{repository}", "/repositories/{id}", &REACH),
    Verb("repository remove", "DELETE /repositories/{repository}", "/repositories/{id}/remove", &[]),
    Verb("resource add", "POST /repositories/{repository}/resources", "/repositories/{id}/share", &RULES),
    Verb("resource list", "GET /repositories/{repository}/resources", "/repositories/{id}/resources", &[]),
    Verb("resource set", "PATCH /repositories/{repository}/resources/{resource}", "/repositories/{id}/resources/{name}", &RULES),
    Verb("resource remove", "DELETE /repositories/{repository}/resources/{resource}", "/repositories/{id}/resources/{name}/remove", &[]),
    Verb("job add", "POST /jobs", "/repositories/{id}/schedule/new", &PLAN),
    Verb("job list", "GET /jobs", "/repositories/{id}/schedule", &[]),
    Verb("job set", "PATCH /jobs/{job}", "/repositories/{id}/schedule/{job}", &PLAN),
    Verb("job remove", "DELETE /jobs/{job}", "/repositories/{id}/schedule/{job}/remove", &[]),
    Verb("job now", "POST /jobs/{job}/now", "POST /repositories/{id}/schedule/{job}/now", &[]),
    Verb(
        "sync",
        "POST /runs",
        "/repositories/{id}/run",
        &[
            ("all", "/runs", "/sync"),
            ("resource", "resources", "resource"),
            ("pull-only", "push", "way"),
            ("push-only", "pull", "way"),
            ("full", "full", "full"),
            ("dry-run", "dry_run", "dry_run"),
        ],
    ),
    Verb("verify", "POST /repositories/{repository}/verify", "/repositories/{id}/compare", &[("resource", "resources", "resource")]),
    Verb(
        "compare",
        "POST /repositories/{repository}/resources/{resource}/compare",
        "/repositories/{id}/compare",
        // A page shows what fits on it.
        &[("limit", "limit", "/repositories/{id}/compare")],
    ),
    Verb(
        "transfer",
        "POST /runs",
        "POST /repositories/{id}/transfer",
        &[("pull-only", "push", "/repositories/{id}/transfer"), ("push-only", "pull", "/repositories/{id}/transfer")],
    ),
    Verb(
        "log",
        "GET /log",
        "/log",
        &[("repository", "repository", "repository"), ("limit", "limit", "/log"), ("result", "result", "result")],
    ),
    Verb("log show", "GET /log/{entry}", "/log/{entry}", &[]),
    Verb(
        "conflicts",
        "GET /conflicts",
        "/conflicts",
        &[("repository", "repository", "/repositories/{id}/conflicts"), ("open", "open", "/conflicts"), ("limit", "limit", "/conflicts")],
    ),
    Verb("conflicts resolve", "POST /conflicts/{conflict}/resolve", "/conflicts/{number}", &[]),
    Verb("conflicts undo", "POST /conflicts/{conflict}/undo", "/conflicts/{number}", &[]),
    Verb("quarantine", "GET /quarantine", "/quarantine", &[]),
    Verb("quarantine show", "GET /quarantine/{waiting}", "/quarantine/{number}", &[]),
    Verb("quarantine retry", "POST /quarantine/{waiting}/retry", "/quarantine/{number}", &[]),
    Verb("quarantine edit", "POST /quarantine/{waiting}/edit", "/quarantine/{number}", &[("null", "values", "field-town")]),
    Verb("quarantine dismiss", "POST /quarantine/{waiting}/dismiss", "/quarantine/{number}", &[]),
    Verb("history", "GET /history", "/history", &[]),
    Verb("history restore", "POST /history/{version}/restore", "POST /history/{number}/restore", &[]),
    Verb("rollback", "POST /runs/{run}/rollback", "/log/{entry}/rollback", &[]),
    Verb("pause", "POST /site/pause", "/pause", &[]),
    Verb("resume", "POST /site/resume", "POST /resume", &[]),
    // What `init` names and the configuration file says.
    Verb("init", "PATCH /site", "/settings", &[("name", "name", "name")]),
    Verb("serve", "PATCH /site", "/settings", &[("proxy", "proxy", "proxy")]),
    Verb("resource list", "GET /resources", "/repositories/{id}/resources", &[]),
    Verb("job list", "GET /jobs/preview", "/repositories/{id}/schedule/new", &[]),
];

fn help(words: &[&str]) -> String {
    let ran = binary().args(words).arg("--help").output().unwrap();
    String::from_utf8(ran.stdout).unwrap()
}

/// The verbs under some words, as the program itself lists them.
fn verbs_under(words: &[&str], found: &mut BTreeSet<String>) {
    let text = help(words);
    let Some((_, list)) = text.split_once("Commands:\n") else { return };
    let list = list.split("\n\n").next().unwrap();
    let verb = Regex::new(r"(?m)^  ([a-z-]+) ").unwrap();
    for name in verb.captures_iter(list).map(|found| found[1].to_owned()).filter(|name| name != "help") {
        let deeper = [words, &[name.as_str()]].concat();
        if help(&deeper).lines().any(|line| line.starts_with("Usage:") && !line.ends_with("<COMMAND>")) {
            found.insert(deeper.join(" "));
        }
        verbs_under(&deeper, found);
    }
}

/// The options of a verb, without those that all have.
fn options(verb: &str) -> BTreeSet<String> {
    const OF_ALL: [&str; 6] = ["data", "config", "database", "database-password-file", "format", "help"];
    let words: Vec<&str> = verb.split(' ').collect();
    let option = Regex::new(r"(?m)^\s+(?:-[a-z], )?--([a-z-]+)").unwrap();
    let all: BTreeSet<String> = option.captures_iter(&help(&words)).map(|found| found[1].to_owned()).collect();
    all.into_iter().filter(|name| !OF_ALL.contains(&name.as_str())).collect()
}

/// Whether a field of that name is anywhere in what an operation takes.
fn takes(document: &Value, part: &Value, name: &str, depth: u32) -> bool {
    match part {
        Value::Object(members) if depth < 40 => members.iter().any(|(key, value)| {
            let reference = value.as_str().filter(|_| key == "$ref").and_then(|path| document.pointer(path.trim_start_matches('#')));
            let named = key == "name" && value == name || key == "properties" && value.get(name).is_some();
            named || reference.is_some_and(|there| takes(document, there, name, depth + 1)) || takes(document, value, name, depth + 1)
        }),
        Value::Array(items) => items.iter().any(|item| takes(document, item, name, depth + 1)),
        _ => false,
    }
}

#[test]
fn every_verb_of_the_command_line_is_named_here() {
    let mut found = BTreeSet::new();
    verbs_under(&[], &mut found);
    assert!(found.len() > 45, "{found:?}");
    let known: BTreeSet<&str> = VERBS.iter().map(|verb| verb.0).chain(AT_THE_MACHINE.iter().map(|(verb, _)| *verb)).collect();
    let new: Vec<&String> = found.iter().filter(|verb| !known.contains(verb.as_str())).collect();
    let gone: Vec<&&str> = known.iter().filter(|verb| !found.contains(**verb)).collect();
    assert!(new.is_empty() && gone.is_empty(), "not named: {new:?}; gone: {gone:?}");
}

#[test]
fn every_option_of_a_verb_that_is_not_bound_to_the_machine_is_named_here() {
    let at_the_machine: Vec<&str> = AT_THE_MACHINE.iter().map(|(verb, _)| *verb).collect();
    for verb in VERBS.iter().map(|verb| verb.0).filter(|verb| !at_the_machine.contains(verb)).collect::<BTreeSet<_>>() {
        let named: BTreeSet<&str> = VERBS.iter().filter(|known| known.0 == verb).flat_map(|known| known.3).map(|option| option.0).collect();
        let missing: Vec<String> = options(verb).into_iter().filter(|option| !named.contains(option.as_str())).collect();
        assert!(missing.is_empty(), "{verb}: {missing:?}");
    }
}

#[test]
fn every_verb_and_option_has_its_operation_and_its_page() {
    let stage = Stage::full();
    let parts = Parts::of(&stage);
    let mut caller = Caller::signed_in(&stage.home, "root");
    let document: Value = serde_json::from_str(&caller.get("/api/v1/openapi.json").body).unwrap();
    let (shown, taken) = (templates("get"), templates("post"));
    stage.house.sql("other.db", "CREATE TABLE visit (id INTEGER PRIMARY KEY, note TEXT)");
    for Verb(verb, operation, page, options) in &VERBS {
        let (method, path) = operation.split_once(' ').unwrap();
        let described = &document["paths"][format!("/api/v1{path}")][method.to_lowercase()];
        let described = if described.is_object() { described } else { &document["paths"][path][method.to_lowercase()] };
        assert!(described.is_object(), "{verb}: the API has no {operation}");
        let posted = page.strip_prefix("POST ");
        let (list, template) = posted.map_or((&shown, *page), |template| (&taken, template));
        assert!(list.iter().any(|known| known == template), "{verb}: there is no page {page}");
        let query = match template {
            "/attach/new" => format!("?name=other&url=sqlite:{}", stage.house.path("other.db").display()),
            "/repositories/{id}/share" => "?name=visit".into(),
            _ => String::new(),
        };
        let body = if posted.is_some() { String::new() } else { caller.get(&format!("{}{query}", parts.fill(template))).body };
        for (option, field, input) in *options {
            let takes = match field.starts_with('/') {
                true => document["paths"].as_object().unwrap().keys().any(|known| known.ends_with(field)),
                false => ["parameters", "requestBody"].iter().any(|part| takes(&document, &described[*part], field, 0)),
            };
            assert!(takes, "{verb} --{option}: {operation} does not take {field}");
            let has = match input.starts_with('/') {
                true => shown.iter().chain(&taken).any(|known| known == input),
                false => body.contains(&format!(r#"name="{input}""#)),
            };
            assert!(has, "{verb} --{option}: {page} has no field {input}\n{body}");
        }
    }
}
