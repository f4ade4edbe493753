//! Contacts and events: the contact that an event is about, and filling the directory from events.
//!
//! The directory is disabled until it is first used. It is then filled from the earlier events, and
//! after that by each event, in the event's own commit.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Map, Value};

use super::{ContactRow, find_row, load, upsert};
use crate::{
    Result, SqliteStore, damaged, number_setting, raise_setting, set_setting, skip_damaged,
};
use promoflow_model::clock::Timestamp;
use promoflow_model::contact::{AddressKind, Contact, ContactKey, NewContact};
use promoflow_store::rules::contacts::stated_names;

/// The number of events in one filling transaction. Other writers wait for it.
const MAX_FILL_EVENTS: i64 = 2_000;

/// Returns true if the directory is enabled.
pub(crate) fn are_enabled(connection: &Connection) -> Result<bool> {
    Ok(number_setting(connection, "contacts-enabled")? != 0)
}

/// Enables the directory: fills it from all earlier events, and from each event from now on.
pub(super) fn enable(store: &SqliteStore) -> Result<()> {
    while !store.read(are_enabled)? {
        store.write(|connection, _| {
            if are_enabled(connection)? {
                return Ok(());
            }
            let seen = number_setting(connection, "contacts-last-event")?;
            let last = add_from_events_after(connection, connection, seen)?;
            set_setting(
                connection,
                "contacts-last-event",
                &last.unwrap_or(seen).to_string(),
            )?;
            if last.is_none() {
                set_setting(connection, "contacts-enabled", "1")?;
                // The executor caches the state of the directory as part of the configuration.
                raise_setting(connection, "config-version")?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Fills the directory in one database from the events after that one in another or the same
/// database. Returns the last of them, or `None` if there are none.
pub(super) fn add_from_events_after(
    events: &Connection,
    into: &Connection,
    seen: i64,
) -> Result<Option<i64>> {
    let mut statement = events.prepare_cached(
        "SELECT id, key, params, accepted_at FROM event WHERE id > ?1 ORDER BY id LIMIT ?2",
    )?;
    let mut rows = statement.query(params![seen, MAX_FILL_EVENTS])?;
    let mut last = None;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        if let Some((key, params)) = skip_damaged(read_event(id, row))? {
            add_from_event(into, &key, &params, Timestamp(row.get(3)?))?;
        }
        last = Some(id);
    }
    Ok(last)
}

/// Reads the key and the parameters of an event.
fn read_event(id: i64, row: &Row<'_>) -> Result<(String, Map<String, Value>)> {
    let params = serde_json::from_str(row.get_ref(2)?.as_str().unwrap_or_default())
        .map_err(|error| damaged(format!("the parameters of event {id}"), error))?;
    Ok((row.get(1)?, params))
}

/// Creates or updates a contact from an event.
pub(crate) fn add_from_event(
    connection: &Connection,
    key: &str,
    params: &Map<String, Value>,
    at: Timestamp,
) -> Result<()> {
    let stated = NewContact::from_params(params);
    if stated.is_identified() {
        // If the external id belongs to another contact, or the contact cannot be read, the event
        // is stored and no contact changes.
        skip_damaged(upsert::upsert(connection, Some(key), &stated, false, at))?;
    }
    Ok(())
}

/// Finds the contact of a row or an event, by the first name that it states.
pub(super) fn find_stated(
    connection: &Connection,
    key: Option<&str>,
    new: &NewContact,
) -> Result<Option<ContactRow>> {
    for name in stated_names(key, new) {
        let row = match &name.key {
            ContactKey::Address(kind, address) => {
                find_by_address(connection, *kind, address, name.anonymous)?
            }
            other => find_row(connection, other)?,
        };
        if row.is_some() {
            return Ok(row);
        }
    }
    Ok(None)
}

fn find_by_address(
    connection: &Connection,
    kind: AddressKind,
    address: &str,
    anonymous: bool,
) -> Result<Option<ContactRow>> {
    Ok(connection
        .prepare_cached(
            "SELECT contact.row FROM contact_address JOIN contact ON row = contact
             WHERE kind = ?1 AND address_key = ?2 AND (NOT ?3 OR external_id IS NULL)
             ORDER BY contact.row LIMIT 1",
        )?
        .query_row(params![kind.name(), kind.key(address), anonymous], |row| {
            row.get(0)
        })
        .optional()?)
}

/// Returns the contact that an event is about.
pub(super) fn contact_of_event(
    connection: &Connection,
    key: &str,
    stated: &NewContact,
) -> Result<Option<Contact>> {
    match find_stated(connection, Some(key), stated)? {
        Some(row) => load(connection, row),
        None => Ok(None),
    }
}
