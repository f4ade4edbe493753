//! The demo's folder: the shipped example, and a database next to it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use promoflow_installation::default_maildir;

use crate::error::CliError;

/// Marks a folder that a demo created, so that the next demo may replace its files.
const MARKER_FILE: &str = ".promoflow-demo";
/// The demo's database.
pub(super) const DATABASE: &str = "shop.db";

/// The configuration of a demo whose database is not in its folder.
pub(super) const CONFIG: &str = "demo.toml";

macro_rules! example {
    ($file:literal) => {
        (
            $file,
            include_bytes!(concat!("../../demo/", $file)) as &[u8],
        )
    };
}

/// The files of the folder.
const FILES: [(&str, &[u8]); 5] = [
    example!("codes.csv"),
    example!("message.yaml"),
    example!("birthday.html"),
    example!("workflow.yaml"),
    example!("events.jsonl"),
];

/// Returns a file of the example.
pub(super) fn example(name: &str) -> &'static [u8] {
    let found = FILES.iter().find(|(file, _)| *file == name);
    found.map_or(&[], |(_, bytes)| bytes)
}

/// Prepares the folder: removes an earlier demo, and writes the files of the example.
pub(super) fn prepare(folder: &Path) -> Result<(), CliError> {
    let cannot = |error: io::Error| {
        CliError::failed(format_args!("cannot prepare {}: {error}", folder.display()))
    };
    if folder.exists() && !folder.is_dir() {
        let message = format!("{}: not a folder", folder.display());
        return Err(CliError::invalid_input(message).with_hint("name another folder with --dir"));
    }
    fs::create_dir_all(folder).map_err(cannot)?;
    let empty = fs::read_dir(folder).map_err(cannot)?.next().is_none();
    if !empty && !folder.join(MARKER_FILE).is_file() {
        let message = format!("{}: not empty, and not created by a demo", folder.display());
        return Err(
            CliError::invalid_input(message).with_hint("name an empty or new folder with --dir")
        );
    }
    remove_earlier_demo(folder).map_err(cannot)?;
    fs::write(
        folder.join(MARKER_FILE),
        "`promoflow demo` created this folder and replaces its files.\n",
    )
    .map_err(cannot)?;
    for (file, bytes) in FILES {
        fs::write(folder.join(file), bytes).map_err(cannot)?;
    }
    Ok(())
}

/// Writes the configuration of a demo whose database is not in its folder: messages are in the
/// folder in any case. Returns its path.
pub(super) fn write_config(folder: &Path) -> Result<PathBuf, CliError> {
    let file = folder.join(CONFIG);
    let write = || {
        let mail = std::path::absolute(default_maildir(folder.join(DATABASE)))?;
        let mail = serde_json::to_string(&mail.display().to_string())?;
        fs::write(
            &file,
            format!("[[channel]]\ntype = \"maildir\"\nfolder = {mail}\n"),
        )
    };
    match write() {
        Ok(()) => Ok(file),
        Err(error) => {
            let message = format_args!("cannot write {}: {error}", file.display());
            Err(CliError::failed(message))
        }
    }
}

/// Removes the files of an earlier demo, and nothing else.
fn remove_earlier_demo(folder: &Path) -> io::Result<()> {
    let unless_absent = |removed: io::Result<()>| match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    for suffix in ["", "-wal", "-shm", "-executor"] {
        unless_absent(fs::remove_file(folder.join(format!("{DATABASE}{suffix}"))))?;
    }
    unless_absent(fs::remove_file(folder.join(CONFIG)))?;
    unless_absent(fs::remove_dir_all(default_maildir(folder.join(DATABASE))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_only_empty_folders_and_demo_folders() {
        let folder = tempfile::tempdir().unwrap();
        let demo = folder.path().join("demo");
        prepare(&demo).unwrap();
        fs::write(demo.join(DATABASE), "old").unwrap();
        fs::write(demo.join("mine"), "kept").unwrap();
        prepare(&demo).unwrap();
        assert!(!demo.join(DATABASE).exists());
        assert!(demo.join("mine").exists());
        fs::remove_file(demo.join(MARKER_FILE)).unwrap();
        assert!(prepare(&demo).is_err());
    }
}
