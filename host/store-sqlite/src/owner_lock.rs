//! Owner locks: they show whether the process that began an upload, or reserved an Idempotency-Key,
//! still runs.
//!
//! Each is an operating-system lock on a file next to the database, which exists only while its
//! owner runs and has begun something. The system releases the lock when the process ends for any
//! reason. So nobody must judge whether a silent process is dead.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::backup::{io_error, with_suffix};
use super::executor_lock::open;
use super::upload::random_name;
use super::{Result, StoreError};

/// The part of the file's name between that of the database and the owner's.
const INFIX: &str = "-owner-";

/// The lock of this owner. Released on drop.
#[derive(Debug)]
pub(super) struct OwnerLock {
    owner: String,
    path: PathBuf,
    _file: File,
}

impl OwnerLock {
    /// Creates an owner of things in a database.
    pub(super) fn acquire(database: &Path) -> Result<OwnerLock> {
        loop {
            let owner = random_name()?;
            let path = with_suffix(database, &format!("{INFIX}{owner}"));
            let file = open(&path).map_err(|error| io_error("create", &path, &error))?;
            match file.try_lock() {
                // Another process may have locked and removed the file before.
                Ok(()) if path.exists() => {
                    return Ok(OwnerLock {
                        owner,
                        path,
                        _file: file,
                    });
                }
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => {
                    return Err(io_error("lock", &path, &error).into());
                }
            }
        }
    }

    /// Returns the owner's name.
    pub(super) fn owner(&self) -> &str {
        &self.owner
    }
}

impl Drop for OwnerLock {
    fn drop(&mut self) {
        // If that fails, another process removes the file.
        let _removed = fs::remove_file(&self.path);
    }
}

/// The owners of things in a database, each looked up once.
pub(super) struct Owners<'d> {
    database: &'d Path,
    are_gone: HashMap<String, bool>,
}

impl<'d> Owners<'d> {
    pub(super) fn of(database: &'d Path) -> Owners<'d> {
        Owners {
            database,
            are_gone: HashMap::new(),
        }
    }

    /// Returns true if an owner has ended.
    pub(super) fn is_gone(&mut self, owner: &str) -> Result<bool> {
        if let Some(known) = self.are_gone.get(owner) {
            return Ok(*known);
        }
        let is_gone = remove_if_gone(&with_suffix(self.database, &format!("{INFIX}{owner}")))?;
        self.are_gone.insert(owner.to_owned(), is_gone);
        Ok(is_gone)
    }
}

/// Removes the files of owners that have ended without removing them.
pub(super) fn remove_abandoned(database: &Path) -> Result<()> {
    let (Some(folder), Some(name)) = (database.parent(), database.file_name()) else {
        return Ok(());
    };
    let mut prefix = OsString::from(name);
    prefix.push(INFIX);
    let entries = fs::read_dir(folder).map_err(|error| io_error("list", folder, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| io_error("list", folder, &error))?;
        let name = entry.file_name();
        let is_owners = name
            .as_encoded_bytes()
            .starts_with(prefix.as_encoded_bytes());
        if is_owners {
            remove_if_gone(&entry.path())?;
        }
    }
    Ok(())
}

/// Returns true if the owner with this file has ended, and removes the file. A file of another user
/// cannot be opened, so its owner counts as running.
fn remove_if_gone(path: &Path) -> Result<bool, StoreError> {
    let file = match File::options().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(false),
        Err(error) => return Err(io_error("open", path, &error)),
    };
    match file.try_lock() {
        Ok(()) => {
            // The owner may have removed it meanwhile.
            let _removed = fs::remove_file(path);
            Ok(true)
        }
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(io_error("lock", path, &error)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    #[test]
    fn an_owner_is_gone_once_its_lock_is_released() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("shop.db");
        let files = || fs::read_dir(folder.path()).unwrap().count();
        let (one, two) = (
            OwnerLock::acquire(&database).unwrap(),
            OwnerLock::acquire(&database).unwrap(),
        );
        let is_gone = |owner: &str| Owners::of(&database).is_gone(owner).unwrap();
        assert!(!is_gone(one.owner()) && !is_gone(two.owner()));
        remove_abandoned(&database).unwrap();
        assert_eq!(files(), 2);
        let ended = one.owner().to_owned();
        drop(one);
        assert!(is_gone(&ended) && !is_gone(two.owner()));
        assert_eq!(files(), 1);
        assert!(is_gone("unknown"));
    }

    #[test]
    fn files_of_killed_owners_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("shop.db");
        let left = |owner: &str| with_suffix(&database, &format!("{INFIX}{owner}"));
        fs::write(left("killed"), "").unwrap();
        fs::write(left("too"), "").unwrap();
        assert!(Owners::of(&database).is_gone("killed").unwrap());
        assert!(!left("killed").exists() && left("too").exists());
        let other = folder.path().join("other.db-owner-1");
        fs::write(&other, "").unwrap();
        remove_abandoned(&database).unwrap();
        assert!(!left("too").exists() && other.exists());
    }
}
