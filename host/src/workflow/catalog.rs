//! What a workflow may refer to.

use crate::block::Description;
use crate::message::ChannelKind;

/// A block that a step may place.
#[derive(Clone, Debug)]
pub struct CatalogBlock<'c> {
    /// The SHA-256 of its component, in hexadecimal digits.
    pub digest: String,
    /// What it says of itself.
    pub description: &'c Description,
}

/// A message that a step may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatalogMessage {
    /// How it reaches an address.
    pub channel: ChannelKind,
}

/// The blocks and messages that there are.
pub trait Catalog {
    /// The block of that name.
    fn block(&self, name: &str) -> Option<CatalogBlock<'_>>;

    /// The names of all blocks, for hints.
    fn block_names(&self) -> Vec<String>;

    /// The message of that id.
    fn message(&self, id: &str) -> Option<CatalogMessage>;

    /// The ids of all messages, for hints.
    fn message_ids(&self) -> Vec<String>;
}
