//! Who may import whom (docs/ARCHITECTURE.md), read from the source text: comments and literals are taken out, what is left is
//! cut into words, and every path that begins at `crate`, `super` or a foreign crate with a home is looked at. Tests inside the
//! modules (items under `#[cfg(test)]`, `tests.rs`, `tests/`) may reach for anything, since nobody imports them.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use source::{code, is_name, paths, words};

#[path = "layering/source.rs"]
mod source;

/// A module at the top and the others that it may import.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("postgresql", &["error"]),
    ("config", &["error", "postgresql"]),
    ("model", &["error"]),
    ("decide", &["error", "model"]),
    ("wire", &["error", "model"]),
    ("store", &["error", "model", "postgresql"]),
    ("connector", &["error", "model", "wire", "postgresql"]),
    ("peer", &["error", "model", "wire"]),
    ("sync", &["error", "model", "decide", "store", "connector", "peer", "postgresql", "site"]),
    ("site", &["error", "model", "config", "decide", "store", "connector", "peer", "postgresql"]),
    ("web", &["error", "model", "config", "wire", "store", "sync", "site"]),
    ("jobs", &["error", "model", "store", "sync", "site"]),
];

/// Modules that may import every other.
const ROOF: &[&str] = &["cli", "main", "lib"];

/// A foreign crate, or `prefix*`, and the only modules that may name it.
const HOMES: &[(&str, &[&str])] = &[
    ("actix*", &["web"]),
    ("clap*", &["cli", "main"]),
    ("diesel*", &["store"]),
    ("entente_worker", &["jobs", "sync", "cli", "main"]),
    // The server that tests start is asked whether it is up.
    ("postgres", &["connector", "postgresql"]),
    ("quick_xml", &["wire"]),
    ("reqwest", &["peer"]),
    ("tokio_postgres*", &["postgresql", "store"]),
    // The demo plays an application that owns a database.
    ("rusqlite", &["connector", "cli"]),
];

/// Words that the worker does not know, not even in a comment.
const UNKNOWN_TO_WORKER: &[&str] = &["record", "records", "http", "https", "xml", "sql", "repository", "repositories", "entente"];

#[test]
fn every_module_imports_only_what_it_may() {
    let mut files = sources("src");
    files.retain(|(file, _)| !file.split('/').any(|part| part == "tests" || part == "tests.rs"));
    assert!(files.len() > 10, "only {} files found", files.len());
    let wrong: Vec<String> = files.iter().flat_map(|(file, text)| violations(file, text)).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_worker_knows_nothing_of_what_it_runs() {
    let files = sources("worker/src");
    assert!(files.len() > 3, "only {} files found", files.len());
    let manifest = fs::read_to_string(root().join("worker/Cargo.toml")).unwrap();
    let wrong: Vec<String> = files.iter().flat_map(|(file, text)| words_unknown_to_worker(file, text)).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(!manifest.contains("path ="), "worker/Cargo.toml: the worker depends on a package of ours");
}

#[test]
fn a_forbidden_import_is_found_however_it_is_written() {
    for (file, text, want) in [
        ("decide/mod.rs", "use crate::store::Store;", "decide/mod.rs: decide must not import store"),
        ("decide/mod.rs", "use crate::{model::Record, store};", "decide/mod.rs: decide must not import store"),
        ("decide/mod.rs", "use crate::{\n  model::{A, B},\n  web::{self, x::Y},\n};", "decide/mod.rs: decide must not import web"),
        ("decide/mod.rs", "fn f() -> crate::wire::Page { g() }", "decide/mod.rs: decide must not import wire"),
        ("decide/mod.rs", "pub use super::store;", "decide/mod.rs: decide must not import store"),
        ("config.rs", "use super::{error::Error, store::Store};", "config.rs: config must not import store"),
        ("store/jobs.rs", "use super::super::sync;", "store/jobs.rs: store must not import sync"),
        ("store/jobs.rs", "use super::{schema, super::sync::run};", "store/jobs.rs: store must not import sync"),
        ("store/mod.rs", "mod tests { use super::super::peer; }", "store/mod.rs: store must not import peer"),
        ("wire/deep/er/mod.rs", "use super::super::super::sync;", "wire/deep/er/mod.rs: wire must not import sync"),
        ("model/job.rs", "fn f() { let quote = '\"'; crate::web::go(); }", "model/job.rs: model must not import web"),
        ("model/job.rs", "fn f<'a>(x: &'a str) { crate::web::go(x) }", "model/job.rs: model must not import web"),
        ("model/job.rs", "macro_rules! m { () => { $crate::web::go() } }", "model/job.rs: model must not import web"),
        ("model/job.rs", "#[cfg(test)] mod tests { fn f() {} } use crate::web;", "model/job.rs: model must not import web"),
        ("model/job.rs", "#[cfg(test)] mod tests; use crate::web;", "model/job.rs: model must not import web"),
        ("error.rs", "use crate::*;", "error.rs: error must not import *"),
        ("helpers/mod.rs", "", "helpers/mod.rs: helpers is not in the table of modules"),
        ("sync/run.rs", "use diesel::prelude::*;", "sync/run.rs: diesel belongs into store"),
        ("sync/run.rs", "use diesel_migrations as m;", "sync/run.rs: diesel_migrations belongs into store"),
        ("sync/run.rs", "use {std::fmt, rusqlite::Connection};", "sync/run.rs: rusqlite belongs into connector, cli"),
        ("sync/run.rs", "fn f() { ::reqwest::get() }", "sync/run.rs: reqwest belongs into peer"),
        ("sync/run.rs", "#[actix_web::main] async fn f() {}", "sync/run.rs: actix_web belongs into web"),
        ("sync/run.rs", "#[derive(clap::Parser)] struct A;", "sync/run.rs: clap belongs into cli, main"),
        ("cli/mod.rs", "extern crate quick_xml;", "cli/mod.rs: quick_xml belongs into wire"),
        ("web/mod.rs", "use entente_worker::Stop;", "web/mod.rs: entente_worker belongs into jobs, sync, cli, main"),
    ] {
        assert_eq!(violations(file, text), [want], "{text}");
    }
}

#[test]
fn what_is_allowed_and_what_only_looks_forbidden_is_left_alone() {
    for (file, text) in [
        ("decide/mod.rs", "use crate::{decide::merge, model::{Record, store::X}};"),
        ("decide/mod.rs", "//! [`crate::store`]\n/* crate::web /* crate::web */ crate::web */ fn f() {}"),
        ("decide/mod.rs", r##"const A: &str = "crate::web"; const B: &str = r#"" crate::web"#; const C: char = '\'';"##),
        ("store/jobs.rs", "use super::schema; mod tests { use super::super::schema; use super::*; }"),
        ("store/mod.rs", "pub(crate) fn f() {} pub(in crate::store) fn g() { diesel::insert() }"),
        ("store/mod.rs", "mod a { fn f() {} } use super::model;"),
        ("site.rs", "fn f(x: X) { x.diesel(); let clap = 1; other::reqwest::get(); }"),
        ("cli/mod.rs", "use crate::{store, web}; use clap::Parser;"),
        ("main.rs", "use clap::Parser;"),
        ("sync/run.rs", "#[cfg(test)]\n#[allow(x)]\nmod tests { use crate::web; fn f() { rusqlite::open() } }"),
        ("jobs.rs", "use entente_worker::{Queue, Work};"),
    ] {
        assert_eq!(violations(file, text), [""; 0], "{text}");
    }
}

#[test]
fn a_word_that_the_worker_must_not_know_is_found_in_code_and_comments() {
    for (text, word) in [("// sends a record", "record"), ("use entente::Error;", "entente"), ("let Http = 1;", "Http")] {
        assert_eq!(words_unknown_to_worker("queue.rs", text), [format!("queue.rs: the worker knows the word {word}")]);
    }
    assert_eq!(words_unknown_to_worker("queue.rs", "// recorded; entente_worker"), [""; 0]);
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file under a folder: its path there and its text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let folder = root().join(folder);
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = vec![folder.clone()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&folder).unwrap().to_str().unwrap().replace('\\', "/");
                files.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

fn words_unknown_to_worker(file: &str, text: &str) -> Vec<String> {
    let words = text.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let known = words.filter(|word| UNKNOWN_TO_WORKER.contains(&word.to_lowercase().as_str()));
    known.map(|word| format!("{file}: the worker knows the word {word}")).collect()
}

/// What a file under `src` imports and must not.
fn violations(file: &str, text: &str) -> Vec<String> {
    let place: Vec<&str> = file.trim_end_matches(".rs").split('/').filter(|part| *part != "mod").collect();
    let top = place[0];
    let allowed = MAY_IMPORT.iter().find(|(module, _)| *module == top).map(|(_, allowed)| *allowed);
    if allowed.is_none() && !ROOF.contains(&top) {
        return vec![format!("{file}: {top} is not in the table of modules")];
    }
    let words = without_tests(words(&code(text)));
    let mut wrong = Vec::new();
    for module in imported_modules(&words, place.len()) {
        if module != top && allowed.is_some_and(|allowed| !allowed.contains(&module.as_str())) {
            wrong.push(format!("{file}: {top} must not import {module}"));
        }
    }
    for name in foreign_crates(&words) {
        let homes = HOMES.iter().find(|(pattern, _)| matches(pattern, name)).map_or(&[][..], |(_, homes)| *homes);
        if !homes.contains(&top) {
            wrong.push(format!("{file}: {name} belongs into {}", homes.join(", ")));
        }
    }
    wrong.dedup();
    wrong
}

/// The words without the items that are built for tests only.
fn without_tests(words: Vec<String>) -> Vec<String> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < words.len() {
        if words[at..].iter().take(7).eq(["#", "[", "cfg", "(", "test", ")", "]"]) {
            at = end_of_item(&words, at + 7);
        } else {
            kept.push(words[at].clone());
            at += 1;
        }
    }
    kept
}

/// Where the item ends that begins at `begin`: after its first `;` or its first block.
fn end_of_item(words: &[String], begin: usize) -> usize {
    let mut braces = 0;
    for (at, word) in words.iter().enumerate().skip(begin) {
        match word.as_str() {
            "{" => braces += 1,
            "}" => braces -= 1,
            _ => {}
        }
        if braces == 0 && (word == ";" || word == "}") {
            return at + 1;
        }
    }
    words.len()
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |prefix| name.starts_with(prefix))
}

/// The foreign crates with a home that are named at the beginning of a path, or right after `use` or `extern crate`.
fn foreign_crates(words: &[String]) -> impl Iterator<Item = &str> {
    words.iter().enumerate().filter_map(|(at, word)| {
        let before = |back: usize| at.checked_sub(back).map_or("", |before| words[before].as_str());
        let after = words.get(at + 1).map_or("", String::as_str);
        let inside_a_path = before(1) == "." || (before(1) == "::" && is_name(before(2)));
        let named = after == "::" || ["use", "crate"].contains(&before(1));
        let has_home = HOMES.iter().any(|(pattern, _)| matches(pattern, word));
        (has_home && named && !inside_a_path).then_some(word.as_str())
    })
}

/// The modules at the top that are reached by `crate::…` and `super::…` from a file which is so many modules deep.
fn imported_modules(words: &[String], depth: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut inline: Vec<usize> = Vec::new();
    let mut braces = 0;
    for at in 0..words.len() {
        match words[at].as_str() {
            "{" => {
                braces += 1;
                if at >= 2 && words[at - 2] == "mod" {
                    inline.push(braces);
                }
            }
            "}" => {
                if inline.last() == Some(&braces) {
                    inline.pop();
                }
                braces -= 1;
            }
            "crate" | "super" if at == 0 || words[at - 1] != "::" => {
                let paths = paths(&mut words[at..].iter().peekable());
                found.extend(paths.iter().filter_map(|path| reached(path, depth + inline.len())));
            }
            _ => {}
        }
    }
    found
}

/// The module at the top that a path names, if it leaves by the top at all.
fn reached(path: &[String], depth: usize) -> Option<String> {
    let climbs = path.iter().take_while(|part| *part == "super" || *part == "self").filter(|part| *part == "super").count();
    let rest: Vec<&String> = path.iter().skip_while(|part| ["super", "self", "crate"].contains(&part.as_str())).collect();
    let from_top = path.first().is_some_and(|first| first == "crate") || climbs >= depth;
    if from_top { rest.first().map(|name| (*name).clone()) } else { None }
}
