//! What surrounds every page: where one is, who one is, what was just done.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use super::{desk::Desk, words::figure};
use crate::{
    error::Result,
    model::{Account, Role},
    store::site as control,
};

/// The part of the site that a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nav {
    Home,
    Repositories,
    Attach,
    Conflicts,
    Quarantine,
    Log,
    Users,
    Settings,
    None,
}

/// A link in the navigation.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) to: &'static str,
    pub(super) label: &'static str,
    pub(super) here: bool,
    /// What waits there; empty for nothing.
    pub(super) count: String,
}

/// A sentence that a page says first, of what was just done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// `good` or `warn`.
    pub(super) class: &'static str,
    pub(super) sentence: String,
}

impl Said {
    pub(super) fn well(sentence: impl Into<String>) -> Said {
        Said { class: "good", sentence: sentence.into() }
    }

    pub(super) fn warning(sentence: impl Into<String>) -> Said {
        Said { class: "warn", sentence: sentence.into() }
    }

    /// As it travels in a cookie.
    pub(super) fn write(&self) -> String {
        let sentence: String = self.sentence.chars().take(600).collect();
        format!("{}.{}", self.class, BASE64_URL_SAFE_NO_PAD.encode(sentence))
    }

    /// As it comes back; a cookie that we did not write says nothing.
    pub(super) fn read(text: &str) -> Option<Said> {
        let (class, rest) = text.split_once('.')?;
        let class = ["good", "warn"].into_iter().find(|known| *known == class)?;
        let sentence = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(rest).ok()?).ok()?;
        Some(Said { class, sentence: sentence.chars().take(600).collect() })
    }
}

/// What surrounds a page.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) title: String,
    pub(super) site: String,
    pub(super) account: Account,
    pub(super) csrf: String,
    pub(super) links: Vec<Link>,
    pub(super) said: Option<Said>,
    pub(super) paused: bool,
    /// May run, decide and retry.
    pub(super) operator: bool,
    /// May change everything.
    pub(super) admin: bool,
    pub(super) assets: &'static str,
}

impl Frame {
    pub(super) fn new(desk: &Desk, title: &str, nav: Nav, said: Option<Said>) -> Result<Frame> {
        let paused = desk.site().store.read(control::paused)?;
        let waiting = desk.app.counts.get(desk.site());
        let admin = desk.may(Role::Admin);
        let count = |number: u64| if number > 0 { figure(number) } else { String::new() };
        let link = |to, label, this, number| Link { to, label, here: nav == this, count: count(number) };
        let mut links = vec![
            link("/", "Home", Nav::Home, 0),
            link("/repositories", "Repositories", Nav::Repositories, 0),
            link("/attach", "Attached data", Nav::Attach, 0),
            link("/conflicts", "Conflicts", Nav::Conflicts, waiting.conflicts),
            link("/quarantine", "Quarantine", Nav::Quarantine, waiting.quarantined),
            link("/log", "Log", Nav::Log, 0),
        ];
        if admin {
            links.push(link("/users", "Users", Nav::Users, 0));
        }
        links.push(link("/settings", "Settings", Nav::Settings, 0));
        Ok(Frame {
            title: title.to_owned(),
            site: desk.site().name.clone(),
            account: desk.person.account.clone(),
            csrf: desk.person.csrf.clone(),
            links,
            said,
            paused,
            operator: desk.may(Role::Operator),
            admin,
            assets: super::assets::version(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_comes_back_and_nothing_else_does() {
        let said = Said::warning("hub is added; <b>\"ä\"</b>");
        assert_eq!(Said::read(&said.write()), Some(said));
        for other in ["", "good", "bad.YQ", "good.%%%", "good._w"] {
            assert_eq!(Said::read(other), None, "{other}");
        }
    }
}
