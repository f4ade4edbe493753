//! `[unsubscribe]`: where a tap on "unsubscribe" in a mail program leads.

use reqwest::Url;
use serde::Deserialize;

use super::Secret;
use super::file::Table;
use super::url::must_be_encrypted;

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
        let plain = !self
            .url
            .contains(|c: char| !c.is_ascii_graphic() || "<>\"".contains(c));
        let url = Url::parse(&self.with("x")).ok().filter(Url::has_host);
        let Some(url) = url.filter(|_| plain && self.url.matches(TOKEN).count() == 1) else {
            return Err(
                "`url` must be the address of this service such as https://shop.example/u/{token}",
            );
        };
        // RFC 8058 asks for HTTPS; plain HTTP is for trying it out.
        must_be_encrypted(&url)
    }

    /// The address with a token in it.
    pub fn with(&self, token: &str) -> String {
        self.url.replace(TOKEN, token)
    }
}
