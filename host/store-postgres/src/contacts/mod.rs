//! Contacts: look-ups and listings.

mod contact_overlay;
mod event_contacts;
mod event_scan;
mod names;
mod suppressions;
mod upload;
mod upsert;
mod writes;

use std::sync::Arc;

use serde_json::{Map, Value};

use promoflow_model::clock::Timestamp;
use promoflow_model::contact::{AddressKind, Addresses, Consent, Contact, ContactKey, NewContact};
use promoflow_model::message::ChannelKind;
use promoflow_store::{ContactSession, ContactStore, DeliveryId, Directory};

pub(crate) use contact_overlay::ContactOverlay;
pub(crate) use event_contacts::{add_from_event, are_enabled};
pub(crate) use suppressions::{
    ANY_SUPPRESSION, FIND_SUPPRESSED, any_suppression, is_delivery_suppressed,
};

use crate::PostgresStore;
use crate::connection::{Row, params};
use crate::errors::{Result, StoreResult, damaged, skip_damaged};
use crate::transaction::Transaction;
use names::Names;

/// The id of a contact's row.
type ContactRow = i64;

impl Directory for PostgresStore {
    fn contact(&self, name: ContactKey) -> StoreResult<Option<Contact>> {
        let names = name.candidates();
        Ok(self.read(|transaction| find(transaction, &names))?)
    }

    fn contact_of(&self, key: &str, stated: &NewContact) -> StoreResult<Option<Contact>> {
        Ok(self.read(|transaction| event_contacts::contact_of_event(transaction, key, stated))?)
    }

    fn is_suppressed(&self, channel: ChannelKind, address: &str) -> StoreResult<bool> {
        Ok(self.read(|transaction| {
            suppressions::is_address_suppressed(transaction, channel, address)
        })?)
    }
}

impl ContactStore for PostgresStore {
    fn contacts_enabled(&self) -> StoreResult<bool> {
        Ok(self.read(are_enabled)?)
    }

    fn enable_contacts(&self) -> StoreResult<()> {
        event_contacts::enable(self)?;
        *self.contact_overlay.lock() = None;
        Ok(())
    }

    fn contact_overlay(&self) -> StoreResult<Arc<dyn Directory>> {
        Ok(contact_overlay::load_overlay(self)?)
    }

    fn contacts(&self, after: Option<&str>, limit: usize) -> StoreResult<Vec<Contact>> {
        Ok(self.read(|transaction| list(transaction, after, limit))?)
    }

    fn begin_contacts<'s>(
        &'s self,
        atomic: bool,
        resubscribe: bool,
        at: Timestamp,
    ) -> StoreResult<Box<dyn ContactSession + 's>> {
        Ok(upload::begin(self, atomic, resubscribe, at)?)
    }

    fn set_consent(
        &self,
        id: &str,
        channels: &[ChannelKind],
        given: bool,
        at: Timestamp,
    ) -> StoreResult<Option<Contact>> {
        Ok(self.write(|transaction| upsert::set_consent(transaction, id, channels, given, at))?)
    }

    fn record_unsubscribe(&self, delivery: DeliveryId, at: Timestamp) -> StoreResult<bool> {
        Ok(self
            .write(|transaction| suppressions::unsubscribe_recipient(transaction, delivery, at))?)
    }
}

const CONTACTS: &str = "
    SELECT row, id, external_id, fields, languages, time_zone,
        (SELECT json_object_agg(kind, address)::text FROM contact_address WHERE contact = row),
        (SELECT json_object_agg(channel, given)::text FROM consent WHERE contact = row)
    FROM contact";

/// Returns the contact with the first of these names that finds one.
fn find(transaction: &Transaction<'_>, names: &[ContactKey]) -> Result<Option<Contact>> {
    let found = Names::load(transaction, names)?;
    match names.iter().find_map(|name| found.find(name)) {
        Some(row) => load(transaction, row),
        None => Ok(None),
    }
}

/// Returns the row of the contact with that id.
fn find_id(transaction: &Transaction<'_>, id: &str) -> Result<Option<ContactRow>> {
    let row = transaction.row("SELECT row FROM contact WHERE id = $1", params![id])?;
    row.map(|row| row.get(0)).transpose()
}

/// Loads a contact by its row.
fn load(transaction: &Transaction<'_>, row: ContactRow) -> Result<Option<Contact>> {
    let found = transaction.row(&format!("{CONTACTS} WHERE row = $1"), params![row])?;
    found.map(|row| read(&row)).transpose()
}

/// Lists contacts after that one.
fn list(transaction: &Transaction<'_>, after: Option<&str>, limit: usize) -> Result<Vec<Contact>> {
    let mut after = match after {
        Some(id) => find_id(transaction, id)?.unwrap_or(i64::MAX),
        None => i64::MIN,
    };
    let sql = format!("{CONTACTS} WHERE row > $1 ORDER BY row LIMIT $2");
    let mut contacts = Vec::new();
    // Another page where some of the rows cannot be read.
    while contacts.len() < limit {
        let missing = limit - contacts.len();
        let most = i64::try_from(missing).unwrap_or(i64::MAX);
        let rows = transaction.rows(&sql, params![after, most])?;
        for row in &rows {
            after = row.get(0)?;
            contacts.extend(skip_damaged(read(row))?);
        }
        if rows.len() < missing {
            break;
        }
    }
    Ok(contacts)
}

fn read(row: &Row) -> Result<Contact> {
    let id: String = row.get(1)?;
    let what = |part: &str| format!("the {part} of contact {id}");
    let object = |index: usize, part: &str| -> Result<Map<String, Value>> {
        let text: Option<String> = row.get(index)?;
        serde_json::from_str(text.as_deref().unwrap_or("{}"))
            .map_err(|error| damaged(what(part), error))
    };
    let languages = serde_json::from_str(&row.get::<String>(4)?)
        .map_err(|error| damaged(what("languages"), error))?;
    let time_zone = match row.get::<Option<String>>(5)? {
        Some(name) => Some(
            name.parse()
                .map_err(|error| damaged(what("time zone"), error))?,
        ),
        None => None,
    };
    let mut addresses = Addresses::new();
    for (kind, address) in object(6, "addresses")? {
        let known = AddressKind::named(&kind).zip(address.as_str());
        let (kind, address) = known.ok_or_else(|| damaged(what("addresses"), &kind))?;
        addresses.insert(kind, address.to_owned());
    }
    let mut consent = Consent::new();
    for (channel, given) in object(7, "consent")? {
        let channel: ChannelKind = channel
            .parse()
            .map_err(|_| damaged(what("consent"), &channel))?;
        consent.insert(channel, given == 1);
    }
    Ok(Contact {
        external_id: row.get(2)?,
        addresses,
        fields: object(3, "fields")?,
        languages,
        time_zone,
        consent,
        id,
    })
}
