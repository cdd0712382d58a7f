//! Attaching databases: what is there, what it would become, and making it so.

use secrecy::SecretString;

use super::epoch;
use crate::{
    connector::{Progress, Survey, Table},
    error::{Error, Kind, Result},
    model::{AttachedTable, Database, SiteId, TableSpec},
    postgresql::address,
    site::Site,
    store::{attached, databases},
};

/// Whether a detached database keeps its journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Journal {
    /// It stays: attached again, the records are known.
    Keep,
    /// It goes; attached again, assigned uids are new ones.
    Drop,
}

/// The tables of a database and the identity each would get.
pub fn survey(site: &Site, url: &str) -> Result<Vec<Survey>> {
    site.connect(&Database { name: String::new(), url: url.to_owned() })?.survey()
}

/// An address with its password in it, as [`survey`] and [`attach`] take it.
pub fn with_password(url: &str, password: Option<&SecretString>) -> Result<String> {
    if !address::is_postgres(url) {
        return Ok(url.to_owned());
    }
    let (bare, written) = address::apart(url)?;
    Ok(password.or(written.as_ref()).map_or_else(|| bare.clone(), |password| address::together(&bare, password)))
}

/// Attaches tables of a database under `name`; again with the same name adds tables. All names are checked before anything is written,
/// and an interrupted attaching goes on when it is called again.
pub fn attach(site: &Site, name: &str, url: &str, specs: &[TableSpec], progress: Progress<'_>) -> Result<Vec<Table>> {
    let (bare, password) = absolute(url)?;
    let database = Database { name: name.to_owned(), url: bare };
    let known = site.store.read(|c| Ok((databases::list(c)?, attached::list(c)?)))?;
    if let Some(other) = known.0.iter().find(|other| other.name == name && other.url != database.url) {
        return Err(Error::new(Kind::Exists, format!("{name} is already the name of {}", other.url))
            .hint("Choose another name, or detach that database first."));
    }
    if let Some(other) = known.0.iter().find(|other| other.name != name && other.url == database.url) {
        return Err(Error::new(Kind::Exists, format!("this database is already attached as {}", other.name)).hint("Use that name."));
    }
    let wanted = |spec: &TableSpec| if spec.resource.is_empty() { spec.table.clone() } else { spec.resource.clone() };
    for spec in specs {
        let resource = wanted(spec);
        if let Some(other) =
            known.1.iter().find(|other| other.resource == resource && (other.database != name || other.table != spec.table))
        {
            let message = format!("the resource name {resource} is already used for table {} of {}", other.table, other.database);
            return Err(Error::new(Kind::Exists, message).hint("Give this one another: --table TABLE=RESOURCE."));
        }
    }
    let whole = password.as_ref().map_or_else(|| database.url.clone(), |password| address::together(&database.url, password));
    let mut connector = site.connect(&Database { url: whole, ..database.clone() })?;
    let fresh = connector.journal().is_err();
    connector.attach(specs, site.id, site.now(), progress)?;
    let tables = connector.tables()?;
    drop(connector);
    site.forget(name);
    site.store.write(|c| {
        databases::put(c, &database)?;
        if let Some(password) = &password {
            databases::set_password(c, site.store.key(), name, password)?;
        }
        for table in &tables {
            let entry = AttachedTable { resource: table.resource.clone(), database: name.to_owned(), table: table.name.clone() };
            if attached::of(c, &table.resource)?.as_ref() != Some(&entry) {
                attached::put(c, &entry)?;
            }
        }
        Ok(())
    })?;
    let mut door = site.door(name)?;
    // A journal that was just made is no restored one.
    if fresh {
        epoch::remember(site, &mut door)?
    } else {
        epoch::check(site, &mut door)?
    }
    Ok(tables)
}

/// Detaches a database: its triggers go, and its tables are no longer offered to anyone.
pub fn detach(site: &Site, name: &str, journal: Journal) -> Result<()> {
    let database = site.store.read(|c| databases::get(c, name))?;
    // A file that is gone needs no triggers removed.
    match site.connect(&database) {
        Ok(mut connector) => connector.detach(journal == Journal::Drop)?,
        Err(error) if error.kind() == Kind::NotFound => {
            tracing::warn!("{name} could not be opened and is only forgotten here: {}", error.chain())
        }
        Err(error) => return Err(error),
    }
    site.forget(name);
    site.store.write(|c| {
        attached::remove_database(c, name)?;
        databases::remove(c, name)
    })
}

/// Gives this site a new identity and all its journals a new life: for the clone of a machine.
pub fn new_identity(site: &Site) -> Result<SiteId> {
    let row = site.store.write(|c| crate::store::site::new_identity(c, SiteId(site.uuids().next()), site.now()))?;
    for database in site.store.read(databases::list)? {
        let mut connector = site.connect(&database)?;
        let seconds = u32::try_from(site.now().0 / 1_000_000).unwrap_or(u32::MAX);
        connector.renew(row.uuid, seconds, &site.uuids().next().simple().to_string())?;
        let journal = connector.journal()?;
        let mark = databases::JournalMark { epoch: journal.epoch, incarnation: journal.incarnation, runs: journal.runs };
        site.store.write(|c| databases::set_mark(c, &database.name, &mark))?;
    }
    Ok(row.uuid)
}

/// The URL so that it means the same from every folder, and apart from it the password.
fn absolute(url: &str) -> Result<(String, Option<SecretString>)> {
    if address::is_postgres(url) {
        return address::apart(url);
    }
    let wrong = || Error::usage(format!("{url:?} is no database URL")).hint("Write sqlite:PATH or postgres://USER@HOST/DATABASE.");
    let path = url.strip_prefix("sqlite:").ok_or_else(wrong)?;
    let path = path.strip_prefix("//").unwrap_or(path);
    let full = std::fs::canonicalize(path)
        .map_err(|e| Error::not_found(format!("there is no file {path}")).because(e).hint("Name an SQLite database that exists."))?;
    Ok((format!("sqlite:{}", full.display()), None))
}
