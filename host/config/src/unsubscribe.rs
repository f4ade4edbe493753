//! `[unsubscribe]`: the address that mail programs open to unsubscribe a contact.

use serde::Deserialize;
use url::Url;

use super::Secret;
use super::error::Result;
use super::toml_reader::Table;
use super::url::check_encrypted;

/// The placeholder in the address for the token that identifies the delivery.
const TOKEN: &str = "{token}";

/// The address that mail programs open to unsubscribe a contact.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct UnsubscribeConfig {
    /// The address of the service, containing `{token}`.
    pub url: String,
    /// The secret that signs tokens.
    pub secret: Secret,
}

impl UnsubscribeConfig {
    pub(super) fn read(table: Table<'_>) -> Result<UnsubscribeConfig> {
        let (source, at) = (table.source, table.at.clone());
        let config: UnsubscribeConfig = table.into()?;
        config.check().map_err(|error| source.error_at(at, error))?;
        Ok(config)
    }

    fn check(&self) -> Result<(), &'static str> {
        let plain = !self
            .url
            .contains(|c: char| !c.is_ascii_graphic() || "<>\"".contains(c));
        let url = Url::parse(&self.with_token("x")).ok().filter(Url::has_host);
        let Some(url) = url.filter(|_| plain && self.url.matches(TOKEN).count() == 1) else {
            return Err(
                "`url` must be the address of this service such as https://shop.example/u/{token}",
            );
        };
        // RFC 8058 requires HTTPS; plain HTTP is for trying it out on this machine.
        check_encrypted(&url)
    }

    /// Returns the address with a token in it.
    pub fn with_token(&self, token: &str) -> String {
        self.url.replace(TOKEN, token)
    }
}
