//! The commit: a batch of units in one durable transaction.

mod claim_codes;
mod effects;
mod exclusive;
mod known_events;

use promoflow_model::clock::Clock;
use promoflow_store::rules::batch;
use promoflow_store::{CommitReply, CommitStore, CommitUnit};

use crate::PostgresStore;
use crate::errors::StoreResult;

impl PostgresStore {
    /// Commits units in a transaction beside which no other one writes.
    fn commit_exclusively(
        &self,
        units: &[CommitUnit],
        clock: &dyn Clock,
    ) -> StoreResult<Vec<CommitReply>> {
        let (replies, released) =
            self.write(|transaction| exclusive::commit(self, transaction, units, clock))?;
        if released {
            self.pool.pool_changed();
        }
        Ok(replies)
    }
}

impl CommitStore for PostgresStore {
    fn commit(&self, units: &[CommitUnit], clock: &dyn Clock) -> StoreResult<Vec<CommitReply>> {
        let commit_units = |units: &[CommitUnit]| self.commit_exclusively(units, clock);
        match commit_units(units) {
            Err(error) if units.len() > 1 && batch::may_commit_some(&error) => {
                tracing::warn!("the batch failed and is committed unit by unit: {error}");
                batch::commit_individually(units, commit_units)
            }
            other => other,
        }
    }
}
