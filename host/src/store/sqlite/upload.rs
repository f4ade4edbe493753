//! Uploads: batches of rows into `code` and `free`.
//!
//! A new code costs one insert into each of the two tables; only a code that is known already is
//! read. Within a batch the rows go in sorted by their key, so that neighbours share pages.

use std::sync::MutexGuard;

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    LaneIds, Result, SqliteStore, Writer, lanes, layouts, number_setting, raise_setting,
    set_setting, uploads, waiters,
};
use crate::clock::{Clock, Timestamp};
use crate::failpoint::{self, Failpoint};
use crate::pool::{DEFAULT_TYPE, NewCode};
use crate::store::{RowOutcome, StoreError, UploadEnd, UploadHead, UploadId, UploadSession};

/// Pages in the log before it is copied into the file, while an upload goes on: 256 MiB. Each
/// batch changes most pages of the pool, so copying after each would write them all each time.
const UPLOAD_CHECKPOINT_PAGES: u32 = 65_536;

/// What an upload has said of codes that were known before it.
pub(super) const SEEN: &str = "
    CREATE TEMP TABLE IF NOT EXISTS seen (
        upload INTEGER, code TEXT, lane INTEGER, expires INTEGER, in_use INTEGER,
        PRIMARY KEY (upload, code)
    ) WITHOUT ROWID";

/// An upload into a SQLite file.
pub(super) struct Session<'s> {
    store: &'s SqliteStore,
    upload: i64,
    clock: &'s dyn Clock,
    /// The writer with its open transaction, where the upload is all or nothing.
    open: Option<MutexGuard<'s, Writer>>,
}

pub(super) fn begin<'s>(
    store: &'s SqliteStore,
    head: UploadHead,
    clock: &'s dyn Clock,
) -> Result<Box<dyn UploadSession + 's>> {
    let mut writer = store.writer();
    let insert = |connection: &Connection| -> Result<i64> {
        connection.execute(
            "INSERT INTO upload (at, source, key) VALUES (?1, ?2, ?3)",
            params![clock.now().0, head.source, head.key],
        )?;
        Ok(connection.last_insert_rowid())
    };
    writer.connection.execute_batch(SEEN)?;
    checkpoint_every(&writer.connection, UPLOAD_CHECKPOINT_PAGES)?;
    if head.atomic {
        writer.connection.execute_batch("BEGIN IMMEDIATE")?;
        let upload = layouts::must_be_present(&writer.connection)
            .and_then(|()| insert(&writer.connection))
            .inspect_err(|_| abandon(&mut writer))?;
        return Ok(Box::new(Session {
            store,
            upload,
            clock,
            open: Some(writer),
        }));
    }
    drop(writer);
    let upload = store.write(|connection, _| insert(connection))?;
    Ok(Box::new(Session {
        store,
        upload,
        clock,
        open: None,
    }))
}

impl UploadSession for Session<'_> {
    fn batch(&mut self, rows: &[NewCode]) -> Result<Vec<RowOutcome>> {
        let (upload, clock) = (self.upload, self.clock);
        match &mut self.open {
            Some(writer) => {
                let Writer { connection, lanes } = &mut **writer;
                Batch {
                    connection,
                    lanes,
                    upload,
                    at: clock.now(),
                }
                .take(rows)
            }
            None => {
                let taken = self.store.write_pool(|connection, lanes| {
                    let at = clock.now();
                    let batch = Batch {
                        connection,
                        lanes,
                        upload,
                        at,
                    };
                    let outcomes = batch.take(rows)?;
                    waiters::serve(connection, at)?;
                    failpoint::pass(Failpoint::UploadBatch);
                    Ok(outcomes)
                });
                if taken.is_ok() {
                    failpoint::pass(Failpoint::AfterUploadBatch);
                }
                taken
            }
        }
    }

    fn id(&self) -> UploadId {
        UploadId(self.upload)
    }

    fn finish(mut self: Box<Self>, ended: UploadEnd) -> Result<()> {
        let (upload, rejected) = (self.upload, ended.rejected);
        let end = |connection: &Connection| -> Result<()> {
            connection.execute("DELETE FROM temp.seen WHERE upload = ?1", [upload])?;
            if rejected > 0 {
                let rejected = i64::try_from(rejected).unwrap_or(i64::MAX);
                connection.execute(
                    "INSERT INTO upload_batch
                         (upload, first_code, inserted, updated, unchanged, rejected)
                     VALUES (?1, 0, 0, 0, 0, ?2)",
                    params![upload, rejected],
                )?;
            }
            uploads::end(connection, UploadId(upload), &ended)
        };
        match self.open.take() {
            Some(mut writer) => {
                // By the time of the commit: much may have expired since the first batch.
                let done = waiters::serve(&writer.connection, self.clock.now())
                    .and_then(|()| end(&writer.connection))
                    .and_then(|()| Ok(writer.connection.execute_batch("COMMIT")?));
                if done.is_err() {
                    abandon(&mut writer);
                }
                drop(writer);
                self.store.pool_changed();
                done
            }
            None => self.store.write(|connection, _| end(connection)),
        }
    }

    fn roll_back(mut self: Box<Self>) -> Result<()> {
        if let Some(mut writer) = self.open.take() {
            abandon(&mut writer);
        }
        Ok(())
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if let Some(mut writer) = self.open.take() {
            abandon(&mut writer);
        }
        // The log is emptied here and by a connection of its own, so that no event waits for it.
        let emptied = super::connect(&self.store.path)
            .and_then(|beside| {
                let empty = "PRAGMA wal_checkpoint(PASSIVE)";
                Ok(beside.query_row(empty, [], |_| Ok(()))?)
            })
            .and_then(|()| {
                checkpoint_every(&self.store.writer().connection, super::CHECKPOINT_PAGES)
            });
        if let Err(error) = emptied {
            tracing::debug!(%error, "after an upload");
        }
    }
}

fn checkpoint_every(connection: &Connection, pages: u32) -> Result<()> {
    Ok(connection.pragma_update(None, "wal_autocheckpoint", pages)?)
}

fn abandon(writer: &mut Writer) {
    writer.lanes.forget();
    if let Err(error) = writer.connection.execute_batch("ROLLBACK") {
        // SQLite has rolled back by itself then: the next BEGIN tells whether it has not.
        tracing::debug!(%error, "rolling back an upload");
    }
}

/// Rows that go in at once.
pub(super) struct Batch<'b> {
    pub(super) connection: &'b Connection,
    pub(super) lanes: &'b mut LaneIds,
    pub(super) upload: i64,
    pub(super) at: Timestamp,
}

/// What is stored of a code, or what an earlier line of the upload said of it.
struct Known {
    id: i64,
    lane: i64,
    expires: i64,
    in_use: bool,
    upload: i64,
}

/// A row of `free`.
struct FreeRow<'r> {
    lane: i64,
    expires: i64,
    id: i64,
    code: &'r str,
}

impl Batch<'_> {
    pub(super) fn take(mut self, rows: &[NewCode]) -> Result<Vec<RowOutcome>> {
        let first = number_setting(self.connection, "next-code")?;
        let mut order: Vec<usize> = (0..rows.len()).collect();
        // Stable, so that of two lines with one code the earlier goes first.
        order.sort_by(|&a, &b| rows[a].code.cmp(&rows[b].code));

        let mut outcomes = vec![RowOutcome::Unchanged; rows.len()];
        let mut free = Vec::with_capacity(rows.len());
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO code (code, id, lane, expires, retired, upload)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (code) DO NOTHING",
        )?;
        for index in order {
            let row = &rows[index];
            let id = first + index as i64;
            let kind = row.code_type.as_deref().unwrap_or(DEFAULT_TYPE);
            let lane = self
                .lanes
                .find_or_add(self.connection, kind, row.discount.unwrap_or(0))?;
            let expires = row.expires.unwrap_or(Timestamp::NEVER).0;
            let retired = row.in_use.unwrap_or(false);
            if insert.execute(params![row.code, id, lane, expires, retired, self.upload])? == 0 {
                outcomes[index] = self.known(row)?;
                continue;
            }
            outcomes[index] = RowOutcome::Inserted;
            if retired {
                self.log_retirement(&row.code)?;
            } else {
                free.push(FreeRow {
                    lane,
                    expires,
                    id,
                    code: &row.code,
                });
            }
        }
        self.insert_free(free)?;
        self.record(first, rows.len(), &outcomes)?;
        Ok(outcomes)
    }

    /// A row whose code the pool holds already.
    fn known(&mut self, row: &NewCode) -> Result<RowOutcome> {
        let stored = self
            .connection
            .prepare_cached("SELECT id, lane, expires, retired, upload FROM code WHERE code = ?1")?
            .query_row([&row.code], |found| {
                Ok(Known {
                    id: found.get(0)?,
                    lane: found.get(1)?,
                    expires: found.get(2)?,
                    in_use: found.get(3)?,
                    upload: found.get(4)?,
                })
            })?;
        let said = self
            .connection
            .prepare_cached(
                "SELECT lane, expires, in_use FROM temp.seen WHERE upload = ?1 AND code = ?2",
            )?
            .query_row(params![self.upload, row.code], |found| {
                Ok(Known {
                    id: stored.id,
                    lane: found.get(0)?,
                    expires: found.get(1)?,
                    in_use: found.get(2)?,
                    upload: self.upload,
                })
            })
            .optional()?;
        if let Some(earlier) = said
            .as_ref()
            .or((stored.upload == self.upload).then_some(&stored))
        {
            return self.compare(row, earlier);
        }
        let now = self.stated(row, &stored)?;
        self.connection
            .prepare_cached("INSERT INTO temp.seen VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![
                self.upload,
                row.code,
                now.lane,
                now.expires,
                now.in_use
            ])?;
        self.update(row, &stored, &now)
    }

    /// What the row says of a code, with what it does not state as it is stored.
    fn stated(&mut self, row: &NewCode, stored: &Known) -> Result<Known> {
        let lane = if row.code_type.is_none() && row.discount.is_none() {
            stored.lane
        } else {
            let old = lanes::name(self.connection, stored.lane)?;
            let kind = row.code_type.as_deref().unwrap_or(&old.code_type);
            self.lanes
                .find_or_add(self.connection, kind, row.discount.unwrap_or(old.discount))?
        };
        Ok(Known {
            id: stored.id,
            lane,
            expires: row.expires.map_or(stored.expires, |expires| expires.0),
            in_use: row.in_use.unwrap_or(stored.in_use),
            upload: self.upload,
        })
    }

    /// A line beside an earlier one of the same upload.
    fn compare(&mut self, row: &NewCode, earlier: &Known) -> Result<RowOutcome> {
        let now = self.stated(row, earlier)?;
        let contradicts = |field, earlier| Ok(RowOutcome::Contradicts { field, earlier });
        if now.lane != earlier.lane {
            let (new, old) = (
                lanes::name(self.connection, now.lane)?,
                lanes::name(self.connection, earlier.lane)?,
            );
            return if new.code_type == old.code_type {
                contradicts("discount", old.discount.to_string())
            } else {
                contradicts("type", old.code_type)
            };
        }
        if now.expires != earlier.expires {
            let calendar = super::calendar(self.connection)?;
            let old = calendar.format_expiry(Timestamp(earlier.expires));
            return contradicts("expirationDate", old.unwrap_or_default());
        }
        if now.in_use != earlier.in_use {
            return contradicts("inUse", earlier.in_use.to_string());
        }
        Ok(RowOutcome::Unchanged)
    }

    /// Brings an unused code to what the row says. A used one stays as it is, and a retired one
    /// stays retired.
    fn update(&mut self, row: &NewCode, stored: &Known, now: &Known) -> Result<RowOutcome> {
        let retires = now.in_use && !stored.in_use;
        let moves = (now.lane, now.expires) != (stored.lane, stored.expires);
        if !retires && !moves {
            return Ok(RowOutcome::Unchanged);
        }
        if !stored.in_use {
            let taken = self
                .connection
                .prepare_cached("DELETE FROM free WHERE lane = ?1 AND expires = ?2 AND id = ?3")?
                .execute(params![stored.lane, stored.expires, stored.id])?;
            if taken == 0 {
                return Ok(RowOutcome::Unchanged);
            }
            if retires {
                self.log_retirement(&row.code)?;
            } else {
                self.insert_free(vec![FreeRow {
                    lane: now.lane,
                    expires: now.expires,
                    id: stored.id,
                    code: &row.code,
                }])?;
            }
        }
        self.connection
            .prepare_cached(
                "UPDATE code SET lane = ?2, expires = ?3, retired = ?4, upload = ?5 WHERE code = ?1",
            )?
            .execute(params![
                row.code,
                now.lane,
                now.expires,
                stored.in_use || retires,
                self.upload
            ])?;
        Ok(RowOutcome::Updated)
    }

    fn insert_free(&self, mut rows: Vec<FreeRow<'_>>) -> Result<()> {
        rows.sort_unstable_by_key(|row| (row.lane, row.expires, row.id));
        let mut insert = self
            .connection
            .prepare_cached("INSERT INTO free (lane, expires, id, code) VALUES (?1, ?2, ?3, ?4)")?;
        for row in rows {
            insert.execute(params![row.lane, row.expires, row.id, row.code])?;
        }
        Ok(())
    }

    fn log_retirement(&self, code: &str) -> Result<()> {
        super::codes::log_retirement(self.connection, code, true, self.at)
    }

    fn record(&self, first: i64, rows: usize, outcomes: &[RowOutcome]) -> Result<()> {
        let count = |wanted: RowOutcome| outcomes.iter().filter(|&o| *o == wanted).count() as i64;
        let (inserted, updated) = (count(RowOutcome::Inserted), count(RowOutcome::Updated));
        self.connection
            .prepare_cached(
                "INSERT INTO upload_batch (upload, first_code, inserted, updated, unchanged, rejected)
                 VALUES (?1, ?2, ?3, ?4, ?5, 0)",
            )?
            .execute(params![self.upload, first, inserted, updated, count(RowOutcome::Unchanged)])?;
        let next = i64::try_from(rows)
            .ok()
            .and_then(|rows| first.checked_add(rows))
            .ok_or_else(|| StoreError::Engine("no numbers are left for codes".into()))?;
        set_setting(self.connection, "next-code", &next.to_string())?;
        if inserted + updated > 0 {
            raise_setting(self.connection, "pool-generation")?;
        }
        Ok(())
    }
}
