//! The error of an installation.

use std::error::Error as StdError;
use std::fmt::Display;
use std::io;

use promoflow_block_host::SandboxError;
use promoflow_document::with_causes;
use promoflow_engine::run::EngineError;
use promoflow_store::StoreError;
#[cfg(feature = "otlp")]
use promoflow_trace::TraceError;

/// An error whose text holds its causes.
pub(crate) type Cause = Box<dyn StdError + Send + Sync>;

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
        Error::Configuration(flatten(error.into()))
    }

    pub(crate) fn invalid(error: impl Display) -> Error {
        Error::Invalid(error.to_string())
    }

    /// Sandboxes cannot be created: the machine, its settings or the folder for compiled blocks.
    pub(crate) fn sandboxes(error: SandboxError) -> Error {
        Error::Block(with_context("cannot create sandboxes for blocks", &error))
    }

    pub(crate) fn block(error: impl Into<Cause>) -> Error {
        Error::Block(flatten(error.into()))
    }
}

/// Returns an error whose text says what failed, and why.
pub(crate) fn with_context(what: impl Display, error: &(dyn StdError + 'static)) -> Cause {
    format!("{what}: {}", with_causes(error)).into()
}

/// Returns an error whose text holds all causes: who reads it has no other way to them.
fn flatten(error: Cause) -> Cause {
    with_causes(&*error).into()
}

impl From<EngineError> for Error {
    fn from(error: EngineError) -> Error {
        match error {
            EngineError::Store(error) => Error::Store(error),
            error => Error::System(flatten(error.into())),
        }
    }
}

#[cfg(feature = "otlp")]
impl From<TraceError> for Error {
    fn from(error: TraceError) -> Error {
        match error {
            TraceError::Store(error) => Error::Store(error),
            error @ TraceError::Thread(_) => Error::System(flatten(error.into())),
            error => Error::configuration(error),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::System(error.into())
    }
}

/// The result of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;
