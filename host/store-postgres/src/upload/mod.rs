//! Uploads: batches of rows into `code` and `available_code`.
//!
//! | module | contents |
//! | --- | --- |
//! | `batch` | the rows of one transaction |
//! | `lines` | what the rows say, compared with what is stored |
//! | `seen` | what the rows so far said |
//! | `staged` | uploads that are all or nothing and too large for one transaction |
//!
//! Only one upload of a process at a time waits for the other writers, so an event never waits for
//! more than the batch that is being written, and always finds a connection.

mod batch;
mod lines;
mod seen;
mod staged;
#[cfg(test)]
mod tests;

use std::cell::RefCell;

use parking_lot::MutexGuard;

use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::failpoint;
use promoflow_model::failpoint::Failpoint;
use promoflow_model::pool::{NewCode, RowError};
use promoflow_store::rules::spellings::find_other_spellings;
use promoflow_store::{
    Atomicity, RowOutcome, UploadEnd, UploadHead, UploadId, UploadRow, UploadSession, UploadStore,
    UploadSummary,
};

use crate::PostgresStore;
use crate::connection::params;
use crate::dry_run::DryRun;
use crate::errors::{Error, Result, StoreResult};
use crate::pool::OpenTransaction;
use crate::spellings::{find_stored_spellings, pool_has_lowercase};
use crate::transaction::Transaction;
use crate::upload_history::{self, Counts};
use crate::waiting_runs;

use batch::Batch;
pub(crate) use lines::{GroupIds, Judge, Lines, Stored, find_stored};
pub(crate) use seen::Seen;

/// An upload that is written batch by batch, or in one transaction.
struct Session<'s> {
    store: &'s PostgresStore,
    upload: i64,
    clock: &'s dyn Clock,
    /// What the batches so far said of codes that were known before.
    seen: Seen,
    /// The open transaction and the turn, if the upload is atomic.
    open: Option<(RefCell<OpenTransaction>, MutexGuard<'s, ()>)>,
}

fn begin<'s>(
    store: &'s PostgresStore,
    head: UploadHead,
    clock: &'s dyn Clock,
) -> Result<Box<dyn UploadSession + 's>> {
    let (upload, open) = match head.atomicity {
        Atomicity::Staged => return staged::begin(store, head, clock),
        Atomicity::Batches => {
            let owner = store.pool.host()?;
            let upload =
                store.write(|transaction| insert(transaction, &head, Some(&owner), clock))?;
            (upload, None)
        }
        Atomicity::OneTransaction => {
            let turn = store.uploading.lock();
            let mut open = OpenTransaction::begin(&store.pool)?;
            let upload = open.run(|transaction| insert(transaction, &head, None, clock))?;
            (upload, Some((RefCell::new(open), turn)))
        }
    };
    Ok(Box::new(Session {
        store,
        upload,
        clock,
        seen: Seen::default(),
        open,
    }))
}

/// Stores the beginning of an upload. `owner`: the host that ends it; `None` if it cannot be seen
/// without its end, or if any host can continue it.
fn insert(
    transaction: &Transaction<'_>,
    head: &UploadHead,
    owner: Option<&str>,
    clock: &dyn Clock,
) -> Result<i64> {
    let row = transaction.row(
        "INSERT INTO upload (started_at, source, api_key, owner) VALUES ($1, $2, $3, $4)
         RETURNING id",
        params![clock.now().0, head.source, head.key, owner],
    )?;
    row.ok_or_else(|| Error::Lost("no upload was stored".into()))?
        .get(0)
}

impl UploadSession for Session<'_> {
    fn batch(&mut self, rows: &[NewCode]) -> StoreResult<Vec<RowOutcome>> {
        let (store, upload, clock, seen) = (self.store, self.upload, self.clock, &self.seen);
        let batch = |transaction: &Transaction<'_>, at| {
            let batch = Batch {
                store,
                transaction,
                upload,
                at,
                seen,
            };
            batch.import(rows)
        };
        let imported = match &self.open {
            Some((open, _)) => open
                .borrow_mut()
                .run(|transaction| batch(transaction, clock.now()))?,
            None => {
                let turn = store.uploading.lock();
                let imported = store.write_pool(|transaction| {
                    let at = clock.now();
                    let imported = batch(transaction, at)?;
                    waiting_runs::serve_waiting_runs(transaction, at)?;
                    failpoint::pass(Failpoint::UploadBatch);
                    Ok(imported)
                })?;
                drop(turn);
                failpoint::pass(Failpoint::AfterUploadBatch);
                imported
            }
        };
        Ok(imported.note(rows, &mut self.seen))
    }

    fn id(&self) -> UploadId {
        UploadId(self.upload)
    }

    fn other_spellings(&self, codes: &[String]) -> StoreResult<Vec<(String, String)>> {
        let is_new = |_: &str| false;
        Ok(match &self.open {
            Some((open, _)) => find_other_spellings(
                codes,
                || open.borrow_mut().run(pool_has_lowercase),
                |some| {
                    open.borrow_mut()
                        .run(|transaction| find_stored_spellings(transaction, is_new, some))
                },
            ),
            None => find_other_spellings(
                codes,
                || self.store.read(pool_has_lowercase),
                |some| {
                    self.store
                        .read(|transaction| find_stored_spellings(transaction, is_new, some))
                },
            ),
        }?)
    }

    fn finish(self: Box<Self>, ended: UploadEnd) -> StoreResult<UploadSummary> {
        let (store, upload, clock) = (self.store, self.upload, self.clock);
        let end = |transaction: &Transaction<'_>| {
            if ended.rejected > 0 {
                let rejected = i64::try_from(ended.rejected).unwrap_or(i64::MAX);
                let counts = Counts {
                    rejected,
                    ..Counts::default()
                };
                upload_history::add_batch(transaction, upload, 0, counts)?;
            }
            upload_history::end(transaction, UploadId(upload), &ended)?;
            upload_history::sum(transaction, UploadId(upload))
        };
        let Some((open, turn)) = self.open else {
            return Ok(store.write(end)?);
        };
        let mut open = open.into_inner();
        // As of the time of the commit: codes may have expired since the first batch.
        let sum = open.run(|transaction| {
            waiting_runs::serve_waiting_runs(transaction, clock.now())?;
            end(transaction)
        });
        let done = sum.and_then(|sum| Ok((sum, open.commit()?).0));
        drop(turn);
        store.pool.pool_changed();
        Ok(done?)
    }

    fn roll_back(self: Box<Self>) -> StoreResult<()> {
        // Dropping the transaction undoes it.
        Ok(())
    }
}

impl UploadStore for PostgresStore {
    fn begin_upload<'s>(
        &'s self,
        head: UploadHead,
        clock: &'s dyn Clock,
    ) -> StoreResult<Box<dyn UploadSession + 's>> {
        Ok(begin(self, head, clock)?)
    }

    fn begin_dry_run<'s>(&'s self, _: &'s dyn Clock) -> StoreResult<Box<dyn UploadSession + 's>> {
        Ok(Box::new(DryRun::begin(self)))
    }

    fn finish_uploads(&self, clock: &dyn Clock) -> StoreResult<()> {
        Ok(staged::finish_accepted(self, clock)?)
    }

    fn uploads(&self, before: Option<UploadId>, limit: usize) -> StoreResult<Vec<UploadRow>> {
        Ok(self.read(|transaction| upload_history::list(transaction, before, limit))?)
    }

    fn upload(&self, id: UploadId) -> StoreResult<Option<(UploadRow, Vec<RowError>)>> {
        Ok(self.read(|transaction| upload_history::find_upload(transaction, id))?)
    }

    fn unused_of_upload(
        &self,
        id: UploadId,
        after: &str,
        limit: usize,
    ) -> StoreResult<Vec<String>> {
        Ok(self.read(|transaction| upload_history::unused(transaction, id, after, limit))?)
    }

    fn mark_uploads_interrupted(&self, at: Timestamp) -> StoreResult<()> {
        Ok(self.write(|transaction| {
            staged::delete_abandoned_slices(transaction, at)?;
            upload_history::mark_all_interrupted(transaction, at)
        })?)
    }

    fn mark_upload_interrupted(&self, id: UploadId, at: Timestamp) -> StoreResult<()> {
        Ok(self.write(|transaction| upload_history::mark_interrupted(transaction, id, at))?)
    }
}
