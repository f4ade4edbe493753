//! The recipient of a run's messages, as far as the contact directory knows it.

use super::step::Stage;
use promoflow_block_host::SendError;
use promoflow_model::contact::{AddressKind, Contact, Name, NewContact, params_of};
use promoflow_model::message::ChannelKind;
use promoflow_store::StoreError;

/// The contact that a run is about.
#[derive(Clone)]
pub(super) struct Person {
    /// The directory's contact, merged with the values that the run's event states; the directory
    /// contains those too once the event is committed. The id is empty if the contact is not stored
    /// yet.
    pub(super) contact: Contact,
}

impl Stage {
    /// Returns the run's contact. It is looked up once per segment, and only if the contact
    /// directory is enabled.
    pub(super) fn person(&mut self) -> Result<&Person, StoreError> {
        let person = match self.person.take() {
            Some(person) => person,
            None => self.find_person()?,
        };
        Ok(self.person.insert(person))
    }

    fn find_person(&self) -> Result<Person, StoreError> {
        let stated = NewContact::stated_by(self.data());
        let stored = match &self.reach {
            Some(reach) if reach.contacts => reach.directory().contact_of(&self.key, &stated)?,
            _ => None,
        };
        Ok(Person {
            contact: stored.unwrap_or_default().with(&stated),
        })
    }

    /// Returns the names under which the run's contact may have received codes. The first is the
    /// name for new claims: the contact's id, or the event key if there is no stored contact.
    pub(super) fn names(&mut self) -> Result<Vec<String>, StoreError> {
        let asleep = self.reach.as_ref().is_none_or(|reach| !reach.contacts);
        if asleep {
            return Ok(vec![self.key.clone()]);
        }
        let key = self.key.clone();
        Ok(names(&self.person()?.contact, &key))
    }

    /// Returns the run's contact if the contact directory is enabled.
    pub(super) fn known_person(&mut self) -> Result<Option<Contact>, StoreError> {
        match self.reach.as_ref().is_some_and(|reach| reach.contacts) {
            true => Ok(Some(self.person()?.contact.clone())),
            false => Ok(None),
        }
    }

    /// Returns the contact that a step names. Enables the contact directory if necessary.
    pub(super) fn contact(&mut self, name: &str) -> Result<Option<Contact>, StoreError> {
        let name = name.trim();
        if let Some(reach) = self.reach.as_mut()
            && !reach.contacts
        {
            reach.wake()?;
            self.person = None;
        }
        let by_key = self.key == name;
        let person = &self.person()?.contact;
        let known = !person.id.is_empty() || !person.addresses.is_empty();
        if person.is(name) || (by_key && known) {
            return Ok(Some(person.clone()));
        }
        match &self.reach {
            Some(reach) => reach.directory().contact(Name::Any(name.to_owned())),
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
        if contact.refuses(channel) {
            return Err(refused(channel));
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
        let Some(reach) = self.reach.as_ref().filter(|reach| reach.contacts) else {
            return Ok(());
        };
        if reach
            .directory()
            .is_refused(channel, address)
            .map_err(unavailable)?
        {
            return Err(refused(channel));
        }
        // The run's event may have given the contact an address that is not stored yet.
        let person = self.person().map_err(unavailable)?;
        let own = person.contact.address(channel) == Some(address);
        match own && person.contact.refuses(channel) {
            true => Err(refused(channel)),
            false => Ok(()),
        }
    }
}

/// Returns the names of a contact without duplicates: its id, the event key, and the other names
/// under which codes may have been kept before the contact was stored.
fn names(contact: &Contact, key: &str) -> Vec<String> {
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

fn refused(channel: ChannelKind) -> SendError {
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
        let named = |contact: &Contact, key: &str| names(contact, key).join(" ");
        assert_eq!(named(&contact, "order-1"), "order-1 7 ann@example.com");
        assert_eq!(named(&contact, "ann@example.com"), "ann@example.com 7");
        contact.id = "A".into();
        assert_eq!(named(&contact, "order-1"), "A order-1 7 ann@example.com");
        assert_eq!(named(&contact, "7"), "A 7 ann@example.com");
        assert_eq!(named(&contact, "A"), "A 7 ann@example.com");
    }
}
