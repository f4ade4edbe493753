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
use promoflow_model::pool::CodeGroup;
use promoflow_store::{ClaimCount, ClaimCountSince, ClaimMark, PoolStatistics, RunStatistics};

impl promoflow_store::StatisticsStore for PostgresStore {
    fn pool_statistics(&self, now: Timestamp, soon: Timestamp) -> Result<PoolStatistics> {
        unimplemented!()
    }
    fn code_groups(&self) -> Result<Vec<CodeGroup>> {
        unimplemented!()
    }
    fn count_available_between(
        &self,
        code_group: &CodeGroup,
        from: Timestamp,
        to: Timestamp,
        limit: u64,
    ) -> Result<u64> {
        unimplemented!()
    }
    fn claim_mark(&self) -> Result<ClaimMark> {
        unimplemented!()
    }
    fn claimed_after(&self, mark: &ClaimMark) -> Result<ClaimCount> {
        unimplemented!()
    }
    fn claimed_since(&self, since: Timestamp, limit: u64) -> Result<ClaimCountSince> {
        unimplemented!()
    }
    fn run_statistics(&self) -> Result<RunStatistics> {
        unimplemented!()
    }
}
