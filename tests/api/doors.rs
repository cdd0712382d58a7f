//! Who may come in, and what every answer looks like.

use entente::{
    error::Kind,
    model::{Registration, SiteId},
    peer::Peer,
    store::site as control,
};

use crate::served::{Served, basic, page};

#[test]
fn anyone_may_say_hello_and_see_that_the_process_lives() {
    let site = Served::plain();
    let hello = site.get("/sync/hello", "");
    assert_eq!(hello.json()["name"], "hub");
    assert_eq!(hello.json()["uuid"], site.site.id.to_string());
    assert_eq!(site.get("/healthz", "").body, b"ok\n");
    let home = site.get("/", "");
    assert_eq!(home.status, 303, "people sign in first");
    assert!(home.head.contains("\r\nlocation: /login\r\n"), "{}", home.head);
    assert_eq!(site.get("//sync/hello", "").status, 200);
}

#[test]
fn every_answer_carries_the_headers_that_keep_browsers_off() {
    let site = Served::plain();
    for path in ["/", "/sync/hello", "/sync/sync.xml", "/nothing"] {
        let head = site.get(path, "").head;
        for header in ["x-content-type-options: nosniff", "referrer-policy: no-referrer", "default-src 'none'", "cache-control: no-store"] {
            assert!(head.contains(header), "{path} {header}\n{head}");
        }
    }
}

#[test]
fn wrong_credentials_are_challenged() {
    let site = Served::plain();
    for headers in [
        "",
        &basic("anna", "wrong"),
        &basic("nobody", "right"),
        "Authorization: Bearer x\r\n",
        "Authorization: Basic ???\r\n",
        "Authorization: x\r\n",
    ] {
        let answer = site.get("/sync/sync.xml?resource=team", headers);
        answer.refuses(Kind::Unauthorized);
        assert!(answer.head.contains("www-authenticate: basic realm=\"entente\""), "{}", answer.head);
    }
    site.get("/sync/hello", &basic("anna", "wrong")).refuses(Kind::Unauthorized);
}

#[test]
fn too_many_wrong_passwords_have_to_wait() {
    let site = Served::plain();
    for _ in 0..5 {
        site.post("/sync/session", &basic("anna", "wrong"), b"").refuses(Kind::Unauthorized);
    }
    let answer = site.post("/sync/session", &basic("anna", "right"), b"");
    answer.refuses(Kind::Limited);
    assert!(answer.head.contains("retry-after: 1"), "{}", answer.head);
}

#[test]
fn an_account_of_another_site_or_of_a_person_is_forbidden() {
    let site = Served::plain();
    let (first, second) = (SiteId::random(), SiteId::random());
    let bearer = site.bearer(first);
    site.post(&format!("/sync/session?repository={second}"), &basic("anna", "right"), b"").refuses(Kind::Forbidden);
    site.get(&format!("/sync/hello?repository={second}"), &bearer).refuses(Kind::Forbidden);
    site.post(&format!("/sync/session?repository={first}"), &basic("root", "right"), b"").refuses(Kind::Forbidden);
    site.post(&format!("/sync/session?repository={}", site.site.id), &basic("anna", "right"), b"").refuses(Kind::Forbidden);
    site.post("/sync/session?repository=me", &basic("anna", "right"), b"").refuses(Kind::Malformed);
}

#[test]
fn a_session_ends_when_it_is_given_back() {
    let site = Served::plain();
    let bearer = site.bearer(SiteId::random());
    assert_eq!(site.get("/sync/hello", &bearer).status, 200);
    assert_eq!(site.ask("DELETE /sync/session", &bearer, b"").status, 204);
    site.get("/sync/hello", &bearer).refuses(Kind::Unauthorized);
}

#[test]
fn unknown_addresses_and_methods_are_told_in_words_of_the_protocol() {
    let site = Served::plain();
    site.get("/sync/nothing", "").refuses(Kind::NotFound);
    for line in ["DELETE /sync/sync.xml", "PATCH /sync/hello", "OPTIONS /sync/sync.xml", "GET /sync/session"] {
        let answer = site.ask(line, "", b"");
        assert_eq!((answer.status, answer.json()["statuscode"].as_str()), (405, Some("405")), "{line}");
    }
}

#[test]
fn raw_brackets_in_a_query_are_taken_as_they_are() {
    let site = Served::plain();
    let own = SiteId::random();
    let bearer = site.bearer(own);
    let answer = site.get(&format!("/sync/sync.xml?resource=team&cursor=&[~]name__like=a%20b&repository={own}"), &bearer);
    assert!(answer.status == 200 || answer.json()["kind"] == "not_found" || answer.json()["kind"] == "forbidden", "{}", answer.head);
}

#[test]
fn a_site_registers_and_is_told_who_answers() {
    let site = Served::plain();
    let peer = site.peer(SiteId::random());
    let own = SiteId::random();
    let registration = Registration { uuid: own.to_string(), name: Some("hall".into()), apitype: None, url: None, entente: None };
    let registered = peer.register(&registration).unwrap();
    assert_eq!((registered.message.as_str(), registered.sender), ("Registration successful", site.site.id.to_string()));
    let json = format!(r#"{{"uuid": "{own}", "name": "x", "apitype": "eden"}}"#);
    let form = format!("{}Content-Type: application/x-www-form-urlencoded\r\n", basic("anna", "right"));
    assert_eq!(site.post("/sync/repository/register.json", &form, json.as_bytes()).json()["message"], "Registration update successful");
    site.post("/sync/repository/register.json", &basic("anna", "right"), b"{").refuses(Kind::Malformed);
    site.post("/sync/repository/register.json", &basic("anna", "right"), &vec![b' '; 70_000]).refuses(Kind::TooLarge);
    site.post("/sync/repository/register.json", "", json.as_bytes()).refuses(Kind::Unauthorized);
}

#[test]
fn a_paused_site_answers_hello_alone() {
    let site = Served::plain();
    let own = SiteId::random();
    let (bearer, page) = (site.bearer(own), page(own));
    site.site.store.write(|c| control::set_paused(c, true)).unwrap();
    assert_eq!(site.get("/sync/hello", &bearer).status, 200);
    for answer in [site.get("/sync/sync.xml?resource=team", &bearer), site.get("/sync/events", &bearer), site.post(&page, &bearer, b"")] {
        answer.refuses(Kind::Paused);
        assert!(answer.head.contains("retry-after: "), "{}", answer.head);
    }
}
