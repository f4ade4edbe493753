//! A SQLite file as the source or the target of a move to another engine.

use std::fs;
use std::path::Path;

use rusqlite::types::{Value as SqlValue, ValueRef};
use rusqlite::{Connection, params_from_iter};

use super::backup::{with_suffix, write_atomically};
use super::errors::StoreResult;
use super::{
    ExecutorLock, Result, SCHEMA, SqliteStore, StoreError, connect, damaged, lock_path, migrations,
};
use promoflow_store::transfer::{Fill, PAGE_ROWS, Source, Target, Value};
use promoflow_store::{InstallationStore, PromiseReport};

/// Opens a file as the source of a move. Fails while a process executes on it.
pub fn source(path: &Path) -> StoreResult<Box<dyn Source>> {
    Ok(Box::new(SqliteSource::open(path)?))
}

struct SqliteSource {
    connection: Connection,
    /// Nobody executes meanwhile.
    _lock: ExecutorLock,
}

impl SqliteSource {
    fn open(path: &Path) -> Result<SqliteSource> {
        let store = SqliteStore::open_existing(path)?;
        let lock_path = lock_path(store.path());
        let lock = ExecutorLock::try_acquire(&lock_path).map_err(|error| {
            StoreError::Open(format!("cannot lock {}: {error}", lock_path.display()))
        })?;
        let Some(lock) = lock else {
            return Err(StoreError::Open(format!(
                "a process executes on {}; stop it first",
                path.display()
            ))
            .into());
        };
        let connection = connect(store.path())?;
        // Held until the end: nobody writes what would not be moved.
        connection.execute_batch("BEGIN IMMEDIATE")?;
        SCHEMA.check_version(&connection)?;
        Ok(SqliteSource {
            connection,
            _lock: lock,
        })
    }
}

impl SqliteSource {
    fn read(
        &self,
        table: &str,
        columns: &[String],
        visit: &mut dyn FnMut(Vec<Vec<Value>>) -> StoreResult<()>,
    ) -> Result<()> {
        let sql = format!("SELECT {} FROM {table}", columns.join(", "));
        let mut statement = self.connection.prepare(&sql)?;
        let mut found = statement.query([])?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            let values = (0..columns.len()).map(|column| value(table, row.get_ref(column)?));
            rows.push(values.collect::<Result<Vec<_>>>()?);
            if rows.len() == PAGE_ROWS {
                visit(std::mem::take(&mut rows))?;
            }
        }
        match rows.is_empty() {
            true => Ok(()),
            false => Ok(visit(rows)?),
        }
    }
}

impl Source for SqliteSource {
    fn columns(&self, table: &str) -> StoreResult<Vec<String>> {
        let columns = || -> Result<_> {
            let mut statement = self
                .connection
                .prepare("SELECT name FROM pragma_table_info(?1)")?;
            let names = statement.query_map([table], |row| row.get(0))?;
            Ok(names.collect::<rusqlite::Result<_>>()?)
        };
        Ok(columns()?)
    }

    fn rows(
        &self,
        table: &str,
        columns: &[String],
        visit: &mut dyn FnMut(Vec<Vec<Value>>) -> StoreResult<()>,
    ) -> StoreResult<()> {
        Ok(self.read(table, columns, visit)?)
    }

    fn close(self: Box<Self>, to: &str) -> StoreResult<()> {
        Ok(migrations::close(&self.connection, to)?)
    }
}

fn value(table: &str, value: ValueRef<'_>) -> Result<Value> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Text(text) => Value::Text(
            std::str::from_utf8(text)
                .map_err(|error| damaged(format!("a row of {table}"), error))?
                .to_owned(),
        ),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
        ValueRef::Real(_) => {
            return Err(damaged(format!("a row of {table}"), "a fraction"));
        }
    })
}

/// Creates a file with the rows that `fill` adds. The file exists afterwards only if that succeeded
/// and every promise holds in it. Returns the result of the audit.
pub fn create(path: &Path, fill: &mut Fill<'_>) -> StoreResult<Vec<PromiseReport>> {
    let mut audited = Vec::new();
    write_atomically(path, |unfinished| {
        let made = make(unfinished, fill);
        // Not needed by a database that was closed.
        for behind in ["-wal", "-shm"] {
            let _gone = fs::remove_file(with_suffix(unfinished, behind));
        }
        audited = made?;
        Ok(audited.iter().all(|one| one.holds))
    })?;
    Ok(audited)
}

fn make(path: &Path, fill: &mut Fill<'_>) -> Result<Vec<PromiseReport>> {
    let mut connection = connect(path)?;
    SCHEMA.migrate(&mut connection, path)?;
    // Those of the source are added.
    connection.execute_batch("BEGIN; DELETE FROM setting")?;
    fill(&mut SqliteTarget {
        connection: &connection,
    })?;
    connection.execute_batch("COMMIT")?;
    drop(connection);
    let audited = SqliteStore::open_existing(path)?.audit()?;
    // Moves the write-ahead log into the file, which is then renamed.
    connect(path)?.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(audited)
}

struct SqliteTarget<'c> {
    connection: &'c Connection,
}

impl SqliteTarget<'_> {
    fn insert(&self, table: &str, columns: &[String], rows: Vec<Vec<Value>>) -> Result<()> {
        let places = vec!["?"; columns.len()].join(", ");
        let sql = format!(
            "INSERT INTO {table} ({}) VALUES ({places})",
            columns.join(", ")
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        for row in rows {
            statement.execute(params_from_iter(row.into_iter().map(|value| match value {
                Value::Null => SqlValue::Null,
                Value::Integer(number) => SqlValue::Integer(number),
                Value::Text(text) => SqlValue::Text(text),
                Value::Bytes(bytes) => SqlValue::Blob(bytes),
            })))?;
        }
        Ok(())
    }
}

impl Target for SqliteTarget<'_> {
    fn add(&mut self, table: &str, columns: &[String], rows: Vec<Vec<Value>>) -> StoreResult<()> {
        Ok(self.insert(table, columns, rows)?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;
    use promoflow_store::transfer::TABLES;

    #[test]
    fn every_table_is_moved() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("shop.db")).unwrap();
        let mut tables: Vec<String> = connect(store.path())
            .unwrap()
            .prepare(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
            )
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<rusqlite::Result<_>>()
            .unwrap();
        tables.sort();
        let mut moved = TABLES.to_vec();
        moved.sort_unstable();
        assert_eq!(tables, moved);
    }
}
