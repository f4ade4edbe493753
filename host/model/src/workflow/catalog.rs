//! The blocks and messages that a workflow may refer to.

use crate::block::Description;
use crate::message::{ChannelKind, CodeTag, TemplateReference, ValueReference};
use crate::pool::{CodeGroup, CodeGroupWarning};

/// A block that steps may use.
#[derive(Clone, Debug)]
pub struct CatalogBlock<'c> {
    /// The SHA-256 of the block's component, in hexadecimal.
    pub digest: String,
    /// The block's description of itself.
    pub description: &'c Description,
    /// True if the block may set values of the run.
    pub sets_values: bool,
}

/// A message that steps may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatalogMessage {
    /// The channel that delivers the message.
    pub channel: ChannelKind,
}

/// The values and codes that a message needs from the run that sends it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageNeeds {
    /// The values that the message reads without a default.
    pub reads: Vec<ValueReference>,
    /// All values that the message reads.
    pub template_references: Vec<TemplateReference>,
    /// The promo codes that the message's merge tags claim.
    pub codes: Vec<CodeTag>,
}

/// Access to the available blocks and messages.
pub trait Catalog {
    /// Returns the block of that name.
    fn block(&self, name: &str) -> Option<CatalogBlock<'_>>;

    /// Returns the reason why a block of that name is unavailable, if known.
    fn missing_reason(&self, _name: &str) -> Option<String> {
        None
    }

    /// Returns the names of all blocks, for hints.
    fn block_names(&self) -> Vec<String>;

    /// Returns the message of that id.
    fn message(&self, id: &str) -> Option<CatalogMessage>;

    /// Returns what the message of that id reads and claims.
    fn message_needs(&self, id: &str) -> Option<MessageNeeds>;

    /// Returns the ids of all messages, for hints.
    fn message_ids(&self) -> Vec<String>;

    /// Returns the names of parameters that past events of that type had.
    fn event_values(&self, _event: &str) -> Vec<String> {
        Vec::new()
    }

    /// Returns the names of the contact fields that messages can read.
    fn contact_values(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns a warning if no code of the group is currently available.
    fn code_group_warning(&self, _lane: &CodeGroup) -> Option<CodeGroupWarning> {
        None
    }
}
