//! The error of a channel that cannot be created.

#[cfg(feature = "smtp")]
use std::path::PathBuf;

use promoflow_config::SecretError;
use promoflow_net::ClientError;

/// A channel that cannot be created. The operator must change its configuration or a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// A secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A client cannot be set up.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// No certificate can be issued for the name of the mail server.
    #[cfg(feature = "smtp")]
    #[error("the host name {host} is not valid in a certificate")]
    HostName {
        /// The name.
        host: String,
        /// The reason.
        source: rustls::pki_types::InvalidDnsNameError,
    },
    /// The file of trusted authorities cannot be read.
    #[cfg(feature = "smtp")]
    #[error("cannot read `ca-file` {}", file.display())]
    UnreadableAuthorities {
        /// The file.
        file: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The file of trusted authorities holds none.
    #[cfg(feature = "smtp")]
    #[error("`ca-file` {} contains no certificate in PEM format", file.display())]
    NoAuthorities {
        /// The file.
        file: PathBuf,
        /// The error of its format, if it has one.
        source: Option<rustls::pki_types::pem::Error>,
    },
    /// A trusted authority cannot be used.
    #[cfg(feature = "smtp")]
    #[error("`ca-file`")]
    Authorities(#[source] ClientError),
    /// A secret for signatures has another format.
    #[cfg(feature = "http")]
    #[error("{secret} holds no signing secret; expected {expected}")]
    SigningSecret {
        /// Where the secret is.
        secret: String,
        /// The expected format.
        expected: String,
    },
    /// The secrets give requests that no server accepts.
    #[cfg(feature = "http")]
    #[error(
        "provider {host}: the configuration and its secrets give an invalid {part}; expected one \
         line each"
    )]
    InvalidRequest {
        /// The provider.
        host: String,
        /// The part of the request.
        part: String,
    },
}
