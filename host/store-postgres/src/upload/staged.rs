//! Staged uploads: all or nothing, and too large to keep all other writers out.
//!
//! The rows are first checked as in a dry run, and those that change something are stored in slices.
//! If none is rejected, one short transaction accepts the upload: from then on, the slices are
//! imported one after another, whatever happens to this process. Each slice is deleted in the
//! transaction that imports its rows, so any host can continue.

use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::failpoint;
use promoflow_model::failpoint::Failpoint;
use promoflow_model::pool::NewCode;
use promoflow_store::rules::slices::{MAX_SLICE_BYTES, MAX_STAGE_AGE, StagedRow};
use promoflow_store::{
    RowOutcome, StoreError, UploadEnd, UploadHead, UploadId, UploadSession, UploadSummary,
};

use super::batch::Batch;
use super::{Seen, insert};
use crate::PostgresStore;
use crate::connection::params;
use crate::dry_run::DryRun;
use crate::errors::{Result, StoreResult, unreadable};
use crate::hosts::random_name;
use crate::settings::take_numbers;
use crate::transaction::{Mode, Transaction};
use crate::upload_history::{self, Counts};
use crate::waiting_runs;

/// Maximum number of rows in one transaction, which takes some hundredths of a second. Smaller in
/// tests, so that small uploads have several slices.
const SLICE_ROWS: usize = if cfg!(test) { 3 } else { 10_000 };

/// A staged upload.
pub(super) struct Staged<'s> {
    store: &'s PostgresStore,
    head: UploadHead,
    clock: &'s dyn Clock,
    dry_run: DryRun<'s>,
    /// The number of rows so far.
    rows: i64,
    /// The number of those that change nothing.
    unchanged: i64,
    /// Those that change something.
    stage: Stage<'s>,
}

pub(super) fn begin<'s>(
    store: &'s PostgresStore,
    head: UploadHead,
    clock: &'s dyn Clock,
) -> Result<Box<dyn UploadSession + 's>> {
    Ok(Box::new(Staged::new(store, head, clock)?))
}

impl UploadSession for Staged<'_> {
    fn batch(&mut self, rows: &[NewCode]) -> StoreResult<Vec<RowOutcome>> {
        let outcomes = self.dry_run.check_rows(rows)?;
        // Each code at most once. In code order, so that neighbours share pages.
        let changed = (self.rows..)
            .zip(rows)
            .zip(&outcomes)
            .filter(|(_, outcome)| matches!(outcome, RowOutcome::Inserted | RowOutcome::Updated));
        let mut changed: Vec<(i64, &NewCode)> = changed.map(|(row, _)| row).collect();
        changed.sort_unstable_by(|(_, one), (_, other)| one.code.cmp(&other.code));
        let unchanged = outcomes.iter().filter(|one| **one == RowOutcome::Unchanged);
        self.unchanged += i64::try_from(unchanged.count()).unwrap_or(i64::MAX);
        self.rows += i64::try_from(rows.len()).unwrap_or(i64::MAX);
        self.store_slices(&changed)?;
        Ok(outcomes)
    }

    fn id(&self) -> UploadId {
        self.dry_run.id()
    }

    fn other_spellings(&self, codes: &[String]) -> StoreResult<Vec<(String, String)>> {
        self.dry_run.other_spellings(codes)
    }

    fn finish(mut self: Box<Self>, end: UploadEnd) -> StoreResult<UploadSummary> {
        let upload = self.accept(&end)?;
        failpoint::pass(Failpoint::AfterUploadBatch);
        match import_slices(self.store, upload, self.clock) {
            Ok(()) => {
                let sum = |transaction: &Transaction<'_>| upload_history::sum(transaction, upload);
                Ok(self.store.read(sum)?)
            }
            Err(error) => Err(StoreError::Unfinished {
                upload,
                why: Box::new(error.into()),
            }),
        }
    }

    fn roll_back(self: Box<Self>) -> StoreResult<()> {
        // Dropping the stage deletes its slices.
        Ok(())
    }
}

impl<'s> Staged<'s> {
    pub(super) fn new(
        store: &'s PostgresStore,
        head: UploadHead,
        clock: &'s dyn Clock,
    ) -> Result<Staged<'s>> {
        Ok(Staged {
            store,
            head,
            clock,
            dry_run: DryRun::begin(store),
            rows: 0,
            unchanged: 0,
            stage: Stage {
                store,
                name: random_name()?,
                slices: 0,
                is_accepted: false,
            },
        })
    }

    /// Stores rows of the upload in slices.
    fn store_slices(&mut self, rows: &[(i64, &NewCode)]) -> Result<()> {
        let mut slice = Vec::new();
        let mut bytes = 0;
        for (number, row) in rows {
            let row = StagedRow::new(*number, row);
            bytes += row.size();
            slice.push(row);
            if slice.len() >= SLICE_ROWS || bytes >= MAX_SLICE_BYTES {
                self.stage.push(&slice, self.clock.now())?;
                slice.clear();
                bytes = 0;
            }
        }
        match slice.is_empty() {
            true => Ok(()),
            false => self.stage.push(&slice, self.clock.now()),
        }
    }

    /// Accepts the upload.
    pub(super) fn accept(&mut self, end: &UploadEnd) -> Result<UploadId> {
        let stage = &self.stage;
        let rejected = i64::try_from(end.rejected).unwrap_or(i64::MAX);
        let upload = self.store.write(|transaction| {
            let stored = transaction.rows(
                "SELECT number FROM upload_slice WHERE stage = $1",
                params![stage.name],
            )?;
            if i64::try_from(stored.len()) != Ok(stage.slices) {
                let lost = "the upload took more than a day, and parts of it were deleted";
                return Err(StoreError::Engine(lost.into()).into());
            }
            let upload = insert(transaction, &self.head, None, self.clock)?;
            let first = take_numbers(transaction, "next-code-id", self.rows)?;
            if self.unchanged + rejected > 0 || stage.slices == 0 {
                let counts = Counts {
                    unchanged: self.unchanged,
                    rejected,
                    ..Counts::default()
                };
                upload_history::add_batch(transaction, upload, first, counts)?;
            }
            transaction.execute(
                "INSERT INTO upload_stage (upload, stage, first_code_id) VALUES ($1, $2, $3)",
                params![upload, stage.name, first],
            )?;
            failpoint::pass(Failpoint::UploadBatch);
            Ok(UploadId(upload))
        })?;
        self.stage.is_accepted = true;
        Ok(upload)
    }
}

/// The slices of an upload. Deleted on drop unless the upload was accepted.
struct Stage<'s> {
    store: &'s PostgresStore,
    name: String,
    slices: i64,
    is_accepted: bool,
}

impl Stage<'_> {
    fn push(&mut self, rows: &[StagedRow], at: Timestamp) -> Result<()> {
        let bytes = serde_json::to_vec(rows)
            .map_err(|error| StoreError::Engine(format!("rows of an upload: {error}")))?;
        // Nobody else knows the name of the stage, so others may write meanwhile.
        self.store.pool.write(Mode::Shared, |transaction| {
            transaction.execute(
                "INSERT INTO upload_slice (stage, number, created_at, rows)
                 VALUES ($1, $2, $3, $4)",
                params![self.name, self.slices, at.0, bytes],
            )?;
            failpoint::pass(Failpoint::UploadBatch);
            Ok(())
        })?;
        self.slices += 1;
        failpoint::pass(Failpoint::AfterUploadBatch);
        Ok(())
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        if self.is_accepted || self.slices == 0 {
            return;
        }
        let deleted = self.store.pool.write(Mode::Shared, |transaction| {
            transaction.execute(
                "DELETE FROM upload_slice WHERE stage = $1",
                params![self.name],
            )
        });
        if let Err(error) = deleted {
            tracing::debug!("cannot delete the slices of an abandoned upload: {error}");
        }
    }
}

/// Imports the remaining slices of an accepted upload. Several hosts may do so at a time.
fn import_slices(store: &PostgresStore, upload: UploadId, clock: &dyn Clock) -> Result<()> {
    loop {
        let turn = store.uploading.lock();
        let is_left = store.write_pool(|transaction| {
            let Some((stage, first)) = accepted_stage(transaction, upload)? else {
                return Ok(false);
            };
            let at = clock.now();
            let Some((number, rows, numbers)) = next_slice(transaction, &stage, first)? else {
                transaction.execute(
                    "DELETE FROM upload_stage WHERE upload = $1",
                    params![upload.0],
                )?;
                upload_history::end(transaction, upload, &UploadEnd::completed(0, at))?;
                return Ok(false);
            };
            let batch = Batch {
                store,
                transaction,
                upload: upload.0,
                at,
                // A code is in one slice only.
                seen: &Seen::default(),
            };
            batch.import_numbered(&rows, &numbers)?;
            waiting_runs::serve_waiting_runs(transaction, at)?;
            transaction.execute(
                "DELETE FROM upload_slice WHERE stage = $1 AND number = $2",
                params![stage, number],
            )?;
            failpoint::pass(Failpoint::UploadBatch);
            Ok(true)
        })?;
        drop(turn);
        failpoint::pass(Failpoint::AfterUploadBatch);
        if !is_left {
            return Ok(());
        }
    }
}

/// Returns the stage of an accepted upload and the number of its first code; `None` once everything
/// is imported.
fn accepted_stage(
    transaction: &Transaction<'_>,
    upload: UploadId,
) -> Result<Option<(String, i64)>> {
    let row = transaction.row(
        "SELECT stage, first_code_id FROM upload_stage WHERE upload = $1",
        params![upload.0],
    )?;
    row.map(|row| Ok((row.get(0)?, row.get(1)?))).transpose()
}

/// The number of a slice, its rows, and the numbers of their codes.
type Slice = (i64, Vec<NewCode>, Vec<i64>);

fn next_slice(transaction: &Transaction<'_>, stage: &str, first: i64) -> Result<Option<Slice>> {
    let found = transaction.row(
        "SELECT number, rows FROM upload_slice WHERE stage = $1 ORDER BY number LIMIT 1",
        params![stage],
    )?;
    let Some(found) = found else {
        return Ok(None);
    };
    let bytes: Vec<u8> = found.get(1)?;
    let staged: Vec<StagedRow> = serde_json::from_slice(&bytes)
        .map_err(|error| unreadable(format!("a part of the upload in stage {stage}"), &error))?;
    let numbers = staged.iter().map(|row| first + row.number).collect();
    let rows = staged.into_iter().map(StagedRow::into_row).collect();
    Ok(Some((found.get(0)?, rows, numbers)))
}

/// Imports the remaining slices of all accepted uploads.
pub(super) fn finish_accepted(store: &PostgresStore, clock: &dyn Clock) -> Result<()> {
    let unfinished = store.read(|transaction| {
        let rows = transaction.rows("SELECT upload FROM upload_stage ORDER BY upload", &[])?;
        rows.iter()
            .map(|row| row.get(0).map(UploadId))
            .collect::<Result<Vec<_>>>()
    })?;
    for upload in unfinished {
        import_slices(store, upload, clock)?;
    }
    Ok(())
}

/// Deletes slices of uploads whose process died before they were accepted.
pub(super) fn delete_abandoned_slices(transaction: &Transaction<'_>, at: Timestamp) -> Result<()> {
    transaction.execute(
        "DELETE FROM upload_slice
         WHERE created_at < $1 AND stage NOT IN (SELECT stage FROM upload_stage)",
        params![at.plus_millis(-MAX_STAGE_AGE).0],
    )?;
    Ok(())
}
