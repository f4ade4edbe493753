//! `[webhook.NAME]`: servers that are told of alerts.

use std::sync::Arc;

use super::HttpConfig;
use super::file::Table;
use super::http::Of;
use promoflow_document::{did_you_mean, shown};
use promoflow_model::alert::Rule;

/// The longest name of a webhook, in characters.
const MAX_NAME_CHARS: usize = 50;

/// A server that is told of alerts.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// Its name, by which alerts name it.
    pub name: String,
    /// How to tell it.
    pub request: Arc<HttpConfig>,
}

/// Reads the table of all webhooks.
pub(super) fn read(table: Option<Table<'_>>) -> anyhow::Result<Vec<WebhookConfig>> {
    let Some(table) = table else {
        return Ok(Vec::new());
    };
    let source = table.source;
    let webhooks = table.into_entries().into_iter().map(|(name, value)| {
        let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || name.len() > MAX_NAME_CHARS || !name.chars().all(letters) {
            let message = format_args!(
                "the webhook {} needs a name of letters, digits, `-` and `_`, {MAX_NAME_CHARS} at \
                 most",
                shown(&name)
            );
            return Err(source.fault(value.span(), message));
        }
        let request = HttpConfig::read(Table::new(source, value)?, Of::Events)?;
        Ok(WebhookConfig {
            name,
            request: Arc::new(request),
        })
    });
    webhooks.collect()
}

/// What is wrong with the webhooks that a rule names.
pub(super) fn check(rule: &Rule, webhooks: &[WebhookConfig]) -> Result<(), String> {
    let known = |name: &&String| webhooks.iter().any(|one| one.name == **name);
    let Some(unknown) = rule.webhooks.iter().find(|name| !known(name)) else {
        return Ok(());
    };
    let names = webhooks.iter().map(|one| one.name.as_str());
    let hint = did_you_mean(unknown, names)
        .unwrap_or_else(|| format!("expected a section [webhook.{unknown}]"));
    Err(format!("no webhook is called {}; {hint}", shown(unknown)))
}
