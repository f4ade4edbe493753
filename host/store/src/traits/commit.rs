//! The commit of everything that the engine decided.

use promoflow_model::clock::Clock;

use crate::{CommitReply, CommitUnit, Result};

/// The commit of everything that the engine decided.
pub trait CommitStore: Send + Sync {
    /// Commits all units in one durable transaction. Units are independent: a rejected unit leaves
    /// nothing behind and does not affect the others. The replies are in the order of the units. An
    /// error other than [`StoreError::Unknown`](crate::StoreError::Unknown) means that nothing was
    /// committed. The clock is read once the write lock is held, because codes may expire while
    /// waiting for it.
    fn commit(&self, units: &[CommitUnit], clock: &dyn Clock) -> Result<Vec<CommitReply>>;

    /// Returns how many commits at a time gain speed. Further ones wait for each other.
    fn commits_at_once(&self) -> usize {
        1
    }
}
