//! Methods for the HTTP service: pages of lists, the history of uploads, API keys, and stored
//! responses of idempotent requests.

use super::Promoflow;
use super::{Error, Result};
use promoflow_model::clock::Timestamp;
use promoflow_model::key::{EmptyScopesError, Key, NewKey, Scope};
use promoflow_model::pool::{Filter, RowError};
use promoflow_store::{
    CodeRow, DeliveryId, DeliveryRow, DeliveryState, Reservation, RetireResult, RunId, RunRow,
    RunState, StoredResponse, UploadId, UploadRow,
};

/// Codes that one transaction retires: events wait for it.
const MAX_RETIRED_PER_COMMIT: usize = 5_000;

impl Promoflow {
    /// Returns the current time of this installation.
    pub fn now(&self) -> Timestamp {
        self.settings.clock.now()
    }

    /// Returns an error if this program may no longer use the database: another release may have
    /// migrated it. Nothing is written any more then, and this process should end.
    pub fn check_schema(&self) -> Result<()> {
        Ok(self.store.check_schema()?)
    }

    /// Returns up to `limit` codes after that one, in the order of their text.
    pub fn codes_after(
        &self,
        filter: &Filter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<CodeRow>> {
        Ok(self.store.codes(filter, after, limit, self.now())?)
    }

    /// Returns up to `limit` runs before that one, the newest first.
    pub fn runs_before(
        &self,
        state: Option<RunState>,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<RunRow>> {
        Ok(self.store.runs(state, before, limit)?)
    }

    /// Returns up to `limit` deliveries after that one, the oldest first; fewer if their contents
    /// are large, and none only at the end.
    pub fn deliveries_after(
        &self,
        state: Option<DeliveryState>,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<DeliveryRow>> {
        Ok(self.store.deliveries(state, after, limit)?)
    }

    /// Returns up to `limit` uploads before that one, the newest first.
    pub fn uploads(&self, before: Option<UploadId>, limit: usize) -> Result<Vec<UploadRow>> {
        Ok(self.store.uploads(before, limit)?)
    }

    /// Returns an upload with its first rejected rows.
    pub fn upload(&self, id: UploadId) -> Result<Option<(UploadRow, Vec<RowError>)>> {
        Ok(self.store.upload(id)?)
    }

    /// Retires all unused codes that an upload was the last to contain; returns their number.
    pub fn retire_upload(&self, id: UploadId) -> Result<RetireResult> {
        let mut done = RetireResult::default();
        let mut after = String::new();
        loop {
            let codes = self
                .store
                .unused_of_upload(id, &after, MAX_RETIRED_PER_COMMIT)?;
            let Some(last) = codes.last() else {
                return Ok(done);
            };
            after.clone_from(last);
            // A code that a run has claimed in the meantime is not retired.
            done.retired += self.retire(&codes)?.retired;
        }
    }

    /// Marks the uploads of crashed services as interrupted; called when a service starts.
    pub fn mark_uploads_interrupted(&self) -> Result<()> {
        Ok(self.store.mark_uploads_interrupted(self.now())?)
    }

    /// Marks an upload without an end as interrupted: the store failed during it.
    pub fn mark_upload_interrupted(&self, id: UploadId) -> Result<()> {
        Ok(self.store.mark_upload_interrupted(id, self.now())?)
    }

    /// Completes accepted all-or-nothing uploads that could not be imported, for example because
    /// the disk was full.
    pub fn finish_uploads(&self) -> Result<()> {
        Ok(self.store.finish_uploads(&*self.settings.clock)?)
    }

    /// Creates an API key with at least one scope. Its secret is only known now.
    pub fn create_key(&self, scopes: &[Scope]) -> Result<NewKey> {
        if scopes.is_empty() {
            return Err(Error::Invalid(EmptyScopesError.to_string()));
        }
        let made = Key::generate(scopes, self.now()).map_err(|error| {
            Error::System(format!("no randomness for an API key: {error}").into())
        })?;
        self.store.add_key(&made.key)?;
        Ok(made)
    }

    /// Returns every API key, including revoked ones, the oldest first.
    pub fn keys(&self) -> Result<Vec<Key>> {
        Ok(self.store.keys()?)
    }

    /// Revokes an API key permanently; returns false if the id is unknown.
    pub fn revoke_key(&self, id: &str) -> Result<bool> {
        Ok(self.store.revoke_key(id, self.now())?)
    }

    /// Returns a number that grows with every key that is created or revoked.
    pub fn key_generation(&self) -> Result<u64> {
        Ok(self.store.key_generation()?)
    }

    /// Reserves an Idempotency-Key of an API key for this process, unless a response was stored
    /// under it in the last `millis`.
    pub fn reserve_response(
        &self,
        key: &str,
        idempotency_key: &str,
        millis: i64,
    ) -> Result<Reservation> {
        let now = self.now();
        let since = now.plus_millis(-millis);
        Ok(self
            .store
            .reserve_response(key, idempotency_key, now, since)?)
    }

    /// Stores the response under an Idempotency-Key that this process has reserved.
    pub fn store_response(
        &self,
        key: &str,
        idempotency_key: &str,
        response: &StoredResponse,
    ) -> Result<()> {
        Ok(self
            .store
            .store_response(key, idempotency_key, response, self.now())?)
    }

    /// Gives up an Idempotency-Key that this process has reserved.
    pub fn cancel_reservation(&self, key: &str, idempotency_key: &str) -> Result<()> {
        Ok(self.store.cancel_reservation(key, idempotency_key)?)
    }
}
