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
use promoflow_model::pool::{NewCode, RowError};
use promoflow_store::{RowOutcome, UploadEnd, UploadHead, UploadId, UploadRow, UploadSummary};

impl promoflow_store::UploadStore for PostgresStore {
    fn begin_upload<'s>(
        &'s self,
        head: UploadHead,
        clock: &'s dyn Clock,
    ) -> Result<Box<dyn promoflow_store::UploadSession + 's>> {
        unimplemented!()
    }
    fn begin_dry_run<'s>(
        &'s self,
        clock: &'s dyn Clock,
    ) -> Result<Box<dyn promoflow_store::UploadSession + 's>> {
        unimplemented!()
    }
    fn finish_uploads(&self, clock: &dyn Clock) -> Result<()> {
        unimplemented!()
    }
    fn uploads(&self, before: Option<UploadId>, limit: usize) -> Result<Vec<UploadRow>> {
        unimplemented!()
    }
    fn upload(&self, id: UploadId) -> Result<Option<(UploadRow, Vec<RowError>)>> {
        unimplemented!()
    }
    fn unused_of_upload(&self, id: UploadId, after: &str, limit: usize) -> Result<Vec<String>> {
        unimplemented!()
    }
    fn mark_uploads_interrupted(&self, at: Timestamp) -> Result<()> {
        unimplemented!()
    }
    fn mark_upload_interrupted(&self, id: UploadId, at: Timestamp) -> Result<()> {
        unimplemented!()
    }
}
