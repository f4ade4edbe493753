//! The executor lock: which process of a database executes runs and deliveries.
//!
//! An operating-system lock on a file beside the database. The system frees it when its process
//! ends in any way, so whoever asks next takes over, and no lease outlives the memory it is in.
//! Whoever brings a database to a later layout holds it as well, so that nobody executes by the
//! earlier one meanwhile.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The right to execute; given up when dropped.
#[derive(Debug)]
pub(crate) struct ExecutorLock {
    _file: File,
}

/// The lock's file for a database.
pub(crate) fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-executor");
    PathBuf::from(name)
}

impl ExecutorLock {
    /// Takes the lock; `None` where another process has it.
    pub(crate) fn try_take(path: &Path) -> io::Result<Option<ExecutorLock>> {
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(ExecutorLock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}
