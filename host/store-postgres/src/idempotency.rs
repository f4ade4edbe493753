//! Responses stored under Idempotency-Keys, and reservations for them.

use promoflow_model::clock::Timestamp;
use promoflow_store::{IdempotencyStore, Reservation, StoreError, StoredResponse};

use crate::connection::{Row, params};
use crate::errors::{Result, StoreResult, damaged};
use crate::transaction::Transaction;
use crate::{PostgresStore, hosts};

/// A row of the table.
enum Known {
    Stored(StoredResponse),
    /// The owner of a reservation.
    ReservedBy(String),
}

fn find(
    transaction: &Transaction<'_>,
    key: &str,
    idempotency_key: &str,
    since: Timestamp,
) -> Result<Option<Known>> {
    let row = transaction.row(
        "SELECT owner, fingerprint, status, content_type, location, body FROM idempotent_response
         WHERE api_key = $1 AND idempotency_key = $2 AND created_at >= $3",
        params![key, idempotency_key, since.0],
    )?;
    row.map(|row| read(&row)).transpose()
}

fn read(row: &Row) -> Result<Known> {
    if let Some(owner) = row.get(0)? {
        return Ok(Known::ReservedBy(owner));
    }
    let fingerprint: Vec<u8> = row.get(1)?;
    let fingerprint = <[u8; 32]>::try_from(fingerprint)
        .map_err(|_| damaged("a stored response", "its fingerprint is not 32 bytes long"))?;
    let status = row.count(2)?;
    Ok(Known::Stored(StoredResponse {
        fingerprint,
        status: u16::try_from(status)
            .map_err(|error| damaged("the status of a stored response", error))?,
        content_type: row.get(3)?,
        location: row.get(4)?,
        body: row.get(5)?,
    }))
}

/// Returns the name of the host that writes, which owns what it reserves.
fn owner<'t>(transaction: &'t Transaction<'_>) -> Result<&'t str> {
    let seat = transaction.seat();
    let seat = seat.ok_or_else(|| StoreError::Engine("the transaction only reads".into()))?;
    Ok(&seat.host)
}

impl IdempotencyStore for PostgresStore {
    fn reserve_response(
        &self,
        key: &str,
        idempotency_key: &str,
        at: Timestamp,
        since: Timestamp,
    ) -> StoreResult<Reservation> {
        // A repeated request waits for no other writer.
        let known = self.read(|transaction| find(transaction, key, idempotency_key, since))?;
        if let Some(Known::Stored(response)) = known {
            return Ok(Reservation::Stored(response));
        }
        Ok(self.write(|transaction| {
            let own = owner(transaction)?;
            transaction.execute(
                "DELETE FROM idempotent_response WHERE created_at < $1",
                params![since.0],
            )?;
            match find(transaction, key, idempotency_key, since)? {
                Some(Known::Stored(response)) => return Ok(Reservation::Stored(response)),
                Some(Known::ReservedBy(owner))
                    if owner != own && !hosts::has_ended(transaction, &owner)? =>
                {
                    return Ok(Reservation::InProgress);
                }
                _ => {}
            }
            transaction.execute(
                "INSERT INTO idempotent_response (api_key, idempotency_key, owner, created_at)
                 VALUES ($1, $2, $3, $4)
                 ON CONFLICT (api_key, idempotency_key)
                 DO UPDATE SET owner = excluded.owner, created_at = excluded.created_at",
                params![key, idempotency_key, own, at.0],
            )?;
            Ok(Reservation::Reserved)
        })?)
    }

    fn store_response(
        &self,
        key: &str,
        idempotency_key: &str,
        response: &StoredResponse,
        at: Timestamp,
    ) -> StoreResult<()> {
        Ok(self.write(|transaction| {
            transaction.execute(
                "UPDATE idempotent_response
                 SET owner = NULL, fingerprint = $4, status = $5, content_type = $6,
                     location = $7, body = $8, created_at = $9
                 WHERE api_key = $1 AND idempotency_key = $2 AND owner = $3",
                params![
                    key,
                    idempotency_key,
                    owner(transaction)?,
                    &response.fingerprint[..],
                    i32::from(response.status),
                    response.content_type,
                    response.location,
                    response.body,
                    at.0
                ],
            )?;
            Ok(())
        })?)
    }

    fn cancel_reservation(&self, key: &str, idempotency_key: &str) -> StoreResult<()> {
        Ok(self.write(|transaction| {
            transaction.execute(
                "DELETE FROM idempotent_response
                 WHERE api_key = $1 AND idempotency_key = $2 AND owner = $3",
                params![key, idempotency_key, owner(transaction)?],
            )?;
            Ok(())
        })?)
    }
}
