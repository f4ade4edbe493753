//! `[webhook.NAME]`: servers that are notified of alerts.

use std::sync::Arc;

use super::HttpConfig;
use super::error::Result;
use super::http::RequestKind;
use super::toml_reader::Table;
use promoflow_document::{did_you_mean, quoted};
use promoflow_model::alert::Rule;

/// The longest name of a webhook, in characters.
const MAX_NAME_CHARS: usize = 50;

/// A server that is notified of alerts.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// The name that alerts use.
    pub name: String,
    /// The request that notifies it.
    pub request: Arc<HttpConfig>,
}

/// Reads all webhooks.
pub(super) fn read(table: Option<Table<'_>>) -> Result<Vec<WebhookConfig>> {
    let Some(table) = table else {
        return Ok(Vec::new());
    };
    let source = table.source;
    let webhooks = table.into_entries().into_iter().map(|(name, value)| {
        let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || name.len() > MAX_NAME_CHARS || !name.chars().all(letters) {
            let message = format_args!(
                "webhook {}: invalid name; expected letters, digits, `-` and `_`, at most \
                 {MAX_NAME_CHARS}",
                quoted(&name)
            );
            return Err(source.error_at(value.span(), message));
        }
        let request = HttpConfig::read(Table::new(source, value)?, RequestKind::Events)?;
        Ok(WebhookConfig {
            name,
            request: Arc::new(request),
        })
    });
    webhooks.collect()
}

/// Checks that the webhooks of a rule exist.
pub(super) fn check(rule: &Rule, webhooks: &[WebhookConfig]) -> Result<(), String> {
    let known = |name: &&String| webhooks.iter().any(|one| one.name == **name);
    let Some(unknown) = rule.webhooks.iter().find(|name| !known(name)) else {
        return Ok(());
    };
    let names = webhooks.iter().map(|one| one.name.as_str());
    let hint = did_you_mean(unknown, names)
        .unwrap_or_else(|| format!("expected a section [webhook.{unknown}]"));
    Err(format!("unknown webhook {}; {hint}", quoted(unknown)))
}
