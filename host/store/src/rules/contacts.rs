//! Which contact a row of an upload or an event is about.

use promoflow_model::contact::{ContactKey, NewContact, is_placeholder};

/// A name under which a contact is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatedName {
    /// The name; never [`ContactKey::Any`].
    pub key: ContactKey,
    /// True if only a contact without an external id may be found.
    pub anonymous: bool,
}

/// Returns the names under which the contact of a row is looked up, in this order; `key`: the key of
/// the event, if it is one.
///
/// An unknown id or external id means a new contact. An address, or the key of an event, means the
/// contact that has it, unless that contact has an external id other than the stated one.
pub fn stated_names(key: Option<&str>, new: &NewContact) -> Vec<StatedName> {
    let named = |key| StatedName {
        anonymous: matches!(key, ContactKey::Address(..)) && new.external_id.is_some(),
        key,
    };
    if let Some(id) = &new.id {
        return vec![named(ContactKey::Id(id.clone()))];
    }
    let external_id = new.external_id.clone().map(ContactKey::ExternalId);
    // A key that equals one of the parameters adds no information to that parameter.
    let says_more = |key: &&str| {
        !is_placeholder(key) && new.external_id.as_deref() != Some(*key) && !new.has_address(key)
    };
    let by_key = key
        .filter(says_more)
        .map(|key| ContactKey::Any(key.to_owned()));
    let by_key = by_key.into_iter().flat_map(ContactKey::candidates);
    let addresses = new.addresses.iter();
    let by_address = addresses.map(|(kind, address)| ContactKey::Address(*kind, address.clone()));
    let all = external_id.into_iter().chain(by_key).chain(by_address);
    all.map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use promoflow_model::contact::AddressKind;

    fn keys(key: Option<&str>, new: &NewContact) -> Vec<ContactKey> {
        let names = stated_names(key, new).into_iter();
        names.map(|name| name.key).collect()
    }

    #[test]
    fn an_id_is_the_only_name() {
        let new = NewContact {
            id: Some("A".into()),
            external_id: Some("7".into()),
            ..NewContact::default()
        };
        assert_eq!(keys(Some("ann"), &new), [ContactKey::Id("A".into())]);
    }

    #[test]
    fn an_address_names_an_anonymous_contact_if_an_external_id_is_stated() {
        let email = ContactKey::Address(AddressKind::Email, "ann@example.com".into());
        let mut new = NewContact::default();
        new.addresses
            .insert(AddressKind::Email, "ann@example.com".into());
        let names = stated_names(Some("Ann@example.com"), &new);
        assert_eq!(names.len(), 1, "the key is the address: {names:?}");
        assert!(names[0].key == email && !names[0].anonymous);
        new.external_id = Some("7".into());
        let names = stated_names(Some("7"), &new);
        assert_eq!(names.len(), 2);
        assert_eq!(names[0].key, ContactKey::ExternalId("7".into()));
        assert!(names[1].key == email && names[1].anonymous);
    }

    #[test]
    fn a_key_is_an_id_or_an_external_id_or_an_address_and_a_placeholder_is_none() {
        let new = NewContact::default();
        let names = keys(Some("ann"), &new);
        let ids = [
            ContactKey::Id("ann".into()),
            ContactKey::ExternalId("ann".into()),
        ];
        assert_eq!(names[..2], ids);
        assert_eq!(keys(Some("null"), &new), []);
    }
}
