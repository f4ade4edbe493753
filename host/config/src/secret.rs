//! Secrets: named in the configuration, stored elsewhere, never printed.

use std::env::VarError;
use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

use super::SecretError;
use super::bounded::read_text;

/// The largest file of a secret, in bytes.
const MAX_BYTES: u64 = 64 << 10;

/// The location of a secret: `{ env = "NAME" }` or `{ file = "path" }`. The secret itself must not
/// be in the configuration, which is copied and shown.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    try_from = "toml::Value",
    expecting = "expected a secret as { env = \"NAME\" } or { file = \"path\" }"
)]
pub struct Secret(SecretLocation);

#[derive(Clone, Debug)]
enum SecretLocation {
    Env(String),
    File(PathBuf),
}

impl TryFrom<toml::Value> for Secret {
    type Error = &'static str;

    fn try_from(value: toml::Value) -> Result<Secret, Self::Error> {
        let expected = "expected a secret as { env = \"NAME\" } or { file = \"path\" }";
        let table = value.as_table().filter(|table| table.len() == 1);
        let text = |name: &str| table?.get(name)?.as_str().map(str::to_owned);
        match (text("env"), text("file")) {
            (Some(name), _) => Ok(Secret(SecretLocation::Env(name))),
            (_, Some(path)) => Ok(Secret(SecretLocation::File(path.into()))),
            _ => Err(expected),
        }
    }
}

/// Prints the location, never the secret.
impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            SecretLocation::Env(name) => write!(f, "environment variable {name}"),
            SecretLocation::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

impl Secret {
    /// Reads the secret from its location, without a line break at its end.
    pub fn read(&self) -> Result<String, SecretError> {
        let text = match &self.0 {
            // The error of the standard library repeats the value of the variable.
            SecretLocation::Env(name) => std::env::var(name).map_err(|error| match error {
                VarError::NotPresent => SecretError::NotSet(name.clone()),
                VarError::NotUnicode(_) => SecretError::NotUnicode(name.clone()),
            })?,
            SecretLocation::File(path) => {
                read_text(path, MAX_BYTES).map_err(|source| SecretError::Unreadable {
                    file: path.clone(),
                    source,
                })?
            }
        };
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() {
            return Err(SecretError::Empty(self.to_string()));
        }
        Ok(secret.to_owned())
    }
}
