//! Signatures by the Standard Webhooks specification 1.0.0: HMAC-SHA256 of id, time and body, by
//! which the receiver authenticates requests and detects replays.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;

use crate::ChannelError;
use promoflow_config::Secret;

/// The prefix of a secret.
const PREFIX: &str = "whsec_";
/// The valid lengths of a secret in bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// Signs requests with each of its secrets.
pub(super) struct Signer(Vec<hmac::Key>);

impl Signer {
    /// Reads these secrets.
    pub(super) fn new(secrets: &[Secret]) -> Result<Signer, ChannelError> {
        let keys = secrets.iter().map(|secret| {
            let text = secret.read()?;
            let bytes = text.trim().strip_prefix(PREFIX);
            bytes
                .and_then(|text| BASE64_STANDARD.decode(text).ok())
                .filter(|bytes| LENGTHS.contains(&bytes.len()))
                .map(|bytes| hmac::Key::new(hmac::HMAC_SHA256, &bytes))
                .ok_or_else(|| ChannelError::SigningSecret {
                    secret: secret.to_string(),
                    expected: format!(
                        "{PREFIX} and the base64 of {} to {} bytes",
                        LENGTHS.start(),
                        LENGTHS.end()
                    ),
                })
        });
        Ok(Signer(keys.collect::<Result<_, ChannelError>>()?))
    }

    /// Returns the signatures of a request, one for each secret; `None` without secrets.
    pub(super) fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> Option<String> {
        let signatures = self.0.iter().map(|key| {
            let mut signed = hmac::Context::with_key(key);
            signed.update(format!("{id}.{seconds}.").as_bytes());
            signed.update(body);
            format!("v1,{}", BASE64_STANDARD.encode(signed.sign()))
        });
        let signatures: Vec<String> = signatures.collect();
        (!signatures.is_empty()).then(|| signatures.join(" "))
    }
}
