//! Moving an installation from one engine to another, row by row.
//!
//! Tables and columns are named and valued alike in every engine; an engine may have further tables
//! for itself.

use crate::Result;

/// The tables of an installation. Those that an engine has for itself are not among them.
pub const TABLES: &[&str] = &[
    "setting",
    "message",
    "block",
    "workflow",
    "workflow_state",
    "code_group",
    "code",
    "available_code",
    "upload",
    "upload_batch",
    "upload_end",
    "upload_rejection",
    "upload_warning",
    "upload_slice",
    "upload_stage",
    "retirement",
    "claim",
    "claim_release",
    "contact_code",
    "code_reuse",
    "event",
    "event_trace",
    "run",
    "start_record",
    "journal",
    "retry_state",
    "contact_alias",
    "release_on_completion",
    "run_wait",
    "expired_grant",
    "delivery",
    "delivery_alternative",
    "attempt",
    "throttle",
    "alert",
    "notification",
    "contact",
    "contact_address",
    "former_address",
    "consent",
    "suppression",
    "api_key",
    "idempotent_response",
];

/// Maximum number of rows that are moved at once.
pub const PAGE_ROWS: usize = 1_000;

/// A stored value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// No value.
    Null,
    /// A number, a time or a flag.
    Integer(i64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// A database whose rows are moved. As long as it exists, nobody else writes to the database.
pub trait Source {
    /// Returns the columns of a table.
    fn columns(&self, table: &str) -> Result<Vec<String>>;

    /// Calls `visit` with the rows of a table, at most [`PAGE_ROWS`] at once.
    fn rows(
        &self,
        table: &str,
        columns: &[String],
        visit: &mut dyn FnMut(Vec<Vec<Value>>) -> Result<()>,
    ) -> Result<()>;

    /// Closes the database for good: nothing reads or writes it any more, because the installation
    /// is at `to` now.
    fn close(self: Box<Self>, to: &str) -> Result<()>;
}

/// A new database that gets the rows.
pub trait Target {
    /// Adds rows of a table.
    fn add(&mut self, table: &str, columns: &[String], rows: Vec<Vec<Value>>) -> Result<()>;
}

/// What adds the rows to a new database.
pub type Fill<'f> = dyn FnMut(&mut dyn Target) -> Result<()> + 'f;

/// The number of rows of a table that were moved.
pub type Moved = (&'static str, u64);

/// Copies all rows. Returns how many each table has.
pub fn copy(source: &dyn Source, target: &mut dyn Target) -> Result<Vec<Moved>> {
    let mut moved = Vec::with_capacity(TABLES.len());
    for table in TABLES {
        let columns = source.columns(table)?;
        let mut count = 0;
        source.rows(table, &columns, &mut |rows| {
            count += u64::try_from(rows.len()).unwrap_or(u64::MAX);
            target.add(table, &columns, rows)
        })?;
        moved.push((*table, count));
    }
    Ok(moved)
}
