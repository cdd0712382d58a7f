//! Texts of others that would be scripts, had somebody forgotten to quote them.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;

use crate::{
    browser::Browser,
    house::{PASSWORD, until},
    http::{Answer, Caller, encoded},
    pages::{Parts, templates},
    stage::Stage,
};

const EVIL: &str = r#""><script>window.hit=1</script><img src=x onerror=window.hit=1>"#;

/// The same for a resource, whose name has no equals sign where it is typed.
const RESOURCE: &str = r#""><script>window.hit++</script>"#;

/// That a page shows the text as a text.
fn harmless(what: &str, answer: &Answer) -> usize {
    if !answer.header("content-type").starts_with("text/html") {
        // A browser takes it for nothing else than it says.
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
        return 0;
    }
    for raw in ["<script>window", "<img src=x"] {
        assert!(!answer.body.contains(raw), "{what}: {}", answer.body);
    }
    let typed = ["script&#62;window", "script&gt;window", "script%3Ewindow", "script%3Ewindow%2Ehit"];
    typed.iter().map(|text| answer.body.matches(text).count()).sum()
}

/// Two sites where whatever has a name is called that, and whatever has a value has that value.
fn infested() -> Stage {
    let stage = Stage::empty();
    let house = &stage.house;
    for (name, role) in [("root", "admin"), ("depot", "peer"), (EVIL, "viewer")] {
        house.ok("north", &format!("user add '{name}' --role {role} --password-file password"));
    }
    house.ok("south", "detach app --drop-journal");
    for site in ["north", "south"] {
        house.ok(site, &format!("attach app sqlite:{site}.db --table 'contact={RESOURCE}'"));
    }
    house.ok("north", &format!("init --name '{EVIL}'"));
    let url = stage.south.url();
    house.ok("north", &format!("repository add '{EVIL}' --url {url} --user north --password-file password"));
    house.ok("north", &format!("resource add '{EVIL}' '{RESOURCE}' --conflict MANUAL"));
    house.ok("north", &format!("job add '{EVIL}' --every 1h --disabled"));
    house.ok("north", &format!("sync '{EVIL}'"));
    for (site, extra) in [("north", "a"), ("south", "b")] {
        house.sql(&format!("{site}.db"), &format!("UPDATE contact SET name = '{EVIL}{extra}' WHERE code = 'ada'"));
    }
    house.sql("south.db", &format!("INSERT INTO contact VALUES ('{EVIL}', '{EVIL}', '{EVIL}', '{EVIL}')"));
    house.run("north", &format!("sync '{EVIL}'"));
    register(&stage);
    Caller::new(&stage.home).sign_in(EVIL, "wrong");
    stage
}

/// A site that calls itself so registers, and one is refused.
fn register(stage: &Stage) {
    let basic = format!("Authorization: Basic {}", BASE64_STANDARD.encode(format!("depot:{PASSWORD}")));
    for uuid in ["urn:uuid:0b0f8a52-6a1c-4a5e-9f0a-3d1c7a9e2b11", EVIL] {
        let body = json!({"uuid": uuid, "name": EVIL, "apitype": "eden", "url": EVIL}).to_string();
        Caller::new(&stage.home).ask("POST", "/sync/repository/register.json", &[&basic, "Content-Type: application/json"], &body);
    }
}

/// Every page, as it stands at its address.
fn pages(stage: &Stage) -> Vec<String> {
    let parts = Parts::of(stage);
    let uid = stage.house.ok("north", "--format json conflicts --open").json()[0]["uid"].as_str().unwrap().to_owned();
    let (named, resource) = (utf8(EVIL), utf8(RESOURCE));
    let plain = templates("get").into_iter().filter(|path| !["/live", "/setup", "/assets/{version}/{name}"].contains(&path.as_str()));
    let mut all: Vec<String> = plain
        .map(|path| match path.split('/').nth(1) {
            Some("users") => parts.fill(&path.replace("{name}", &named)),
            Some("attach") => parts.fill(&path),
            _ => parts.fill(&path.replace("{name}", &resource)),
        })
        .map(|path| if path.ends_with("/share") { format!("{path}?name={resource}") } else { path })
        .collect();
    all.push(format!("/history?{}", encoded(&[("resource", RESOURCE), ("uid", &uid)])));
    all
}

fn utf8(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[test]
fn what_sites_tables_and_people_are_called_and_hold_is_shown_and_never_run() {
    let stage = infested();
    let mut caller = Caller::signed_in(&stage.home, "root");
    let shown: usize = pages(&stage).iter().map(|path| harmless(path, &caller.get(path))).sum();
    assert!(shown > 60, "only {shown} of these texts are shown at all");
    let parts = Parts::of(&stage);
    for path in ["/", "/repositories/{id}/resources", "/log", "/conflicts/{number}", "/quarantine/{number}", "/users"] {
        assert!(harmless(path, &caller.get(&parts.fill(path))) > 0, "{path} shows none of these texts");
    }
    let browser = Browser::new(&stage.home);
    stage.sign_in(&browser, "root");
    for path in pages(&stage).iter().filter(|path| !path.starts_with("/log.") && !path.ends_with("/count")) {
        browser.go(path);
        assert_eq!(browser.ask("return 'hit' in window", Vec::new()), json!(false), "{path}");
        assert_eq!(browser.console().into_iter().filter(|line| line.contains("Policy")).collect::<Vec<_>>(), [""; 0], "{path}");
    }
    browser.go("/log?action=run");
    stage.house.run("north", &format!("sync '{EVIL}'"));
    browser.shows("#toasts .toast");
    assert_eq!(
        browser.ask("return ['hit' in window, document.querySelectorAll('#toasts img, #toasts script').length]", Vec::new()),
        json!([false, 0])
    );
}

#[test]
fn what_an_address_a_cookie_or_a_form_says_is_shown_and_never_run() {
    let stage = Stage::full();
    let parts = Parts::of(&stage);
    let mut caller = Caller::signed_in(&stage.home, "root");
    let names = [
        "q",
        "text",
        "name",
        "resource",
        "uid",
        "repository",
        "next",
        "url",
        "role",
        "all",
        "result",
        "action",
        "from",
        "to",
        "before",
        "after",
        "filter",
    ];
    let query = encoded(&names.map(|name| (name, EVIL)));
    let mut shown = 0;
    for path in templates("get").iter().filter(|path| path.as_str() != "/live") {
        shown += harmless(path, &caller.get(&format!("{}?{query}", parts.fill(path))));
        for part in ["{id}", "{name}", "{number}", "{entry}", "{job}"].into_iter().filter(|part| path.contains(part)) {
            shown += harmless(path, &caller.get(&parts.fill(&path.replace(part, &utf8(EVIL)))));
        }
    }
    shown += harmless("/nothing", &caller.get(&format!("/{}", utf8(EVIL))));
    assert!(shown > 10, "only {shown} of these texts are shown at all");
    let fields = [
        "name",
        "url",
        "user",
        "proxy",
        "uuid",
        "every",
        "cron",
        "zone",
        "start",
        "repeat",
        "filters",
        "role",
        "resources",
        "mode",
        "code",
        "session",
    ];
    for path in [
        "/repositories/new",
        "/repositories/{id}",
        "/repositories/{id}/schedule/new",
        "/repositories/{id}/share",
        "/attach/new",
        "/users/new",
        "/conflicts/{number}",
        "/quarantine/{number}",
        "/settings",
    ] {
        let answer = caller.submit(&parts.fill(path), &fields.map(|name| (name, EVIL)));
        harmless(path, &answer);
        assert!(answer.status >= 300 || answer.body.contains("<form"), "{path}: {answer:#?}");
        // What the next page says of it came by a cookie.
        harmless(path, &caller.get("/"));
    }
    for path in ["/login", "/setup"] {
        harmless(path, &Caller::new(&stage.home).post(path, &[], &fields.map(|name| (name, EVIL))));
    }
    for said in [EVIL.to_owned(), format!("good.{}", BASE64_STANDARD.encode(EVIL)), format!("{}.YQ", utf8(EVIL))] {
        caller.cookies.insert("entente_said".into(), said.replace(['"', ';', ' '], ""));
        harmless("/", &caller.get("/"));
    }
    until("the site goes on", || caller.get("/").status == 200);
}
