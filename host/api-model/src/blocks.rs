//! Blocks.

use promoflow_block_host::LibraryBlock;
use serde::Serialize;
use serde_json::{Value, json};

/// A block.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Block {
    /// Name of the block.
    pub block: String,
    /// Version of the block.
    pub version: String,
    /// SHA-256 of its component, in hexadecimal.
    sha256: String,
    /// Host interfaces that it imports.
    pub imports: Vec<String>,
    /// Host interfaces that it is granted.
    pub grants: Vec<String>,
    /// Display name.
    pub title: String,
    /// Description; not in listings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Parameters; not in listings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Value>,
    /// Ports; not in listings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<Value>,
}

impl From<&LibraryBlock> for Block {
    fn from(known: &LibraryBlock) -> Block {
        let imports = known.block.imports().iter();
        let imports: Vec<String> = imports.map(|one| one.name().to_owned()).collect();
        Block {
            block: known.description.name.clone(),
            version: known.description.version.clone(),
            sha256: known.block.digest().to_owned(),
            grants: imports.clone(),
            imports,
            title: known.description.title.clone(),
            description: None,
            parameters: None,
            ports: None,
        }
    }
}

impl Block {
    /// Creates a block with its description, parameters and ports.
    pub fn with_details(known: &LibraryBlock) -> Block {
        Block {
            description: Some(known.description.description.clone()),
            parameters: Some(json!(known.description.parameters)),
            ports: Some(json!(known.description.ports)),
            ..known.into()
        }
    }
}
