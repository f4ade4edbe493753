//! The directory of contacts. Whoever asks for it wakes it.

use std::io::Read;
use std::ops::ControlFlow;

use anyhow::Result;

use super::Promoflow;
use promoflow_engine::import::ContactOptions;
use promoflow_engine::import::{self, ImportError, ImportReport};
use promoflow_model::contact;
use promoflow_model::contact::{Contact, Name};
use promoflow_model::message::ChannelKind;
use promoflow_store::{ContactStore, Directory, Store};

impl Promoflow {
    /// Uploads contacts. `progress` is told how many rows were taken in all.
    pub fn import_contacts(
        &self,
        reader: impl Read + Send,
        options: ContactOptions,
        progress: &mut dyn FnMut(u64),
    ) -> Result<ImportReport, ImportError> {
        if !options.dry_run {
            self.store.wake_contacts()?;
        }
        import::contacts::import(&*self.store, self.now(), reader, &options, progress)
    }

    /// Gives each contact to `visit`, in the order in which they came.
    pub fn contacts(&self, mut visit: impl FnMut(Contact) -> ControlFlow<()>) -> Result<()> {
        self.store.wake_contacts()?;
        Ok(self.store.contacts(None, &mut visit)?)
    }

    /// Up to so many contacts after the one of that id, in the same order.
    pub fn contacts_after(&self, after: Option<&str>, limit: usize) -> Result<Vec<Contact>> {
        self.store.wake_contacts()?;
        let mut contacts = Vec::new();
        if limit > 0 {
            self.store.contacts(after, &mut |contact| {
                contacts.push(contact);
                match contacts.len() < limit {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            })?;
        }
        Ok(contacts)
    }

    /// The contact of that name.
    pub fn contact(&self, name: Name) -> Result<Option<Contact>> {
        self.store.wake_contacts()?;
        Ok(self.store.contact(name)?)
    }

    /// Notes that a contact has unsubscribed from channels; the contact as it is then, `None`
    /// where there is none of that id.
    pub fn unsubscribe(&self, id: &str, channels: &[ChannelKind]) -> Result<Option<Contact>> {
        self.store.wake_contacts()?;
        Ok(self.store.set_consent(id, channels, false, self.now())?)
    }

    /// Notes that whoever got the letter with that token has unsubscribed from its channel; false
    /// where no letter of this installation has it.
    pub fn unsubscribe_by(&self, token: &str) -> Result<bool> {
        let Some(unsubscriber) = self.unsubscriber()? else {
            return Ok(false);
        };
        let installation = self.store.installation()?;
        let Some(delivery) = unsubscriber.delivery(&installation, token) else {
            return Ok(false);
        };
        self.store.wake_contacts()?;
        Ok(self.store.refuse(delivery, self.now())?)
    }

    /// Whether a letter of this installation has that token.
    pub fn knows_unsubscribe(&self, token: &str) -> Result<bool> {
        let Some(unsubscriber) = self.unsubscriber()? else {
            return Ok(false);
        };
        let installation = self.store.installation()?;
        Ok(unsubscriber.delivery(&installation, token).is_some())
    }

    /// Notes that a contact wants to be written to over channels.
    pub fn subscribe(&self, id: &str, channels: &[ChannelKind]) -> Result<Option<Contact>> {
        self.store.wake_contacts()?;
        Ok(self.store.set_consent(id, channels, true, self.now())?)
    }
}
