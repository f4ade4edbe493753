//! Errors of the sandboxes and of the library of blocks.

use std::io;
use std::path::PathBuf;

use super::component::{BlockError, MAX_COMPONENT_BYTES};

/// Sandboxes that cannot be created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// Others could put code into the folder for compiled blocks. The operator must change its
    /// permissions or choose another one.
    #[error("{0}")]
    CacheFolder(String),
    /// The WebAssembly engine cannot run on this machine with these bounds.
    #[error("{0}")]
    Engine(String),
    /// The operating system refused a thread. A retry may help.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

/// A block that cannot be added to a library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LibraryError {
    /// A file or a folder cannot be read. The operator must change the path or its permissions.
    #[error("cannot read the {what} {}", path.display())]
    Unreadable {
        /// What it should be.
        what: &'static str,
        /// The path.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The path is a folder, a device or a pipe.
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// The file is larger than any block.
    #[error("{} has at least {size} bytes; expected at most {MAX_COMPONENT_BYTES}", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// Two different components have this name.
    #[error("two blocks are named `{0}`; rename or remove one")]
    Ambiguous(String),
    /// The component is not a valid block. Whoever provides it must change it.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The component in a file cannot be added.
    #[error("{}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// The reason.
        source: Box<LibraryError>,
    },
    /// A standard block cannot be added: it is damaged, or this machine cannot run it.
    #[error("the standard block `{name}`")]
    Standard {
        /// The name of its file.
        name: &'static str,
        /// The reason.
        source: Box<LibraryError>,
    },
}
