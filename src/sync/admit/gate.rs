//! Slows down whoever guesses passwords, at all servers on one store together.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::{
    error::{Error, Kind, Result},
    model::Time,
    store::{
        Store,
        guesses::{self, Failures},
    },
};

/// Failures of one account from one address before it has to wait.
const FREE: u32 = 5;

/// Failures from one address, whatever the account.
const FREE_ADDRESS: u32 = 20;

/// The longest wait, in seconds; the first is one second and each further failure doubles it.
const LONGEST: u64 = 300;

/// One failure is forgiven after so many seconds, so that a site with an old password does not lock out its neighbours behind one address.
const FORGIVEN: i64 = 60;

/// Passwords checked at the same time in one process: each costs a tenth of a second of one core.
const AT_ONCE: usize = 4;

/// Lets few at a time try; who failed is in the store.
#[derive(Debug, Default)]
pub struct Gate {
    checking: AtomicUsize,
}

/// Whose failures are counted, and how many are free.
struct Guess {
    who: String,
    free: u32,
}

impl Gate {
    /// Lets one try through, which `check` makes; it answers `None` if name or password is wrong.
    /// [`Kind::Limited`] with the seconds to wait if there were too many failures, or too many tries at once.
    pub fn pass<T>(
        &self,
        store: &Store,
        address: IpAddr,
        name: &str,
        now: Time,
        check: impl FnOnce() -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let guesses = [Guess { who: format!("{address} {name}"), free: FREE }, Guess { who: address.to_string(), free: FREE_ADDRESS }];
        let known = store.read(|c| guesses.iter().map(|guess| guesses::find(c, &guess.who)).collect::<Result<Vec<_>>>())?;
        if let Some(wait) = guesses.iter().zip(&known).filter_map(|(guess, failures)| wait(guess.free, (*failures)?, now)).max() {
            return Err(Error::new(Kind::Limited, format!("Too many failed logins; try again in {wait} s")).after(wait));
        }
        let checked = self.in_turn(check)?;
        match checked {
            None => store.write(|c| guesses.iter().try_for_each(|guess| fail(c, &guess.who, now)))?,
            // An address keeps its failures: one good account must not buy guesses at others.
            Some(_) if known[0].is_some() => store.write(|c| guesses::forget(c, &guesses[0].who))?,
            Some(_) => {}
        }
        Ok(checked)
    }

    fn in_turn<T>(&self, check: impl FnOnce() -> Result<T>) -> Result<T> {
        let _turn = Turn(&self.checking);
        if self.checking.fetch_add(1, Ordering::Relaxed) >= AT_ONCE {
            return Err(Error::new(Kind::Limited, "Too many logins at once; try again in a moment").after(1));
        }
        check()
    }
}

/// A try, counted until it is dropped.
struct Turn<'g>(&'g AtomicUsize);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn wait(free: u32, failures: Failures, now: Time) -> Option<u64> {
    let over = count(failures, now).checked_sub(free)?;
    let wait = (1u64 << over.min(16)).min(LONGEST);
    let left = failures.last.plus_seconds(wait.try_into().unwrap_or(i64::MAX)).0 - now.0;
    u64::try_from(left).ok().filter(|left| *left > 0).map(|left| left.div_ceil(1_000_000))
}

fn fail(conn: &mut crate::store::Conn, who: &str, now: Time) -> Result<()> {
    let before = guesses::find(conn, who)?.map_or(0, |failures| count(failures, now));
    guesses::set(conn, who, Failures { count: before.saturating_add(1), last: now })
}

/// Those that are not forgiven yet.
fn count(failures: Failures, now: Time) -> u32 {
    let minutes = (now.0 - failures.last.0).max(0) / (FORGIVEN * 1_000_000);
    failures.count.saturating_sub(u32::try_from(minutes).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    struct Server {
        gate: Gate,
        store: Store,
    }

    /// Servers on one store.
    fn servers<const N: usize>() -> (tempfile::TempDir, [Server; N]) {
        let dir = tempfile::tempdir().unwrap();
        let servers = [(); N].map(|()| Server { gate: Gate::default(), store: Store::open(dir.path()).unwrap() });
        (dir, servers)
    }

    fn guess(server: &Server, name: &str, second: i64, right: bool) -> Result<Option<()>> {
        server.gate.pass(&server.store, HERE, name, Time(second * 1_000_000), || Ok(right.then_some(())))
    }

    #[test]
    fn the_sixth_wrong_password_waits_and_each_further_one_longer() {
        let (_dir, [gate]) = servers();
        for _ in 0..5 {
            assert!(guess(&gate, "a", 0, false).unwrap().is_none());
        }
        let error = guess(&gate, "a", 0, true).unwrap_err();
        assert_eq!((error.kind(), error.wait()), (Kind::Limited, Some(1)));
        assert!(guess(&gate, "a", 1, false).unwrap().is_none());
        assert_eq!(guess(&gate, "a", 1, true).unwrap_err().wait(), Some(2));
        assert!(guess(&gate, "b", 1, true).unwrap().is_some(), "another account is not slowed down");
        assert!(guess(&gate, "a", 3, true).unwrap().is_some());
        assert!(guess(&gate, "a", 3, false).unwrap().is_none(), "a right password clears the account");
    }

    #[test]
    fn one_address_cannot_go_through_many_names() {
        let (_dir, [gate]) = servers();
        let names = (0..20).map(|n| n.to_string()).collect::<Vec<_>>();
        assert!(names.iter().all(|name| guess(&gate, name, 0, false).is_ok()));
        assert_eq!(guess(&gate, "x", 0, true).unwrap_err().kind(), Kind::Limited);
        assert!(guess(&gate, "x", FORGIVEN + 1, true).is_ok(), "it is forgiven in time");
    }

    #[test]
    fn a_neighbour_with_an_old_password_locks_nobody_out() {
        let (_dir, [gate]) = servers();
        for run in 0..100 {
            assert!(guess(&gate, "old", run * 300, false).unwrap().is_none());
            assert!(guess(&gate, "good", run * 300, true).unwrap().is_some());
        }
    }

    #[test]
    fn guesses_at_one_server_count_at_all_of_them() {
        let (_dir, [one, two]) = servers();
        for _ in 0..5 {
            assert!(guess(&one, "a", 0, false).unwrap().is_none());
        }
        assert_eq!(guess(&two, "a", 0, true).unwrap_err().wait(), Some(1));
        assert!(guess(&two, "a", 1, true).unwrap().is_some());
        assert!(guess(&one, "a", 1, false).unwrap().is_none(), "a right password clears the account everywhere");
    }

    #[test]
    fn few_passwords_are_checked_at_the_same_time() {
        fn nested(server: &Server, depth: usize) -> usize {
            match server.gate.pass(&server.store, HERE, "a", Time(0), || Ok(Some(nested(server, depth + 1)))) {
                Ok(deepest) => deepest.unwrap(),
                Err(error) => {
                    assert_eq!(error.wait(), Some(1));
                    depth
                }
            }
        }
        let (_dir, [server]) = servers();
        assert_eq!(nested(&server, 0), AT_ONCE);
    }
}
