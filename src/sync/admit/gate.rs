//! Slows down whoever guesses passwords.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    error::{Error, Kind, Result},
    model::Time,
};

/// Failures of one account from one address before it has to wait.
const FREE: u32 = 5;

/// Failures from one address, whatever the account.
const FREE_ADDRESS: u32 = 20;

/// The longest wait, in seconds; the first is one second and each further failure doubles it.
const LONGEST: u64 = 300;

/// One failure is forgiven after so many seconds, so that a site with an old password does not lock out its neighbours behind one address.
const FORGIVEN: i64 = 60;

/// The most that is remembered, so that many names cost no memory.
const ENTRIES: usize = 10_000;

/// Passwords checked at the same time: each costs a tenth of a second of one core.
const AT_ONCE: usize = 4;

/// Remembers who failed to log in, in this process.
#[derive(Debug, Default)]
pub struct Gate(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    failures: HashMap<Guess, Failures>,
    checking: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Guess {
    Account(IpAddr, String),
    Address(IpAddr),
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Time,
}

impl Gate {
    /// Lets one try through, which `check` makes; it answers `None` if name or password is wrong.
    /// [`Kind::Limited`] with the seconds to wait if there were too many failures, or too many tries at once.
    pub(super) fn pass<T>(&self, address: IpAddr, name: &str, now: Time, check: impl FnOnce() -> Result<Option<T>>) -> Result<Option<T>> {
        let guesses = [Guess::Account(address, name.to_owned()), Guess::Address(address)];
        let mut inside = self.lock();
        if let Some(wait) = guesses.iter().filter_map(|guess| inside.wait(guess, now)).max() {
            return Err(Error::new(Kind::Limited, format!("Too many failed logins; try again in {wait} s")).after(wait));
        }
        if inside.checking >= AT_ONCE {
            return Err(Error::new(Kind::Limited, "Too many logins at once; try again in a moment").after(1));
        }
        inside.checking += 1;
        drop(inside);
        let checked = check();
        let mut inside = self.lock();
        inside.checking -= 1;
        match checked {
            Ok(None) => guesses.into_iter().for_each(|guess| inside.failed(guess, now)),
            // An address keeps its failures: one good account must not buy guesses at others.
            Ok(Some(_)) => drop(inside.failures.remove(&guesses[0])),
            Err(_) => {}
        }
        checked
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn wait(&self, guess: &Guess, now: Time) -> Option<u64> {
        let failures = self.failures.get(guess)?;
        let free = if matches!(guess, Guess::Account(..)) { FREE } else { FREE_ADDRESS };
        let over = failures.count(now).checked_sub(free)?;
        let wait = (1u64 << over.min(16)).min(LONGEST);
        let left = failures.last.plus_seconds(wait.try_into().unwrap_or(i64::MAX)).0 - now.0;
        u64::try_from(left).ok().filter(|left| *left > 0).map(|left| left.div_ceil(1_000_000))
    }

    fn failed(&mut self, guess: Guess, now: Time) {
        if self.failures.len() >= ENTRIES {
            self.make_room(now);
        }
        let failures = self.failures.entry(guess).or_insert(Failures { count: 0, last: now });
        *failures = Failures { count: failures.count(now).saturating_add(1), last: now };
    }

    fn make_room(&mut self, now: Time) {
        self.failures.retain(|_, failures| failures.count(now) > 0);
        if self.failures.len() >= ENTRIES
            && let Some(oldest) = self.failures.iter().min_by_key(|(_, failures)| failures.last).map(|(guess, _)| guess.clone())
        {
            self.failures.remove(&oldest);
        }
    }
}

impl Failures {
    /// Those that are not forgiven yet.
    fn count(&self, now: Time) -> u32 {
        let minutes = (now.0 - self.last.0).max(0) / (FORGIVEN * 1_000_000);
        self.count.saturating_sub(u32::try_from(minutes).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn guess(gate: &Gate, name: &str, second: i64, right: bool) -> Result<Option<()>> {
        gate.pass(HERE, name, Time(second * 1_000_000), || Ok(right.then_some(())))
    }

    #[test]
    fn the_sixth_wrong_password_waits_and_each_further_one_longer() {
        let gate = Gate::default();
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
        let gate = Gate::default();
        let names = (0..20).map(|n| n.to_string()).collect::<Vec<_>>();
        assert!(names.iter().all(|name| guess(&gate, name, 0, false).is_ok()));
        assert_eq!(guess(&gate, "x", 0, true).unwrap_err().kind(), Kind::Limited);
        assert!(guess(&gate, "x", FORGIVEN + 1, true).is_ok(), "it is forgiven in time");
    }

    #[test]
    fn a_neighbour_with_an_old_password_locks_nobody_out() {
        let gate = Gate::default();
        for run in 0..1000 {
            assert!(guess(&gate, "old", run * 300, false).unwrap().is_none());
            assert!(guess(&gate, "good", run * 300, true).unwrap().is_some());
        }
    }

    #[test]
    fn many_names_cost_no_memory() {
        let gate = Gate::default();
        for n in 0..ENTRIES as i64 + 50 {
            gate.lock().failed(Guess::Account(HERE, n.to_string()), Time(n));
        }
        assert!(gate.lock().failures.len() <= ENTRIES);
    }

    #[test]
    fn few_passwords_are_checked_at_the_same_time() {
        fn nested(gate: &Gate, depth: usize) -> usize {
            match gate.pass(HERE, "a", Time(0), || Ok(Some(nested(gate, depth + 1)))) {
                Ok(deepest) => deepest.unwrap(),
                Err(error) => {
                    assert_eq!(error.wait(), Some(1));
                    depth
                }
            }
        }
        assert_eq!(nested(&Gate::default(), 0), AT_ONCE);
    }
}
