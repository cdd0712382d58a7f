//! S1 to S10: an Eden makes itself known.

use entente::{model::ApiType, store::repositories};

use crate::hub::{Hub, basic, eden, exchange};

const AT: &str = "/sync/repository/register.json";

fn json(name: &str) -> String {
    format!(r#"{{"uuid": "{}", "name": "{name}", "apitype": "eden"}}"#, eden())
}

fn send(hub: &Hub, method: &str, media: &str, account: &str, body: &str) -> crate::hub::Answer {
    let headers = format!("{account}Content-Type: {media}\r\nContent-Length: {}\r\n", body.len());
    hub.ask(&format!("{method} {AT}"), &headers, body.as_bytes())
}

#[test]
fn s1_s2_s3_s9_an_eden_registers_with_any_media_type_and_again() {
    let hub = Hub::new();
    let eden_account = basic("eden", "right");
    for (method, media, name, message) in [
        ("POST", "application/json", "north:8000", "Registration successful"),
        ("POST", "application/x-www-form-urlencoded", "north:8000", "Registration update successful"),
        ("PUT", "application/json", "north.example.org", "Registration update successful"),
    ] {
        let answer = send(&hub, method, media, &eden_account, &json(name));
        let told = answer.json();
        assert_eq!((answer.status, told["status"].as_str(), told["statuscode"].as_str()), (200, Some("success"), Some("200")), "{media}");
        assert_eq!((told["message"].as_str(), told["sender"].as_str()), (Some(message), Some(hub.site.id.to_string().as_str())));
        assert!(answer.head.contains("application/json"));
    }
    let known = hub.site.store.read(|c| repositories::list(c, hub.site.store.key())).unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!((known[0].name.as_str(), known[0].uuid, known[0].kind), ("north.example.org", Some(eden()), ApiType::Eden));
}

#[test]
fn s4_nobody_registers_without_an_account_of_its_own() {
    let hub = Hub::new();
    for account in [String::new(), basic("eden", "wrong"), basic("nobody", "right")] {
        let answer = send(&hub, "POST", "application/json", &account, &json("n"));
        answer.fails(401);
        assert!(answer.head.contains("www-authenticate: basic realm="), "{}", answer.head);
    }
    send(&hub, "POST", "application/json", &basic("person", "right"), &json("n")).fails(403);
}

#[test]
fn s5_s6_s7_s10_what_a_registration_lacks_is_told_and_what_is_odd_is_taken() {
    let hub = Hub::new();
    let account = basic("eden", "right");
    for body in [r#"{"name": "n"}"#, r#"{"uuid": ""}"#, "", "{", "[1]", r#"{"uuid": 5}"#, r#"{"uuid": "no urn"}"#] {
        let answer = send(&hub, "POST", "application/json", &account, body);
        answer.fails(400);
        assert_eq!(answer.json()["sender"].as_str(), Some(hub.site.id.to_string().as_str()), "{body}");
    }
    assert!(hub.site.store.read(|c| repositories::list(c, hub.site.store.key())).unwrap().is_empty());
    let nameless = format!(r#"{{"uuid": "{}", "apitype": "zebra"}}"#, eden());
    assert_eq!(send(&hub, "POST", "application/json", &account, &nameless).status, 200);
    let known = hub.site.store.read(|c| repositories::list(c, hub.site.store.key())).unwrap();
    assert_eq!(known[0].name, eden().to_string());
    assert_eq!(hub.pull("org_organisation", "").status, 200);
}

#[test]
fn s8_an_eden_of_before_2016_registers_its_own_way() {
    let hub = Hub::new();
    hub.get(AT).fails(405);
    let answer = hub.get(&format!("/sync/repository/register.xml?repository={}&name=old", eden()));
    assert_eq!((answer.status, answer.json()["sender"].as_str()), (200, Some(hub.site.id.to_string().as_str())));
    hub.get("/sync/repository/register.xml").fails(400);
    let known = hub.site.store.read(|c| repositories::list(c, hub.site.store.key())).unwrap();
    assert_eq!((known[0].name.as_str(), known[0].kind), ("old", ApiType::Eden));
}

#[test]
fn s29_s30_other_methods_do_no_harm_and_sloppy_addresses_are_served() {
    let hub = Hub::new();
    for method in ["HEAD", "OPTIONS", "DELETE"] {
        let answer =
            hub.ask(&format!("{method} /sync/sync.xml?resource=org_organisation&repository={}", eden()), &basic("eden", "right"), b"");
        assert_eq!(answer.status, 405, "{method}");
    }
    let path = format!("//sync/sync.xml?resource=org_organisation&repository={}", eden());
    let bare = format!("GET {path} HTTP/1.0\r\n{}\r\n", basic("eden", "right"));
    assert_eq!(exchange(hub.address, bare.as_bytes()).status, 200);
    for path in ["/sync/dataset.xml", "/sync/task.xml", "/sync/resource_filter.xml"] {
        hub.get(path).fails(404);
    }
}
