//! New folders.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process;

/// A folder that is removed when this value is dropped.
pub(crate) struct Folder(Option<PathBuf>);

impl Folder {
    /// Creates a folder that only its owner can read.
    pub(crate) fn create(parent: &Path, name: &str) -> io::Result<Folder> {
        let mut number = 0;
        loop {
            let path = parent.join(format!("{name}-{}-{number}", process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error),
                Ok(()) => return Ok(Folder(Some(path))),
            }
        }
    }

    /// Returns the path.
    pub(crate) fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }

    /// Returns the path of the folder, which is no longer removed.
    pub(crate) fn keep(mut self) -> PathBuf {
        self.0.take().unwrap_or_default()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = fs::remove_dir_all(path);
        }
    }
}
