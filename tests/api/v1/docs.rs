//! The page about the API, and the examples in the docs.

use std::process::Command;

use entente::model::Scope;

use super::{
    book::Book,
    story::{Story, token},
};
use crate::served::Served;

#[test]
fn the_page_names_every_operation_and_schema_and_needs_nothing_from_outside() {
    let site = Served::plain();
    let answer = site.get("/api/docs", "");
    assert_eq!(answer.status, 200);
    assert!(
        answer.head.contains("content-security-policy: default-src 'none'; style-src 'self'; frame-ancestors 'none'"),
        "{}",
        answer.head
    );
    assert!(answer.head.contains("x-content-type-options: nosniff"));
    let page = String::from_utf8(answer.body).unwrap();
    let book = Book::of(&site);
    for operation in book.operations() {
        let id = operation.described["operationId"].as_str().unwrap();
        assert!(page.contains(&format!("<article id=\"{id}\">")), "{id}");
        assert!(page.contains(&format!("/api/v1{}</code>", operation.path)), "{}", operation.path);
    }
    for name in book.document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(page.contains(&format!("id=\"schema-{name}\"")), "{name}");
    }
    assert!(["<script", "style=", "src=", "href=\"http", "href=\"//"].iter().all(|outside| !page.contains(outside)));
    for anchor in page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(page.contains(&format!("id=\"{anchor}\"")), "#{anchor} leads nowhere");
    }
    let style = site.get("/api/docs.css", "");
    assert_eq!(style.status, 200);
    assert!(style.head.contains("content-type: text/css"));
}

#[test]
fn the_examples_in_the_docs_work_as_they_stand() {
    let story = Story::new();
    story.begin();
    let token = token(&story.laptop, "docs", Scope::Admin, None);
    let token = token.trim().rsplit_once(' ').unwrap().1.to_owned();
    let docs = std::fs::read_to_string("docs/api.md").unwrap();
    let examples: Vec<&str> =
        docs.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).filter(|code| code.contains("curl")).collect();
    assert_eq!(examples.len(), 4);
    for example in examples {
        let ran = Command::new("sh")
            .args(["-ec", example])
            .env("SITE", format!("http://{}", story.laptop.address))
            .env("TOKEN", &token)
            .env("no_proxy", "*")
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success(), "{example}\n{out}\n{err}");
        assert!(!out.contains("\"kind\"") && out.trim().starts_with(['{', '[']), "{example}\n{out}");
    }
}
