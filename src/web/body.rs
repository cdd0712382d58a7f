//! Reads what callers send, within limits.

use std::time::Duration;

use actix_web::{HttpRequest, http::header, web::Payload};
use futures_util::StreamExt;
use tokio::time::timeout;

use crate::{
    error::{Error, Kind, Result},
    model::Limits,
    wire::{self, Encoding},
};

/// A caller that sends nothing for so long has gone.
const IDLE: Duration = Duration::from_secs(60);

/// A body as it came.
pub(super) struct Body {
    pub(super) encoding: Encoding,
    pub(super) bytes: Vec<u8>,
}

/// Reads a body of at most `limit` bytes, as they stand on the wire. [`Kind::Unsupported`] for an unknown encoding and
/// [`Kind::TooLarge`], both before reading where the headers tell it already.
pub(super) async fn read(request: &HttpRequest, mut payload: Payload, limit: u64) -> Result<Body> {
    let named = request.headers().get(header::CONTENT_ENCODING).map_or("", |value| value.to_str().unwrap_or("unreadable"));
    let encoding = Encoding::from_header(named)?;
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = timeout(IDLE, payload.next()).await.map_err(|_| Error::new(Kind::Timeout, "The body stopped coming"))? {
        let chunk = chunk.map_err(|e| Error::malformed("The body broke off").because(e.to_string()))?;
        if (bytes.len() + chunk.len()) as u64 > limit {
            return Err(too_large(limit));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Body { encoding, bytes })
}

fn too_large(limit: u64) -> Error {
    Error::new(Kind::TooLarge, format!("The body has more than the {limit} bytes that this site takes"))
}

impl Body {
    /// The bytes, unpacked within `limits`. Takes time: on a blocking thread only.
    pub(super) fn plain(self, limits: &Limits) -> Result<Vec<u8>> {
        match self.encoding {
            Encoding::Identity => Ok(self.bytes),
            packed => wire::decompress(packed, &self.bytes, limits),
        }
    }
}
