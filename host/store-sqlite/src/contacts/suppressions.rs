//! Unsubscriptions: contacts that have unsubscribed, and the addresses at which they did.
//!
//! Both are kept, because addresses move between contacts. An unsubscribed address stays
//! unsubscribed when another contact gets it, and so does an unsubscribed contact when it gets a
//! new address.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Map, Value};

use super::{ContactRow, find_row, upsert};
use crate::deliveries::read_channel;
use crate::{Result, damaged};
use promoflow_model::clock::Timestamp;
use promoflow_model::contact::{AddressKind, ContactKey, NewContact};
use promoflow_model::message::ChannelKind;
use promoflow_store::DeliveryId;

/// Returns true if there is any unsubscription at all.
pub(crate) fn any_suppression(connection: &Connection) -> Result<bool> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM suppression)
                 OR EXISTS (SELECT 1 FROM consent WHERE given = 0)",
        )?
        .query_row([], |row| row.get(0))?)
}

/// Returns true if this address has unsubscribed from the channel, or a contact that has it did.
pub(crate) fn is_address_suppressed(
    connection: &Connection,
    channel: ChannelKind,
    address: &str,
) -> Result<bool> {
    let kind = AddressKind::of(channel);
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM suppression WHERE channel = ?3 AND address_key = ?2)
                 OR EXISTS (
                     SELECT 1 FROM contact_address JOIN consent USING (contact)
                     WHERE kind = ?1 AND address_key = ?2 AND channel = ?3 AND given = 0)",
        )?
        .query_row(
            params![kind.name(), kind.key(address), channel.name()],
            |row| row.get(0),
        )?)
}

/// Returns true if a delivery must not be attempted: its address has unsubscribed, or its contact
/// has since left that address and unsubscribed.
pub(crate) fn is_delivery_suppressed(
    connection: &Connection,
    id: DeliveryId,
    channel: ChannelKind,
    address: &str,
) -> Result<bool> {
    if is_address_suppressed(connection, channel, address)? {
        return Ok(true);
    }
    let kind = AddressKind::of(channel);
    let left: bool = connection
        .prepare_cached(
            "SELECT EXISTS (
                 SELECT 1 FROM former_address JOIN consent USING (contact)
                 WHERE kind = ?1 AND address_key = ?2 AND channel = ?3 AND given = 0)",
        )?
        .query_row(
            params![kind.name(), kind.key(address), channel.name()],
            |row| row.get(0),
        )?;
    if !left {
        return Ok(false);
    }
    let contact = match load_recipient(connection, id)? {
        Some(recipient) => recipient.contact(connection)?,
        None => None,
    };
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (
                 SELECT 1 FROM consent WHERE contact = ?1 AND channel = ?2 AND given = 0)",
        )?
        .query_row(params![contact, channel.name()], |row| row.get(0))?)
}

/// Records the unsubscription of a contact's current address from a channel. Returns true if it is
/// new.
pub(super) fn add_suppressions(
    connection: &Connection,
    contact: ContactRow,
    channel: ChannelKind,
    at: Timestamp,
) -> Result<bool> {
    let added = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO suppression (channel, address_key, created_at)
             SELECT ?2, address_key, ?4 FROM contact_address WHERE contact = ?1 AND kind = ?3",
        )?
        .execute(params![
            contact,
            channel.name(),
            AddressKind::of(channel).name(),
            at.0
        ])?;
    Ok(added > 0)
}

/// Removes the unsubscriptions of a contact's current and former addresses from a channel. Returns
/// true if there were any.
pub(super) fn remove_suppressions(
    connection: &Connection,
    contact: ContactRow,
    channel: ChannelKind,
) -> Result<bool> {
    let removed = connection
        .prepare_cached(
            "DELETE FROM suppression WHERE channel = ?2 AND address_key IN (
                 SELECT address_key FROM contact_address WHERE contact = ?1 AND kind = ?3
                 UNION SELECT address_key FROM former_address WHERE contact = ?1 AND kind = ?3)",
        )?
        .execute(params![
            contact,
            channel.name(),
            AddressKind::of(channel).name()
        ])?;
    Ok(removed > 0)
}

/// Records the addresses that a contact gives up for the newly stated ones.
pub(super) fn record_former_addresses(
    connection: &Connection,
    contact: ContactRow,
    new: &NewContact,
    at: Timestamp,
) -> Result<()> {
    for (kind, address) in &new.addresses {
        connection
            .prepare_cached(
                "INSERT INTO former_address (contact, kind, address_key, until_at)
                 SELECT contact, kind, address_key, ?4 FROM contact_address
                 WHERE contact = ?1 AND kind = ?2 AND address_key <> ?3
                 ON CONFLICT DO UPDATE SET until_at = excluded.until_at",
            )?
            .execute(params![contact, kind.name(), kind.key(address), at.0])?;
    }
    Ok(())
}

/// Records that the recipient of a delivery has unsubscribed from its channel. Returns false if
/// there is no such delivery.
pub(super) fn unsubscribe_recipient(
    connection: &Connection,
    id: DeliveryId,
    at: Timestamp,
) -> Result<bool> {
    let Some(recipient) = load_recipient(connection, id)? else {
        return Ok(false);
    };
    let channel = recipient.channel;
    let contact = match recipient.contact(connection)? {
        Some(contact) => contact,
        // An address without a contact gets one, so that the unsubscription is visible.
        None => upsert::insert(connection, &recipient.address_only(), at)?,
    };
    upsert::record_consent(connection, contact, channel, false, true, at)?;
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO suppression (channel, address_key, created_at)
             VALUES (?1, ?2, ?3)",
        )?
        .execute(params![channel.name(), recipient.key(), at.0])?;
    // Links the address to this contact, whichever contact has it now: subscribing again lifts the
    // unsubscription.
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO former_address (contact, kind, address_key, until_at)
             SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (
                 SELECT 1 FROM contact_address
                 WHERE contact = ?1 AND kind = ?2 AND address_key = ?3)",
        )?
        .execute(params![
            contact,
            recipient.kind().name(),
            recipient.key(),
            at.0
        ])?;
    Ok(true)
}

/// The parts of a delivery that identify its recipient.
struct DeliveryRecipient {
    channel: ChannelKind,
    address: String,
    staged: i64,
    /// The key of its event.
    event: String,
    stated: NewContact,
}

fn load_recipient(connection: &Connection, id: DeliveryId) -> Result<Option<DeliveryRecipient>> {
    let found = connection
        .prepare_cached(
            "SELECT channel, address, delivery.created_at, event.key, event.params
             FROM delivery JOIN run ON run.id = delivery.run JOIN event ON event.id = run.event
             WHERE delivery.id = ?1",
        )?
        .query_row([id.0], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get::<_, String>(4)?,
            ))
        })
        .optional()?;
    let Some((channel, address, staged, event, params)) = found else {
        return Ok(None);
    };
    let params: Map<String, Value> = serde_json::from_str(&params)
        .map_err(|error| damaged(format!("the parameters of delivery {id}'s event"), error))?;
    Ok(Some(DeliveryRecipient {
        channel: read_channel(id, &channel)?,
        address,
        staged,
        event,
        stated: NewContact::from_params(&params),
    }))
}

impl DeliveryRecipient {
    fn kind(&self) -> AddressKind {
        AddressKind::of(self.channel)
    }

    fn key(&self) -> String {
        self.kind().key(&self.address)
    }

    /// Returns the contact that the delivery was for: the one that its event names, if it ever had
    /// the address; otherwise the one that had the address when the delivery was staged; otherwise
    /// the one that has it now.
    fn contact(&self, connection: &Connection) -> Result<Option<ContactRow>> {
        let named = [
            self.stated.id.clone().map(ContactKey::Id),
            self.stated.external_id.clone().map(ContactKey::ExternalId),
            Some(ContactKey::Id(self.event.clone())),
            Some(ContactKey::ExternalId(self.event.clone())),
        ];
        for name in named.into_iter().flatten() {
            if let Some(row) = find_row(connection, &name)?
                && self.had_address(connection, row)?
            {
                return Ok(Some(row));
            }
        }
        let before = connection
            .prepare_cached(
                "SELECT contact FROM former_address
                 WHERE kind = ?1 AND address_key = ?2 AND until_at >= ?3
                 ORDER BY until_at LIMIT 1",
            )?
            .query_row(
                params![self.kind().name(), self.key(), self.staged],
                |row| row.get(0),
            )
            .optional()?;
        match before {
            Some(row) => Ok(Some(row)),
            None => find_row(
                connection,
                &ContactKey::Address(self.kind(), self.address.clone()),
            ),
        }
    }

    /// Returns true if the contact has or had the delivery's address.
    fn had_address(&self, connection: &Connection, contact: ContactRow) -> Result<bool> {
        let stated = self.stated.addresses.get(&self.kind());
        if stated.is_some_and(|stated| self.kind().key(stated) == self.key()) {
            return Ok(true);
        }
        Ok(connection
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM contact_address
                                WHERE contact = ?1 AND kind = ?2 AND address_key = ?3)
                     OR EXISTS (SELECT 1 FROM former_address
                                WHERE contact = ?1 AND kind = ?2 AND address_key = ?3)",
            )?
            .query_row(params![contact, self.kind().name(), self.key()], |row| {
                row.get(0)
            })?)
    }

    /// Returns a contact of which only the address is known.
    fn address_only(&self) -> NewContact {
        let mut address_only = NewContact::default();
        address_only
            .addresses
            .insert(self.kind(), self.address.clone());
        address_only
    }
}
