//! Who may do what.

use entente::{
    model::{Role, Scope, SiteId},
    store::sessions,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{
    book::{Book, basic, bearer, is_problem, send},
    story::{person, token},
};
use crate::served::Served;

const NONE: Value = Value::Null;

#[test]
fn nobody_gets_anywhere_and_is_asked_for_a_token() {
    let site = Served::plain();
    for operation in Book::of(&site).operations() {
        let line = format!("{} {}", operation.method, operation.filled("1"));
        for headers in ["", &bearer("entente_nonsense"), &bearer("nonsense")] {
            let answer = send(&site, headers, &line, &NONE);
            is_problem(&answer, 401, "unauthorized");
            assert!(answer.head.contains("www-authenticate: bearer"), "{line}: {}", answer.head);
        }
    }
    is_problem(&send(&site, "Authorization: Basic ???\r\n", "GET /api/v1/site", &NONE), 401, "unauthorized");
}

#[test]
fn a_viewer_looks_and_changes_nothing() {
    let site = Served::plain();
    person(&site, "vera", Role::Viewer);
    // The token could do more; the account cannot.
    let vera = token(&site, "vera's", Scope::Admin, Some("vera"));
    let book = Book::of(&site);
    let writes: Vec<_> = book.operations().into_iter().filter(|operation| operation.method != "GET").collect();
    assert!(writes.len() > 25);
    for operation in writes {
        let line = format!("{} {}", operation.method, operation.filled("1"));
        is_problem(&book.send(&site, &vera, &line, &json!({"x": 1})), 403, "forbidden");
    }
    assert_eq!(send(&site, &vera, "GET /api/v1/site", &NONE).status, 200);
    assert_eq!(send(&site, &basic("vera"), "GET /api/v1/site", &NONE).status, 200);
    is_problem(&send(&site, &basic("vera"), "POST /api/v1/site/pause", &NONE), 403, "forbidden");
    is_problem(&send(&site, &vera, "GET /api/v1/accounts", &NONE), 403, "forbidden");
}

#[test]
fn a_token_does_what_its_scope_says_and_no_more() {
    let site = Served::plain();
    let book = Book::of(&site);
    let scopes = [("read", token(&site, "r", Scope::Read, None)), ("write", token(&site, "w", Scope::Write, None))];
    let rank = |scope: &str| ["read", "write", "admin"].iter().position(|known| *known == scope).unwrap();
    for (scope, headers) in &scopes {
        let beyond: Vec<_> = book.operations().into_iter().filter(|operation| rank(&operation.scope) > rank(scope)).collect();
        assert!(beyond.len() > 10);
        for operation in beyond {
            let line = format!("{} {}", operation.method, operation.filled("1"));
            is_problem(&book.send(&site, headers, &line, &NONE), 403, "forbidden");
        }
    }
    assert_eq!(send(&site, &scopes[1].1, "POST /api/v1/site/pause", &NONE).status, 200);
}

#[test]
fn another_sites_account_and_session_are_forbidden_everywhere() {
    let site = Served::plain();
    let session = site.bearer(SiteId::random());
    let stolen = token(&site, "odd", Scope::Admin, Some("anna"));
    for operation in Book::of(&site).operations() {
        let line = format!("{} {}", operation.method, operation.filled("1"));
        for headers in [&session, &stolen] {
            is_problem(&send(&site, headers, &line, &NONE), 403, "forbidden");
        }
    }
    is_problem(&send(&site, &basic("anna"), "GET /api/v1/site", &NONE), 403, "forbidden");
}

#[test]
fn a_token_ends_with_its_account_or_when_it_is_removed() {
    let site = Served::plain();
    person(&site, "otto", Role::Operator);
    let made = send(&site, &basic("otto"), "POST /api/v1/tokens", &json!({"name": "cron", "scope": "write"}));
    let otto = bearer(made.json()["token"].as_str().unwrap());
    is_problem(&send(&site, &basic("otto"), "POST /api/v1/tokens", &json!({"name": "more", "scope": "admin"})), 403, "forbidden");
    let past = json!({"name": "old", "scope": "read", "expires_on": "2001-01-01T00:00:00Z"});
    is_problem(&send(&site, &basic("otto"), "POST /api/v1/tokens", &past), 400, "usage");
    assert_eq!(send(&site, &otto, "POST /api/v1/site/resume", &NONE).status, 200);
    // It is no business of others.
    is_problem(&send(&site, &basic("root"), "DELETE /api/v1/tokens/cron", &NONE), 404, "not_found");
    assert_eq!(send(&site, &basic("root"), "DELETE /api/v1/accounts/otto", &NONE).status, 204);
    is_problem(&send(&site, &otto, "GET /api/v1/site", &NONE), 401, "unauthorized");
}

#[test]
fn a_browsers_session_changes_nothing_without_its_token_against_forgery() {
    let site = Served::plain();
    let begun = site.site.store.write(|c| sessions::begin(c, "root", "127.0.0.1", "test", site.site.now())).unwrap();
    let cookie = format!("Cookie: entente_session={}\r\n", begun.expose_secret());
    assert_eq!(send(&site, &cookie, "GET /api/v1/accounts", &NONE).status, 200);
    for operation in Book::of(&site).operations().into_iter().filter(|operation| operation.method != "GET") {
        let line = format!("{} {}", operation.method, operation.filled("1"));
        for headers in [cookie.clone(), format!("{cookie}X-CSRF-Token: 00000000000000000000000000000000\r\n")] {
            is_problem(&send(&site, &headers, &line, &NONE), 403, "forbidden");
        }
    }
    let page = String::from_utf8(site.get("/pause", &cookie).body).unwrap();
    let csrf = page.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let headers = format!("{cookie}X-CSRF-Token: {csrf}\r\n");
    assert_eq!(send(&site, &headers, "POST /api/v1/site/pause", &NONE).status, 200);
    is_problem(&send(&site, "Cookie: entente_session=x\r\n", "GET /api/v1/site", &NONE), 401, "unauthorized");
}

#[test]
fn who_guesses_has_to_wait() {
    let site = Served::plain();
    let wrong = crate::served::basic("root", "wrong");
    for _ in 0..5 {
        is_problem(&send(&site, &wrong, "GET /api/v1/site", &NONE), 401, "unauthorized");
    }
    let answer = send(&site, &basic("root"), "GET /api/v1/site", &NONE);
    is_problem(&answer, 429, "limited");
    assert!(answer.head.contains("retry-after: "), "{}", answer.head);
}

#[test]
fn a_page_of_another_origin_changes_nothing() {
    let site = Served::plain();
    let admin = token(&site, "a", Scope::Admin, None);
    for origin in ["http://elsewhere", "null", "http://x.elsewhere"] {
        let headers = format!("{admin}Origin: {origin}\r\n");
        is_problem(&send(&site, &headers, "POST /api/v1/site/pause", &NONE), 403, "forbidden");
    }
    // The tests call this site `x`.
    assert_eq!(send(&site, &format!("{admin}Origin: http://x\r\n"), "POST /api/v1/site/pause", &NONE).status, 200);
}
