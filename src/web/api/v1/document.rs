//! `/api/v1/openapi.json`: the API as an OpenAPI 3.1 document, made of the same operations as the routes.

use std::{collections::BTreeMap, sync::LazyLock};

use actix_web::HttpResponse;
use schemars::{
    Schema,
    generate::{Contract, SchemaGenerator, SchemaSettings},
};
use serde::Serialize;
use serde_json::Value;

use super::{
    operation::{Method, Operation},
    problem::{self, Problem},
    routes::{BASE, OPERATIONS},
};
use crate::{error::Kind, model::Scope, wire};

/// The document.
#[derive(Serialize)]
pub(super) struct Document {
    openapi: &'static str,
    info: Info,
    servers: [Server; 1],
    tags: Vec<Tag>,
    security: [BTreeMap<&'static str, Vec<String>>; 3],
    paths: BTreeMap<&'static str, BTreeMap<&'static str, Described>>,
    pub(super) components: Components,
}

#[derive(Serialize)]
struct Info {
    title: &'static str,
    version: &'static str,
    description: &'static str,
}

#[derive(Serialize)]
struct Server {
    url: &'static str,
}

#[derive(Serialize)]
struct Tag {
    name: &'static str,
    description: &'static str,
}

/// An operation.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Described {
    tags: [&'static str; 1],
    operation_id: &'static str,
    summary: &'static str,
    description: String,
    pub(super) parameters: Vec<Parameter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request_body: Option<Body>,
    pub(super) responses: BTreeMap<String, Response>,
    /// How much a token must be allowed to do.
    #[serde(rename = "x-scope")]
    pub(super) scope: Scope,
}

/// A parameter in the path or the query.
#[derive(Serialize)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) r#in: &'static str,
    pub(super) required: bool,
    pub(super) description: String,
    pub(super) schema: Value,
}

/// What is sent.
#[derive(Serialize)]
pub(super) struct Body {
    required: bool,
    pub(super) content: BTreeMap<&'static str, Content>,
}

#[derive(Serialize)]
pub(super) struct Content {
    pub(super) schema: Value,
}

/// What is answered.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Response {
    Own {
        description: String,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        content: BTreeMap<&'static str, Content>,
    },
    Shared {
        #[serde(rename = "$ref")]
        reference: String,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Components {
    pub(super) schemas: BTreeMap<String, Value>,
    responses: BTreeMap<String, Response>,
    security_schemes: BTreeMap<&'static str, SecurityScheme>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
enum SecurityScheme {
    #[serde(rename = "http")]
    Http { scheme: &'static str, description: &'static str },
    #[serde(rename = "apiKey")]
    ApiKey { r#in: &'static str, name: &'static str, description: &'static str },
}

/// The cookie that a browser's session is kept in.
const COOKIE: &str = "entente_session";

/// The parts of the API, in the order of the docs.
const TAGS: [(&str, &str); 12] = [
    ("site", "This site, and the emergency stop"),
    ("databases", "What is attached here"),
    ("repositories", "The sites that this one runs with"),
    ("resources", "What is shared with a repository, and who wins"),
    ("jobs", "Schedules"),
    ("runs", "Pulls and pushes; the worker makes them"),
    ("log", "What happened here"),
    ("conflicts", "Records that two sites changed, and who won"),
    ("quarantine", "Records that could not be stored, or wait for another"),
    ("history", "Versions of records that were replaced or deleted"),
    ("accounts", "Who may log in"),
    ("tokens", "The caller's own tokens"),
];

/// The document and what of it is asked for often.
pub(super) static DOCUMENT: LazyLock<Document> = LazyLock::new(make);
static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| wire::write_json(&*DOCUMENT));

/// Answers anyone.
pub(super) async fn show() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(BYTES.as_slice())
}

/// The parts of the API with their descriptions.
pub(super) fn tags() -> impl Iterator<Item = (&'static str, &'static str)> {
    TAGS.into_iter()
}

impl Document {
    /// How an operation is described.
    pub(super) fn described(&self, operation: &Operation) -> Option<&Described> {
        self.paths.get(operation.path)?.get(lower(operation.method))
    }
}

fn generator(contract: Contract) -> SchemaGenerator {
    let mut settings = SchemaSettings::draft2020_12();
    settings.contract = contract;
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    settings.into_generator()
}

fn make() -> Document {
    let (mut read, mut written) = (generator(Contract::Deserialize), generator(Contract::Serialize));
    let mut paths: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for operation in OPERATIONS.iter() {
        paths.entry(operation.path).or_default().insert(lower(operation.method), describe(operation, &mut read, &mut written));
    }
    let problem = reference(&written.subschema_for::<Problem>());
    let mut schemas: BTreeMap<String, Value> = read.take_definitions(true).into_iter().collect();
    schemas.extend(written.take_definitions(true));
    Document {
        openapi: "3.1.0",
        info: Info {
            title: "Entente",
            version: env!("CARGO_PKG_VERSION"),
            description: "Keeps databases at many sites in agreement. What the command line can do, for programs. Errors are problems as RFC 9457 has them; \
                          long lists come a page at a time.",
        },
        servers: [Server { url: BASE }],
        tags: TAGS.map(|(name, description)| Tag { name, description }).into(),
        security: ["token", "account", "session"].map(|scheme| BTreeMap::from([(scheme, Vec::new())])),
        paths,
        components: Components { schemas, responses: shared(&problem), security_schemes: schemes() },
    }
}

fn schemes() -> BTreeMap<&'static str, SecurityScheme> {
    BTreeMap::from([
        (
            "token",
            SecurityScheme::Http {
                scheme: "bearer",
                description: "A token: `entente token add NAME --scope read|write|admin`, or POST /tokens. Each scope includes those before it.",
            },
        ),
        (
            "account",
            SecurityScheme::Http {
                scheme: "basic",
                description: "Name and password of an account: admin has the scope admin, operator write, viewer read. Slow on purpose: use a token.",
            },
        ),
        (
            "session",
            SecurityScheme::ApiKey {
                r#in: "cookie",
                name: COOKIE,
                description: "The session of a browser. What changes something wants the header X-CSRF-Token, too, with the value of the field csrf of any form.",
            },
        ),
    ])
}

fn lower(method: Method) -> &'static str {
    match method {
        Method::Get => "get",
        Method::Post => "post",
        Method::Put => "put",
        Method::Patch => "patch",
        Method::Delete => "delete",
    }
}

fn describe(operation: &Operation, read: &mut SchemaGenerator, written: &mut SchemaGenerator) -> Described {
    let shapes = (operation.shapes)(read, written);
    let content = |media, schema: &Schema| BTreeMap::from([(media, Content { schema: reference(schema) })]);
    let media = operation.media.split(';').next().unwrap_or_default();
    let well = Response::Own {
        description: "Done".to_owned(),
        content: shapes.answer.as_ref().map(|schema| content(media, schema)).unwrap_or_default(),
    };
    let mut responses = BTreeMap::from([(operation.status.to_string(), well)]);
    for status in failures(operation) {
        responses.insert(status.to_string(), Response::Shared { reference: format!("#/components/responses/Problem{status}") });
    }
    Described {
        tags: [operation.tag()],
        operation_id: operation.id,
        summary: operation.summary,
        description: format!("Needs the scope `{}`.", operation.needs.word()),
        parameters: parameters(&shapes.path, "path").chain(parameters(&shapes.query, "query")).collect(),
        request_body: shapes.body.as_ref().map(|schema| Body { required: true, content: content("application/json", schema) }),
        responses,
        scope: operation.needs,
    }
}

/// The statuses with which an operation may fail.
fn failures(operation: &Operation) -> Vec<u16> {
    let mut statuses = vec![400, 401, 403, 404, 429, 500, 503];
    if operation.method != Method::Get {
        statuses.extend([409, 413, 415]);
    }
    if operation.calls {
        statuses.extend([409, 502, 504]);
    }
    statuses
}

fn parameters(shape: &Schema, place: &'static str) -> impl Iterator<Item = Parameter> {
    let shape = shape.as_value();
    let required: Vec<String> = shape["required"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    let properties = shape["properties"].as_object().cloned().unwrap_or_default();
    properties.into_iter().map(move |(name, mut schema)| {
        let description = schema.as_object_mut().and_then(|fields| fields.remove("description"));
        Parameter {
            required: place == "path" || required.contains(&name),
            name,
            r#in: place,
            description: description.and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default(),
            schema,
        }
    })
}

fn reference(schema: &Schema) -> Value {
    schema.as_value().clone()
}

/// The answers that tell of a failure.
fn shared(problem: &Value) -> BTreeMap<String, Response> {
    let mut shared = BTreeMap::new();
    for status in [400, 401, 403, 404, 409, 413, 415, 429, 500, 502, 503, 504] {
        let kinds: Vec<&Kind> = problem::KINDS.iter().filter(|kind| kind.status() == status).collect();
        let words = kinds.iter().map(|kind| format!("{} (`{}`)", problem::title(**kind), kind.word())).collect::<Vec<_>>().join("; ");
        let content = BTreeMap::from([(problem::MEDIA, Content { schema: problem.clone() })]);
        shared.insert(format!("Problem{status}"), Response::Own { description: words, content });
    }
    shared
}
