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
    use crate::{FromRow, inspect};

    fn with_table() -> (tempfile::TempDir, Box<dyn Inspect>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("shop.db");
        let table = "PRAGMA journal_mode = WAL;
                     CREATE TABLE code (id INTEGER PRIMARY KEY, text TEXT, bytes BLOB,
                                        retired INTEGER CHECK (retired IN (0, 1))) STRICT";
        Connection::open(&file)
            .unwrap()
            .execute_batch(table)
            .unwrap();
        let database = inspect(&file).unwrap();
        (folder, database)
    }

    #[test]
    fn values_are_stored_and_returned_as_they_are() {
        let (_folder, database) = with_table();
        let sql = "INSERT INTO code (id, bytes, text, retired) VALUES ($1, $3, $2, $1)";
        let invalid = Value::InvalidText(vec![0xff, b'"']);
        let params = [7.into(), invalid, vec![1, 2].into()];
        assert_eq!(database.execute(sql, &params), Ok(1));
        database
            .execute("INSERT INTO code VALUES (8, 'A', NULL, 0)", &[])
            .unwrap();
        let rows = database
            .query("SELECT * FROM code ORDER BY id", &[])
            .unwrap();
        let [id, text, bytes] = params;
        assert_eq!(rows[0], [id.clone(), text, bytes, id]);
        assert_eq!(rows[1], [8.into(), "A".into(), Value::Null, 0.into()]);
        let sql = "SELECT text, bytes, retired FROM code WHERE id = $1";
        let row: (String, Option<Vec<u8>>, bool) = database.row(sql, &[8.into()]).unwrap();
        assert_eq!(row, ("A".to_owned(), None, false));
        assert!(i64::from_row(vec!["A".into()]).is_err());
        assert!(database.row::<i64>("SELECT id FROM code", &[]).is_err());
        assert!(database.query(sql, &[]).is_err());
        assert!(database.query(sql, &[8.into(), 9.into()]).is_err());
        let integrity = database.integrity_errors().unwrap();
        assert!(
            integrity.iter().any(|error| error.contains("CHECK")),
            "{integrity:?}"
        );
    }

    #[test]
    fn statements_are_counted_together() {
        let (_folder, database) = with_table();
        let three =
            "INSERT INTO code (id) VALUES (1), (2); UPDATE code SET retired = 1 WHERE id = 1";
        assert_eq!(database.execute(three, &[]), Ok(3));
        assert_eq!(database.count("code WHERE retired = 1"), Ok(1));
        assert_eq!(
            database.execute("DELETE FROM code WHERE id = 3", &[]),
            Ok(0)
        );
    }

    #[test]
    fn changes_are_rejected_until_they_are_accepted_again() {
        let (_folder, database) = with_table();
        database
            .reject(Change::Insert, "code", "NEW.id > 1")
            .unwrap();
        let insert = |id: i64| database.execute("INSERT INTO code (id) VALUES ($1)", &[id.into()]);
        assert_eq!(insert(1), Ok(1));
        assert!(
            insert(2)
                .unwrap_err()
                .to_string()
                .contains("rejects INSERT on code")
        );
        database.accept(Change::Insert, "code").unwrap();
        assert_eq!(insert(2), Ok(1));
    }

    #[test]
    fn another_writer_waits_for_the_end_of_a_lock() {
        let (folder, database) = with_table();
        database.lock_writes().unwrap();
        let other = Connection::open(folder.path().join("shop.db")).unwrap();
        other.busy_timeout(Duration::ZERO).unwrap();
        other.execute_batch("DELETE FROM code").unwrap_err();
        drop(database);
        other.execute_batch("DELETE FROM code").unwrap();
    }
}
