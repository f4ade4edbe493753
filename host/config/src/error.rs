//! Errors of the configuration and of the secrets that it names.

use std::io;
use std::path::PathBuf;

/// A configuration that cannot be used. The operator must change it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A key or a value is wrong.
    #[error("{file}:{line}:{column}: {message}")]
    Invalid {
        /// The name of the file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// What is wrong, and what is expected.
        message: String,
    },
    /// This is not the address of a trace collector.
    #[error("{0}")]
    Collector(String),
}

/// A secret that cannot be used. The operator must provide it; its value is in no error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// No environment variable has this name.
    #[error("environment variable {0} is not set")]
    NotSet(String),
    /// The environment variable with this name is not UTF-8.
    #[error("environment variable {0} is not UTF-8")]
    NotUnicode(String),
    /// The file cannot be read.
    #[error("cannot read the secret in {}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The secret in this place is empty.
    #[error("{0} is empty")]
    Empty(String),
    /// The secret in this place cannot be the value of an HTTP header.
    #[error("{0}: invalid value for a header")]
    NotHeaderValue(String),
    /// The secret of a header of `[trace]` cannot be used.
    #[error("the header {name} of [trace]")]
    TraceHeader {
        /// The header.
        name: String,
        /// The reason.
        source: Box<SecretError>,
    },
}

/// The result of a function that reads a part of the configuration.
pub(super) type Result<T, E = ConfigError> = std::result::Result<T, E>;
