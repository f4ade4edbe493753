//! Not written yet.
#![allow(
    unused_imports,
    unused_variables,
    clippy::unimplemented,
    reason = "not written yet"
)]

use crate::PostgresStore;
use crate::errors::StoreResult as Result;
use promoflow_model::pool::CodeGroup;
use promoflow_store::{Leased, Position};

impl promoflow_store::LeaseStore for PostgresStore {
    fn lease(
        &self,
        code_group: &CodeGroup,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Leased> {
        unimplemented!()
    }
    fn give_up(&self, code_group: &CodeGroup) -> Result<()> {
        unimplemented!()
    }
    fn pool_changes(&self) -> u64 {
        unimplemented!()
    }
}
