//! A backup becomes a database: only where it is whole, and the promises hold in it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use rusqlite::Connection;

use super::backup::{beside, failed, whole};
use super::{Error, Result, SqliteStore, StoreError, StoreResult, connect, layouts};
use promoflow_store::{Audited, Store};

/// What was found of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Whether the database is there now; it is not where a promise is broken.
    pub done: bool,
    /// The audit of it.
    pub audited: Vec<Audited>,
    /// How large it is.
    pub bytes: u64,
}

/// Copies a backup to where there is no database, checks the copy, and brings it to the present
/// layout. The backup itself is only read.
pub fn restore(from: &Path, to: &Path) -> StoreResult<Restored> {
    // A log without its database would be taken for that of the one which comes into its place.
    for behind in ["", "-wal", "-shm", "-journal"] {
        let there = beside(to, behind);
        if there.exists() {
            return Err(StoreError::Open(format!(
                "{} is there already; nothing is overwritten: move it away, or name another place \
                 with --db",
                there.display()
            ))
            .into());
        }
    }
    let log = beside(from, "-wal");
    if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        return Err(StoreError::Open(format!(
            "{} is a database in use, or was not closed: what is in {} would be lost; `promoflow \
             backup` makes a backup of it",
            from.display(),
            log.display()
        ))
        .into());
    }
    let mut restored = Restored {
        done: false,
        audited: Vec::new(),
        bytes: 0,
    };
    restored.done = whole(to, |copy| {
        let checked = check(from, copy).map(|audited| restored.audited = audited);
        // They stay where a check broke off, and are none of a database that is whole.
        for behind in ["-wal", "-shm"] {
            let _gone = fs::remove_file(beside(copy, behind));
        }
        checked?;
        restored.bytes = fs::metadata(copy).map_or(0, |copy| copy.len());
        Ok(restored.audited.iter().all(|one| one.holds))
    })?;
    Ok(restored)
}

fn check(from: &Path, copy: &Path) -> Result<Vec<Audited>> {
    // Into the file that is there: one that is copied as a whole would have the rights of the backup.
    File::open(from)
        .and_then(|mut from| io::copy(&mut from, &mut OpenOptions::new().write(true).open(copy)?))
        .map_err(|error| failed("copy", from, &error))?;
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
    if !layouts::is_ours(&connection).map_err(named)? {
        return Err(StoreError::Open(format!(
            "{} is no backup of a promoflow database",
            from.display()
        ))
        .into());
    }
    // Before anything is written: a trigger would be run, and a view be asked.
    if let Some(strange) = layouts::strange(&connection).map_err(named)? {
        return Err(StoreError::Open(format!(
            "{} is no backup of a promoflow database: {strange} in it is none of ours",
            from.display()
        ))
        .into());
    }
    integrity(&connection, from).map_err(named)?;
    // The copy is nobody else's.
    layouts::complete(&mut connection, copy).map_err(named)?;
    drop(connection);
    let audited = {
        let store = SqliteStore::open_existing(copy)
            .map_err(Error)
            .map_err(named)?;
        store.audit().map_err(Error).map_err(named)?
    };
    // All of it goes into the one file that gets its name.
    let connection = connect(copy).map_err(named)?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(audited)
}

fn integrity(connection: &Connection, from: &Path) -> Result<()> {
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
