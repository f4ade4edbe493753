//! `[[channel]]`: a channel through which messages are delivered.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use super::error::Result;
use super::http::RequestKind;
use super::toml_reader::Table;
use super::{HttpConfig, SmtpConfig};
use crate::Rate;
use promoflow_document::{did_you_mean, quoted};

/// A channel of a configuration file.
#[derive(Clone, Debug)]
pub struct ChannelConfig {
    /// The transport, with the keys of its type.
    pub transport: Transport,
    /// The rate limit of attempts; unlimited without it.
    pub rate: Option<Rate>,
}

/// The transport of a channel, by its `type`.
#[derive(Clone, Debug)]
pub enum Transport {
    /// Email through a mail server.
    Smtp(SmtpConfig),
    /// Messages of some kinds through a provider over HTTP.
    Http(Arc<HttpConfig>),
    /// Files that mail programs open, for messages of every kind.
    Maildir(MaildirConfig),
    /// Standard error, for messages of every kind.
    Console,
}

/// The settings of a Maildir.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MaildirConfig {
    /// The folder.
    pub folder: PathBuf,
}

const TYPES: [&str; 4] = ["smtp", "http", "maildir", "console"];

impl ChannelConfig {
    pub(super) fn read(mut table: Table<'_>) -> Result<ChannelConfig> {
        let kind: Option<Spanned<String>> = table.take("type")?;
        let Some(kind) = kind else {
            let message = format_args!("missing `type`; expected one of {}", TYPES.join(", "));
            return Err(table.error_at(message));
        };
        let rate = table.take("rate")?;
        let (source, at) = (table.source, table.at.clone());
        let transport = match kind.get_ref().as_str() {
            "smtp" => {
                let smtp: SmtpConfig = table.into()?;
                smtp.check().map_err(|error| source.error_at(at, error))?;
                Transport::Smtp(smtp)
            }
            "http" => Transport::Http(Arc::new(HttpConfig::read(table, RequestKind::Deliveries)?)),
            "console" => {
                table.reject_unknown(&["type"])?;
                Transport::Console
            }
            "maildir" => Transport::Maildir(table.into()?),
            other => {
                let hint = did_you_mean(other, TYPES)
                    .unwrap_or_else(|| format!("expected one of {}", TYPES.join(", ")));
                let message = format_args!("unknown type {}; {hint}", quoted(other));
                return Err(source.error_at(kind.span(), message));
            }
        };
        Ok(ChannelConfig { transport, rate })
    }
}
