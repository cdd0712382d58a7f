//! `GET /sync/events`: tells followers at once what changed.

use std::{convert::Infallible, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Data},
};
use futures_util::{Stream, stream};
use tokio::{
    sync::{
        broadcast::{Receiver, error::RecvError},
        watch,
    },
    time::{Instant, sleep, sleep_until},
};

use super::who;
use crate::{
    error::Error,
    model::Grant,
    web::{answer::Answer, app::App},
};

/// A sign of life, so that a connection which died is noticed at both ends.
const ALIVE: Duration = Duration::from_secs(10);

/// A follower shows its session again after so long, so that a revoked one hears nothing for long.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Streams the names of granted resources as they change, until the server stops.
pub(in crate::web) async fn stream(app: Data<App>, request: HttpRequest) -> Answer {
    let caller = who::caller(&app, &request).await?;
    if !caller.grant.pull {
        return Err(Error::forbidden("This account may not pull from here").into());
    }
    let following = Following {
        grant: caller.grant,
        changes: app.changes.subscribe(),
        stopping: app.stopping.clone(),
        until: Instant::now() + LONGEST,
        begun: false,
    };
    Ok(HttpResponse::Ok().content_type("text/event-stream").streaming(following.stream()))
}

struct Following {
    grant: Grant,
    changes: Receiver<String>,
    stopping: watch::Receiver<bool>,
    until: Instant,
    begun: bool,
}

impl Following {
    fn stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, async |mut following| following.next().await.map(|text| (Ok(Bytes::from(text)), following)))
    }

    /// What to send next; `None` = the end.
    async fn next(&mut self) -> Option<String> {
        if !std::mem::replace(&mut self.begun, true) {
            // The first bytes tell the follower that it is heard from now on.
            return Some(": following\n\n".to_owned());
        }
        loop {
            tokio::select! {
                _ = self.stopping.wait_for(|stopping| *stopping) => return None,
                () = sleep_until(self.until) => return None,
                () = sleep(ALIVE) => return Some(": alive\n\n".to_owned()),
                changed = self.changes.recv() => match changed {
                    Ok(resource) if self.grant.covers(&resource) => return Some(event(&resource)),
                    Ok(_) => {}
                    // Names were missed: the follower comes back and asks for everything.
                    Err(RecvError::Lagged(_) | RecvError::Closed) => return None,
                },
            }
        }
    }
}

/// A resource's name has no control characters, so it cannot end its line.
fn event(resource: &str) -> String {
    format!("event: changed\ndata: {resource}\n\n")
}
