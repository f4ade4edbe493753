//! The recipient of a run's messages, as far as the contact directory knows it.

use super::effect_buffer::EffectBuffer;
use promoflow_block_host::SendError;
use promoflow_model::contact::{AddressKind, Contact, ContactKey, NewContact, params_of};
use promoflow_model::message::ChannelKind;
use promoflow_store::StoreError;

/// The contact that a run is about.
#[derive(Clone)]
pub(super) struct RunContact {
    /// The directory's contact, merged with the values that the run's event states; the directory
    /// contains those too once the event is committed. The id is empty if the contact is not stored
    /// yet.
    pub(super) contact: Contact,
}

impl EffectBuffer {
    /// Returns the run's contact. It is looked up once per segment, and only if the contact
    /// directory is enabled.
    pub(super) fn run_contact(&mut self) -> Result<&RunContact, StoreError> {
        let run_contact = match self.run_contact.take() {
            Some(run_contact) => run_contact,
            None => self.find_run_contact()?,
        };
        Ok(self.run_contact.insert(run_contact))
    }

    fn find_run_contact(&self) -> Result<RunContact, StoreError> {
        let stated = NewContact::from_params(self.data());
        let stored = match &self.host {
            Some(host) if host.contacts => host.directory().contact_of(&self.key, &stated)?,
            _ => None,
        };
        Ok(RunContact {
            contact: stored.unwrap_or_default().with(&stated),
        })
    }

    /// Returns the names under which the run's contact may have received codes. The first is the
    /// name for new claims: the contact's id, or the event key if there is no stored contact.
    pub(super) fn contact_names(&mut self) -> Result<Vec<String>, StoreError> {
        let asleep = self.host.as_ref().is_none_or(|host| !host.contacts);
        if asleep {
            return Ok(vec![self.key.clone()]);
        }
        let key = self.key.clone();
        Ok(list_contact_names(&self.run_contact()?.contact, &key))
    }

    /// Returns the run's contact if the contact directory is enabled.
    pub(super) fn known_contact(&mut self) -> Result<Option<Contact>, StoreError> {
        match self.host.as_ref().is_some_and(|host| host.contacts) {
            true => Ok(Some(self.run_contact()?.contact.clone())),
            false => Ok(None),
        }
    }

    /// Returns the contact that a step names. Enables the contact directory if necessary.
    pub(super) fn contact(&mut self, name: &str) -> Result<Option<Contact>, StoreError> {
        let name = name.trim();
        if let Some(host) = self.host.as_mut()
            && !host.contacts
        {
            host.enable_contacts()?;
            self.run_contact = None;
        }
        let by_key = self.key == name;
        let run_contact = &self.run_contact()?.contact;
        let known = !run_contact.id.is_empty() || !run_contact.addresses.is_empty();
        if run_contact.matches(name) || (by_key && known) {
            return Ok(Some(run_contact.clone()));
        }
        match &self.host {
            Some(host) => host.directory().contact(ContactKey::Any(name.to_owned())),
            None => Ok(None),
        }
    }

    /// Returns the address on a channel of a contact that a step names.
    pub(super) fn address_of(
        &mut self,
        channel: ChannelKind,
        name: &str,
    ) -> Result<String, SendError> {
        let found = self.contact(name).map_err(unavailable)?;
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
        channel: ChannelKind,
        address: &str,
    ) -> Result<(), SendError> {
        let Some(host) = self.host.as_ref().filter(|host| host.contacts) else {
            return Ok(());
        };
        if host
            .directory()
            .is_suppressed(channel, address)
            .map_err(unavailable)?
        {
            return Err(no_consent(channel));
        }
        // The run's event may have given the contact an address that is not stored yet.
        let run_contact = self.run_contact().map_err(unavailable)?;
        let own = run_contact.contact.address(channel) == Some(address);
        match own && run_contact.contact.has_unsubscribed(channel) {
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
