//! The schema and its migrations, from the first release on.
//!
//! An empty database goes through all migrations, an older one through those that it lacks, in one
//! transaction, so both end up the same. A released migration is never edited; changes go into a
//! new one.

use promoflow_store::StoreError;

use crate::connection::{Connection, params};
use crate::errors::{Error, Result, damaged};

/// The migrations, each from one schema version to the next.
const MIGRATIONS: &[&str] = &[include_str!("01-initial.sql")];

/// The schema version of this release: the number of migrations.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a handful"
)]
pub(crate) const SCHEMA_VERSION: i32 = MIGRATIONS.len() as i32;

/// The schema version of a database whose installation has moved to another one. No release knows it.
const MOVED: i32 = -1;

/// Creates the tables in an empty database, in the transaction of a connection.
pub(crate) fn create(connection: &Connection) -> Result<()> {
    match version(connection)? {
        None => migrate(connection, true),
        Some(_) => Err(StoreError::Open(
            "the database already contains an installation; create another one".into(),
        )
        .into()),
    }
}

/// Commits the transaction of a connection, and closes the database for good: its installation has
/// moved to `to`.
pub(crate) fn close(connection: &Connection, to: &str) -> Result<()> {
    connection.query(
        "INSERT INTO setting (name, value) VALUES ('moved-to', $1)",
        params![to],
    )?;
    connection.run_script(&format!(
        "UPDATE setting SET value = '{MOVED}' WHERE name = 'schema-version'; COMMIT"
    ))
}

/// Returns the error for a database whose installation has moved, if this is its version.
pub(crate) fn check_moved(version: i32, moved_to: impl FnOnce() -> Result<String>) -> Result<()> {
    if version != MOVED {
        return Ok(());
    }
    let to = moved_to()?;
    Err(StoreError::Open(format!(
        "the installation has moved to {to}; name that database with --db or PROMOFLOW_DB"
    ))
    .into())
}

/// Creates the tables in an empty database, if asked to, and migrates an older one. Rejects
/// databases of other programs and of later releases.
pub(crate) fn prepare(connection: &Connection, create: bool) -> Result<()> {
    if version(connection)? == Some(SCHEMA_VERSION) {
        return Ok(());
    }
    connection.run_script("BEGIN")?;
    let migrated = migrate(connection, create);
    let ended = connection.run_script(match migrated {
        Ok(()) => "COMMIT",
        Err(_) => "ROLLBACK",
    });
    match migrated {
        // Another process may have done the same at the same time, and was faster.
        Err(Error::Store(StoreError::Engine(_)))
            if version(connection)? == Some(SCHEMA_VERSION) =>
        {
            Ok(())
        }
        Err(error) => Err(error),
        Ok(()) => match ended {
            Ok(()) => Ok(()),
            Err(_) if version(connection)? == Some(SCHEMA_VERSION) => Ok(()),
            Err(error) => Err(error),
        },
    }
}

fn migrate(connection: &Connection, create: bool) -> Result<()> {
    let known = match version(connection)? {
        Some(version) => {
            check_moved(version, || {
                let answer =
                    connection.query("SELECT value FROM setting WHERE name = 'moved-to'", &[])?;
                let row = answer.rows.into_iter().next();
                row.map_or(Ok(String::new()), |row| row.get(0))
            })?;
            version
        }
        None => {
            let tables = connection.query(
                "SELECT 1 FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p')
                     AND relnamespace = current_schema()::regnamespace LIMIT 1",
                &[],
            )?;
            if !tables.rows.is_empty() {
                return Err(StoreError::Open(
                    "the database contains tables of another program; choose another database with \
                     --db"
                    .into(),
                )
                .into());
            }
            if !create {
                return Err(StoreError::Open(
                    "the database is empty; `promoflow codes import` and `promoflow workflow apply` \
                     create the tables, --db ADDRESS names another database"
                    .into(),
                )
                .into());
            }
            0
        }
    };
    let missing = usize::try_from(known)
        .ok()
        .and_then(|known| MIGRATIONS.get(known..));
    let Some(missing) = missing else {
        return Err(StoreError::Open(format!(
            "the database has schema version {known}, but this release only knows version \
             {SCHEMA_VERSION}; use the release that wrote it, or a later one"
        ))
        .into());
    };
    if known > 0 && !missing.is_empty() {
        tracing::info!(from = known, to = SCHEMA_VERSION, "migrating the database");
        // Whoever works under the older schema ends its transaction and begins no other.
        connection.run_script(
            "SELECT id FROM barrier FOR UPDATE;
             SELECT number FROM seat ORDER BY host, number FOR UPDATE",
        )?;
    }
    for migration in missing {
        connection.run_script(migration)?;
    }
    connection.run_script(&format!(
        "UPDATE setting SET value = '{SCHEMA_VERSION}' WHERE name = 'schema-version'"
    ))
}

/// Returns the schema version of a database; `None` if it has no table of ours.
pub(crate) fn version(connection: &Connection) -> Result<Option<i32>> {
    let table = connection.query("SELECT to_regclass('setting') IS NOT NULL", &[])?;
    let is_there = table
        .rows
        .first()
        .map(|row| row.get::<bool>(0))
        .transpose()?;
    if is_there != Some(true) {
        return Ok(None);
    }
    let found = connection.query(
        "SELECT value FROM setting WHERE name = 'schema-version'",
        &[],
    );
    let Ok(found) = found else { return Ok(None) };
    let Some(row) = found.rows.first() else {
        return Ok(None);
    };
    let version = row.get::<String>(0)?.parse();
    version
        .map(Some)
        .map_err(|error| damaged("the setting `schema-version`", error))
}
