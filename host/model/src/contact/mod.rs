//! Contacts: a small directory of the people that events are about.
//!
//! A [`Contact`] has an id, addresses, fields, languages, a time zone, and what it said of being
//! written to. It is filled from files, row by row, and from events, whose parameters state a
//! [`NewContact`] each. A [`Name`] is what one is looked up by.

mod address;
mod params;
pub mod rows;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use chrono_tz::Tz;
use serde_json::{Map, Value};

pub use address::AddressKind;
pub use params::{IDENTIFYING_PARAMS, identifying, is_placeholder, params_of};
pub use params::{is_same_param, tells_contact};
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

    /// The contact as it is with what is stated of it besides.
    #[must_use]
    pub fn with(mut self, new: &NewContact) -> Contact {
        if let Some(id) = new.id.as_ref().filter(|_| self.id.is_empty()) {
            self.id.clone_from(id);
        }
        if new.external_id.is_some() {
            self.external_id.clone_from(&new.external_id);
        }
        for (kind, address) in &new.addresses {
            self.addresses.insert(*kind, address.clone());
        }
        self
    }

    /// What messages may say of it, by name: its fields, and its addresses where no field is called
    /// so.
    pub fn values(&self) -> Map<String, Value> {
        let mut values = self.fields.clone();
        let addresses = [(AddressKind::Email, "Email"), (AddressKind::Phone, "Phone")];
        for (kind, name) in addresses {
            if let Some(address) = self.addresses.get(&kind)
                && !values.keys().any(|field| field.eq_ignore_ascii_case(name))
            {
                values.insert(name.to_owned(), address.as_str().into());
            }
        }
        values
    }

    /// Whether a text is its id, its external id or one of its addresses.
    pub fn is(&self, text: &str) -> bool {
        !text.is_empty()
            && (self.id == text
                || self.external_id.as_deref() == Some(text)
                || has_address(&self.addresses, text))
    }

    /// Whether it asked not to be written to over a channel.
    pub fn refuses(&self, channel: ChannelKind) -> bool {
        self.consent.get(&channel) == Some(&false)
    }
}

fn has_address(addresses: &Addresses, text: &str) -> bool {
    addresses.iter().any(|(kind, address)| {
        kind.check(text)
            .is_ok_and(|other| kind.key(&other) == kind.key(address))
    })
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
    /// Whether a text is one of its addresses, however it is spelt.
    pub fn has_address(&self, text: &str) -> bool {
        has_address(&self.addresses, text)
    }

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
