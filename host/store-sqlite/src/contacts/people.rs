//! Contacts and events: whom an event is about, and filling the directory from events.
//!
//! The directory sleeps until somebody asks for it. It is then filled from the events that came
//! before, and after that from each event in the event's own commit.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Map, Value};

use super::{ContactRow, find_row, load, put};
use crate::{Result, SqliteStore, damaged, number_setting, raise_setting, readable, set_setting};
use promoflow_model::clock::Timestamp;
use promoflow_model::contact::{AddressKind, Contact, Name, NewContact, is_placeholder};

/// Events that contacts are filled from in one transaction: others wait behind it.
const FILLED_AT_ONCE: i64 = 2_000;

/// Whether the directory is awake.
pub(crate) fn awake(connection: &Connection) -> Result<bool> {
    Ok(number_setting(connection, "contacts")? != 0)
}

/// Wakes the directory: it has seen every event then, and sees each that comes.
pub(super) fn wake(store: &SqliteStore) -> Result<()> {
    while !store.read(awake)? {
        store.write(|connection, _| {
            if awake(connection)? {
                return Ok(());
            }
            let seen = number_setting(connection, "contacts-seen")?;
            let last = fill_after(connection, connection, seen)?;
            set_setting(
                connection,
                "contacts-seen",
                &last.unwrap_or(seen).to_string(),
            )?;
            if last.is_none() {
                set_setting(connection, "contacts", "1")?;
                // Whoever executes knows the directory as part of the configuration.
                raise_setting(connection, "config")?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Fills the directory of one database from the events of another, or of the same, after that one;
/// the last of them, `None` where there are none.
pub(super) fn fill_after(events: &Connection, into: &Connection, seen: i64) -> Result<Option<i64>> {
    let mut statement = events.prepare_cached(
        "SELECT id, key, params, at FROM event WHERE id > ?1 ORDER BY id LIMIT ?2",
    )?;
    let mut rows = statement.query(params![seen, FILLED_AT_ONCE])?;
    let mut last = None;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        if let Some((key, params)) = readable(read_event(id, row))? {
            fill(into, &key, &params, Timestamp(row.get(3)?))?;
        }
        last = Some(id);
    }
    Ok(last)
}

/// The key and the parameters of an event.
fn read_event(id: i64, row: &Row<'_>) -> Result<(String, Map<String, Value>)> {
    let params = serde_json::from_str(row.get_ref(2)?.as_str().unwrap_or_default())
        .map_err(|error| damaged(format!("the parameters of event {id}"), error))?;
    Ok((row.get(1)?, params))
}

/// Fills a contact from an event.
pub(crate) fn fill(
    connection: &Connection,
    key: &str,
    params: &Map<String, Value>,
    at: Timestamp,
) -> Result<()> {
    let stated = NewContact::stated_by(params);
    if stated.is_somebody() {
        // Where an external id is another contact's, or the contact cannot be read, the event is
        // stored, and nobody changed.
        readable(put::put(connection, Some(key), &stated, false, at))?;
    }
    Ok(())
}

/// The contact that a row or an event is about: by the first thing that it says of who it is.
///
/// An id or an external id that nobody has is a new contact's; an address, or the key of an
/// event, is that of a contact which has no other external id than is stated.
pub(super) fn whose(
    connection: &Connection,
    key: Option<&str>,
    new: &NewContact,
) -> Result<Option<ContactRow>> {
    if let Some(id) = &new.id {
        return find_row(connection, &Name::Id(id.clone()));
    }
    if let Some(id) = &new.external_id
        && let Some(row) = find_row(connection, &Name::ExternalId(id.clone()))?
    {
        return Ok(Some(row));
    }
    // A key that is one of the parameters says no more than that parameter.
    let says_more = |key: &&str| {
        !is_placeholder(key) && new.external_id.as_deref() != Some(*key) && !new.has_address(key)
    };
    let by_key = key.filter(says_more).map(|key| Name::Any(key.to_owned()));
    let by_key = by_key.into_iter().flat_map(Name::candidates);
    let addresses = new.addresses.iter();
    let by_address = addresses.map(|(kind, address)| Name::Address(*kind, address.clone()));
    for name in by_key.chain(by_address) {
        let row = match &name {
            Name::Address(kind, address) => {
                by_address_of(connection, *kind, address, new.external_id.is_some())?
            }
            other => find_row(connection, other)?,
        };
        if row.is_some() {
            return Ok(row);
        }
    }
    Ok(None)
}

fn by_address_of(
    connection: &Connection,
    kind: AddressKind,
    address: &str,
    anonymous: bool,
) -> Result<Option<ContactRow>> {
    Ok(connection
        .prepare_cached(
            "SELECT contact.row FROM contact_address JOIN contact ON row = contact
             WHERE kind = ?1 AND key = ?2 AND (NOT ?3 OR external_id IS NULL)
             ORDER BY contact.row LIMIT 1",
        )?
        .query_row(params![kind.name(), kind.key(address), anonymous], |row| {
            row.get(0)
        })
        .optional()?)
}

/// The contact that an event is about.
pub(super) fn about(
    connection: &Connection,
    key: &str,
    stated: &NewContact,
) -> Result<Option<Contact>> {
    match whose(connection, Some(key), stated)? {
        Some(row) => load(connection, row),
        None => Ok(None),
    }
}
