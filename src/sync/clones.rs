//! Two machines in the name of one site: noticed by the lives of its journal, and refused until one of them is another site.

use super::epoch;
use crate::{
    connector::{Part, Table},
    error::{Error, Kind, Result},
    model::{Account, Action, Back, Direction, LogEntry, Outcome, Repository, Role, SiteId},
    site::{Door, Site},
    store::{clones, databases, log},
};

/// Refuses to go on with a site in whose name two machines come: [`Kind::Exists`].
pub(super) fn refuse(site: &Site, uuid: SiteId, name: &str) -> Result<()> {
    site.store.read(|c| clones::since(c, uuid))?.map_or(Ok(()), |_| Err(two(name)))
}

/// Judges a peer whose journal shows an earlier life or number than we heard last. `told` is the number that we told it when it was asked:
/// the word of a stale run counts for nothing.
pub(super) fn judge(site: &Site, repository: &Repository, door: &mut Door<'_>, table: &Table, seen: &Seen<'_>) -> Result<Back> {
    let mut tx = door.begin()?;
    let mut share = tx.share(table, seen.peer, seen.part)?;
    if seen.told.is_some_and(|told| told != share.told) {
        return Err(Error::new(Kind::Fence, format!("a newer run with {} has begun", repository.name)));
    }
    let back = share.lives.back(seen.life, seen.number);
    if back == Back::Cloned {
        drop(tx);
        return Err(note(site, repository, seen)?);
    }
    tx.set_share(table, seen.peer, seen.part, &share)?;
    tx.commit()?;
    Ok(back)
}

/// What a peer showed.
pub(super) struct Seen<'a> {
    /// The peer.
    pub(super) peer: SiteId,
    /// Who called whom.
    pub(super) part: Part,
    /// The life of its journal.
    pub(super) life: &'a str,
    /// The last number that it told us, as it remembers.
    pub(super) number: u64,
    /// The number of our run, where it is ours.
    pub(super) told: Option<u64>,
}

fn note(site: &Site, repository: &Repository, seen: &Seen<'_>) -> Result<Error> {
    let error = two(&repository.name);
    let (action, direction) = match seen.part {
        Part::Active => (Action::Run, Direction::Outgoing),
        Part::Passive => (Action::Pull, Direction::Incoming),
    };
    let mut entry = LogEntry::new(site.now(), action, direction);
    entry.repository = Some(repository.id);
    entry.repository_name = Some(repository.name.clone());
    entry.outcome = Outcome::Error;
    entry.remote = true;
    entry.message = error.chain();
    site.store.write(|c| if clones::note(c, seen.peer, entry.time)? { log::append(c, &entry).map(|_| ()) } else { Ok(()) })?;
    tracing::warn!(repository = repository.id, "{}", entry.message);
    Ok(error)
}

// What to do stands in the sentence: only that goes to the other side.
fn two(name: &str) -> Error {
    let text = format!("two machines present themselves as {name}; give one of them a new identity: entente site --new-identity");
    Error::new(Kind::Exists, text).hint(format!(
        "Where only one is left by now, let it come again at the site that refuses it: entente repository set {name} --enabled yes"
    ))
}

/// Lets a site come again: only one machine does in its name from now on. What its journals told before is forgotten.
pub fn settle(site: &Site, uuid: SiteId) -> Result<()> {
    for database in site.store.read(databases::list)? {
        if let Err(error) = forget(site, &database.name, uuid) {
            tracing::warn!(database = database.name, "What {uuid} told before could not be forgotten: {}", error.chain());
        }
    }
    site.store.write(|c| clones::settle(c, uuid)).map(|_| ())
}

fn forget(site: &Site, database: &str, uuid: SiteId) -> Result<()> {
    let mut door = site.door(database)?;
    epoch::check(site, &mut door)?;
    let tables = door.tables()?;
    let mut tx = door.begin()?;
    for table in &tables {
        for part in [Part::Active, Part::Passive] {
            let mut share = tx.share(table, uuid, part)?;
            if share.lives != Default::default() {
                share.lives = Default::default();
                tx.set_share(table, uuid, part, &share)?;
            }
        }
    }
    tx.commit()
}

/// The site `uuid` says that it was `former` before: of two machines with that name only one is left. It is taken at its word where it shows the
/// account of either, and once.
pub fn moved(site: &Site, account: &Account, uuid: SiteId, former: SiteId) -> Result<()> {
    if account.role != Role::Peer || uuid == former {
        return Ok(());
    }
    match account.bound {
        Some(bound) if bound == former => match site.store.read(|c| clones::since(c, former))? {
            Some(_) => settle(site, former),
            None => Ok(()),
        },
        Some(bound) if bound != uuid => Ok(()),
        _ if site.store.read(|c| clones::has_moved(c, uuid))? => Ok(()),
        _ => {
            settle(site, former)?;
            site.store.write(|c| clones::moved(c, uuid, former)).map(|_| ())
        }
    }
}
