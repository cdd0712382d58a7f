//! Another site, called without a network: pages pass through the real writer and reader, and what can happen to them on the way happens.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use entente::{
    error::{Error, Kind, Result},
    model::{
        CompareAnswer, CompareRequest, Grant, Greeting, Limits, Page, PullRequest, PushRequest, Receipt, Registered, Registration, SiteId,
    },
    peer::{Contact, Peer},
    site::Site,
    store::repositories,
    sync::{admit::Caller, compare, serve},
    wire,
};

use crate::house::House;

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mishap {
    /// It never arrives.
    Dropped,
    /// It is done, and nobody hears of it.
    Lost,
    /// It arrives twice.
    Twice,
    /// Its body ends after this many thousandths.
    Cut(u32),
    /// A push arrives, but later than what is sent after it.
    Late,
    /// From here on nobody answers.
    Dead,
}

impl Mishap {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Mishap::Dropped => "call dropped",
            Mishap::Lost => "answer lost",
            Mishap::Twice => "call twice",
            Mishap::Cut(_) => "body cut",
            Mishap::Late => "push late",
            Mishap::Dead => "peer dead",
        }
    }
}

/// A push that is still on its way.
pub(crate) struct Late {
    from: SiteId,
    to: SiteId,
    request: PushRequest,
    body: Vec<u8>,
}

impl Late {
    /// It arrives at last, unless the site it was for is no more or forgot who sent it.
    pub(crate) fn arrive(self, houses: &[House]) -> Option<Result<Receipt>> {
        let house = houses.iter().find(|house| house.id() == self.to)?;
        let store = &house.site().store;
        let repository = store.read(|c| repositories::by_uuid(c, store.key(), self.from)).unwrap()?;
        let caller = Caller { repository, uuid: self.from, grant: everything() };
        let page = wire::read(&self.body, &Limits::default());
        Some(page.and_then(|page| serve::receive(house.site(), &caller, &self.request, &page)))
    }
}

fn everything() -> Grant {
    Grant { pull: true, push: true, resources: None }
}

pub(crate) struct Line {
    from: Arc<Site>,
    to: Arc<Site>,
    caller: Caller,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: usize,
    mishaps: Vec<(usize, Mishap)>,
    happened: Vec<Mishap>,
    late: Vec<Late>,
    told: Vec<String>,
}

/// What there is to tell of a line after a run.
pub(crate) struct Told {
    pub(crate) happened: Vec<Mishap>,
    pub(crate) late: Vec<Late>,
    pub(crate) calls: Vec<String>,
}

impl Line {
    /// A line on which these calls, by their number, go wrong.
    pub(crate) fn new(from: &House, to: &House, mishaps: Vec<(usize, Mishap)>) -> Line {
        let caller = Caller { repository: to.knows(from), uuid: from.id(), grant: everything() };
        let state = Mutex::new(State { mishaps, ..State::default() });
        Line { from: from.site().clone(), to: to.site().clone(), caller, state }
    }

    pub(crate) fn end(self) -> Told {
        let state = self.state.into_inner().unwrap();
        Told { happened: state.happened, late: state.late, calls: state.told }
    }

    /// What happens to the next call.
    fn next(&self, name: String) -> Option<Mishap> {
        let mut state = self.state.lock().unwrap();
        let call = state.calls;
        state.calls += 1;
        let mishap =
            state.mishaps.iter().find(|(at, mishap)| *at == call || *mishap == Mishap::Dead && *at < call).map(|(_, mishap)| *mishap);
        state.told.push(mishap.map_or_else(|| name.clone(), |mishap| format!("{name} ({})", mishap.word())));
        state.happened.extend(mishap);
        mishap
    }

    fn call<T>(&self, name: String, mut work: impl FnMut(Option<u32>) -> Result<T>) -> Result<T> {
        match self.next(name) {
            Some(Mishap::Dropped | Mishap::Dead | Mishap::Late) => Err(gone()),
            Some(Mishap::Lost) => work(None).and_then(|_| Err(gone())),
            Some(Mishap::Twice) => work(None).and_then(|_| work(None)),
            Some(Mishap::Cut(at)) => work(Some(at)),
            None => work(None),
        }
    }

    fn travel(&self, page: &Page, from: &Site, cut: Option<u32>) -> Result<Page> {
        let mut body = Vec::new();
        wire::write(page, from.id, &mut body)?;
        if let Some(thousandths) = cut {
            body.truncate(body.len() * thousandths as usize / 1_000);
        }
        wire::read(&body, &Limits::default())
    }
}

fn gone() -> Error {
    Error::new(Kind::Unreachable, "nobody answers (simulated)")
}

impl Peer for Line {
    fn greet(&self, greeting: &Greeting) -> Result<Contact> {
        self.call("hello".into(), |_| Ok(Contact { hello: serve::hello(&self.to, Some(&self.caller), greeting)?, skew: 0 }))
    }

    fn register(&self, _: &Registration) -> Result<Registered> {
        Err(Error::forbidden("nobody registers here"))
    }

    fn pull(&self, request: &PullRequest) -> Result<Page> {
        self.call(format!("pull {}", request.resource), |cut| self.travel(&serve::feed(&self.to, &self.caller, request)?, &self.to, cut))
    }

    fn push(&self, request: &PushRequest, page: &Page) -> Result<Receipt> {
        let late = self.state.lock().unwrap();
        let is_late = late.mishaps.contains(&(late.calls, Mishap::Late));
        drop(late);
        if is_late {
            let mut body = Vec::new();
            wire::write(page, self.from.id, &mut body)?;
            let late = Late { from: self.from.id, to: self.to.id, request: request.clone(), body };
            self.state.lock().unwrap().late.push(late);
        }
        self.call(format!("push {} of {}", page.records.len(), page.resource), |cut| {
            serve::receive(&self.to, &self.caller, request, &self.travel(page, &self.from, cut)?)
        })
    }

    fn fetch(&self, resource: &str, uids: &[String]) -> Result<Page> {
        self.call(format!("fetch {resource}"), |cut| self.travel(&serve::fetch(&self.to, &self.caller, resource, uids)?, &self.to, cut))
    }

    fn compare(&self, resource: &str, request: &CompareRequest) -> Result<CompareAnswer> {
        self.call(format!("compare {resource}"), |cut| {
            let mut body = wire::write_json(&compare::answer(&self.to, &self.caller, resource, request)?);
            if let Some(thousandths) = cut {
                body.truncate(body.len() * thousandths as usize / 1_000);
            }
            wire::read_json(&body, 4 << 20)
        })
    }

    fn listen(&self, stop: &AtomicBool, _: &mut dyn FnMut(&str)) -> Result<()> {
        assert!(stop.load(Ordering::Relaxed), "nothing here listens");
        Ok(())
    }

    fn close(&self) {}

    fn traffic(&self) -> u64 {
        0
    }
}
