//! Contacts: look-ups and listings.

mod contact_overlay;
mod event_contacts;
mod suppressions;
mod upload;
mod upsert;

use std::sync::Arc;

pub(super) use contact_overlay::ContactOverlay;
pub(super) use event_contacts::{add_from_event, are_enabled};
use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::{Map, Value};
pub(super) use suppressions::{any_suppression, is_delivery_suppressed};

use super::{Result, SqliteStore, StoreResult, damaged, lock, skip_damaged};
use promoflow_model::clock::Timestamp;
use promoflow_model::contact::{AddressKind, Addresses, Consent, Contact, ContactKey, NewContact};
use promoflow_model::message::ChannelKind;
use promoflow_store::{ContactSession, ContactStore, DeliveryId, Directory};

/// The id of a contact's row.
type ContactRow = i64;

impl Directory for SqliteStore {
    fn contact(&self, name: ContactKey) -> StoreResult<Option<Contact>> {
        Ok(self.read(|connection| find(connection, name))?)
    }

    fn contact_of(&self, key: &str, stated: &NewContact) -> StoreResult<Option<Contact>> {
        Ok(self.read(|connection| event_contacts::contact_of_event(connection, key, stated))?)
    }

    fn is_suppressed(&self, channel: ChannelKind, address: &str) -> StoreResult<bool> {
        Ok(self.read(|connection| {
            Ok(any_suppression(connection)?
                && suppressions::is_address_suppressed(connection, channel, address)?)
        })?)
    }
}

impl ContactStore for SqliteStore {
    fn contacts_enabled(&self) -> StoreResult<bool> {
        Ok(self.read(are_enabled)?)
    }

    fn enable_contacts(&self) -> StoreResult<()> {
        event_contacts::enable(self)?;
        *lock(&self.contact_overlay) = None;
        Ok(())
    }

    fn contact_overlay(&self) -> StoreResult<Arc<dyn Directory>> {
        Ok(contact_overlay::load_overlay(self)?)
    }

    fn contacts(&self, after: Option<&str>, limit: usize) -> StoreResult<Vec<Contact>> {
        Ok(list(self, after, limit)?)
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
        Ok(self.write(|connection, _| upsert::set_consent(connection, id, channels, given, at))?)
    }

    fn record_unsubscribe(&self, delivery: DeliveryId, at: Timestamp) -> StoreResult<bool> {
        Ok(self
            .write(|connection, _| suppressions::unsubscribe_recipient(connection, delivery, at))?)
    }
}

const CONTACTS: &str = "
    SELECT row, id, external_id, fields, languages, time_zone,
        (SELECT json_group_object(kind, address) FROM contact_address WHERE contact = row),
        (SELECT json_group_object(channel, given) FROM consent WHERE contact = row)
    FROM contact";

/// Returns the contact with that name.
fn find(connection: &Connection, name: ContactKey) -> Result<Option<Contact>> {
    for name in name.candidates() {
        if let Some(row) = find_row(connection, &name)? {
            return load(connection, row);
        }
    }
    Ok(None)
}

/// Returns the row of the contact with that name.
fn find_row(connection: &Connection, name: &ContactKey) -> Result<Option<ContactRow>> {
    let row = match name {
        ContactKey::Id(id) => connection
            .prepare_cached("SELECT row FROM contact WHERE id = ?1")?
            .query_row([id], |row| row.get(0)),
        ContactKey::ExternalId(id) => connection
            .prepare_cached("SELECT row FROM contact WHERE external_id = ?1")?
            .query_row([id], |row| row.get(0)),
        ContactKey::Address(kind, address) => connection
            .prepare_cached(
                "SELECT contact FROM contact_address WHERE kind = ?1 AND address_key = ?2
                 ORDER BY contact LIMIT 1",
            )?
            .query_row([kind.name(), &kind.key(address)], |row| row.get(0)),
        ContactKey::Any(_) => return Ok(None),
    };
    Ok(row.optional()?)
}

/// Loads a contact by its row.
fn load(connection: &Connection, row: ContactRow) -> Result<Option<Contact>> {
    let found = connection
        .prepare_cached(&format!("{CONTACTS} WHERE row = ?1"))?
        .query_row([row], |row| Ok(read(row)))
        .optional()?;
    found.transpose()
}

/// Lists contacts after that one.
fn list(store: &SqliteStore, after: Option<&str>, limit: usize) -> Result<Vec<Contact>> {
    store.read(|connection| {
        let after = match after {
            Some(id) => find_row(connection, &ContactKey::Id(id.to_owned()))?.unwrap_or(i64::MAX),
            None => i64::MIN,
        };
        let sql = format!("{CONTACTS} WHERE row > ?1 ORDER BY row");
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query([after])?;
        let mut contacts = Vec::new();
        while contacts.len() < limit {
            let Some(row) = rows.next()? else { break };
            contacts.extend(skip_damaged(read(row))?);
        }
        Ok(contacts)
    })
}

fn read(row: &Row<'_>) -> Result<Contact> {
    let id: String = row.get(1)?;
    let what = |part: &str| format!("the {part} of contact {id}");
    let object = |index: usize, part: &str| -> Result<Map<String, Value>> {
        let text = row.get_ref(index)?.as_str().unwrap_or("{}");
        serde_json::from_str(text).map_err(|error| damaged(what(part), error))
    };
    let languages = serde_json::from_str(row.get_ref(4)?.as_str().unwrap_or("[]"))
        .map_err(|error| damaged(what("languages"), error))?;
    let time_zone = match row.get::<_, Option<String>>(5)? {
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
