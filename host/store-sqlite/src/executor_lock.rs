//! The executor lock: it decides which process of a database executes runs and deliveries.
//!
//! It is an operating-system lock on a file next to the database. The system releases it when the
//! process ends for any reason, so the next process to ask takes over, and no lease outlives the
//! memory that holds it. A process that migrates the schema holds it too, so that no other process
//! executes runs under the old schema at the same time.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use promoflow_store::Member;

/// The permissions of the lock file.
#[cfg(unix)]
const OWNER_ONLY: u32 = 0o600;

/// The right to execute runs and deliveries. Released on drop.
#[derive(Debug)]
pub(super) struct ExecutorLock {
    _file: File,
}

/// Returns the path of a database's lock file.
pub(super) fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-executor");
    PathBuf::from(name)
}

impl Member for ExecutorLock {}

impl ExecutorLock {
    /// Acquires the lock; `None` if another process holds it.
    pub(super) fn try_acquire(path: &Path) -> io::Result<Option<ExecutorLock>> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(ExecutorLock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Opens a lock file, accessible to its user only: any process that can open a file can lock it.
#[cfg(unix)]
pub(super) fn open(path: &Path) -> io::Result<File> {
    use std::fs::{OpenOptions, Permissions};
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .mode(OWNER_ONLY)
        .open(path)?;
    // The file may have wider permissions: from an earlier release, or changed by hand.
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(OWNER_ONLY))?;
    }
    Ok(file)
}

#[cfg(not(unix))]
pub(super) fn open(path: &Path) -> io::Result<File> {
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
    fn lock_file_is_accessible_to_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        drop(ExecutorLock::try_acquire(&path).unwrap().unwrap());
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let taken = ExecutorLock::try_acquire(&path).unwrap().unwrap();
        assert_eq!(mode(), 0o600);
        assert!(ExecutorLock::try_acquire(&path).unwrap().is_none());
        drop(taken);
        assert!(ExecutorLock::try_acquire(&path).unwrap().is_some());
    }
}
