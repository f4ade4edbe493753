//! Restore: creates a database from a backup, if the backup is intact and the promises hold in it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use rusqlite::Connection;

use super::backup::{io_error, with_suffix, write_atomically};
use super::{Error, Result, SCHEMA, SqliteStore, StoreError, StoreResult, connect, migrations};
use promoflow_store::{InstallationStore, PromiseReport};

/// The result of checking a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// True if the database was created; false if a promise is broken.
    pub done: bool,
    /// The result of the audit.
    pub audited: Vec<PromiseReport>,
    /// The size of the database, in bytes.
    pub bytes: u64,
}

/// Copies a backup to a path without a database, checks the copy, and migrates it to the current
/// schema. Only reads the backup.
pub fn restore(from: &Path, to: &Path) -> StoreResult<Restored> {
    // A left-over log would be applied to the restored database.
    for behind in ["", "-wal", "-shm", "-journal"] {
        let there = with_suffix(to, behind);
        if there.exists() {
            return Err(StoreError::Open(format!(
                "{} exists and is not overwritten; move it, or choose another path with --db",
                there.display()
            )));
        }
    }
    let log = with_suffix(from, "-wal");
    if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        return Err(StoreError::Open(format!(
            "{} is in use or was not closed properly: the changes in {} would be lost; create a \
             backup with `promoflow backup`",
            from.display(),
            log.display()
        )));
    }
    let mut restored = Restored {
        done: false,
        audited: Vec::new(),
        bytes: 0,
    };
    restored.done = write_atomically(to, |copy| {
        let checked = check(from, copy).map(|audited| restored.audited = audited);
        // Left over if a check fails; not needed by an intact database.
        for behind in ["-wal", "-shm"] {
            let _gone = fs::remove_file(with_suffix(copy, behind));
        }
        checked?;
        restored.bytes = fs::metadata(copy).map_or(0, |copy| copy.len());
        Ok(restored.audited.iter().all(|one| one.holds))
    })?;
    Ok(restored)
}

fn check(from: &Path, copy: &Path) -> Result<Vec<PromiseReport>> {
    // Written into the existing file: copying the file itself would also copy its permissions.
    File::open(from)
        .and_then(|mut from| io::copy(&mut from, &mut OpenOptions::new().write(true).open(copy)?))
        .map_err(|error| io_error("copy", from, &error))?;
    let named = |error: Error| match error.0 {
        StoreError::Open(text) => {
            let (from, copy) = (from.display().to_string(), copy.display().to_string());
            StoreError::Open(text.replace(&copy, &from))
        }
        StoreError::Engine(text) | StoreError::Disk(text) => {
            StoreError::Open(format!("{} is damaged: {text}", from.display()))
        }
        other => other,
    };
    let mut connection = connect(copy).map_err(named)?;
    if !migrations::is_promoflow_database(&connection).map_err(named)? {
        return Err(StoreError::Open(format!(
            "{} is not a backup of a Promoflow database",
            from.display()
        ))
        .into());
    }
    // Checked before any write, which would run triggers and read views.
    if let Some(unexpected) = SCHEMA.find_unexpected(&connection).map_err(named)? {
        return Err(StoreError::Open(format!(
            "{} is not a valid backup: {unexpected}",
            from.display()
        ))
        .into());
    }
    check_integrity(&connection, from).map_err(named)?;
    // No other process uses the copy.
    SCHEMA.migrate(&mut connection, copy).map_err(named)?;
    drop(connection);
    let audited = {
        let store = SqliteStore::open_existing(copy)
            .map_err(Error)
            .map_err(named)?;
        store.audit().map_err(Error).map_err(named)?
    };
    // Moves the write-ahead log into the file, which is then renamed.
    let connection = connect(copy).map_err(named)?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(audited)
}

fn check_integrity(connection: &Connection, from: &Path) -> Result<()> {
    let mut statement = connection.prepare("PRAGMA integrity_check(5)")?;
    let faults = statement
        .query_map([], |row| row.get::<_, String>(0))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    if faults == ["ok"] {
        return Ok(());
    }
    Err(StoreError::Open(format!(
        "{} is damaged: {}",
        from.display(),
        faults.join("; ")
    ))
    .into())
}
