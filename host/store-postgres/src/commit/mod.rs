//! The commit: a batch of units in at most two durable transactions.
//!
//! [Ordinary](ordinary) units are committed in a shared transaction, beside those of other threads
//! and other hosts; the rest of a batch after them, in an exclusive one. Units are independent, so
//! either order is right.

mod claim_codes;
mod effects;
mod exclusive;
mod known_events;
mod ordinary;
mod shared;
#[cfg(test)]
mod tests;

use promoflow_model::clock::Clock;
use promoflow_store::rules::batch;
use promoflow_store::{CommitReply, CommitStore, CommitUnit, StoreError};

use crate::PostgresStore;
use crate::errors::{StoreResult, damaged};

impl PostgresStore {
    /// Commits units, the ordinary ones first. An error means that nothing was committed, or that
    /// the result is unknown.
    fn commit_split(
        &self,
        units: &[CommitUnit],
        clock: &dyn Clock,
    ) -> StoreResult<Vec<CommitReply>> {
        let split = ordinary::split(units);
        let done = shared::commit(self, units, &split.ordinary, clock)?;
        let mut others = split.others;
        others.extend(done.others);
        others.sort_unstable();
        let mut replies = done.replies;
        if !others.is_empty() {
            let rest: Vec<&CommitUnit> = others.iter().filter_map(|one| units.get(*one)).collect();
            let committed = match self.commit_exclusively(&rest, clock) {
                Err(error) if done.committed => self.commit_rest(&rest, error, clock)?,
                committed => committed?,
            };
            replies.extend(others.into_iter().zip(committed));
        }
        replies.sort_unstable_by_key(|(index, _)| *index);
        match replies.len() == units.len() {
            true => Ok(replies.into_iter().map(|(_, reply)| reply).collect()),
            false => Err(damaged("a commit", "a unit has no reply").into()),
        }
    }

    /// Commits units in a transaction beside which no other one writes.
    fn commit_exclusively(
        &self,
        units: &[&CommitUnit],
        clock: &dyn Clock,
    ) -> StoreResult<Vec<CommitReply>> {
        let (replies, released) =
            self.write(|transaction| exclusive::commit(self, transaction, units, clock))?;
        if released {
            self.pool.pool_changed();
        }
        Ok(replies)
    }

    /// Commits the rest of a batch, of which a part is committed, after the rest failed as a whole.
    /// Returning the error would deny what is committed.
    fn commit_rest(
        &self,
        rest: &[&CommitUnit],
        error: StoreError,
        clock: &dyn Clock,
    ) -> StoreResult<Vec<CommitReply>> {
        let failed = |error: StoreError| match error {
            StoreError::Unknown(_) => Err(error),
            _ => Ok(vec![CommitReply::Failed(error.to_string()); rest.len()]),
        };
        if rest.len() < 2 || !batch::may_commit_some(&error) {
            return failed(error);
        }
        let units: Vec<CommitUnit> = rest.iter().map(|unit| (*unit).clone()).collect();
        batch::commit_individually(&units, |units| self.commit_split(units, clock)).or_else(failed)
    }
}

impl CommitStore for PostgresStore {
    fn commit(&self, units: &[CommitUnit], clock: &dyn Clock) -> StoreResult<Vec<CommitReply>> {
        let commit_units = |units: &[CommitUnit]| {
            let replies = self.commit_split(units, clock)?;
            self.shares.committed(units, &replies);
            Ok(replies)
        };
        match commit_units(units) {
            Err(error) if units.len() > 1 && batch::may_commit_some(&error) => {
                tracing::warn!("the batch failed and is committed unit by unit: {error}");
                batch::commit_individually(units, commit_units)
            }
            other => other,
        }
    }

    /// One commit is written to disk while the other one is executed.
    fn commits_at_once(&self) -> usize {
        2
    }
}
