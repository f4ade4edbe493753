//! Options of the service.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Listening address, TLS, limits and shutdown of the service.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address to listen on. Port 0 chooses any available port.
    pub listen: SocketAddr,
    /// Certificate for TLS; plain HTTP without one.
    pub tls: Option<Tls>,
    /// Limits for clients.
    pub limits: Limits,
    /// Maximum time to finish requests in progress during shutdown.
    pub drain: Duration,
}

/// A certificate and its private key, as PEM files.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Certificate, followed by its intermediate certificates.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Limits for clients.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Maximum events per second for each API key.
    pub events_per_second: u32,
    /// Maximum other requests per second for each API key.
    pub requests_per_second: u32,
    /// Maximum size of a request body other than an upload, in bytes.
    pub body_bytes: usize,
    /// Maximum size of a JSON upload, in bytes. It is echoed and therefore held in memory.
    pub json_upload_bytes: usize,
    /// Maximum size of a CSV upload, in bytes. It is streamed.
    pub upload_bytes: u64,
    /// Maximum number of concurrent file uploads; further ones get 503.
    pub uploads: usize,
    /// Maximum number of open connections. At the limit, a new connection replaces the oldest one
    /// without a valid API key, or else the oldest idle one; if all are busy, it waits. Lowered if
    /// necessary to leave the process 256 files to open.
    pub connections: usize,
    /// Maximum number of open connections from one address, or from one IPv6 /64 network. Defaults
    /// to half of [`connections`](Limits::connections).
    pub connections_per_address: Option<usize>,
    /// Timeout for the head of a request and for an idle connection.
    pub header_timeout: Duration,
    /// Maximum pause while a client sends a body or reads a response.
    pub body_timeout: Duration,
    /// Maximum time for an event to be committed.
    pub event_time: Duration,
}

impl Default for Options {
    /// 127.0.0.1:8080 without TLS, the default limits, and 30 seconds to shut down.
    fn default() -> Options {
        Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tls: None,
            limits: Limits::default(),
            drain: Duration::from_secs(30),
        }
    }
}

impl Default for Limits {
    /// 350 events and 200 other requests per second, as Yespo allows; bodies of 1 MiB; uploads of
    /// 16 MiB as JSON and 2 GiB as CSV, 4 at a time; 1024 connections, half of them from one
    /// address; timeouts of 15 seconds for a head, 30 for a pause in a body or response, and 60 for
    /// an event.
    fn default() -> Limits {
        Limits {
            events_per_second: 350,
            requests_per_second: 200,
            body_bytes: 1 << 20,
            json_upload_bytes: 16 << 20,
            upload_bytes: 2 << 30,
            uploads: 4,
            connections: 1024,
            connections_per_address: None,
            header_timeout: Duration::from_secs(15),
            body_timeout: Duration::from_secs(30),
            event_time: Duration::from_secs(60),
        }
    }
}
