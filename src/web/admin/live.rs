//! `GET /live`: tells open pages that something changed, and what was worth a word.

use std::{convert::Infallible, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Data},
};
use futures_util::{Stream, stream};
use secrecy::SecretString;
use serde_json::json;
use tokio::{sync::watch, time::sleep};

use super::{
    desk::{person, token},
    words::{class, deed},
};
use crate::{
    error::Result,
    model::{Action, Advance, LogEntry, LogId, Outcome},
    site::Site,
    store::{log, log::LogFilter, progress},
    web::app::{App, call},
};

/// How often it is looked whether something changed.
const LOOK: Duration = Duration::from_millis(700);

/// So many looks in a row without news are followed by a sign of life.
const QUIET: u32 = 20;

/// A run that said nothing for so many seconds is not going on.
const SILENT: i64 = 40;

/// So many entries at once are told one by one; the page shows the rest.
const TOLD: u32 = 5;

/// Streams what happens, until the session or the server ends.
pub(super) async fn stream(app: Data<App>, request: HttpRequest) -> HttpResponse {
    let Some(token) = token(&request) else { return HttpResponse::Unauthorized().finish() };
    let site = app.site.clone();
    let shown = token.clone();
    let begun = call(move || {
        let known = person(&site, Some(&shown))?.is_some();
        known.then(|| newest(&site)).transpose()
    });
    let Ok(Some(last)) = begun.await else { return HttpResponse::Unauthorized().finish() };
    let stopping = app.stopping.clone();
    let watcher = Watcher { app, token, stopping, last, running: Vec::new(), quiet: 0, begun: false };
    HttpResponse::Ok().content_type("text/event-stream").streaming(watcher.stream())
}

/// The newest entries.
fn newest(site: &Site) -> Result<Seen> {
    let entries = site.store.read(|c| log::list(c, &LogFilter { limit: TOLD * 4, ..LogFilter::default() }))?;
    Ok(Seen::of(&entries, 0))
}

/// What was seen of the log.
#[derive(Clone)]
struct Seen {
    entry: LogId,
    /// Entries of runs that were going on.
    open: Vec<LogId>,
}

impl Seen {
    /// The newest entries as they are, after those up to `last`.
    fn of(entries: &[LogEntry], last: LogId) -> Seen {
        let open = entries.iter().filter(|entry| entry.outcome == Outcome::Running).map(|entry| entry.id).collect();
        Seen { entry: entries.first().map_or(last, |entry| entry.id.max(last)), open }
    }
}

struct Watcher {
    app: Data<App>,
    token: SecretString,
    stopping: watch::Receiver<bool>,
    last: Seen,
    running: Vec<Advance>,
    quiet: u32,
    begun: bool,
}

/// What a look found: `None` = the session has ended.
type Look = Option<(Vec<String>, Seen, Vec<Advance>)>;

impl Watcher {
    fn stream(self) -> impl Stream<Item = std::result::Result<Bytes, Infallible>> {
        stream::unfold(self, async |mut watcher| watcher.next().await.map(|text| (Ok(Bytes::from(text)), watcher)))
    }

    async fn next(&mut self) -> Option<String> {
        if !std::mem::replace(&mut self.begun, true) {
            // What happened after the page was written, and before it listened.
            return Some("retry: 2000\nevent: changed\ndata: \n\n".to_owned());
        }
        loop {
            tokio::select! {
                _ = self.stopping.wait_for(|stopping| *stopping) => return None,
                () = sleep(LOOK) => {}
            }
            let (app, token, last, running) = (self.app.clone(), self.token.clone(), self.last.clone(), self.running.clone());
            let Ok(found) = call(move || look(&app.site, &token, last, &running)).await else { continue };
            let (events, last, running) = found?;
            (self.last, self.running) = (last, running);
            if !events.is_empty() {
                self.quiet = 0;
                return Some(events.concat());
            }
            self.quiet += 1;
            if self.quiet >= QUIET {
                self.quiet = 0;
                return Some(": alive\n\n".to_owned());
            }
        }
    }
}

fn look(site: &Site, token: &SecretString, last: Seen, running: &[Advance]) -> Result<Look> {
    let now = site.now();
    if person(site, Some(token))?.is_none() {
        return Ok(None);
    }
    let (entries, advances) = site.store.read(|c| {
        let entries = log::list(c, &LogFilter { limit: TOLD * 4, ..LogFilter::default() })?;
        Ok((entries, progress::all(c, now.plus_seconds(-SILENT))?))
    })?;
    let fresh = entries.iter().any(|entry| entry.id > last.entry);
    let ended: Vec<_> = entries.iter().filter(|entry| last.open.contains(&entry.id) && entry.outcome != Outcome::Running).collect();
    let mut events = Vec::new();
    let new = entries.iter().filter(|entry| entry.id > last.entry && entry.outcome != Outcome::Running);
    for entry in new.chain(ended.iter().copied()).filter(|entry| worth_a_word(entry.action)).take(TOLD as usize) {
        let text: String = format!("{}: {}", deed(entry), entry.message).chars().take(200).collect();
        events.push(format!("event: said\ndata: {}\n\n", json!({"kind": class(entry.outcome), "text": text})));
    }
    if fresh || !ended.is_empty() || advances != running {
        events.push("event: changed\ndata: \n\n".to_owned());
    }
    Ok(Some((events, Seen::of(&entries, last.entry), advances)))
}

/// The end of a run, a site that registered: not each of their parts.
fn worth_a_word(action: Action) -> bool {
    matches!(action, Action::Run | Action::Register | Action::Sweep)
}
