//! Reads component files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

use super::LibraryError;
use super::component::MAX_COMPONENT_BYTES;

/// Reads a regular file or a link to one, up to the maximum size of a component.
pub(super) fn read_component(file: &Path) -> Result<Vec<u8>, LibraryError> {
    let unreadable = |source: io::Error| LibraryError::Unreadable {
        what: "block",
        path: file.to_owned(),
        source,
    };
    // Check before opening: opening a device may have side effects.
    check(file, &fs::metadata(file).map_err(unreadable)?)?;
    let opened = open(file).map_err(unreadable)?;
    let metadata = opened.metadata().map_err(unreadable)?;
    check(file, &metadata)?;
    let size = usize::try_from(metadata.len()).unwrap_or_default();
    let mut bytes = Vec::with_capacity(size.saturating_add(1));
    // The file may have grown since.
    opened
        .take(MAX_COMPONENT_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    check_size(file, bytes.len() as u64)?;
    Ok(bytes)
}

fn check(file: &Path, metadata: &fs::Metadata) -> Result<(), LibraryError> {
    if !metadata.is_file() {
        return Err(LibraryError::NotAFile(file.to_owned()));
    }
    check_size(file, metadata.len())
}

fn check_size(file: &Path, size: u64) -> Result<(), LibraryError> {
    match size > MAX_COMPONENT_BYTES as u64 {
        true => Err(LibraryError::TooLarge {
            file: file.to_owned(),
            size,
        }),
        false => Ok(()),
    }
}

/// Opens without blocking: the file may have been replaced by a pipe since the check.
fn open(file: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY);
    }
    options.open(file)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn refused(file: &Path) -> String {
        let error = read_component(file).expect_err("the file is rejected");
        error.to_string()
    }

    #[test]
    fn reads_only_regular_files() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("good.wasm"), b"bytes").unwrap();
        std::os::unix::fs::symlink(at("good.wasm"), at("link.wasm")).unwrap();
        assert_eq!(read_component(&at("good.wasm")).unwrap(), b"bytes");
        assert_eq!(read_component(&at("link.wasm")).unwrap(), b"bytes");

        fs::create_dir(at("folder.wasm")).unwrap();
        nix::unistd::mkfifo(&at("pipe.wasm"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("device.wasm")).unwrap();
        for name in ["folder.wasm", "pipe.wasm", "device.wasm"] {
            assert!(refused(&at(name)).contains("not a regular file"), "{name}");
        }
        std::os::unix::fs::symlink(at("two.wasm"), at("one.wasm")).unwrap();
        std::os::unix::fs::symlink(at("one.wasm"), at("two.wasm")).unwrap();
        assert!(refused(&at("one.wasm")).contains("cannot read the block"));
        let large = File::create(at("large.wasm")).unwrap();
        large.set_len(MAX_COMPONENT_BYTES as u64 + 1).unwrap();
        assert!(refused(&at("large.wasm")).contains("at most"));
        assert!(refused(&at("none.wasm")).contains("cannot read the block"));
    }
}
