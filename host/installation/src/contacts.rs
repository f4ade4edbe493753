//! The directory of contacts. Any access enables it.

use std::io::Read;
use std::ops::ControlFlow;

use super::{MAX_PAGE_ROWS, Promoflow, Result, visit_pages};
use promoflow_engine::import::ContactOptions;
use promoflow_engine::import::{self, ImportError, ImportReport};
use promoflow_model::contact::{Contact, ContactKey};
use promoflow_model::message::ChannelKind;

impl Promoflow {
    /// Uploads contacts. `progress` is called with the number of rows read so far.
    pub fn import_contacts(
        &self,
        reader: impl Read + Send,
        options: ContactOptions,
        progress: &mut dyn FnMut(u64),
    ) -> Result<ImportReport, ImportError> {
        if !options.dry_run {
            self.store.enable_contacts()?;
        }
        import::contacts::import(&*self.store, self.now(), reader, &options, progress)
    }

    /// Calls `visit` with each contact, in the order of their creation.
    pub fn contacts(&self, visit: impl FnMut(Contact) -> ControlFlow<()>) -> Result<()> {
        self.store.enable_contacts()?;
        let read = |after: Option<&String>| {
            self.store
                .contacts(after.map(String::as_str), MAX_PAGE_ROWS)
        };
        visit_pages(read, |contact| contact.id.clone(), visit)
    }

    /// Returns up to `limit` contacts after the one with that id, in the order of their creation.
    pub fn contacts_after(&self, after: Option<&str>, limit: usize) -> Result<Vec<Contact>> {
        self.store.enable_contacts()?;
        Ok(self.store.contacts(after, limit)?)
    }

    /// Returns the contact with that name: an id, an external id, an address or a token.
    pub fn contact(&self, name: ContactKey) -> Result<Option<Contact>> {
        self.store.enable_contacts()?;
        Ok(self.store.contact(name)?)
    }

    /// Unsubscribes a contact from channels. Returns the updated contact; `None` if the id is
    /// unknown.
    pub fn unsubscribe(&self, id: &str, channels: &[ChannelKind]) -> Result<Option<Contact>> {
        self.store.enable_contacts()?;
        Ok(self.store.set_consent(id, channels, false, self.now())?)
    }

    /// Unsubscribes the recipient of the delivery with that token from its channel; returns false
    /// if no delivery of this installation has the token.
    pub fn unsubscribe_by_token(&self, token: &str) -> Result<bool> {
        let Some(unsubscriber) = self.unsubscriber()? else {
            return Ok(false);
        };
        let installation = self.store.installation()?;
        let Some(delivery) = unsubscriber.delivery(&installation, token) else {
            return Ok(false);
        };
        self.store.enable_contacts()?;
        Ok(self.store.record_unsubscribe(delivery, self.now())?)
    }

    /// Returns true if a delivery of this installation has that token.
    pub fn is_unsubscribe_token(&self, token: &str) -> Result<bool> {
        let Some(unsubscriber) = self.unsubscriber()? else {
            return Ok(false);
        };
        let installation = self.store.installation()?;
        Ok(unsubscriber.delivery(&installation, token).is_some())
    }

    /// Subscribes a contact to channels. Returns the updated contact; `None` if the id is unknown.
    pub fn subscribe(&self, id: &str, channels: &[ChannelKind]) -> Result<Option<Contact>> {
        self.store.enable_contacts()?;
        Ok(self.store.set_consent(id, channels, true, self.now())?)
    }
}
