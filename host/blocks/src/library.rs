//! The blocks that workflows may use: the standard blocks and those of a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::LibraryError;
use super::component::Block;
use super::file::read_component;
use super::sandbox::{Grants, SandboxPool};
use promoflow_document::{sanitize_line, with_causes};
use promoflow_model::block::Description;

/// The components that come with the host, by file name.
pub const STANDARD_BLOCKS: [(&str, &[u8]); 2] = [
    (
        "get-promocode",
        include_bytes!("../components/get-promocode.wasm"),
    ),
    (
        "send-message",
        include_bytes!("../components/send-message.wasm"),
    ),
];

/// A block that workflows may use.
#[derive(Clone)]
pub struct LibraryBlock {
    /// The compiled block.
    pub block: Arc<Block>,
    /// Its description.
    pub description: Description,
    /// The component's bytes.
    pub bytes: Arc<[u8]>,
}

/// Blocks by name.
#[derive(Clone, Default)]
pub struct BlockLibrary {
    blocks: BTreeMap<String, LibraryBlock>,
    /// Names that two components use: neither of them may be used.
    ambiguous: BTreeSet<String>,
    rejected: Vec<RejectedBlock>,
}

/// A file that could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedBlock {
    /// The path.
    pub file: PathBuf,
    /// The error, including the path.
    pub why: String,
}

impl BlockLibrary {
    /// Returns the standard blocks.
    pub fn standard(sandboxes: &Arc<SandboxPool>) -> Result<BlockLibrary, LibraryError> {
        let mut library = BlockLibrary::default();
        for (name, bytes) in STANDARD_BLOCKS {
            library
                .add(sandboxes, bytes, &Grants::all())
                .map_err(|source| LibraryError::Standard {
                    name,
                    source: Box::new(source),
                })?;
        }
        Ok(library)
    }

    /// Adds every `*.wasm` file of a folder. A file that cannot be loaded is logged and kept in
    /// [`rejected`](Self::rejected); the others are added.
    pub fn add_folder(
        &mut self,
        sandboxes: &Arc<SandboxPool>,
        folder: &Path,
        grants: &Grants,
    ) -> Result<(), LibraryError> {
        let unreadable = |source: io::Error| LibraryError::Unreadable {
            what: "block folder",
            path: folder.to_owned(),
            source,
        };
        let mut files = fs::read_dir(folder)
            .map_err(unreadable)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(unreadable)?;
        files.retain(|file| {
            file.extension()
                .is_some_and(|extension| extension == "wasm")
        });
        files.sort();
        for file in files {
            if let Err(error) = self.add_file(sandboxes, &file, grants) {
                let why = sanitize_line(&with_causes(&error));
                tracing::error!("cannot load a block: {why}");
                self.rejected.push(RejectedBlock { file, why });
            }
        }
        Ok(())
    }

    /// Adds the component in a file.
    pub fn add_file(
        &mut self,
        sandboxes: &Arc<SandboxPool>,
        file: &Path,
        grants: &Grants,
    ) -> Result<String, LibraryError> {
        let bytes = read_component(file)?;
        self.add(sandboxes, &bytes, grants)
            .map_err(|source| LibraryError::File {
                file: file.to_owned(),
                source: Box::new(source),
            })
    }

    /// Adds a component and returns its name.
    pub fn add(
        &mut self,
        sandboxes: &Arc<SandboxPool>,
        bytes: &[u8],
        grants: &Grants,
    ) -> Result<String, LibraryError> {
        let block = Block::load(sandboxes, bytes, grants)?;
        let description = block.describe()?;
        let name = description.name.clone();
        let other = self.blocks.get(&name);
        if self.ambiguous.contains(&name)
            || other.is_some_and(|other| other.block.digest() != block.digest())
        {
            if other.is_some_and(|other| !is_standard(&other.bytes)) {
                // Neither of the two is used, because the intended one is unknown.
                self.blocks.remove(&name);
                self.ambiguous.insert(name.clone());
            }
            return Err(LibraryError::Ambiguous(name));
        }
        let block = LibraryBlock {
            block: Arc::new(block),
            description,
            bytes: bytes.into(),
        };
        self.blocks.insert(name.clone(), block);
        Ok(name)
    }

    /// Returns the block with this name.
    pub fn get(&self, name: &str) -> Option<&LibraryBlock> {
        self.blocks.get(name)
    }

    /// Returns the files that could not be loaded.
    pub fn rejected(&self) -> &[RejectedBlock] {
        &self.rejected
    }

    /// Returns the reason why there is no block with this name, if known.
    pub fn missing_reason(&self, name: &str) -> Option<String> {
        if self.ambiguous.contains(name) {
            return Some(format!("two blocks are named `{name}`"));
        }
        let stem = |file: &RejectedBlock| file.file.file_stem().is_some_and(|stem| stem == name);
        let refused = self.rejected.iter().find(|file| stem(file));
        refused.map(|file| file.why.clone())
    }

    /// Returns all blocks ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &LibraryBlock)> {
        self.blocks
            .iter()
            .map(|(name, block)| (name.as_str(), block))
    }
}

/// Returns true for the components that come with the host.
pub(super) fn is_standard(component: &[u8]) -> bool {
    let mut standard = STANDARD_BLOCKS.iter();
    standard.any(|(_, bytes)| *bytes == component)
}
