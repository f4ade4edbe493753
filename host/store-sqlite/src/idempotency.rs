//! Responses stored under Idempotency-Keys, and reservations for them.

use rusqlite::{Connection, Row, params};

use super::owner_lock::Owners;
use super::{Result, SqliteStore, StoreResult, damaged};
use promoflow_model::clock::Timestamp;
use promoflow_store::{IdempotencyStore, Reservation, StoredResponse};

/// A row of the table.
enum Known {
    Stored(StoredResponse),
    /// The owner of a reservation.
    ReservedBy(String),
}

fn find(
    connection: &Connection,
    key: &str,
    idempotency_key: &str,
    since: Timestamp,
) -> Result<Option<Known>> {
    let mut statement = connection.prepare_cached(
        "SELECT owner, fingerprint, status, content_type, location, body FROM idempotent_response
         WHERE api_key = ?1 AND idempotency_key = ?2 AND created_at >= ?3",
    )?;
    let mut rows = statement.query(params![key, idempotency_key, since.0])?;
    rows.next()?.map(read).transpose()
}

fn read(row: &Row<'_>) -> Result<Known> {
    if let Some(owner) = row.get(0)? {
        return Ok(Known::ReservedBy(owner));
    }
    let fingerprint: Vec<u8> = row.get(1)?;
    let fingerprint = <[u8; 32]>::try_from(fingerprint)
        .map_err(|_| damaged("a stored response", "its fingerprint is not 32 bytes long"))?;
    Ok(Known::Stored(StoredResponse {
        fingerprint,
        status: row.get(2)?,
        content_type: row.get(3)?,
        location: row.get(4)?,
        body: row.get(5)?,
    }))
}

fn reserve(
    connection: &Connection,
    key: &str,
    idempotency_key: &str,
    owner: &str,
    at: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO idempotent_response
                 (api_key, idempotency_key, owner, created_at)
             VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![key, idempotency_key, owner, at.0])?;
    Ok(())
}

impl IdempotencyStore for SqliteStore {
    fn reserve_response(
        &self,
        key: &str,
        idempotency_key: &str,
        at: Timestamp,
        since: Timestamp,
    ) -> StoreResult<Reservation> {
        // A repeated request waits for no other writer.
        let known = self.read(|connection| find(connection, key, idempotency_key, since))?;
        if let Some(Known::Stored(response)) = known {
            return Ok(Reservation::Stored(response));
        }
        let own = self.owner()?;
        let mut owners = Owners::of(&self.path);
        Ok(self.write(|connection, _| {
            connection
                .prepare_cached("DELETE FROM idempotent_response WHERE created_at < ?1")?
                .execute([since.0])?;
            match find(connection, key, idempotency_key, since)? {
                Some(Known::Stored(response)) => return Ok(Reservation::Stored(response)),
                Some(Known::ReservedBy(owner)) if owner != own && !owners.is_gone(&owner)? => {
                    return Ok(Reservation::InProgress);
                }
                _ => {}
            }
            reserve(connection, key, idempotency_key, &own, at)?;
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
        let own = self.owner()?;
        Ok(self.write(|connection, _| {
            connection
                .prepare_cached(
                    "UPDATE idempotent_response
                     SET owner = NULL, fingerprint = ?4, status = ?5, content_type = ?6,
                         location = ?7, body = ?8, created_at = ?9
                     WHERE api_key = ?1 AND idempotency_key = ?2 AND owner = ?3",
                )?
                .execute(params![
                    key,
                    idempotency_key,
                    own,
                    response.fingerprint,
                    response.status,
                    response.content_type,
                    response.location,
                    response.body,
                    at.0
                ])?;
            Ok(())
        })?)
    }

    fn cancel_reservation(&self, key: &str, idempotency_key: &str) -> StoreResult<()> {
        let own = self.owner()?;
        Ok(self.write(|connection, _| {
            connection
                .prepare_cached(
                    "DELETE FROM idempotent_response
                     WHERE api_key = ?1 AND idempotency_key = ?2 AND owner = ?3",
                )?
                .execute(params![key, idempotency_key, own])?;
            Ok(())
        })?)
    }
}
