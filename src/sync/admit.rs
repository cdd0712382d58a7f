//! Who may come in: accounts become callers, and sites that register become repositories.

use std::net::IpAddr;

use secrecy::{ExposeSecret, SecretString};

mod gate;

pub use gate::Gate;

use crate::{
    error::{Error, Kind, Result},
    model::{
        Account, Action, ApiType, Direction, Grant, LogEntry, Outcome, PROTOCOL, Registered, Registration, Repository, Role, Session,
        SiteId, Spoken,
    },
    site::Site,
    store::{
        Conn,
        accounts::{self, Bound},
        log, repositories, site as control, tokens,
    },
};

/// A site that showed who it is.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Its entry here.
    pub repository: Repository,
    /// Its UUID.
    pub uuid: SiteId,
    /// What its account may do.
    pub grant: Grant,
}

/// The longest name of an account, in bytes: what is longer is not looked for.
const NAME: usize = 512;

/// The account of that name, if this is its password; takes a tenth of a second. [`Kind::Unauthorized`] if not, which is logged;
/// [`Kind::Limited`] after too many failures from that address.
pub fn login(site: &Site, gate: &Gate, address: IpAddr, name: &str, password: &SecretString) -> Result<Account> {
    let check = || if name.len() > NAME { Ok(None) } else { accounts::authenticate(&site.store, name, password) };
    if let Some(account) = gate.pass(&site.store, address, name, site.now(), check)? {
        return Ok(account);
    }
    let name: String = name.chars().take(128).collect();
    let message = format!("{address} gave a wrong name or password for the account {name:?}");
    let entry = LogEntry { outcome: Outcome::Error, message, ..LogEntry::new(site.now(), Action::Login, Direction::Incoming) };
    site.store.write(|conn| log::append(conn, &entry))?;
    Err(Error::new(Kind::Unauthorized, "The name or the password is wrong"))
}

/// Refuses while an administrator has stopped everything: [`Kind::Paused`].
pub fn refuse_while_paused(site: &Site) -> Result<()> {
    if site.store.read(control::paused)? {
        return Err(Error::new(Kind::Paused, "This site is paused by its administrator").after(60));
    }
    Ok(())
}

/// A token that stands for the account and the site `uuid` from now on.
pub fn session(site: &Site, account: &Account, uuid: SiteId) -> Result<Session> {
    let caller = caller(site, account, uuid)?;
    let seconds = site.config.session_seconds;
    let token = site.store.write(|conn| tokens::issue(conn, &account.name, caller.repository.id, site.now(), seconds))?;
    Ok(Session { token: token.expose_secret().to_owned(), expires: u64::from(seconds) })
}

/// Ends a session. One that is unknown has ended already.
pub fn end_session(site: &Site, token: &SecretString) -> Result<()> {
    site.store.write(|conn| tokens::revoke(conn, token))
}

/// Who shows this token. [`Kind::Unauthorized`] if it has ended or never was.
pub fn caller_by_token(site: &Site, token: &SecretString) -> Result<Caller> {
    site.store.read(|conn| {
        let bearer = tokens::find(conn, token, site.now())?.ok_or_else(|| Error::new(Kind::Unauthorized, "The session has ended"))?;
        must_be_peer(&bearer.account)?;
        let repository = repositories::by_id(conn, site.store.key(), bearer.repository)?;
        let uuid = repository.uuid.ok_or_else(|| Error::new(Kind::Unauthorized, "The session has ended"))?;
        // A person may have bound the account elsewhere since.
        if bearer.account.bound.is_some_and(|bound| bound != uuid) {
            return Err(Error::new(Kind::Unauthorized, "The session has ended"));
        }
        enabled(Caller { repository, uuid, grant: bearer.account.grant })
    })
}

/// The site `uuid`, which logged in with `account`. The account is bound to the first UUID that uses it, and a UUID that is new
/// here gets its entry. [`Kind::Forbidden`] for another UUID, an account that is not a peer's and a disabled repository.
pub fn caller(site: &Site, account: &Account, uuid: SiteId) -> Result<Caller> {
    let (caller, _) = admit(site, account, uuid, None)?;
    enabled(caller)
}

/// The site that the account is bound to, for a caller that does not say who it is.
pub fn bound(account: &Account) -> Result<SiteId> {
    account.bound.ok_or_else(|| {
        Error::forbidden("The request does not say which site calls").hint("The parameter `repository` carries the caller's UUID.")
    })
}

/// Makes a site known, or updates what is known of it. It is logged either way.
pub fn register(site: &Site, account: &Account, registration: &Registration) -> Result<Registered> {
    let done = enter(site, account, registration);
    let mut entry = LogEntry::new(site.now(), Action::Register, Direction::Incoming);
    match &done {
        Ok((caller, message)) => {
            entry.repository = Some(caller.repository.id);
            entry.repository_name = Some(caller.repository.name.clone());
            entry.message = (*message).to_owned();
        }
        Err(error) => {
            entry.outcome = Outcome::Error;
            entry.message = format!("A registration by the account {:?} was refused: {error}", account.name);
        }
    }
    site.store.write(|conn| log::append(conn, &entry))?;
    let (_, message) = done?;
    Ok(Registered {
        status: "success".to_owned(),
        statuscode: "200".to_owned(),
        message: message.to_owned(),
        sender: site.id.to_string(),
        entente: Some(Spoken { protocol: PROTOCOL }),
    })
}

fn enter(site: &Site, account: &Account, registration: &Registration) -> Result<(Caller, &'static str)> {
    if registration.uuid.trim().is_empty() {
        return Err(Error::malformed("No repository identifier specified"));
    }
    let (caller, entry) = admit(site, account, registration.uuid.trim().parse()?, Some(registration))?;
    let message = match entry {
        Entry::New => "Registration successful",
        Entry::Known => "Registration update successful",
    };
    Ok((enabled(caller)?, message))
}

/// Whether a site was known before.
enum Entry {
    New,
    Known,
}

fn admit(site: &Site, account: &Account, uuid: SiteId, told: Option<&Registration>) -> Result<(Caller, Entry)> {
    must_be_peer(account)?;
    if uuid == site.id {
        let hint =
            "Two sites must not share one identity: after cloning a machine, give the clone its own with `entente site --new-identity`.";
        return Err(Error::forbidden("The caller presents the UUID of this site itself").hint(hint));
    }
    let caller = |repository| Caller { repository, uuid, grant: account.grant.clone() };
    if told.is_none() && account.bound == Some(uuid) {
        // The usual case takes no turn among the writers.
        if let Some(known) = site.store.read(|conn| repositories::by_uuid(conn, site.store.key(), uuid))? {
            return Ok((caller(known), Entry::Known));
        }
    }
    site.store.write(|conn| {
        bind(conn, account, uuid)?;
        match repositories::by_uuid(conn, site.store.key(), uuid)? {
            Some(known) => Ok((caller(renew(site, conn, known, uuid, told)?), Entry::Known)),
            None => Ok((caller(add(site, conn, account, uuid, told)?), Entry::New)),
        }
    })
}

fn bind(conn: &mut Conn, account: &Account, uuid: SiteId) -> Result<()> {
    // Otherwise any account could take the place of a site that is known already.
    if let Some(other) = accounts::list(conn)?.into_iter().find(|other| other.bound == Some(uuid) && other.name != account.name) {
        let text = format!("The site {uuid} logs in with another account here, not with {:?}", account.name);
        tracing::warn!(account = %account.name, "{text}, but with {:?}", other.name);
        return Err(Error::forbidden(text));
    }
    match accounts::bind(conn, &account.name, uuid)? {
        Bound::Now | Bound::Already => Ok(()),
        Bound::ToAnother(_) => Err(Error::forbidden(format!("The account {:?} belongs to another site than {uuid}", account.name))),
    }
}

fn add(site: &Site, conn: &mut Conn, account: &Account, uuid: SiteId, told: Option<&Registration>) -> Result<Repository> {
    let name = free_name(site, conn, told, uuid)?;
    let (kind, offered_name) = (spoken(told).unwrap_or_default(), told.and_then(|told| told.name.clone()));
    let url = offered_url(told);
    let new = Repository { uuid: Some(uuid), url, accept_pushes: account.grant.push, kind, offered_name, ..Repository::new(&name) };
    repositories::add(conn, site.store.key(), &new)
}

/// What a person entered stays; what nobody knew is filled in.
fn renew(site: &Site, conn: &mut Conn, known: Repository, uuid: SiteId, told: Option<&Registration>) -> Result<Repository> {
    let mut renewed = known.clone();
    if known.url.is_none() {
        renewed.url = offered_url(told);
    }
    // The name that an Eden gave itself is its address, and follows it; one that a person chose stays.
    let own_name =
        known.offered_name.as_ref().is_some_and(|offered| known.name == *offered || known.name.starts_with(&format!("{offered} ")));
    if let Some(offered) = told.and_then(|told| told.name.as_ref()).filter(|name| known.offered_name.as_ref() != Some(*name)) {
        renewed.offered_name = Some(offered.clone());
    }
    let follows = own_name && spoken(told) == Some(ApiType::Eden) && renewed.offered_name != known.offered_name;
    if known.name == uuid.to_string() || follows {
        renewed.name = free_name(site, conn, told, uuid)?;
    }
    renewed.kind = spoken(told).unwrap_or(known.kind);
    if (&renewed.url, &renewed.name, &renewed.offered_name, renewed.kind) != (&known.url, &known.name, &known.offered_name, known.kind) {
        repositories::update(conn, site.store.key(), &renewed)?;
    }
    Ok(renewed)
}

/// Which protocol a site showed that it speaks by registering.
fn spoken(told: Option<&Registration>) -> Option<ApiType> {
    told.map(|told| if told.entente.is_some() { ApiType::Entente } else { ApiType::Eden })
}

/// Notes that a caller speaks Eden's protocol: it pulled or pushed as an Eden does, without having registered.
pub fn is_eden(site: &Site, mut caller: Caller) -> Result<Caller> {
    if caller.repository.kind != ApiType::Eden && caller.repository.url.is_none() {
        caller.repository.kind = ApiType::Eden;
        site.store.write(|conn| repositories::update(conn, site.store.key(), &caller.repository))?;
    }
    Ok(caller)
}

fn offered_url(told: Option<&Registration>) -> Option<String> {
    let url = told?.url.as_deref()?.trim().trim_end_matches('/');
    let offered = Repository { url: Some(url.to_owned()), ..Repository::new("offered") };
    offered.validate().is_ok().then(|| url.to_owned()).filter(|url| url.len() <= 2048 && !url.chars().any(char::is_control))
}

/// The name it gave itself or else its UUID, with a number where another repository has that name.
fn free_name(site: &Site, conn: &mut Conn, told: Option<&Registration>, uuid: SiteId) -> Result<String> {
    let given: String =
        told.and_then(|told| told.name.as_deref()).unwrap_or_default().chars().filter(|c| !c.is_control()).take(100).collect();
    let given = if given.trim().is_empty() { uuid.to_string() } else { given.trim().to_owned() };
    let others: Vec<String> =
        repositories::list(conn, site.store.key())?.into_iter().filter(|other| other.uuid != Some(uuid)).map(|other| other.name).collect();
    let mut names = std::iter::once(given.clone()).chain((2..).map(|n: u64| format!("{given} {n}")));
    Ok(names.find(|name| !others.contains(name)).unwrap_or(given))
}

fn must_be_peer(account: &Account) -> Result<()> {
    if account.role == Role::Peer {
        return Ok(());
    }
    let text = format!("The account {:?} is a person's; sites log in with accounts of the role peer", account.name);
    Err(Error::forbidden(text).hint("Add one with `entente user add NAME --role peer`."))
}

fn enabled(caller: Caller) -> Result<Caller> {
    if caller.repository.enabled {
        return Ok(caller);
    }
    Err(Error::forbidden("This repository is disabled here"))
}

#[cfg(test)]
mod tests;
