//! Coming in: cookies, sessions, guesses, and where one is sent.

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::{
    house::PASSWORD,
    http::Caller,
    pages::{Parts, templates},
    stage::Stage,
};

const COOKIE: &str = "entente_session";

/// A page that somebody pushes.
const PAGE: &str = r#"<s3xml xmlns:e="urn:entente:1" e:resource="contact" e:cursor="e1;1" e:more="false" e:run="1" e:site="0b0f8a52-6a1c-4a5e-9f0a-3d1c7a9e2b11">
<resource name="contact" uuid="urn:uuid:o-1" modified_on="2026-01-02T03:04:05.000006Z"><data field="name">Mallory</data></resource></s3xml>"#;

/// A stage with an administrator.
fn administered() -> Stage {
    let stage = Stage::empty();
    stage.house.ok("north", "user add root --role admin --password-file password");
    stage
}

#[test]
fn a_cookie_that_was_brought_along_is_not_the_session_afterwards() {
    let stage = administered();
    let mut caller = Caller::new(&stage.home);
    caller.cookies.insert(COOKIE.into(), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into());
    caller.sign_in("root", PASSWORD);
    let first = caller.cookies[COOKIE].clone();
    assert!(!first.starts_with("AAAA") && caller.get("/").status == 200);
    let mut planted = Caller::new(&stage.home);
    planted.cookies.insert(COOKIE.into(), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into());
    assert_eq!(planted.get("/").status, 303);
    caller.sign_in("root", PASSWORD);
    assert_ne!(caller.cookies[COOKIE], first);
    planted.cookies.insert(COOKIE.into(), first);
    assert_eq!(planted.get("/").status, 303, "the session that the browser had before has ended");
}

#[test]
fn the_cookie_of_a_session_is_kept_from_scripts_and_other_sites() {
    let stage = administered();
    let answer = Caller::new(&stage.home).sign_in("root", PASSWORD);
    let set = answer.header("set-cookie");
    for flag in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(set.contains(flag), "{set}");
    }
    assert!(set.starts_with(COOKIE) && set.split([';', '=']).nth(1).unwrap().len() >= 43, "{set}");
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[test]
fn signing_out_ends_the_session_on_the_server() {
    let stage = administered();
    let mut caller = Caller::signed_in(&stage.home, "root");
    let mut thief = caller.clone();
    assert_eq!(thief.get("/").status, 200);
    assert_eq!(caller.post("/logout", &[], &[]).status, 403, "a form of another site signs nobody out");
    let out = caller.submit("/logout", &[]);
    assert_eq!((out.status, out.header("location"), caller.cookies.get(COOKIE)), (303, "/login", None));
    assert_eq!(thief.get("/").header("location"), "/login");
    assert_eq!(thief.get("/live").status, 401);
}

#[test]
fn a_session_that_somebody_else_ends_is_over_at_once() {
    let stage = administered();
    let mut caller = Caller::signed_in(&stage.home, "root");
    let mut other = Caller::signed_in(&stage.home, "root");
    let page = other.get("/settings").body;
    let names: Vec<&str> = page.split(r#"name="session" value=""#).skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(names.len(), 2);
    assert!(
        names.iter().all(|name| !page.contains(&caller.cookies[COOKIE]) && *name != caller.cookies[COOKIE]),
        "no page shows a session's secret"
    );
    for name in names {
        Caller::signed_in(&stage.home, "root").submit("/sessions/end", &[("session", name), ("back", "/settings")]);
    }
    assert_eq!((caller.get("/").status, other.get("/").status), (303, 303));
}

#[test]
fn wrong_passwords_have_to_wait_and_are_told_how_long() {
    let stage = administered();
    let mut caller = Caller::new(&stage.home);
    for guess in 0..5 {
        let answer = caller.sign_in("root", &format!("guess {guess}"));
        assert!(answer.status == 422 && answer.all("set-cookie").is_empty(), "{answer:#?}");
    }
    let answer = caller.sign_in("root", PASSWORD);
    assert_eq!(answer.status, 429, "also with the right one");
    assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0 && answer.body.contains("Try again in"), "{answer:#?}");
    assert!(answer.all("set-cookie").is_empty());
}

#[test]
fn an_unknown_name_is_answered_like_a_wrong_password() {
    let stage = administered();
    let told = |name: &str| {
        let answer = Caller::new(&stage.home).sign_in(name, "wrong password");
        (answer.status, answer.body.replace(name, "NAME"))
    };
    assert_eq!(told("root"), told("nobody"));
}

#[test]
fn an_account_of_another_site_opens_no_page() {
    let stage = administered();
    stage.house.ok("north", "user add depot --role peer --password-file password");
    let mut caller = Caller::new(&stage.home);
    let answer = caller.sign_in("depot", PASSWORD);
    assert_eq!(answer.status, 403, "{answer:#?}");
    assert!(caller.cookies.is_empty() && answer.body.contains("another site"));
    let basic = format!("Authorization: Basic {}", BASE64_STANDARD.encode(format!("depot:{PASSWORD}")));
    assert_eq!(caller.ask("GET", "/repositories", &[&basic, "Accept: text/html"], "").status, 303);
}

#[test]
fn nobody_is_sent_to_another_site() {
    let stage = administered();
    for next in [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "javascript:alert(1)",
        "\\\\evil",
    ] {
        let mut caller = Caller::new(&stage.home);
        let page = caller.get(&format!("/login?{}", crate::http::encoded(&[("next", next)])));
        assert!(page.body.contains(r#"name="next" value="/""#), "{next:?}: {}", page.body);
        let answer = caller.post("/login", &[], &[("name", "root"), ("password", PASSWORD), ("next", next)]);
        assert_eq!((answer.status, answer.header("location")), (303, "/"), "{next:?}");
    }
    let answer = Caller::new(&stage.home).post("/login", &[], &[("name", "root"), ("password", PASSWORD), ("next", "/log?text=a")]);
    assert_eq!(answer.header("location"), "/log?text=a");
    let mut caller = Caller::signed_in(&stage.home, "root");
    let answer = caller.submit("/sessions/end", &[("session", "none"), ("back", "https://evil.example")]);
    assert!(!answer.header("location").contains("evil"), "{answer:#?}");
}

#[test]
fn whoever_is_not_signed_in_sees_and_changes_nothing() {
    let stage = Stage::full();
    let parts = Parts::of(&stage);
    let mut caller = Caller::new(&stage.home);
    let told = |stage: &Stage| stage.house.ok("north", "--format json repository list").out;
    let before = told(&stage);
    for path in templates("get").iter().filter(|path| !["/setup", "/login", "/assets/{version}/{name}"].contains(&path.as_str())) {
        let answer = caller.get(&parts.fill(path));
        let raw = ["/live", "/log.csv", "/log.json"].contains(&path.as_str()) || path.ends_with("/count");
        if raw {
            assert_eq!((answer.status, answer.body.as_str()), (401, ""), "{path}");
        } else {
            assert!(answer.status == 303 && answer.header("location").starts_with("/login"), "{path}: {answer:#?}");
        }
    }
    for path in templates("post").iter().filter(|path| !["/setup", "/login"].contains(&path.as_str())) {
        let answer = caller.post(&parts.fill(path), &[], &[("name", "x"), ("enabled", "no"), ("choice", "ours")]);
        assert!(answer.status == 303 && answer.header("location").starts_with("/login"), "{path}: {answer:#?}");
    }
    assert_eq!(told(&stage), before);
}

#[test]
fn a_set_up_code_works_once_and_the_door_is_closed_behind_it() {
    let stage = Stage::empty();
    let mut caller = Caller::new(&stage.home);
    let form = |code: &str, name: &str| {
        [("code", code.to_owned()), ("name", name.to_owned()), ("password", PASSWORD.into()), ("again", PASSWORD.into())]
    };
    let mut set_up = |code: &str, name: &str, headers: &[&str]| {
        let fields = form(code, name);
        caller.post("/setup", headers, &fields.each_ref().map(|(name, value)| (*name, value.as_str())))
    };
    assert_eq!(set_up(&stage.code, "eve", &["Origin: http://evil.example"]).status, 403);
    let first = set_up(&stage.code, "root", &[]);
    assert_eq!((first.status, first.header("location")), (303, "/"), "{first:#?}");
    let second = set_up(&stage.code, "eve", &[]);
    assert!(second.status == 422 && second.body.contains("set up already"), "{second:#?}");
    assert_eq!(Caller::new(&stage.home).get("/setup").header("location"), "/login");
    let users = stage.house.ok("north", "--format json user list").json();
    assert_eq!(users.as_array().unwrap().len(), 1, "{users}");
}

#[test]
fn guesses_at_the_set_up_code_have_to_wait() {
    let stage = Stage::empty();
    let mut caller = Caller::new(&stage.home);
    let mut guess =
        |code: &str| caller.post("/setup", &[], &[("code", code), ("name", "eve"), ("password", PASSWORD), ("again", PASSWORD)]);
    for number in 0..5 {
        assert!(guess(&format!("AAAA-AAAA-AAAA-AAA{number}")).body.contains("code is not right"));
    }
    let answer = guess(&stage.code);
    assert!(answer.body.contains("Too many") || answer.body.contains("try again"), "{answer:#?}");
    assert!(stage.house.ok("north", "--format json user list").json().as_array().unwrap().is_empty());
}

#[test]
fn an_account_of_one_site_gets_nothing_of_another_ones_resources() {
    let stage = Stage::full();
    stage.house.ok("north", "user add only-visits --role peer --may pull,push --resources visit --password-file password");
    let basic = format!("Authorization: Basic {}", BASE64_STANDARD.encode(format!("only-visits:{PASSWORD}")));
    let uuid = "urn:uuid:0b0f8a52-6a1c-4a5e-9f0a-3d1c7a9e2b11";
    let mut caller = Caller::new(&stage.home);
    let page = |resource: &str| format!("/sync/sync.xml?resource={resource}&repository={uuid}");
    let pulled = caller.ask("GET", &page("contact"), &[&basic], "");
    assert!(pulled.status == 403 && !pulled.body.contains("Ada"), "{pulled:#?}");
    let pushed = caller.ask("POST", &format!("{}&batch=7c0f6bb1-6c6c-4a9b-9d5c-0d9f4a7f2c11&fence=1", page("contact")), &[&basic], PAGE);
    assert_eq!(pushed.status, 403, "{pushed:#?}");
    let hello = caller.ask("GET", &format!("/sync/hello?repository={uuid}"), &[&basic], "");
    assert!(!hello.body.contains("\"contact\""), "{hello:#?}");
    for address in ["/sync/fetch", "/sync/compare"] {
        let body = r#"{"resource":"contact","uids":["urn:uuid:0b0f8a52-6a1c-4a5e-9f0a-3d1c7a9e2b12"]}"#;
        let answer =
            caller.ask("POST", &format!("{address}?resource=contact&repository={uuid}"), &[&basic, "Content-Type: application/json"], body);
        assert!(answer.status >= 400 && !answer.body.contains("Ada"), "{address}: {answer:#?}");
    }
}
