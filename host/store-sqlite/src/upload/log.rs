//! The write-ahead log while uploads are on their way.
//!
//! An upload writes much of the file. Whoever commits when the log is long would copy it, and an
//! event would wait for that; so an upload copies it itself, by a connection beside the writer.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::Connection;

use super::SEEN;
use crate::connection::CHECKPOINT_PAGES;
use crate::{Result, SqliteStore, connect};

/// Pages in the log before an upload copies them into the file: 256 MiB. Each batch of an upload
/// changes most pages of the pool, so copying after each would write them all each time.
const MOST_PAGES: i64 = 65_536;
/// What an upload leaves others between two of its transactions. Those of other processes look for
/// a moment to write in every few milliseconds.
const PAUSE: Duration = Duration::from_millis(10);

/// Keeps the log from being copied by who commits, for as long as uploads are on their way; and has
/// the writer know the table of what they have seen.
pub(super) struct Log<'s>(&'s SqliteStore);

impl<'s> Log<'s> {
    pub(super) fn begin(store: &'s SqliteStore) -> Result<Log<'s>> {
        let writer = store.writer();
        store.uploading.fetch_add(1, Ordering::SeqCst);
        let log = Log(store);
        let set = writer
            .connection
            .execute_batch(SEEN)
            .map_err(Into::into)
            .and_then(|()| copied_by_commits(&writer.connection, 0));
        // Before the log can end, which asks for it.
        drop(writer);
        set.map(|()| log)
    }

    /// To be called after each transaction.
    pub(super) fn written(&self) {
        if let Err(error) = self.copy(MOST_PAGES) {
            tracing::debug!(%error, "during an upload");
        }
        std::thread::sleep(PAUSE);
    }

    /// Copies the log into the file where it is longer than that.
    fn copy(&self, pages: i64) -> Result<()> {
        let beside = connect(&self.0.path)?;
        if left(&beside, "NOOP")? <= pages {
            return Ok(());
        }
        left(&beside, "PASSIVE")?;
        // The log begins anew where all of it was copied: what came meanwhile is little.
        left(&self.0.writer().connection, "PASSIVE")?;
        Ok(())
    }
}

impl Drop for Log<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.copy(i64::from(CHECKPOINT_PAGES) / 4) {
            tracing::debug!(%error, "after an upload");
        }
        let writer = self.0.writer();
        if self.0.uploading.fetch_sub(1, Ordering::SeqCst) == 1
            && let Err(error) = copied_by_commits(&writer.connection, CHECKPOINT_PAGES)
        {
            tracing::debug!(%error, "after an upload");
        }
    }
}

/// Pages in the log that were not copied, once this was done.
fn left(connection: &Connection, how: &str) -> Result<i64> {
    let (all, copied): (i64, i64) =
        connection.query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |row| {
            Ok((row.get(1)?, row.get(2)?))
        })?;
    Ok(all - copied)
}

/// After so many pages the commit that brings them copies the log; 0: none does.
fn copied_by_commits(connection: &Connection, pages: u32) -> Result<()> {
    Ok(connection.pragma_update(None, "wal_autocheckpoint", pages)?)
}
