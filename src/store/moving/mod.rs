//! The whole store to another database: every row of every table, or nothing.
//!
//! Both places are held alone meanwhile. The target begins marked as unfinished; the source is marked as moved; the mark of the target goes. So at every
//! moment at most one of them can be used, and whoever was interrupted does the same again.

mod rows;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use super::{
    Conn, Keys, Store,
    conn::{Use, begin, complete},
    key_check, log, open, pg,
    pool::Place,
    site, sqlite,
};
use crate::{
    error::{Error, Kind, Result},
    model::{Action, Direction, LogEntry, Time},
    postgresql::Address,
};

/// What a place is marked with that does not hold all of a store yet.
const UNFINISHED: &str = "another place, and has not arrived here yet: run `entente move-store` again where it came from";

/// How far a move is: what is copied, how many rows are done, of how many.
pub type Progress<'p> = &'p mut dyn FnMut(&str, u64, u64);

/// A store on its way: from one place to another.
pub struct Move<'m> {
    /// The data directory: one of the places, and where the key is.
    pub dir: &'m Path,
    /// Where the store is; `None` = in the data directory.
    pub from: Option<&'m Address>,
    /// Where it is to be.
    pub to: Option<&'m Address>,
}

/// One of the two places, held alone.
struct Held {
    conn: Conn,
    name: String,
    _alone: Option<File>,
}

impl Move<'_> {
    /// Moves the store, and returns how many rows it has. Afterwards the old place refuses to be used. [`Kind::Busy`] if somebody has one of the
    /// places open; [`Kind::Exists`] if there is a store at the target that is in use or another site's. Done again after it was interrupted,
    /// it comes to its end.
    pub fn run(&self, now: Time, progress: Progress<'_>) -> Result<u64> {
        if self.from.map(Address::url) == self.to.map(Address::url) {
            return Err(Error::usage("The control store is there already"));
        }
        let dir = open::folder(self.dir)?;
        if Store::peek(&dir, self.from)?.is_none() {
            return Err(Error::not_found("There is no control store that could be moved").hint("`entente init` makes one."));
        }
        let mut from = hold(&dir, self.from)?;
        let mut to = hold(&dir, self.to)?;
        let moved = transfer(&mut from, &mut to, &dir, now, progress)?;
        begin(&mut to.conn, Use::Write)?;
        complete(&mut to.conn, Use::Write, |to| site::set_moved_to(to, None))?;
        Ok(moved)
    }
}

fn hold(dir: &Path, database: Option<&Address>) -> Result<Held> {
    match database {
        None => {
            let alone = sqlite::alone(dir)?;
            let mut conn = Place::File(sqlite::file(dir)?).connect(Use::Write)?;
            if let Conn::Sqlite(conn) = &mut conn {
                sqlite::write_ahead(conn)?;
            }
            Ok(Held { conn, name: shown(dir.to_owned()), _alone: Some(alone) })
        }
        Some(address) => {
            let conn = Conn::Postgres(pg::connect(address, Use::Write, pg::Presence::Alone)?);
            Ok(Held { conn, name: address.to_string(), _alone: None })
        }
    }
}

fn shown(dir: PathBuf) -> String {
    format!("the data directory {}", dir.display())
}

/// All rows to the target, and the mark that they went there to the source. The target is committed first.
fn transfer(from: &mut Held, to: &mut Held, dir: &Path, now: Time, progress: Progress<'_>) -> Result<u64> {
    begin(&mut from.conn, Use::Write)?;
    complete(&mut from.conn, Use::Write, |source| {
        open::migrate(source)?;
        key_check::key(source, dir, Keys::Known)?;
        let went = site::moved_to(source)?;
        if went.as_ref().is_some_and(|went| *went != to.name) {
            return site::refuse_moved(source).map(|()| 0);
        }
        begin(&mut to.conn, Use::Write)?;
        let moved = complete(&mut to.conn, Use::Write, |target| {
            open::make_schema(target)?;
            open::migrate(target)?;
            let ours = refuse_others(source, target)?;
            match went {
                // It was interrupted after all had arrived.
                Some(_) if ours => rows::count(target),
                Some(_) => site::refuse_moved(source).map(|()| 0),
                None => {
                    let moved = rows::copy(source, target, progress)?;
                    let message = format!("The control store was moved from {} to {}", from.name, to.name);
                    log::append(target, &LogEntry { message, ..LogEntry::new(now, Action::Change, Direction::None) })?;
                    site::set_moved_to(target, Some(UNFINISHED))?;
                    Ok(moved)
                }
            }
        })?;
        site::set_moved_to(source, Some(&to.name))?;
        Ok(moved)
    })
}

/// Refuses a target where something is in use; whether it holds this site, moved away or not arrived.
fn refuse_others(source: &mut Conn, target: &mut Conn) -> Result<bool> {
    let (Some(ours), theirs) = (site::find(source)?, site::find(target)?) else { return Ok(false) };
    let Some(theirs) = theirs else { return Ok(false) };
    let wrong = |what: &str| Error::new(Kind::Exists, format!("The target holds {what}")).hint("Choose an empty database.");
    if theirs.uuid != ours.uuid {
        return Err(wrong(&format!("the control store of another site, {} ({})", theirs.name, theirs.uuid)));
    }
    if site::moved_to(target)?.is_none() && site::moved_to(source)?.is_none() {
        return Err(wrong("a control store of this site that is in use, too"));
    }
    Ok(true)
}
