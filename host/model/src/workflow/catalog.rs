//! What a workflow may refer to.

use crate::block::Description;
use crate::message::{ChannelKind, CodeTag, Read, Want};
use crate::pool::{Lane, LaneDoubt};

/// A block that a step may place.
#[derive(Clone, Debug)]
pub struct CatalogBlock<'c> {
    /// The SHA-256 of its component, in hexadecimal digits.
    pub digest: String,
    /// What it says of itself.
    pub description: &'c Description,
    /// Whether it may set values of the run.
    pub sets_values: bool,
}

/// A message that a step may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatalogMessage {
    /// How it reaches an address.
    pub channel: ChannelKind,
}

/// What a message needs of the run that sends it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// The values that it reads.
    pub reads: Vec<Read>,
    /// All that it reads, whether it may be missing or not.
    pub wants: Vec<Want>,
    /// The promo codes that its merge tags take.
    pub codes: Vec<CodeTag>,
}

/// The blocks and messages that there are.
pub trait Catalog {
    /// The block of that name.
    fn block(&self, name: &str) -> Option<CatalogBlock<'_>>;

    /// Why there is no block of that name, where that is known.
    fn why_missing(&self, _name: &str) -> Option<String> {
        None
    }

    /// The names of all blocks, for hints.
    fn block_names(&self) -> Vec<String>;

    /// The message of that id.
    fn message(&self, id: &str) -> Option<CatalogMessage>;

    /// What the message of that id needs.
    fn uses(&self, id: &str) -> Option<Uses>;

    /// The ids of all messages, for hints.
    fn message_ids(&self) -> Vec<String>;

    /// The names of parameters that events of that type have brought.
    fn event_values(&self, _event: &str) -> Vec<String> {
        Vec::new()
    }

    /// The names under which messages read what is known of contacts.
    fn contact_values(&self) -> Vec<String> {
        Vec::new()
    }

    /// Why no code of a lane can be taken at present.
    fn lane_doubt(&self, _lane: &Lane) -> Option<LaneDoubt> {
        None
    }
}
