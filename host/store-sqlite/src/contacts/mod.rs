//! Contacts: look-ups and listings.

mod aside;
mod people;
mod put;
mod refusals;
#[cfg(test)]
mod tests;
mod upload;

use std::ops::ControlFlow;
use std::sync::Arc;

pub(super) use aside::Aside;
pub(super) use people::{awake, fill};
pub(super) use refusals::{anybody_refuses, refuses_delivery};
use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::{Map, Value};

use super::{Result, SqliteStore, StoreResult, damaged, lock, readable};
use promoflow_model::clock::Timestamp;
use promoflow_model::contact::{AddressKind, Addresses, Consent, Contact, Name, NewContact};
use promoflow_model::message::ChannelKind;
use promoflow_store::{ContactSession, ContactStore, DeliveryId, Directory};

/// The id of a contact's row.
type ContactRow = i64;

impl Directory for SqliteStore {
    fn contact(&self, name: Name) -> StoreResult<Option<Contact>> {
        Ok(self.read(|connection| find(connection, name))?)
    }

    fn contact_of(&self, key: &str, stated: &NewContact) -> StoreResult<Option<Contact>> {
        Ok(self.read(|connection| people::about(connection, key, stated))?)
    }

    fn is_refused(&self, channel: ChannelKind, address: &str) -> StoreResult<bool> {
        Ok(self.read(|connection| {
            Ok(anybody_refuses(connection)? && refusals::refuses(connection, channel, address)?)
        })?)
    }
}

impl ContactStore for SqliteStore {
    fn contacts_awake(&self) -> StoreResult<bool> {
        Ok(self.read(awake)?)
    }

    fn wake_contacts(&self) -> StoreResult<()> {
        people::wake(self)?;
        *lock(&self.aside) = None;
        Ok(())
    }

    fn contacts_aside(&self) -> StoreResult<Arc<dyn Directory>> {
        Ok(aside::filled(self)?)
    }

    fn contacts(
        &self,
        after: Option<&str>,
        visit: &mut dyn FnMut(Contact) -> ControlFlow<()>,
    ) -> StoreResult<()> {
        Ok(list(self, after, visit)?)
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
        Ok(self.write(|connection, _| put::set_consent(connection, id, channels, given, at))?)
    }

    fn refuse(&self, delivery: DeliveryId, at: Timestamp) -> StoreResult<bool> {
        Ok(self.write(|connection, _| refusals::by_delivery(connection, delivery, at))?)
    }
}

const CONTACTS: &str = "
    SELECT row, id, external_id, fields, languages, time_zone,
        (SELECT json_group_object(kind, address) FROM contact_address WHERE contact = row),
        (SELECT json_group_object(channel, given) FROM consent WHERE contact = row)
    FROM contact";

/// Returns the contact with that name.
fn find(connection: &Connection, name: Name) -> Result<Option<Contact>> {
    for name in name.candidates() {
        if let Some(row) = find_row(connection, &name)? {
            return load(connection, row);
        }
    }
    Ok(None)
}

/// Returns the row of the contact with that name.
fn find_row(connection: &Connection, name: &Name) -> Result<Option<ContactRow>> {
    let row = match name {
        Name::Id(id) => connection
            .prepare_cached("SELECT row FROM contact WHERE id = ?1")?
            .query_row([id], |row| row.get(0)),
        Name::ExternalId(id) => connection
            .prepare_cached("SELECT row FROM contact WHERE external_id = ?1")?
            .query_row([id], |row| row.get(0)),
        Name::Address(kind, address) => connection
            .prepare_cached(
                "SELECT contact FROM contact_address WHERE kind = ?1 AND key = ?2
                 ORDER BY contact LIMIT 1",
            )?
            .query_row([kind.name(), &kind.key(address)], |row| row.get(0)),
        Name::Any(_) => return Ok(None),
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

/// Calls `visit` for each contact after that one.
fn list(
    store: &SqliteStore,
    after: Option<&str>,
    visit: &mut dyn FnMut(Contact) -> ControlFlow<()>,
) -> Result<()> {
    store.read(|connection| {
        let after = match after {
            Some(id) => find_row(connection, &Name::Id(id.to_owned()))?.unwrap_or(i64::MAX),
            None => i64::MIN,
        };
        let sql = format!("{CONTACTS} WHERE row > ?1 ORDER BY row");
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query([after])?;
        while let Some(row) = rows.next()? {
            if let Some(contact) = readable(read(row))?
                && visit(contact).is_break()
            {
                break;
            }
        }
        Ok(())
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
