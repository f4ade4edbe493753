//! API keys.

use promoflow_model::key::{self, Scope};
use serde::{Deserialize, Deserializer, Serialize};

/// An API key.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Key {
    /// Public id of the key.
    pub key: String,
    /// Scopes of the key.
    pub scopes: Vec<Scope>,
    /// Creation time, RFC 3339.
    pub created_at: String,
    /// Time of revocation, RFC 3339; null if the key is valid.
    pub revoked_at: Option<String>,
    /// The key itself; only in the response that creates it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

impl From<&key::Key> for Key {
    fn from(key: &key::Key) -> Key {
        Key {
            key: key.id.clone(),
            scopes: key.scopes.clone(),
            created_at: key.created.to_string(),
            revoked_at: key.revoked.map(|at| at.to_string()),
            secret: None,
        }
    }
}

/// The API key to create.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewKeyBody {
    /// Scopes of the key (default: all except `admin`).
    #[serde(default, deserialize_with = "deserialize_non_null")]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<Scope>, required = false, min_items = 1))]
    pub scopes: Option<Vec<Scope>>,
}

/// Rejects null, which would otherwise grant the default scopes.
fn deserialize_non_null<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Vec<Scope>>, D::Error> {
    Vec::deserialize(from).map(Some)
}
