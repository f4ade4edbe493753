//! Secrets: named in the configuration, kept elsewhere, printed nowhere.

use std::env::VarError;
use std::fmt;
use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use serde::Deserialize;

use super::bounded::read_text;

/// The largest file of a secret.
const MAX_BYTES: u64 = 64 << 10;

/// Where a secret is kept: `{ env = "NAME" }` or `{ file = "path" }`. A secret itself cannot stand in
/// the configuration, which is copied and shown.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    try_from = "toml::Value",
    expecting = "a secret is named as { env = \"NAME\" } or { file = \"path\" }"
)]
pub struct Secret(Kept);

#[derive(Clone, Debug)]
enum Kept {
    Env(String),
    File(PathBuf),
}

impl TryFrom<toml::Value> for Secret {
    type Error = &'static str;

    fn try_from(value: toml::Value) -> Result<Secret, Self::Error> {
        let expected = "a secret is named as { env = \"NAME\" } or { file = \"path\" }";
        let table = value.as_table().filter(|table| table.len() == 1);
        let text = |name: &str| table?.get(name)?.as_str().map(str::to_owned);
        match (text("env"), text("file")) {
            (Some(name), _) => Ok(Secret(Kept::Env(name))),
            (_, Some(path)) => Ok(Secret(Kept::File(path.into()))),
            _ => Err(expected),
        }
    }
}

/// The place, never the secret.
impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kept::Env(name) => write!(f, "the variable {name}"),
            Kept::File(path) => write!(f, "the file {}", path.display()),
        }
    }
}

impl Secret {
    /// The secret, as its place holds it now; a line break at its end is none of it.
    pub fn read(&self) -> anyhow::Result<String> {
        let text = match &self.0 {
            // The error of the standard library repeats what the variable holds.
            Kept::Env(name) => std::env::var(name).map_err(|error| match error {
                VarError::NotPresent => {
                    anyhow!("the variable {name} holds no secret: it is not set")
                }
                VarError::NotUnicode(_) => {
                    anyhow!("the variable {name} holds no secret: it is not UTF-8")
                }
            })?,
            Kept::File(path) => read_text(path, MAX_BYTES)
                .with_context(|| format!("cannot read the secret in {}", path.display()))?,
        };
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() {
            bail!("{self} holds an empty secret");
        }
        Ok(secret.to_owned())
    }
}
