//! Hears of changes to the store, by whomever.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use diesel_async::SimpleAsyncConnection;
use futures_util::StreamExt;
use tokio::task::AbortHandle;

use super::{LISTEN, Presence, Use, open, runtime};
use crate::{
    error::{Error, Kind, Result},
    postgresql::Address,
};

/// The pauses between two tries to listen again: the first, and the longest.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// Counts changes. A line that is lost is made anew, and whatever may have been missed meanwhile counts as a change.
pub(in crate::store) struct Watch {
    count: Arc<AtomicI64>,
    listening: AbortHandle,
}

impl Watch {
    /// Begins to listen. What happens before the line stands counts as a change, too.
    pub(in crate::store) fn start(address: Address) -> Result<Watch> {
        let count = Arc::new(AtomicI64::new(1));
        let counted = count.clone();
        let listening = runtime()?.spawn(async move { keep(&address, &counted).await }).abort_handle();
        Ok(Watch { count, listening })
    }

    /// The number of changes until now, and one.
    pub(in crate::store) fn count(&self) -> i64 {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn keep(address: &Address, count: &AtomicI64) {
    let mut pause = FIRST;
    loop {
        let before = count.load(Ordering::Relaxed);
        let ended = listen(address, count).await;
        if count.load(Ordering::Relaxed) != before {
            pause = FIRST;
        }
        tracing::debug!("Listening for changes of the control store ended: {}", ended.chain());
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

/// Listens until the line is lost, and tells why it is.
async fn listen(address: &Address, count: &AtomicI64) -> Error {
    let mut conn = match open(address, Use::Read, Presence::Shared).await {
        Ok(conn) => conn,
        Err(error) => return error,
    };
    if let Err(error) = conn.batch_execute(LISTEN).await {
        return error.into();
    }
    count.fetch_add(1, Ordering::Relaxed);
    let mut told = pin!(conn.notifications_stream());
    while let Some(Ok(_)) = told.next().await {
        count.fetch_add(1, Ordering::Relaxed);
    }
    Error::new(Kind::Unreachable, "the line was lost")
}
