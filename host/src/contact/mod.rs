//! Contacts: a small directory of the people that events are about.
//!
//! A [`Contact`] has an id, addresses, fields, languages, a time zone, and what it said of being
//! written to. It is filled from files, row by row, and from events, whose parameters state a
//! [`NewContact`] each. A [`Name`] is what one is looked up by.

mod address;
mod import;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use chrono_tz::Tz;
use serde_json::{Map, Value};

pub use address::AddressKind;
pub use import::{ContactOptions, import};
pub use rows::ContactReader;

use crate::message::ChannelKind;

/// The longest id, in characters; an external id may be as long as an event's key.
pub const MAX_ID_CHARS: usize = 100;
/// The longest external id, in characters.
pub const MAX_EXTERNAL_ID_CHARS: usize = 300;
/// The longest name of a field, in characters.
pub const MAX_FIELD_NAME_CHARS: usize = 100;
/// Fields that a contact may have.
pub const MAX_FIELDS: usize = 200;
/// Languages that a contact may name.
pub const MAX_LANGUAGES: usize = 10;

/// Addresses by kind, one of each.
pub type Addresses = BTreeMap<AddressKind, String>;
/// Whether somebody may be written to, by channel. A channel that is missing: nothing was said,
/// and nothing forbids it.
pub type Consent = BTreeMap<ChannelKind, bool>;

/// A person as the directory has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contact {
    /// Its id; unique, and never changed.
    pub id: String,
    /// The id that another system has for it; unique.
    pub external_id: Option<String>,
    /// Where it is reached. Several contacts may share an address.
    pub addresses: Addresses,
    /// What else is known, by name: for messages.
    pub fields: Map<String, Value>,
    /// The languages that it reads, the best first, as BCP 47 tags.
    pub languages: Vec<String>,
    /// Where its clock is.
    pub time_zone: Option<Tz>,
    /// What it said of being written to.
    pub consent: Consent,
}

impl Contact {
    /// The address by which a channel reaches it.
    pub fn address(&self, channel: ChannelKind) -> Option<&str> {
        let kind = AddressKind::of(channel);
        self.addresses.get(&kind).map(String::as_str)
    }

    /// Whether it asked not to be written to over a channel.
    pub fn refuses(&self, channel: ChannelKind) -> bool {
        self.consent.get(&channel) == Some(&false)
    }
}

/// What a row or an event states of a contact. What it leaves out stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewContact {
    /// The line of the file, counted from 1; 0 where it comes from none.
    pub line: u64,
    /// Its id.
    pub id: Option<String>,
    /// The id that another system has for it.
    pub external_id: Option<String>,
    /// Where it is reached.
    pub addresses: Addresses,
    /// What else is known.
    pub fields: Map<String, Value>,
    /// The languages that it reads.
    pub languages: Option<Vec<String>>,
    /// Where its clock is.
    pub time_zone: Option<Tz>,
    /// What it said of being written to.
    pub consent: Consent,
}

impl NewContact {
    /// Whether anything tells who it is.
    pub fn is_somebody(&self) -> bool {
        self.id.is_some() || self.external_id.is_some() || !self.addresses.is_empty()
    }
}

/// What a contact is looked up by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// Its id.
    Id(String),
    /// Another system's id.
    ExternalId(String),
    /// An address. Of several contacts that share it, the one that was there first is meant.
    Address(AddressKind, String),
    /// Any of these, tried in this order, as far as the text may be one.
    Any(String),
}

impl Name {
    /// The names that a text may be, in the order in which they are tried.
    pub fn candidates(self) -> Vec<Name> {
        let Name::Any(text) = self else {
            return vec![self];
        };
        let mut names = vec![Name::Id(text.clone()), Name::ExternalId(text.clone())];
        let address = |kind: AddressKind| {
            let address = kind.check(&text).ok()?;
            Some(Name::Address(kind, address))
        };
        names.extend(AddressKind::ALL.into_iter().filter_map(address));
        names
    }
}
