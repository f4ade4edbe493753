//! The contacts of a run's messages, as far as the contact directory knows them.

use std::sync::Arc;

use super::contact_overlay::ContactOverlay;
use super::run_values::RunValues;
use promoflow_block_host::SendError;
use promoflow_model::contact::{AddressKind, Contact, ContactKey, NewContact, params_of};
use promoflow_model::message::ChannelKind;
use promoflow_store::{Directory, Store, StoreError};

/// The contact directory as the steps of a segment see it, and the contact that the run is about.
pub(super) struct RunContacts {
    store: Arc<dyn Store>,
    /// True if the contact directory is enabled.
    are_enabled: bool,
    /// The contact overlay of a test run, which must not change the store.
    overlay: Option<Arc<ContactOverlay>>,
    /// The directory's contact, merged with the values that the run's event states; the directory
    /// contains those too once the event is committed. The id is empty if the contact is not stored
    /// yet. Looked up on first use.
    run_contact: Option<Contact>,
}

impl RunContacts {
    pub(super) fn new(
        store: Arc<dyn Store>,
        are_enabled: bool,
        overlay: Option<Arc<ContactOverlay>>,
    ) -> RunContacts {
        RunContacts {
            store,
            are_enabled,
            overlay,
            run_contact: None,
        }
    }

    /// Returns true in test runs.
    pub(super) fn is_test_run(&self) -> bool {
        self.overlay.is_some()
    }

    /// Looks the run's contact up again when it is next needed.
    pub(super) fn forget(&mut self) {
        self.run_contact = None;
    }

    /// Returns the contact directory: the overlay if a test run enabled one, else the store.
    fn directory(&self) -> &dyn Directory {
        let overlay = self.overlay.as_ref().filter(|_| self.are_enabled);
        match overlay.and_then(|overlay| overlay.directory()) {
            Some(directory) => directory,
            None => &*self.store,
        }
    }

    fn enable(&mut self) -> Result<(), StoreError> {
        match &self.overlay {
            Some(overlay) => overlay.enable(&*self.store)?,
            None => self.store.enable_contacts()?,
        }
        self.are_enabled = true;
        self.run_contact = None;
        Ok(())
    }

    /// Returns the run's contact. It is looked up once per segment, and only if the contact
    /// directory is enabled.
    fn run_contact(&mut self, values: &RunValues) -> Result<&Contact, StoreError> {
        let contact = match self.run_contact.take() {
            Some(contact) => contact,
            None => {
                let stated = NewContact::from_params(values.data());
                let stored = match self.are_enabled {
                    true => self.directory().contact_of(values.key(), &stated)?,
                    false => None,
                };
                stored.unwrap_or_default().with(&stated)
            }
        };
        Ok(self.run_contact.insert(contact))
    }

    /// Returns the names under which the run's contact may have received codes. The first is the
    /// name for new claims: the contact's id, or the event key if there is no stored contact.
    pub(super) fn names(&mut self, values: &RunValues) -> Result<Vec<String>, StoreError> {
        match self.are_enabled {
            true => Ok(list_contact_names(self.run_contact(values)?, values.key())),
            false => Ok(vec![values.key().to_owned()]),
        }
    }

    /// Returns the run's contact if the contact directory is enabled.
    pub(super) fn known_contact(
        &mut self,
        values: &RunValues,
    ) -> Result<Option<Contact>, StoreError> {
        match self.are_enabled {
            true => Ok(Some(self.run_contact(values)?.clone())),
            false => Ok(None),
        }
    }

    /// Returns the contact with that name or address.
    pub(super) fn find(&self, name: ContactKey) -> Result<Option<Contact>, StoreError> {
        self.directory().contact(name)
    }

    /// Returns the contact that a step names. Enables the contact directory if necessary.
    pub(super) fn named(
        &mut self,
        values: &RunValues,
        name: &str,
    ) -> Result<Option<Contact>, StoreError> {
        let name = name.trim();
        if !self.are_enabled {
            self.enable()?;
        }
        let run_contact = self.run_contact(values)?;
        let known = !run_contact.id.is_empty() || !run_contact.addresses.is_empty();
        if run_contact.matches(name) || (values.key() == name && known) {
            return Ok(Some(run_contact.clone()));
        }
        self.find(ContactKey::Any(name.to_owned()))
    }

    /// Returns the address on a channel of a contact that a step names.
    pub(super) fn address_of(
        &mut self,
        values: &RunValues,
        channel: ChannelKind,
        name: &str,
    ) -> Result<String, SendError> {
        let found = self.named(values, name).map_err(unavailable)?;
        let kind = AddressKind::of(channel);
        let unreachable = |why: String| {
            let names: Vec<&str> = params_of(kind).collect();
            let names = names.join(", ");
            Err(SendError::Unreachable(format!(
                "no address for {channel}: {why}, and the event has no {names}"
            )))
        };
        let Some(contact) = found else {
            return unreachable(format!("no contact `{name}`"));
        };
        if contact.has_unsubscribed(channel) {
            return Err(no_consent(channel));
        }
        match contact.address(channel) {
            Some(address) => Ok(address.to_owned()),
            None => unreachable(format!("contact `{name}` has no {}", kind.name())),
        }
    }

    /// Fails if the owner of this address has unsubscribed from the channel.
    pub(super) fn check_consent(
        &mut self,
        values: &RunValues,
        channel: ChannelKind,
        address: &str,
    ) -> Result<(), SendError> {
        if !self.are_enabled {
            return Ok(());
        }
        let directory = self.directory();
        if directory
            .is_suppressed(channel, address)
            .map_err(unavailable)?
        {
            return Err(no_consent(channel));
        }
        // The run's event may have given the contact an address that is not stored yet.
        let contact = self.run_contact(values).map_err(unavailable)?;
        let own = contact.address(channel) == Some(address);
        match own && contact.has_unsubscribed(channel) {
            true => Err(no_consent(channel)),
            false => Ok(()),
        }
    }
}

/// Returns the names of a contact without duplicates: its id, the event key, and the other names
/// under which codes may have been kept before the contact was stored.
fn list_contact_names(contact: &Contact, key: &str) -> Vec<String> {
    let address = |kind| contact.addresses.get(&kind).map(String::as_str);
    let all = [
        Some(contact.id.as_str()),
        Some(key),
        contact.external_id.as_deref(),
        address(AddressKind::Email),
        address(AddressKind::Phone),
    ];
    let mut names: Vec<String> = Vec::new();
    for name in all.into_iter().flatten() {
        if !name.is_empty() && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

fn no_consent(channel: ChannelKind) -> SendError {
    SendError::NoConsent(format!("the contact has unsubscribed from {channel}"))
}

fn unavailable(error: StoreError) -> SendError {
    SendError::Unavailable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contact_names_start_with_the_id_or_else_the_key() {
        let mut contact = Contact {
            external_id: Some("7".into()),
            ..Contact::default()
        };
        contact
            .addresses
            .insert(AddressKind::Email, "ann@example.com".into());
        let named = |contact: &Contact, key: &str| list_contact_names(contact, key).join(" ");
        assert_eq!(named(&contact, "order-1"), "order-1 7 ann@example.com");
        assert_eq!(named(&contact, "ann@example.com"), "ann@example.com 7");
        contact.id = "A".into();
        assert_eq!(named(&contact, "order-1"), "A order-1 7 ann@example.com");
        assert_eq!(named(&contact, "7"), "A 7 ann@example.com");
        assert_eq!(named(&contact, "A"), "A 7 ann@example.com");
    }
}
