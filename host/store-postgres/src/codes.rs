//! Not written yet.
#![allow(
    unused_imports,
    unused_variables,
    clippy::unimplemented,
    reason = "not written yet"
)]

use crate::PostgresStore;
use crate::errors::StoreResult as Result;
use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::pool::{CodeGroup, Filter};
use promoflow_store::{
    AvailableCode, CodeRow, DeliveryId, PoolCount, Position, RetireResult, ReusableClaim, RunId,
};

impl promoflow_store::PoolStore for PostgresStore {
    fn available_codes(
        &self,
        code_group: &CodeGroup,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<AvailableCode>> {
        unimplemented!()
    }
    fn claim_of_run(
        &self,
        run: RunId,
        code_group: &CodeGroup,
        needed: Timestamp,
    ) -> Result<Option<ReusableClaim>> {
        unimplemented!()
    }
    fn claim_kept_by_contact(
        &self,
        contact: &str,
        code_group: &CodeGroup,
    ) -> Result<Option<ReusableClaim>> {
        unimplemented!()
    }
    fn pool_generation(&self) -> Result<u64> {
        unimplemented!()
    }
    fn codes(
        &self,
        filter: &Filter,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<CodeRow>> {
        unimplemented!()
    }
    fn code(&self, code: &str) -> Result<Option<(CodeRow, Vec<DeliveryId>)>> {
        unimplemented!()
    }
    fn count_codes(&self, filter: &Filter, now: Timestamp) -> Result<PoolCount> {
        unimplemented!()
    }
    fn retire(&self, codes: &[String], retire: bool, clock: &dyn Clock) -> Result<RetireResult> {
        unimplemented!()
    }
}
