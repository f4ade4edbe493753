//! Connections to the file, with the settings that make commits durable.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::errors::BUSY_TIMEOUT_SECONDS;
use super::{Error, Result, StoreError};

/// Pages in the write-ahead log before a checkpoint: 32 MiB, so that a page that many commits
/// change is copied only once.
pub(super) const CHECKPOINT_PAGES: u32 = 8_192;

/// Creates the file of a new database with access for its owner only, because it contains promo
/// codes, addresses and key hashes. SQLite's additional files get the same permissions. If the file
/// exists or cannot be created, opening the connection reports that.
pub(super) fn create_file(path: &Path) {
    let _connecting_tells = private_file_options().create_new(true).open(path);
}

/// Options to write a file that, if created, only its owner can read.
pub(super) fn private_file_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// The interval of checks for another process's write lock. SQLite's own handler checks less and
/// less often, and would miss the gaps between the batches of an upload.
const BUSY_POLL_INTERVAL: Duration = Duration::from_millis(4);

/// Busy handler: returns true to keep waiting for another process, after this many checks.
fn keep_waiting(polls: i32) -> bool {
    let waited = BUSY_POLL_INTERVAL.saturating_mul(polls.unsigned_abs());
    if waited >= Duration::from_secs(BUSY_TIMEOUT_SECONDS) {
        return false;
    }
    std::thread::sleep(BUSY_POLL_INTERVAL);
    true
}

pub(super) fn connect(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open_error = |error: rusqlite::Error| match Error::from(error).0 {
        StoreError::Engine(text) | StoreError::Disk(text) => StoreError::Open(format!(
            "cannot open the database {}: {text}",
            path.display()
        )),
        other => other,
    };
    let mut connection = Connection::open_with_flags(path, flags).map_err(open_error)?;
    connection.busy_handler(Some(keep_waiting))?;
    connection.set_prepared_statement_cache_capacity(128);
    connection
        .execute_batch(
            // A cache of 32 MiB: the heads of the code groups and the tails of the ledgers stay in
            // memory.
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA cache_size = -32768;
             PRAGMA temp_store = FILE;
             PRAGMA trusted_schema = OFF;",
        )
        .map_err(open_error)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    Ok(connection)
}
