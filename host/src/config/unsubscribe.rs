//! `[unsubscribe]`: where a tap on "unsubscribe" in a mail program leads.

use serde::Deserialize;

use super::Secret;
use super::file::Table;

/// Stands in the address for what tells the delivery.
const TOKEN: &str = "{token}";

/// Where mail programs unsubscribe their owner.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct UnsubscribeConfig {
    /// The address of the service with `{token}` in it.
    pub url: String,
    /// What tokens are signed with.
    pub secret: Secret,
}

impl UnsubscribeConfig {
    pub(super) fn read(table: Table<'_>) -> anyhow::Result<UnsubscribeConfig> {
        let (source, at) = (table.source, table.at.clone());
        let config: UnsubscribeConfig = table.into()?;
        config.check().map_err(|wrong| source.fault(at, wrong))?;
        Ok(config)
    }

    fn check(&self) -> Result<(), &'static str> {
        // RFC 8058 asks for HTTPS; plain HTTP is for trying it out.
        let http = ["http://", "https://"];
        let plain = !self
            .url
            .contains(|c: char| !c.is_ascii_graphic() || "<>\"".contains(c));
        let web = http.iter().any(|scheme| self.url.starts_with(scheme));
        if web && plain && self.url.matches(TOKEN).count() == 1 {
            return Ok(());
        }
        Err("`url` must be the address of this service such as https://shop.example/u/{token}")
    }

    /// The address with a token in it.
    pub(crate) fn with(&self, token: &str) -> String {
        self.url.replace(TOKEN, token)
    }
}
