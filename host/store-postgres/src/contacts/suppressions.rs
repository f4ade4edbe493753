//! Unsubscriptions: contacts that have unsubscribed, and the addresses at which they did.
//!
//! Both are kept, because addresses move between contacts. An unsubscribed address stays
//! unsubscribed when another contact gets it, and so does an unsubscribed contact when it gets a
//! new address.

use serde_json::{Map, Value};

use promoflow_model::clock::Timestamp;
use promoflow_model::contact::{AddressKind, ContactKey, NewContact};
use promoflow_model::message::ChannelKind;
use promoflow_store::DeliveryId;

use super::names::Names;
use super::writes::{Writes, values};
use super::{ContactRow, upsert};
use crate::connection::params;
use crate::deliveries::read_channel;
use crate::errors::{Result, damaged};
use crate::transaction::Transaction;

/// Finds a row if there is any unsubscription at all.
pub(crate) const ANY_SUPPRESSION: &str = "SELECT 1 WHERE EXISTS (SELECT 1 FROM suppression)
         OR EXISTS (SELECT 1 FROM consent WHERE given = 0)";
/// Finds deliveries that may have to be skipped, for which
/// [`is_delivery_suppressed`] decides. Its parameters are columns: the deliveries' ids, the kinds of
/// their addresses, the normalised addresses, and the channels.
pub(crate) const FIND_SUPPRESSED: &str = "SELECT delivery.id
     FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[])
         AS delivery (id, kind, address_key, channel)
     WHERE EXISTS (
             SELECT 1 FROM suppression AS one
             WHERE one.channel = delivery.channel AND one.address_key = delivery.address_key)
         OR EXISTS (
             SELECT 1 FROM contact_address AS one JOIN consent USING (contact)
             WHERE one.kind = delivery.kind AND one.address_key = delivery.address_key
                 AND consent.channel = delivery.channel AND given = 0)
         OR EXISTS (
             SELECT 1 FROM former_address AS one JOIN consent USING (contact)
             WHERE one.kind = delivery.kind AND one.address_key = delivery.address_key
                 AND consent.channel = delivery.channel AND given = 0)";

/// Returns true if there is any unsubscription at all.
pub(crate) fn any_suppression(transaction: &Transaction<'_>) -> Result<bool> {
    transaction.exists(ANY_SUPPRESSION, &[])
}

/// Returns true if this address has unsubscribed from the channel, or a contact that has it did.
pub(super) fn is_address_suppressed(
    transaction: &Transaction<'_>,
    channel: ChannelKind,
    address: &str,
) -> Result<bool> {
    let kind = AddressKind::of(channel);
    transaction.exists(
        "SELECT 1 WHERE
             EXISTS (SELECT 1 FROM suppression WHERE channel = $3 AND address_key = $2)
             OR EXISTS (
                 SELECT 1 FROM contact_address JOIN consent USING (contact)
                 WHERE kind = $1 AND address_key = $2 AND channel = $3 AND given = 0)",
        params![kind.name(), kind.key(address), channel.name()],
    )
}

/// Returns true if a delivery must not be attempted: its address has unsubscribed, or its contact
/// has since left that address and unsubscribed.
pub(crate) fn is_delivery_suppressed(
    transaction: &Transaction<'_>,
    id: DeliveryId,
    channel: ChannelKind,
    address: &str,
) -> Result<bool> {
    if is_address_suppressed(transaction, channel, address)? {
        return Ok(true);
    }
    let kind = AddressKind::of(channel);
    let left = transaction.exists(
        "SELECT 1 FROM former_address JOIN consent USING (contact)
         WHERE kind = $1 AND address_key = $2 AND channel = $3 AND given = 0 LIMIT 1",
        params![kind.name(), kind.key(address), channel.name()],
    )?;
    if !left {
        return Ok(false);
    }
    let contact = match load_recipient(transaction, id)? {
        Some(recipient) => recipient.contact(transaction)?,
        None => None,
    };
    transaction.exists(
        "SELECT 1 FROM consent WHERE contact = $1 AND channel = $2 AND given = 0",
        params![contact, channel.name()],
    )
}

/// Records the unsubscription of a contact's current address from a channel.
pub(super) fn add_suppressions(
    writes: &mut Writes,
    number: usize,
    contact: ContactRow,
    channel: ChannelKind,
    at: Timestamp,
) {
    writes.change(
        number,
        "INSERT INTO suppression (channel, address_key, created_at)
         SELECT $2, address_key, $4::bigint FROM contact_address WHERE contact = $1 AND kind = $3
         ON CONFLICT DO NOTHING",
        values![
            contact,
            channel.name(),
            AddressKind::of(channel).name(),
            at.0
        ],
    );
}

/// Removes the unsubscriptions of a contact's current and former addresses from a channel.
pub(super) fn remove_suppressions(
    writes: &mut Writes,
    number: usize,
    contact: ContactRow,
    channel: ChannelKind,
) {
    writes.change(
        number,
        "DELETE FROM suppression WHERE channel = $2 AND address_key IN (
             SELECT address_key FROM contact_address WHERE contact = $1 AND kind = $3
             UNION SELECT address_key FROM former_address WHERE contact = $1 AND kind = $3)",
        values![contact, channel.name(), AddressKind::of(channel).name()],
    );
}

/// Records the addresses that a contact gives up for the newly stated ones.
pub(super) fn record_former_addresses(
    writes: &mut Writes,
    number: usize,
    contact: ContactRow,
    new: &NewContact,
    at: Timestamp,
) {
    for (kind, address) in &new.addresses {
        writes.record(
            number,
            "INSERT INTO former_address (contact, kind, address_key, until_at)
             SELECT contact, kind, address_key, $4::bigint FROM contact_address
             WHERE contact = $1 AND kind = $2 AND address_key <> $3
             ON CONFLICT (contact, kind, address_key) DO UPDATE SET until_at = excluded.until_at",
            values![contact, kind.name(), kind.key(address), at.0],
        );
    }
}

/// Records that the recipient of a delivery has unsubscribed from its channel. Returns false if
/// there is no such delivery.
pub(super) fn unsubscribe_recipient(
    transaction: &Transaction<'_>,
    id: DeliveryId,
    at: Timestamp,
) -> Result<bool> {
    let Some(recipient) = load_recipient(transaction, id)? else {
        return Ok(false);
    };
    let channel = recipient.channel;
    let contact = match recipient.contact(transaction)? {
        Some(contact) => contact,
        // An address without a contact gets one, so that the unsubscription is visible.
        None => upsert::insert_one(transaction, &recipient.address_only(), at)?,
    };
    let mut writes = Writes::default();
    upsert::record_consent(&mut writes, 0, contact, channel, false, true, at);
    writes.record(
        0,
        "INSERT INTO suppression (channel, address_key, created_at) VALUES ($1, $2, $3)
         ON CONFLICT DO NOTHING",
        values![channel.name(), recipient.key(), at.0],
    );
    // Links the address to this contact, whichever contact has it now: subscribing again lifts the
    // unsubscription.
    writes.record(
        0,
        "INSERT INTO former_address (contact, kind, address_key, until_at)
         SELECT $1::bigint, $2, $3, $4::bigint WHERE NOT EXISTS (
             SELECT 1 FROM contact_address
             WHERE contact = $1 AND kind = $2 AND address_key = $3)
         ON CONFLICT DO NOTHING",
        values![contact, recipient.kind().name(), recipient.key(), at.0],
    );
    writes.send(transaction, 1)?;
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

fn load_recipient(
    transaction: &Transaction<'_>,
    id: DeliveryId,
) -> Result<Option<DeliveryRecipient>> {
    let row = transaction.row(
        "SELECT channel, address, delivery.created_at, event.key, event.params
         FROM delivery JOIN run ON run.id = delivery.run JOIN event ON event.id = run.event
         WHERE delivery.id = $1",
        params![id.0],
    )?;
    let Some(row) = row else { return Ok(None) };
    let params: Map<String, Value> = serde_json::from_str(&row.get::<String>(4)?)
        .map_err(|error| damaged(format!("the parameters of delivery {id}'s event"), error))?;
    Ok(Some(DeliveryRecipient {
        channel: read_channel(id, &row.get::<String>(0)?)?,
        address: row.get(1)?,
        staged: row.get(2)?,
        event: row.get(3)?,
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
    fn contact(&self, transaction: &Transaction<'_>) -> Result<Option<ContactRow>> {
        let named = [
            self.stated.id.clone().map(ContactKey::Id),
            self.stated.external_id.clone().map(ContactKey::ExternalId),
            Some(ContactKey::Id(self.event.clone())),
            Some(ContactKey::ExternalId(self.event.clone())),
        ];
        let named: Vec<ContactKey> = named.into_iter().flatten().collect();
        let now = ContactKey::Address(self.kind(), self.address.clone());
        let found = Names::load(transaction, named.iter().chain([&now]))?;
        for row in named.iter().filter_map(|name| found.find(name)) {
            if self.had_address(transaction, row)? {
                return Ok(Some(row));
            }
        }
        let before = transaction.row(
            "SELECT contact FROM former_address
             WHERE kind = $1 AND address_key = $2 AND until_at >= $3
             ORDER BY until_at LIMIT 1",
            params![self.kind().name(), self.key(), self.staged],
        )?;
        match before {
            Some(row) => row.get(0),
            None => Ok(found.find(&now)),
        }
    }

    /// Returns true if the contact has or had the delivery's address.
    fn had_address(&self, transaction: &Transaction<'_>, contact: ContactRow) -> Result<bool> {
        let stated = self.stated.addresses.get(&self.kind());
        if stated.is_some_and(|stated| self.kind().key(stated) == self.key()) {
            return Ok(true);
        }
        transaction.exists(
            "SELECT 1 FROM contact_address WHERE contact = $1 AND kind = $2 AND address_key = $3
             UNION ALL
             SELECT 1 FROM former_address WHERE contact = $1 AND kind = $2 AND address_key = $3",
            params![contact, self.kind().name(), self.key()],
        )
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
