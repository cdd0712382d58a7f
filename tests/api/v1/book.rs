//! The document of the API, and whether what a site answers is what stands there.

use std::{cell::RefCell, collections::BTreeMap};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::served::{Answer, Served};

/// The document, and which of its operations were called well and badly.
pub(super) struct Book {
    pub(super) document: Value,
    /// The schemas as they stand there, but so that no field may come that is not named.
    strict: Value,
    called: RefCell<BTreeMap<String, (u32, u32)>>,
}

/// An operation of the document.
pub(super) struct Operation {
    pub(super) method: String,
    /// With names in braces.
    pub(super) path: String,
    pub(super) scope: String,
    pub(super) described: Value,
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The path with something in the place of each name.
    pub(super) fn filled(&self, with: &str) -> String {
        let parts = self.path.split('/').map(|part| if part.starts_with('{') { with } else { part });
        format!("/api/v1{}", parts.collect::<Vec<_>>().join("/"))
    }

    fn fits(&self, method: &str, path: &str) -> bool {
        let (wanted, given): (Vec<&str>, Vec<&str>) = (self.path.split('/').collect(), path.split('/').collect());
        let same = |(wanted, given): (&&str, &&str)| wanted.starts_with('{') || wanted == given;
        self.method == method && wanted.len() == given.len() && wanted.iter().zip(&given).all(same)
    }
}

impl Book {
    pub(super) fn of(site: &Served) -> Book {
        let answer = site.get("/api/v1/openapi.json", "");
        assert_eq!(answer.status, 200);
        let document = answer.json();
        let mut strict = document["components"].clone();
        for schema in strict["schemas"].as_object_mut().unwrap().values_mut().filter(|schema| schema["properties"].is_object()) {
            schema["additionalProperties"] = json!(false);
        }
        Book { document, strict, called: RefCell::default() }
    }

    pub(super) fn operations(&self) -> Vec<Operation> {
        let mut all = Vec::new();
        for (path, methods) in self.document["paths"].as_object().unwrap() {
            for (method, described) in methods.as_object().unwrap() {
                all.push(Operation {
                    method: method.to_uppercase(),
                    path: path.clone(),
                    scope: described["x-scope"].as_str().unwrap().to_owned(),
                    described: described.clone(),
                });
            }
        }
        // A path without names goes before one that it would fit.
        all.sort_by_key(|operation| operation.path.matches('{').count());
        all
    }

    /// Sends a request with a body (null = none) and holds the answer against the document.
    pub(super) fn send(&self, site: &Served, headers: &str, line: &str, body: &Value) -> Answer {
        let answer = send(site, headers, line, body);
        let (method, target) = line.split_once(' ').unwrap();
        let path = target.split('?').next().unwrap().strip_prefix("/api/v1").unwrap();
        let all = self.operations();
        let operation =
            all.iter().find(|operation| operation.fits(method, path)).unwrap_or_else(|| panic!("{line} is not in the document"));
        let mut called = self.called.borrow_mut();
        let (well, badly) = called.entry(operation.name()).or_default();
        *(if answer.status < 400 { well } else { badly }) += 1;
        self.check(operation, &answer, line);
        answer
    }

    fn check(&self, operation: &Operation, answer: &Answer, line: &str) {
        let text = String::from_utf8_lossy(&answer.body);
        let mut response = &operation.described["responses"][answer.status.to_string()];
        assert!(response.is_object(), "{line}: the status {} is not in the document: {text}", answer.status);
        if let Some(path) = response["$ref"].as_str() {
            response = self.document.pointer(path.trim_start_matches('#')).unwrap();
        }
        let Some(content) = response["content"].as_object() else {
            assert!(answer.body.is_empty(), "{line}: {text}");
            return;
        };
        let (media, content) = content.iter().next().unwrap();
        assert!(answer.head.contains(&format!("content-type: {media}")), "{line}: {}", answer.head);
        let instance = if media.ends_with("json") { answer.json() } else { json!(text) };
        let mut schema = content["schema"].clone();
        schema["components"] = self.strict.clone();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let errors: Vec<String> = validator.iter_errors(&instance).map(|error| format!("{} at {}", error, error.instance_path())).collect();
        assert!(errors.is_empty(), "{line} {}: {errors:?}\n{text}", answer.status);
    }

    /// The operations that were not called well or not called badly.
    pub(super) fn missed(&self) -> Vec<String> {
        let called = self.called.borrow();
        let known = |operation: &Operation| called.get(&operation.name()).copied().unwrap_or_default();
        let missed = self.operations().into_iter().filter(|operation| known(operation).0 == 0 || known(operation).1 == 0);
        missed.map(|operation| format!("{} (well, badly): {:?}", operation.name(), known(&operation))).collect()
    }
}

/// Sends a request, with a JSON body unless it is null.
pub(super) fn send(site: &Served, headers: &str, line: &str, body: &Value) -> Answer {
    if body.is_null() {
        return site.ask(line, headers, b"");
    }
    let bytes = serde_json::to_vec(body).unwrap();
    let headers = format!("{headers}Content-Type: application/json\r\nContent-Length: {}\r\n", bytes.len());
    site.ask(line, &headers, &bytes)
}

/// The header that shows a token.
pub(super) fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// The header that shows a name and a password.
pub(super) fn basic(name: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{name}:right")))
}

/// That an answer is a problem of this kind.
pub(super) fn is_problem(answer: &Answer, status: u16, kind: &str) {
    assert!(answer.head.contains("content-type: application/problem+json"), "{}", answer.head);
    let problem = answer.json();
    assert_eq!((answer.status, problem["kind"].as_str()), (status, Some(kind)), "{problem}");
    assert_eq!(problem["status"], status);
    assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
}
