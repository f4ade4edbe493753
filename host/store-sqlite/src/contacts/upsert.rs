//! Creates and updates contacts from rows and events.

use rusqlite::{Connection, params};
use serde_json::{Map, Value};

use super::event_contacts::find_stated;
use super::{ContactRow, find_row, load, suppressions};
use crate::{Result, damaged};
use promoflow_model::clock::Timestamp;
use promoflow_model::contact::{Contact, ContactKey, NewContact};
use promoflow_model::message::ChannelKind;
use promoflow_store::ContactOutcome;

/// Stores the data of a row, or of an event with that key. `resubscribe`: it may undo an
/// unsubscription.
pub(super) fn upsert(
    connection: &Connection,
    key: Option<&str>,
    new: &NewContact,
    resubscribe: bool,
    at: Timestamp,
) -> Result<ContactOutcome> {
    let row = find_stated(connection, key, new)?;
    if let Some(id) = &new.external_id
        && let Some(other) = find_row(connection, &ContactKey::ExternalId(id.clone()))?
        && Some(other) != row
    {
        let contact = connection
            .prepare_cached("SELECT id FROM contact WHERE row = ?1")?
            .query_row([other], |row| row.get(0))?;
        return Ok(ContactOutcome::Conflict { contact });
    }
    let Some(row) = row else {
        let row = insert(connection, new, at)?;
        put_consent(connection, row, new, resubscribe, at)?;
        return Ok(ContactOutcome::Inserted);
    };
    let mut changed = update(connection, row, new)?;
    suppressions::record_former_addresses(connection, row, new, at)?;
    changed |= put_addresses(connection, row, new)?;
    changed |= put_consent(connection, row, new, resubscribe, at)?;
    Ok(match changed {
        true => ContactOutcome::Updated,
        false => ContactOutcome::Unchanged,
    })
}

/// Creates a contact with its addresses.
pub(super) fn insert(
    connection: &Connection,
    new: &NewContact,
    at: Timestamp,
) -> Result<ContactRow> {
    let next: i64 = connection
        .prepare_cached("SELECT coalesce(max(row), 0) + 1 FROM contact")?
        .query_row([], |row| row.get(0))?;
    let id = match &new.id {
        Some(id) => id.clone(),
        None => {
            // The prefix distinguishes it from numeric ids of the user's own, such as event keys.
            // The id may still be in use.
            let mut number = next;
            loop {
                let id = format!("c{number}");
                if find_row(connection, &ContactKey::Id(id.clone()))?.is_none() {
                    break id;
                }
                number += 1;
            }
        }
    };
    connection
        .prepare_cached(
            "INSERT INTO contact (row, id, external_id, fields, languages, time_zone, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            next,
            id,
            new.external_id,
            to_json(&new.fields)?,
            to_json(new.languages.as_deref().unwrap_or_default())?,
            new.time_zone.map(|zone| zone.name()),
            at.0,
        ])?;
    put_addresses(connection, next, new)?;
    Ok(next)
}

fn update(connection: &Connection, row: ContactRow, new: &NewContact) -> Result<bool> {
    if new.external_id.is_none()
        && new.fields.is_empty()
        && new.languages.is_none()
        && new.time_zone.is_none()
    {
        return Ok(false);
    }
    let fields: String = connection
        .prepare_cached("SELECT fields FROM contact WHERE row = ?1")?
        .query_row([row], |row| row.get(0))?;
    let mut merged: Map<String, Value> = serde_json::from_str(&fields)
        .map_err(|error| damaged(format!("the fields of contact row {row}"), error))?;
    for (name, value) in &new.fields {
        merged.insert(name.clone(), value.clone());
    }
    let languages = match &new.languages {
        Some(languages) => Some(to_json(languages)?),
        None => None,
    };
    let changed = connection
        .prepare_cached(
            "UPDATE contact SET external_id = coalesce(?2, external_id), fields = ?3,
                 languages = coalesce(?4, languages), time_zone = coalesce(?5, time_zone)
             WHERE row = ?1 AND (external_id IS NOT coalesce(?2, external_id) OR fields <> ?3
                 OR languages <> coalesce(?4, languages)
                 OR time_zone IS NOT coalesce(?5, time_zone))",
        )?
        .execute(params![
            row,
            new.external_id,
            to_json(&merged)?,
            languages,
            new.time_zone.map(|zone| zone.name()),
        ])?;
    Ok(changed > 0)
}

fn put_addresses(connection: &Connection, row: ContactRow, new: &NewContact) -> Result<bool> {
    let mut changed = false;
    for (kind, address) in &new.addresses {
        changed |= connection
            .prepare_cached(
                "INSERT INTO contact_address (contact, kind, address, address_key)
                 VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE
                 SET address = excluded.address, address_key = excluded.address_key
                 WHERE address <> excluded.address",
            )?
            .execute(params![row, kind.name(), address, kind.key(address)])?
            > 0;
    }
    Ok(changed)
}

fn put_consent(
    connection: &Connection,
    row: ContactRow,
    new: &NewContact,
    resubscribe: bool,
    at: Timestamp,
) -> Result<bool> {
    let mut changed = false;
    for (channel, given) in &new.consent {
        changed |= record_consent(connection, row, *channel, *given, resubscribe, at)?;
    }
    Ok(changed)
}

/// Records a contact's consent for a channel, and applies it to the contact's address. Does not
/// undo an unsubscription unless `resubscribe` is set.
pub(super) fn record_consent(
    connection: &Connection,
    row: ContactRow,
    channel: ChannelKind,
    given: bool,
    resubscribe: bool,
    at: Timestamp,
) -> Result<bool> {
    let changed = connection
        .prepare_cached(
            "INSERT INTO consent (contact, channel, given, changed_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET given = excluded.given, changed_at = excluded.changed_at
             WHERE given <> excluded.given AND (?5 OR NOT excluded.given)",
        )?
        .execute(params![row, channel.name(), given, at.0, resubscribe])?;
    let of_address = match given {
        false => suppressions::add_suppressions(connection, row, channel, at)?,
        true if resubscribe => suppressions::remove_suppressions(connection, row, channel)?,
        true => false,
    };
    Ok(changed > 0 || of_address)
}

/// Records consent of the contact with that id for these channels.
pub(super) fn set_consent(
    connection: &Connection,
    id: &str,
    channels: &[ChannelKind],
    given: bool,
    at: Timestamp,
) -> Result<Option<Contact>> {
    let Some(row) = find_row(connection, &ContactKey::Id(id.to_owned()))? else {
        return Ok(None);
    };
    for channel in channels {
        record_consent(connection, row, *channel, given, true, at)?;
    }
    load(connection, row)
}

fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| damaged("the fields of a contact", error))
}
