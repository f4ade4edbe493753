//! `[serve]` and `[log]`: how the service runs and what it tells.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// The longest that the service may be told to wait, in seconds: a day. More is a slip, and
/// moments so far off cannot be reckoned with.
pub const LONGEST_SECONDS: u64 = 24 * 60 * 60;

/// What `promoflow serve` is started with, where neither an option nor the environment says it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ServeConfig {
    /// Where it listens.
    pub listen: Option<SocketAddr>,
    /// The certificate to speak TLS with.
    pub tls_certificate: Option<PathBuf>,
    /// Its private key.
    pub tls_key: Option<PathBuf>,
    /// Events a second that each API key may send.
    pub events_per_second: Option<NonZeroU32>,
    /// Other requests a second that each API key may make.
    pub requests_per_second: Option<NonZeroU32>,
    /// Seconds that a client may take for the head of a request.
    #[serde(default, deserialize_with = "seconds")]
    pub header_time: Option<NonZeroU64>,
    /// Seconds that a client may pause while it sends a body.
    #[serde(default, deserialize_with = "seconds")]
    pub body_pause: Option<NonZeroU64>,
    /// Connections at one time.
    pub connections: Option<NonZeroU64>,
    /// Connections of one address at one time.
    pub connections_per_address: Option<NonZeroU64>,
    /// Seconds for requests under way to end.
    #[serde(default, deserialize_with = "seconds")]
    pub drain: Option<u64>,
}

/// Seconds, no more than a day of them.
fn seconds<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Copy + Into<u64>,
{
    let seconds = T::deserialize(deserializer)?;
    match seconds.into() <= LONGEST_SECONDS {
        true => Ok(Some(seconds)),
        false => Err(D::Error::custom(format_args!(
            "expected seconds, {LONGEST_SECONDS} (a day) at most"
        ))),
    }
}

/// What is told on standard error.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LogConfig {
    /// How a line looks.
    pub format: Option<LogFormat>,
    /// From which level on.
    pub level: Option<LogLevel>,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What failed.
    Error,
    /// And what is odd.
    Warn,
    /// And each request.
    Info,
    /// And each event and delivery.
    Debug,
    /// And what libraries tell.
    Trace,
}
