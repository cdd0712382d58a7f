//! What an Eden that pulls was given of a resource (docs/eden.md): its cursor is a time, and what came late with an older one would never be seen.

use std::collections::BTreeMap;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::model::Time;

/// How far an Eden is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Ledger {
    /// The life of our journal.
    pub(super) epoch: String,
    /// It has everything up to this arrival.
    pub(super) confirmed: i64,
    /// The arrival after the last answer.
    pub(super) head: i64,
    /// The second it asked for then.
    pub(super) since: Option<i64>,
    /// The latest second in that answer; none where it was empty.
    pub(super) newest: Option<i64>,
    /// When that was, by our clock.
    pub(super) at: Time,
    /// When the last answer was given that is known to have arrived.
    pub(super) arrived: Time,
    /// Under which filter.
    pub(super) filter: String,
    /// Of what stands inside, by resource: it has everything up to the first arrival, and the second is that after the last answer.
    pub(super) parts: BTreeMap<String, (i64, i64)>,
}

/// What an Eden gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Everything.
    All,
    /// What arrived after this, and what is of the second it asks for or later.
    After(i64),
}

impl Ledger {
    /// As it stands in the journal; nothing for what is none.
    pub(super) fn read(text: &str) -> Ledger {
        let parse = || {
            let mut words = text.strip_prefix("eden2 ")?.splitn(9, ' ');
            let epoch = words.next()?.to_owned();
            let mut number = || words.next().map(|word| word.parse::<i64>().ok());
            let (confirmed, head) = (number()??, number()??);
            let (since, newest) = (number()?, number()?);
            let (at, arrived) = (Time(number()??), Time(number()??));
            let parts = words.next()?.split(',').filter(|part| !part.is_empty()).map(part).collect::<Option<_>>()?;
            Some(Ledger { epoch, confirmed, head, since, newest, at, arrived, parts, filter: words.next()?.to_owned() })
        };
        parse().unwrap_or_default()
    }

    /// As the journal keeps it.
    pub(super) fn write(&self) -> String {
        let maybe = |second: Option<i64>| second.map_or("-".to_owned(), |second| second.to_string());
        let (since, newest) = (maybe(self.since), maybe(self.newest));
        let part = |(name, (confirmed, head)): (&String, &(i64, i64))| {
            format!("{}:{confirmed}:{head}", utf8_percent_encode(name, NON_ALPHANUMERIC))
        };
        let parts: Vec<String> = self.parts.iter().map(part).collect();
        let (epoch, filter, parts) = (&self.epoch, &self.filter, parts.join(","));
        format!("eden2 {epoch} {} {} {since} {newest} {} {} {parts} {filter}", self.confirmed, self.head, self.at.0, self.arrived.0)
    }

    /// Notes what the next question says of the last answer, and what is due now. The last answer arrived if the cursor stands where an Eden's would
    /// after it. A cursor that went back, or is none, means that everything is wanted.
    pub(super) fn ask(&mut self, epoch: &str, filter: &str, since: Option<i64>) -> Due {
        let known = self.epoch == epoch && self.filter == filter;
        let due = match (since, known) {
            (Some(since), true) => {
                let arrived = match self.newest {
                    Some(newest) => Some(since) != self.since && since >= newest || since == newest + 1,
                    None => self.head > 0 && self.since.is_none_or(|before| since >= before),
                };
                if arrived {
                    (self.confirmed, self.arrived) = (self.head, self.at);
                    self.parts.values_mut().for_each(|(confirmed, head)| *confirmed = *head);
                }
                let back = !arrived && self.since.is_some_and(|before| since < before);
                if back { Due::All } else { Due::After(self.confirmed) }
            }
            _ => Due::All,
        };
        if due == Due::All {
            self.confirmed = 0;
            self.parts.clear();
        }
        (self.epoch, self.filter, self.since) = (epoch.to_owned(), filter.to_owned(), since);
        due
    }
}

fn part(text: &str) -> Option<(String, (i64, i64))> {
    let mut words = text.split(':');
    let name = percent_decode_str(words.next()?).decode_utf8().ok()?.into_owned();
    Some((name, (words.next()?.parse().ok()?, words.next()?.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(since: Option<i64>, newest: Option<i64>) -> Ledger {
        let (epoch, filter) = ("e".to_owned(), "~.a__eq=x y".to_owned());
        Ledger {
            epoch,
            confirmed: 3,
            head: 9,
            since,
            newest,
            at: Time(5),
            arrived: Time(4),
            filter,
            parts: BTreeMap::from([("a b_c".to_owned(), (2, 7))]),
        }
    }

    #[test]
    fn a_ledger_survives_being_written_and_nonsense_is_none() {
        for ledger in [given(Some(7), None), given(None, Some(8)), Ledger { parts: BTreeMap::new(), ..given(None, None) }] {
            assert_eq!(Ledger::read(&ledger.write()), ledger);
        }
        assert_eq!(Ledger::read(""), Ledger::default());
        assert_eq!(Ledger::read("eden2 e x"), Ledger::default());
    }

    #[test]
    fn an_answer_arrived_if_the_next_cursor_stands_behind_it() {
        for (ledger, since, want) in [
            // The versions of Eden that add a second, and those that do not.
            (given(None, Some(20)), Some(21), Due::After(9)),
            (given(None, Some(20)), Some(20), Due::After(9)),
            (given(Some(10), Some(20)), Some(21), Due::After(9)),
            // It did not take what it was given: the same again.
            (given(Some(10), Some(20)), Some(10), Due::After(3)),
            // All was older than its cursor, which then goes back in some versions.
            (given(Some(30), Some(20)), Some(21), Due::After(9)),
            (given(Some(30), Some(20)), Some(30), Due::After(3)),
            // Nothing was due.
            (given(Some(30), None), Some(30), Due::After(9)),
            (given(Some(30), Some(40)), Some(5), Due::All),
            (given(Some(30), Some(40)), None, Due::All),
        ] {
            let mut asked = ledger.clone();
            assert_eq!(asked.ask("e", "~.a__eq=x y", since), want, "{since:?} after {ledger:?}");
            let inside = asked.parts.get("a b_c").copied();
            assert_eq!(
                inside,
                match want {
                    Due::All => None,
                    Due::After(9) => Some((7, 7)),
                    Due::After(_) => Some((2, 7)),
                }
            );
        }
        assert_eq!(given(None, Some(20)).ask("other", "~.a__eq=x y", Some(21)), Due::All);
        assert_eq!(given(None, Some(20)).ask("e", "", Some(21)), Due::All);
        assert_eq!(Ledger::default().ask("e", "", Some(21)), Due::All);
    }
}
