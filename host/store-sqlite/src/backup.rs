//! Backup: a copy of the database while other connections write.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::connection::private_file_options;
use super::{Result, SqliteStore, StoreError};

/// Writes the database as it is at one moment into a new file, durably.
///
/// It reads a snapshot of the write-ahead log, so writers continue meanwhile and the copy never has
/// to start over.
pub(super) fn write(store: &SqliteStore, to: &Path) -> Result<()> {
    write_atomically(to, |unfinished| {
        let name = unfinished
            .to_str()
            .ok_or_else(|| StoreError::Open(format!("{} is not UTF-8", unfinished.display())))?;
        store.snapshot(name).map(|()| true)
    })
    .map(drop)
}

/// Creates a file under a temporary name and renames it once it is durable, so that a file named
/// `to` is always complete. `make` gets an empty file that only its owner can read, and fills it.
/// If it returns false or fails, nothing is left behind.
pub(super) fn write_atomically(
    to: &Path,
    make: impl FnOnce(&Path) -> Result<bool>,
) -> Result<bool> {
    // Reserves the name before anything is written, so that an existing file is never overwritten.
    let new = |path: &Path| {
        let made = private_file_options().create_new(true).open(path);
        made.map(drop)
            .map_err(|error| io_error("make", path, &error))
    };
    new(to)?;
    let unfinished = unfinished(to);
    let done = (|| {
        new(&unfinished)?;
        if !make(&unfinished)? {
            return Ok(false);
        }
        File::open(&unfinished)
            .and_then(|file| file.sync_all())
            .map_err(|error| io_error("make durable", &unfinished, &error))?;
        fs::rename(&unfinished, to).map_err(|error| io_error("write", to, &error))?;
        let folder = to.parent().filter(|folder| *folder != Path::new(""));
        let folder = folder.unwrap_or(Path::new("."));
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| io_error("make durable", folder, &error))?;
        Ok(true)
    })();
    if !matches!(done, Ok(true)) {
        for path in [&unfinished, to] {
            if let Err(error) = fs::remove_file(path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!("cannot remove {}: {error}", path.display());
            }
        }
    }
    done
}

pub(super) fn io_error(what: &str, path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Open(format!("cannot {what} {}: {error}", path.display()))
}

fn unfinished(to: &Path) -> PathBuf {
    with_suffix(to, &format!(".{}.unfinished", std::process::id()))
}

/// Returns the path with a suffix appended to its name.
pub(super) fn with_suffix(path: &Path, behind: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(behind);
    PathBuf::from(name)
}
