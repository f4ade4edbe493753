//! The error of an export of traces that cannot start.

use std::io;

use promoflow_config::SecretError;
use promoflow_net::ClientError;
use promoflow_store::StoreError;

/// An export of traces that cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// A secret of a header cannot be used. The operator must provide it.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The client cannot be set up.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The export library refused its settings. The operator must change them.
    #[error("cannot export traces")]
    Exporter(#[source] opentelemetry_otlp::ExporterBuildError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system refused a thread. A retry may help.
    #[error("cannot start the trace thread")]
    Thread(#[source] io::Error),
}
