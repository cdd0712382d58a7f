//! Every address of the pages, as `src/web/admin/routes.rs` has them, with something behind it.

use regex::Regex;

use crate::{house::House, http::Caller, stage::Stage};

const ROUTES: &str = include_str!("../../src/web/admin/routes.rs");

/// What answers GET but is no page.
const NO_PAGES: [&str; 5] = ["/assets/{version}/{name}", "/live", "/log.csv", "/log.json", "/repositories/{id}/count"];

/// The addresses whose routes name the method, as they stand there.
pub(crate) fn templates(method: &str) -> Vec<String> {
    let service = Regex::new(r#"at\("([^"]+)"\)([^;]*?)\)\n"#).unwrap();
    let all =
        service.captures_iter(ROUTES).filter(|found| found[2].contains(&format!("route({method}()"))).map(|found| found[1].to_owned());
    let found: Vec<String> = all.collect();
    assert!(found.len() > 20, "{found:?}");
    found
}

/// What fills the parts of addresses: of a repository, a resource, a schedule, an entry, a conflict, a waiting record.
pub(crate) struct Parts {
    repository: String,
    job: String,
    entry: String,
    conflict: String,
    waiting: String,
}

impl Parts {
    pub(crate) fn of(stage: &Stage) -> Parts {
        let first = |words: &str| -> serde_json::Value { stage.house.ok("north", &format!("--format json {words}")).json()[0].clone() };
        let log = stage.house.ok("north", "--format json log").json();
        let run = log.as_array().unwrap().iter().find(|entry| entry["action"] == "run").unwrap()["id"].to_string();
        let number = |value: serde_json::Value| format!("app:{value}").replace('"', "").replace("app:app:", "app:");
        Parts {
            repository: number_in(&Caller::signed_in(&stage.home, "root").get("/repositories").body, r#"href="/repositories/"#),
            job: first("job list")["id"].to_string(),
            entry: run,
            conflict: number(first("conflicts --open")["id"].clone()),
            waiting: number(first("quarantine")["id"].clone()),
        }
    }

    /// An address with its parts, each of which is there.
    pub(crate) fn fill(&self, template: &str) -> String {
        let name = if template.starts_with("/users") {
            "vera"
        } else if template.starts_with("/attach") {
            "app"
        } else {
            "contact"
        };
        let number = if template.starts_with("/quarantine") { &self.waiting } else { &self.conflict };
        let filled =
            [("{id}", self.repository.as_str()), ("{job}", &self.job), ("{entry}", &self.entry), ("{number}", number), ("{name}", name)];
        assert!(filled.iter().all(|(_, value)| !value.contains("null")), "{filled:?}");
        filled.iter().fold(template.to_owned(), |path, (part, value)| path.replace(part, value))
    }
}

/// The first number that follows these words.
fn number_in(text: &str, words: &str) -> String {
    let mut after = text.split(words).skip(1).map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
    after.find(|digits| !digits.is_empty()).unwrap_or_else(|| panic!("no number after {words} in {text}"))
}

/// Every page, with what must be in its address, for one who is signed in; states that differ are pages of their own.
pub(crate) fn inside(stage: &Stage) -> Vec<String> {
    let parts = Parts::of(stage);
    let plain = templates("get").into_iter().filter(|path| !NO_PAGES.contains(&path.as_str()) && path != "/setup" && path != "/login");
    let queries = |path: String| match path.as_str() {
        path if path.ends_with("/share") => format!("{path}?name=visit"),
        "/history" => format!("{path}?resource=contact&uid={}", ada(&stage.house)),
        _ => path,
    };
    let mut all: Vec<String> = plain.map(|path| queries(parts.fill(&path))).collect();
    all.extend(
        [
            "/log?text=nothing-has-this",
            "/conflicts?all=on",
            "/users/new?role=peer",
            "/nothing",
            "/repositories?q=nothing",
            "/log?result=error",
        ]
        .map(String::from),
    );
    all.push(format!("/attach/new?name=app&url=sqlite:{}", stage.house.path("north.db").display()));
    all
}

/// The UID of Ada, as part of a query.
fn ada(house: &House) -> String {
    let conflict = house.ok("north", "--format json conflicts --open").json()[0]["uid"].as_str().unwrap().to_owned();
    conflict.replace(':', "%3A")
}
