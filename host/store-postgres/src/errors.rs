//! Conversion of database errors, and errors for rows that cannot be read.

use std::str::FromStr;

use tokio_postgres::error::SqlState;

use promoflow_store::StoreError;

/// What this crate's functions return.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;
/// What the methods of the store's traits return.
pub(crate) type StoreResult<T> = promoflow_store::Result<T>;

/// The longest wait for a lock, in seconds.
pub(crate) const LOCK_TIMEOUT_SECONDS: u64 = 120;

/// Why a transaction failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// An error that callers see.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The connection was lost, or never made. Nothing that was not committed remains.
    #[error("{0}")]
    Lost(String),
    /// The transaction met another one, and the same again may succeed.
    #[error("{0}")]
    Conflict(String),
    /// Other hosts have taken this one for dead. It may commit nothing under its old name.
    #[error("other hosts have taken this one for dead, and have taken its work over")]
    Fenced,
}

impl From<Error> for StoreError {
    fn from(error: Error) -> StoreError {
        match error {
            Error::Store(error) => error,
            Error::Lost(why) => StoreError::Unreachable(why),
            Error::Conflict(_) => StoreError::Busy {
                seconds: LOCK_TIMEOUT_SECONDS,
            },
            Error::Fenced => StoreError::Unreachable(error.to_string()),
        }
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Error {
        let Some(answer) = error.as_db_error() else {
            let why = describe(&error);
            // What the server sent could not be converted to the type of a column.
            return match is_conversion(&error) {
                true => damaged("a value", why),
                false => Error::Lost(why),
            };
        };
        let text = answer.message().to_owned();
        let code = answer.code();
        if *code == SqlState::T_R_SERIALIZATION_FAILURE
            || *code == SqlState::T_R_DEADLOCK_DETECTED
            || *code == SqlState::LOCK_NOT_AVAILABLE
        {
            Error::Conflict(text)
        } else if *code == SqlState::DISK_FULL {
            StoreError::Full.into()
        } else if *code == SqlState::IO_ERROR {
            StoreError::Disk(text).into()
        } else if code.code().starts_with("08")
            || code.code().starts_with("57P")
            || *code == SqlState::READ_ONLY_SQL_TRANSACTION
            || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
            || *code == SqlState::TOO_MANY_CONNECTIONS
        {
            Error::Lost(text)
        } else {
            StoreError::Engine(format!("{text} (SQLSTATE {})", code.code())).into()
        }
    }
}

/// Returns the text of an error with its causes, which name the machine or the file.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Returns true if a value could not be converted, on the way in or out.
fn is_conversion(error: &tokio_postgres::Error) -> bool {
    let text = error.to_string();
    text.starts_with("error deserializing column")
        || text.starts_with("error serializing parameter")
}

/// Returns the error for a row or a value that cannot be read.
pub(crate) fn damaged(what: impl Into<String>, why: impl ToString) -> Error {
    Error::Store(StoreError::Damaged {
        what: what.into(),
        why: why.to_string(),
    })
}

/// Reads the stored name of a state or a kind.
pub(crate) fn read_name<T: FromStr>(what: impl FnOnce() -> String, name: &str) -> Result<T> {
    name.parse()
        .map_err(|_| damaged(what(), format!("unknown name `{name}`")))
}

/// Lets a scan continue past a row that cannot be read: skips it and logs the reason.
pub(crate) fn skip_damaged<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(Error::Store(error @ StoreError::Damaged { .. })) => {
            tracing::error!("skipped a row: {error}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Same as [`damaged`], for stored JSON. Does not quote the text, as the JSON error would: it may
/// contain promo codes and addresses.
pub(crate) fn unreadable(what: impl Into<String>, error: &serde_json::Error) -> Error {
    let kind = match error.classify() {
        serde_json::error::Category::Data => "unexpected value",
        _ => "invalid JSON",
    };
    let why = format!("{kind} at line {}, column {}", error.line(), error.column());
    damaged(what, why)
}
