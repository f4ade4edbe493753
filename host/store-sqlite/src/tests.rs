//! The conformance suite on SQLite, and what only a damaged or failing file shows.

use tempfile::TempDir;

use super::*;
use promoflow_store::{CommitReply, CommitStore, Store};
use promoflow_store_conformance::{Fixture, Harness, NOW};

/// A store in a folder of its own.
struct Sqlite {
    store: SqliteStore,
    folder: Arc<TempDir>,
}

impl Harness for Sqlite {
    fn create() -> Sqlite {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let store = SqliteStore::open(&folder.path().join("store.db")).unwrap();
        Sqlite { store, folder }
    }

    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn reopen(self) -> Sqlite {
        let Sqlite { store, folder } = self;
        let path = store.path().to_owned();
        drop(store);
        let store = SqliteStore::open_existing(&path).unwrap();
        Sqlite { store, folder }
    }

    fn another(&self) -> Sqlite {
        let store = SqliteStore::open_existing(self.store.path()).unwrap();
        let folder = Arc::clone(&self.folder);
        Sqlite { store, folder }
    }
}

mod conformance {
    use super::Sqlite;

    promoflow_store_conformance::conformance_tests!(Sqlite);
}

#[test]
fn failed_unit_does_not_affect_the_others() {
    let fixture = Fixture::<Sqlite>::new();
    let store = &fixture.harness.store;
    fixture.commit(&[fixture.accept(Some("known"), None)]);
    store
        .write(|connection, _| Ok(connection.execute_batch("UPDATE event SET params = '{'")?))
        .unwrap();
    let units = ["before", "known", "after"].map(|id| fixture.accept(Some(id), None));
    let replies = store.commit(&units, &NOW).unwrap();
    assert!(
        matches!(
            replies[..],
            [
                CommitReply::Accepted { .. },
                CommitReply::Failed(_),
                CommitReply::Accepted { .. }
            ]
        ),
        "{replies:?}"
    );
    assert!(store.commit(&units[1..2], &NOW).is_err());
}
