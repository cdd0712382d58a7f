//! Answers: bodies and refusals.

use std::fmt;

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::{StatusCode, header},
};

use super::admin;
use crate::{
    error::{Error, Kind, Result},
    model::{Limits, Refusal},
    wire::{self, Encoding},
};

/// Smaller bodies gain nothing by compression.
const WORTH_PACKING: usize = 1024;

/// The seconds after which a caller may try again, where the error does not know better.
const LATER: u64 = 5;

/// The challenge that makes clients send a name and a password.
const CHALLENGE: &str = r#"Basic realm="entente", charset="UTF-8""#;

/// The media type of a page.
pub(super) const XML: &str = "text/xml; charset=utf-8";

/// The media type of everything else.
pub(super) const JSON: &str = "application/json";

/// What a handler returns.
pub(super) type Answer = Result<HttpResponse, Refused>;

/// A body, packed as the caller wants it.
pub(super) struct Packed {
    encoding: Encoding,
    bytes: Vec<u8>,
}

impl Packed {
    /// Packs a body if that is worth it. Takes time: on a blocking thread only.
    pub(super) fn new(wanted: Encoding, bytes: Vec<u8>) -> Result<Packed> {
        let wanted = if bytes.len() > WORTH_PACKING { wanted } else { Encoding::Identity };
        let (encoding, bytes) = wire::pack(wanted, bytes, &Limits::default())?;
        Ok(Packed { encoding, bytes })
    }

    /// The answer that carries it.
    pub(super) fn answer(self, media: &str) -> HttpResponse {
        let mut answer = HttpResponse::Ok();
        answer.content_type(media).insert_header((header::VARY, "Accept-Encoding"));
        if self.encoding != Encoding::Identity {
            answer.insert_header((header::CONTENT_ENCODING, self.encoding.name()));
        }
        answer.body(self.bytes)
    }
}

/// The packing that the caller likes best.
pub(super) fn wanted(request: &HttpRequest) -> Encoding {
    Encoding::choose(request.headers().get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default())
}

/// An error as the caller sees it. What went wrong inside stays inside.
#[derive(Debug)]
pub(super) struct Refused(Error);

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Refused(error)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.kind().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let kind = self.0.kind();
        let message = if kind == Kind::Internal {
            tracing::error!("a request failed: {}", self.0.chain());
            "Something went wrong at this site; its own log tells what".to_owned()
        } else {
            tracing::debug!(kind = kind.word(), "a request was refused: {}", self.0.chain());
            self.0.to_string()
        };
        let mut answer = HttpResponse::build(self.status_code());
        if matches!(kind.status(), 429 | 503) {
            answer.insert_header((header::RETRY_AFTER, self.0.wait().unwrap_or(LATER)));
        }
        if kind == Kind::Unauthorized {
            answer.insert_header((header::WWW_AUTHENTICATE, CHALLENGE));
        }
        answer.content_type(JSON).body(wire::refusal(kind, &message))
    }
}

/// Answers whatever has no route: people with a page, programs with a refusal.
pub(super) async fn nothing_here(request: HttpRequest) -> Answer {
    match admin::pages_of(&request) {
        Some(page) => Ok(page),
        None => Err(Error::not_found("There is nothing at this address").into()),
    }
}

/// Answers a method that a resource does not have.
pub(super) async fn not_this_way() -> HttpResponse {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let refusal = Refusal {
        status: "failed".to_owned(),
        statuscode: status.as_str().to_owned(),
        message: "This address does not take that method".to_owned(),
        kind: Kind::Usage.word().to_owned(),
    };
    HttpResponse::build(status).content_type(JSON).body(wire::write_json(&refusal))
}
