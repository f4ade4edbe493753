//! Checkpoints of the write-ahead log during uploads.
//!
//! An upload writes much of the file. If commits copied a long log into the file, events would wait
//! for that. So an upload runs checkpoints itself, on a separate connection.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::Connection;

use super::SEEN_TABLE;
use crate::connection::CHECKPOINT_PAGES;
use crate::{Result, SqliteStore, connect};

/// Maximum number of log pages before an upload runs a checkpoint: 256 MiB. Each batch of an upload
/// changes most pages of the pool, so a checkpoint after each would write all of them each time.
const MAX_LOG_PAGES: i64 = 65_536;
/// The pause between two transactions of an upload, in which others can write. Other processes try
/// every few milliseconds.
const WRITE_PAUSE: Duration = Duration::from_millis(10);

/// Disables automatic checkpoints by commits while uploads are in progress, and creates the
/// writer's temporary table of what uploads have seen.
pub(super) struct CheckpointGuard<'s>(&'s SqliteStore);

impl<'s> CheckpointGuard<'s> {
    pub(super) fn begin(store: &'s SqliteStore) -> Result<CheckpointGuard<'s>> {
        let writer = store.writer();
        store.active_uploads.fetch_add(1, Ordering::SeqCst);
        let log = CheckpointGuard(store);
        let set = writer
            .connection
            .execute_batch(SEEN_TABLE)
            .map_err(Into::into)
            .and_then(|()| set_autocheckpoint(&writer.connection, 0));
        // Unlocked before the log can be dropped, which locks it again.
        drop(writer);
        set.map(|()| log)
    }

    /// Runs a checkpoint if needed, then waits. Called after each transaction.
    pub(super) fn after_transaction(&self) {
        if let Err(error) = self.checkpoint(MAX_LOG_PAGES) {
            tracing::debug!(%error, "checkpoint during an upload failed");
        }
        std::thread::sleep(WRITE_PAUSE);
    }

    /// Runs a checkpoint if the log is longer than that.
    fn checkpoint(&self, pages: i64) -> Result<()> {
        let connection = connect(&self.0.path)?;
        if run_checkpoint(&connection, "NOOP")? <= pages {
            return Ok(());
        }
        run_checkpoint(&connection, "PASSIVE")?;
        // The log is reset if all of it was copied; few pages have been added meanwhile.
        run_checkpoint(&self.0.writer().connection, "PASSIVE")?;
        Ok(())
    }
}

impl Drop for CheckpointGuard<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.checkpoint(i64::from(CHECKPOINT_PAGES) / 4) {
            tracing::debug!(%error, "checkpoint after an upload failed");
        }
        let writer = self.0.writer();
        if self.0.active_uploads.fetch_sub(1, Ordering::SeqCst) == 1
            && let Err(error) = set_autocheckpoint(&writer.connection, CHECKPOINT_PAGES)
        {
            tracing::debug!(%error, "cannot enable automatic checkpoints after an upload");
        }
    }
}

/// Runs a checkpoint of that mode. Returns the number of log pages that are not copied.
fn run_checkpoint(connection: &Connection, how: &str) -> Result<i64> {
    let (all, copied): (i64, i64) =
        connection.query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |row| {
            Ok((row.get(1)?, row.get(2)?))
        })?;
    Ok(all - copied)
}

/// Sets after how many log pages a commit runs a checkpoint; 0: never.
fn set_autocheckpoint(connection: &Connection, pages: u32) -> Result<()> {
    Ok(connection.pragma_update(None, "wal_autocheckpoint", pages)?)
}
