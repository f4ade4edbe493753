//! The executor lock: which process of a database executes runs and deliveries.
//!
//! An operating-system lock on a file beside the database. The system frees it when its process
//! ends in any way, so whoever asks next takes over, and no lease outlives the memory it is in.
//! Whoever brings a database to a later layout holds it as well, so that nobody executes by the
//! earlier one meanwhile.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The rights of the file.
#[cfg(unix)]
const OWNER_ONLY: u32 = 0o600;

/// The right to execute; given up when dropped.
#[derive(Debug)]
pub struct ExecutorLock {
    _file: File,
}

/// The lock's file for a database.
pub fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-executor");
    PathBuf::from(name)
}

impl ExecutorLock {
    /// Takes the lock; `None` where another process has it.
    pub fn try_take(path: &Path) -> io::Result<Option<ExecutorLock>> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(ExecutorLock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// The lock's file, for its owner alone: whoever can open a file can hold its lock.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use std::fs::{OpenOptions, Permissions};
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .mode(OWNER_ONLY)
        .open(path)?;
    // One of an earlier release, or of somebody who was careless.
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(OWNER_ONLY))?;
    }
    Ok(file)
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(path)
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_file_is_for_its_owner_alone_also_where_it_was_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        drop(ExecutorLock::try_take(&path).unwrap().unwrap());
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let taken = ExecutorLock::try_take(&path).unwrap().unwrap();
        assert_eq!(mode(), 0o600);
        assert!(ExecutorLock::try_take(&path).unwrap().is_none());
        drop(taken);
        assert!(ExecutorLock::try_take(&path).unwrap().is_some());
    }
}
