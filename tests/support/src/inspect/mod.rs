//! The rows of a database, read and changed independently of the store.
//!
//! Tests ask the API or the program where they can, and use this for what those do not show, and to
//! damage rows on purpose. The statements are portable, with parameters `$1`, `$2` and so on, so
//! that a suite runs unchanged on every engine: [`inspect`] selects the implementation by the
//! database's address.

mod postgres;
mod sqlite;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;
use std::path::Path;

pub use value::{FromRow, FromValue, Value};

/// Opens the rows of an existing database: a SQLite file, or the address of a PostgreSQL database.
///
/// The connection is independent of the store and checks nothing that would prevent damage: neither
/// references to other rows nor the ranges of values.
pub fn inspect(database: impl AsRef<Path>) -> Result<Box<dyn Inspect>, InspectError> {
    let database = database.as_ref();
    match database.to_str() {
        Some(address) if address.starts_with("postgres://") => {
            Ok(Box::new(postgres::Postgres::open(address)?))
        }
        _ => Ok(Box::new(sqlite::Sqlite::open(database)?)),
    }
}

/// The rows of a database.
pub trait Inspect: Send {
    /// Returns the rows of a query. `rows` and `row` convert them.
    fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, InspectError>;

    /// Executes a statement, or without parameters any number of them, separated by semicolons.
    /// Returns the number of changed rows.
    fn execute(&self, sql: &str, params: &[Value]) -> Result<u64, InspectError>;

    /// Returns the columns of a table.
    fn columns(&self, table: &str) -> Result<Vec<Column>, InspectError>;

    /// Rejects a kind of change from now on, also by the store. `condition` selects the changes by
    /// the columns of `OLD` and `NEW`.
    fn reject(&self, change: Change, table: &str, condition: &str) -> Result<(), InspectError>;

    /// Accepts a kind of change again.
    fn accept(&self, change: Change, table: &str) -> Result<(), InspectError>;

    /// Blocks all other writers until this connection is dropped.
    fn lock_writes(&self) -> Result<(), InspectError>;

    /// Returns the damage that the engine finds in its files.
    fn integrity_errors(&self) -> Result<Vec<String>, InspectError>;

    /// Marks the database as migrated by a later release.
    fn raise_schema_version(&self) -> Result<(), InspectError>;
}

impl dyn Inspect + '_ {
    /// Returns the rows of a query: a value for each row, or a tuple.
    pub fn rows<R: FromRow>(&self, sql: &str, params: &[Value]) -> Result<Vec<R>, InspectError> {
        let rows = self.query(sql, params)?;
        rows.into_iter().map(R::from_row).collect()
    }

    /// Returns the only row of a query.
    pub fn row<R: FromRow>(&self, sql: &str, params: &[Value]) -> Result<R, InspectError> {
        let mut rows = self.rows(sql, params)?;
        match (rows.pop(), rows.len()) {
            (Some(row), 0) => Ok(row),
            (row, others) => {
                let count = others + usize::from(row.is_some());
                Err(InspectError(format!("{count} rows instead of one: {sql}")))
            }
        }
    }

    /// Returns the number of rows of a table, or of those that follow from `TABLE WHERE condition`.
    pub fn count(&self, table: &str) -> Result<i64, InspectError> {
        self.row(&format!("SELECT count(*) FROM {table}"), &[])
    }
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The name.
    pub name: String,
    /// Whether it belongs to the primary key.
    pub is_key: bool,
}

/// A kind of change to rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// A new row.
    Insert,
    /// A change of a row.
    Update,
    /// The removal of a row.
    Delete,
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Change::Insert => "INSERT",
            Change::Update => "UPDATE",
            Change::Delete => "DELETE",
        })
    }
}

/// The error of an engine, or an unexpected result.
#[derive(Debug, PartialEq)]
pub struct InspectError(String);

impl fmt::Display for InspectError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for InspectError {}
