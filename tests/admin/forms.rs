//! Forms that another site sends in somebody's name, and what every answer carries.

use crate::{
    house::House,
    http::Caller,
    pages::{Parts, inside, templates},
    stage::Stage,
};

/// What the forms change, as far as one of the routes could.
fn state(stage: &Stage) -> Vec<String> {
    ["repository list", "resource list", "job list", "user list", "site", "conflicts", "quarantine"]
        .map(|words| stage.house.ok("north", &format!("--format json {words}")).out)
        .to_vec()
}

#[test]
fn no_form_is_taken_that_does_not_come_from_a_page_of_the_session() {
    let stage = Stage::full();
    let parts = Parts::of(&stage);
    let mut caller = Caller::signed_in(&stage.home, "root");
    let own = caller.get("/").csrf();
    let other = Caller::signed_in(&stage.home, "root").get("/").csrf();
    assert_ne!(own, other);
    let before = state(&stage);
    let fields = [("name", "evil"), ("enabled", "no"), ("choice", "ours"), ("deed", "dismiss"), ("role", "admin"), ("attach", "on")];
    for path in templates("post").iter().filter(|path| !["/setup", "/login"].contains(&path.as_str())) {
        let path = parts.fill(path);
        let with = |csrf: &'static str| [[("csrf", csrf)].as_slice(), &fields].concat();
        let mut refused = |headers: &[&str], fields: &[(&str, &str)]| {
            let answer = caller.post(&path, headers, fields);
            assert_eq!(answer.status, 403, "{path} {headers:?}: {answer:#?}");
        };
        refused(&[], &fields);
        refused(&[], &with("0123456789abcdef0123456789abcdef"));
        refused(&[], &[[("csrf", other.as_str())].as_slice(), &fields].concat());
        let right = [[("csrf", own.as_str())].as_slice(), &fields].concat();
        refused(&["Origin: http://evil.example"], &right);
        refused(&["Origin: null"], &right);
        refused(&["Sec-Fetch-Site: cross-site"], &right);
        refused(&["Sec-Fetch-Site: same-site"], &right);
    }
    assert_eq!(state(&stage), before);
}

#[test]
fn a_form_to_sign_in_or_set_up_is_not_taken_from_another_site_either() {
    let stage = Stage::full();
    for (path, headers) in [("/login", "Origin: http://evil.example"), ("/login", "Sec-Fetch-Site: cross-site"), ("/setup", "Origin: null")]
    {
        let mut caller = Caller::new(&stage.home);
        let answer = caller.post(path, &[headers], &[("name", "root"), ("password", crate::house::PASSWORD)]);
        assert!(answer.status == 403 && caller.cookies.is_empty(), "{path} {headers}: {answer:#?}");
    }
}

#[test]
fn every_answer_carries_a_policy_without_exceptions() {
    let stage = Stage::full();
    let parts = Parts::of(&stage);
    let mut caller = Caller::signed_in(&stage.home, "root");
    let mut paths = inside(&stage);
    paths.extend(
        ["/log.csv", "/log.json", "/assets/0/entente.css", "/assets/0/none", "/sync/hello", "/healthz", "/api/docs", "/api/v1/none"]
            .map(String::from),
    );
    let mut check = |method: &str, path: &str| {
        let answer = caller.ask(method, path, &["Accept: text/html", "Content-Type: application/x-www-form-urlencoded"], "");
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{method} {path}: {answer:#?}");
        for loose in ["unsafe-", "data:", "*", "http:", "https:"] {
            assert!(!policy.contains(loose), "{method} {path}: {policy}");
        }
        assert_eq!(answer.all("content-security-policy").len(), 1, "{method} {path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{method} {path}");
        assert!(["no-referrer", "same-origin"].contains(&answer.header("referrer-policy")), "{method} {path}: {answer:#?}");
        if answer.header("content-type").starts_with("text/html") && answer.status < 300 && !path.starts_with("/api") {
            assert!(policy.contains("style-src 'self'") && policy.contains("form-action 'self'"), "{method} {path}: {policy}");
        }
    };
    paths.iter().for_each(|path| check("GET", path));
    templates("post").iter().for_each(|path| check("POST", &parts.fill(path)));
    check("PUT", "/users");
    let mut outside = Caller::new(&stage.home);
    for path in ["/login", "/setup", "/", "/live"] {
        let answer = outside.get(path);
        assert!(answer.header("content-security-policy").contains("default-src 'none'"), "{path}");
    }
}

#[test]
fn a_form_that_shows_what_was_asked_for_keeps_its_style_and_can_be_sent_again() {
    let stage = Stage::full();
    let parts = Parts::of(&stage);
    let mut caller = Caller::signed_in(&stage.home, "root");
    let file = format!("sqlite:{}", stage.house.path("north.db").display());
    let shown = [
        ("/attach/new", vec![("name", "more"), ("url", file.as_str()), ("look", "on")]),
        ("/repositories/{id}/test", vec![]),
        ("/repositories/{id}/compare", vec![("resource", "contact")]),
        ("/tokens", vec![("name", "program"), ("scope", "read")]),
        ("/repositories/{id}/schedule/new", vec![("timing", "every"), ("every", "5m"), ("preview", "on")]),
        ("/repositories/{id}/share", vec![("name", "visit"), ("mode", "both"), ("count", "on")]),
    ];
    for (path, fields) in shown {
        let answer = caller.submit(&parts.fill(path), &fields);
        let policy = answer.header("content-security-policy");
        assert!(
            answer.status == 200
                && answer.body.contains("<form")
                && policy.contains("style-src 'self'")
                && policy.contains("form-action 'self'"),
            "{path}: {answer:#?}"
        );
    }
}

#[test]
fn whatever_a_resource_or_an_account_is_called_its_pages_can_be_reached() {
    let stage = Stage::full();
    let (house, mut caller) = (&stage.house, Caller::signed_in(&stage.home, "root"));
    let names = ["new", "count", "remove", "share", "tokens", "resources"];
    for name in names {
        house.sql("north.db", &format!("CREATE TABLE \"{name}\" (code TEXT PRIMARY KEY)"));
        house.ok("north", &format!("attach app sqlite:north.db --table {name}"));
        house.ok("north", &format!("resource add south {name}"));
        house.ok("north", &format!("user add {name} --role viewer --password-file password"));
    }
    // How many of them the lists of resources and of accounts have.
    let listed = |house: &House| {
        ["resource list", "user list"].map(|list| {
            let out = house.ok("north", &format!("--format json {list}")).out;
            names.iter().filter(|name| out.contains(&format!(": \"{name}\""))).count()
        })
    };
    assert_eq!(listed(house), [names.len(), names.len()]);
    for name in names {
        let page = format!("/repositories/1/resources/{name}");
        let shown = caller.get(&page);
        assert!(shown.status == 200 && shown.body.contains("name=\"filters\"") && shown.body.contains(name), "{page}: {shown:#?}");
        for page in [format!("{page}/remove"), format!("/users/{name}/password"), format!("/users/{name}/remove")] {
            let shown = caller.get(&page);
            assert!(shown.status == 200 && shown.body.contains(&format!("action=\"{page}\"")), "{page}: {shown:#?}");
            if page.ends_with("/remove") {
                let done = caller.submit(&page, &[]);
                assert_eq!(done.status, 303, "{page}: {done:#?}");
            }
        }
    }
    assert_eq!(listed(house), [0, 0]);
}
