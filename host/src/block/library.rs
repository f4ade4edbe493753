//! The blocks that workflows may place: the standard ones, and those of a folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::component::{Block, MAX_COMPONENT_BYTES};
use super::description::Description;
use super::sandbox::{Grants, Sandboxes};

/// The components that come with the host, by file name.
pub const STANDARD_BLOCKS: [(&str, &[u8]); 2] = [
    (
        "get-promocode",
        include_bytes!(concat!(env!("OUT_DIR"), "/get-promocode.wasm")),
    ),
    (
        "send-message",
        include_bytes!(concat!(env!("OUT_DIR"), "/send-message.wasm")),
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

    /// Adds every `*.wasm` of a folder.
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
            self.add_file(sandboxes, &file, grants)?;
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
        if let Some(other) = self.blocks.get(&name)
            && other.block.digest() != block.digest()
        {
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

    /// All blocks in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &LibraryBlock)> {
        self.blocks
            .iter()
            .map(|(name, block)| (name.as_str(), block))
    }
}

/// Reads a component's file; one that is too large is not read at all.
fn read_component(file: &Path) -> Result<Vec<u8>> {
    let cannot = || format!("cannot read the block {}", file.display());
    let size = fs::metadata(file).with_context(cannot)?.len();
    if size > MAX_COMPONENT_BYTES as u64 {
        bail!(
            "{} has {size} bytes; at most {MAX_COMPONENT_BYTES} are loaded",
            file.display()
        );
    }
    fs::read(file).with_context(cannot)
}
