//! What a service asks of an installation: pages of listings, the history of uploads, keys, and
//! answers to ask for again.

use std::ops::ControlFlow;

use anyhow::{Context, Result};

use super::Promoflow;
use promoflow_model::clock::Timestamp;
use promoflow_model::key::{Key, NewKey, NoScopes, Scope};
use promoflow_model::pool::{Filter, RowError};
use promoflow_store::{
    CodeRow, DeliveryId, DeliveryRow, DeliveryState, Retired, RunId, RunRow, RunState, Store,
    StoredAnswer, UploadId, UploadRow,
};

/// Codes that are retired in one transaction: events wait behind it.
const RETIRED_AT_ONCE: usize = 5_000;

impl Promoflow {
    /// The present moment of this installation.
    pub fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// Whether this program may still use the database. Another release may have brought it to its
    /// own layout: nothing is written any more then, and this process should end.
    pub fn usable(&self) -> Result<()> {
        Ok(self.store.usable()?)
    }

    /// Up to so many codes after that one, in the order of their text.
    pub fn codes_after(
        &self,
        filter: &Filter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<CodeRow>> {
        let mut rows = Vec::new();
        if limit > 0 {
            self.store
                .codes_after(filter, after, self.now(), &mut |row| {
                    rows.push(row);
                    match rows.len() < limit {
                        true => ControlFlow::Continue(()),
                        false => ControlFlow::Break(()),
                    }
                })?;
        }
        Ok(rows)
    }

    /// Up to so many runs before that one, the newest first.
    pub fn runs_before(
        &self,
        state: Option<RunState>,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<RunRow>> {
        Ok(self.store.runs_before(state, before, limit)?)
    }

    /// Up to so many deliveries after that one, the oldest first.
    pub fn deliveries_after(
        &self,
        state: Option<DeliveryState>,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<DeliveryRow>> {
        Ok(self.store.deliveries_after(state, after, limit)?)
    }

    /// Up to so many uploads before that one, the newest first.
    pub fn uploads(&self, before: Option<UploadId>, limit: usize) -> Result<Vec<UploadRow>> {
        Ok(self.store.uploads(before, limit)?)
    }

    /// One upload, with the first rows of it that were refused.
    pub fn upload(&self, id: UploadId) -> Result<Option<(UploadRow, Vec<RowError>)>> {
        Ok(self.store.upload(id)?)
    }

    /// Sets aside all unused codes that an upload was the last to state; tells how many.
    pub fn retire_upload(&self, id: UploadId) -> Result<Retired> {
        let mut done = Retired::default();
        let mut after = String::new();
        loop {
            let codes = self.store.unused_of_upload(id, &after, RETIRED_AT_ONCE)?;
            let Some(last) = codes.last() else {
                return Ok(done);
            };
            after.clone_from(last);
            // What a run has taken in the meantime is no longer unused, and stays as it is.
            done.retired += self.retire(&codes)?.retired;
        }
    }

    /// Marks the uploads of services that have died as interrupted; for a service that starts.
    pub fn end_lost_uploads(&self) -> Result<()> {
        Ok(self.store.end_lost_uploads(self.now())?)
    }

    /// Marks an upload as interrupted, if it has no end: the store failed while it was on its way.
    pub fn end_lost_upload(&self, id: UploadId) -> Result<()> {
        Ok(self.store.end_lost_upload(id, self.now())?)
    }

    /// Brings in what is left of uploads that are all or nothing and were decided on: something
    /// had kept it out, such as a full disk.
    pub fn finish_uploads(&self) -> Result<()> {
        Ok(self.store.finish_uploads(&*self.parts.clock)?)
    }

    /// Makes an API key, with one scope at least. Its secret is known now and never again.
    pub fn create_key(&self, scopes: &[Scope]) -> Result<NewKey> {
        if scopes.is_empty() {
            return Err(NoScopes.into());
        }
        let made = Key::generate(scopes, self.now()).context("no randomness for a key")?;
        self.store.put_key(&made.key)?;
        Ok(made)
    }

    /// Every API key, revoked ones as well, the oldest first.
    pub fn keys(&self) -> Result<Vec<Key>> {
        Ok(self.store.keys()?)
    }

    /// Revokes an API key for good; false where there is none of that id.
    pub fn revoke_key(&self, id: &str) -> Result<bool> {
        Ok(self.store.revoke_key(id, self.now())?)
    }

    /// A number that grows with every key that is made or revoked.
    pub fn key_generation(&self) -> Result<u64> {
        Ok(self.store.key_generation()?)
    }

    /// What was answered to an API key under an Idempotency-Key in the last `millis`.
    pub fn answer(&self, key: &str, under: &str, millis: i64) -> Result<Option<StoredAnswer>> {
        let since = self.now().plus_millis(-millis);
        Ok(self.store.answer(key, under, since)?)
    }

    /// Remembers an answer for `millis`.
    pub fn put_answer(
        &self,
        key: &str,
        under: &str,
        answer: &StoredAnswer,
        millis: i64,
    ) -> Result<()> {
        let now = self.now();
        let since = now.plus_millis(-millis);
        Ok(self.store.put_answer(key, under, answer, now, since)?)
    }
}
