//! The error of an installation.

use std::error::Error as StdError;
use std::io;

use promoflow_store::StoreError;

/// An error whose text holds its causes.
type Cause = Box<dyn StdError + Send + Sync>;

/// A call that failed. The variant says who can do something about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store failed; [`StoreError`] says whether a retry helps and what an operator can do.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The configuration or a secret that it names is wrong, or it needs a feature of this crate
    /// that is off. The operator must change it.
    #[error(transparent)]
    Configuration(Cause),
    /// A block cannot be loaded. Whoever provides the block must change it.
    #[error(transparent)]
    Block(Cause),
    /// The caller passed a value that is not allowed.
    #[error("{0}")]
    Invalid(String),
    /// The operating system refused a thread, a file or random numbers. A retry may help.
    #[error(transparent)]
    System(Cause),
}

impl Error {
    pub(crate) fn configuration(error: impl Into<Cause>) -> Error {
        Error::Configuration(with_causes(error.into()))
    }

    pub(crate) fn block(error: impl Into<Cause>) -> Error {
        Error::Block(with_causes(error.into()))
    }

    /// Keeps an error of the store as such; anything else is an error of the system.
    pub(crate) fn start(error: anyhow::Error) -> Error {
        error.downcast().map_or_else(
            |error| Error::System(with_causes(error.into())),
            Error::Store,
        )
    }
}

/// Returns an error whose text holds all causes: who reads it has no other way to them.
fn with_causes(error: Cause) -> Cause {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text.into()
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::System(error.into())
    }
}

/// Returns the error of the store that this cause of an error is, if it is one.
pub fn store_error<'e>(cause: &'e (dyn StdError + 'static)) -> Option<&'e StoreError> {
    cause
        .downcast_ref()
        .or_else(|| match cause.downcast_ref()? {
            Error::Store(error) => Some(error),
            _ => None,
        })
}

/// The result of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;
