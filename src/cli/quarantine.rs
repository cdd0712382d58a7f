//! `entente quarantine`: records that could not be stored.

use clap::Args;
use entente::{
    connector::WaitingEntry,
    error::Result,
    model::Repository,
    store::{databases, repositories},
};
use serde_json::{Value, json};

use super::{
    Context, Ending,
    output::{table, warn, when},
};

/// List the records that wait: refused by the database, or for a record they refer to
#[derive(Args)]
pub(super) struct Quarantine;

impl Quarantine {
    pub(super) fn run(self, context: &Context) -> Result<Ending> {
        let site = context.site()?;
        let (databases, repositories) = site.store.read(|c| Ok((databases::list(c)?, repositories::list(c, site.store.key())?)))?;
        let mut waiting = Vec::new();
        let mut ending = Ending::Done;
        for database in databases {
            match site.door(&database.name).and_then(|mut door| door.waiting()) {
                Ok(found) => waiting.extend(found.into_iter().map(|entry| (database.name.clone(), entry))),
                Err(error) => {
                    warn(&format!("{} cannot be read: {}", database.name, error.chain()));
                    ending = Ending::Failed;
                }
            }
        }
        waiting.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.at));
        context
            .format()
            .print(|| text(&waiting, &repositories), || waiting.iter().map(|(d, entry)| document(d, entry, &repositories)).collect())?;
        Ok(ending)
    }
}

fn text(waiting: &[(String, WaitingEntry)], repositories: &[Repository]) -> String {
    if waiting.is_empty() {
        return "Nothing waits: every record that came is stored.".into();
    }
    let rows = waiting.iter().map(|(database, entry)| {
        let from = from(entry, repositories);
        [
            format!("{database}:{}", entry.id),
            when(entry.at),
            entry.resource.clone(),
            entry.uid.clone(),
            from,
            entry.kind.clone(),
            entry.reason.clone(),
        ]
    });
    let text = table(&["number", "since", "resource", "record", "from", "state", "reason"], &[], rows);
    text + "\nEach is tried again at every run, and when what it waits for arrives.\n"
}

fn from(entry: &WaitingEntry, repositories: &[Repository]) -> String {
    let known = repositories.iter().find(|repository| repository.uuid == Some(entry.site));
    known.map_or_else(|| entry.site.to_string(), |repository| repository.name.clone())
}

fn document(database: &str, entry: &WaitingEntry, repositories: &[Repository]) -> Value {
    json!({
        "database": database, "id": entry.id, "since": entry.at, "resource": entry.resource, "uid": entry.uid, "site": entry.site,
        "repository": from(entry, repositories), "state": entry.kind, "reason": entry.reason,
    })
}
