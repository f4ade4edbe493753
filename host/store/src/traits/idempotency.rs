//! Responses stored under Idempotency-Keys.

use promoflow_model::clock::Timestamp;

use crate::{Reservation, Result, StoredResponse};

/// Responses stored under Idempotency-Keys. Each API key has its own.
///
/// A process reserves a key before it processes a request, so that no other process does the same
/// meanwhile. The caller lets only one request at a time have a key within its process.
pub trait IdempotencyStore: Send + Sync {
    /// Reserves an Idempotency-Key of an API key for this process, unless a response has been stored
    /// under it since that time, or another process that still runs has reserved it since. Deletes
    /// responses and reservations from before.
    fn reserve_response(
        &self,
        key: &str,
        idempotency_key: &str,
        at: Timestamp,
        since: Timestamp,
    ) -> Result<Reservation>;

    /// Stores the response under a key that this process has reserved. Ignored if it has not.
    fn store_response(
        &self,
        key: &str,
        idempotency_key: &str,
        response: &StoredResponse,
        at: Timestamp,
    ) -> Result<()>;

    /// Gives up the reservation of a key by this process: nothing is to be stored under it.
    fn cancel_reservation(&self, key: &str, idempotency_key: &str) -> Result<()>;
}
