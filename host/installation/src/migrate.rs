//! Moving an installation to another database.

use promoflow_model::database::{Database, Engine};
use promoflow_store::PromiseReport;
use promoflow_store::transfer::{self, Fill, Moved, Source};
use promoflow_store_sqlite::transfer as sqlite;

#[cfg(feature = "postgres")]
use promoflow_store_postgres::transfer as postgres;

use super::{Error, Promoflow, Result};

/// The result of moving an installation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Migrated {
    /// True if the installation has moved; false if a promise is broken, and nothing has changed.
    pub done: bool,
    /// The number of rows of each table.
    pub rows: Vec<Moved>,
    /// The result of the audit of the moved rows.
    pub audited: Vec<PromiseReport>,
}

impl Promoflow {
    /// Moves the installation in the database `from` to a new one, `to`: a SQLite file that does not
    /// exist, or an empty PostgreSQL database. The promises are checked in the new database, which
    /// gets everything or stays as it was. Then the old one is closed for good, so that no code is
    /// used in both.
    ///
    /// No process may run on `from`. If this is interrupted, do it again, after deleting the new
    /// database if it is complete already.
    pub fn migrate(from: impl Into<Database>, to: impl Into<Database>) -> Result<Migrated> {
        let (from, to) = (from.into(), to.into());
        let source = open_source(&from)?;
        let mut rows = Vec::new();
        let audited = create(&to, &mut |target| {
            rows = transfer::copy(&*source, target)?;
            Ok(())
        })?;
        let done = audited.iter().all(|one| one.holds);
        if done {
            source.close(&to.to_string())?;
        }
        Ok(Migrated {
            done,
            rows,
            audited,
        })
    }
}

fn open_source(from: &Database) -> Result<Box<dyn Source>> {
    match from.engine().map_err(Error::invalid)? {
        Engine::Sqlite(file) => Ok(sqlite::source(file)?),
        #[cfg(feature = "postgres")]
        Engine::Postgres(address) => Ok(postgres::source(address)?),
        #[cfg(not(feature = "postgres"))]
        Engine::Postgres(_) => Err(no_engine()),
    }
}

fn create(to: &Database, fill: &mut Fill<'_>) -> Result<Vec<PromiseReport>> {
    match to.engine().map_err(Error::invalid)? {
        Engine::Sqlite(file) => Ok(sqlite::create(file, fill)?),
        #[cfg(feature = "postgres")]
        Engine::Postgres(address) => Ok(postgres::create(address, fill)?),
        #[cfg(not(feature = "postgres"))]
        Engine::Postgres(_) => Err(no_engine()),
    }
}

#[cfg(not(feature = "postgres"))]
fn no_engine() -> Error {
    Error::invalid(
        "this build of promoflow has no engine for PostgreSQL: add the feature `postgres`",
    )
}
