//! Contacts.

use std::collections::BTreeMap;

use promoflow_model::contact::{self, AddressKind};
use promoflow_model::message::ChannelKind;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A contact.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Contact {
    /// Id of the contact.
    pub contact: String,
    /// Id in an external system.
    pub external_id: Option<String>,
    /// Email address.
    pub email: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Tokens by channel.
    #[cfg_attr(feature = "schema", schema(example = json!({ "mobile-push": "f3a1" })))]
    pub tokens: BTreeMap<&'static str, String>,
    /// Further fields by name.
    #[cfg_attr(feature = "schema", schema(value_type = Object, example = json!({ "firstName": "Ann" })))]
    pub fields: Map<String, Value>,
    /// Preferred languages, most preferred first.
    #[cfg_attr(feature = "schema", schema(example = json!(["uk", "en"])))]
    pub languages: Vec<String>,
    /// Time zone.
    #[cfg_attr(feature = "schema", schema(example = "Europe/Kyiv"))]
    pub time_zone: Option<String>,
    /// Consent by channel; absent if neither given nor withdrawn.
    #[cfg_attr(feature = "schema", schema(example = json!({ "email": true })))]
    pub consent: BTreeMap<&'static str, bool>,
}

impl From<contact::Contact> for Contact {
    fn from(contact: contact::Contact) -> Contact {
        let address = |kind| contact.addresses.get(&kind).cloned();
        let tokens = AddressKind::TOKENS
            .into_iter()
            .filter_map(|kind| Some((kind.name(), address(kind)?)));
        let consent = contact.consent.iter();
        Contact {
            email: address(AddressKind::Email),
            phone: address(AddressKind::Phone),
            tokens: tokens.collect(),
            consent: consent
                .map(|(channel, given)| (channel.name(), *given))
                .collect(),
            time_zone: contact.time_zone.map(|zone| zone.name().to_owned()),
            contact: contact.id,
            external_id: contact.external_id,
            fields: contact.fields,
            languages: contact.languages,
        }
    }
}

/// A list of channels.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Channels {
    /// Names of the channels (default: all).
    #[cfg_attr(feature = "schema", schema(example = json!(["email"])))]
    pub channels: Option<Vec<ChannelKind>>,
}
