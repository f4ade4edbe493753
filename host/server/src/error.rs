//! Errors of the service as a whole.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A service that cannot start, or that had to stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The installation cannot start, or another release migrated its database.
    #[error(transparent)]
    Installation(#[from] promoflow_installation::Error),
    /// The certificate and its key cannot be used. The operator must replace them.
    #[error("cannot use the certificate {} with the key {}", certificate.display(), key.display())]
    Certificate {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the private key.
        key: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The address is in use or not of this machine. The operator must choose another one.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        source: io::Error,
    },
    /// The operating system refused the threads or signals of the service. A retry may help.
    #[error("cannot {what}")]
    System {
        /// What it refused.
        what: &'static str,
        /// The error of the system.
        source: io::Error,
    },
    /// The service failed while it ran.
    #[error("the service ended")]
    Ended(#[source] io::Error),
}

/// The reason why a service is not known to be ready.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// The options name no fixed port.
    #[error("cannot probe a service that listens on port 0; set a fixed port")]
    NoPort,
    /// The client cannot be set up.
    #[error("cannot create an HTTP client")]
    Client(#[source] Box<dyn Error + Send + Sync>),
    /// No service responds.
    #[error("no service responds at {url}")]
    Unreachable {
        /// The address.
        url: String,
        /// The error of the request.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The service responds that it is not ready.
    #[error("the service at {url} is not ready: status {status}")]
    NotReady {
        /// The address.
        url: String,
        /// The status code.
        status: u16,
    },
}
