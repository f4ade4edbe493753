//! What the store keeps of contacts.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::{DeliveryId, Result};
use promoflow_model::clock::Timestamp;
use promoflow_model::contact::{Contact, Name, NewContact};
use promoflow_model::message::ChannelKind;

/// What runs look up of contacts.
pub trait Directory: Send + Sync {
    /// The contact that an event of that key is about, whose parameters state this.
    fn contact_of(&self, key: &str, stated: &NewContact) -> Result<Option<Contact>>;

    /// Whether somebody has unsubscribed from the channel at that address, or has it and did so.
    fn is_refused(&self, channel: ChannelKind, address: &str) -> Result<bool>;

    /// The contact of that name.
    fn contact(&self, name: Name) -> Result<Option<Contact>>;
}

/// The directory of contacts; a part of every [`Store`](super::Store).
///
/// It sleeps until somebody asks for it: events cost nothing for it until then, and what is looked
/// up is not there. Awake, it has seen every event, and is filled by each in the event's commit.
pub trait ContactStore: Directory {
    /// Whether the directory is awake.
    fn contacts_awake(&self) -> Result<bool>;

    /// Wakes the directory, for good: returns when it has seen every event.
    fn wake_contacts(&self) -> Result<()>;

    /// The directory as it would be if it were woken now, for test runs: that itself sleeps on.
    fn contacts_aside(&self) -> Result<Arc<dyn Directory>>;

    /// Gives each contact after that one to `visit`, in the order in which they came.
    fn contacts(
        &self,
        after: Option<&str>,
        visit: &mut dyn FnMut(Contact) -> ControlFlow<()>,
    ) -> Result<()>;

    /// Begins an upload of contacts. `atomic`: all of it is one transaction; `resubscribe`: rows
    /// may undo that somebody has unsubscribed.
    fn begin_contacts<'s>(
        &'s self,
        atomic: bool,
        resubscribe: bool,
        at: Timestamp,
    ) -> Result<Box<dyn ContactSession + 's>>;

    /// Notes that a contact may, or may not, be written to over these channels; the contact as it
    /// is then, `None` where there is none of that id.
    fn set_consent(
        &self,
        id: &str,
        channels: &[ChannelKind],
        given: bool,
        at: Timestamp,
    ) -> Result<Option<Contact>>;

    /// Notes that whoever got a delivery has unsubscribed from its channel: its contact, wherever
    /// that is reached by now, and its address, whoever has it by now. False where there is no such
    /// delivery.
    fn refuse(&self, delivery: DeliveryId, at: Timestamp) -> Result<bool>;
}

/// An upload of contacts on its way: batches go in one after another.
pub trait ContactSession {
    /// Takes a batch of rows; the answers are in their order.
    fn batch(&mut self, rows: &[NewContact]) -> Result<Vec<ContactOutcome>>;

    /// Ends the upload and makes what it took durable. A session that is dropped instead leaves
    /// what its committed batches took, or nothing where it is atomic.
    fn finish(self: Box<Self>) -> Result<()>;

    /// Ends the upload and takes nothing of it; for atomic ones.
    fn roll_back(self: Box<Self>) -> Result<()>;
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContactOutcome {
    /// It is a new contact.
    Inserted,
    /// Something of a contact has changed.
    Updated,
    /// The contact is as the row says.
    Unchanged,
    /// The row's external id is another contact's.
    Clashes {
        /// Its id.
        contact: String,
    },
}
