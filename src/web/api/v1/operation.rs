//! One operation of the API: who may call it, what it takes, what it answers, what it does.

use std::{any::TypeId, sync::Arc};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web::{self, Data, Payload},
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    person::{Person, refuse_other_origins, who},
    problem,
};
use crate::{
    error::{Error, Kind, Result},
    model::{Action, Direction, Limits, LogEntry, Scope},
    site::Site,
    store::log,
    web::{
        app::{App, call},
        body,
    },
    wire,
};

/// The most bytes of a body.
const BODY: u64 = 1 << 20;

/// What an operation has at hand.
pub(super) struct Call<'a> {
    pub(super) site: &'a Arc<Site>,
    pub(super) person: &'a Person,
}

/// What an operation is given: the parameters in the path, those in the query, the body.
pub(super) struct In<P = Nothing, Q = Nothing, B = Nothing> {
    pub(super) path: P,
    pub(super) query: Q,
    pub(super) body: B,
}

/// Nothing at all.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// What can be sent or answered.
pub(super) trait Shape: JsonSchema + Send + 'static {}

impl<T: JsonSchema + Send + 'static> Shape for T {}

/// An HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    pub(super) fn word(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}

/// What an operation takes and answers, as schemas.
pub(super) struct Shapes {
    pub(super) path: Schema,
    pub(super) query: Schema,
    pub(super) body: Option<Schema>,
    pub(super) answer: Option<Schema>,
}

type Work = Box<dyn FnOnce(&Call<'_>) -> Result<Vec<u8>> + Send>;
type Prepare = dyn Fn(&HttpRequest, &[u8]) -> Result<Work> + Send + Sync;

/// One operation.
pub(super) struct Operation {
    pub(super) method: Method,
    /// Its path under `/api/v1`.
    pub(super) path: &'static str,
    /// Its name for programs.
    pub(super) id: &'static str,
    /// What it does, in a line.
    pub(super) summary: &'static str,
    pub(super) needs: Scope,
    /// The status when it went well.
    pub(super) status: u16,
    pub(super) media: &'static str,
    /// Whether it calls another site, which may not answer.
    pub(super) calls: bool,
    /// The schemas; what is read is described by the first generator, what is written by the second.
    pub(super) shapes: fn(&mut SchemaGenerator, &mut SchemaGenerator) -> Shapes,
    prepare: Box<Prepare>,
}

impl Operation {
    /// An operation: who looks needs the scope `read`, who changes something `admin`.
    pub(super) fn new<P, Q, B, A>(
        method: Method,
        path: &'static str,
        (id, summary): (&'static str, &'static str),
        run: fn(&Call<'_>, In<P, Q, B>) -> Result<A>,
    ) -> Operation
    where
        P: Shape + DeserializeOwned,
        Q: Shape + DeserializeOwned,
        B: Shape + DeserializeOwned,
        A: Shape + Serialize,
    {
        Operation {
            method,
            path,
            id,
            summary,
            needs: if method == Method::Get { Scope::Read } else { Scope::Admin },
            status: if is_nothing::<A>() { 204 } else { 200 },
            media: "application/json",
            calls: false,
            shapes: shapes::<P, Q, B, A>,
            prepare: Box::new(move |request, bytes| {
                let asked = read::<P, Q, B>(request, bytes)?;
                Ok(Box::new(move |call| {
                    let answer = run(call, asked)?;
                    Ok(if is_nothing::<A>() { Vec::new() } else { wire::write_json(&answer) })
                }))
            }),
        }
    }

    /// An operation that answers text of another media type.
    pub(super) fn text<P, Q>(
        path: &'static str,
        media: &'static str,
        (id, summary): (&'static str, &'static str),
        run: fn(&Call<'_>, In<P, Q>) -> Result<String>,
    ) -> Operation
    where
        P: Shape + DeserializeOwned,
        Q: Shape + DeserializeOwned,
    {
        let prepare = Box::new(move |request: &HttpRequest, bytes: &[u8]| {
            let asked = read::<P, Q, Nothing>(request, bytes)?;
            let work: Work = Box::new(move |call| Ok(run(call, asked)?.into_bytes()));
            Ok(work)
        });
        Operation { media, prepare, ..Operation::new(Method::Get, path, (id, summary), run) }
    }

    /// The same for another scope.
    pub(super) fn needs(self, needs: Scope) -> Operation {
        Operation { needs, ..self }
    }

    /// The same with another status when it went well.
    pub(super) fn status(self, status: u16) -> Operation {
        Operation { status, ..self }
    }

    /// The same, and it calls another site.
    pub(super) fn calls(self) -> Operation {
        Operation { calls: true, ..self }
    }

    /// The part of the docs it belongs to: mostly the first word of its path.
    pub(super) fn tag(&self) -> &'static str {
        match self.path.trim_start_matches('/').split('/').next().unwrap_or_default() {
            "survey" | "tables" => "databases",
            "repositories" if self.path.contains("/resources") => "resources",
            first => first,
        }
    }

    /// Answers a request.
    pub(super) async fn answer(&'static self, app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
        match self.carry_out(app, &request, payload).await {
            Ok(bytes) => {
                let mut answer = HttpResponse::build(StatusCode::from_u16(self.status).unwrap_or_default());
                if self.status == 204 { answer.finish() } else { answer.content_type(self.media).body(bytes) }
            }
            Err(error) => problem::refuse(&request, &error),
        }
    }

    async fn carry_out(&'static self, app: Data<App>, request: &HttpRequest, payload: Payload) -> Result<Vec<u8>> {
        let person = who(&app, request).await?;
        person.must(self.needs)?;
        if self.method != Method::Get {
            refuse_other_origins(request)?;
        }
        let body = body::read(request, payload, BODY).await?;
        if !body.bytes.is_empty() && !is_json(request) {
            return Err(Error::new(Kind::Unsupported, "A body is JSON here").hint("Send it with `Content-Type: application/json`."));
        }
        let limits = Limits { body: BODY, ..app.limits };
        let work = (self.prepare)(request, &body.plain(&limits)?)?;
        let path = request.path().to_owned();
        call(move || {
            let done = work(&Call { site: &app.site, person: &person })?;
            if self.method != Method::Get {
                self.note(&app.site, &person, &path)?;
            }
            Ok(done)
        })
        .await
    }

    /// Who changed what stands in the log.
    fn note(&self, site: &Site, person: &Person, path: &str) -> Result<()> {
        let message = format!("{} ({} {path}), by {}", self.summary, self.method.word(), person.told());
        let entry = LogEntry { message, ..LogEntry::new(site.now(), Action::Change, Direction::Incoming) };
        site.store.write(|c| log::append(c, &entry).map(|_| ()))
    }
}

fn is_nothing<T: 'static>() -> bool {
    TypeId::of::<T>() == TypeId::of::<Nothing>()
}

fn shapes<P: Shape, Q: Shape, B: Shape, A: Shape>(read: &mut SchemaGenerator, written: &mut SchemaGenerator) -> Shapes {
    Shapes {
        path: P::json_schema(read),
        query: Q::json_schema(read),
        body: (!is_nothing::<B>()).then(|| read.subschema_for::<B>()),
        answer: (!is_nothing::<A>()).then(|| written.subschema_for::<A>()),
    }
}

fn is_json(request: &HttpRequest) -> bool {
    let media = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    media.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

fn read<P, Q, B>(request: &HttpRequest, bytes: &[u8]) -> Result<In<P, Q, B>>
where
    P: DeserializeOwned + 'static,
    Q: DeserializeOwned,
    B: DeserializeOwned + 'static,
{
    let path = web::Path::<P>::extract(request).into_inner();
    let path = path.map_err(|e| Error::not_found(format!("There is nothing at this address: {}", plain(&e))))?.into_inner();
    let query = web::Query::<Q>::from_query(request.query_string());
    let query = query.map_err(|e| Error::usage(format!("The query cannot be used: {}", plain(&e))))?.into_inner();
    // Else a list would be taken for the fields in their order.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|first| *first == b'[') {
        return Err(Error::usage("The body cannot be used: it is a list and no object").hint("/api/docs says what it takes."));
    }
    let bytes = if bytes.is_empty() && is_nothing::<B>() { b"{}" } else { bytes };
    let body = serde_json::from_slice(bytes).map_err(|e| {
        let told = e.to_string();
        let error = if e.is_data() {
            Error::usage(format!("The body cannot be used: {told}"))
        } else {
            Error::malformed(format!("The body is no JSON: {told}"))
        };
        error.hint("/api/docs says what it takes.")
    })?;
    Ok(In { path, query, body })
}

/// An error of the web library without the words that it puts before each.
fn plain(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    text.strip_prefix("Query deserialize error: ").map(str::to_owned).unwrap_or(text)
}
