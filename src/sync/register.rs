//! Making peers known: here by an administrator, there by registering us.

use super::{
    clones,
    pending::{self, Meeting},
};
use crate::{
    error::{Error, Kind, Result},
    model::{Action, ApiType, Direction, Hello, Limits, LogEntry, Outcome, PROTOCOL, Registration, Repository, SiteId, Spoken},
    peer::{Contact, Eden, Peer},
    site::Site,
    store::{log, repositories},
};

/// A repository that was added or changed, and what went wrong at the other side.
#[derive(Debug)]
pub struct Added {
    /// The repository as it is stored now.
    pub repository: Repository,
    /// Why we are not registered there, and what to do by hand.
    pub warning: Option<String>,
}

/// Stores a new repository and registers this site there. It stays stored where that fails, with a warning; a log entry tells either way.
pub fn add(site: &Site, new: &Repository) -> Result<Added> {
    new.validate()?;
    let stored = site.store.write(|c| repositories::add(c, site.store.key(), new))?;
    register(site, stored)
}

/// Stores a changed repository and registers this site there again.
pub fn change(site: &Site, changed: &Repository) -> Result<Added> {
    changed.validate()?;
    site.store.write(|c| repositories::update(c, site.store.key(), changed))?;
    register(site, changed.clone())
}

/// What a person said of a repository that is changed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Said {
    /// How it is reached: it is registered there again.
    pub reached: bool,
    /// That it is enabled: a site in whose name two machines came may come again.
    pub enabled: bool,
}

/// Stores a repository as a person changed it.
pub fn set(site: &Site, changed: Repository, said: Said) -> Result<Added> {
    if let (true, true, Some(uuid)) = (said.enabled, changed.enabled, changed.uuid) {
        clones::settle(site, uuid)?;
    }
    if said.reached && changed.enabled {
        return change(site, &changed);
    }
    site.store.write(|c| repositories::update(c, site.store.key(), &changed))?;
    Ok(Added { repository: changed, warning: None })
}

/// Says hello: who is there, what it grants us, how its clock stands. What it offers and what waits there is kept.
pub fn test(site: &Site, repository: &Repository) -> Result<Contact> {
    if repository.kind == ApiType::Eden {
        return test_eden(site, repository);
    }
    let greeting = pending::greeting(site, repository);
    let contact = site.peer(repository)?.greet(&greeting)?;
    same_site(repository, contact.hello.uuid)?;
    let met = Meeting::of(&contact, &greeting);
    site.store.write(|c| met.keep(c, repository.id, site.now()))?;
    Ok(contact)
}

/// An Eden has no word of greeting: what is known of it, once it took our account.
fn test_eden(site: &Site, repository: &Repository) -> Result<Contact> {
    site.eden(repository)?.test()?;
    let uuid = repository.uuid.ok_or_else(|| Error::forbidden(format!("{} is not registered yet", repository.name)))?;
    let hello = Hello {
        uuid,
        name: repository.offered_name.clone().unwrap_or_else(|| repository.name.clone()),
        version: "Sahana Eden".into(),
        protocol: 0,
        time: site.now(),
        features: Vec::new(),
        limits: Limits::default(),
        paused: false,
        resources: Vec::new(),
        unavailable: Vec::new(),
    };
    Ok(Contact { hello, skew: 0 })
}

/// Refuses an address at which another site answers than the one that is known.
pub(super) fn same_site(repository: &Repository, answers: SiteId) -> Result<()> {
    match repository.uuid {
        Some(known) if known != answers => {
            Err(Error::forbidden(format!("at the address of {} another site answers, {answers}", repository.name))
                .hint("If that site was installed anew, remove the repository and add it again."))
        }
        _ => Ok(()),
    }
}

fn register(site: &Site, mut repository: Repository) -> Result<Added> {
    if repository.url.is_none() {
        return Ok(Added { repository, warning: None });
    }
    let begun = site.now();
    let result = try_register(site, &mut repository);
    let mut entry = LogEntry::new(begun, Action::Register, Direction::Outgoing);
    entry.duration = (site.now().0 - begun.0) / 1_000;
    entry.repository = Some(repository.id);
    entry.repository_name = Some(repository.name.clone());
    let warning = match result {
        Ok(uuid) => {
            entry.message = format!("Registered at {}", repository.name);
            repository.uuid = Some(uuid);
            None
        }
        Err(error) => {
            entry.outcome = Outcome::Warning;
            entry.remote = !matches!(error.kind(), Kind::Usage | Kind::NotFound);
            entry.message = format!("Not registered at {}: {}", repository.name, error.chain());
            Some(format!(
                "{}. Nothing is lost: {} is stored here. To register by hand, let an administrator there add this site's UUID, {}, as a repository, \
                 and give its UUID here: entente repository set {} --uuid URN",
                error.chain(),
                repository.name,
                site.id,
                repository.name
            ))
        }
    };
    site.store.write(|c| {
        repositories::update(c, site.store.key(), &repository)?;
        log::append(c, &entry).map(|_| ())
    })?;
    Ok(Added { repository, warning })
}

fn try_register(site: &Site, repository: &mut Repository) -> Result<SiteId> {
    let uuid = match repository.kind {
        ApiType::Eden => at_eden(site, repository)?,
        ApiType::Entente => at_any(site, repository)?,
    };
    same_site(repository, uuid)?;
    if uuid == site.id {
        return Err(Error::usage("that address is this site's own"));
    }
    Ok(uuid)
}

fn at_eden(site: &Site, repository: &Repository) -> Result<SiteId> {
    let own = site.config.url.as_deref().map(|url| url.split_once("://").map_or(url, |(_, rest)| rest));
    site.eden(repository)?.register(own.unwrap_or(&site.name))
}

/// Registers where the other site may be of our kind or an Eden: its answer tells.
fn at_any(site: &Site, repository: &mut Repository) -> Result<SiteId> {
    let registration = Registration {
        uuid: site.id.to_string(),
        name: Some(site.name.clone()),
        apitype: Some("eden".into()),
        url: site.config.url.clone(),
        entente: Some(Spoken { protocol: PROTOCOL }),
    };
    let answer = match site.peer(repository)?.register(&registration) {
        // An Eden of before 2016 knows another way.
        Err(error) if Eden::has_no_door(&error) => {
            let Ok(uuid) = at_eden(site, repository) else { return Err(error) };
            repository.kind = ApiType::Eden;
            return Ok(uuid);
        }
        answer => answer?,
    };
    if answer.status != "success" {
        return Err(Error::forbidden(format!("the other site refused: {}", answer.message)));
    }
    repository.kind = if answer.entente.is_some() { ApiType::Entente } else { ApiType::Eden };
    answer.sender.parse()
}
