//! Tokens that let the recipient of a message unsubscribe without a key or a password.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use promoflow_config::{SecretError, UnsubscribeConfig};
use promoflow_store::DeliveryId;

/// Minimum length of the secret in bytes: a shorter one could be guessed from its tokens.
const MIN_SECRET_BYTES: usize = 16;
/// Length of the signature in a token in bytes; 128 bits cannot be guessed.
const SIGNATURE_BYTES: usize = 16;

/// A secret of `[unsubscribe]` that cannot sign tokens. The operator must replace it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnsubscribeError {
    /// It cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// It is too short.
    #[error(
        "`secret` of [unsubscribe] must have at least {MIN_SECRET_BYTES} bytes; `openssl rand -hex \
         32` makes one"
    )]
    TooShort,
}

/// Creates and verifies tokens. A token contains a delivery id and no address, because URLs end up
/// in logs.
#[derive(Clone)]
pub struct Unsubscriber {
    config: UnsubscribeConfig,
    /// The state after the secret, from which each signature starts.
    mac: Hmac<Sha256>,
}

impl Unsubscriber {
    /// Reads the secret that the configuration names.
    pub fn new(config: &UnsubscribeConfig) -> Result<Unsubscriber, UnsubscribeError> {
        let secret = config.secret.read()?;
        if secret.len() < MIN_SECRET_BYTES {
            return Err(UnsubscribeError::TooShort);
        }
        let mac = Hmac::new_from_slice(secret.as_bytes());
        Ok(Unsubscriber {
            config: config.clone(),
            mac: mac.map_err(|_| UnsubscribeError::TooShort)?,
        })
    }

    /// Returns the unsubscribe URL of a delivery; it is the same in every attempt.
    pub fn url(&self, installation: &str, delivery: DeliveryId) -> String {
        self.config.with_token(&self.token(installation, delivery))
    }

    fn token(&self, installation: &str, delivery: DeliveryId) -> String {
        let signature = self.sign(installation, delivery);
        format!("{delivery}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn sign(&self, installation: &str, delivery: DeliveryId) -> [u8; SIGNATURE_BYTES] {
        let signed = format!("unsubscribe {installation} {delivery}");
        let tag = self
            .mac
            .clone()
            .chain_update(signed)
            .finalize()
            .into_bytes();
        let mut signature = [0; SIGNATURE_BYTES];
        signature.copy_from_slice(&tag[..SIGNATURE_BYTES]);
        signature
    }

    /// Returns the delivery of a valid token.
    pub fn delivery(&self, installation: &str, token: &str) -> Option<DeliveryId> {
        let (delivery, signature) = token.split_once('.')?;
        let delivery = delivery.parse().ok()?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let ours = self.sign(installation, delivery);
        bool::from(subtle::ConstantTimeEq::ct_eq(&signature[..], &ours[..])).then_some(delivery)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use promoflow_config::Config;

    fn unsubscriber(secret: &str) -> Result<Unsubscriber, UnsubscribeError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, secret).unwrap();
        let text = format!(
            "[unsubscribe]\nurl = \"https://shop.example/u/{{token}}\"\nsecret = {{ file = {file:?} }}\n"
        );
        let config = Config::parse("p.toml", &text).unwrap();
        Unsubscriber::new(&config.unsubscribe.unwrap())
    }

    #[test]
    fn a_token_is_valid_for_one_delivery_installation_and_secret() {
        let ours = unsubscriber("a secret of more than 16").unwrap();
        let url = ours.url("abc", DeliveryId(7));
        let token = url.strip_prefix("https://shop.example/u/").unwrap();
        assert_eq!(ours.delivery("abc", token), Some(DeliveryId(7)));
        assert_eq!(ours.delivery("abd", token), None);
        let (_, signature) = token.split_once('.').unwrap();
        for wrong in [
            format!("8.{signature}"),
            format!("7.{}", &signature[1..]),
            "7.".to_owned(),
            "7".to_owned(),
            String::new(),
        ] {
            assert_eq!(ours.delivery("abc", &wrong), None, "{wrong}");
        }
        let other = unsubscriber("another secret, as long").unwrap();
        assert_eq!(other.delivery("abc", token), None);
        assert!(unsubscriber("short").is_err());
    }
}
