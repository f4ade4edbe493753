//! Contacts in the store.

use std::sync::Arc;

use promoflow_model::clock::Timestamp;
use promoflow_model::contact::{Contact, ContactKey, NewContact};
use promoflow_model::message::ChannelKind;

use crate::{DeliveryId, Result};

/// Contact look-ups that runs make.
pub trait Directory: Send + Sync {
    /// Returns the contact of an event with that key, whose parameters state `stated`.
    fn contact_of(&self, key: &str, stated: &NewContact) -> Result<Option<Contact>>;

    /// Returns true if this address has unsubscribed from the channel, or a contact that has it
    /// did.
    fn is_suppressed(&self, channel: ChannelKind, address: &str) -> Result<bool>;

    /// Returns the contact with that name.
    fn contact(&self, name: ContactKey) -> Result<Option<Contact>>;
}

/// The contact directory; part of every [`Store`](crate::Store).
///
/// It is disabled until it is first used: until then events cost nothing for it, and every look-up
/// finds nothing. Once enabled, it covers every event so far, and each event's commit adds to it.
pub trait ContactStore: Directory {
    /// Returns true if the directory is enabled.
    fn contacts_enabled(&self) -> Result<bool>;

    /// Enables the directory permanently. Returns once it covers every event.
    fn enable_contacts(&self) -> Result<()>;

    /// Returns the directory as it would be if it were enabled now, for test runs. Does not enable
    /// it.
    fn contact_overlay(&self) -> Result<Arc<dyn Directory>>;

    /// Lists contacts after the one with that id, in the order of creation. A page is of one moment,
    /// pages that follow each other are not.
    fn contacts(&self, after: Option<&str>, limit: usize) -> Result<Vec<Contact>>;

    /// Begins an upload of contacts. `atomic`: everything is one transaction. `resubscribe`: rows
    /// may undo an unsubscription.
    fn begin_contacts<'s>(
        &'s self,
        atomic: bool,
        resubscribe: bool,
        at: Timestamp,
    ) -> Result<Box<dyn ContactSession + 's>>;

    /// Records that a contact has given or withdrawn consent for these channels. Returns the
    /// changed contact; `None` if there is no contact with that id.
    fn set_consent(
        &self,
        id: &str,
        channels: &[ChannelKind],
        given: bool,
        at: Timestamp,
    ) -> Result<Option<Contact>>;

    /// Records that the recipient of a delivery has unsubscribed from its channel: both the
    /// contact, at whatever address it has now, and the address, whichever contact has it now.
    /// Returns false if there is no such delivery.
    fn record_unsubscribe(&self, delivery: DeliveryId, at: Timestamp) -> Result<bool>;
}

/// An upload of contacts in progress, to which batches are added.
pub trait ContactSession {
    /// Imports a batch of rows. Returns their outcomes in order.
    fn batch(&mut self, rows: &[NewContact]) -> Result<Vec<ContactOutcome>>;

    /// Ends the upload and makes its changes durable. Dropping the session instead keeps the
    /// committed batches, or nothing if the upload is atomic.
    fn finish(self: Box<Self>) -> Result<()>;

    /// Ends the upload and discards it. For atomic uploads.
    fn roll_back(self: Box<Self>) -> Result<()>;
}

/// The outcome of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContactOutcome {
    /// The contact is new.
    Inserted,
    /// The contact has changed.
    Updated,
    /// The contact already is as the row says.
    Unchanged,
    /// Another contact has the row's external id.
    Conflict {
        /// The id of that contact.
        contact: String,
    },
}
