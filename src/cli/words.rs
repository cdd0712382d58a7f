//! Words of the command line that several verbs read.

use std::{collections::BTreeMap, str::FromStr};

use clap::ValueEnum;
use entente::{
    error::Error,
    model::{Job, Outcome, SiteId, Time},
};

/// A switch that can be set either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum YesNo {
    Yes,
    No,
}

impl From<YesNo> for bool {
    fn from(word: YesNo) -> bool {
        word == YesNo::Yes
    }
}

/// Anything that the model reads from text.
pub(super) fn read<T: FromStr<Err = Error>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: Error| error.chain())
}

/// A site's UUID.
pub(super) fn uuid(text: &str) -> Result<SiteId, String> {
    read(text)
}

/// A time.
pub(super) fn time(text: &str) -> Result<Time, String> {
    read(text)
}

/// How something went.
pub(super) fn outcome(text: &str) -> Result<Outcome, String> {
    Outcome::from_word(text).ok_or_else(|| "results are running, success, warning, error, fatal and interrupted".into())
}

/// Seconds: `90`, `90s`, `5m`, `2h`, `1d`, `1h30m`.
pub(super) fn seconds(text: &str) -> Result<u32, String> {
    Job::seconds(text).map_err(|error| error.chain())
}

/// Seconds in words: `10 seconds`, `5 minutes`, `1 hour 30 minutes`.
pub(super) fn span(seconds: u32) -> String {
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let mut left = seconds;
    let mut parts = Vec::new();
    for (size, name) in units {
        let count = left / size;
        left %= size;
        if count > 0 {
            parts.push(format!("{count} {name}{}", if count == 1 { "" } else { "s" }));
        }
    }
    if parts.is_empty() { "0 seconds".into() } else { parts.join(" ") }
}

/// `OLD=NEW` pairs, as a comma list each.
pub(super) fn pairs(lists: &[String]) -> Result<BTreeMap<String, String>, Error> {
    let pairs = lists.iter().map(|pair| {
        let (old, new) = pair.split_once('=').filter(|(old, new)| !old.is_empty() && !new.is_empty()).ok_or_else(|| {
            Error::usage(format!("{pair:?} is no pair of names"))
                .hint("Write --map OLD=NEW, the column's name first, then the name on the wire.")
        })?;
        Ok((old.to_owned(), new.to_owned()))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_span_is_told_in_words() {
        for (seconds, want) in
            [(0, "0 seconds"), (1, "1 second"), (300, "5 minutes"), (5400, "1 hour 30 minutes"), (86_410, "1 day 10 seconds")]
        {
            assert_eq!(span(seconds), want);
        }
    }

    #[test]
    fn a_pair_needs_both_names() {
        assert_eq!(pairs(&["a=b".into(), "c=d=e".into()]).unwrap(), [("a".into(), "b".into()), ("c".into(), "d=e".into())].into());
        for bad in ["a", "=b", "a="] {
            assert!(pairs(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
