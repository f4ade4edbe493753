//! Not written yet.
#![allow(
    unused_imports,
    unused_variables,
    clippy::unimplemented,
    reason = "not written yet"
)]

use crate::PostgresStore;
use crate::errors::StoreResult as Result;
use promoflow_model::clock::Timestamp;
use promoflow_model::contact::{Contact, ContactKey, NewContact};
use promoflow_model::message::ChannelKind;
use promoflow_store::DeliveryId;
use std::sync::Arc;

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
