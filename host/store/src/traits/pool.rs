//! The pool: codes and their states.

use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::pool::{CodeGroup, Filter};

use crate::{
    AvailableCode, CodeRow, DeliveryId, PoolCount, Position, Result, RetireResult, ReusableClaim,
    RunId,
};

/// The pool: codes and their states.
pub trait PoolStore: Send + Sync {
    /// Returns the available codes of a code group after that position, in the order of claiming,
    /// without leasing them.
    fn available_codes(
        &self,
        code_group: &CodeGroup,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<AvailableCode>>;

    /// Returns the latest code of a code group that a run has claimed, if it expires at `needed` or
    /// later.
    fn claim_of_run(
        &self,
        run: RunId,
        code_group: &CodeGroup,
        needed: Timestamp,
    ) -> Result<Option<ReusableClaim>>;

    /// Returns the code of a code group that a contact keeps.
    fn claim_kept_by_contact(
        &self,
        contact: &str,
        code_group: &CodeGroup,
    ) -> Result<Option<ReusableClaim>>;

    /// Returns a number that changes whenever codes are added, changed or removed other than by a
    /// segment's commit.
    fn pool_generation(&self) -> Result<u64>;

    /// Lists matching codes after code `after`, ordered by the codes' text. A page is of one moment,
    /// pages that follow each other are not.
    fn codes(
        &self,
        filter: &Filter,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<CodeRow>>;

    /// Returns one code, with the deliveries that carry it.
    fn code(&self, code: &str) -> Result<Option<(CodeRow, Vec<DeliveryId>)>>;

    /// Counts the matching codes.
    fn count_codes(&self, filter: &Filter, now: Timestamp) -> Result<PoolCount>;

    /// Retires unused codes (`retire`), or reinstates retired ones.
    fn retire(&self, codes: &[String], retire: bool, clock: &dyn Clock) -> Result<RetireResult>;
}
