//! The configuration file, `promoflow.toml`: channels, alerts, and settings of the service.
//!
//! Every key is documented in `docs/configuration.md`. Unknown keys and invalid values are errors
//! with line and column; nothing is guessed.
//!
//! | module | contents |
//! | --- | --- |
//! | `channel`, `smtp`, `http`, `rate` | `[[channel]]`: how messages leave |
//! | `request_body`, `response_rule` | requests to providers, and the meaning of their responses |
//! | `alert`, `webhook` | `[[alert]]` and `[webhook.NAME]` |
//! | `serve`, `trace`, `unsubscribe` | settings of the service, the log, traces, unsubscribing |
//! | `secret`, `template`, `url` | kinds of values |
//! | `toml_reader`, `bounded`, `error` | reading of files, and errors |
//!
//! ```
//! use promoflow_config::Config;
//!
//! let config = Config::parse("promoflow.toml", "[[channel]]\ntype = \"console\"\n").expect("valid");
//! assert_eq!(config.channels.len(), 1);
//! let error = Config::parse("promoflow.toml", "databse = \"shop.db\"\n").expect_err("a typo");
//! assert!(error.to_string().starts_with("promoflow.toml:1:1: "), "{error}");
//! ```
//!
//! This crate is internal to Promoflow: its interface changes in any release. Programs depend on the
//! facade `promoflow` instead.
#![forbid(unsafe_code)]

mod alert;
mod bounded;
mod channel;
mod error;
mod http;
mod rate;
mod request_body;
mod response_rule;
mod secret;
mod serve;
mod smtp;
mod template;
#[cfg(test)]
mod tests;
mod toml_reader;
mod trace;
mod unsubscribe;
mod url;
mod webhook;

use std::path::{Path, PathBuf};

pub use bounded::read_bounded;
pub use channel::{ChannelConfig, MaildirConfig, Transport};
pub use error::{ConfigError, SecretError};
pub use http::template_variables;
pub use http::{HttpConfig, Method};
pub use rate::{ParseRateError, Rate};
pub use request_body::{JsonTemplate, RequestBody};
pub use response_rule::as_text;
pub use response_rule::{ResponseOutcome, ResponseRule, ValueCondition};
pub use secret::Secret;
pub use serve::{LogConfig, LogFormat, LogLevel, MAX_SECONDS, ServeConfig};
pub use smtp::is_smtp_name;
pub use smtp::{Security, SmtpConfig};
pub use template::ConfigTemplate;
pub use trace::TraceConfig;
pub use unsubscribe::UnsubscribeConfig;
pub use webhook::WebhookConfig;

use promoflow_model::alert::Rules;
use promoflow_model::database::Database;
use toml_reader::Source;

/// The maximum size of a configuration file, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// A configuration file.
#[derive(Debug, Default)]
pub struct Config {
    /// The channels. A delivery uses the first one that supports its kind.
    pub channels: Vec<ChannelConfig>,
    /// The rules that watch the pool.
    pub alerts: Rules,
    /// The webhooks that alerts notify.
    pub webhooks: Vec<WebhookConfig>,
    /// The settings of the service.
    pub serve: ServeConfig,
    /// The settings of the log.
    pub log: LogConfig,
    /// The export of traces.
    pub trace: Option<TraceConfig>,
    /// The address at which mail programs unsubscribe a contact.
    pub unsubscribe: Option<UnsubscribeConfig>,
    /// The database, unless an option or the environment names one.
    pub database: Option<Database>,
    /// Folders of blocks in addition to the standard ones.
    pub blocks: Vec<PathBuf>,
    /// The folder for compiled blocks.
    pub cache: Option<PathBuf>,
}

/// The known keys and sections.
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
    /// Parses a configuration; `name` appears in errors.
    pub fn parse(name: &str, text: &str) -> Result<Config, ConfigError> {
        let mut file = Source { name, text }.table()?;
        file.reject_unknown(&KEYS)?;
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
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let name = path.display().to_string();
        let text =
            bounded::read_text(path, MAX_BYTES).map_err(|source| ConfigError::Unreadable {
                file: path.to_owned(),
                source,
            })?;
        Config::parse(&name, &text)
    }
}
