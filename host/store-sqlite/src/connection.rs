//! Connections to the file, and the settings that make commits durable.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::faults::BUSY_SECONDS;
use super::{Error, Result, StoreError};

/// Pages in the log before it is copied into the file: 32 MiB, so that a page that many commits
/// change is copied once for all of them.
pub(super) const CHECKPOINT_PAGES: u32 = 8_192;

/// Makes the file of a new database, for its owner alone: it holds promo codes, addresses and what
/// proves keys. What SQLite lays beside a database has the rights of that. Where it cannot be made,
/// or is there already, connecting tells.
pub(super) fn make(path: &Path) {
    let _connecting_tells = private().create_new(true).open(path);
}

/// To write a file that nobody but its owner reads, where this makes it.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// How often it is looked whether another process still writes. SQLite by itself looks ever more
/// seldom, and would miss the moments that an upload leaves.
const LOOK: Duration = Duration::from_millis(4);

/// Whether to wait on for another process, after so many looks.
fn waits_on(looks: i32) -> bool {
    let waited = LOOK.saturating_mul(looks.unsigned_abs());
    if waited >= Duration::from_secs(BUSY_SECONDS) {
        return false;
    }
    std::thread::sleep(LOOK);
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
    connection.busy_handler(Some(waits_on))?;
    connection.set_prepared_statement_cache_capacity(128);
    connection
        .execute_batch(
            // 32 MiB of pages: the heads of the lanes and the tails of the ledgers stay in memory.
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
