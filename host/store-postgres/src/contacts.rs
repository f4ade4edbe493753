//! Not written yet.
#![allow(
    unused_imports,
    unused_variables,
    clippy::unimplemented,
    reason = "not written yet"
)]

use crate::PostgresStore;
use crate::errors::{Result as DbResult, StoreResult as Result};
use crate::settings::number_setting;
use crate::transaction::Transaction;
use promoflow_model::clock::Timestamp;
use promoflow_model::contact::{Contact, ContactKey, NewContact};
use promoflow_model::message::ChannelKind;
use promoflow_store::DeliveryId;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Returns true if the directory is enabled.
pub(crate) fn are_enabled(transaction: &Transaction<'_>) -> DbResult<bool> {
    Ok(number_setting(transaction, "contacts-enabled")? != 0)
}

/// Creates or updates a contact from an event.
pub(crate) fn add_from_event(
    transaction: &Transaction<'_>,
    key: &str,
    params: &Map<String, Value>,
    at: Timestamp,
) -> DbResult<()> {
    unimplemented!()
}

/// Finds a row if there is any unsubscription at all.
pub(crate) const ANY_SUPPRESSION: &str = "SELECT 1 WHERE EXISTS (SELECT 1 FROM suppression)
     OR EXISTS (SELECT 1 FROM consent WHERE given = 0)";

/// Returns true if there is any unsubscription at all.
pub(crate) fn any_suppression(transaction: &Transaction<'_>) -> DbResult<bool> {
    transaction.exists(ANY_SUPPRESSION, &[])
}

/// Returns true if a delivery must not be attempted: its address has unsubscribed, or its contact
/// has since left that address and unsubscribed.
pub(crate) fn is_delivery_suppressed(
    transaction: &Transaction<'_>,
    id: DeliveryId,
    channel: ChannelKind,
    address: &str,
) -> DbResult<bool> {
    unimplemented!()
}

impl promoflow_store::Directory for PostgresStore {
    fn contact_of(&self, key: &str, stated: &NewContact) -> Result<Option<Contact>> {
        unimplemented!()
    }
    fn is_suppressed(&self, channel: ChannelKind, address: &str) -> Result<bool> {
        unimplemented!()
    }
    fn contact(&self, name: ContactKey) -> Result<Option<Contact>> {
        unimplemented!()
    }
}

impl promoflow_store::ContactStore for PostgresStore {
    fn contacts_enabled(&self) -> Result<bool> {
        unimplemented!()
    }
    fn enable_contacts(&self) -> Result<()> {
        unimplemented!()
    }
    fn contact_overlay(&self) -> Result<Arc<dyn promoflow_store::Directory>> {
        unimplemented!()
    }
    fn contacts(&self, after: Option<&str>, limit: usize) -> Result<Vec<Contact>> {
        unimplemented!()
    }
    fn begin_contacts<'s>(
        &'s self,
        atomic: bool,
        resubscribe: bool,
        at: Timestamp,
    ) -> Result<Box<dyn promoflow_store::ContactSession + 's>> {
        unimplemented!()
    }
    fn set_consent(
        &self,
        id: &str,
        channels: &[ChannelKind],
        given: bool,
        at: Timestamp,
    ) -> Result<Option<Contact>> {
        unimplemented!()
    }
    fn record_unsubscribe(&self, delivery: DeliveryId, at: Timestamp) -> Result<bool> {
        unimplemented!()
    }
}
