//! The users' databases that are attached here, and what is remembered of their journals outside of them.

use diesel::prelude::*;
use secrecy::SecretString;

use super::{
    Conn,
    schema::{database, journal_mark},
    secret::Key,
    stored,
};
use crate::{
    error::{Error, Result},
    model::Database,
};

/// How far the journal in a database had come when it was last seen. A journal that differs from it was restored or replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalMark {
    /// The journal's epoch.
    pub epoch: String,
    /// The incarnation it wrote under.
    pub incarnation: u32,
    /// How many runs it had begun.
    pub runs: u64,
}

/// All databases, by name.
pub fn list(conn: &mut Conn) -> Result<Vec<Database>> {
    let rows = database::table.order(database::name).select((database::name, database::url)).load::<(String, String)>(conn)?;
    Ok(rows.into_iter().map(|(name, url)| Database { name, url }).collect())
}

/// The database of that name. The error for an unknown one names those there are.
pub fn get(conn: &mut Conn, name: &str) -> Result<Database> {
    let found = database::table.find(name).select((database::name, database::url)).first::<(String, String)>(conn).optional()?;
    found.map_or_else(|| Err(unknown(conn, name)), |(name, url)| Ok(Database { name, url }))
}

fn unknown(conn: &mut Conn, name: &str) -> Error {
    match database::table.select(database::name).order(database::name).load::<String>(conn) {
        Err(error) => error.into(),
        Ok(names) if names.is_empty() => {
            Error::not_found(format!("There is no database {name:?}; none is attached")).hint("Attach one with `entente attach`.")
        }
        Ok(names) => Error::not_found(format!("There is no database {name:?}; attached are {}", stored::listed(&names))),
    }
}

/// Adds a database, or gives the one of that name its new URL.
pub fn put(conn: &mut Conn, new: &Database) -> Result<()> {
    let changed = diesel::update(database::table.find(&new.name)).set(database::url.eq(&new.url)).execute(conn)?;
    if changed == 0 {
        diesel::insert_into(database::table).values((database::name.eq(&new.name), database::url.eq(&new.url))).execute(conn)?;
    }
    Ok(())
}

/// The password for a database, where it has one that opens.
pub fn password(conn: &mut Conn, key: &Key, name: &str) -> Result<Option<SecretString>> {
    let sealed: Option<Option<Vec<u8>>> = database::table.find(name).select(database::password).first(conn).optional()?;
    Ok(sealed.flatten().and_then(|sealed| key.unseal(&sealed, &purpose(name))))
}

/// Keeps the password for a database, sealed.
pub fn set_password(conn: &mut Conn, key: &Key, name: &str, password: &SecretString) -> Result<()> {
    let sealed = key.seal(password, &purpose(name))?;
    diesel::update(database::table.find(name)).set(database::password.eq(sealed)).execute(conn)?;
    Ok(())
}

fn purpose(name: &str) -> String {
    format!("password of the database {name}")
}

/// Removes a database and what is attached of it. Its mark stays, so that the same name, attached again, goes on counting.
pub fn remove(conn: &mut Conn, name: &str) -> Result<()> {
    if diesel::delete(database::table.find(name)).execute(conn)? == 0 {
        return Err(unknown(conn, name));
    }
    Ok(())
}

/// How far the journal in the database of that name had come; `None` if it was never seen.
pub fn mark(conn: &mut Conn, name: &str) -> Result<Option<JournalMark>> {
    let columns = (journal_mark::epoch, journal_mark::incarnation, journal_mark::runs);
    let row = journal_mark::table.find(name).select(columns).first::<(String, i64, i64)>(conn).optional()?;
    Ok(row.map(|(epoch, incarnation, runs)| JournalMark { epoch, incarnation: stored::count(incarnation), runs: stored::count(runs) }))
}

/// Remembers how far the journal in the database of that name has come.
pub fn set_mark(conn: &mut Conn, name: &str, mark: &JournalMark) -> Result<()> {
    let values = (
        journal_mark::epoch.eq(&mark.epoch),
        journal_mark::incarnation.eq(i64::from(mark.incarnation)),
        journal_mark::runs.eq(stored::number(mark.runs)),
    );
    if diesel::update(journal_mark::table.find(name)).set(values).execute(conn)? == 0 {
        diesel::insert_into(journal_mark::table).values((journal_mark::database.eq(name), values)).execute(conn)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::Kind, store::test_store::TestStore};

    fn database(name: &str, url: &str) -> Database {
        Database { name: name.into(), url: url.into() }
    }

    #[test]
    fn a_database_is_put_changed_and_removed_by_name() {
        TestStore::each(|new| {
            let store = new();
            assert!(store.read(|c| get(c, "app")).unwrap_err().to_string().contains("none is attached"));
            store
                .write(|c| {
                    put(c, &database("b", "sqlite:b"))?;
                    put(c, &database("a", "sqlite:a"))?;
                    put(c, &database("b", "sqlite:c"))
                })
                .unwrap();
            assert_eq!(store.read(list).unwrap(), [database("a", "sqlite:a"), database("b", "sqlite:c")]);
            let error = store.read(|c| get(c, "app")).unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (Kind::NotFound, "There is no database \"app\"; attached are a, b"));
            store.write(|c| remove(c, "b")).unwrap();
            assert_eq!(store.read(list).unwrap().len(), 1);
            assert_eq!(store.write(|c| remove(c, "b")).unwrap_err().kind(), Kind::NotFound);
        });
    }

    #[test]
    fn a_password_is_kept_sealed_and_goes_with_its_database() {
        TestStore::each(|new| {
            use secrecy::ExposeSecret;
            let store = new();
            let kept = || store.read(|c| password(c, store.key(), "a")).unwrap().map(|secret| secret.expose_secret().to_owned());
            store
                .write(|c| {
                    put(c, &database("a", "postgres://me@h/a"))?;
                    set_password(c, store.key(), "a", &SecretString::from("tops3cret"))?;
                    put(c, &database("a", "postgres://me@h/b"))
                })
                .unwrap();
            assert_eq!(kept().as_deref(), Some("tops3cret"));
            let stored: Vec<u8> =
                store.read(|c| Ok(database::table.select(database::password).first::<Option<Vec<u8>>>(c)?)).unwrap().unwrap();
            assert!(!stored.windows(9).any(|part| part == b"tops3cret"));
            store.write(|c| remove(c, "a")).unwrap();
            store.write(|c| put(c, &database("a", "x"))).unwrap();
            assert_eq!(kept(), None);
        });
    }

    #[test]
    fn a_mark_outlives_its_database() {
        TestStore::each(|new| {
            let store = new();
            let mut seen = JournalMark { epoch: "e".into(), incarnation: 1, runs: 7 };
            store
                .write(|c| {
                    put(c, &database("a", "sqlite:a"))?;
                    set_mark(c, "a", &seen)
                })
                .unwrap();
            seen.runs = u64::MAX / 4;
            store
                .write(|c| {
                    set_mark(c, "a", &seen)?;
                    remove(c, "a")
                })
                .unwrap();
            assert_eq!(store.read(|c| mark(c, "a")).unwrap(), Some(seen));
            assert_eq!(store.read(|c| mark(c, "b")).unwrap(), None);
        });
    }
}
