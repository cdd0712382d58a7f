//! What every handler has at hand.

use std::sync::Arc;

use actix_web::web;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::{
    error::{Error, Result},
    model::Limits,
    site::Site,
    sync::admit::Gate,
    web::{Changes, admin::Counts, api::v1::Meter},
};

/// Pages that are held in memory at the same time; further ones wait for their turn.
const PAGES: usize = 8;

pub(super) struct App {
    pub(super) site: Arc<Site>,
    pub(super) gate: Gate,
    pub(super) limits: Limits,
    pub(super) changes: Changes,
    /// Becomes true when the server is about to stop.
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) pages: Arc<Semaphore>,
    pub(super) meter: Meter,
    /// What waits for a person.
    pub(super) counts: Counts,
}

impl App {
    pub(super) fn new(site: Arc<Site>, changes: Changes, stopping: watch::Receiver<bool>) -> App {
        let meter = Meter::begin(&site);
        App {
            site,
            gate: Gate::default(),
            limits: Limits::default(),
            changes,
            stopping,
            pages: Arc::new(Semaphore::new(PAGES)),
            meter,
            counts: Counts::default(),
        }
    }
}

/// Makes a call of the engine on a thread where it may block.
pub(super) async fn call<T: Send + 'static>(call: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match web::block(call).await {
        Ok(done) => done,
        Err(error) => Err(Error::internal("A request was given up in the middle").because(error)),
    }
}

/// Waits for a turn to hold a page in memory. It ends when it is dropped.
pub(super) async fn turn(app: &web::Data<App>) -> Result<OwnedSemaphorePermit> {
    app.pages.clone().acquire_owned().await.map_err(|e| Error::internal("There are no turns any more").because(e))
}
