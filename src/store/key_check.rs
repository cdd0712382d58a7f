//! Whether the key file in a data directory is the one that this store's secrets were sealed with.

use std::path::Path;

use diesel::prelude::*;
use secrecy::{ExposeSecret, SecretString};

use super::{Conn, Keys, schema::key_check, secret::Key};
use crate::error::{Error, Kind, Result};

const ROW: i64 = 1;
const PURPOSE: &str = "to know the key again";
const WORD: &str = "entente";

/// The key in the data directory, where it is there and is this store's.
pub(super) fn known(conn: &mut Conn, dir: &Path) -> Result<Option<Key>> {
    let (key, sealed) = (Key::find(dir)?, sealed(conn)?);
    Ok(key.filter(|key| sealed.is_some_and(|sealed| opens(key, &sealed))))
}

/// The key in the data directory. Where there is none it is made: for a new store, for one that only this machine has, or
/// where [`Keys::Renewed`] asks for it. The caller sees to it that nobody does the same at this moment.
pub(super) fn key(conn: &mut Conn, dir: &Path, keys: Keys) -> Result<Key> {
    let (found, sealed) = (Key::find(dir)?, sealed(conn)?);
    let renewed = keys == Keys::Renewed;
    let key = match found {
        Some(key) => {
            if !renewed && sealed.as_ref().is_some_and(|sealed| !opens(&key, sealed)) {
                return Err(another(dir));
            }
            key
        }
        None if sealed.is_some() && matches!(conn, Conn::Postgres(_)) && !renewed => return Err(missing(dir)),
        None => {
            if sealed.is_some() {
                tracing::warn!("The key file is gone; a new one was made. The passwords of repositories have to be set again.");
            }
            Key::make(dir)?
        }
    };
    if !sealed.is_some_and(|sealed| opens(&key, &sealed)) {
        diesel::delete(key_check::table).execute(conn)?;
        let values = (key_check::id.eq(ROW), key_check::sealed.eq(key.seal(&SecretString::from(WORD), PURPOSE)?));
        diesel::insert_into(key_check::table).values(values).execute(conn)?;
    }
    Ok(key)
}

fn sealed(conn: &mut Conn) -> Result<Option<Vec<u8>>> {
    Ok(key_check::table.select(key_check::sealed).first(conn).optional()?)
}

fn opens(key: &Key, sealed: &[u8]) -> bool {
    key.unseal(sealed, PURPOSE).is_some_and(|word| word.expose_secret() == WORD)
}

fn another(dir: &Path) -> Error {
    Error::new(Kind::Forbidden, format!("The key file in {} is not the one that this control store was sealed with", dir.display())).hint(
        "Copy the file `key` from the data directory of a machine where it works, or from a backup. If it is lost for good: `entente init --name NAME \
         --new-key`, then set the passwords of repositories again.",
    )
}

fn missing(dir: &Path) -> Error {
    Error::new(Kind::Forbidden, format!("The control store is in use with a key file that is not in {}", dir.display())).hint(
        "All machines on one store have the same key: copy the file `key` from the data directory of another one. If it is lost for good: `entente \
         init --name NAME --new-key`, then set the passwords of repositories again.",
    )
}
