//! The conformance suite on PostgreSQL, and what only several hosts show.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use promoflow_store::Store;
use promoflow_store_conformance::Harness;
use promoflow_test_postgres::TestDatabase;

use super::PostgresStore;

/// A store in a database of its own.
pub(crate) struct Postgres {
    pub(crate) store: PostgresStore,
    pub(crate) database: Arc<TestDatabase>,
}

impl Harness for Postgres {
    const DIVIDES_WORK: bool = true;
    const BACKUP_TOOL: Option<&'static str> = Some("pg_dump");

    fn create() -> Postgres {
        let database = Arc::new(promoflow_test_postgres::database());
        let store = PostgresStore::open(database.address()).unwrap();
        Postgres { store, database }
    }

    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn reopen(self) -> Postgres {
        let Postgres { store, database } = self;
        drop(store);
        let store = PostgresStore::open_existing(database.address()).unwrap();
        Postgres { store, database }
    }

    fn another(&self) -> Postgres {
        let store = PostgresStore::open_existing(self.database.address()).unwrap();
        let database = Arc::clone(&self.database);
        Postgres { store, database }
    }
}

mod audit;

mod conformance {
    use super::Postgres;

    promoflow_store_conformance::conformance_tests!(Postgres);
}

mod several_hosts;
