//! Uploads of codes, and their history.

use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::pool::{NewCode, RowError};

use crate::{Result, RowOutcome, UploadEnd, UploadHead, UploadId, UploadRow, UploadSummary};

/// Uploads of codes, and their history.
pub trait UploadStore: Send + Sync {
    /// Begins an upload. Runs that wait for a code get one as of the time of its batch.
    fn begin_upload<'s>(
        &'s self,
        head: UploadHead,
        clock: &'s dyn Clock,
    ) -> Result<Box<dyn UploadSession + 's>>;

    /// Begins an upload that changes nothing and blocks nothing. Its outcomes are those of a real
    /// upload at that time.
    fn begin_dry_run<'s>(&'s self, clock: &'s dyn Clock) -> Result<Box<dyn UploadSession + 's>>;

    /// Adds the remaining codes of atomic uploads that were accepted and not finished, because
    /// their process died or the disk was full.
    fn finish_uploads(&self, clock: &dyn Clock) -> Result<()>;

    /// Lists uploads before that one, the newest first.
    fn uploads(&self, before: Option<UploadId>, limit: usize) -> Result<Vec<UploadRow>>;

    /// Returns one upload, with the first of its rejected rows.
    fn upload(&self, id: UploadId) -> Result<Option<(UploadRow, Vec<RowError>)>>;

    /// Lists up to `limit` unused codes last stated by an upload, after that code.
    fn unused_of_upload(&self, id: UploadId, after: &str, limit: usize) -> Result<Vec<String>>;

    /// Marks the unfinished uploads of processes that have ended as interrupted. Those of this
    /// process, and of others that run, continue.
    fn mark_uploads_interrupted(&self, at: Timestamp) -> Result<()>;

    /// Marks an upload as interrupted if it has not ended.
    fn mark_upload_interrupted(&self, id: UploadId, at: Timestamp) -> Result<()>;
}

/// An upload in progress, to which batches are added.
pub trait UploadSession {
    /// Imports a batch of rows. Returns their outcomes in order.
    fn batch(&mut self, rows: &[NewCode]) -> Result<Vec<RowOutcome>>;

    /// Returns the upload's number, or 0 while it has none.
    fn id(&self) -> UploadId;

    /// Returns pairs of one of these codes and a code of the pool that differs from it only in
    /// letter case, in the spellings that people use.
    fn other_spellings(&self, codes: &[String]) -> Result<Vec<(String, String)>>;

    /// Ends the upload and makes its changes durable. Dropping the session instead keeps the
    /// committed batches, or nothing if the upload is atomic.
    fn finish(self: Box<Self>, end: UploadEnd) -> Result<UploadSummary>;

    /// Ends the upload and discards it. For atomic uploads and dry runs.
    fn roll_back(self: Box<Self>) -> Result<()>;
}
