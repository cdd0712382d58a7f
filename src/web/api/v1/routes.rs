//! Every URL of the API, made of its operations.

use std::sync::LazyLock;

use actix_web::{
    HttpRequest, Route,
    http::Method as HttpMethod,
    web::{self, Data, Payload, ServiceConfig, get},
};

use super::{
    accounts, compare, conflicts, databases, docs, document, health, history, jobs, log, metrics,
    operation::{Method, Operation},
    problem, quarantine, repositories, resources, runs, site, tokens,
};
use crate::web::app::App;

/// Where the operations are.
pub(super) const BASE: &str = "/api/v1";

/// Every operation, in the order of the docs.
pub(super) static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| {
    let all = [
        site::operations(),
        databases::operations(),
        repositories::operations(),
        resources::operations(),
        compare::operations(),
        jobs::operations(),
        runs::operations(),
        log::operations(),
        conflicts::operations(),
        quarantine::operations(),
        history::operations(),
        accounts::operations(),
        tokens::operations(),
    ];
    all.into_iter().flatten().collect()
});

/// The addresses and who answers them.
pub(in crate::web) fn routes(config: &mut ServiceConfig) {
    let mut paths: Vec<&'static str> = Vec::new();
    for operation in OPERATIONS.iter() {
        if !paths.contains(&operation.path) {
            paths.push(operation.path);
        }
    }
    let at = |path: &str, allowed: &'static str| {
        web::resource(path).default_service(web::to(move |request: HttpRequest| async move { problem::not_this_way(&request, allowed) }))
    };
    let mut api = web::scope("/api")
        .service(at("/docs", "GET").route(get().to(docs::show)))
        .service(at("/docs.css", "GET").route(get().to(docs::style)))
        .service(at("/v1/openapi.json", "GET").route(get().to(document::show)));
    for path in paths {
        let own: Vec<&'static Operation> = OPERATIONS.iter().filter(|operation| operation.path == path).collect();
        let allowed = own.iter().map(|operation| operation.method.word()).collect::<Vec<_>>().join(", ");
        let mut resource = web::resource(format!("/v1{path}")).default_service(web::to(move |request: HttpRequest| {
            let allowed = allowed.clone();
            async move { problem::not_this_way(&request, &allowed) }
        }));
        for operation in own {
            resource = resource.route(route(operation));
        }
        api = api.service(resource);
    }
    let nothing = web::to(|request: HttpRequest| async move { problem::nothing_here(&request) });
    config
        .service(at("/healthz", "GET").route(get().to(health::alive)))
        .service(at("/readyz", "GET").route(get().to(health::ready)))
        .service(at("/metrics", "GET").route(get().to(metrics::show)))
        .service(api.default_service(nothing));
}

fn route(operation: &'static Operation) -> Route {
    let method = match operation.method {
        Method::Get => HttpMethod::GET,
        Method::Post => HttpMethod::POST,
        Method::Put => HttpMethod::PUT,
        Method::Patch => HttpMethod::PATCH,
        Method::Delete => HttpMethod::DELETE,
    };
    let answer = move |app: Data<App>, request: HttpRequest, payload: Payload| operation.answer(app, request, payload);
    web::route().method(method).to(answer)
}
