//! Conversion of database errors, and errors for rows that cannot be read.

use std::fmt;
use std::str::FromStr;

use promoflow_store::StoreError;

/// What this crate's functions return.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;
/// What the methods of the store's traits return.
pub(crate) type StoreResult<T> = promoflow_store::Result<T>;

/// Why a statement failed: a [`StoreError`] that SQLite's own errors turn into.
#[derive(Debug)]
pub(crate) struct Error(pub(crate) StoreError);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Error {
        Error(error)
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> StoreError {
        error.0
    }
}

/// The minimum time a writer waits for another process, in seconds.
pub(super) const BUSY_TIMEOUT_SECONDS: u64 = 120;

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Error {
        use rusqlite::Error::{
            FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error,
        };
        use rusqlite::ErrorCode::{
            DatabaseBusy, DatabaseLocked, DiskFull, NotADatabase, SystemIoFailure,
        };
        if let FromSqlConversionFailure(..)
        | IntegralValueOutOfRange(..)
        | InvalidColumnType(..)
        | Utf8Error(..) = error
        {
            return damaged("a value", error);
        }
        Error(match error.sqlite_error_code() {
            Some(DatabaseBusy | DatabaseLocked) => StoreError::Busy {
                seconds: BUSY_TIMEOUT_SECONDS,
            },
            Some(DiskFull) => StoreError::Full,
            Some(SystemIoFailure) => StoreError::Disk(error.to_string()),
            Some(NotADatabase) => StoreError::Engine("the file is not a SQLite database".into()),
            _ => StoreError::Engine(error.to_string()),
        })
    }
}

pub(super) fn damaged(what: impl Into<String>, why: impl ToString) -> Error {
    Error(StoreError::Damaged {
        what: what.into(),
        why: why.to_string(),
    })
}

/// Reads the stored name of a state or a kind.
pub(super) fn read_name<T: FromStr>(what: impl FnOnce() -> String, name: &str) -> Result<T> {
    name.parse()
        .map_err(|_| damaged(what(), format!("unknown name `{name}`")))
}

/// Lets a scan continue past a row that cannot be read: skips it and logs the reason.
pub(super) fn skip_damaged<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error @ Error(StoreError::Damaged { .. })) => {
            tracing::error!("skipped a row: {error}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Same as [`damaged`], for stored JSON. Does not quote the text, as the JSON error would: it may
/// contain promo codes and addresses.
pub(super) fn unreadable(what: impl Into<String>, error: &serde_json::Error) -> Error {
    let kind = match error.classify() {
        serde_json::error::Category::Data => "unexpected value",
        _ => "invalid JSON",
    };
    let why = format!("{kind} at line {}, column {}", error.line(), error.column());
    damaged(what, why)
}
