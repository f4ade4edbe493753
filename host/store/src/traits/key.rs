//! API keys.

use promoflow_model::clock::Timestamp;
use promoflow_model::key::Key;

use crate::Result;

/// API keys.
pub trait KeyStore: Send + Sync {
    /// Adds an API key.
    fn add_key(&self, key: &Key) -> Result<()>;

    /// Lists every API key, including revoked ones, the oldest first.
    fn keys(&self) -> Result<Vec<Key>>;

    /// Revokes an API key permanently. Returns false if there is no key with that id.
    fn revoke_key(&self, id: &str, at: Timestamp) -> Result<bool>;

    /// Returns a number that grows with every created or revoked key.
    fn key_generation(&self) -> Result<u64>;
}
