//! A site of our own kind, called over HTTP (WIRE.md).

use std::{
    path::PathBuf,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use reqwest::{Method, Url};
use secrecy::SecretString;
use tokio::time::timeout;

use super::{
    Contact, Peer,
    events::Events,
    line::{Answer, Call, Credentials, Line},
    retry::Failed,
    setup::{LineSettings, Timeouts},
};
use crate::{
    error::{Error, Kind, Result},
    model::{
        Clock, CompareAnswer, CompareRequest, Greeting, Hello, Limits, Page, PullRequest, PushRequest, Receipt, Registered, Registration,
        Session, SiteId, Time,
    },
    wire::{self, Encoding},
};

/// What it takes to call a site.
pub struct Settings {
    /// Its base URL, with or without a slash at the end.
    pub url: String,
    /// Our account there; `None` = we only say hello.
    pub user: Option<String>,
    /// Our password there.
    pub password: Option<SecretString>,
    /// `http://`, `https://` or `socks5://…`; `None` = the system's, except for this machine itself.
    pub proxy: Option<String>,
    /// Certificate authorities in PEM form, beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Who we are.
    pub own: SiteId,
    /// Who we were before we took a new identity.
    pub formerly: Option<SiteId>,
    /// Our clock, with which theirs is compared.
    pub clock: Clock,
    /// What we take.
    pub limits: Limits,
    /// How often a call is tried again at most.
    pub retries: u32,
    /// How long each step may take.
    pub timeouts: Timeouts,
}

/// A site that speaks our protocol. Its session is opened at the first call that needs one.
pub struct Entente {
    line: Line,
    own: SiteId,
    formerly: Option<SiteId>,
    clock: Clock,
    limits: Limits,
    login: Option<(String, SecretString)>,
    session: Mutex<Option<SecretString>>,
    /// How pushed bodies are packed: as the last hello said.
    packing: Mutex<Encoding>,
}

/// How quickly a listener notices that it should stop.
const TICK: Duration = Duration::from_millis(250);

/// The largest JSON answer that we read, in bytes: a hello names every granted resource.
const JSON: usize = 4 << 20;

/// Bodies that are smaller gain nothing by compression.
const WORTH_PACKING: usize = 1024;

impl Entente {
    /// Prepares to call the site; nothing is sent yet. [`Kind::Usage`] if an address, the proxy or the file makes no sense.
    pub fn new(settings: Settings) -> Result<Entente> {
        let line = Line::open(LineSettings {
            url: settings.url,
            proxy: settings.proxy,
            ca_file: settings.ca_file,
            limits: settings.limits,
            retries: settings.retries,
            timeouts: settings.timeouts,
        })?;
        Ok(Entente {
            line,
            own: settings.own,
            formerly: settings.formerly,
            clock: settings.clock,
            limits: settings.limits,
            login: settings.user.zip(settings.password),
            session: Mutex::new(None),
            packing: Mutex::new(Encoding::Identity),
        })
    }

    /// A call under our session; a session that is no longer good is opened anew, once.
    fn call(&self, method: Method, target: String, body: Option<(&str, Encoding, &[u8])>) -> Result<Answer> {
        let token = self.token()?;
        let mut call = Call { method, target, credentials: Credentials::Bearer(token.clone()), body };
        let answer = self.line.call(&call);
        if !matches!(&answer, Err(e) if e.kind() == Kind::Unauthorized) {
            return answer;
        }
        self.forget();
        call.credentials = Credentials::Bearer(self.token()?);
        self.line.call(&call)
    }

    fn token(&self) -> Result<SecretString> {
        let mut session = lock(&self.session);
        if let Some(token) = &*session {
            return Ok(token.clone());
        }
        let credentials = self.basic()?;
        let formerly = self.formerly.map(|former| ("formerly", former.to_string()));
        let target = target("/sync/session", [("repository", self.own.to_string())].into_iter().chain(formerly));
        let answer = self.line.call(&Call { method: Method::POST, target, credentials, body: None })?;
        let opened: Session = self.json(&answer)?;
        let token = SecretString::from(opened.token);
        *session = Some(token.clone());
        Ok(token)
    }

    fn basic(&self) -> Result<Credentials> {
        let (user, password) = self.login.clone().ok_or_else(|| {
            Error::new(Kind::Unauthorized, format!("there is no account to log in with at {}", self.line.place.url))
                .hint("Give this repository a user and a password.")
        })?;
        Ok(Credentials::Basic(user, password))
    }

    fn forget(&self) {
        *lock(&self.session) = None;
    }

    /// Path and query; the query always says who calls.
    fn target(&self, path: &str, resource: Option<&str>) -> String {
        let resource = resource.map(|resource| ("resource", resource.to_owned()));
        target(path, resource.into_iter().chain([("repository", self.own.to_string())]))
    }

    fn json<T: serde::de::DeserializeOwned>(&self, answer: &Answer) -> Result<T> {
        wire::read_json(&answer.body, JSON).map_err(|e| {
            let strange = self.line.place.stranger("something else than was asked for");
            if answer.body.trim_ascii_start().first() == Some(&b'{') { e } else { strange.because(e) }
        })
    }

    async fn hear(&self, call: &Call<'_>, stop: &AtomicBool, changed: &mut dyn FnMut(&str)) -> Result<(), Failed> {
        let mut response = tokio::select! {
            response = self.line.send(call) => response?,
            () = stopped(stop) => return Ok(()),
        };
        let (mut events, mut last) = (Events::default(), Instant::now());
        while !stop.load(Relaxed) {
            match timeout(TICK, self.line.chunk(&mut response)).await {
                Ok(Ok(Some(bytes))) => {
                    last = Instant::now();
                    events.take(&bytes, changed);
                }
                Ok(Ok(None)) => break,
                Ok(Err(failed)) => return Err(failed),
                Err(_) if last.elapsed() > self.line.idle() => return Err(self.line.place.late("say anything")),
                Err(_) => {}
            }
        }
        Ok(())
    }
}

impl Peer for Entente {
    fn greet(&self, greeting: &Greeting) -> Result<Contact> {
        let target = target("/sync/hello", wire::greeting_query(greeting, self.own));
        let answer = match self.login {
            Some(_) => self.call(Method::GET, target, None)?,
            None => self.line.call(&Call { method: Method::GET, target, credentials: Credentials::Nobody, body: None })?,
        };
        let hello: Hello = self.json(&answer)?;
        *lock(&self.packing) = packing(&hello);
        let skew = skew(&hello, &answer, (self.clock)());
        Ok(Contact { hello, skew })
    }

    fn register(&self, registration: &Registration) -> Result<Registered> {
        let body = wire::write_json(registration);
        let target = self.target("/sync/repository/register.json", None);
        let body = Some(("application/json", Encoding::Identity, body.as_slice()));
        // A session would make us known before this call does, and the answer could not tell.
        let answer = self.line.call(&Call { method: Method::POST, target, credentials: self.basic()?, body })?;
        self.json(&answer)
    }

    fn pull(&self, request: &PullRequest) -> Result<Page> {
        let target = target("/sync/sync.xml", wire::pull_query(request, self.own));
        wire::read(&self.call(Method::GET, target, None)?.body, &self.limits)
    }

    fn push(&self, request: &PushRequest, page: &Page) -> Result<Receipt> {
        let mut body = Vec::new();
        wire::write(page, self.own, &mut body)?;
        let wanted = if body.len() < WORTH_PACKING { Encoding::Identity } else { *lock(&self.packing) };
        let (packing, body) = wire::pack(wanted, body, &self.limits)?;
        let target = target("/sync/sync.xml", wire::push_query(&page.resource, request, self.own));
        let answer = self.call(Method::POST, target, Some(("text/xml", packing, &body)))?;
        wire::read_receipt(&answer.body)
    }

    fn fetch(&self, resource: &str, uids: &[String]) -> Result<Page> {
        let body = wire::write_uids(uids);
        let target = self.target("/sync/fetch", Some(resource));
        let answer = self.call(Method::POST, target, Some(("text/plain; charset=utf-8", Encoding::Identity, body.as_ref())))?;
        wire::read(&answer.body, &self.limits)
    }

    fn compare(&self, resource: &str, request: &CompareRequest) -> Result<CompareAnswer> {
        let (wanted, body) = (*lock(&self.packing), wire::write_json(request));
        let wanted = if body.len() < WORTH_PACKING { Encoding::Identity } else { wanted };
        let (packing, body) = wire::pack(wanted, body, &self.limits)?;
        let target = self.target("/sync/compare", Some(resource));
        self.json(&self.call(Method::POST, target, Some(("application/json", packing, &body)))?)
    }

    fn listen(&self, stop: &AtomicBool, changed: &mut dyn FnMut(&str)) -> Result<()> {
        let hear = |changed: &mut dyn FnMut(&str)| {
            let credentials = Credentials::Bearer(self.token()?);
            let call = Call { method: Method::GET, target: self.target("/sync/events", None), credentials, body: None };
            let heard = self.line.block_on(self.hear(&call, stop, changed));
            heard.and_then(|heard| heard).map_err(|failed| failed.error)
        };
        match hear(changed) {
            Err(e) if e.kind() == Kind::Unauthorized => {
                self.forget();
                hear(changed)
            }
            heard => heard,
        }
    }

    fn close(&self) {
        let Some(token) = lock(&self.session).take() else { return };
        let call = Call { method: Method::DELETE, target: "/sync/session".to_owned(), credentials: Credentials::Bearer(token), body: None };
        if let Err(error) = self.line.call_once(&call) {
            tracing::debug!("a session was not given back and will expire: {}", error.chain());
        }
    }

    fn traffic(&self) -> u64 {
        self.line.traffic()
    }
}

fn target(path: &str, pairs: impl IntoIterator<Item = (impl AsRef<str>, String)>) -> String {
    // Only the encoding of the query is wanted; the rest of the URL is the line's.
    match Url::parse_with_params("http://host/", pairs) {
        Ok(url) => format!("{path}?{}", url.query().unwrap_or_default()),
        Err(_) => path.to_owned(),
    }
}

/// Waits until `stop` is set.
async fn stopped(stop: &AtomicBool) {
    while !stop.load(Relaxed) {
        tokio::time::sleep(TICK).await;
    }
}

/// What another thread left behind is whole: each lock guards one value that is replaced at once.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn packing(hello: &Hello) -> Encoding {
    let can = |name: &str| hello.features.iter().any(|feature| feature == name);
    [Encoding::Zstd, Encoding::Gzip].into_iter().find(|encoding| can(encoding.name())).unwrap_or(Encoding::Identity)
}

/// Milliseconds that their clock is ahead: their time was read half a round trip after the call left.
fn skew(hello: &Hello, answer: &Answer, now: Time) -> i64 {
    let since = answer.left.elapsed().saturating_sub(answer.took / 2);
    let middle = now.0.saturating_sub(i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
    hello.time.0.saturating_sub(middle) / 1000
}
