//! What happened.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Counts, RepositoryId, Time};

/// The number of a log entry; later entries have greater numbers.
pub type LogId = i64;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A whole run: pull, then push.
    Run,
    /// Records of one resource came.
    Pull,
    /// Records of one resource went.
    Push,
    /// A site made itself known.
    Register,
    /// Named records were fetched.
    Fetch,
    /// An account logged in or was refused.
    Login,
    /// An administrator changed something.
    Change,
    /// We looked for what no trigger had noticed.
    Sweep,
    /// Both sites compared what they hold.
    Compare,
}

/// Who asked: we the other site, or it us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// We called.
    Outgoing,
    /// They called.
    Incoming,
    /// Nobody called anybody.
    None,
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is still going on.
    Running,
    /// Well.
    Success,
    /// Done, with something an administrator should look at.
    Warning,
    /// Failed; trying again may help.
    Error,
    /// Failed; a person has to do something.
    Fatal,
    /// The process ended in the middle of it.
    Interrupted,
}

macro_rules! words {
    ($type:ident { $($case:ident = $word:literal),* $(,)? }) => {
        impl $type {
            /// The word in the store, in JSON and on the command line.
            pub fn word(self) -> &'static str {
                match self { $($type::$case => $word),* }
            }

            /// What a word stands for.
            pub fn from_word(word: &str) -> Option<$type> {
                match word { $($word => Some($type::$case),)* _ => None }
            }
        }
    };
}

words!(Action { Run = "run", Pull = "pull", Push = "push", Register = "register", Fetch = "fetch", Login = "login", Change = "change", Sweep = "sweep", Compare = "compare" });
words!(Direction { Outgoing = "outgoing", Incoming = "incoming", None = "none" });
words!(Outcome {
    Running = "running",
    Success = "success",
    Warning = "warning",
    Error = "error",
    Fatal = "fatal",
    Interrupted = "interrupted",
});

impl Outcome {
    /// Whether it counts as a failure.
    pub fn failed(self) -> bool {
        matches!(self, Outcome::Error | Outcome::Fatal | Outcome::Interrupted)
    }
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogEntry {
    /// Its number; 0 before it is stored.
    pub id: LogId,
    /// The run it belongs to: the number of that run's own entry.
    pub run: Option<LogId>,
    /// When it began.
    pub time: Time,
    /// How long it took, in milliseconds.
    pub duration: i64,
    /// The repository, where there is one.
    pub repository: Option<RepositoryId>,
    /// The repository's name at that time, so that the entry outlives it.
    pub repository_name: Option<String>,
    /// The resource, where there is one.
    pub resource: Option<String>,
    /// What was done.
    pub action: Action,
    /// Who asked.
    pub direction: Direction,
    /// How it went.
    pub outcome: Outcome,
    /// Whether it failed at the other side.
    pub remote: bool,
    /// A sentence that can be read alone.
    pub message: String,
    /// What became of the records.
    pub counts: Counts,
}

impl LogEntry {
    /// An entry of something that went well at `time`, with nothing counted.
    pub fn new(time: Time, action: Action, direction: Direction) -> LogEntry {
        LogEntry {
            id: 0,
            run: None,
            time,
            duration: 0,
            repository: None,
            repository_name: None,
            resource: None,
            action,
            direction,
            outcome: Outcome::Success,
            remote: false,
            message: String::new(),
            counts: Counts::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_back_to_what_they_stand_for() {
        for outcome in [Outcome::Running, Outcome::Success, Outcome::Warning, Outcome::Error, Outcome::Fatal, Outcome::Interrupted] {
            assert_eq!(Outcome::from_word(outcome.word()), Some(outcome));
        }
        assert_eq!(Action::from_word("pull"), Some(Action::Pull));
        assert_eq!(Direction::from_word("sideways"), None);
    }
}
