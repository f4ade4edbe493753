//! Not written yet.
#![allow(
    unused_imports,
    unused_variables,
    clippy::unimplemented,
    reason = "not written yet"
)]

use crate::PostgresStore;
use crate::errors::StoreResult as Result;
use promoflow_model::clock::Timestamp;
use promoflow_store::{Reservation, StoredResponse};

impl promoflow_store::IdempotencyStore for PostgresStore {
    fn reserve_response(
        &self,
        key: &str,
        idempotency_key: &str,
        at: Timestamp,
        since: Timestamp,
    ) -> Result<Reservation> {
        unimplemented!()
    }
    fn store_response(
        &self,
        key: &str,
        idempotency_key: &str,
        response: &StoredResponse,
        at: Timestamp,
    ) -> Result<()> {
        unimplemented!()
    }
    fn cancel_reservation(&self, key: &str, idempotency_key: &str) -> Result<()> {
        unimplemented!()
    }
}
