//! Staged uploads: all or nothing, and too large to hold the writer all the time.
//!
//! The rows are first checked as in a dry run. If none is rejected, they are stored in slices, in
//! code order. Then one short transaction accepts the upload: from then on, the slices are imported
//! one after another, whatever happens to this process. Each slice is deleted in the transaction
//! that imports its rows, so any process can continue.

use rusqlite::{Connection, OptionalExtension, params};

use super::batch::reserve_code_ids;
use super::{Batch, CheckpointGuard, insert};
use crate::dry_run::DryRun;
use crate::{
    Error, Result, SqliteStore, StoreResult, lock, unreadable, upload_history, waiting_runs,
};
use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::failpoint;
use promoflow_model::failpoint::Failpoint;
use promoflow_model::pool::NewCode;
use promoflow_store::rules::slices::{MAX_SLICE_BYTES, MAX_STAGE_AGE, StagedRow};
use promoflow_store::{
    RowOutcome, StoreError, UploadEnd, UploadHead, UploadId, UploadSession, UploadSummary,
};

/// Maximum number of rows in one transaction, which takes some hundredths of a second. Smaller in
/// tests, so that small uploads have several slices.
const SLICE_ROWS: usize = if cfg!(test) { 3 } else { 10_000 };

/// Checked rows that change something, in code order.
const CHECKED_TABLE: &str = "
    CREATE TEMP TABLE checked (
        code TEXT PRIMARY KEY, number INTEGER, type TEXT, discount INTEGER, expires_at INTEGER,
        in_use INTEGER
    ) WITHOUT ROWID";

struct Staged<'s> {
    store: &'s SqliteStore,
    head: UploadHead,
    clock: &'s dyn Clock,
    dry_run: DryRun<'s>,
    /// The number of rows so far.
    rows: usize,
    /// The number of those that change nothing.
    unchanged: usize,
}

pub(super) fn begin<'s>(
    store: &'s SqliteStore,
    head: UploadHead,
    clock: &'s dyn Clock,
) -> Result<Box<dyn UploadSession + 's>> {
    let dry_run = DryRun::begin(store, clock)?;
    dry_run.connection().execute_batch(CHECKED_TABLE)?;
    Ok(Box::new(Staged {
        store,
        head,
        clock,
        dry_run,
        rows: 0,
        unchanged: 0,
    }))
}

impl UploadSession for Staged<'_> {
    fn batch(&mut self, rows: &[NewCode]) -> StoreResult<Vec<RowOutcome>> {
        let first = self.rows;
        let outcomes = self.dry_run.check_rows(rows, |connection, outcomes| {
            store_checked(connection, rows, first, outcomes)
        })?;
        self.rows += rows.len();
        let unchanged = |outcome: &&RowOutcome| **outcome == RowOutcome::Unchanged;
        self.unchanged += outcomes.iter().filter(unchanged).count();
        Ok(outcomes)
    }

    fn id(&self) -> UploadId {
        self.dry_run.id()
    }

    fn other_spellings(&self, codes: &[String]) -> StoreResult<Vec<(String, String)>> {
        self.dry_run.other_spellings(codes)
    }

    fn finish(self: Box<Self>, end: UploadEnd) -> StoreResult<UploadSummary> {
        let log = CheckpointGuard::begin(self.store)?;
        let mut stage = Stage {
            store: self.store,
            name: random_name()?,
            slices: 0,
            is_accepted: false,
        };
        self.store_slices(&mut stage, &log)?;
        let upload = self.accept(&mut stage, &end)?;
        failpoint::pass(Failpoint::AfterUploadBatch);
        let applied = import_slices(self.store, upload, self.clock, &log);
        let sum = self
            .store
            .read(|connection| upload_history::sum(connection, upload));
        Ok(match applied {
            Ok(()) => sum,
            Err(error) => Err(Error(StoreError::Unfinished {
                upload,
                why: Box::new(error.into()),
            })),
        }?)
    }

    fn roll_back(self: Box<Self>) -> StoreResult<()> {
        Ok(())
    }
}

impl Staged<'_> {
    /// Stores the rows that change something, in slices.
    fn store_slices(&self, stage: &mut Stage<'_>, log: &CheckpointGuard<'_>) -> Result<()> {
        let mut statement = self.dry_run.connection().prepare(
            "SELECT number, code, type, discount, expires_at, in_use
             FROM temp.checked ORDER BY code",
        )?;
        let mut checked = statement.query([])?;
        let mut slice = Vec::new();
        let mut bytes = 0;
        while let Some(row) = checked.next()? {
            let row = StagedRow {
                number: row.get(0)?,
                code: row.get(1)?,
                code_type: row.get(2)?,
                discount: row.get(3)?,
                expires: row.get(4)?,
                in_use: row.get(5)?,
            };
            bytes += row.size();
            slice.push(row);
            if slice.len() >= SLICE_ROWS || bytes >= MAX_SLICE_BYTES {
                stage.push(&slice, self.clock.now(), log)?;
                slice.clear();
                bytes = 0;
            }
        }
        match slice.is_empty() {
            true => Ok(()),
            false => stage.push(&slice, self.clock.now(), log),
        }
    }

    /// Accepts the upload.
    fn accept(&self, stage: &mut Stage<'_>, end: &UploadEnd) -> Result<UploadId> {
        let upload = self.store.write(|connection, _| {
            let stored: i64 = connection.query_row(
                "SELECT count(*) FROM upload_slice WHERE stage = ?1",
                [&stage.name],
                |row| row.get(0),
            )?;
            if stored != stage.slices {
                let lost = "the upload took more than a day, and parts of it were deleted";
                return Err(StoreError::Engine(lost.into()).into());
            }
            let upload = UploadId(insert(connection, &self.head, None, self.clock)?);
            let first = reserve_code_ids(connection, self.rows)?;
            let count = |rows| i64::try_from(rows).unwrap_or(i64::MAX);
            let (unchanged, rejected) = (count(self.unchanged), count_of(end.rejected));
            if unchanged + rejected > 0 || stage.slices == 0 {
                connection.execute(
                    "INSERT INTO upload_batch
                         (upload, first_code_id, inserted, updated, unchanged, rejected)
                     VALUES (?1, ?2, 0, 0, ?3, ?4)",
                    params![upload.0, first, unchanged, rejected],
                )?;
            }
            connection.execute(
                "INSERT INTO upload_stage (upload, stage, first_code_id) VALUES (?1, ?2, ?3)",
                params![upload.0, stage.name, first],
            )?;
            failpoint::pass(Failpoint::UploadBatch);
            Ok(upload)
        })?;
        stage.is_accepted = true;
        Ok(upload)
    }
}

fn count_of(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// Returns a unique name.
pub(crate) fn random_name() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| StoreError::Engine(format!("no randomness: {error}")))?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}

/// Stores the rows of a batch that change something, each code once.
fn store_checked(
    connection: &Connection,
    rows: &[NewCode],
    first: usize,
    outcomes: &[RowOutcome],
) -> Result<()> {
    let changes = |index: &usize| {
        matches!(
            outcomes.get(*index),
            Some(RowOutcome::Inserted | RowOutcome::Updated)
        )
    };
    let mut order: Vec<usize> = (0..rows.len()).filter(changes).collect();
    order.sort_unstable_by(|&a, &b| rows[a].code.cmp(&rows[b].code));
    let mut insert = connection.prepare_cached(
        "INSERT INTO temp.checked (code, number, type, discount, expires_at, in_use)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for index in order {
        let row = &rows[index];
        insert.execute(params![
            row.code,
            i64::try_from(first + index).unwrap_or(i64::MAX),
            row.code_type,
            row.discount,
            row.expires.map(|expires| expires.0),
            row.in_use,
        ])?;
    }
    Ok(())
}

/// The slices of an upload. Deleted on drop unless the upload was accepted.
struct Stage<'s> {
    store: &'s SqliteStore,
    name: String,
    slices: i64,
    is_accepted: bool,
}

impl Stage<'_> {
    fn push(&mut self, rows: &[StagedRow], at: Timestamp, log: &CheckpointGuard<'_>) -> Result<()> {
        let bytes = serde_json::to_vec(rows)
            .map_err(|error| StoreError::Engine(format!("rows of an upload: {error}")))?;
        let _turn = lock(&self.store.bulk);
        self.store.write(|connection, _| {
            connection
                .prepare_cached(
                    "INSERT INTO upload_slice (stage, number, created_at, rows)
                     VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![self.name, self.slices, at.0, bytes])?;
            failpoint::pass(Failpoint::UploadBatch);
            Ok(())
        })?;
        self.slices += 1;
        failpoint::pass(Failpoint::AfterUploadBatch);
        log.after_transaction();
        Ok(())
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        if self.is_accepted || self.slices == 0 {
            return;
        }
        let deleted = self.store.write(|connection, _| {
            connection.execute("DELETE FROM upload_slice WHERE stage = ?1", [&self.name])?;
            Ok(())
        });
        if let Err(error) = deleted {
            tracing::debug!(%error, "cannot delete the slices of an abandoned upload");
        }
    }
}

/// Imports the remaining slices of an accepted upload.
fn import_slices(
    store: &SqliteStore,
    upload: UploadId,
    clock: &dyn Clock,
    log: &CheckpointGuard<'_>,
) -> Result<()> {
    loop {
        let turn = lock(&store.bulk);
        let left = store.write_pool(|connection, code_groups| {
            let Some((stage, first)) = accepted_stage(connection, upload)? else {
                delete_seen(connection, upload)?;
                return Ok(false);
            };
            let at = clock.now();
            let Some((number, rows, numbers)) = next_slice(connection, &stage, first)? else {
                connection.execute("DELETE FROM upload_stage WHERE upload = ?1", [upload.0])?;
                upload_history::end(connection, upload, &UploadEnd::completed(0, at))?;
                delete_seen(connection, upload)?;
                return Ok(false);
            };
            let batch = Batch {
                connection,
                code_groups,
                upload: upload.0,
                at,
            };
            batch.import_numbered(&rows, &numbers)?;
            waiting_runs::serve_waiting_runs(connection, at)?;
            connection.execute(
                "DELETE FROM upload_slice WHERE stage = ?1 AND number = ?2",
                params![stage, number],
            )?;
            failpoint::pass(Failpoint::UploadBatch);
            Ok(true)
        })?;
        drop(turn);
        failpoint::pass(Failpoint::AfterUploadBatch);
        if !left {
            return Ok(());
        }
        log.after_transaction();
    }
}

fn delete_seen(connection: &Connection, upload: UploadId) -> Result<()> {
    connection.execute("DELETE FROM temp.seen WHERE upload = ?1", [upload.0])?;
    Ok(())
}

/// Returns the stage of an accepted upload and the number of its first code; `None` once everything
/// is imported.
fn accepted_stage(connection: &Connection, upload: UploadId) -> Result<Option<(String, i64)>> {
    Ok(connection
        .prepare_cached("SELECT stage, first_code_id FROM upload_stage WHERE upload = ?1")?
        .query_row([upload.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

type Slice = (i64, Vec<NewCode>, Vec<i64>);

fn next_slice(connection: &Connection, stage: &str, first: i64) -> Result<Option<Slice>> {
    let found: Option<(i64, Vec<u8>)> = connection
        .prepare_cached(
            "SELECT number, rows FROM upload_slice WHERE stage = ?1 ORDER BY number LIMIT 1",
        )?
        .query_row([stage], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((number, bytes)) = found else {
        return Ok(None);
    };
    let staged: Vec<StagedRow> = serde_json::from_slice(&bytes)
        .map_err(|error| unreadable(format!("a part of the upload in stage {stage}"), &error))?;
    let mut numbers = Vec::with_capacity(staged.len());
    let rows = staged.into_iter().map(|row| {
        numbers.push(first + row.number);
        row.into_row()
    });
    let rows = rows.collect();
    Ok(Some((number, rows, numbers)))
}

/// Imports the remaining slices of all accepted uploads.
pub(crate) fn finish_accepted(store: &SqliteStore, clock: &dyn Clock) -> Result<()> {
    let unfinished = store.read(|connection| {
        let mut all =
            connection.prepare_cached("SELECT upload FROM upload_stage ORDER BY upload")?;
        let found = all.query_map([], |row| Ok(UploadId(row.get(0)?)))?;
        Ok(found.collect::<rusqlite::Result<Vec<_>>>()?)
    })?;
    if unfinished.is_empty() {
        return Ok(());
    }
    let log = CheckpointGuard::begin(store)?;
    for upload in unfinished {
        import_slices(store, upload, clock, &log)?;
    }
    Ok(())
}

/// Deletes slices of uploads whose process died before they were accepted.
pub(crate) fn delete_abandoned_slices(connection: &Connection, at: Timestamp) -> Result<()> {
    connection.execute(
        "DELETE FROM upload_slice
         WHERE created_at < ?1 AND stage NOT IN (SELECT stage FROM upload_stage)",
        [at.plus_millis(-MAX_STAGE_AGE).0],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;
    use promoflow_store::{Atomicity, InstallationStore, PoolStore, UploadState, UploadStore};

    const NOW: Timestamp = Timestamp(1_000_000);

    fn staged(store: &SqliteStore, source: &str) -> Staged<'static> {
        // Leaked, so that it lives as long as the test.
        let store: &'static SqliteStore = {
            let path = store.path().to_owned();
            Box::leak(Box::new(SqliteStore::open(&path).unwrap()))
        };
        let dry_run = DryRun::begin(store, &NOW).unwrap();
        dry_run.connection().execute_batch(CHECKED_TABLE).unwrap();
        Staged {
            store,
            head: UploadHead {
                source: source.into(),
                key: Some("key".into()),
                atomicity: Atomicity::Staged,
            },
            clock: &NOW,
            dry_run,
            rows: 0,
            unchanged: 0,
        }
    }

    fn rows(count: usize, discount: Option<u8>) -> Vec<NewCode> {
        let row = |number| NewCode {
            line: 1,
            code: format!("C-{number:03}"),
            code_type: None,
            discount,
            expires: None,
            in_use: None,
        };
        (0..count).rev().map(row).collect()
    }

    fn available(store: &SqliteStore, discount: u8) -> Vec<String> {
        let code_group = promoflow_model::pool::CodeGroup {
            code_type: promoflow_model::pool::DEFAULT_TYPE.into(),
            discount,
        };
        let codes = store.available_codes(&code_group, None, 1_000).unwrap();
        codes.into_iter().map(|code| code.code).collect()
    }

    fn slices(store: &SqliteStore) -> i64 {
        store
            .read(|connection| {
                let count = "SELECT count(*) FROM upload_slice";
                Ok(connection.query_row(count, [], |row| row.get(0))?)
            })
            .unwrap()
    }

    #[test]
    fn accepted_uploads_survive_their_process_and_others_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("shop.db")).unwrap();
        let log = CheckpointGuard::begin(&store).unwrap();

        let mut lost = staged(&store, "lost");
        lost.batch(&rows(7, Some(5))).unwrap();
        let mut stage = Stage {
            store: lost.store,
            name: random_name().unwrap(),
            slices: 0,
            is_accepted: false,
        };
        lost.store_slices(&mut stage, &log).unwrap();
        std::mem::forget((stage, lost));

        let mut decided = staged(&store, "decided");
        decided.batch(&rows(10, None)).unwrap();
        let mut stage = Stage {
            store: decided.store,
            name: random_name().unwrap(),
            slices: 0,
            is_accepted: false,
        };
        decided.store_slices(&mut stage, &log).unwrap();
        let upload = decided
            .accept(&mut stage, &UploadEnd::completed(0, NOW))
            .unwrap();
        std::mem::forget((stage, decided));
        drop(log);

        assert!(available(&store, 0).is_empty());
        store.mark_uploads_interrupted(NOW).unwrap();
        assert_eq!(slices(&store), 3 + 4);
        let state = || store.upload(upload).unwrap().unwrap().0.state;
        assert_eq!(state(), UploadState::Running);

        store.finish_uploads(&NOW).unwrap();
        let expected: Vec<String> = rows(10, None).into_iter().map(|row| row.code).collect();
        assert_eq!(available(&store, 0), expected, "in the order of the upload");
        assert!(available(&store, 5).is_empty());
        assert_eq!(state(), UploadState::Completed);
        let audited = store.audit().unwrap();
        assert!(audited.iter().all(|one| one.holds), "{audited:?}");

        assert_eq!(slices(&store), 3);
        store
            .mark_uploads_interrupted(NOW.plus_millis(MAX_STAGE_AGE + 1))
            .unwrap();
        assert_eq!(slices(&store), 0);
    }

    #[test]
    fn rows_that_another_upload_added_meanwhile_are_not_new() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("shop.db")).unwrap();
        let mut slow = staged(&store, "slow");
        let outcomes = slow.batch(&rows(8, None)).unwrap();
        assert!(outcomes.iter().all(|one| *one == RowOutcome::Inserted));
        let mut fast = staged(&store, "fast");
        fast.batch(&rows(5, Some(20))).unwrap();
        let fast = Box::new(fast).finish(UploadEnd::completed(0, NOW)).unwrap();
        assert_eq!((fast.inserted, fast.updated, fast.unchanged), (5, 0, 0));
        // What the rows do not state stays as the other upload set it.
        let slow = Box::new(slow).finish(UploadEnd::completed(0, NOW)).unwrap();
        assert_eq!((slow.inserted, slow.updated, slow.unchanged), (3, 0, 5));
        assert_eq!(
            (available(&store, 0).len(), available(&store, 20).len()),
            (3, 5)
        );
        let audited = store.audit().unwrap();
        assert!(audited.iter().all(|one| one.holds), "{audited:?}");
    }
}
