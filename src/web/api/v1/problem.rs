//! Errors as RFC 9457 has them.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    error::{Error, Kind},
    wire,
};

/// The media type of a problem.
pub(super) const MEDIA: &str = "application/problem+json";

/// The seconds after which a caller may try again, where the error does not know better.
const LATER: u64 = 5;

/// Basic is taken too, but is not asked for: a browser would remember the password and send it along with other pages' requests.
const CHALLENGE: &str = r#"Bearer realm="entente""#;

/// What went wrong (RFC 9457).
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Problem {
    /// Where the kind of problem is explained.
    r#type: String,
    /// The kind of problem in a few words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What went wrong, in a sentence.
    detail: String,
    /// The path of the request.
    instance: String,
    /// The kind of problem in one word, for programs.
    kind: String,
    /// What to do next, where we know.
    hint: Option<String>,
}

/// The answer to a request that failed. What went wrong inside stays inside.
pub(super) fn refuse(request: &HttpRequest, error: &Error) -> HttpResponse {
    let kind = error.kind();
    let (detail, hint) = if kind == Kind::Internal {
        tracing::error!("a request failed: {}", error.chain());
        ("Something went wrong at this site; its own log tells what".to_owned(), None)
    } else {
        tracing::debug!(kind = kind.word(), "a request was refused: {}", error.chain());
        (error.to_string(), error.next_step().map(str::to_owned))
    };
    let mut answer = write(request, kind.status(), kind, detail, hint);
    if matches!(kind.status(), 429 | 503) {
        add(&mut answer, header::RETRY_AFTER, &error.wait().unwrap_or(LATER).to_string());
    }
    if kind == Kind::Unauthorized {
        add(&mut answer, header::WWW_AUTHENTICATE, CHALLENGE);
    }
    answer
}

/// The answer to a method that an address does not take.
pub(super) fn not_this_way(request: &HttpRequest, allowed: &str) -> HttpResponse {
    let detail = format!("This address does not take {}", request.method());
    let mut answer = write(request, 405, Kind::Usage, detail, Some(format!("It takes {allowed}; see /api/docs.")));
    add(&mut answer, header::ALLOW, allowed);
    answer
}

/// The answer for an address at which there is nothing.
pub(super) fn nothing_here(request: &HttpRequest) -> HttpResponse {
    refuse(request, &Error::not_found("There is nothing at this address").hint("/api/docs lists what there is."))
}

fn write(request: &HttpRequest, status: u16, kind: Kind, detail: String, hint: Option<String>) -> HttpResponse {
    let problem = Problem {
        r#type: format!("/api/docs#problem-{}", kind.word()),
        title: title(kind).to_owned(),
        status,
        detail,
        instance: request.path().to_owned(),
        kind: kind.word().to_owned(),
        hint,
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::build(status).content_type(MEDIA).body(wire::write_json(&problem))
}

fn add(answer: &mut HttpResponse, name: header::HeaderName, value: &str) {
    if let Ok(value) = header::HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}

/// The kinds that callers can meet, for the docs.
pub(super) const KINDS: [Kind; 19] = [
    Kind::Usage,
    Kind::Malformed,
    Kind::Unauthorized,
    Kind::Forbidden,
    Kind::NotFound,
    Kind::Exists,
    Kind::Undecided,
    Kind::Constraint,
    Kind::Epoch,
    Kind::TooLarge,
    Kind::Unsupported,
    Kind::Limited,
    Kind::Paused,
    Kind::Busy,
    Kind::Full,
    Kind::Unreachable,
    Kind::Timeout,
    Kind::Newer,
    Kind::Internal,
];

/// A kind in a few words.
pub(super) fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Usage => "The request is wrong",
        Kind::Malformed => "The request cannot be read",
        Kind::Unauthorized => "Not logged in",
        Kind::Forbidden => "Not allowed",
        Kind::NotFound => "Not found",
        Kind::Epoch => "The journal began a new life",
        Kind::Fence => "A newer run is going on",
        Kind::Exists => "It contradicts what is there",
        Kind::Undecided => "A person has to decide first",
        Kind::TooLarge => "Too large",
        Kind::Unsupported => "A media type or encoding that is not read here",
        Kind::Limited => "Too many tries",
        Kind::Paused => "Everything is paused",
        Kind::Unreachable => "The other site did not answer",
        Kind::Timeout => "It took too long",
        Kind::Busy => "In use at the moment",
        Kind::Full => "No space is left",
        Kind::Constraint => "The database refuses it",
        Kind::Stopped => "Stopped on request",
        Kind::Newer => "Made by a newer version of Entente",
        Kind::Internal => "Something went wrong at this site",
    }
}
