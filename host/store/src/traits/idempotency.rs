//! Responses stored under Idempotency-Keys.

use promoflow_model::clock::Timestamp;

use crate::{Result, StoredResponse};

/// Responses stored under Idempotency-Keys.
pub trait IdempotencyStore: Send + Sync {
    /// Returns the response stored under an Idempotency-Key of an API key since that time.
    fn stored_response(
        &self,
        key: &str,
        idempotency_key: &str,
        since: Timestamp,
    ) -> Result<Option<StoredResponse>>;

    /// Stores a response, and deletes those from before `since`.
    fn store_response(
        &self,
        key: &str,
        idempotency_key: &str,
        response: &StoredResponse,
        at: Timestamp,
        since: Timestamp,
    ) -> Result<()>;
}
