//! A store in a folder of its own that goes away with it.

use std::ops::Deref;

use super::{Conn, Store, repositories};
use crate::model::{Repository, RepositoryId};

pub(super) struct TestStore {
    store: Store,
    pub(super) dir: tempfile::TempDir,
}

impl TestStore {
    pub(super) fn new() -> TestStore {
        let dir = tempfile::tempdir().unwrap();
        TestStore { store: Store::open(dir.path()).unwrap(), dir }
    }

    /// A repository of that name, with nothing else to it.
    pub(super) fn repository(&self, name: &str) -> RepositoryId {
        self.write(|c| self.add_repository(c, name)).unwrap()
    }

    pub(super) fn add_repository(&self, conn: &mut Conn, name: &str) -> crate::error::Result<RepositoryId> {
        Ok(repositories::add(conn, self.key(), &Repository::new(name))?.id)
    }
}

impl Deref for TestStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}
