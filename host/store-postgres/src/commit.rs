//! Not written yet.
#![allow(
    unused_imports,
    unused_variables,
    clippy::unimplemented,
    reason = "not written yet"
)]

use crate::PostgresStore;
use crate::errors::StoreResult as Result;
use promoflow_model::clock::Clock;
use promoflow_store::{CommitReply, CommitUnit};

impl promoflow_store::CommitStore for PostgresStore {
    fn commit(&self, units: &[CommitUnit], clock: &dyn Clock) -> Result<Vec<CommitReply>> {
        unimplemented!()
    }
}
