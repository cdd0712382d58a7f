//! `/metrics`: this site in numbers, in the text format of Prometheus.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Instant,
};

use actix_web::{
    Error as WebError, HttpRequest, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
    web::Data,
};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{health::Ready, person, problem};
use crate::{
    error::{Error, Result},
    model::{Action, Counts, Direction, LogId, Outcome, RepositoryId, Scope},
    site::Site,
    store::{
        jobs,
        log::{self, Total},
        repositories, site as control,
    },
    sync::{
        overview::{State, overview},
        pending,
    },
    web::app::{App, call},
};

/// The format, as Prometheus wants it.
const MEDIA: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is counted while this process runs.
#[derive(Default)]
pub(in crate::web) struct Meter {
    /// Answers by the first digit of their status.
    requests: [AtomicU64; 6],
    log: Mutex<Tally>,
    /// What was last told to anyone who asked whether this site is ready.
    pub(super) ready: tokio::sync::Mutex<Option<(Instant, Ready)>>,
}

impl Meter {
    /// Counts from now on.
    pub(in crate::web) fn begin(site: &Site) -> Meter {
        let meter = Meter::default();
        if let Err(error) = meter.log.lock().unwrap_or_else(PoisonError::into_inner).begin(site) {
            tracing::warn!("The log is added up from when it can be read: {}", error.chain());
        }
        meter
    }
}

/// Counts an answer.
pub(in crate::web) async fn tally(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, WebError> {
    let app = request.app_data::<Data<App>>().cloned();
    let answer = next.call(request).await?;
    if let Some(count) = app.as_ref().and_then(|app| app.meter.requests.get(usize::from(answer.status().as_u16() / 100))) {
        count.fetch_add(1, Ordering::Relaxed);
    }
    Ok(answer)
}

/// Answers who asks on this machine, and who shows a token or an account.
pub(super) async fn show(app: Data<App>, request: HttpRequest) -> HttpResponse {
    let allowed =
        if person::is_local(&request) { Ok(()) } else { person::who(&app, &request).await.and_then(|person| person.must(Scope::Read)) };
    let text = match allowed {
        Ok(()) => call(move || text(&app.site, &app.meter)).await,
        Err(error) => Err(error),
    };
    match text {
        Ok(text) => HttpResponse::Ok().content_type(MEDIA).body(text),
        Err(error) => problem::refuse(&request, &error),
    }
}

/// The log since this process began, added up. What was there before is never looked at, however long it is.
#[derive(Default)]
struct Tally {
    /// Up to this entry; `None` = not begun.
    upto: Option<LogId>,
    /// Those of them that had not ended.
    open: Vec<LogId>,
    totals: HashMap<Kind, Total>,
}

type Kind = (Option<RepositoryId>, Action, Direction, Outcome);

impl Tally {
    /// From now on.
    fn begin(&mut self, site: &Site) -> Result<()> {
        let (last, open) = site.store.read(|c| Ok((log::last(c)?, log::running(c)?)))?;
        (self.upto, self.open) = (Some(last), open);
        Ok(())
    }

    /// Everything that has ended since. What was added up before is not read again, and counts on when the log forgets it.
    fn all(&mut self, site: &Site) -> Result<&HashMap<Kind, Total>> {
        let Some(upto) = self.upto else {
            self.begin(site)?;
            return Ok(&self.totals);
        };
        let (last, open, fresh, ended) = site.store.read(|c| {
            let last = log::last(c)?.max(upto);
            Ok((last, log::running(c)?, log::totals(c, upto, last)?, log::totals_of(c, &self.open)?))
        })?;
        (self.upto, self.open) = (Some(last), open);
        add(&mut self.totals, fresh);
        add(&mut self.totals, ended);
        Ok(&self.totals)
    }
}

fn add(totals: &mut HashMap<Kind, Total>, more: Vec<Total>) {
    for one in more {
        let kind = (one.repository, one.action, one.direction, one.outcome);
        match totals.get_mut(&kind) {
            Some(known) => {
                known.entries += one.entries;
                known.counts += one.counts;
            }
            None => {
                totals.insert(kind, one);
            }
        }
    }
}

type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;
type Gauges = Family<Labels, Gauge<f64, AtomicU64>>;

/// The numbers, by name.
#[derive(Default)]
struct Sheet {
    registry: Registry,
}

impl Sheet {
    fn counters(&mut self, name: &str, help: &str) -> Counters {
        let family = Counters::default();
        self.registry.register(name, help, family.clone());
        family
    }

    fn gauges(&mut self, name: &str, help: &str) -> Gauges {
        let family = Gauges::default();
        self.registry.register(name, help, family.clone());
        family
    }

    fn gauge(&mut self, name: &str, help: &str, value: i64) {
        let gauge = Gauge::<i64, AtomicI64>::default();
        gauge.set(value);
        self.registry.register(name, help, gauge);
    }
}

fn text(site: &Site, meter: &Meter) -> Result<String> {
    let mut sheet = Sheet::default();
    let names = names(site)?;
    history(&names, meter.log.lock().unwrap_or_else(PoisonError::into_inner).all(site)?, &mut sheet);
    present(site, &names, &mut sheet)?;
    let requests = sheet.counters("entente_http_requests", "Answers of this process, by the first digit of their status");
    for (digit, count) in meter.requests.iter().enumerate().skip(1) {
        requests.get_or_create(&vec![("class", format!("{digit}xx"))]).inc_by(count.load(Ordering::Relaxed));
    }
    let mut text = String::new();
    encode(&mut text, &sheet.registry).map_err(|e| Error::internal("The numbers could not be written").because(e))?;
    Ok(text)
}

/// What the log tells.
fn history(names: &HashMap<RepositoryId, String>, all: &HashMap<Kind, Total>, sheet: &mut Sheet) {
    let runs = sheet.counters("entente_runs", "Runs that ended, by result");
    let records = sheet.counters("entente_records", "Records that came (pull) and went (push), by what became of them and who called");
    let bytes = sheet.counters("entente_bytes", "Bytes that came (pull) and went (push)");
    for total in all.values() {
        let Some(name) = total.repository.and_then(|id| names.get(&id)) else { continue };
        let repository = || ("repository", name.clone());
        if total.action == Action::Run {
            runs.get_or_create(&vec![repository(), ("result", total.outcome.word().into())]).inc_by(total.entries);
            continue;
        }
        let way = [repository(), ("direction", total.action.word().into()), ("caller", total.direction.word().into())];
        bytes.get_or_create(&way.to_vec()).inc_by(total.counts.bytes);
        for (result, count) in results(&total.counts) {
            records.get_or_create(&[way.to_vec(), vec![("result", result.into())]].concat()).inc_by(count);
        }
    }
}

/// How the last runs went.
fn last_runs(site: &Site, states: &[State], sheet: &mut Sheet) -> Result<()> {
    let duration = sheet.gauges("entente_last_run_duration_seconds", "How long the last run took");
    let success = sheet.gauges("entente_last_success_timestamp_seconds", "When the last run ended that did not fail");
    let ids: Vec<LogId> = states.iter().filter_map(|state| Some(state.condition.as_ref()?.run)).collect();
    let took = site.store.read(|c| log::durations(c, &ids))?;
    for (state, last) in states.iter().filter_map(|state| Some((state, state.condition.as_ref()?))) {
        let labels = vec![("repository", state.repository.name.clone())];
        if let Some(took) = took.get(&last.run) {
            duration.get_or_create(&labels).set(*took as f64 / 1e3);
        }
        if let Some(time) = last.last_success {
            success.get_or_create(&labels).set(time.0 as f64 / 1e6);
        }
    }
    Ok(())
}

fn names(site: &Site) -> Result<HashMap<RepositoryId, String>> {
    Ok(site.store.read(|c| repositories::list(c, site.store.key()))?.into_iter().map(|one| (one.id, one.name)).collect())
}

fn results(counts: &Counts) -> [(&'static str, u64); 9] {
    let Counts { created, updated, deleted, unchanged, kept, conflicts, quarantined, parked, retracted, .. } = *counts;
    [
        ("created", created),
        ("updated", updated),
        ("deleted", deleted),
        ("unchanged", unchanged),
        ("kept", kept),
        ("conflicts", conflicts),
        ("quarantined", quarantined),
        ("parked", parked),
        ("retracted", retracted),
    ]
}

/// What is waiting at this moment.
fn present(site: &Site, names: &HashMap<RepositoryId, String>, sheet: &mut Sheet) -> Result<()> {
    let waiting = sheet.gauges("entente_pending_changes", "Changes that a repository was not given yet, at most");
    for one in pending::changes(site)? {
        if let Some(name) = names.get(&one.repository) {
            waiting.get_or_create(&vec![("repository", name.clone()), ("resource", one.resource)]).set(one.changes as f64);
        }
    }
    let conflicts = sheet.gauges("entente_conflicts_open", "Conflicts that a person has yet to decide");
    let quarantine = sheet.gauges("entente_quarantine", "Records that could not be stored or sent");
    let parked = sheet.gauges("entente_parked", "Records that wait for another one");
    let there = sheet.gauges("entente_pending_there", "Records that waited there for this site when it was last met, at most");
    let seen = overview(site)?;
    last_runs(site, &seen.states, sheet)?;
    for state in &seen.states {
        let labels = vec![("repository", state.repository.name.clone())];
        conflicts.get_or_create(&labels).set(state.trouble.conflicts as f64);
        quarantine.get_or_create(&labels).set(state.trouble.quarantined as f64);
        parked.get_or_create(&labels).set(state.trouble.parked as f64);
        if let Some((records, _)) = state.met.waiting {
            there.get_or_create(&labels).set(records as f64);
        }
    }
    sheet.gauge("entente_databases_unread", "Attached databases that cannot be read", i64::try_from(seen.unread.len()).unwrap_or(i64::MAX));
    let now = site.now();
    let (due, paused) = site.store.read(|c| {
        let all = [jobs::list(c)?, jobs::asked(c)?].concat();
        let due = all.iter().filter(|job| job.enabled && job.next_run.is_some_and(|next| next <= now)).count();
        Ok((due, control::paused(c)?))
    })?;
    sheet.gauge("entente_jobs_due", "Jobs that wait for a worker", i64::try_from(due).unwrap_or(i64::MAX));
    sheet.gauge("entente_paused", "1 while everything is stopped", i64::from(paused));
    sheet.gauge("entente_repositories", "Repositories that are known here", i64::try_from(names.len()).unwrap_or(i64::MAX));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Config, Overrides, Settings},
        model::{LogEntry, Time},
    };

    #[test]
    fn the_log_from_before_is_not_added_up_and_what_runs_is_when_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { data: Some(folder.path().into()), ..Settings::default() };
        let site = Site::open(Config::load(Overrides { config: None, settings }).unwrap()).unwrap();
        let entry = |outcome, records| LogEntry {
            outcome,
            counts: Counts { records, ..Counts::default() },
            repository: Some(1),
            ..LogEntry::new(Time(1), Action::Pull, Direction::Outgoing)
        };
        let add = |entry: &LogEntry| site.store.write(|c| log::append(c, entry)).unwrap();
        add(&entry(Outcome::Success, 1_000));
        let before = add(&entry(Outcome::Running, 0));
        let mut tally = Tally::default();
        tally.begin(&site).unwrap();
        assert!(tally.all(&site).unwrap().is_empty());
        add(&entry(Outcome::Success, 1));
        let running = add(&entry(Outcome::Running, 0));
        let sum = |tally: &mut Tally| tally.all(&site).unwrap().values().map(|total| total.counts.records).sum::<u64>();
        assert_eq!(sum(&mut tally), 1);
        for id in [before, running] {
            site.store.write(|c| log::update(c, &LogEntry { id, ..entry(Outcome::Error, 20) })).unwrap();
        }
        assert_eq!((sum(&mut tally), sum(&mut tally)), (41, 41), "each is counted once");
    }
}
