//! Who is not to be written to: contacts that have unsubscribed, and the addresses at which they did.
//!
//! Both are kept, because addresses go from one contact to another: neither does an address that was
//! refused become good by that, nor a contact that has unsubscribed by a new address.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Map, Value};

use super::{ContactRow, find_row, put};
use crate::deliveries::read_channel;
use crate::{Result, damaged};
use promoflow_model::clock::Timestamp;
use promoflow_model::contact::{AddressKind, Name, NewContact};
use promoflow_model::message::ChannelKind;
use promoflow_store::DeliveryId;

/// Whether anybody has unsubscribed from anything.
pub(crate) fn anybody_refuses(connection: &Connection) -> Result<bool> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM refusal)
                 OR EXISTS (SELECT 1 FROM consent WHERE given = 0)",
        )?
        .query_row([], |row| row.get(0))?)
}

/// Whether somebody has unsubscribed from the channel at that address, or has it and did so.
pub(crate) fn refuses(
    connection: &Connection,
    channel: ChannelKind,
    address: &str,
) -> Result<bool> {
    let kind = AddressKind::of(channel);
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM refusal WHERE channel = ?3 AND key = ?2)
                 OR EXISTS (
                     SELECT 1 FROM contact_address JOIN consent USING (contact)
                     WHERE kind = ?1 AND key = ?2 AND channel = ?3 AND given = 0)",
        )?
        .query_row(
            params![kind.name(), kind.key(address), channel.name()],
            |row| row.get(0),
        )?)
}

/// Whether a delivery is not to be tried: its address is refused, or its contact has left that and
/// unsubscribed.
pub(crate) fn refuses_delivery(
    connection: &Connection,
    id: DeliveryId,
    channel: ChannelKind,
    address: &str,
) -> Result<bool> {
    if refuses(connection, channel, address)? {
        return Ok(true);
    }
    let kind = AddressKind::of(channel);
    let left: bool = connection
        .prepare_cached(
            "SELECT EXISTS (
                 SELECT 1 FROM former_address JOIN consent USING (contact)
                 WHERE kind = ?1 AND key = ?2 AND channel = ?3 AND given = 0)",
        )?
        .query_row(
            params![kind.name(), kind.key(address), channel.name()],
            |row| row.get(0),
        )?;
    if !left {
        return Ok(false);
    }
    let whose = match letter(connection, id)? {
        Some(letter) => letter.contact(connection)?,
        None => None,
    };
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (
                 SELECT 1 FROM consent WHERE contact = ?1 AND channel = ?2 AND given = 0)",
        )?
        .query_row(params![whose, channel.name()], |row| row.get(0))?)
}

/// Notes that a contact has unsubscribed from a channel at the address that it has; whether that is
/// new.
pub(super) fn note(
    connection: &Connection,
    contact: ContactRow,
    channel: ChannelKind,
    at: Timestamp,
) -> Result<bool> {
    let noted = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO refusal (channel, key, at)
             SELECT ?2, key, ?4 FROM contact_address WHERE contact = ?1 AND kind = ?3",
        )?
        .execute(params![
            contact,
            channel.name(),
            AddressKind::of(channel).name(),
            at.0
        ])?;
    Ok(noted > 0)
}

/// Takes back that anybody has unsubscribed from a channel at an address that a contact has or had;
/// whether anybody had.
pub(super) fn lift(
    connection: &Connection,
    contact: ContactRow,
    channel: ChannelKind,
) -> Result<bool> {
    let lifted = connection
        .prepare_cached(
            "DELETE FROM refusal WHERE channel = ?2 AND key IN (
                 SELECT key FROM contact_address WHERE contact = ?1 AND kind = ?3
                 UNION SELECT key FROM former_address WHERE contact = ?1 AND kind = ?3)",
        )?
        .execute(params![
            contact,
            channel.name(),
            AddressKind::of(channel).name()
        ])?;
    Ok(lifted > 0)
}

/// Notes the addresses that a contact leaves for those that are stated of it.
pub(super) fn leave(
    connection: &Connection,
    contact: ContactRow,
    new: &NewContact,
    at: Timestamp,
) -> Result<()> {
    for (kind, address) in &new.addresses {
        connection
            .prepare_cached(
                "INSERT INTO former_address (contact, kind, key, until)
                 SELECT contact, kind, key, ?4 FROM contact_address
                 WHERE contact = ?1 AND kind = ?2 AND key <> ?3
                 ON CONFLICT DO UPDATE SET until = excluded.until",
            )?
            .execute(params![contact, kind.name(), kind.key(address), at.0])?;
    }
    Ok(())
}

/// Notes that whoever got a delivery has unsubscribed from its channel; false where there is no such
/// delivery.
pub(super) fn by_delivery(connection: &Connection, id: DeliveryId, at: Timestamp) -> Result<bool> {
    let Some(letter) = letter(connection, id)? else {
        return Ok(false);
    };
    let channel = letter.channel;
    let contact = match letter.contact(connection)? {
        Some(contact) => contact,
        // An address of nobody comes into the directory, where people see it.
        None => put::insert(connection, &letter.stranger(), at)?,
    };
    put::consent(connection, contact, channel, false, true, at)?;
    connection
        .prepare_cached("INSERT OR IGNORE INTO refusal (channel, key, at) VALUES (?1, ?2, ?3)")?
        .execute(params![channel.name(), letter.key(), at.0])?;
    // It is the contact's, whoever has it now: subscribing takes it back.
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO former_address (contact, kind, key, until)
             SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (
                 SELECT 1 FROM contact_address WHERE contact = ?1 AND kind = ?2 AND key = ?3)",
        )?
        .execute(params![contact, letter.kind().name(), letter.key(), at.0])?;
    Ok(true)
}

/// A delivery, as far as it tells whose it is.
struct Letter {
    channel: ChannelKind,
    address: String,
    staged: i64,
    /// The key of its event.
    event: String,
    stated: NewContact,
}

fn letter(connection: &Connection, id: DeliveryId) -> Result<Option<Letter>> {
    let found = connection
        .prepare_cached(
            "SELECT channel, address, delivery.at, event.key, event.params
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
    Ok(Some(Letter {
        channel: read_channel(id, &channel)?,
        address,
        staged,
        event,
        stated: NewContact::stated_by(&params),
    }))
}

impl Letter {
    fn kind(&self) -> AddressKind {
        AddressKind::of(self.channel)
    }

    fn key(&self) -> String {
        self.kind().key(&self.address)
    }

    /// The contact that it was for: whom its event names, if the address was ever that one's; else
    /// whoever had it when it was staged, else whoever has it.
    fn contact(&self, connection: &Connection) -> Result<Option<ContactRow>> {
        let named = [
            self.stated.id.clone().map(Name::Id),
            self.stated.external_id.clone().map(Name::ExternalId),
            Some(Name::Id(self.event.clone())),
            Some(Name::ExternalId(self.event.clone())),
        ];
        for name in named.into_iter().flatten() {
            if let Some(row) = find_row(connection, &name)?
                && self.is_of(connection, row)?
            {
                return Ok(Some(row));
            }
        }
        let before = connection
            .prepare_cached(
                "SELECT contact FROM former_address WHERE kind = ?1 AND key = ?2 AND until >= ?3
                 ORDER BY until LIMIT 1",
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
                &Name::Address(self.kind(), self.address.clone()),
            ),
        }
    }

    /// Whether its address is one that the contact has or had.
    fn is_of(&self, connection: &Connection, contact: ContactRow) -> Result<bool> {
        let stated = self.stated.addresses.get(&self.kind());
        if stated.is_some_and(|stated| self.kind().key(stated) == self.key()) {
            return Ok(true);
        }
        Ok(connection
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM contact_address
                                WHERE contact = ?1 AND kind = ?2 AND key = ?3)
                     OR EXISTS (SELECT 1 FROM former_address
                                WHERE contact = ?1 AND kind = ?2 AND key = ?3)",
            )?
            .query_row(params![contact, self.kind().name(), self.key()], |row| {
                row.get(0)
            })?)
    }

    /// A contact of which nothing is known but the address.
    fn stranger(&self) -> NewContact {
        let mut stranger = NewContact::default();
        stranger.addresses.insert(self.kind(), self.address.clone());
        stranger
    }
}
