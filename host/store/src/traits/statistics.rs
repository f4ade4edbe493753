//! Counts of codes, claims, runs and deliveries.

use promoflow_model::clock::Timestamp;
use promoflow_model::pool::CodeGroup;

use crate::{ClaimCount, ClaimCountSince, ClaimMark, PoolStatistics, Result, RunStatistics};

/// Counts of codes, claims, runs and deliveries.
pub trait StatisticsStore: Send + Sync {
    /// Counts the codes of each code group at `now`, and those of them that expire by `soon`. Reads
    /// the whole pool in index order, so call it seldom.
    fn pool_statistics(&self, now: Timestamp, soon: Timestamp) -> Result<PoolStatistics>;

    /// Returns every code group that ever had a code.
    fn code_groups(&self) -> Result<Vec<CodeGroup>>;

    /// Counts the available codes of a code group that expire after `from` and not after `to`.
    /// Reads at most `limit` codes; if the count equals `limit`, there may be more.
    fn count_available_between(
        &self,
        code_group: &CodeGroup,
        from: Timestamp,
        to: Timestamp,
        limit: u64,
    ) -> Result<u64>;

    /// Returns the present place in the history of claims. Each claim changes it.
    fn claim_mark(&self) -> Result<ClaimMark>;

    /// Counts the claims that were committed after that place, by code group. If the next call
    /// continues from the returned mark, each claim is counted once, in whatever order the claims
    /// of several processes are committed.
    fn claimed_after(&self, mark: &ClaimMark) -> Result<ClaimCount>;

    /// Counts the claims since a time, by code group; at most the last `limit`.
    fn claimed_since(&self, since: Timestamp, limit: u64) -> Result<ClaimCountSince>;

    /// Counts runs and deliveries. The cost grows with what is not finished yet.
    fn run_statistics(&self) -> Result<RunStatistics>;
}
