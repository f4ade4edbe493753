//! API keys: who may call the service, and for what.
//!
//! A key is shown once, when it is made: `pf_ID_SECRET`. The id is public and finds the key; what
//! is stored of the rest is a SHA-256, which suffices since the secret has 256 random bits.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::clock::Timestamp;

/// What every key begins with, so that scanners for leaked secrets find it.
const PREFIX: &str = "pf_";
/// Random bytes of an id: enough that two keys of one database never share it.
const ID_BYTES: usize = 8;
/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;

/// What a key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// To upload, set aside and look at promo codes.
    Codes,
    /// To send events.
    Events,
    /// To change and look at contacts.
    Contacts,
    /// To change and look at workflows, messages, runs and deliveries.
    Workflows,
    /// To look at everything but keys.
    Read,
    /// To look at the metrics, and at nothing else.
    Metrics,
    /// Everything, keys included.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Scope; 7] = [
        Scope::Codes,
        Scope::Events,
        Scope::Contacts,
        Scope::Workflows,
        Scope::Read,
        Scope::Metrics,
        Scope::Admin,
    ];

    /// What a key allows where nothing is said: all but to manage keys.
    pub const USUAL: [Scope; 6] = [
        Scope::Codes,
        Scope::Events,
        Scope::Contacts,
        Scope::Workflows,
        Scope::Read,
        Scope::Metrics,
    ];

    /// As people write it.
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

/// A text that names no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a scope; expected codes, events, contacts, workflows, read, metrics or admin"
)]
pub struct ParseScopeError(String);

/// A list of scopes without any: a key of it would open nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an API key needs a scope; expected some of codes, events, contacts, workflows, read, metrics and \
     admin"
)]
pub struct NoScopes;

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

/// A key as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its public part.
    pub id: String,
    /// SHA-256 of the whole key.
    pub hash: [u8; 32],
    /// What it allows, each once.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created: Timestamp,
    /// Since when it is refused.
    pub revoked: Option<Timestamp>,
}

/// A key that was just made: the only moment at which it is known whole.
pub struct NewKey {
    /// What is stored.
    pub key: Key,
    /// The key itself. Not part of any log or error.
    pub secret: String,
}

impl Key {
    /// Makes a key; fails where the machine gives no randomness.
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

    /// The id of a key that somebody shows; `None` where it has not the shape of one.
    pub fn id_of(shown: &str) -> Option<&str> {
        let (id, secret) = shown.strip_prefix(PREFIX)?.split_once('_')?;
        (!id.is_empty() && !secret.is_empty()).then_some(id)
    }

    /// Whether what is shown is this key. Takes the same time wherever the two differ.
    pub fn is(&self, shown: &str) -> bool {
        let hash: [u8; 32] = Sha256::digest(shown.as_bytes()).into();
        self.hash.ct_eq(&hash).into()
    }

    /// Whether it allows what needs that scope.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_recognised_whole_and_found_by_its_id() {
        let made = Key::generate(&[Scope::Read, Scope::Codes, Scope::Read], Timestamp(7)).unwrap();
        assert_eq!(Key::id_of(&made.secret), Some(made.key.id.as_str()));
        assert!(made.key.is(&made.secret));
        assert!(!made.key.is(&made.secret[..made.secret.len() - 1]));
        assert_eq!(made.key.scopes, [Scope::Codes, Scope::Read]);
        // `pf_`, 8 bytes in hexadecimal, `_`, 32 bytes in base64.
        assert_eq!(made.secret.len(), 3 + 16 + 1 + 43);
        let other = Key::generate(&[], Timestamp(7)).unwrap();
        assert_ne!(other.secret, made.secret);
        for wrong in ["", "pf_", "pf_id", "pf__secret", "xx_id_secret"] {
            assert_eq!(Key::id_of(wrong), None, "{wrong}");
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
