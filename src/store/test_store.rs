//! A store of its own for a test, of each kind there is; it goes away with the test.

use std::ops::Deref;

use super::{Conn, Keys, Store, repositories};
use crate::{
    error::Result,
    model::{Repository, RepositoryId},
    postgresql::{Address, server::TestDatabase},
};

/// What may be behind a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behind {
    File,
    Server,
}

/// Makes another store of the same kind.
pub(super) type Make<'m> = &'m dyn Fn() -> TestStore;

pub(super) struct TestStore {
    pub(super) store: Store,
    pub(super) dir: tempfile::TempDir,
    /// Last, so that nobody uses it any more when it goes.
    pub(super) server: Option<TestDatabase>,
}

impl TestStore {
    /// Lets a test live through it with each kind of store.
    pub(super) fn each(test: impl Fn(Make<'_>)) {
        for behind in [Behind::File, Behind::Server] {
            println!("with a store in a {behind:?}");
            test(&|| TestStore::new(behind));
        }
    }

    /// One in a file.
    pub(super) fn in_a_file() -> TestStore {
        TestStore::new(Behind::File)
    }

    /// One on a server.
    pub(super) fn on_a_server() -> TestStore {
        TestStore::new(Behind::Server)
    }

    fn new(behind: Behind) -> TestStore {
        let dir = tempfile::tempdir().unwrap();
        let server = (behind == Behind::Server).then(TestDatabase::new);
        let address = server.as_ref().map(|server| Address::parse(&server.url()).unwrap());
        TestStore { store: Store::open_at(dir.path(), address.as_ref(), Keys::Known).unwrap(), dir, server }
    }

    /// The same store, opened once more as another process would.
    pub(super) fn again(&self) -> Result<Store> {
        Store::open_at(self.dir.path(), self.database(), Keys::Known)
    }

    /// A repository of that name, with nothing else to it.
    pub(super) fn repository(&self, name: &str) -> RepositoryId {
        self.write(|c| self.add_repository(c, name)).unwrap()
    }

    pub(super) fn add_repository(&self, conn: &mut Conn, name: &str) -> Result<RepositoryId> {
        Ok(repositories::add(conn, self.key(), &Repository::new(name))?.id)
    }
}

impl Deref for TestStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}
