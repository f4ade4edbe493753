//! The error of a client that cannot be set up.

use std::io;

/// A client that cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// A certificate cannot be trusted. The operator must replace it.
    #[error("cannot add a trusted certificate")]
    Certificate(#[source] rustls::Error),
    /// The TLS library refused its settings.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
    /// The HTTP library refused its settings.
    #[cfg(feature = "http")]
    #[error("cannot create an HTTP client")]
    Http(#[source] reqwest::Error),
    /// The operating system refused a thread. A retry may help.
    #[error("cannot start the thread for HTTP clients")]
    Thread(#[source] &'static io::Error),
}
