//! Signatures as the Standard Webhooks specification 1.0.0 has them: HMAC-SHA256 of identity, time
//! and body, so that the other side knows who sent a request and that it is no repetition.

use anyhow::Context;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;

use promoflow_config::Secret;

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// The bytes of a secret.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// Signs with each of its secrets.
pub(super) struct Signer(Vec<hmac::Key>);

impl Signer {
    /// A signer with these secrets.
    pub(super) fn new(secrets: &[Secret]) -> anyhow::Result<Signer> {
        let keys = secrets.iter().map(|secret| {
            let text = secret.read()?;
            let bytes = text.trim().strip_prefix(PREFIX);
            bytes
                .and_then(|text| BASE64_STANDARD.decode(text).ok())
                .filter(|bytes| LENGTHS.contains(&bytes.len()))
                .map(|bytes| hmac::Key::new(hmac::HMAC_SHA256, &bytes))
                .with_context(|| {
                    format!(
                        "{secret} holds no secret for signatures; expected {PREFIX} and the base64 of \
                         {} to {} bytes",
                        LENGTHS.start(),
                        LENGTHS.end()
                    )
                })
        });
        Ok(Signer(keys.collect::<anyhow::Result<_>>()?))
    }

    /// The signatures of a request, one for each secret; none without secrets.
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
