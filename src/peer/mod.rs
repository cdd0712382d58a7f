//! Other sites as we call them. The only home of the HTTP client.

mod eden;
mod entente;
mod events;
mod line;
mod retry;
mod setup;
#[cfg(test)]
mod tests;
mod trouble;

pub use crate::wire::eden::Sender as EdenSender;
pub use eden::{Door as EdenDoor, Eden};
pub use entente::{Entente, Settings};
pub use setup::Timeouts;

use std::sync::atomic::AtomicBool;

use crate::{
    error::Result,
    model::{CompareAnswer, CompareRequest, Greeting, Hello, Page, PullRequest, PushRequest, Receipt, Registered, Registration},
};

/// Another site, as a run sees it. Calls block; each has time limits of its own and is tried again with jittered pauses where
/// that can help ([`crate::error::Kind::retry`]) and changes nothing if it arrived the first time.
pub trait Peer: Send + Sync {
    /// Who is there, and what it grants us. `None` in [`Contact::hello`]'s resources means that we showed no credentials.
    fn hello(&self) -> Result<Contact> {
        self.greet(&Greeting::default())
    }

    /// The same, and says what waits here and how far we are, so that the answer says what waits there.
    fn greet(&self, greeting: &Greeting) -> Result<Contact>;

    /// Makes us known there.
    fn register(&self, registration: &Registration) -> Result<Registered>;

    /// One page of a feed.
    fn pull(&self, request: &PullRequest) -> Result<Page>;

    /// Gives one page; the answer means that it is durable there. Sent again with the same batch, the same answer comes back.
    fn push(&self, request: &PushRequest, page: &Page) -> Result<Receipt>;

    /// Named records as they are there now, up to 1,000 uids a call; those that are not there are left out.
    fn fetch(&self, resource: &str, uids: &[String]) -> Result<Page>;

    /// One step of a comparison of the living records.
    fn compare(&self, resource: &str, request: &CompareRequest) -> Result<CompareAnswer>;

    /// Listens until `stop` is set or the connection ends; calls `changed` with the name of each resource that changed there.
    fn listen(&self, stop: &AtomicBool, changed: &mut dyn FnMut(&str)) -> Result<()>;

    /// Gives the session back. Failure does not matter: it expires.
    fn close(&self);

    /// Bytes of bodies sent and received so far.
    fn traffic(&self) -> u64;
}

/// A hello and what it says of the line.
#[derive(Debug, Clone)]
pub struct Contact {
    /// What the other side said.
    pub hello: Hello,
    /// Milliseconds that its clock is ahead of ours, half the round trip taken off.
    pub skew: i64,
}
