//! Contacts: a small directory of the people whom events are about.
//!
//! A [`Contact`] has an id, addresses, fields, languages, a time zone and consent. It is created
//! and updated from files, row by row, and from the parameters of events, each of which gives a
//! [`NewContact`]. A [`ContactKey`] looks up a contact.

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
pub use params::{identifies_contact, is_same_param};
pub use rows::ContactReader;

use crate::message::ChannelKind;

/// Maximum length of an id, in characters.
pub const MAX_ID_CHARS: usize = 100;
/// Maximum length of an external id, in characters; it equals that of an event key.
pub const MAX_EXTERNAL_ID_CHARS: usize = 300;
/// Maximum length of a field name, in characters.
pub const MAX_FIELD_NAME_CHARS: usize = 100;
/// Maximum number of fields of a contact.
pub const MAX_FIELDS: usize = 200;
/// Maximum number of languages of a contact.
pub const MAX_LANGUAGES: usize = 10;

/// Addresses by kind, at most one of each.
pub type Addresses = BTreeMap<AddressKind, String>;
/// Consent to messages, by channel. A missing channel has neither consent nor refusal, so messages
/// are allowed.
pub type Consent = BTreeMap<ChannelKind, bool>;

/// A contact in the directory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contact {
    /// The id; unique and never changed.
    pub id: String,
    /// The id in another system; unique.
    pub external_id: Option<String>,
    /// The addresses. Several contacts may share one.
    pub addresses: Addresses,
    /// Further values by name, for messages.
    pub fields: Map<String, Value>,
    /// The preferred languages as BCP 47 tags, the best first.
    pub languages: Vec<String>,
    /// The time zone.
    pub time_zone: Option<Tz>,
    /// Consent by channel.
    pub consent: Consent,
}

impl Contact {
    /// Returns the address for a channel.
    pub fn address(&self, channel: ChannelKind) -> Option<&str> {
        let kind = AddressKind::of(channel);
        self.addresses.get(&kind).map(String::as_str)
    }

    /// Returns the contact with the ids and addresses of `new` added.
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

    /// Returns the values for messages by name: the fields, and the addresses unless a field has
    /// the same name.
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

    /// Returns true if a text is the id, the external id or one of the addresses.
    pub fn matches(&self, text: &str) -> bool {
        !text.is_empty()
            && (self.id == text
                || self.external_id.as_deref() == Some(text)
                || has_address(&self.addresses, text))
    }

    /// Returns true if the contact unsubscribed from a channel.
    pub fn has_unsubscribed(&self, channel: ChannelKind) -> bool {
        self.consent.get(&channel) == Some(&false)
    }
}

fn has_address(addresses: &Addresses, text: &str) -> bool {
    addresses.iter().any(|(kind, address)| {
        kind.check(text)
            .is_ok_and(|other| kind.key(&other) == kind.key(address))
    })
}

/// The values that a row or an event gives for a contact. Anything left out stays unchanged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewContact {
    /// The line in the file, counted from 1; 0 without a file.
    pub line: u64,
    /// The id.
    pub id: Option<String>,
    /// The id in another system.
    pub external_id: Option<String>,
    /// The addresses.
    pub addresses: Addresses,
    /// Further values by name.
    pub fields: Map<String, Value>,
    /// The preferred languages.
    pub languages: Option<Vec<String>>,
    /// The time zone.
    pub time_zone: Option<Tz>,
    /// Consent by channel.
    pub consent: Consent,
}

impl NewContact {
    /// Returns true if a text is one of the addresses, in any spelling.
    pub fn has_address(&self, text: &str) -> bool {
        has_address(&self.addresses, text)
    }

    /// Returns true if anything identifies the contact.
    pub fn is_identified(&self) -> bool {
        self.id.is_some() || self.external_id.is_some() || !self.addresses.is_empty()
    }
}

/// An identifier by which a contact is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContactKey {
    /// The id.
    Id(String),
    /// The id in another system.
    ExternalId(String),
    /// An address. If several contacts share it, the oldest one is found.
    Address(AddressKind, String),
    /// Any of these, tried in this order, as far as the text has their form.
    Any(String),
}

impl ContactKey {
    /// Returns the names that a text may be, in the order in which they are tried.
    pub fn candidates(self) -> Vec<ContactKey> {
        let ContactKey::Any(text) = self else {
            return vec![self];
        };
        let mut names = vec![
            ContactKey::Id(text.clone()),
            ContactKey::ExternalId(text.clone()),
        ];
        let address = |kind: AddressKind| {
            let address = kind.check(&text).ok()?;
            Some(ContactKey::Address(kind, address))
        };
        names.extend(AddressKind::ALL.into_iter().filter_map(address));
        names
    }
}
