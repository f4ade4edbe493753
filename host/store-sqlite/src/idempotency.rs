//! Responses stored under Idempotency-Keys.

use rusqlite::{Connection, OptionalExtension, params};

use super::{Result, SqliteStore, StoreResult, damaged};
use promoflow_model::clock::Timestamp;
use promoflow_store::{IdempotencyStore, StoredResponse};

pub(super) fn find(
    connection: &Connection,
    key: &str,
    idempotency_key: &str,
    since: Timestamp,
) -> Result<Option<StoredResponse>> {
    let found = connection
        .prepare_cached(
            "SELECT fingerprint, status, content_type, location, body FROM idempotent_response
             WHERE api_key = ?1 AND idempotency_key = ?2 AND created_at >= ?3",
        )?
        .query_row(params![key, idempotency_key, since.0], |row| {
            Ok((
                row.get::<_, Vec<u8>>(0)?,
                StoredResponse {
                    fingerprint: [0; 32],
                    status: row.get(1)?,
                    content_type: row.get(2)?,
                    location: row.get(3)?,
                    body: row.get(4)?,
                },
            ))
        })
        .optional()?;
    found
        .map(|(fingerprint, response)| {
            let fingerprint = <[u8; 32]>::try_from(fingerprint).map_err(|_| {
                damaged("a stored response", "its fingerprint is not 32 bytes long")
            })?;
            Ok(StoredResponse {
                fingerprint,
                ..response
            })
        })
        .transpose()
}

pub(super) fn put(
    connection: &Connection,
    key: &str,
    idempotency_key: &str,
    response: &StoredResponse,
    at: Timestamp,
    since: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM idempotent_response WHERE created_at < ?1")?
        .execute([since.0])?;
    connection
        .prepare_cached(
            "INSERT INTO idempotent_response (api_key, idempotency_key, fingerprint, status,
                                              content_type, location, body, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (api_key, idempotency_key) DO NOTHING",
        )?
        .execute(params![
            key,
            idempotency_key,
            response.fingerprint,
            response.status,
            response.content_type,
            response.location,
            response.body,
            at.0
        ])?;
    Ok(())
}

impl IdempotencyStore for SqliteStore {
    fn stored_response(
        &self,
        key: &str,
        idempotency_key: &str,
        since: Timestamp,
    ) -> StoreResult<Option<StoredResponse>> {
        Ok(self.read(|connection| find(connection, key, idempotency_key, since))?)
    }

    fn store_response(
        &self,
        key: &str,
        idempotency_key: &str,
        response: &StoredResponse,
        at: Timestamp,
        since: Timestamp,
    ) -> StoreResult<()> {
        Ok(self.write(|connection, _| put(connection, key, idempotency_key, response, at, since))?)
    }
}
