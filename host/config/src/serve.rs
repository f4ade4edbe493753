//! `[serve]` and `[log]`: settings of the service and of the log.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// The maximum of every time setting, in seconds: a day. Longer times are probably mistakes, and
/// very long ones overflow the clock.
pub const MAX_SECONDS: u64 = 24 * 60 * 60;

/// The settings of `promoflow serve`; options and environment variables override them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ServeConfig {
    /// The address to listen on.
    pub listen: Option<SocketAddr>,
    /// The TLS certificate.
    pub tls_certificate: Option<PathBuf>,
    /// The private key of the certificate.
    pub tls_key: Option<PathBuf>,
    /// Events per second that each API key may send.
    pub events_per_second: Option<NonZeroU32>,
    /// Other requests per second that each API key may make.
    pub requests_per_second: Option<NonZeroU32>,
    /// Maximum seconds for the head of a request.
    #[serde(default, deserialize_with = "seconds")]
    pub header_timeout: Option<NonZeroU64>,
    /// Maximum seconds without data while a client sends a body.
    #[serde(default, deserialize_with = "seconds")]
    pub body_timeout: Option<NonZeroU64>,
    /// Maximum number of connections.
    pub connections: Option<NonZeroU64>,
    /// Maximum number of connections per address.
    pub connections_per_address: Option<NonZeroU64>,
    /// Seconds that requests in progress may take on shutdown.
    #[serde(default, deserialize_with = "seconds")]
    pub drain: Option<u64>,
}

/// Deserializes a number of seconds of at most a day.
fn seconds<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Copy + Into<u64>,
{
    let seconds = T::deserialize(deserializer)?;
    match seconds.into() <= MAX_SECONDS {
        true => Ok(Some(seconds)),
        false => Err(D::Error::custom(format_args!(
            "expected at most {MAX_SECONDS} seconds (a day)"
        ))),
    }
}

/// The settings of the log on standard error.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LogConfig {
    /// The format of a line.
    pub format: Option<LogFormat>,
    /// The lowest level that is logged.
    pub level: Option<LogLevel>,
}

/// The format of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The lowest level that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Failures only.
    Error,
    /// Also suspicious conditions.
    Warn,
    /// Also requests.
    Info,
    /// Also events and deliveries.
    Debug,
    /// Also messages of libraries.
    Trace,
}
