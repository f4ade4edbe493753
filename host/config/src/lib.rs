//! The configuration file, `promoflow.toml`: how letters leave the host, what of the pool is
//! watched, and how the service runs.
//!
//! Every key is documented in `docs/configuration.md`. What is unknown or wrong is an error with its
//! line and column; nothing is guessed.

mod alert;
mod answer;
mod body;
mod bounded;
mod channel;
mod file;
mod http;
mod rate;
mod secret;
mod serve;
mod smtp;
mod template;
#[cfg(test)]
mod tests;
mod trace;
mod unsubscribe;
mod url;
mod webhook;

use std::path::{Path, PathBuf};

use anyhow::Context;

pub use answer::as_text;
pub use answer::{Answer, Means, ValueTest};
pub use body::{Body, Json};
pub use bounded::read_bounded;
pub use channel::{ChannelConfig, MaildirConfig, Transport};
pub use http::letter_and_event_values;
pub use http::{HttpConfig, Method};
pub use rate::{ParseRateError, Rate};
pub use secret::Secret;
pub use serve::{LONGEST_SECONDS, LogConfig, LogFormat, LogLevel, ServeConfig};
pub use smtp::is_smtp_name;
pub use smtp::{Security, SmtpConfig};
pub use template::Templated;
pub use trace::TraceConfig;
pub use unsubscribe::UnsubscribeConfig;
pub use webhook::WebhookConfig;

use file::Source;
use promoflow_model::alert::Rules;

/// The largest configuration file.
const MAX_BYTES: u64 = 1 << 20;

/// A configuration file.
#[derive(Debug, Default)]
pub struct Config {
    /// The channels. A letter goes through the first that takes its kind.
    pub channels: Vec<ChannelConfig>,
    /// What of the pool is watched.
    pub alerts: Rules,
    /// Servers that are told of alerts.
    pub webhooks: Vec<WebhookConfig>,
    /// How the service runs.
    pub serve: ServeConfig,
    /// What is told on standard error.
    pub log: LogConfig,
    /// Where traces go.
    pub trace: Option<TraceConfig>,
    /// Where mail programs unsubscribe their owner.
    pub unsubscribe: Option<UnsubscribeConfig>,
    /// The database, where nothing else names it.
    pub database: Option<PathBuf>,
    /// Folders of blocks beside the standard ones.
    pub blocks: Vec<PathBuf>,
    /// The folder for compiled blocks.
    pub cache: Option<PathBuf>,
}

/// The keys and sections that there are.
const KEYS: [&str; 10] = [
    "channel",
    "alert",
    "webhook",
    "serve",
    "log",
    "trace",
    "unsubscribe",
    "database",
    "blocks",
    "cache",
];

impl Config {
    /// Reads a configuration; `name` stands in errors.
    pub fn parse(name: &str, text: &str) -> anyhow::Result<Config> {
        let mut file = Source { name, text }.table()?;
        file.refuse_unknown(&KEYS)?;
        let channels = file.take_tables("channel")?.into_iter();
        let webhooks = webhook::read(file.take_table("webhook")?)?;
        let mut alerts = Vec::new();
        for table in file.take_tables("alert")? {
            alerts.push(alert::read(table, &alerts, &webhooks)?);
        }
        Ok(Config {
            channels: channels
                .map(ChannelConfig::read)
                .collect::<Result<_, _>>()?,
            alerts: Rules::new(alerts),
            webhooks,
            serve: file.take("serve")?.unwrap_or_default(),
            log: file.take("log")?.unwrap_or_default(),
            trace: match file.take_table("trace")? {
                Some(table) => Some(TraceConfig::read(table)?),
                None => None,
            },
            unsubscribe: match file.take_table("unsubscribe")? {
                Some(table) => Some(UnsubscribeConfig::read(table)?),
                None => None,
            },
            database: file.take("database")?,
            blocks: file.take("blocks")?.unwrap_or_default(),
            cache: file.take("cache")?,
        })
    }

    /// Reads a configuration file.
    pub fn read(path: &Path) -> anyhow::Result<Config> {
        let name = path.display().to_string();
        let text =
            bounded::read_text(path, MAX_BYTES).with_context(|| format!("cannot read {name}"))?;
        Config::parse(&name, &text)
    }
}
