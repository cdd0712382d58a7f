//! One error type: a kind for machines, a sentence for people, a source for us.

use std::fmt;

/// What sort of failure it is. The kind alone decides the HTTP status and whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The words of a command or request are off.
    Usage,
    /// Bytes or a document that break the format or its limits of meaning.
    Malformed,
    /// No or wrong credentials.
    Unauthorized,
    /// Known, but not allowed: not granted, not registered, wrong account.
    Forbidden,
    /// What was named does not exist.
    NotFound,
    /// The other side's cursor or journal belongs to another epoch of the journal.
    Epoch,
    /// A newer run holds the repository; what was asked came from a stale one.
    Fence,
    /// It already exists or contradicts what is there.
    Exists,
    /// A person has to decide before this can go on (for example: twins at a first run).
    Undecided,
    /// Over a limit of size, count or depth.
    TooLarge,
    /// A content type or encoding we do not read.
    Unsupported,
    /// Too many tries; try later.
    Limited,
    /// Everything is paused by an administrator.
    Paused,
    /// The other side did not answer.
    Unreachable,
    /// It took longer than allowed.
    Timeout,
    /// Another process holds what we need for the moment.
    Busy,
    /// No space left.
    Full,
    /// A user's data broke a constraint of the user's database.
    Constraint,
    /// Stopped on request, between two pages.
    Stopped,
    /// Made by a newer version of Entente.
    Newer,
    /// Anything else: a defect, or a broken file.
    Internal,
}

impl Kind {
    /// The HTTP status that answers a request which failed so.
    pub fn status(self) -> u16 {
        match self {
            Kind::Usage | Kind::Malformed => 400,
            Kind::Unauthorized => 401,
            Kind::Forbidden => 403,
            Kind::NotFound => 404,
            Kind::Epoch | Kind::Fence | Kind::Exists | Kind::Undecided | Kind::Constraint => 409,
            Kind::TooLarge => 413,
            Kind::Unsupported => 415,
            Kind::Limited => 429,
            Kind::Internal | Kind::Newer => 500,
            Kind::Paused | Kind::Busy | Kind::Full | Kind::Stopped => 503,
            Kind::Unreachable => 502,
            Kind::Timeout => 504,
        }
    }

    /// Whether the same thing, tried again a little later, may go through.
    pub fn retry(self) -> bool {
        matches!(self, Kind::Limited | Kind::Unreachable | Kind::Timeout | Kind::Busy)
    }

    /// The word that stands for this kind in answers (`kind` member), logs and JSON output.
    pub fn word(self) -> &'static str {
        WORDS.iter().find(|(kind, _)| *kind == self).map_or("internal", |(_, word)| word)
    }

    /// The kind a word stands for; an unknown word is [`Kind::Internal`].
    pub fn from_word(word: &str) -> Kind {
        WORDS.iter().find(|(_, known)| *known == word).map_or(Kind::Internal, |(kind, _)| *kind)
    }
}

const WORDS: [(Kind, &str); 21] = [
    (Kind::Usage, "usage"),
    (Kind::Malformed, "malformed"),
    (Kind::Unauthorized, "unauthorized"),
    (Kind::Forbidden, "forbidden"),
    (Kind::NotFound, "not_found"),
    (Kind::Epoch, "epoch"),
    (Kind::Fence, "fence"),
    (Kind::Exists, "exists"),
    (Kind::Undecided, "undecided"),
    (Kind::TooLarge, "too_large"),
    (Kind::Unsupported, "unsupported"),
    (Kind::Limited, "limited"),
    (Kind::Paused, "paused"),
    (Kind::Unreachable, "unreachable"),
    (Kind::Timeout, "timeout"),
    (Kind::Busy, "busy"),
    (Kind::Full, "full"),
    (Kind::Constraint, "constraint"),
    (Kind::Stopped, "stopped"),
    (Kind::Newer, "newer"),
    (Kind::Internal, "internal"),
];

/// A failure. `Display` is one sentence for a person and never repeats the source;
/// [`Error::chain`] prints the whole chain, once, where the error is handled.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    hint: Option<String>,
    after: Option<u64>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of everything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` with a sentence for people.
    pub fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), hint: None, after: None, source: None }
    }

    /// [`Kind::Usage`].
    pub fn usage(message: impl Into<String>) -> Error {
        Error::new(Kind::Usage, message)
    }

    /// [`Kind::Malformed`].
    pub fn malformed(message: impl Into<String>) -> Error {
        Error::new(Kind::Malformed, message)
    }

    /// [`Kind::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Error {
        Error::new(Kind::NotFound, message)
    }

    /// [`Kind::Forbidden`].
    pub fn forbidden(message: impl Into<String>) -> Error {
        Error::new(Kind::Forbidden, message)
    }

    /// [`Kind::Internal`].
    pub fn internal(message: impl Into<String>) -> Error {
        Error::new(Kind::Internal, message)
    }

    /// The same error with what caused it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        self.source = Some(source.into());
        self
    }

    /// The same error with what a person should do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }

    /// The same error told as what was being done: `context: message`.
    #[must_use]
    pub fn within(mut self, context: &str) -> Error {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// The same error with how many seconds to wait before trying again.
    #[must_use]
    pub fn after(mut self, seconds: u64) -> Error {
        self.after = Some(seconds);
        self
    }

    /// How many seconds to wait before trying again, where we know.
    pub fn wait(&self) -> Option<u64> {
        self.after
    }

    /// What sort of failure it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What to do next, where we know.
    pub fn next_step(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The whole story in one line: the sentence, each cause once, and what to do next.
    pub fn chain(&self) -> String {
        let mut line = self.message.clone();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            let text = cause.to_string();
            if !text.is_empty() && !line.contains(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            source = cause.source();
        }
        if let Some(hint) = &self.hint {
            line.push_str(". ");
            line.push_str(hint);
        }
        line
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_word_of_its_own_that_leads_back() {
        for (kind, word) in WORDS {
            assert_eq!(Kind::from_word(word), kind);
            assert_eq!(kind.word(), word);
        }
    }

    #[test]
    fn the_chain_names_each_cause_once_and_then_the_next_step() {
        let cause = Error::new(Kind::Unreachable, "connection refused");
        let error = Error::new(Kind::Unreachable, "The peer did not answer").because(cause).hint("Check its address.");
        assert_eq!(error.chain(), "The peer did not answer: connection refused. Check its address.");
        assert_eq!(error.to_string(), "The peer did not answer");
    }
}
