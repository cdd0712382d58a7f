//! `/healthz`: that this process answers. `/readyz`: that it can do its work.

use std::time::{Duration, Instant};

use actix_web::{HttpRequest, HttpResponse, web::Data};
use serde::Serialize;

use super::{person, problem};
use crate::{
    error::{Error, Result},
    site::Site,
    store::{databases, site as control},
    web::app::{App, call},
    wire,
};

/// What is told to anyone is so old at most.
const FRESH: Duration = Duration::from_secs(2);

/// Answers anyone.
pub(super) async fn alive() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n")
}

/// Whether this site can do its work.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Ready {
    ready: bool,
    checks: Vec<Check>,
}

/// Something that has to be there.
#[derive(Debug, Clone, Serialize)]
struct Check {
    name: String,
    ready: bool,
    /// Why not; for those who may know.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Answers anyone; what the databases are called and why one cannot be opened is told on this machine and to who shows a token or an account.
pub(super) async fn ready(app: Data<App>, request: HttpRequest) -> HttpResponse {
    let knows = person::is_local(&request) || person::who(&app, &request).await.is_ok();
    let looked = if knows { call(move || Ok(look(&app.site))).await } else { for_anyone(app).await };
    match looked {
        Ok(ready) => {
            let mut answer = if ready.ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
            answer.content_type("application/json").body(wire::write_json(&ready))
        }
        Err(error) => problem::refuse(&request, &error),
    }
}

/// How it was a moment ago. One look at a time: whoever asks in a loop must not keep the databases busy.
async fn for_anyone(app: Data<App>) -> Result<Ready> {
    let mut last = app.meter.ready.lock().await;
    let fresh = |(at, _): &(Instant, Ready)| at.elapsed() < FRESH;
    if let Some((_, ready)) = last.as_ref().filter(|last| fresh(last)) {
        return Ok(ready.clone());
    }
    let site = app.site.clone();
    let ready = call(move || Ok(look(&site).without_names())).await?;
    *last = Some((Instant::now(), ready.clone()));
    Ok(ready)
}

fn look(site: &Site) -> Ready {
    let check = |name: &str, done: Result<(), Error>| Check {
        name: name.to_owned(),
        ready: done.is_ok(),
        error: done.err().map(|error| error.chain()),
    };
    let store = site.store.read(|c| Ok((control::find(c)?, databases::list(c)?)));
    let (store, databases) = match store {
        Ok((_, databases)) => (Ok(()), databases),
        Err(error) => (Err(error), Vec::new()),
    };
    let mut checks = vec![check("store", store), check("migrations", site.store.is_current())];
    for database in databases {
        let opened = site.door(&database.name).and_then(|mut door| door.tables().map(|_| ()));
        checks.push(check(&format!("database {}", database.name), opened));
    }
    Ready { ready: checks.iter().all(|check| check.ready), checks }
}

impl Ready {
    fn without_names(self) -> Ready {
        let (own, databases): (Vec<Check>, Vec<Check>) = self.checks.into_iter().partition(|check| !check.name.starts_with("database "));
        let databases = Check { name: "databases".to_owned(), ready: databases.iter().all(|check| check.ready), error: None };
        let checks = own.into_iter().map(|check| Check { error: None, ..check }).chain([databases]).collect();
        Ready { checks, ..self }
    }
}
