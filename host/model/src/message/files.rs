//! Access to the files that a message refers to.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

/// Maximum size of an HTML file, in bytes. Mail programs truncate emails long before.
pub const MAX_HTML_BYTES: usize = 1024 * 1024;

/// Reads the files that a message refers to. Any function with the same signature implements it.
pub trait Files {
    /// Reads a file. The path is relative, stays within the folder, and is written with `/`.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;
}

impl<F: Fn(&str) -> io::Result<Vec<u8>>> Files for F {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self(path)
    }
}

/// The files in a folder and its subfolders.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Creates access to the files of a folder.
    pub fn new(folder: impl Into<PathBuf>) -> Folder {
        Folder(folder.into())
    }

    /// Creates access to the files next to the given one.
    pub fn containing(file: &Path) -> Folder {
        match file.parent() {
            Some(parent) if parent != Path::new("") => Folder::new(parent),
            _ => Folder::new("."),
        }
    }
}

impl Files for Folder {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let folder = self.0.canonicalize()?;
        let file = folder.join(path).canonicalize()?;
        // A symbolic link may leave the folder although the path itself does not.
        if !file.starts_with(&folder) {
            return Err(io::Error::other("it is outside the message's folder"));
        }
        // Reading a pipe or a device may never end.
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        let mut bytes = Vec::new();
        // Reads one byte more than is allowed, so that the caller notices a file that is too large.
        File::open(file)?
            .take(MAX_HTML_BYTES as u64 + 1)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Returns true if a path is relative and stays within its folder on every operating system.
pub(super) fn is_within_folder(path: &str) -> bool {
    !path.is_empty()
        && !path.contains(['\\', ':', '\0'])
        && Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_paths_within_the_folder() {
        for path in ["a.html", "mail/a.html", "./a.html", "..a.html"] {
            assert!(is_within_folder(path), "{path}");
        }
        for path in [
            "",
            "..",
            "../a.html",
            "a/../../b",
            "/etc/passwd",
            "C:\\a",
            "\\\\a\\b",
            "a\0",
        ] {
            assert!(!is_within_folder(path), "{path}");
        }
    }

    #[test]
    fn reads_files_only_within_the_folder() {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("messages");
        std::fs::create_dir_all(folder.join("sub")).unwrap();
        std::fs::write(folder.join("sub/a.html"), "<p>").unwrap();
        std::fs::write(outside.path().join("secret"), "x").unwrap();
        let files = Folder::containing(&folder.join("message.yaml"));
        assert_eq!(files.read("sub/a.html").unwrap(), b"<p>");
        assert_eq!(
            files.read("b.html").unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        assert_eq!(
            files.read("sub").unwrap_err().to_string(),
            "it is not a file"
        );
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(outside.path().join("secret"), folder.join("link")).unwrap();
            let error = files.read("link").unwrap_err();
            assert_eq!(error.to_string(), "it is outside the message's folder");
        }
    }

    #[test]
    fn stops_reading_large_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), vec![b'x'; MAX_HTML_BYTES + 100]).unwrap();
        let bytes = Folder::new(folder.path()).read("a").unwrap();
        assert_eq!(bytes.len(), MAX_HTML_BYTES + 1);
    }
}
