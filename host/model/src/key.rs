//! API keys and their scopes.
//!
//! A key is shown once, when it is created: `pf_ID_SECRET`. The id is public and identifies the
//! key. Only a SHA-256 of the key is stored, which suffices because the secret has 256 random bits.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::clock::Timestamp;

/// Prefix of every key, so that scanners for leaked secrets recognise it.
const PREFIX: &str = "pf_";
/// Random bytes of an id, enough to make it unique within a database.
const ID_BYTES: usize = 8;
/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;

/// Scope of an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Upload, retire and read promo codes.
    Codes,
    /// Send events.
    Events,
    /// Change and read contacts.
    Contacts,
    /// Change and read workflows, messages, runs and deliveries.
    Workflows,
    /// Read everything except API keys.
    Read,
    /// Read the metrics, and nothing else.
    Metrics,
    /// Everything, including API keys.
    Admin,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Scope; 7] = [
        Scope::Codes,
        Scope::Events,
        Scope::Contacts,
        Scope::Workflows,
        Scope::Read,
        Scope::Metrics,
        Scope::Admin,
    ];

    /// Default scopes of a key: all except administration.
    pub const DEFAULT: [Scope; 6] = [
        Scope::Codes,
        Scope::Events,
        Scope::Contacts,
        Scope::Workflows,
        Scope::Read,
        Scope::Metrics,
    ];

    /// Returns the scope's name.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Codes => "codes",
            Scope::Events => "events",
            Scope::Contacts => "contacts",
            Scope::Workflows => "workflows",
            Scope::Read => "read",
            Scope::Metrics => "metrics",
            Scope::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Error for an unknown scope name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a scope; expected codes, events, contacts, workflows, read, metrics or admin"
)]
pub struct ParseScopeError(String);

/// Error for an empty list of scopes; such a key would be useless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an API key needs at least one scope of codes, events, contacts, workflows, read, metrics and \
     admin"
)]
pub struct EmptyScopesError;

impl FromStr for Scope {
    type Err = ParseScopeError;

    fn from_str(text: &str) -> Result<Scope, ParseScopeError> {
        let text = text.trim();
        Scope::ALL
            .into_iter()
            .find(|scope| scope.name() == text)
            .ok_or_else(|| ParseScopeError(text.chars().take(40).collect()))
    }
}

/// A stored key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Public id.
    pub id: String,
    /// SHA-256 of the whole key.
    pub hash: [u8; 32],
    /// Scopes, without duplicates.
    pub scopes: Vec<Scope>,
    /// Time of creation.
    pub created: Timestamp,
    /// Time of revocation, if it was revoked.
    pub revoked: Option<Timestamp>,
}

/// A new key, with its secret, which is not available later.
pub struct NewKey {
    /// The key as it is stored.
    pub key: Key,
    /// The key itself. Must not be logged or included in errors.
    pub secret: String,
}

impl Key {
    /// Generates a key. Fails if the system has no randomness available.
    pub fn generate(scopes: &[Scope], now: Timestamp) -> Result<NewKey, getrandom::Error> {
        let mut id = [0; ID_BYTES];
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut id)?;
        getrandom::fill(&mut secret)?;
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let secret = format!("{PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(secret));
        let mut scopes = scopes.to_vec();
        scopes.sort_unstable();
        scopes.dedup();
        let hash = Sha256::digest(secret.as_bytes()).into();
        let key = Key {
            id,
            hash,
            scopes,
            created: now,
            revoked: None,
        };
        Ok(NewKey { key, secret })
    }

    /// Returns the id of a presented key; `None` if its format is invalid.
    pub fn parse_id(presented: &str) -> Option<&str> {
        let (id, secret) = presented.strip_prefix(PREFIX)?.split_once('_')?;
        (!id.is_empty() && !secret.is_empty()).then_some(id)
    }

    /// Returns true if the presented key is this key. The comparison takes constant time.
    pub fn matches(&self, presented: &str) -> bool {
        let hash: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
        self.hash.ct_eq(&hash).into()
    }

    /// Returns true if the key has this scope or `admin`.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_only_the_whole_key_and_extracts_its_id() {
        let made = Key::generate(&[Scope::Read, Scope::Codes, Scope::Read], Timestamp(7)).unwrap();
        assert_eq!(Key::parse_id(&made.secret), Some(made.key.id.as_str()));
        assert!(made.key.matches(&made.secret));
        assert!(!made.key.matches(&made.secret[..made.secret.len() - 1]));
        assert_eq!(made.key.scopes, [Scope::Codes, Scope::Read]);
        // `pf_`, 8 bytes in hexadecimal, `_`, 32 bytes in base64.
        assert_eq!(made.secret.len(), 3 + 16 + 1 + 43);
        let other = Key::generate(&[], Timestamp(7)).unwrap();
        assert_ne!(other.secret, made.secret);
        for wrong in ["", "pf_", "pf_id", "pf__secret", "xx_id_secret"] {
            assert_eq!(Key::parse_id(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn admin_allows_everything() {
        let admin = Key::generate(&[Scope::Admin], Timestamp(0)).unwrap().key;
        let read = Key::generate(&[Scope::Read], Timestamp(0)).unwrap().key;
        assert!(Scope::ALL.into_iter().all(|scope| admin.allows(scope)));
        assert!(read.allows(Scope::Read) && !read.allows(Scope::Events));
        assert!("reads".parse::<Scope>().is_err());
    }
}
