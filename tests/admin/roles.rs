//! What each role may do: every form is tried by those who may not.

use crate::{
    http::{Answer, Caller},
    pages::{Parts, templates},
    stage::Stage,
};

/// What concerns nobody but oneself.
const OWN: [&str; 3] = ["/logout", "/settings/password", "/sessions/end"];

/// What an operator may do beside that.
const OPERATED: [&str; 16] = [
    "/repositories/{id}/offer",
    "/attach/{name}/sweep",
    "/sync",
    "/repositories/{id}/test",
    "/repositories/{id}/sync",
    "/repositories/{id}/dry-run",
    "/repositories/{id}/run",
    "/repositories/{id}/compare",
    "/repositories/{id}/transfer",
    "/repositories/{id}/schedule/{job}/now",
    "/log/{entry}/rollback",
    "/conflicts/bulk",
    "/conflicts/{number}",
    "/quarantine/bulk",
    "/quarantine/{number}",
    "/history/{number}/restore",
];

/// Pages for administrators alone.
const ADMINISTERED: [&str; 3] = ["/users", "/users/new", "/users/{name}/password"];

fn forms() -> impl Iterator<Item = String> {
    templates("post").into_iter().filter(|path| !["/setup", "/login"].contains(&path.as_str()))
}

fn sent(caller: &mut Caller, csrf: &str, path: &str) -> Answer {
    let fields = [
        ("csrf", csrf),
        ("name", "evil"),
        ("url", "sqlite:north.db"),
        ("role", "admin"),
        ("password", "evil evil evil"),
        ("again", "evil evil evil"),
        ("enabled", "no"),
        ("choice", "ours"),
        ("deed", "dismiss"),
        ("every", "10s"),
        ("timing", "every"),
    ];
    caller.post(path, &[], &fields)
}

fn state(stage: &Stage) -> Vec<String> {
    ["repository list", "resource list", "job list", "user list", "site", "conflicts", "quarantine"]
        .map(|words| stage.house.ok("north", &format!("--format json {words}")).out)
        .to_vec()
}

#[test]
fn a_viewer_changes_nothing_whatever_form_is_sent() {
    let stage = Stage::full();
    let parts = Parts::of(&stage);
    let mut caller = Caller::signed_in(&stage.home, "vera");
    let (csrf, before) = (caller.get("/").csrf(), state(&stage));
    for path in forms().filter(|path| !OWN.contains(&path.as_str())) {
        let answer = sent(&mut caller, &csrf, &parts.fill(&path));
        assert!(answer.status == 403 && answer.body.contains("Vera is viewer here"), "{path}: {answer:#?}");
    }
    assert_eq!(state(&stage), before);
    for path in ADMINISTERED {
        assert_eq!(caller.get(&parts.fill(path)).status, 403, "{path}");
    }
    for path in ["/", "/repositories", "/log", "/conflicts", "/quarantine", "/attach", "/settings"] {
        let page = caller.get(path);
        assert!(
            page.status == 200 && !page.body.contains(r#"method="post" action="/repositories"#) && !page.body.contains("/users"),
            "{path}: {page:#?}"
        );
    }
}

#[test]
fn an_operator_runs_and_decides_and_changes_no_settings() {
    let stage = Stage::full();
    let parts = Parts::of(&stage);
    let mut caller = Caller::signed_in(&stage.home, "olga");
    let (csrf, before) = (caller.get("/").csrf(), state(&stage));
    let all: Vec<String> = forms().collect();
    assert!(OPERATED.iter().all(|path| all.iter().any(|known| known == path)), "{all:?}");
    for path in all.iter().filter(|path| !OWN.contains(&path.as_str()) && !OPERATED.contains(&path.as_str())) {
        let answer = sent(&mut caller, &csrf, &parts.fill(path));
        assert!(answer.status == 403 && answer.body.contains("Olga is operator here"), "{path}: {answer:#?}");
    }
    assert_eq!(state(&stage), before);
    for path in OPERATED.iter().filter(|path| !path.contains("{number}")) {
        assert_ne!(sent(&mut caller, &csrf, &parts.fill(path)).status, 403, "{path}");
    }
    let decided = sent(&mut caller, &csrf, &parts.fill("/conflicts/{number}"));
    assert_eq!(decided.status, 303, "{decided:#?}");
    assert!(stage.house.ok("north", "--format json conflicts --open").json().as_array().unwrap().is_empty());
}

#[test]
fn nobody_ends_the_session_of_another_account_but_an_administrator() {
    let stage = Stage::full();
    let mut admin = Caller::signed_in(&stage.home, "root");
    let page = admin.get("/settings").body;
    let name = page.split(r#"name="session" value=""#).nth(1).unwrap().split('"').next().unwrap().to_owned();
    let mut viewer = Caller::signed_in(&stage.home, "vera");
    viewer.submit("/sessions/end", &[("session", &name), ("back", "/settings")]);
    assert_eq!(admin.get("/").status, 200);
    let mut other = Caller::signed_in(&stage.home, "root");
    other.submit("/sessions/end", &[("session", &name), ("back", "/users")]);
    assert_eq!(admin.get("/").status, 303);
}

#[test]
fn a_role_that_was_taken_away_counts_from_the_next_request_on() {
    let stage = Stage::full();
    let mut caller = Caller::signed_in(&stage.home, "olga");
    let csrf = caller.get("/").csrf();
    stage.house.ok("north", "user remove olga");
    assert_eq!(caller.get("/").status, 303);
    assert_eq!(sent(&mut caller, &csrf, "/sync").status, 303);
}
