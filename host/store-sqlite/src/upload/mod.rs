//! Uploads: batches of rows into `code` and `available_code`.
//!
//! | module | contents |
//! | --- | --- |
//! | `batch` | the rows of one transaction |
//! | `staged` | uploads that are all or nothing and too large for one transaction |
//! | `log` | checkpoints of the write-ahead log during uploads |
//!
//! Only one upload at a time waits for the writer, so an event never waits for more than the batch
//! that is being written.

mod batch;
mod log;
mod staged;

use std::sync::MutexGuard;

use rusqlite::{Connection, params};

use super::owner_lock::{self, Owners};
use super::{
    FairMutexGuard, Result, SCHEMA, SqliteStore, StoreResult, Writer, dry_run, lock, spellings,
    upload_history, waiting_runs,
};
use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::failpoint;
use promoflow_model::failpoint::Failpoint;
use promoflow_model::pool::{NewCode, RowError};
use promoflow_store::{
    Atomicity, RowOutcome, UploadEnd, UploadHead, UploadId, UploadRow, UploadSession, UploadStore,
    UploadSummary,
};

pub(super) use batch::Batch;
use log::CheckpointGuard;
pub(super) use staged::{delete_abandoned_slices, finish_accepted, random_name};

/// The values that an upload gave codes that already existed.
pub(super) const SEEN_TABLE: &str = "
    CREATE TEMP TABLE IF NOT EXISTS seen (
        upload INTEGER, code TEXT, code_group INTEGER, expires_at INTEGER, in_use INTEGER,
        PRIMARY KEY (upload, code)
    ) WITHOUT ROWID";

/// An upload that is written batch by batch, or in one transaction.
struct Session<'s> {
    store: &'s SqliteStore,
    upload: i64,
    clock: &'s dyn Clock,
    /// The writer with its open transaction and the bulk lock, if the upload is atomic.
    open: Option<(FairMutexGuard<'s, Writer>, MutexGuard<'s, ()>)>,
    log: CheckpointGuard<'s>,
}

pub(super) fn begin<'s>(
    store: &'s SqliteStore,
    head: UploadHead,
    clock: &'s dyn Clock,
) -> Result<Box<dyn UploadSession + 's>> {
    if head.atomicity == Atomicity::Staged {
        return staged::begin(store, head, clock);
    }
    let log = CheckpointGuard::begin(store)?;
    let turn = lock(&store.bulk);
    let mut writer = store.writer();
    if head.atomicity == Atomicity::OneTransaction {
        writer.connection.execute_batch("BEGIN IMMEDIATE")?;
        let upload = SCHEMA
            .check_version(&writer.connection)
            .and_then(|()| insert(&writer.connection, &head, None, clock))
            .inspect_err(|_| roll_back_writer(&mut writer))?;
        return Ok(Box::new(Session {
            store,
            upload,
            clock,
            open: Some((writer, turn)),
            log,
        }));
    }
    drop((writer, turn));
    let owner = store.owner()?;
    let upload = store.write(|connection, _| insert(connection, &head, Some(&owner), clock))?;
    Ok(Box::new(Session {
        store,
        upload,
        clock,
        open: None,
        log,
    }))
}

/// Stores the beginning of an upload. `owner`: whoever ends it; `None` if it cannot be seen without
/// its end, or if any process can continue it.
fn insert(
    connection: &Connection,
    head: &UploadHead,
    owner: Option<&str>,
    clock: &dyn Clock,
) -> Result<i64> {
    connection.execute(
        "INSERT INTO upload (started_at, source, api_key, owner) VALUES (?1, ?2, ?3, ?4)",
        params![clock.now().0, head.source, head.key, owner],
    )?;
    Ok(connection.last_insert_rowid())
}

impl UploadSession for Session<'_> {
    fn batch(&mut self, rows: &[NewCode]) -> StoreResult<Vec<RowOutcome>> {
        let (upload, clock) = (self.upload, self.clock);
        if let Some((writer, _)) = &mut self.open {
            let Writer {
                connection,
                code_groups,
            } = &mut **writer;
            let batch = Batch {
                connection,
                code_groups,
                upload,
                at: clock.now(),
            };
            return Ok(batch.import(rows)?);
        }
        let turn = lock(&self.store.bulk);
        let taken = self.store.write_pool(|connection, code_groups| {
            let at = clock.now();
            let batch = Batch {
                connection,
                code_groups,
                upload,
                at,
            };
            let outcomes = batch.import(rows)?;
            waiting_runs::serve_waiting_runs(connection, at)?;
            failpoint::pass(Failpoint::UploadBatch);
            Ok(outcomes)
        });
        drop(turn);
        if taken.is_ok() {
            failpoint::pass(Failpoint::AfterUploadBatch);
            self.log.after_transaction();
        }
        Ok(taken?)
    }

    fn id(&self) -> UploadId {
        UploadId(self.upload)
    }

    fn other_spellings(&self, codes: &[String]) -> StoreResult<Vec<(String, String)>> {
        Ok(match &self.open {
            Some((writer, _)) => spellings::find_other_spellings(
                codes,
                || spellings::pool_has_lowercase(&writer.connection),
                |some| {
                    spellings::find_stored_spellings(
                        &writer.connection,
                        spellings::POOL_LOOKUP,
                        some,
                    )
                },
            ),
            None => spellings::find_other_spellings(
                codes,
                || self.store.read(spellings::pool_has_lowercase),
                |some| {
                    self.store.read(|connection| {
                        spellings::find_stored_spellings(connection, spellings::POOL_LOOKUP, some)
                    })
                },
            ),
        }?)
    }

    fn finish(mut self: Box<Self>, ended: UploadEnd) -> StoreResult<UploadSummary> {
        let (upload, rejected) = (self.upload, ended.rejected);
        let end = |connection: &Connection| -> Result<UploadSummary> {
            connection.execute("DELETE FROM temp.seen WHERE upload = ?1", [upload])?;
            if rejected > 0 {
                let rejected = i64::try_from(rejected).unwrap_or(i64::MAX);
                connection.execute(
                    "INSERT INTO upload_batch
                         (upload, first_code_id, inserted, updated, unchanged, rejected)
                     VALUES (?1, 0, 0, 0, 0, ?2)",
                    params![upload, rejected],
                )?;
            }
            upload_history::end(connection, UploadId(upload), &ended)?;
            upload_history::sum(connection, UploadId(upload))
        };
        Ok(match self.open.take() {
            Some((mut writer, turn)) => {
                // As of the time of the commit: codes may have expired since the first batch.
                let done = waiting_runs::serve_waiting_runs(&writer.connection, self.clock.now())
                    .and_then(|()| end(&writer.connection))
                    .and_then(|sum| Ok((sum, writer.connection.execute_batch("COMMIT")?).0));
                if done.is_err() {
                    roll_back_writer(&mut writer);
                }
                drop((writer, turn));
                self.store.pool_changed();
                done
            }
            None => self.store.write(|connection, _| end(connection)),
        }?)
    }

    fn roll_back(mut self: Box<Self>) -> StoreResult<()> {
        if let Some((mut writer, _turn)) = self.open.take() {
            roll_back_writer(&mut writer);
        }
        Ok(())
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if let Some((mut writer, _turn)) = self.open.take() {
            roll_back_writer(&mut writer);
        }
    }
}

fn roll_back_writer(writer: &mut Writer) {
    writer.code_groups.clear();
    if let Err(error) = writer.connection.execute_batch("ROLLBACK") {
        // SQLite has already rolled back; if not, the next BEGIN fails.
        tracing::debug!(%error, "rolling back an upload");
    }
}

impl UploadStore for SqliteStore {
    fn begin_upload<'s>(
        &'s self,
        head: UploadHead,
        clock: &'s dyn Clock,
    ) -> StoreResult<Box<dyn UploadSession + 's>> {
        Ok(begin(self, head, clock)?)
    }

    fn begin_dry_run<'s>(
        &'s self,
        clock: &'s dyn Clock,
    ) -> StoreResult<Box<dyn UploadSession + 's>> {
        Ok(Box::new(dry_run::DryRun::begin(self, clock)?))
    }

    fn finish_uploads(&self, clock: &dyn Clock) -> StoreResult<()> {
        Ok(finish_accepted(self, clock)?)
    }

    fn uploads(&self, before: Option<UploadId>, limit: usize) -> StoreResult<Vec<UploadRow>> {
        Ok(self.read(|connection| upload_history::list(connection, before, limit))?)
    }

    fn upload(&self, id: UploadId) -> StoreResult<Option<(UploadRow, Vec<RowError>)>> {
        Ok(self.read(|connection| upload_history::find_upload(connection, id))?)
    }

    fn unused_of_upload(
        &self,
        id: UploadId,
        after: &str,
        limit: usize,
    ) -> StoreResult<Vec<String>> {
        Ok(self.read(|connection| upload_history::unused(connection, id, after, limit))?)
    }

    fn mark_uploads_interrupted(&self, at: Timestamp) -> StoreResult<()> {
        let mut owners = Owners::of(&self.path);
        self.write(|connection, _| {
            delete_abandoned_slices(connection, at)?;
            upload_history::mark_all_interrupted(connection, &mut owners, at)
        })?;
        if let Err(error) = owner_lock::remove_abandoned(&self.path) {
            tracing::warn!("files of processes that have ended are left over: {error}");
        }
        Ok(())
    }

    fn mark_upload_interrupted(&self, id: UploadId, at: Timestamp) -> StoreResult<()> {
        Ok(self.write(|connection, _| upload_history::mark_interrupted(connection, id, at))?)
    }
}
