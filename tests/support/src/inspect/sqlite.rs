//! The rows of a SQLite file.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, Statement, ToSql};

use super::{Change, Column, Inspect, InspectError, Value};

/// Longest time to wait for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) struct Sqlite {
    connection: Connection,
}

impl Sqlite {
    pub(super) fn open(path: &Path) -> Result<Sqlite, InspectError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // Leaves the write-ahead log as a killed process left it: the store must recover it.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.pragma_update(None, "foreign_keys", false)?;
        let sqlite = Sqlite { connection };
        sqlite.ignore_checks(true)?;
        Ok(sqlite)
    }

    fn ignore_checks(&self, ignores: bool) -> Result<(), InspectError> {
        let done = self
            .connection
            .pragma_update(None, "ignore_check_constraints", ignores);
        Ok(done?)
    }

    fn prepare(&self, sql: &str, params: &[Value]) -> Result<Statement<'_>, InspectError> {
        let mut statement = self.connection.prepare(sql)?;
        // SQLite takes `$1` for a name.
        for (number, value) in (1..).zip(params) {
            let name = format!("${number}");
            let index = statement.parameter_index(&name)?;
            let index = index.ok_or_else(|| InspectError(format!("no parameter {name}: {sql}")))?;
            statement.raw_bind_parameter(index, value)?;
        }
        if statement.parameter_count() > params.len() {
            return Err(InspectError(format!("a parameter has no value: {sql}")));
        }
        Ok(statement)
    }
}

impl Inspect for Sqlite {
    fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, InspectError> {
        let mut statement = self.prepare(sql, params)?;
        let columns = statement.column_count();
        let mut found = statement.raw_query();
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            let values = (0..columns).map(|column| value(row.get_ref(column)?));
            rows.push(values.collect::<Result<_, _>>()?);
        }
        Ok(rows)
    }

    fn execute(&self, sql: &str, params: &[Value]) -> Result<u64, InspectError> {
        let before = self.connection.total_changes();
        if params.is_empty() {
            self.connection.execute_batch(sql)?;
        } else {
            self.prepare(sql, params)?.raw_execute()?;
        }
        Ok(self.connection.total_changes() - before)
    }

    fn columns(&self, table: &str) -> Result<Vec<Column>, InspectError> {
        let sql = "SELECT name, pk > 0 FROM pragma_table_info($1)";
        let columns = <dyn Inspect>::rows(self, sql, &[table.into()])?;
        let columns = columns.into_iter();
        Ok(columns
            .map(|(name, is_key)| Column { name, is_key })
            .collect())
    }

    fn reject(&self, change: Change, table: &str, condition: &str) -> Result<(), InspectError> {
        let trigger = trigger(change, table);
        self.connection.execute_batch(&format!(
            "CREATE TRIGGER {trigger} BEFORE {change} ON {table} WHEN {condition}
             BEGIN SELECT RAISE(ABORT, 'a test rejects {change} on {table}'); END"
        ))?;
        Ok(())
    }

    fn accept(&self, change: Change, table: &str) -> Result<(), InspectError> {
        let trigger = trigger(change, table);
        self.connection
            .execute_batch(&format!("DROP TRIGGER {trigger}"))?;
        Ok(())
    }

    fn lock_writes(&self) -> Result<(), InspectError> {
        Ok(self.connection.execute_batch("BEGIN IMMEDIATE")?)
    }

    fn integrity_errors(&self) -> Result<Vec<String>, InspectError> {
        self.ignore_checks(false)?;
        let mut errors: Vec<String> = <dyn Inspect>::rows(self, "PRAGMA integrity_check", &[])?;
        self.ignore_checks(true)?;
        errors.retain(|error| error != "ok");
        Ok(errors)
    }

    fn raise_schema_version(&self) -> Result<(), InspectError> {
        let version: i64 = <dyn Inspect>::row(self, "PRAGMA user_version", &[])?;
        self.connection
            .pragma_update(None, "user_version", version + 1)?;
        Ok(())
    }
}

/// Returns the name of the trigger that rejects changes.
fn trigger(change: Change, table: &str) -> String {
    format!("reject_{change}_{table}")
}

fn value(value: ValueRef<'_>) -> Result<Value, InspectError> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => {
            return Err(InspectError(format!("{number} is not an integer")));
        }
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::InvalidText(text.to_owned()),
        },
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_owned()),
    })
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::InvalidText(bytes) => ValueRef::Text(bytes),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl From<rusqlite::Error> for InspectError {
    fn from(error: rusqlite::Error) -> InspectError {
        InspectError(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_text_is_stored_and_violated_checks_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("shop.db");
        let table = "CREATE TABLE code (text TEXT, retired INTEGER CHECK (retired IN (0, 1)))";
        let connection = Connection::open(&file).unwrap();
        connection.execute_batch(table).unwrap();
        let database = Sqlite::open(&file).unwrap();
        let row = [Value::InvalidText(vec![0xff, b'"']), 7.into()];
        let inserted = database.execute("INSERT INTO code VALUES ($1, $2)", &row);
        assert_eq!(inserted, Ok(1));
        let rows = database.query("SELECT text, retired FROM code", &[]);
        assert_eq!(rows, Ok(vec![row.to_vec()]));
        let errors = database.integrity_errors().unwrap();
        assert!(
            errors.iter().any(|error| error.contains("CHECK")),
            "{errors:?}"
        );
    }
}
