//! Whom a run is about, as far as the directory of contacts knows.

use super::step::Stage;
use promoflow_block_host::SendError;
use promoflow_model::contact::{AddressKind, Contact, Name, NewContact, params_of};
use promoflow_model::message::ChannelKind;
use promoflow_store::StoreError;

/// Whom a run is about.
#[derive(Clone)]
pub(super) struct Person {
    /// What the directory has of it, with what the run's values state: the directory has that too
    /// once the event is committed. Without an id where it is not known yet.
    pub(super) contact: Contact,
}

impl Stage {
    /// Whom the run is about. Looked up once a segment, and not at all while the directory sleeps.
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

    /// The names under which the run's contact may have got codes, the one that counts first: its
    /// id where it is known, else the event's key.
    pub(super) fn names(&mut self) -> Result<Vec<String>, StoreError> {
        let asleep = self.reach.as_ref().is_none_or(|reach| !reach.contacts);
        if asleep {
            return Ok(vec![self.key.clone()]);
        }
        let key = self.key.clone();
        Ok(names(&self.person()?.contact, &key))
    }

    /// Whom the run is about, where the directory is awake.
    pub(super) fn known_person(&mut self) -> Result<Option<Contact>, StoreError> {
        match self.reach.as_ref().is_some_and(|reach| reach.contacts) {
            true => Ok(Some(self.person()?.contact.clone())),
            false => Ok(None),
        }
    }

    /// The contact that a step names. The first that does wakes the directory.
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

    /// The address by which a channel reaches a contact that a step names.
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
            return unreachable(format!("there is no contact `{name}`"));
        };
        if contact.refuses(channel) {
            return Err(refused(channel));
        }
        match contact.address(channel) {
            Some(address) => Ok(address.to_owned()),
            None => unreachable(format!("contact `{name}` has no {}", kind.name())),
        }
    }

    /// Fails where somebody of that address is not to be written to.
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
        // The directory may not have this address of it yet.
        let person = self.person().map_err(unavailable)?;
        let own = person.contact.address(channel) == Some(address);
        match own && person.contact.refuses(channel) {
            true => Err(refused(channel)),
            false => Ok(()),
        }
    }
}

/// The names of a contact, each once: its id, the key, and what else codes may have been kept
/// under before it was known.
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
    fn the_id_counts_first_and_the_key_where_there_is_none() {
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
