//! The blocks that workflows may place: the standard ones, and those of a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::component::Block;
use super::file::read_component;
use super::sandbox::{Grants, Sandboxes};
use promoflow_document::tame_line;
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

/// A block that workflows may place.
#[derive(Clone)]
pub struct LibraryBlock {
    /// The compiled block.
    pub block: Arc<Block>,
    /// What it says of itself.
    pub description: Description,
    /// The component.
    pub bytes: Arc<[u8]>,
}

/// Blocks by name.
#[derive(Clone, Default)]
pub struct BlockLibrary {
    blocks: BTreeMap<String, LibraryBlock>,
    /// Names that two components have: none of them may be placed.
    ambiguous: BTreeSet<String>,
    refused: Vec<RefusedBlock>,
}

/// A file of a folder of blocks that could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedBlock {
    /// The file.
    pub file: PathBuf,
    /// Why not, with the file.
    pub why: String,
}

impl BlockLibrary {
    /// The standard blocks.
    pub fn standard(sandboxes: &Arc<Sandboxes>) -> Result<BlockLibrary> {
        let mut library = BlockLibrary::default();
        for (name, bytes) in STANDARD_BLOCKS {
            library
                .add(sandboxes, bytes, &Grants::all())
                .with_context(|| format!("the standard block `{name}`"))?;
        }
        Ok(library)
    }

    /// Adds every `*.wasm` of a folder. One that cannot be loaded leaves the others alone: it is
    /// logged, and kept among the [`refused`](Self::refused).
    pub fn add_folder(
        &mut self,
        sandboxes: &Arc<Sandboxes>,
        folder: &Path,
        grants: &Grants,
    ) -> Result<()> {
        let cannot = || format!("cannot read the folder of blocks {}", folder.display());
        let mut files = fs::read_dir(folder)
            .with_context(cannot)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()
            .with_context(cannot)?;
        files.retain(|file| {
            file.extension()
                .is_some_and(|extension| extension == "wasm")
        });
        files.sort();
        for file in files {
            if let Err(error) = self.add_file(sandboxes, &file, grants) {
                let why = tame_line(&format!("{error:#}"));
                tracing::error!("a block cannot be loaded: {why}");
                self.refused.push(RefusedBlock { file, why });
            }
        }
        Ok(())
    }

    /// Adds the component of one file.
    pub fn add_file(
        &mut self,
        sandboxes: &Arc<Sandboxes>,
        file: &Path,
        grants: &Grants,
    ) -> Result<String> {
        let bytes = read_component(file)?;
        self.add(sandboxes, &bytes, grants)
            .with_context(|| file.display().to_string())
    }

    /// Adds a component, and gives its name.
    pub fn add(
        &mut self,
        sandboxes: &Arc<Sandboxes>,
        bytes: &[u8],
        grants: &Grants,
    ) -> Result<String> {
        let block = Block::load(sandboxes, bytes, grants)?;
        let description = block.describe()?;
        let name = description.name.clone();
        let other = self.blocks.get(&name);
        if self.ambiguous.contains(&name)
            || other.is_some_and(|other| other.block.digest() != block.digest())
        {
            if other.is_some_and(|other| !is_standard(&other.bytes)) {
                // Which of them was meant cannot be told.
                self.blocks.remove(&name);
                self.ambiguous.insert(name.clone());
            }
            bail!("there are two blocks named `{name}`; rename one, or take it away");
        }
        let block = LibraryBlock {
            block: Arc::new(block),
            description,
            bytes: bytes.into(),
        };
        self.blocks.insert(name.clone(), block);
        Ok(name)
    }

    /// The block of that name.
    pub fn get(&self, name: &str) -> Option<&LibraryBlock> {
        self.blocks.get(name)
    }

    /// The files of folders that could not be loaded.
    pub fn refused(&self) -> &[RefusedBlock] {
        &self.refused
    }

    /// Why there is no block of that name, where that is known.
    pub fn why_missing(&self, name: &str) -> Option<String> {
        if self.ambiguous.contains(name) {
            return Some(format!("there are two blocks named `{name}`"));
        }
        let stem = |file: &RefusedBlock| file.file.file_stem().is_some_and(|stem| stem == name);
        let refused = self.refused.iter().find(|file| stem(file));
        refused.map(|file| file.why.clone())
    }

    /// All blocks in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &LibraryBlock)> {
        self.blocks
            .iter()
            .map(|(name, block)| (name.as_str(), block))
    }
}

/// Whether a component came with this host.
pub(super) fn is_standard(component: &[u8]) -> bool {
    let mut standard = STANDARD_BLOCKS.iter();
    standard.any(|(_, bytes)| *bytes == component)
}
