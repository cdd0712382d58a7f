//! What may flow and who wins.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Who wins an update or a conflict. THIS and OTHER are from the point of view of the site that holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Policy {
    /// Our version wins.
    This,
    /// Their version wins.
    Other,
    /// The later version wins.
    #[default]
    Newer,
    /// The version written by the record's origin wins.
    Master,
    /// A person decides (conflicts only).
    Manual,
}

impl Policy {
    /// The same policy seen from the other side: THIS and OTHER change places.
    #[must_use]
    pub fn swapped(self) -> Policy {
        match self {
            Policy::This => Policy::Other,
            Policy::Other => Policy::This,
            same => same,
        }
    }

    /// The word on the wire and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Policy::This => "THIS",
            Policy::Other => "OTHER",
            Policy::Newer => "NEWER",
            Policy::Master => "MASTER",
            Policy::Manual => "MANUAL",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Policy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Policy> {
        let all = [Policy::This, Policy::Other, Policy::Newer, Policy::Master, Policy::Manual];
        all.into_iter().find(|policy| policy.word().eq_ignore_ascii_case(text)).ok_or_else(|| {
            Error::usage(format!("{:?} is no policy", text.chars().take(20).collect::<String>()))
                .hint("Policies are THIS, OTHER, NEWER, MASTER and, for conflicts, MANUAL.")
        })
    }
}

/// What a version does to the record it is applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// It is not here yet.
    Create,
    /// It changes what is here.
    Update,
    /// It removes what is here.
    Delete,
    /// It joins two records into one.
    Merge,
}

impl Method {
    const ALL: [(Method, &'static str); 4] =
        [(Method::Create, "create"), (Method::Update, "update"), (Method::Delete, "delete"), (Method::Merge, "merge")];

    /// The word on the wire and on the command line.
    pub fn word(self) -> &'static str {
        Method::ALL.iter().find(|(method, _)| *method == self).map_or("", |(_, word)| word)
    }
}

/// The methods that are allowed. Written as a comma list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Strategy(u8);

impl Default for Strategy {
    fn default() -> Strategy {
        Strategy(0b1111)
    }
}

impl Strategy {
    /// Whether `method` is allowed.
    pub fn allows(self, method: Method) -> bool {
        self.0 & (1 << method as u8) != 0
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = Method::ALL.iter().filter(|(method, _)| self.allows(*method)).map(|(_, word)| *word).collect();
        f.write_str(&words.join(","))
    }
}

impl FromStr for Strategy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Strategy> {
        let mut bits = 0;
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let known = Method::ALL.iter().find(|(_, known)| known.eq_ignore_ascii_case(word));
            let (method, _) = known.ok_or_else(|| {
                Error::usage(format!("{:?} is no method", word.chars().take(20).collect::<String>()))
                    .hint("A strategy is a list of create, update, delete and merge.")
            })?;
            bits |= 1 << *method as u8;
        }
        Ok(Strategy(bits))
    }
}

/// Which ways a resource flows, from our point of view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// From them to us.
    Pull,
    /// From us to them.
    Push,
    /// Both ways.
    #[default]
    Both,
    /// Not at all.
    None,
}

impl Mode {
    /// Whether we take from them.
    pub fn pulls(self) -> bool {
        matches!(self, Mode::Pull | Mode::Both)
    }

    /// Whether we give to them.
    pub fn pushes(self) -> bool {
        matches!(self, Mode::Push | Mode::Both)
    }

    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Mode::Pull => "pull",
            Mode::Push => "push",
            Mode::Both => "both",
            Mode::None => "none",
        }
    }
}

impl FromStr for Mode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Mode> {
        let all = [Mode::Pull, Mode::Push, Mode::Both, Mode::None];
        all.into_iter().find(|mode| mode.word().eq_ignore_ascii_case(text)).ok_or_else(|| {
            Error::usage(format!("{:?} is no mode", text.chars().take(20).collect::<String>())).hint("Modes are pull, push, both and none.")
        })
    }
}

/// The rules under which one site takes versions of one resource from one repository, from its own point of view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// The methods that are allowed.
    pub strategy: Strategy,
    /// Who wins when only one side changed.
    pub update: Policy,
    /// Who wins when both sides changed.
    pub conflict: Policy,
    /// Whether a conflict is first merged field by field.
    pub merge_fields: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_back_to_what_they_stand_for() {
        for policy in [Policy::This, Policy::Other, Policy::Newer, Policy::Master, Policy::Manual] {
            assert_eq!(policy.word().to_lowercase().parse::<Policy>().unwrap(), policy);
            assert_eq!(policy.swapped().swapped(), policy);
        }
        for mode in [Mode::Pull, Mode::Push, Mode::Both, Mode::None] {
            assert_eq!(mode.word().parse::<Mode>().unwrap(), mode);
        }
        assert!("both ways".parse::<Mode>().is_err() && "newest".parse::<Policy>().is_err());
    }

    #[test]
    fn a_strategy_allows_what_it_names() {
        let some: Strategy = "update, create".parse().unwrap();
        assert_eq!(some.to_string(), "create,update");
        assert!(some.allows(Method::Create) && !some.allows(Method::Delete));
        assert_eq!(Strategy::default().to_string(), "create,update,delete,merge");
        assert!("crete".parse::<Strategy>().is_err());
    }
}
