//! Schedules of a repository.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use askama::Template;

use super::{
    desk::{Desk, Next, act, show as page},
    form::{Fields, Form, Problem},
    frame::{Frame, Nav},
    log::time,
    repository::{ConfirmPage, Head, state},
    words::{When, counted, span},
};
use crate::{
    error::{Error, Result},
    model::{Job, Role, Time, Timing},
    store::jobs,
    sync::{
        overview::State,
        schedule::{changed, planned, preview},
    },
    web::app::App,
};

/// So many of the next runs are told.
const NEXT: usize = 5;

struct Row {
    id: i64,
    told: String,
    more: String,
    enabled: bool,
    next: Vec<When>,
}

#[derive(Template)]
#[template(path = "repository_schedule.html")]
struct ListPage {
    frame: Frame,
    head: Head,
    jobs: Vec<Row>,
}

/// A schedule in words.
fn told(job: &Job) -> String {
    let mut text = match &job.timing {
        Timing::Every(seconds) => match seconds {
            60 => "Every minute".into(),
            3_600 => "Every hour".into(),
            86_400 => "Every day".into(),
            some => format!("Every {}", whole(*some)),
        },
        Timing::Cron(expression) => match daily(expression) {
            Some(words) => format!("{words} in {}", job.zone),
            None => format!("At {expression} in {}", job.zone),
        },
    };
    if job.on_change {
        text.push_str(", and at once after a change");
    }
    text
}

/// The plainest expressions in words: one time of day, every day or on working days.
fn daily(expression: &str) -> Option<String> {
    let parts: Vec<&str> = expression.split_whitespace().collect();
    let [minute, hour, "*", "*", days] = parts[..] else { return None };
    let days = match days.to_ascii_lowercase().as_str() {
        "*" => "Every day",
        "mon-fri" => "On working days",
        _ => return None,
    };
    let (minute, hour): (u8, u8) = (minute.parse().ok()?, hour.parse().ok()?);
    Some(format!("{days} at {hour:02}:{minute:02}"))
}

fn whole(seconds: u32) -> String {
    for (unit, name) in [(86_400, "day"), (3_600, "hour"), (60, "minute")] {
        if seconds >= unit && seconds.is_multiple_of(unit) {
            return counted(u64::from(seconds / unit), name);
        }
    }
    counted(u64::from(seconds), "second")
}

fn more(job: &Job, now: Time) -> String {
    let mut parts = Vec::new();
    if !job.enabled {
        parts.push("disabled".to_owned());
    }
    parts.push(match job.runs {
        0 => "no run yet".into(),
        some => format!("{} so far", counted(u64::from(some), "run")),
    });
    if job.repeat > 0 {
        parts.push(format!("{} in all", counted(u64::from(job.repeat), "run")));
    }
    if job.failures > 0 {
        parts.push(format!("failed {} in a row", counted(u64::from(job.failures), "time")));
    }
    if let Some(start) = job.start.filter(|start| *start > now) {
        parts.push(format!("from {}", When::new(start, now).exact));
    }
    if let Some(end) = job.end {
        parts.push(format!("until {}", When::new(end, now).exact));
    }
    parts.join(" · ")
}

fn next(job: &Job, now: Time) -> Vec<When> {
    let mut times = preview(job, now, NEXT);
    // What is due because somebody asked, or after a failure, stands first.
    if let Some(due) = job.next_run.filter(|due| job.enabled && times.first().is_none_or(|first| due < first)) {
        times.insert(0, due);
        times.truncate(NEXT);
    }
    times.into_iter().map(|time| When::new(time, now)).collect()
}

/// The schedules of a repository.
pub(super) async fn list(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Viewer, |desk| {
        let state = state(desk)?;
        let all = desk.site().store.read(|c| jobs::list_of(c, state.repository.id))?;
        let row =
            |job: &Job| Row { id: job.id, told: told(job), more: more(job, desk.now), enabled: job.enabled, next: next(job, desk.now) };
        Ok(ListPage {
            frame: desk.frame(&format!("Schedule of {}", state.repository.name), Nav::Repositories)?,
            head: Head::of(desk, &state, "/schedule"),
            jobs: all.iter().map(row).collect(),
        })
    })
    .await
}

#[derive(Template)]
#[template(path = "job.html")]
struct EditPage {
    frame: Frame,
    head: Head,
    problem: Option<Problem>,
    action: String,
    heading: &'static str,
    fields: Fields,
    advanced: bool,
    next: Vec<When>,
    remove: Option<String>,
}

fn fields_of(job: &Job) -> Fields {
    let minute = |time: Time| time.utc().format("%Y-%m-%dT%H:%M:%S").to_string();
    let fields = match &job.timing {
        Timing::Every(seconds) => Fields::default().with("timing", "every").with("every", span(*seconds)),
        Timing::Cron(expression) => Fields::default().with("timing", "cron").with("cron", expression),
    };
    fields
        .with("zone", &job.zone)
        .ticked("on_change", job.on_change)
        .maybe("start", job.start.map(minute))
        .maybe("end", job.end.map(minute))
        .with("repeat", job.repeat)
        .with("timeout", span(job.timeout))
        .with("retries", job.retries)
        .with("priority", job.priority)
        .ticked("enabled", job.enabled)
}

fn typed(form: &Form, known: Job) -> Result<Job> {
    let timing = if form.text("timing") == "cron" {
        let expression = form.given("cron").ok_or_else(|| {
            Error::usage("A schedule at fixed times needs a cron expression").hint("Like 0 3 * * * for every night at three.")
        })?;
        Timing::Cron(expression.to_owned())
    } else {
        Timing::Every(Job::seconds(form.given("every").ok_or_else(|| Error::usage("Say how often it runs").hint("Like 5m."))?)?)
    };
    Ok(Job {
        timing,
        zone: form.given("zone").unwrap_or("UTC").to_owned(),
        on_change: form.on("on_change"),
        start: form.given("start").map(time).transpose()?,
        end: form.given("end").map(time).transpose()?,
        repeat: form.number("repeat", "How many runs in all")?.unwrap_or(0),
        timeout: form.given("timeout").map(Job::seconds).transpose()?.unwrap_or(600),
        retries: form.number("retries", "Tries after a failure")?.unwrap_or(3),
        priority: form.number("priority", "Priority")?.unwrap_or(0),
        enabled: form.on("enabled"),
        ..known
    })
}

/// How a form for a schedule is shown.
struct Shown {
    job: Option<i64>,
    fields: Fields,
    problem: Option<Problem>,
    next: Vec<When>,
}

fn edit_page(desk: &Desk, state: &State, shown: Shown) -> Result<EditPage> {
    let base = format!("/repositories/{}/schedule", state.repository.id);
    let own = shown.job.map(|id| format!("{base}/{id}"));
    let fields = shown.fields;
    let usual = |name: &str, value: &str| fields.text(name).is_empty() || fields.text(name) == value;
    let heading = if own.is_some() { "Change the schedule" } else { "A new schedule" };
    let limits = [("start", ""), ("end", ""), ("repeat", "0"), ("timeout", "10m"), ("retries", "3"), ("priority", "0")];
    Ok(EditPage {
        frame: desk.frame(&format!("{heading} with {}", state.repository.name), Nav::Repositories)?,
        head: Head::of(desk, state, "/schedule"),
        problem: shown.problem,
        action: own.clone().unwrap_or_else(|| format!("{base}/new")),
        heading,
        advanced: !limits.iter().all(|(name, value)| usual(name, value)),
        fields,
        next: shown.next,
        remove: own.map(|own| format!("{own}/remove")),
    })
}

/// The form for a new schedule.
pub(super) async fn new(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Admin, |desk| {
        let state = state(desk)?;
        let job = Job::new(state.repository.id, Timing::Every(300));
        let next = preview(&job, desk.now, NEXT).into_iter().map(|time| When::new(time, desk.now)).collect();
        edit_page(desk, &state, Shown { job: None, fields: fields_of(&job), problem: None, next })
    })
    .await
}

fn save_or_preview(desk: &Desk, form: &Form, state: &State, known: Job, store: impl FnOnce(&Job) -> Result<()>) -> Result<Next> {
    let id = Some(known.id).filter(|id| *id != 0);
    let edited = |problem, next| edit_page(desk, state, Shown { job: id, fields: Fields::typed(form), problem, next });
    let wanted = typed(form, known.clone())
        .and_then(|wanted| if id.is_some() { changed(&known, wanted, desk.now) } else { planned(wanted, desk.now) });
    let job = match wanted {
        Ok(job) => job,
        Err(error) => return Next::again(&edited(Some(Problem::of(&error)), Vec::new())?),
    };
    let times: Vec<When> =
        preview(&Job { enabled: true, ..job.clone() }, desk.now, NEXT).into_iter().map(|time| When::new(time, desk.now)).collect();
    if form.on("preview") {
        let never = Problem { message: "With these times it never runs again.".into(), hint: String::new() };
        return Next::shown(&edited(times.is_empty().then_some(never), times)?);
    }
    store(&job)?;
    desk.changed(&format!("set a schedule for {}: {}", state.repository.name, told(&job)))?;
    let first = times.first().filter(|_| job.enabled).map(|at| format!(" The next run is {}.", at.near)).unwrap_or_default();
    Next::done(format!("/repositories/{}/schedule", state.repository.id), format!("{}.{first}", told(&job)))
}

/// Adds a schedule.
pub(super) async fn add(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Admin, |desk, form| {
        let state = state(desk)?;
        let new = Job::new(state.repository.id, Timing::Every(300));
        save_or_preview(desk, form, &state, new, |job| desk.site().store.write(|c| jobs::add(c, job)).map(|_| ()))
    })
    .await
}

fn known(desk: &Desk, state: &State) -> Result<Job> {
    let unknown = || Error::not_found("There is no such schedule");
    let id = desk.part("job").parse().map_err(|_| unknown())?;
    let job = desk.site().store.read(|c| jobs::get(c, id)).map_err(|_| unknown())?;
    if job.repository == state.repository.id { Ok(job) } else { Err(unknown()) }
}

/// The form for a schedule.
pub(super) async fn edit(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Admin, |desk| {
        let state = state(desk)?;
        let job = known(desk, &state)?;
        edit_page(desk, &state, Shown { job: Some(job.id), fields: fields_of(&job), problem: None, next: next(&job, desk.now) })
    })
    .await
}

/// Changes a schedule.
pub(super) async fn save(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Admin, |desk, form| {
        let state = state(desk)?;
        let job = known(desk, &state)?;
        save_or_preview(desk, form, &state, job, |job| desk.site().store.write(|c| jobs::update(c, job)))
    })
    .await
}

/// Makes a schedule's next run due now.
pub(super) async fn now(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Operator, |desk, _| {
        let state = state(desk)?;
        let job = known(desk, &state)?;
        desk.site().store.write(|c| jobs::make_due(c, job.id, desk.now))?;
        Next::done(format!("/repositories/{}/log", state.repository.id), "The run is due; the worker begins at once.")
    })
    .await
}

/// Enables or disables a schedule.
pub(super) async fn enable(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Admin, |desk, form| {
        let state = state(desk)?;
        let job = known(desk, &state)?;
        let enabled = form.text("enabled") == "yes";
        let wanted = changed(&job, Job { enabled, ..job.clone() }, desk.now)?;
        desk.site().store.write(|c| jobs::update(c, &wanted))?;
        let word = if enabled { "enabled" } else { "disabled" };
        desk.changed(&format!("{word} a schedule for {}", state.repository.name))?;
        Next::done(format!("/repositories/{}/schedule", state.repository.id), format!("The schedule is {word}."))
    })
    .await
}

/// Asks whether a schedule is to be removed.
pub(super) async fn ask_remove(app: Data<App>, request: HttpRequest) -> HttpResponse {
    page(app, request, Role::Admin, |desk| {
        let state = state(desk)?;
        let job = known(desk, &state)?;
        let own = format!("/repositories/{}/schedule/{}", state.repository.id, job.id);
        Ok(ConfirmPage {
            frame: desk.frame("Remove the schedule?", Nav::Repositories)?,
            problem: None,
            text: format!("{}, with {}. Runs that were made stay in the log.", told(&job), state.repository.name),
            action: format!("{own}/remove"),
            hidden: Vec::new(),
            ticks: Vec::new(),
            deed: "Remove",
            back: own,
        })
    })
    .await
}

/// Removes a schedule.
pub(super) async fn remove(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    act(app, request, payload, Role::Admin, |desk, _| {
        let state = state(desk)?;
        let job = known(desk, &state)?;
        desk.site().store.write(|c| jobs::remove(c, job.id))?;
        desk.changed(&format!("removed a schedule for {}", state.repository.name))?;
        Next::done(format!("/repositories/{}/schedule", state.repository.id), "The schedule is removed.")
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_told_as_a_person_would_say_it() {
        let every = |seconds| told(&Job::new(1, Timing::Every(seconds)));
        assert_eq!([60, 300, 5_400, 45].map(every), ["Every minute", "Every 5 minutes", "Every 90 minutes", "Every 45 seconds"]);
        let cron = Job { zone: "Asia/Manila".into(), on_change: true, ..Job::new(1, Timing::Cron("0 3 * * *".into())) };
        assert_eq!(told(&cron), "Every day at 03:00 in Asia/Manila, and at once after a change");
        let words = |text: &str| told(&Job::new(1, Timing::Cron(text.into())));
        assert_eq!(words("30 17 * * mon-fri"), "On working days at 17:30 in UTC");
        assert_eq!(words("0 8-18 * * mon-fri"), "At 0 8-18 * * mon-fri in UTC", "what is not plain is told as it stands");
    }

    #[test]
    fn what_a_form_shows_is_read_back_as_it_was() {
        let job = Job { start: Some(Time(1_767_322_985_000_000)), repeat: 3, retries: 0, priority: -2, ..Job::new(1, Timing::Every(90)) };
        let fields = fields_of(&job);
        let names = ["timing", "every", "cron", "zone", "on_change", "start", "end", "repeat", "timeout", "retries", "priority", "enabled"];
        let text: Vec<String> =
            names.iter().filter(|name| fields.on(name)).map(|name| format!("{name}={}", fields.text(name).replace(':', "%3A"))).collect();
        assert_eq!(typed(&Form::parse(&text.join("&")).unwrap(), Job::new(1, Timing::Every(300))).unwrap(), job);
        assert!(typed(&Form::parse("timing=cron").unwrap(), job).is_err());
    }
}
