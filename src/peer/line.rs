//! One HTTP exchange at a time with another site, within limits of size and time.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use futures_util::stream;
use reqwest::{
    Client, Method, RequestBuilder, Response,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::{runtime::Runtime, time::timeout};

use super::{
    retry::{Failed, pause},
    setup::{LineSettings, Timeouts, base, client},
    trouble::{Place, asking},
};
use crate::{
    error::{Error, Result},
    model::Limits,
    wire::{self, Encoding},
};

/// How a call shows who calls.
#[derive(Clone)]
pub(super) enum Credentials {
    Nobody,
    Basic(String, SecretString),
    Bearer(SecretString),
}

/// A call: what is asked for, and what goes with it.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// Path and query below the site's URL, beginning with a slash.
    pub(super) target: String,
    pub(super) credentials: Credentials,
    /// Media type, encoding and bytes.
    pub(super) body: Option<(&'a str, Encoding, &'a [u8])>,
}

/// A successful answer.
pub(super) struct Answer {
    /// The body, decompressed.
    pub(super) body: Vec<u8>,
    /// When the call left and how long it took until its answer began.
    pub(super) left: Instant,
    pub(super) took: Duration,
}

/// The bytes handed to the connection at a time: small enough that progress shows on a slow line.
const CHUNK: usize = 16 << 10;

/// The most bytes read of an answer that refuses.
const REFUSAL: u64 = 64 << 10;

/// The way to another site. Callers need no runtime: there is one for all lines of this process, since a hub has a thousand of them.
pub(super) struct Line {
    client: Client,
    pub(super) place: Place,
    limits: Limits,
    retries: u32,
    timeouts: Timeouts,
    traffic: AtomicU64,
}

impl Line {
    pub(super) fn open(settings: LineSettings) -> Result<Line> {
        let url = base(&settings.url)?;
        let client = client(&url, &settings)?;
        runtime()?;
        Ok(Line {
            client,
            place: Place { url: url.as_str().trim_end_matches('/').to_owned(), proxied: settings.proxy.is_some() },
            limits: settings.limits,
            retries: settings.retries,
            timeouts: settings.timeouts,
            traffic: AtomicU64::new(0),
        })
    }

    /// Bytes of bodies sent and received so far.
    pub(super) fn traffic(&self) -> u64 {
        self.traffic.load(Relaxed)
    }

    /// Makes a call, again after a pause where that can help.
    pub(super) fn call(&self, call: &Call<'_>) -> Result<Answer> {
        let mut attempt = 0;
        loop {
            let failed = match self.attempt(call) {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            attempt += 1;
            let wait = pause(failed.again, attempt, rand::random()).filter(|_| attempt <= self.retries);
            let Some(wait) = wait else { return Err(failed.error) };
            tracing::debug!(url = %self.place.url, attempt, ?wait, "a call failed and is tried again: {}", failed.error);
            std::thread::sleep(wait);
        }
    }

    /// Makes a call, once.
    pub(super) fn call_once(&self, call: &Call<'_>) -> Result<Answer> {
        self.attempt(call).map_err(|failed| failed.error)
    }

    /// How long a connection may be silent.
    pub(super) fn idle(&self) -> Duration {
        self.timeouts.idle
    }

    fn attempt(&self, call: &Call<'_>) -> Result<Answer, Failed> {
        let (answer, encoding) = self.block_on(self.exchange(call))??;
        let body = match encoding {
            Encoding::Identity => answer.body,
            packed => wire::decompress(packed, &answer.body, &self.limits).map_err(Failed::lasting)?,
        };
        match strange(&body) {
            Some(what) if call.method != Method::DELETE => Err(Failed::lasting(self.place.stranger(what))),
            _ => Ok(Answer { body, ..answer }),
        }
    }

    /// Runs a future of this line to its end.
    pub(super) fn block_on<F: Future>(&self, future: F) -> Result<F::Output, Failed> {
        Ok(runtime().map_err(Failed::lasting)?.block_on(future))
    }

    async fn exchange(&self, call: &Call<'_>) -> Result<(Answer, Encoding), Failed> {
        let left = Instant::now();
        let mut response = self.send(call).await?;
        let took = left.elapsed();
        let encoding = encoding(&response).map_err(Failed::lasting)?;
        let body = self.body(&mut response, self.limits.body).await?;
        Ok((Answer { body, left, took }, encoding))
    }

    /// Sends a call and waits until its answer begins. Anything but a success is an error.
    pub(super) async fn send(&self, call: &Call<'_>) -> Result<Response, Failed> {
        let sent = Arc::new(AtomicU64::new(0));
        let request = self.request(call, &sent);
        let mut answer = std::pin::pin!(request.send());
        let mut seen = 0;
        let mut response = loop {
            match timeout(self.timeouts.idle, &mut answer).await {
                Ok(response) => break response.map_err(|e| self.place.broken(e)),
                // A slow line that still takes bytes is no dead one.
                Err(_) if sent.load(Relaxed) > seen => seen = sent.load(Relaxed),
                Err(_) => break Err(self.place.late("answer")),
            }
        };
        self.traffic.fetch_add(sent.load(Relaxed), Relaxed);
        match &mut response {
            Ok(response) if !response.status().is_success() => Err(self.refused(response).await),
            _ => response,
        }
    }

    fn request(&self, call: &Call<'_>, sent: &Arc<AtomicU64>) -> RequestBuilder {
        let request = self.client.request(call.method.clone(), format!("{}{}", self.place.url, call.target));
        let request = match &call.credentials {
            Credentials::Nobody => request,
            Credentials::Basic(user, password) => request.basic_auth(user, Some(password.expose_secret())),
            Credentials::Bearer(token) => request.bearer_auth(token.expose_secret()),
        };
        let request = request.header(ACCEPT_ENCODING, "zstd, gzip");
        let Some((media, encoding, bytes)) = call.body else { return request };
        let request = match encoding {
            Encoding::Identity => request,
            packed => request.header(CONTENT_ENCODING, packed.name()),
        };
        // Without a length the body would go out chunked, which not every peer reads.
        request.header(CONTENT_TYPE, media).header(CONTENT_LENGTH, bytes.len()).body(counted(bytes, sent))
    }

    /// The bytes of a body, at most `limit`.
    async fn body(&self, response: &mut Response, limit: u64) -> Result<Vec<u8>, Failed> {
        if response.content_length().is_some_and(|length| length > limit) {
            return Err(self.place.too_large(limit));
        }
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk(response).await? {
            if (body.len() + chunk.len()) as u64 > limit {
                return Err(self.place.too_large(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// The next bytes of an answer, `None` at its end.
    pub(super) async fn chunk(&self, response: &mut Response) -> Result<Option<impl std::ops::Deref<Target = [u8]>>, Failed> {
        let chunk = timeout(self.timeouts.idle, response.chunk()).await.map_err(|_| self.place.late("send its answer"))?;
        let chunk = chunk.map_err(|e| self.place.broken(e))?;
        self.traffic.fetch_add(chunk.as_ref().map_or(0, |chunk| chunk.len() as u64), Relaxed);
        Ok(chunk)
    }

    async fn refused(&self, response: &mut Response) -> Failed {
        let status = response.status();
        if status.is_redirection() {
            let target = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            return self.place.redirected(target.unwrap_or("another address"));
        }
        let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok()).map(Duration::from_secs);
        let body = match (encoding(response), self.body(response, REFUSAL).await) {
            (Ok(Encoding::Identity), Ok(body)) => body,
            (Ok(packed), Ok(body)) => wire::decompress(packed, &body, &self.limits).unwrap_or_default(),
            _ => Vec::new(),
        };
        if body.trim_ascii_start().first() == Some(&b'{') {
            return asking(Failed::new(wire::read_refusal(status.as_u16(), &body)), asked);
        }
        self.place.status(status.as_u16(), asked)
    }
}

/// The runtime of all lines. It is never dropped, so that a line may be dropped anywhere.
fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
    let built = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("entente-peer").enable_all().build().ok();
    RUNTIME.get_or_init(built).as_ref().ok_or_else(|| Error::internal("no thread could be started for the network"))
}

fn encoding(response: &Response) -> Result<Encoding> {
    let named = response.headers().get(CONTENT_ENCODING).map_or("", |value| value.to_str().unwrap_or("unreadable"));
    Encoding::from_header(named)
}

/// What a body is that no site of ours would answer with: a captive portal and a wrong address answer 200 too.
fn strange(body: &[u8]) -> Option<&'static str> {
    let start: Vec<u8> = body.trim_ascii_start().iter().take(14).map(u8::to_ascii_lowercase).collect();
    match start.as_slice() {
        [] => Some("nothing"),
        page if page.starts_with(b"<!doctype html") || page.starts_with(b"<html") => Some("a web page"),
        _ => None,
    }
}

/// A body that counts how much of it was taken.
fn counted(bytes: &[u8], sent: &Arc<AtomicU64>) -> reqwest::Body {
    let sent = sent.clone();
    let chunks: Vec<Vec<u8>> = bytes.chunks(CHUNK).map(<[u8]>::to_vec).collect();
    reqwest::Body::wrap_stream(stream::iter(chunks.into_iter().map(move |chunk| {
        sent.fetch_add(chunk.len() as u64, Relaxed);
        Ok::<_, std::convert::Infallible>(chunk)
    })))
}
